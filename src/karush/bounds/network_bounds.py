"""Bounds of a recognised network's Lipschitz constant on one box, by its layers.

```
‖f‖_{p→q} <= ‖f‖_{2→2} · max ‖x‖₂/‖x‖_p · max ‖y‖_q/‖y‖₂          and, for the max norm of x, directly
```
"""

import math

import numpy as np

from karush.bounds import scaled_norm
from karush.bounds.branching import Bound
from karush.bounds.jacobian_zonotopes import Read, activations, by_symbols, reader, slope_ranges
from karush.bounds.layers import Matrix, Network
from karush.bounds.norms import upward

MOST_INEQUALITY = 1200
"""variables up to which the matrix inequality is solved"""
MOST_ROWS = 16
"""outputs that are bounded one by one in the max norm"""
WORK = 6e7
"""cubes of variables, summed over boxes, that matrix inequalities may cost"""
MOST_BOXES = 256


def by_layers(network: Network, norm: tuple[float, float]) -> list[Bound]:
    """Bounds on boxes, the cheaper first; none for networks that are too large."""
    read = reader(network)
    return [
        bound for bound in (by_symbols(network, read, norm), by_inequality(network, read, norm)) if bound is not None
    ]


def by_inequality(network: Network, read: Read, norm: tuple[float, float]) -> Bound | None:
    """The matrix inequality of differences, on boxes; None for networks that are too large."""
    if network.variables > MOST_INEQUALITY:
        return None
    p, q = norm

    def tighter(low: np.ndarray, high: np.ndarray, above: float, until: float) -> float:
        with np.errstate(all="ignore"):
            slopes = slope_ranges(activations(network, low, high, read))
        parts = scaled_norm.differences(network, *slopes)
        if parts is None:
            return math.inf
        outer = parts.outer
        k = outer.middle.shape[0]
        if q == math.inf and k <= MOST_ROWS:
            rows = [Matrix(outer.middle[i : i + 1], outer.radius[i : i + 1]) for i in range(k)]
            each = [scaled_norm.Differences(parts.n, parts.inner, row) for row in rows]
            return max(scaled_norm.bound(one, largest=p == math.inf, above=above, until=until) for one in each)
        bound = scaled_norm.bound(parts, largest=p == math.inf, above=above, until=until)
        return float(upward(np.asarray(bound * math.sqrt(k)), 4)) if q == 1 else bound

    return Bound(tighter, int(np.clip(WORK / network.variables**3, 1, MOST_BOXES)))


__all__ = ["by_layers"]
