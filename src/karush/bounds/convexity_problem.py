"""Whether a problem ``min f(x), row_lower <= c(x) <= row_upper, lower <= x <= upper`` is convex, by the rules alone.

```
f convex;   c_i convex where it has an upper limit, concave where it has a lower one: affine where it has both
```

Functions may be undefined outside a convex part of the box (log and sqrt of concave functions): points there are not
feasible. Costs milliseconds; nothing is compiled.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from karush.arithmetic.interval_margins import label
from karush.bounds.convexity_curve import UNKNOWN, Curve, constant
from karush.bounds.convexity_rules import walk
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
    with jax.ensure_compile_time_eval(), float64(), standard[0], standard[1]:
        (value, rows), _ = walk(closed_jaxpr, *bounds, any_values)
    convex, _ = _bent(value, ())
    up, down = _bent(rows, limits[0].shape)
    upper, lower = np.isfinite(limits[1]), np.isfinite(limits[0])
    if not (np.all(convex) and np.all(up | ~upper) and np.all(down | ~lower)):
        return ""
    return f"the problem is convex, by the rules of convex analysis ({label()})"


def _bent(value: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each element is convex, and concave; a value that is no curve does not depend on x."""
    if not isinstance(value, Curve):
        return np.ones(shape, bool), np.ones(shape, bool)
    known = value.defined != UNKNOWN
    return value.convex & known, value.concave & known


__all__ = ["why_convex"]
