"""Trigonometric and small hyperbolic functions of twofold numbers.

```
a = k pi/2 + r,    sin 2t = 2 sin t (1 + v(t)),    v(2t) = cos 2t - 1 = -2 sin² t
```

`v` is kept instead of the cosine, so that cos a = (1, -a²/2) for tiny a. The inverse functions correct XLA's value y by
the tangent of what is missing: ``atan a = y + atan((a cos y - sin y) / (cos y + a sin y))``.
"""

from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.arithmetic.twofold_exp import (
    SMALL,
    factorials,
    grown,
    half_exponentials,
    horner,
    name_of,
    signed,
)
from karush.arithmetic.twofold_exp import exp as exponential
from karush.arithmetic.twofold_numbers import (
    Twofold,
    absolute,
    choose,
    constant,
    defined,
    digits_of,
    exact,
    large_plus,
    neg,
    scale,
    two_product,
    two_sum,
    unit,
)
from karush.arithmetic.twofold_numbers import raw_add as add
from karush.arithmetic.twofold_numbers import raw_div as div
from karush.arithmetic.twofold_numbers import raw_mul as mul
from karush.arithmetic.twofold_numbers import raw_sqrt as sqrt
from karush.arithmetic.twofold_numbers import raw_sub as sub

PI = Fraction("3.1415926535897932384626433832795028841971693993751058209749445923078164062862089986280348253421170680")
DOUBLINGS = 3
SERIES = {"float32": (6, 3), "float64": (10, 5)}
"""terms of sin and cos - 1 in t² for |t| < 0.1, and how many of them are summed twofold"""
PI_PARTS = {"float32": 11, "float64": 32}
"""digits of the leading parts of pi / 2, so that their products with k are exact"""
REACH = {"float32": 4096.0, "float64": 1048576.0}
"""arguments up to which the angle is reduced twofold: k has at most the digits that a part leaves free"""


def waves_small(r: Twofold, sign: int) -> tuple[Twofold, Twofold]:
    """``(sin r, cos r - 1)`` for sign -1, ``(sinh r, cosh r - 1)`` for +1, |r| < 0.8, of full relative accuracy."""
    terms, precise = SERIES[name_of(r)]
    t = scale(r, 0.5**DOUBLINGS)
    q = mul(t, t)
    s = mul(t, horner(q, factorials(terms, 2, 1, sign), precise))
    v = scale(mul(q, horner(q, factorials(terms, 2, 2, sign), precise)), sign)
    for _ in range(DOUBLINGS):
        s, v = scale(large_plus(s, mul(s, v)), 2.0), scale(mul(s, s), 2.0 * sign)
    return s, v


def reduced(a: Twofold) -> tuple[Any, Twofold]:
    """Integer k and r with ``a = k pi/2 + r``, |r| < 0.8, for arguments within `REACH`."""
    k = jnp.round(a.hi * np.dtype(a.hi.dtype).type(2.0 / float(PI)))
    parts = digits_of(PI / 2, a.hi.dtype, 5, PI_PARTS[name_of(a)])
    r = two_sum(a.hi, -(k * parts[0]))
    for part in parts[1:-1]:
        r = add(r, exact(-(k * part)))
    r = add(r, two_product(-k, jnp.full_like(k, parts[-1])))
    return k.astype(jnp.int32) & 3, add(r, exact(a.lo))


def quadrants(a: Twofold) -> tuple[Any, Twofold, Twofold, Any]:
    """Quadrant, sine and cosine minus 1 of the rest, and where this holds."""
    inside = jnp.abs(a.hi) <= REACH[name_of(a)]
    k, r = reduced(choose(inside, a, exact(jnp.zeros_like(a.hi))))
    s, v = waves_small(r, -1)
    return k, s, v, inside


def far(a: Twofold, quarter: int) -> Twofold:
    """Sine (0) or cosine (1) of an argument beyond `REACH`, to plain accuracy: the angle is XLA's."""
    lo = jnp.where(jnp.isfinite(a.lo), a.lo, jnp.zeros_like(a.lo))
    s, c = lax.optimization_barrier((jnp.sin(a.hi), jnp.cos(a.hi)))
    s2, c2 = jnp.sin(lo), jnp.cos(lo)
    return exact(s * c2 + c * s2) if quarter == 0 else exact(c * c2 - s * s2)


def wave(a: Twofold, quarter: int) -> Twofold:
    """``sin a`` for quarter 0, ``cos a`` for 1."""
    k, s, v, inside = quadrants(a)
    k = (k + quarter) & 3
    c = large_plus(unit(a.hi), v)
    value = choose((k & 1) == 0, s, c)
    return choose(inside, choose(k >= 2, neg(value), value), far(a, quarter))


def sin(a: Twofold) -> Twofold:
    """``sin a``."""
    return wave(a, 0)


def cos(a: Twofold) -> Twofold:
    """``cos a``."""
    return wave(a, 1)


def tan(a: Twofold) -> Twofold:
    """``sin a / cos a``."""
    k, s, v, inside = quadrants(a)
    c = large_plus(unit(a.hi), v)
    odd = (k & 1) == 1
    value = div(choose(odd, neg(c), s), choose(odd, s, c))
    return grown(choose(inside, value, div(far(a, 0), far(a, 1))), jnp.tan(a.hi))


