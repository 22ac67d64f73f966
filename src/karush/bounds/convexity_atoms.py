"""Library functions that are read as a whole: their bodies hide their shape behind choices and scalings."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from karush.bounds import convexity_algebra as algebra
from karush.bounds import convexity_functions as functions
from karush.bounds import convexity_ranges as ranges
from karush.bounds.convexity_curve import Curve, constant, curve, within
from karush.jaxprs.source import function_name, library_file
from karush.jaxprs.walk import called

LEAST_ENTROPY = -0.37
"""below the least value of x log x, −1/e"""


def logaddexp(a: Curve, b: Curve) -> Curve:
    """``log(e^a + e^b)``, between the larger and the larger plus log 2."""
    out = functions.log(algebra.add(functions.exp(a), functions.exp(b)))
    lo = np.maximum(a.lo, b.lo)
    hi = ranges.outward(lo, np.maximum(a.hi, b.hi) + 0.7)[1]
    # In exact numbers e^a > 0 and nothing overflows; log(1 + e^u) is positive although its end rounds to 0.
    zero = [c.constant and bool(np.all(c.lo == 0.0)) for c in (a, b)]
    lo = np.maximum(lo, 0.0) if any(zero) else lo
    return curve(
        (lo, hi),
        out.convex,
        out.concave,
        ec=out.ec,
        ek=out.ek,
        constant=a.constant and b.constant,
        defined=min(a.defined, b.defined),
    )


def relative_entropy(x: Curve, y: Curve) -> Curve:
    """``x log(x / y)`` for x >= 0, y > 0: jointly convex."""
    x, y = within(x, bool(np.all(x.lo >= 0.0))), within(y, bool(np.all(y.positive)), positive=True)
    defined = min(x.defined, y.defined)
    safe = replace(x, lo=np.maximum(x.lo, np.finfo(float).tiny))
    spread = ranges.mul(x.range, functions.log(algebra.divide(safe, y)).range)
    # x log(x / y) = y (t log t) with t = x / y
    least = ranges.mul((np.full(x.shape, LEAST_ENTROPY), np.full(x.shape, 0.0)), y.range)[0]
    lo = np.maximum(spread[0], least)
    return curve(
        (lo, np.maximum(spread[1], lo)),
        x.affine & y.concave,
        False,
        constant=x.constant and y.constant,
        defined=defined,
    )


def x_log_y(x: Curve, y: Curve) -> Curve:
    """``x log y``, 0 for x = 0."""
    if x.node >= 0 and x.node == y.node:
        out = relative_entropy(x, _one(x))
    else:
        out = algebra.multiply(x, functions.log(y))
    return replace(out, times_log=(x, y))


def hypotenuse(a: Curve, b: Curve) -> Curve:
    """``sqrt(a² + b²)``."""
    return algebra.power(algebra.add(algebra.power(a, 2.0), algebra.power(b, 2.0)), 0.5)


def _one(x: Curve) -> Curve:
    return constant((np.ones(x.shape), np.ones(x.shape)))


ATOMS: dict[str, Callable[..., Curve]] = {
    "logaddexp": logaddexp,
    "xlogy": x_log_y,
    "hypot": hypotenuse,
}
"""name of a function of JAX's -> its rule"""


def atom_name(equation: Any) -> str | None:
    """Name of the known library function that an equation calls, if it calls one."""
    inner = called(equation)
    if inner is None or not library_file(inner.jaxpr.debug_info):
        return None
    name = function_name(inner.jaxpr.debug_info)
    return name if name in ATOMS and len(inner.jaxpr.outvars) == 1 else None


__all__ = ["ATOMS", "atom_name"]
