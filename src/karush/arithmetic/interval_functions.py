"""Interval arithmetic and the elementary functions: each end from the point function, moved outward by its margin.

```
[a] + [b] = [down(a.lo + b.lo), up(a.hi + b.hi)],      f([a]) = [down(f(a.lo), k_f), up(f(a.hi), k_f)],  f increasing
```
"""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from karush.arithmetic.interval_basics import (
    add,
    div,
    keep_sign,
    magnitude,
    maximum,
    minimum,
    mul,
    neg,
    square,
    sub,
    whole_power,
)
from karush.arithmetic.interval_margins import MARGINS
from karush.arithmetic.interval_numbers import Interval, around, both, down, up
from karush.arithmetic.interval_points import FUNCTIONS, LARGEST_ERFC, LEAST_EXPONENT
from karush.arithmetic.interval_waves import tan, wave

Function = Callable[[Interval], Interval]
LARGEST_EXPONENT = 709.0
"""exponent whose exponential is finite: lower ends of larger ones have at least this one's"""


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
    name: str,
    *,
    lowest: float = -math.inf,
    highest: float = math.inf,
    odd: bool = False,
    domain: Any = None,
    held: float = math.inf,
) -> Function:
    """Rule of an increasing function with values in [lowest, highest]; `domain` is where it is defined.

    Of lower ends above `held` the value at `held` is taken: beyond, it may overflow, and nothing would be known.
    """
    point, margin = FUNCTIONS[name], MARGINS[name]

    def rule(a: Interval) -> Interval:
        inside, ok = a, a.ok
        if domain is not None:
            inside = Interval(jnp.clip(a.lo, *domain), jnp.clip(a.hi, *domain))
            # Written so that an end that is no number is not inside.
            ok = both(a.ok, (a.lo >= domain[0]) & (a.hi <= domain[1]))
        lo, hi = down(point(jnp.minimum(inside.lo, held)), margin), up(point(inside.hi), margin)
        lo, hi = jnp.clip(lo, lowest, highest), jnp.clip(hi, lowest, highest)
        if odd:
            lo, hi = keep_sign(lo, hi, inside.lo >= 0.0, inside.hi <= 0.0)
        return Interval(lo, hi, ok)

    return rule


def exp(a: Interval) -> Interval:
    """``e^a``."""
    lo = jnp.maximum(down(FUNCTIONS["exp"](jnp.minimum(a.lo, LARGEST_EXPONENT)), MARGINS["exp"]), 0.0)
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
    return Interval(*keep_sign(lo, hi, a.lo >= 0.0, some & (a.hi <= 0.0)), both(a.ok, inside))


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
    return Interval(*keep_sign(lo, hi, inside & (a.lo >= 0.0), inside & (a.hi <= 0.0)), both(a.ok, inside))


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
    "expm1": _increasing("expm1", lowest=-1.0, odd=True, held=LARGEST_EXPONENT),
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
