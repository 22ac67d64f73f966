"""Whether a problem ``min f(x), row_lower <= c(x) <= row_upper, lower <= x <= upper`` is convex, by the rules alone.

```
f convex;   c_i convex where it has an upper limit, concave where it has a lower one: affine where it has both
```

Functions may be undefined outside a convex part of the box (log and sqrt of concave functions): points there are not
feasible. Costs milliseconds; nothing is compiled. For many variables `least_curvature` reads the objective alone, with
one number in place of each array.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from karush.arithmetic.interval_margins import label
from karush.bounds.convexity_curve import UNKNOWN, Curve, constant, curve
from karush.bounds.convexity_floor import Terms
from karush.bounds.convexity_rules import walk
from karush.bounds.convexity_summary import ARRAY, SINGLE, ends_of, walk_summaries
from karush.core.errors import TraceError
from karush.core.precision import float64

LARGEST = 2000
"""variables and rows up to which a problem is looked at"""


def why_convex(
    closed_jaxpr: Any,
    params: Sequence[np.ndarray],
    bounds: tuple[np.ndarray, np.ndarray],
    limits: tuple[np.ndarray, np.ndarray],
) -> str:
    """Why the problem is convex, in words; empty where the rules do not tell.

    Parameters
    ----------
    closed_jaxpr
        ``x (n,), *params -> f (), c (m,)``.
    params
        Arrays in the shapes of the parameters; what is said holds for all values of them.
    bounds, limits
        Lower and upper ends of x (n,) and of the rows (m,).
    """
    if max(bounds[0].size, limits[0].size) > LARGEST or any(np.asarray(p).dtype.kind != "f" for p in params):
        return ""
    shapes = [np.shape(p) for p in params]
    any_values = [constant((np.full(shape, -np.inf), np.full(shape, np.inf))) for shape in shapes]
    standard = jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow")
    # A compiled solve asks while it is traced; the walk moves elements by JAX itself, on numbers.
    try:
        with jax.ensure_compile_time_eval(), float64(), standard[0], standard[1]:
            (value, rows), _ = walk(closed_jaxpr, *bounds, any_values)
    except TraceError:
        # Random numbers from a key have no rules; the problem can be solved for all that.
        return ""
    convex, _ = _bent(value, ())
    up, down = _bent(rows, limits[0].shape)
    upper, lower = np.isfinite(limits[1]), np.isfinite(limits[0])
    if not (np.all(convex) and np.all(up | ~upper) and np.all(down | ~lower)):
        return ""
    return f"the problem is convex, by the rules of convex analysis ({label()})"


def least_curvature(
    closed_jaxpr: Any,
    params: Sequence[np.ndarray],
    bounds: tuple[np.ndarray, np.ndarray],
    *,
    any_values: bool = False,
) -> float | None:
    """A rigorous m >= 0 such that ``f(x) − (m/2) ‖x‖²`` is convex within the bounds, for any number of variables.

    ``xᵀ ∇²f(x) x >= m ‖x‖²`` wherever f has two derivatives: with m > 0 a stationary point is the strict global
    minimum within the bounds. 0.0 says that f is convex and no more; None that the rules do not tell. m comes from
    terms ``w ‖c x − a‖²`` of the sum that f is, such as a ridge; all other terms have to be convex by the rules.

    Parameters
    ----------
    closed_jaxpr
        ``x (n,), *params -> f (), ...``; outputs behind the first are not looked at.
    params
        Arrays in the shapes of the parameters.
    bounds
        Lower and upper ends of x (n,), where only the least and the largest count.
    any_values
        Whether the answer is to hold for all values of the parameters. Otherwise it holds for these, and has to be
        asked for anew when they change; then a weight that is a parameter, as of a ridge, counts.

    Notes
    -----
    Reads the program once, with one range for each array: milliseconds, whatever n is, and one pass over the arrays
    that the program captures. The ranges are those of `karush.bounds.convexity_ranges`, with measured margins
    (label *calibrated*).
    """
    if any(np.asarray(p).dtype.kind != "f" for p in params) or bounds[0].size == 0:
        return None
    start = curve((np.full(ARRAY, bounds[0].min()), np.full(ARRAY, bounds[1].max())), True, True)
    standard = jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow")
    try:
        with jax.ensure_compile_time_eval(), float64(), standard[0], standard[1], np.errstate(all="ignore"):
            given = [_parameter(np.asarray(p), any_values) for p in params]
            outs, turn = walk_summaries(closed_jaxpr, start, given)
            terms = Terms(turn, bounds[0].size)
            if terms.convex():
                return terms.least()
    except TraceError:
        return None
    # What only the whole tells, as of a maximum taken out of a sum of exponentials.
    return 0.0 if bool(np.all(_bent(outs[0], ())[0])) else None


def _parameter(value: np.ndarray, any_values: bool) -> Curve:
    shape = SINGLE if value.ndim == 0 else ARRAY
    if any_values:
        return constant((np.full(shape, -np.inf), np.full(shape, np.inf)))
    ends = ends_of(value)
    return constant((ends.lo.reshape(shape), ends.hi.reshape(shape)), defined=ends.defined)


def _bent(value: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each element is convex, and concave; a value that is no curve does not depend on x."""
    if not isinstance(value, Curve):
        return np.ones(shape, bool), np.ones(shape, bool)
    known = value.defined != UNKNOWN
    return value.convex & known, value.concave & known


__all__ = ["least_curvature", "why_convex"]
