"""Bounds as users write them -> two flat arrays."""

from collections.abc import Iterator
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
    elif _is_list_of_pairs(bounds := _listed(bounds), door):
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


def _listed(bounds: Any) -> Any:
    """An (n, 2) array or an iterator, such as ``zip(low, high)``, as the list of pairs that it is."""
    if isinstance(bounds, np.ndarray):
        return bounds.tolist() if bounds.ndim == 2 and bounds.shape[1] == 2 else bounds
    return list(bounds) if isinstance(bounds, Iterator) else bounds


def _is_list_of_pairs(bounds: Any, door: Door) -> bool:
    """SciPy's ``[(low, high), ...]``: one pair per variable of a flat x.

    Raises
    ------
    ProblemError
        for two variables where ``((a, b), (c, d))`` can be read as pairs and as ``(lower, upper)`` and the readings
        differ. A list of tuples is read as pairs, a tuple of lists or arrays as ``(lower, upper)``.
    """
    if len(door.shapes) != 1 or not isinstance(bounds, (list, tuple)) or len(bounds) != door.size:
        return False
    pairs = all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in bounds)
    if not pairs or len(bounds) != 2:
        return pairs
    outer, inner = type(bounds), {type(pair) for pair in bounds}
    if inner == {outer} and bounds[0][1] != bounds[1][0]:
        raise ProblemError(
            f"bounds is {bounds!r:.80}, which for two variables can mean two (low, high) pairs or (lower, upper); "
            "give pairs as a list of tuples, [(low, high), (low, high)], or (np.array(lower), np.array(upper))"
        )
    return outer is list and inner == {tuple}
