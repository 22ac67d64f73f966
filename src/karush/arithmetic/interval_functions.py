"""Interval arithmetic and the elementary functions: each end from the point function, moved outward by its margin.

```
[a] + [b] = [down(a.lo + b.lo), up(a.hi + b.hi)],      f([a]) = [down(f(a.lo), k_f), up(f(a.hi), k_f)],  f increasing
```
"""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from karush.arithmetic.interval_margins import MARGINS
from karush.arithmetic.interval_numbers import (
    ROUNDED,
    Interval,
    around,
    both,
    constant,
    down,
    two_above,
    two_below,
    up,
)
from karush.arithmetic.interval_points import FUNCTIONS, LARGEST_ERFC, LEAST_EXPONENT
from karush.arithmetic.interval_waves import tan, wave

Function = Callable[[Interval], Interval]
HUGE, HUGE_SCALE = 2.0**1000, 2.0**128
"""divisors beyond it are divided by a power of two first, and by which"""


def neg(a: Interval) -> Interval:
    """``−a``."""
    lo = -a.hi
    return Interval(lo, lo if a.exact else -a.lo, a.ok)


def _keep_sign(lo: Any, hi: Any, not_negative: Any, not_positive: Any) -> tuple[Any, Any]:
    """Ends that do not cross 0 where the exact result cannot."""
    return jnp.where(not_negative, jnp.maximum(lo, 0.0), lo), jnp.where(not_positive, jnp.minimum(hi, 0.0), hi)


def add(a: Interval, b: Interval) -> Interval:
    """``a + b``, which is at least twice the smaller: a sum of numbers >= 0 stays so."""
    lo = jnp.maximum(down(a.lo + b.lo), 2.0 * jnp.minimum(a.lo, b.lo))
    hi = jnp.minimum(up(a.hi + b.hi), 2.0 * jnp.maximum(a.hi, b.hi))
    return Interval(lo, hi, both(a.ok, b.ok))


def sub(a: Interval, b: Interval) -> Interval:
    """``a − b``."""
    return add(a, neg(b))


def _signs(a: Interval, b: Interval) -> tuple[Any, Any]:
    """Whether no product of members is negative, and whether none is positive."""
    same = jnp.maximum(jnp.minimum(a.lo, b.lo), jnp.minimum(-a.hi, -b.hi))
    other = jnp.maximum(jnp.minimum(a.lo, -b.hi), jnp.minimum(-a.hi, b.lo))
    return same >= 0.0, other >= 0.0


def mul(a: Interval, b: Interval) -> Interval:
    """``a b``: least and greatest of the products of ends; two products where one factor is exact."""
    if b.exact:
        a, b = b, a
    if a.exact:
        products = (a.lo * b.lo, a.lo * b.hi)
    else:
        products = (a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi)
    least, most = _extremes(products)
    return Interval(*_keep_sign(down(least), up(most), *_signs(a, b)), both(a.ok, b.ok))


def _extremes(values: tuple[Any, ...]) -> tuple[Any, Any]:
    """Least and greatest; NaN where any is NaN."""
    least = most = values[0]
    for value in values[1:]:
        least, most = jnp.minimum(least, value), jnp.maximum(most, value)
    return least, most


def _within_reach(a: Interval, b: Interval) -> tuple[Interval, Interval]:
    """Both divided by a power of two where the divisor is huge: XLA multiplies by 1/b, which is flushed to 0 there."""
    if not isinstance(b.lo, Tracer) and not isinstance(b.hi, Tracer):
        sizes = np.maximum(np.abs(np.asarray(b.lo)), np.abs(np.asarray(b.hi)))
        if np.all((sizes < HUGE) | np.isinf(sizes)):
            return a, b
    scale = jnp.where((b.lo < -HUGE) | (b.hi > HUGE), 1.0 / HUGE_SCALE, 1.0)
    return _scaled(a, scale), _scaled(b, scale)


def _scaled(a: Interval, scale: Any) -> Interval:
    # The barrier keeps the simplifier from joining the scale with a constant divisor again.
    lo = lax.optimization_barrier(a.lo * scale)
    return Interval(lo, lo if a.exact else lax.optimization_barrier(a.hi * scale), a.ok)


def div(a: Interval, b: Interval) -> Interval:
    """``a / b``; unbounded and not defined where b may be 0.

    XLA may compute ``a (1/b)``, rounded twice: less than two ulps off, whatever the numbers.
    """
    positive, negative = b.lo > 0.0, b.hi < 0.0
    signs = _signs(a, b)
    a, b = _within_reach(a, b)
    quotients = (a.lo / b.lo, a.hi / b.lo) if b.exact else (a.lo / b.lo, a.lo / b.hi, a.hi / b.lo, a.hi / b.hi)
    least, most = _extremes(quotients)
    lo, hi = _keep_sign(two_below(least), two_above(most), *signs)
    nonzero = positive | negative
    return Interval(jnp.where(nonzero, lo, -jnp.inf), jnp.where(nonzero, hi, jnp.inf), both(a.ok, b.ok, nonzero))


