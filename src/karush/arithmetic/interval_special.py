"""Intervals of remainders, angles and special functions.

```
|rem(a, b)| <= min(|a|, |b|),        lgamma convex, digamma increasing, (−1)ᵐ⁺¹ ψ⁽ᵐ⁾ positive and decreasing on (0, ∞)
```
"""

import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from karush.arithmetic.interval_basics import div, keep_sign, magnitude, mul, sub
from karush.arithmetic.interval_margins import MARGINS
from karush.arithmetic.interval_numbers import EPS, Interval, around, both, down, up
from karush.arithmetic.interval_points import FUNCTIONS, POLYGAMMA

ORDERS = (0, 1, 2, 3)
"""orders of the polygamma function that are enclosed"""
LEAST_GAMMA = 1.4616321449683623
"""where lgamma is least on (0, ∞)"""


def rem(a: Interval, b: Interval) -> Interval:
    """``a − b trunc(a / b)``: exactly so where the quotient is decided, else what its sign and size leave."""
    quotient = div(a, b)
    low, high = jnp.trunc(quotient.lo), jnp.trunc(quotient.hi)
    known = (low == high) & (jnp.abs(low) < 2.0**52)
    count = jnp.where(known, low, 0.0)
    sure = sub(a, mul(Interval(count, count), b))
    size = jnp.minimum(magnitude(a).hi, magnitude(b).hi)
    lo = jnp.where(a.lo >= 0.0, 0.0, -size)
    hi = jnp.where(a.hi <= 0.0, 0.0, size)
    lo = jnp.where(known, jnp.maximum(lo, sure.lo), lo)
    hi = jnp.where(known, jnp.minimum(hi, sure.hi), hi)
    return Interval(lo, hi, both(a.ok, b.ok, (b.lo > 0.0) | (b.hi < 0.0)))


def at_cut(y: Interval, x: Interval) -> Any:
    """Whether ``atan2(y, x)`` may jump, from −π to π, or be taken at the origin."""
    return (y.lo <= 0.0) & (y.hi >= 0.0) & (x.lo <= 0.0)


def atan2(y: Interval, x: Interval) -> Interval:
    """Angle of (x, y): seen from the origin a box that does not cross the cut is spanned by its corners."""
    corners = [lax.atan2(*jnp.broadcast_arrays(v, u)) for v in (y.lo, y.hi) for u in (x.lo, x.hi)]
    least, most = corners[0], corners[0]
    for corner in corners[1:]:
        least, most = jnp.minimum(least, corner), jnp.maximum(most, corner)
    pi = around(math.pi)
    margin = MARGINS["atan2"]
    lo, hi = keep_sign(down(least, margin), up(most, margin), y.lo >= 0.0, y.hi <= 0.0)
    lo, hi = jnp.maximum(lo, -pi.hi), jnp.minimum(hi, pi.hi)
    # An exact 0 beside a negative x is π, never −π: the sign of a zero is not known here.
    cut, upper = at_cut(y, x), y.lo >= 0.0
    lo = jnp.where(cut, jnp.where(upper, 0.0, -pi.hi), lo)
    return Interval(lo, jnp.where(cut, pi.hi, hi), both(y.ok, x.ok))


def erf_inv(a: Interval) -> Interval:
    """Inverse of erf, on (−1, 1)."""
    point, margin = FUNCTIONS["erf_inv"], MARGINS["erf_inv"]
    inside = (a.lo > -1.0) & (a.hi < 1.0)
    lo = jnp.where(inside, down(point(jnp.where(inside, a.lo, 0.0)), margin), -jnp.inf)
    hi = jnp.where(inside, up(point(jnp.where(inside, a.hi, 0.0)), margin), jnp.inf)
    return Interval(*keep_sign(lo, hi, inside & (a.lo >= 0.0), inside & (a.hi <= 0.0)), both(a.ok, inside))


def _about(name: str, x: Any) -> tuple[Any, Any]:
    """Ends around a value whose error was measured against ``max(|value|, 1)``."""
    value = FUNCTIONS[name](x)
    size = jnp.maximum(jnp.abs(value), 1.0)
    extra = size * (MARGINS[name] * EPS)
    # A value that is no number is infinite after the step.
    return down(value - extra), up(value + extra)


def _positive(a: Interval, low: float = 0.0, high: float = math.inf) -> tuple[Any, Any, Any]:
    """Whether a lies above 0, and between two numbers; and ends that do."""
    inside = (a.lo > 0.0) & (a.lo >= low) & (a.hi <= high) & (a.hi < jnp.inf)
    return inside, jnp.where(inside, a.lo, 1.0), jnp.where(inside, a.hi, 1.0)


def lgamma(a: Interval) -> Interval:
    """``log |Γ(a)|`` for a > 0; unbounded, and not said to be defined, elsewhere."""
    inside, left, right = _positive(a)
    (low_left, high_left), (low_right, high_right) = _about("lgamma", left), _about("lgamma", right)
    least, near = _about("lgamma", jnp.asarray(LEAST_GAMMA))[0], around(LEAST_GAMMA)
    lo = jnp.minimum(low_left, low_right)
    # lgamma is flat there: the exact place of its least value moves it by less than an ulp.
    lo = jnp.where((left <= near.hi) & (right >= near.lo), jnp.minimum(lo, least), lo)
    hi = jnp.maximum(high_left, high_right)
    return Interval(jnp.where(inside, lo, -jnp.inf), jnp.where(inside, hi, jnp.inf), both(a.ok, inside))


def polygamma_of(order: int, a: Interval) -> Interval:
    """``ψ⁽ᵐ⁾(a)`` for a > 0 and m = 0, 1, 2, 3, increasing for even m, else decreasing."""
    name = "digamma" if order == 0 else f"polygamma {order}"
    inside, left, right = _positive(a, *((0.0, math.inf) if order == 0 else POLYGAMMA))
    first, last = (left, right) if order % 2 == 0 else (right, left)
    if order == 0:
        lo, hi = _about(name, first)[0], _about(name, last)[1]
    else:
        lo, hi = down(FUNCTIONS[name](first), MARGINS[name]), up(FUNCTIONS[name](last), MARGINS[name])
    return Interval(jnp.where(inside, lo, -jnp.inf), jnp.where(inside, hi, jnp.inf), both(a.ok, a.lo > 0.0))


def polygamma(order: Interval, a: Interval) -> Interval:
    """``ψ⁽ᵐ⁾(a)`` for the one integer m that the order may be; JAX's derivatives compute it as a sum."""
    least = jnp.ceil(order.lo)
    known = (least == jnp.floor(order.hi)) & (least >= 0.0) & (least <= ORDERS[-1])
    shape = jnp.broadcast_shapes(jnp.shape(least), jnp.shape(a.lo))
    lo, hi = jnp.full(shape, -jnp.inf), jnp.full(shape, jnp.inf)
    for m in ORDERS:
        out = polygamma_of(m, a)
        lo, hi = (jnp.where(known & (least == m), x, y) for x, y in ((out.lo, lo), (out.hi, hi)))
    return Interval(lo, hi, both(a.ok, order.ok, a.lo > 0.0))


UNARY = {"erf_inv": erf_inv, "lgamma": lgamma, "digamma": lambda a: polygamma_of(0, a)}
"""primitive -> function of one interval"""

__all__ = ["UNARY", "at_cut", "atan2", "erf_inv", "lgamma", "polygamma", "polygamma_of", "rem"]
