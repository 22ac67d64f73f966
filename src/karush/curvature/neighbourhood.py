"""Do derivatives at x agree with what the function does beside x?

Derivatives that cancellation has destroyed are wrong in every digit, and each evaluation repeats them. Differences
over a visible distance show it. With ‖d‖₂ = 1 and t such that the variables move by δ relative:

```
slope       f(x + t d) − f(x − t d)            against   2 t ∇f(x)ᵀ d
curvature   (∇f(x + t d) − ∇f(x − t d))ᵀ d     against   2 t dᵀ H(x) d
```

They agree if they differ by at most half. The lengths δ are tried in turn; a function that bends sharply needs the
shorter ones, where rounding of ∇f decides on how much can be seen.
"""

import numpy as np

from karush.curvature.noise import EPS
from karush.curvature.program import Derivatives
from karush.curvature.slope import sizes

LENGTHS = (2.0**-17, 2.0**-20, 2.0**-23)
"""δ near ε^(1/3), where a difference is most accurate, and shorter."""
AGREEMENT = 0.5
"""Relative difference allowed."""
WIDER = 2.0
"""A gap is known to half of it: an error is taken to be twice the gap seen."""
ROUNDING = 16.0
"""A difference of values is known to ROUNDING · ε · |f|."""


def slope_gap(derivatives: Derivatives, x: np.ndarray, value: float, gradient: np.ndarray) -> float:
    """0 where values of f change along ∇f as ∇f says, or rounding of f hides the change; else by how much ∇f is off.

    In units of ‖∇f‖₂; inf where f is not finite beside x.
    """
    norm = float(np.linalg.norm(gradient))
    if norm == 0:
        return 0.0
    direction, least = gradient / norm, np.inf
    for t in _distances(x, direction):
        ahead = derivatives.value_and_gradient(x + t * direction)[0]
        behind = derivatives.value_and_gradient(x - t * direction)[0]
        gap = abs((ahead - behind) / (2.0 * t) - norm)
        noise = ROUNDING * EPS * max(abs(ahead), abs(behind), abs(value)) / (2.0 * t)
        if gap <= AGREEMENT * norm + noise:
            return 0.0
        least = min(least, gap) if np.isfinite(gap) else least
    return WIDER * least


def curvature_gap(
    derivatives: Derivatives, x: np.ndarray, direction: np.ndarray, curvature: float, gradient_error: float
) -> float:
    """0 where ∇f changes along a unit `direction` (n,) as its `curvature` dᵀHd says; else by how much that is off.

    Inf where ∇f is not finite beside x.
    """
    least = np.inf
    for t in _distances(x, direction):
        change = direction @ (derivatives.gradient(x + t * direction) - derivatives.gradient(x - t * direction))
        gap = abs(float(change) / (2.0 * t) - curvature)
        if gap <= AGREEMENT * abs(curvature) + gradient_error / t:
            return 0.0
        least = min(least, gap) if np.isfinite(gap) else least
    return WIDER * least


def _distances(x: np.ndarray, direction: np.ndarray) -> list[float]:
    reach = float(np.max(np.abs(direction) / sizes(x)))
    return [length / reach for length in LENGTHS]


__all__ = ["AGREEMENT", "curvature_gap", "slope_gap"]
