"""Twofold numbers without limits of range, beside an anchor: for what over- or underflows on the way.

```
x = c + (hi + lo) 2^e,    1 <= |hi| < 2,    e an integer of its own
```

The anchor c is a float that the program writes down or that a function takes at a round number: exp t = 1 + expm1 t,
cos t = 1 - t²/2 + ... for small t. Anchors cancel exactly, and what is left has twice the digits of the dtype whatever
its size: ``exp x - 2 + exp(-x)`` is x² to full accuracy for every x, even where x² could not be divided by again.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from karush.arithmetic import twofold_exp as exponentials
from karush.arithmetic import twofold_numbers as numbers
from karush.arithmetic import twofold_waves as waves
from karush.arithmetic.twofold_numbers import Twofold, choose, exact, format_of

FARTHEST = 1 << 27
"""largest exponent: sums of two stay within an int32"""
ANCHORED = 40
"""anchors lie between 2^-40 and 2^40, so that no product of two leaves the range of the dtype"""
NEAR = 0.3
"""arguments up to which a function at a round number is told by its anchor"""


class Scaled(NamedTuple):
    """``(m.hi + m.lo) 2^e``; of 0, e is the least exponent."""

    m: Twofold
    e: Any


class Wide(NamedTuple):
    """``c + t``; c is None where there is no anchor in any element."""

    c: Any
    t: Scaled


def normalized(m: Twofold, e: Any) -> Scaled:
    """The same number with ``1 <= |hi| < 2``, for |hi| < 2^bias; infinite and undefined ones with exponent 0."""
    ordinary = jnp.isfinite(m.hi) & (m.hi != 0)
    k = jnp.where(ordinary, numbers.exponent_of(jnp.where(ordinary, m.hi, jnp.ones_like(m.hi))), 0)
    factor = numbers.power_of_two(-k, m.hi)
    least = jnp.where(m.hi == 0, -FARTHEST, 0)
    e = jnp.where(ordinary, jnp.clip(e + k, -FARTHEST, FARTHEST), least).astype(jnp.int32)
    return Scaled(Twofold(m.hi * factor, m.lo * factor), e)


def of_twofold(a: Twofold) -> Scaled:
    """A twofold number."""
    # The largest ones would ask for a factor below the normal numbers.
    large = jnp.abs(a.hi) >= 1
    halved = choose(large, numbers.scale(a, 0.5), a)
    return normalized(halved, large.astype(jnp.int32))


def of_float(x: Any) -> Scaled:
    """A float."""
    return of_twofold(exact(x))


def plain(a: Scaled) -> Twofold:
    """The number in the range of the dtype: infinite or 0 beyond."""
    return numbers.times_power(a.m, a.e)


def pick(where: Any, a: Scaled, b: Scaled) -> Scaled:
    """`a` where the condition holds, else `b`."""
    return Scaled(choose(where, a.m, b.m), jnp.where(where, a.e, b.e))


def opposite(a: Scaled) -> Scaled:
    """``-a``."""
    return Scaled(numbers.neg(a.m), a.e)


def shifted(m: Twofold, d: Any) -> Twofold:
    """``m 2^d`` for d <= 0; 0 where that leaves the normal numbers."""
    reach = format_of(m.hi).bias - 2
    factor = jnp.where(d < -reach, 0.0, numbers.power_of_two(jnp.maximum(d, -reach), m.hi))
    return Twofold(m.hi * factor, m.lo * factor)


def plus(a: Scaled, b: Scaled) -> Scaled:
    """``a + b``."""
    e = jnp.maximum(a.e, b.e)
    return normalized(numbers.add(shifted(a.m, a.e - e), shifted(b.m, b.e - e)), e)


def times(a: Scaled, b: Scaled) -> Scaled:
    """``a b``."""
    return normalized(numbers.mul(a.m, b.m), a.e + b.e)


def over(a: Scaled, b: Scaled) -> Scaled:
    """``a / b``."""
    return normalized(numbers.div(a.m, b.m), a.e - jnp.where(b.m.hi == 0, 0, b.e))


def root(a: Scaled) -> Scaled:
    """``sqrt a``."""
    odd = a.e & 1
    return normalized(numbers.sqrt(choose(odd == 1, numbers.scale(a.m, 2.0), a.m)), (a.e - odd) >> 1)


def value(a: Wide) -> Scaled:
    """The number without its anchor."""
    return a.t if a.c is None else plus(of_float(a.c), a.t)


def free(t: Scaled) -> Wide:
    """A number without an anchor."""
    return Wide(None, t)


def anchored(c: Any, t: Scaled) -> Wide:
    """``c + t``, the anchor moved into t where it is no moderate number."""
    size = jnp.abs(c)
    kept = (size >= 2.0**-ANCHORED) & (size <= 2.0**ANCHORED)
    return Wide(jnp.where(kept, c, jnp.zeros_like(c)), plus(t, of_float(jnp.where(kept, jnp.zeros_like(c), c))))


def anchor(a: Wide) -> Any:
    """The anchor as an array."""
    return jnp.zeros_like(a.t.m.hi) if a.c is None else a.c


def neg(a: Wide) -> Wide:
    """``-a``."""
    return Wide(None if a.c is None else -a.c, opposite(a.t))


def add(a: Wide, b: Wide) -> Wide:
    """``a + b``: anchors exactly, the rest with twice the digits."""
    t = plus(a.t, b.t)
    if a.c is None or b.c is None:
        return Wide(b.c if a.c is None else a.c, t)
    c, e = numbers.two_sum(a.c, b.c)
    return anchored(c, plus(t, of_float(e)))


def sub(a: Wide, b: Wide) -> Wide:
    """``a - b``."""
    return add(a, neg(b))


def mul(a: Wide, b: Wide) -> Wide:
    """``a b``: ``c1 c2 + (c1 t2 + c2 t1 + t1 t2)``."""
    t = times(a.t, b.t)
    if a.c is not None:
        t = plus(t, times(of_float(a.c), b.t))
    if b.c is not None:
        t = plus(t, times(a.t, of_float(b.c)))
    if a.c is None or b.c is None:
        return free(t)
    c, e = numbers.two_product(a.c, b.c)
    return anchored(c, plus(t, of_float(e)))


def div(a: Wide, b: Wide) -> Wide:
    """``a / b``: with anchors, ``q + (t1 - q t2 + (c1 - q c2)) / b`` for q = c1 / c2."""
    if a.c is None or b.c is None:
        return free(over(value(a), value(b)))
    whole = over(value(a), value(b))
    use = (a.c != 0) & (b.c != 0)
    q = lax.optimization_barrier(jnp.where(use, a.c / jnp.where(use, b.c, jnp.ones_like(b.c)), jnp.zeros_like(a.c)))
    p, e = numbers.two_product(q, b.c)
    rest = plus(of_float((a.c - p) - e), plus(a.t, opposite(times(of_float(q), b.t))))
    small = jnp.abs(plain(b.t).hi) < 0.5 * jnp.abs(b.c)
    t = pick(use & small, over(rest, value(b)), whole)
    return anchored(jnp.where(use & small, q, jnp.zeros_like(q)), t)


def sqrt(a: Wide) -> Wide:
    """``sqrt a``: beside an anchor that is a square, ``sqrt c + t / (sqrt a + sqrt c)``."""
    whole = root(value(a))
    if a.c is None:
        return free(whole)
    r = lax.optimization_barrier(jnp.sqrt(jnp.abs(a.c)))
    use = (a.c > 0) & (r * r == a.c) & (jnp.abs(plain(a.t).hi) < NEAR * a.c)
    r = jnp.where(use, r, jnp.zeros_like(r))
    return anchored(r, pick(use, over(a.t, plus(whole, of_float(r))), whole))


def tiny(t: Scaled) -> Any:
    """Where the square of a number is far below its last digit, and may leave the range of the dtype."""
    return t.e < -(format_of(t.m.hi).bias // 3)


def second_order(t: Scaled, half: float) -> Scaled:
    """``t + half t²``."""
    return plus(t, times(times(t, t), of_float(jnp.full_like(t.m.hi, half))))


def exp(a: Wide) -> Wide:
    """``exp a``; beside 0, anchored at 1."""
    t = value(a)
    x = plain(t)
    k, r = exponentials.reduced(x, waves.REACH[exponentials.name_of(x)])
    u = exponentials.expm1_small(r)
    large = normalized(numbers.large_plus(numbers.unit(x.hi), u), k)
    outside = ~(jnp.abs(x.hi) < waves.REACH[exponentials.name_of(x)])
    large = pick(outside, of_float(jnp.exp(x.hi)), large)
    near = (k == 0) & (jnp.abs(x.hi) < NEAR)
    small = pick(tiny(t), second_order(t, 0.5), of_twofold(u))
    return Wide(jnp.where(near, jnp.ones_like(x.hi), jnp.zeros_like(x.hi)), pick(near, small, large))


def expm1(a: Wide) -> Wide:
    """``exp a - 1``."""
    out = exp(a)
    return add(out, Wide(-jnp.ones_like(a.t.m.hi), of_float(jnp.zeros_like(a.t.m.hi))))


def log(a: Wide) -> Wide:
    """``e ln 2 + log m``; beside an anchor 1, ``log1p t``."""
    v = value(a)
    positive = jnp.isfinite(v.m.hi) & (v.m.hi > 0)
    # With m between sqrt(1/2) and sqrt 2 no digits cancel beside 1.
    high = v.m.hi > 2.0 * exponentials.SQRT_HALF
    m = choose(high, numbers.scale(v.m, 0.5), v.m)
    d = numbers.raw_sub(choose(positive, m, numbers.unit(m.hi)), numbers.unit(m.hi))
    x = plain(a.t)
    near = (anchor(a) == 1) & (jnp.abs(x.hi) < exponentials.SMALL)
    part = exponentials.log1p_small(choose(near, x, d))
    exponent = jnp.where(positive, v.e + high.astype(jnp.int32), 0).astype(m.hi.dtype)
    whole = numbers.raw_add(numbers.raw_mul(exact(exponent), numbers.constant(exponentials.LN2, m.hi)), part)
    whole = choose(positive, whole, exact(jnp.log(v.m.hi)))
    out = of_twofold(choose(near, part, whole))
    return free(pick(near & tiny(a.t), second_order(a.t, -0.5), out))


def log1p(a: Wide) -> Wide:
    """``log(1 + a)``."""
    return log(add(a, Wide(jnp.ones_like(a.t.m.hi), of_float(jnp.zeros_like(a.t.m.hi)))))


def cos(a: Wide) -> Wide:
    """``cos a``; beside 0, anchored at 1."""
    t = value(a)
    x = plain(t)
    k, s, v, inside = waves.quadrants(x)
    cosine = numbers.large_plus(numbers.unit(x.hi), v)
    turned = choose((k & 1) == 0, cosine, numbers.neg(s))
    whole = choose(inside, choose(k >= 2, numbers.neg(turned), turned), waves.far(x, 1))
    near = inside & (k == 0)
    square = times(times(t, t), of_float(jnp.full_like(x.hi, -0.5)))
    small = pick(tiny(t), square, of_twofold(v))
    return Wide(jnp.where(near, jnp.ones_like(x.hi), jnp.zeros_like(x.hi)), pick(near, small, of_twofold(whole)))


def cosh(a: Wide) -> Wide:
    """``(exp a + exp(-a)) / 2``: beside 0, anchored at 1."""
    half = Wide(jnp.full_like(a.t.m.hi, 0.5), of_float(jnp.zeros_like(a.t.m.hi)))
    return mul(half, add(exp(a), exp(neg(a))))


def sinh(a: Wide) -> Wide:
    """``sinh a``: beyond its series ``(exp a - exp(-a)) / 2``."""
    half = Wide(jnp.full_like(a.t.m.hi, 0.5), of_float(jnp.zeros_like(a.t.m.hi)))
    large = value(mul(half, sub(exp(a), exp(neg(a)))))
    t = value(a)
    x = plain(t)
    near = jnp.abs(x.hi) < NEAR
    small, _ = waves.waves_small(waves.within(near, x), 1)
    return free(pick(near, pick(tiny(t), t, of_twofold(small)), large))


def power(a: Wide, b: Wide) -> Wide:
    """``a^b`` as ``exp(b log |a|)``, with the sign and the exceptions of the program's own power."""
    v = value(a)
    base, exponent = plain(v).hi, plain(value(b)).hi
    own = jnp.power(base, exponent)
    out = exp(mul(b, log(absolute(a))))
    minus = (base < 0) & (jnp.floor(exponent) == exponent) & (jnp.floor(0.5 * exponent) != 0.5 * exponent)
    out = select(minus, neg(out), out)
    special = (v.m.hi == 0) | ~jnp.isfinite(v.m.hi) | ~jnp.isfinite(exponent)
    special = special | (base < 0) & (jnp.floor(exponent) != exponent)
    return select(special, free(of_float(own)), out)


def select(where: Any, a: Wide, b: Wide) -> Wide:
    """`a` where the condition holds, else `b`."""
    c = None if a.c is None and b.c is None else jnp.where(where, anchor(a), anchor(b))
    return Wide(c, pick(where, a.t, b.t))


def absolute(a: Wide) -> Wide:
    """``|a|``."""
    return select(value(a).m.hi < 0, neg(a), a)
