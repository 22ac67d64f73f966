"""Factors of a symmetric positive definite matrix that is zero beyond a few diagonals, in time and memory of order n.

```
H = L D Lᵀ,    L and H zero where i − j > b          stored  band[d, j] = H[j + d, j],  d = 0 .. b
```

For b = 1 by LAPACK's pttrf, else by pbtrf. No pivoting is needed: the factors exist, with positive pivots, exactly if H
is positive definite, up to a perturbation of order ``(b + 2) ε ‖H‖`` (section 10.1 of [Hig02]).
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import get_lapack_funcs

_pttrf, _pttrs, _pbtrf, _pbtrs = get_lapack_funcs(("pttrf", "pttrs", "pbtrf", "pbtrs"), dtype=np.float64)


class BandFactors(NamedTuple):
    """What LAPACK has made of the band (b+1, n)."""

    diagonal: np.ndarray
    """(n,) of D for b = 1; else the whole factor (b+1, n)"""
    below: np.ndarray | None
    """(n−1,) of L for b = 1"""

    def solve(self, right: np.ndarray) -> np.ndarray:
        """H⁻¹ `right` (n,)."""
        if self.below is None:
            solution, info = _pbtrs(self.diagonal, right, lower=1)
        else:
            solution, info = _pttrs(self.diagonal, self.below, right)
        if info:
            raise ValueError(
                f"right has shape {right.shape}, the matrix order {self.diagonal.shape[-1]}; they must agree"
            )
        return solution


def band_factors(band: np.ndarray) -> BandFactors | None:
    """Factors of the matrix with lower diagonals `band` (b+1, n); None unless it is positive definite.

    A NaN is no positive pivot.
    """
    if not np.all(np.isfinite(band)):
        return None
    if band.shape[0] == 1:
        # pttrf wants a second diagonal; that of a diagonal matrix is zero.
        band = np.concatenate([band, np.zeros_like(band)])
    if band.shape[0] == 2 and band.shape[1] > 1:
        diagonal, below, info = _pttrf(band[0], band[1, :-1])
        return BandFactors(diagonal, below) if info == 0 else None
    factor, info = _pbtrf(band, lower=1)
    return BandFactors(factor, None) if info == 0 else None


def restricted(band: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The band with the rows and columns of the variables that are not `free` (n,) bool replaced by those of I."""
    if free.all():
        return band
    out = np.where(free, band, 0.0)
    for d in range(1, band.shape[0]):
        out[d, : free.size - d] *= free[d:]
    out[0][~free] = 1.0
    return out


__all__ = ["BandFactors", "band_factors", "restricted"]
