"""Positive definiteness of a symmetric matrix of balls, by its factorization.

```
S = L D Lᵀ,   every pivot of D a ball above 0   ⟹   every symmetric matrix in S is positive definite
```
"""

import numpy as np

Matrix = np.ndarray


def positive_definite(S: Matrix) -> bool:
    """Whether elimination of S (n, n) meets balls above 0 only; False also means: could not tell."""
    S = S.copy()
    n = S.shape[0]
    for k in range(n):
        pivot = S[k, k]
        if not pivot > 0:
            return False
        column = S[k + 1 :, k]
        S[k + 1 :, k + 1 :] = S[k + 1 :, k + 1 :] - column[:, None] * (column / pivot)[None, :]
    return True


__all__ = ["positive_definite"]
