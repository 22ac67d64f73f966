"""One-sided differences: what a function does beside a kink, without trusting its derivatives there."""

from collections.abc import Callable

import numpy as np


def one_sided_slopes(
    function: Callable[[np.ndarray], float], x: np.ndarray, directions: np.ndarray, step: float
) -> np.ndarray:
    """``(f(x + t d) - f(x)) / t`` for every row d of `directions`, with ``t = step > 0``.

    Parameters
    ----------
    function
        value of a point, float64.
    x : (n,) array
    directions : (k, n) array
    step
        distance t along each direction; each trial point ``x + t d`` must lie where `function` may be evaluated.

    Returns
    -------
    (k,) array
        NaN where the function is. A negative entry proves by its trial point that x is no minimum once the difference
        exceeds the rounding of both values.
    """
    here = float(function(x))
    return np.array([(float(function(x + step * direction)) - here) / step for direction in directions])


__all__ = ["one_sided_slopes"]
