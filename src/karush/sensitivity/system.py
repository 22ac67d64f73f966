"""The KKT matrix of an active set, equilibrated, factored, and solved with one step of refinement."""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from scipy.linalg import get_lapack_funcs

(_getrf,) = get_lapack_funcs(("getrf",), dtype=np.float64)

SWEEPS = 4
"""sweeps of the equilibration; each brings the largest entry of every row closer to 1"""


class System(NamedTuple):
    """``K = [H Aᵀ; A 0]``, symmetric, (n + w, n + w)."""

    matrix: np.ndarray
    scale: np.ndarray
    """(n + w,) D of the equilibrated matrix D K D"""
    factors: Any
    n: int

    @classmethod
    def of(cls, hessian: np.ndarray, gradients: np.ndarray) -> "System":
        """The system of H (n, n) and A (w, n)."""
        n, w = hessian.shape[0], gradients.shape[0]
        matrix = np.block([[hessian, gradients.T], [gradients, np.zeros((w, w))]])
        scale = np.ones(n + w)
        for _ in range(SWEEPS):
            largest = np.max(np.abs(matrix) * scale, axis=1, initial=0.0) * scale
            scale /= np.sqrt(np.where(largest > 0, largest, 1.0))
        with np.errstate(all="ignore"):
            factors = _factored(matrix * scale * scale[:, None])
        return cls(matrix, scale, factors, n)

    def solve(self, top: np.ndarray, bottom: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solution ((n, ...), (w, ...)) for right-hand sides of these shapes; NaN where the matrix is singular.

        K is symmetric: the same solution serves forward and adjoint.
        """
        right = np.concatenate((top, bottom))
        if self.factors is None:
            return top * np.nan, bottom * np.nan
        solution = self._once(right)
        solution += self._once(right - self.matrix @ solution)
        return solution[: self.n], solution[self.n :]

    def _once(self, right: np.ndarray) -> np.ndarray:
        scale = self.scale.reshape(-1, *(1,) * (right.ndim - 1))
        return scale * scipy.linalg.lu_solve(self.factors, scale * right, check_finite=False)

    @property
    def smallest(self) -> float:
        """Smallest singular value of the equilibrated matrix over its largest."""
        values = np.abs(scipy.linalg.eigvalsh(self.matrix * self.scale * self.scale[:, None]))
        return float(values.min() / values.max()) if values.size else 1.0


def _factored(matrix: np.ndarray) -> Any:
    if not np.isfinite(matrix).all():
        return None
    lu, pivots = _getrf(matrix)[:2]
    return (lu, pivots) if np.all(np.diagonal(lu) != 0) else None