def magnitude(a: Interval) -> Interval:
    """``|a|``."""
    least = jnp.maximum(jnp.maximum(a.lo, -a.hi), 0.0)
    return Interval(least, jnp.maximum(jnp.abs(a.lo), jnp.abs(a.hi)), a.ok)


def minimum(a: Interval, b: Interval) -> Interval:
    """``min(a, b)``."""
    return Interval(jnp.minimum(a.lo, b.lo), jnp.minimum(a.hi, b.hi), both(a.ok, b.ok))


def maximum(a: Interval, b: Interval) -> Interval:
    """``max(a, b)``."""
    return Interval(jnp.maximum(a.lo, b.lo), jnp.maximum(a.hi, b.hi), both(a.ok, b.ok))


def square(a: Interval) -> Interval:
    """``a²``."""
    size = magnitude(a)
    return Interval(jnp.maximum(down(size.lo * size.lo), 0.0), up(size.hi * size.hi), a.ok)


def whole_power(a: Interval, y: int) -> Interval:
    """``a^y``; ``|y| − 1`` roundings of half an ulp, and that of the step."""
    if y < 0:
        return div(constant(1.0), whole_power(a, -y))
    if y == 0:
        return Interval(jnp.ones_like(a.lo), jnp.ones_like(a.lo), a.ok)
    if y == 1:
        return a
    margin = ROUNDED * y
    if y % 2 == 0:
        size = magnitude(a)
        return Interval(jnp.maximum(down(_repeated(size.lo, y), margin), 0.0), up(_repeated(size.hi, y), margin), a.ok)
    lo, hi = down(_repeated(a.lo, y), margin), up(_repeated(a.hi, y), margin)
    return Interval(*_keep_sign(lo, hi, a.lo >= 0.0, a.hi <= 0.0), a.ok)


def _repeated(x: Any, y: int) -> Any:
    out, factor = None, x
    while y:
        if y & 1:
            out = factor if out is None else out * factor
        factor = factor * factor if y > 1 else factor
        y >>= 1
    return out


def power(a: Interval, b: Interval) -> Interval:
    """``a^b`` for positive a, ``exp(b log a)``; 0 to a positive power is 0; a negative a has no power here."""
    positive = exp(mul(b, log(Interval(jnp.maximum(a.lo, 0.0), a.hi))))
    at_zero = (a.lo == 0.0) & (b.lo > 0.0)
    ok = (a.lo > 0.0) | at_zero
    lo = jnp.where(at_zero, 0.0, positive.lo)
    # (0, a.hi] to a positive power: at most a.hi^b.lo or a.hi^b.hi.
    top = exp(mul(b, log(Interval(a.hi, a.hi))))
    hi = jnp.where(at_zero, top.hi, positive.hi)
    return Interval(jnp.where(ok, lo, -jnp.inf), jnp.where(ok, hi, jnp.inf), both(a.ok, b.ok, ok))


def _increasing(
    name: str, *, lowest: float = -math.inf, highest: float = math.inf, odd: bool = False, domain: Any = None
) -> Function:
    """Rule of an increasing function with values in [lowest, highest]; `domain` is where it is defined."""
    point, margin = FUNCTIONS[name], MARGINS[name]

    def rule(a: Interval) -> Interval:
        inside, ok = a, a.ok
        if domain is not None:
            inside = Interval(jnp.clip(a.lo, *domain), jnp.clip(a.hi, *domain))
            # Written so that an end that is no number is not inside.
            ok = both(a.ok, (a.lo >= domain[0]) & (a.hi <= domain[1]))
        lo, hi = down(point(inside.lo), margin), up(point(inside.hi), margin)
        lo, hi = jnp.clip(lo, lowest, highest), jnp.clip(hi, lowest, highest)
        if odd:
            lo, hi = _keep_sign(lo, hi, inside.lo >= 0.0, inside.hi <= 0.0)
        return Interval(lo, hi, ok)

    return rule


def exp(a: Interval) -> Interval:
    """``e^a``."""
    lo = jnp.maximum(down(FUNCTIONS["exp"](a.lo), MARGINS["exp"]), 0.0)
    hi = up(FUNCTIONS["exp"](jnp.maximum(a.hi, LEAST_EXPONENT)), MARGINS["exp"])
    return Interval(jnp.where(a.lo < LEAST_EXPONENT, 0.0, lo), hi, a.ok)


def logistic(a: Interval) -> Interval:
    """``1 / (1 + e^−a)``."""
    point, margin = FUNCTIONS["logistic"], MARGINS["logistic"]
    lo = jnp.clip(down(point(a.lo), margin), 0.0, 1.0)
    hi = jnp.clip(up(point(jnp.maximum(a.hi, LEAST_EXPONENT)), margin), 0.0, 1.0)
    return Interval(jnp.where(a.lo < LEAST_EXPONENT, 0.0, lo), hi, a.ok)


def log(a: Interval) -> Interval:
    """``log a``; of what lies above 0, and not defined if any does not."""
    point, margin = FUNCTIONS["log"], MARGINS["log"]
    positive = a.lo > 0.0
    lo = jnp.where(positive, down(point(jnp.where(positive, a.lo, 1.0)), margin), -jnp.inf)
    any_positive = a.hi > 0.0
    hi = jnp.where(any_positive, up(point(jnp.where(any_positive, a.hi, 1.0)), margin), jnp.inf)
    return Interval(lo, hi, both(a.ok, positive))


