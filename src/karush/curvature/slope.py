"""Is x a stationary point? Each part of the gradient against the curvature along it.

In an orthonormal basis of (Ritz) vectors v_i with curvatures λ_i the quadratic model of f is stationary a distance
``t_i = |g_i| / |λ_i|`` away along v_i, where ``g_i = v_iᵀ ∇f``. With S = diag(max(|x|, 1)) the point is stationary if

```
|g_i|  <=  max( error of ∇f ,  tol |λ_i| / ‖S⁻¹ v_i‖_∞ )       for every i
```

that is, if no t_i exceeds tol relative to x. Along directions without curvature the gradient itself must vanish.
"""

from typing import NamedTuple

import numpy as np

from karush.curvature.krylov import Krylov
from karush.curvature.program import Product

PARTS = 30
"""Products that resolve the gradient of a large function into parts of different curvature."""


class Slope(NamedTuple):
    """The gradient, and whether it counts as zero."""

    norm: float
    error: float
    """of `norm`, estimated"""
    part: float
    """|g_i| of the part that exceeds its bound most, or comes closest"""
    bound: float
    """of that part"""
    newton: np.ndarray
    """(n,) step to the stationary point of the quadratic model, along directions of known curvature"""

    @property
    def stationary(self) -> bool:
        return self.part <= self.bound


def sizes(x: np.ndarray) -> np.ndarray:
    """Typical sizes of the variables: max(|x|, 1)."""
    return np.maximum(np.abs(x), 1.0)


def slope(
    x: np.ndarray,
    gradient: np.ndarray,
    error: float,
    values: np.ndarray,
    vectors: np.ndarray,
    known: float,
    tol: float,
) -> Slope:
    """Judge the gradient by curvatures `values` (k,) along `vectors` (n, k) whose span contains it.

    `known` is the error of the values: below it nothing is divided.
    """
    norm = float(np.linalg.norm(gradient))
    if not (np.isfinite(gradient).all() and np.isfinite(values).all() and np.isfinite(error)):
        return Slope(norm, error, np.nan, 0.0, np.zeros(x.size))
    if norm == 0:
        return Slope(norm, error, 0.0, error, np.zeros(x.size))
    parts = vectors.T @ gradient
    lengths = np.max(np.abs(vectors) / sizes(x)[:, None], axis=0)
    bounds = np.maximum(error, tol * np.abs(values) / lengths)
    excess = np.abs(parts) / np.where(bounds > 0, bounds, 1.0)
    excess = np.where((bounds == 0) & (parts != 0), np.inf, excess)
    worst = int(np.argmax(excess))
    firm = np.abs(values) > known
    newton = -vectors[:, firm] @ (parts[firm] / values[firm])
    return Slope(norm, error, float(abs(parts[worst])), float(bounds[worst]), newton)


def parts_of(gradient: np.ndarray, product: Product, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """Ritz values (k,) and vectors (n, k) of a Krylov space that contains the gradient, and the products spent."""
    if not np.any(gradient):
        return np.zeros(1), np.zeros((gradient.size, 1)), 0
    krylov = Krylov(product, gradient, PARTS, rng)
    krylov.extend(PARTS)
    if not krylov.finite:
        return np.full(1, np.nan), np.zeros((gradient.size, 1)), krylov.steps
    values, coordinates, _ = krylov.ritz()
    return values, krylov.vectors(coordinates), krylov.steps


__all__ = ["Slope", "parts_of", "sizes", "slope"]
