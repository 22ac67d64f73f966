"""The best step of gradient descent by the second-order model [GBC16, eq. 4.10].

```
f(x − α g) ≈ f(x) − α gᵀg + α²/2 gᵀHg        least at   α* = gᵀg / gᵀHg ,   gain  (gᵀg)² / (2 gᵀHg)
```
"""

from typing import NamedTuple

import numpy as np

from karush.core.table import number
from karush.curvature.noise import EPS, FLOOR, SAFETY
from karush.curvature.program import Derivatives, Product


class BestStep(NamedTuple):
    """Step along −∇f."""

    step: float
    """α*; inf where the model has no minimum along −∇f, 0 where the gradient is 0"""
    gain: float
    """predicted decrease of f; inf where the model has none"""
    curvature: float
    """``gᵀHg / gᵀg``, the curvature along the gradient"""
    error: float
    """of `curvature`, estimated"""
    words: str


def best_step(derivatives: Derivatives, x: np.ndarray, gradient: np.ndarray, product: Product) -> BestStep:
    """α* at x with the gradient (n,)."""
    norm = float(np.linalg.norm(gradient))
    if norm == 0:
        return BestStep(0.0, 0.0, 0.0, 0.0, "the gradient is 0: there is no step along it")
    if not np.isfinite(norm):
        return BestStep(np.nan, np.nan, np.nan, np.nan, "the gradient is not finite")
    unit = gradient / norm
    image, again = product(unit), derivatives.independent_product(x, unit)
    curvature = float(unit @ image)
    error = SAFETY * abs(float(unit @ (again - image))) + FLOOR * EPS * float(np.linalg.norm(image))
    if curvature > error:
        step, gain = 1.0 / curvature, norm**2 / (2.0 * curvature)
        return BestStep(step, gain, curvature, error, f"{number(step)}, predicted to gain {number(gain)}")
    if curvature < -error:
        words = "f curves downwards along −∇f: its model has no minimum there, and a longer step promises more"
    elif np.isfinite(curvature):
        words = "no curvature is told from zero along −∇f: the model is a straight line there, without a best step"
    else:
        return BestStep(np.nan, np.nan, curvature, error, "the curvature along the gradient is not finite")
    return BestStep(np.inf, np.inf, curvature, error, words)


__all__ = ["BestStep", "best_step"]
