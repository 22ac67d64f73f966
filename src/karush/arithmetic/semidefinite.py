"""Semidefiniteness of a symmetric matrix of doubles, decided in exact rational arithmetic.

```
M ⪰ 0   ⟺   elimination meets no negative pivot, and the row of every zero pivot is zero
```
"""

from fractions import Fraction
from typing import Any

import numpy as np

EXACT_UP_TO = 30
"""order up to which matrices are eliminated in rational numbers"""
EPS = 2.0**-52


def semidefinite(rounded: np.ndarray, *terms: np.ndarray) -> bool:
    """Whether the symmetric matrix ``Σ terms`` (n, n) is positive semidefinite; large ones only if clearly definite.

    Parameters
    ----------
    rounded
        The sum as it is computed.
    terms
        The exact terms; None given means that `rounded` is exact.
    """
    if not np.all(np.isfinite(rounded)):
        return False
    n = rounded.shape[0]
    parts = terms or (rounded,)
    least = float(np.linalg.eigvalsh(rounded)[0]) if n else 0.0
    error = 8.0 * n * EPS * sum(float(np.linalg.norm(part)) for part in parts)
    # Rounding of the sum and of the eigenvalues stays far below; what is left is decided exactly.
    if least > error or least < -error or n > EXACT_UP_TO:
        return least > error
    return eliminated(
        [[sum((Fraction(float(part[i, j])) for part in parts), Fraction(0)) for j in range(n)] for i in range(n)]
    )


def eliminated(H: list[list[Any]]) -> bool:
    """Whether the symmetric matrix H of exact rational numbers, of one type, is positive semidefinite; H is used up."""
    n = len(H)
    for k in range(n):
        pivot = H[k][k]
        if pivot < 0 or (pivot == 0 and any(H[k][j] != 0 for j in range(k + 1, n))):
            return False
        if pivot == 0:
            continue
        for i in range(k + 1, n):
            factor = H[i][k] / pivot
            for j in range(k + 1, n):
                H[i][j] -= factor * H[k][j]
    return True


__all__ = ["eliminated", "semidefinite"]