def within(inside: Any, a: Twofold) -> Twofold:
    """The argument where it is inside, else 0: what is not chosen must not spoil what is."""
    return choose(inside, a, exact(jnp.zeros_like(a.hi)))


def sinh(a: Twofold) -> Twofold:
    """``sinh a``."""
    inside = jnp.abs(a.hi) < SMALL
    small, _ = waves_small(within(inside, a), 1)
    large, tiny = half_exponentials(a)
    return grown(choose(inside, small, signed(a, sub(large, tiny))), jnp.sinh(a.hi))


def cosh(a: Twofold) -> Twofold:
    """``cosh a``."""
    inside = jnp.abs(a.hi) < SMALL
    _, v = waves_small(within(inside, a), 1)
    large, tiny = half_exponentials(a)
    return grown(choose(inside, large_plus(unit(a.hi), v), add(large, tiny)), jnp.cosh(a.hi))


def tanh(a: Twofold) -> Twofold:
    """``tanh a``: near its limits ``1 - 2 e / (1 + e)`` with e = exp(-2 |a|)."""
    inside = jnp.abs(a.hi) < SMALL
    one = unit(a.hi)
    s, v = waves_small(within(inside, a), 1)
    e = exponential(scale(neg(absolute(a)), 2.0))
    large = signed(a, sub(one, div(scale(e, 2.0), add(one, e))))
    value = choose(inside, div(s, add(one, v)), large)
    return grown(value, a.hi)


def atan(a: Twofold) -> Twofold:
    """``atan a``; beyond 1 as ``pi/2 - atan(1/a)``."""
    steep = jnp.abs(a.hi) > 1
    inverse = div(unit(a.hi), choose(steep, a, unit(a.hi)))
    t = choose(steep, neg(inverse), a)
    y = lax.optimization_barrier(jnp.arctan(t.hi))
    s, v = waves_small(exact(y), -1)
    # t cos y - sin y, with cos y = 1 + v.
    rest = add(sub(t, s), mul(t, v))
    below = 1.0 + (v.hi + t.hi * s.hi)
    value = add(exact(y), exact(rest.hi / below))
    quarter = signed(a, constant(PI / 2, a.hi))
    value = choose(steep, add(value, quarter), value)
    return grown(value, jnp.arctan(a.hi))


def asin_small(a: Twofold) -> Twofold:
    """``asin a`` for |a| < 0.75."""
    y = lax.optimization_barrier(jnp.arcsin(a.hi))
    s, v = waves_small(exact(y), -1)
    rest = sub(a, s)
    slope = 1.0 + v.hi
    step = rest.hi / slope
    step = step + 0.5 * s.hi / slope * step * step
    return add(exact(y), exact(step))


def root_of(a: Twofold) -> Twofold:
    """``sqrt a``; of 0 or less, 0."""
    return choose(a.hi > 0, sqrt(a), exact(jnp.zeros_like(a.hi)))


def asin(a: Twofold) -> Twofold:
    """``asin a``; near 1 as ``pi/2 - 2 asin sqrt((1 - a)/2)``."""
    size = absolute(a)
    inside = size.hi <= 0.5
    half = scale(sub(unit(a.hi), choose(inside, unit(a.hi), size)), 0.5)
    near = sub(constant(PI / 2, a.hi), scale(asin_small(root_of(half)), 2.0))
    value = choose(inside, asin_small(within(inside, a)), signed(a, near))
    return defined(value, jnp.arcsin(a.hi))


def acos(a: Twofold) -> Twofold:
    """``acos a``; near 1 as ``2 asin sqrt((1 - a)/2)``, which is small and exact in its own digits."""
    size = absolute(a)
    inside = size.hi <= 0.5
    half = scale(sub(unit(a.hi), choose(inside, unit(a.hi), size)), 0.5)
    near = scale(asin_small(root_of(half)), 2.0)
    outer = choose(a.hi < 0, sub(constant(PI, a.hi), near), near)
    value = choose(inside, sub(constant(PI / 2, a.hi), asin_small(within(inside, a))), outer)
    return defined(value, jnp.arccos(a.hi))


def atan2(y: Twofold, x: Twofold) -> Twofold:
    """The angle of the point (x, y)."""
    steep = jnp.abs(y.hi) > jnp.abs(x.hi)
    quotient = div(choose(steep, neg(x), y), choose(steep, y, x))
    flat = atan(quotient)
    left = signed_by(y.hi, constant(PI, x.hi))
    up = signed_by(y.hi, constant(PI / 2, x.hi))
    value = choose(steep, add(up, flat), choose(x.hi < 0, add(left, flat), flat))
    plain = jnp.arctan2(y.hi, x.hi)
    usable = jnp.isfinite(x.hi) & jnp.isfinite(y.hi) & ((x.hi != 0) | (y.hi != 0))
    return choose(usable, value, exact(plain))


def signed_by(x: Any, value: Twofold) -> Twofold:
    """`value` with the sign of the float x, of -0 as well."""
    minus = jnp.signbit(x)
    return choose(minus, neg(value), value)
