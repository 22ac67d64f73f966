"""All eigenvalues of a Hessian that fits into memory, with a bound of their error.

With computed eigenvectors V and eigenvalues Λ of the symmetric matrix H̃ = (H + Hᵀ)/2, every true eigenvalue of H
pairs, in order, with a computed one within

```
‖H̃ V − V Λ‖_F / σ_min(V)   +   error of H   +   ‖H − Hᵀ‖₂ / 2 ,       σ_min(V)² ≥ 1 − ‖VᵀV − I‖_F
```

The first term is the theorem of [CXL96] for the eigenvalue routine, the rest is Weyl's for the matrix. The error of
H is an estimate (`karush.curvature.noise`).
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg

from karush.curvature.noise import hessian_error, norm_bound
from karush.curvature.program import Derivatives

SYMMETRIC = 2.0**-26
"""Largest ‖H − Hᵀ‖ / ‖H‖ that is put down to rounding (the root of eps)."""


class Pairs(NamedTuple):
    """Eigenvalues with their errors, ascending."""

    values: np.ndarray
    """(k,)"""
    vectors: np.ndarray
    """(n, k) orthonormal columns"""
    errors: np.ndarray
    """(k,) each value lies within its error of a true eigenvalue"""

    def widened(self, gap: float) -> "Pairs":
        """The same with errors of at least `gap`."""
        return self._replace(errors=np.maximum(self.errors, gap))


def hessian(derivatives: Derivatives, x: np.ndarray) -> np.ndarray:
    """H(x) (n, n) as differentiation gives it, not made symmetric."""
    return derivatives.columns(x, np.eye(x.size))


def asymmetry(matrix: np.ndarray) -> float:
    """``‖H − Hᵀ‖ / ‖H‖``, 0 for H = 0."""
    size = norm_bound(matrix)
    return norm_bound(matrix - matrix.T) / size if size > 0 else 0.0


def decompose(derivatives: Derivatives, x: np.ndarray, matrix: np.ndarray, rng: np.random.Generator) -> Pairs:
    """Eigenpairs of the Hessian `matrix` (n, n) at x; NaN throughout where it is not finite."""
    n = x.size
    if not np.isfinite(matrix).all():
        return Pairs(np.full(n, np.nan), np.full((n, n), np.nan), np.full(n, np.inf))
    symmetric = (matrix + matrix.T) / 2
    values, vectors = scipy.linalg.eigh(symmetric)
    residual = float(np.linalg.norm(symmetric @ vectors - vectors * values))
    defect = float(np.linalg.norm(vectors.T @ vectors - np.eye(n)))
    error = residual / np.sqrt(max(1.0 - defect, 0.5)) + norm_bound(matrix - matrix.T) / 2
    error += hessian_error(derivatives, x, matrix, rng)
    return Pairs(values, vectors, np.full(n, error if np.isfinite(error) else np.inf))


__all__ = ["SYMMETRIC", "Pairs", "asymmetry", "decompose", "hessian"]
