"""Positive definiteness of a symmetric matrix of balls.

```
S = L D Lᵀ,  every pivot of D a ball above 0        ⟹   every symmetric matrix in S is positive definite
R S Rᵀ strictly diagonally dominant, diagonal > 0   ⟹   the same, for any R: Gershgorin's theorem, and congruence
```

Elimination needs no guess, but its balls grow with every pivot; the second test takes R from a float64 factorization.
"""

import numpy as np

from karush.arithmetic.ball_numbers import balls, floats
from karush.arithmetic.ball_reductions import product

ELIMINATED_UP_TO = 40
"""order up to which elimination is tried; balls may double at every pivot"""


def positive_definite(S: np.ndarray) -> bool:
    """Whether every symmetric matrix in S (n, n) certainly is; False also means: could not tell."""
    return _by_elimination(S) if S.shape[0] <= ELIMINATED_UP_TO else _by_congruence(S)


def _by_elimination(S: np.ndarray) -> bool:
    S = S.copy()
    n = S.shape[0]
    for k in range(n):
        pivot = S[k, k]
        if not pivot > 0:
            return False
        column = S[k + 1 :, k]
        S[k + 1 :, k + 1 :] = S[k + 1 :, k + 1 :] - column[:, None] * (column / pivot)[None, :]
    return True


def _by_congruence(S: np.ndarray) -> bool:
    middle = floats(S)
    if not (np.all(np.isfinite(middle)) and np.all(np.diag(middle) > 0)):
        return False
    size = np.sqrt(np.diag(middle))
    try:
        R = balls(np.linalg.inv(np.linalg.cholesky(middle / size[:, None] / size)) / size)
    except np.linalg.LinAlgError:
        return False
    M = product(product(R, S), R.T)
    off = np.array(
        [sum((abs(entry) for j, entry in enumerate(row) if j != i), start=0 * row[i]) for i, row in enumerate(M)]
    )
    return all(bool(M[i, i] > off[i]) for i in range(S.shape[0]))


__all__ = ["positive_definite"]