def log1p(a: Interval) -> Interval:
    """``log(1 + a)``."""
    point, margin = FUNCTIONS["log1p"], MARGINS["log1p"]
    inside, some = a.lo > -1.0, a.hi > -1.0
    lo = jnp.where(inside, down(point(jnp.where(inside, a.lo, 0.0)), margin), -jnp.inf)
    hi = jnp.where(some, up(point(jnp.where(some, a.hi, 0.0)), margin), jnp.inf)
    return Interval(*_keep_sign(lo, hi, a.lo >= 0.0, some & (a.hi <= 0.0)), both(a.ok, inside))


def rsqrt(a: Interval) -> Interval:
    """``1 / sqrt(a)``."""
    point, margin = FUNCTIONS["rsqrt"], MARGINS["rsqrt"]
    positive = a.lo > 0.0
    lo = jnp.where(a.hi > 0.0, jnp.maximum(down(point(jnp.maximum(a.hi, 0.0)), margin), 0.0), 0.0)
    hi = jnp.where(positive, up(point(jnp.where(positive, a.lo, 1.0)), margin), jnp.inf)
    return Interval(lo, hi, both(a.ok, positive))


def atanh(a: Interval) -> Interval:
    """``artanh a``, on (−1, 1)."""
    point, margin = FUNCTIONS["atanh"], MARGINS["atanh"]
    low, high = a.lo > -1.0, a.hi < 1.0
    inside = low & high & (a.lo < 1.0) & (a.hi > -1.0)
    lo = jnp.where(inside, down(point(jnp.where(inside, a.lo, 0.0)), margin), -jnp.inf)
    hi = jnp.where(inside, up(point(jnp.where(inside, a.hi, 0.0)), margin), jnp.inf)
    return Interval(*_keep_sign(lo, hi, inside & (a.lo >= 0.0), inside & (a.hi <= 0.0)), both(a.ok, inside))


def acos(a: Interval) -> Interval:
    """``arccos a``, decreasing."""
    point, margin = FUNCTIONS["acos"], MARGINS["acos"]
    inside = (a.lo >= -1.0) & (a.hi <= 1.0)
    lo = jnp.maximum(down(point(jnp.clip(a.hi, -1.0, 1.0)), margin), 0.0)
    hi = up(point(jnp.clip(a.lo, -1.0, 1.0)), margin)
    return Interval(lo, hi, both(a.ok, inside))


def erfc(a: Interval) -> Interval:
    """``1 − erf a``, decreasing."""
    point, margin = FUNCTIONS["erfc"], MARGINS["erfc"]
    lo = jnp.clip(down(point(jnp.minimum(a.hi, LARGEST_ERFC)), margin), 0.0, 2.0)
    hi = jnp.clip(up(point(jnp.minimum(a.lo, LARGEST_ERFC)), margin), 0.0, 2.0)
    return Interval(jnp.where(a.hi > LARGEST_ERFC, 0.0, lo), hi, a.ok)


def cosh(a: Interval) -> Interval:
    """``cosh a``."""
    size, point, margin = magnitude(a), FUNCTIONS["cosh"], MARGINS["cosh"]
    return Interval(jnp.maximum(down(point(size.lo), margin), 1.0), up(point(size.hi), margin), a.ok)


def exp2(a: Interval) -> Interval:
    """``2^a = exp(a log 2)``; XLA's own is off by 700 ulps."""
    return exp(mul(a, around(math.log(2.0))))


UNARY: dict[str, Function] = {
    "sqrt": _increasing("sqrt", lowest=0.0, domain=(0.0, math.inf)),
    "rsqrt": rsqrt,
    "cbrt": _increasing("cbrt", odd=True),
    "exp": exp,
    "exp2": exp2,
    "expm1": _increasing("expm1", lowest=-1.0, odd=True),
    "log": log,
    "log1p": log1p,
    "sin": wave("sin", 0.25),
    "cos": wave("cos", 0.0),
    "tan": tan,
    "asin": _increasing("asin", odd=True, domain=(-1.0, 1.0)),
    "acos": acos,
    "atan": _increasing("atan", odd=True),
    "sinh": _increasing("sinh", odd=True),
    "cosh": cosh,
    "tanh": _increasing("tanh", lowest=-1.0, highest=1.0, odd=True),
    "asinh": _increasing("asinh", odd=True),
    "acosh": _increasing("acosh", lowest=0.0, domain=(1.0, math.inf)),
    "atanh": atanh,
    "logistic": logistic,
    "erf": _increasing("erf", lowest=-1.0, highest=1.0, odd=True),
    "erfc": erfc,
    "square": square,
    "abs": magnitude,
    "neg": neg,
}
"""primitive -> function of one interval"""

__all__ = ["UNARY", "Function", "add", "div", "magnitude", "maximum", "minimum", "mul", "neg", "power"]
__all__ += ["square", "sub", "whole_power"]
