"""Bounds of a recognised network's Lipschitz constant on one box, by its layers.

```
‖f‖_{p→q} <= ‖f‖_{2→2} · max ‖x‖₂/‖x‖_p · max ‖y‖_q/‖y‖₂          and, for the max norm of x, directly
```
"""

import math
from collections.abc import Callable

import jax
import numpy as np

from karush.bounds import scaled_norm
from karush.bounds.branching import Tighter
from karush.bounds.layers import Matrix, Network
from karush.bounds.norms import upward
from karush.bounds.zonotopes import slopes_on

MOST_INEQUALITY = 1200
"""variables up to which the matrix inequality is solved"""
MOST_ROWS = 16
"""outputs that are bounded one by one in the max norm"""
WORK = 6e7
"""cubes of variables, summed over boxes, that matrix inequalities may cost"""
MOST_BOXES = 256


def by_layers(network: Network, norm: tuple[float, float]) -> tuple[Tighter, int] | None:
    """A bound on boxes, and on how many boxes it should be asked for; None for networks that are too large."""
    if network.variables > MOST_INEQUALITY:
        return None
    slopes: Callable[..., object] = jax.jit(lambda low, high: slopes_on(network, low, high)[:2])
    p, q = norm

    def tighter(low: np.ndarray, high: np.ndarray) -> float:
        lo, hi = (np.asarray(end) for end in slopes(low, high))
        parts = scaled_norm.differences(network, lo, hi)
        if parts is None:
            return math.inf
        outer = parts.outer
        k = outer.middle.shape[0]
        if q == math.inf and k <= MOST_ROWS:
            rows = [Matrix(outer.middle[i : i + 1], outer.radius[i : i + 1]) for i in range(k)]
            each = [scaled_norm.Differences(parts.n, parts.inner, row) for row in rows]
            return max(scaled_norm.bound(one, largest=p == math.inf) for one in each)
        bound = scaled_norm.bound(parts, largest=p == math.inf)
        return float(upward(np.asarray(bound * math.sqrt(k)), 4)) if q == 1 else bound

    return tighter, int(np.clip(WORK / network.variables**3, 1, MOST_BOXES))


__all__ = ["by_layers"]
