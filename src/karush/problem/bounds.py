"""Bounds as users write them -> two flat arrays."""

from typing import Any

import numpy as np

from karush.core.errors import ProblemError
from karush.core.pytrees import Door


def read_bounds(bounds: Any, door: Door, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Flat ``lower, upper`` (n,) of ``(lower, upper)``, of ``scipy.optimize.Bounds``, or of SciPy's list of pairs.

    Raises
    ------
    ProblemError
        naming the variable whose bounds are NaN, crossed or infinite on the wrong side.
    """
    if bounds is None:
        lower, upper = None, None
    elif hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        lower, upper = bounds.lb, bounds.ub
    elif _is_list_of_pairs(bounds, door):
        lower, upper = [pair[0] for pair in bounds], [pair[1] for pair in bounds]
    else:
        try:
            lower, upper = bounds
        except (TypeError, ValueError):
            raise ProblemError(
                f"bounds is {bounds!r:.80}; give (lower, upper), each None, a scalar or a prefix pytree of x0"
            ) from None
    low = door.broadcast(lower, "bounds[0] (lower)", -np.inf)
    up = door.broadcast(upper, "bounds[1] (upper)", np.inf)
    bad = np.isnan(low) | np.isnan(up) | (low > up) | (low == np.inf) | (up == -np.inf)
    if np.any(bad):
        i = int(np.flatnonzero(bad)[0])
        raise ProblemError(f"bounds at {names[i]} are lower {low[i]} and upper {up[i]}; lower <= upper is needed")
    return low, up


def _is_list_of_pairs(bounds: Any, door: Door) -> bool:
    """SciPy's ``[(low, high), ...]``: one pair per variable of a flat x.

    For two variables ``[(a, b), (c, d)]`` it cannot be told from ``(lower, upper)``: a list of tuples is read as
    pairs, anything else as ``(lower, upper)``.
    """
    if len(door.shapes) != 1 or not isinstance(bounds, (list, tuple)) or len(bounds) != door.size:
        return False
    pairs = all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in bounds)
    return pairs and (len(bounds) != 2 or (isinstance(bounds, list) and isinstance(bounds[0], tuple)))
