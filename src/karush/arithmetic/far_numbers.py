"""Floats with an exponent of their own, under XLA: the digits of the dtype without the end of its range.

```
x = m 2^e,    1 <= |m| < 2,    e a 32-bit integer
```

Every operation rounds as the dtype does, but 1e300^2 / 1e300^2 is 1, and 0 inf is met only where the program itself
has a 0 and a pole. Of 0, e is far below every other exponent; infinite and undefined numbers have e = 0.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.arithmetic.twofold_numbers import format_of, power_of_two

FARTHEST = 1 << 28
"""exponents are kept within this, so that sums of two are 32-bit integers"""
LARGEST_EXPONENTIAL = 1 << 14
"""|x| up to which exp(x) is computed; beyond, it is infinite or 0"""
PIECE = 9
"""bits of each piece of log 2: times an integer of 15 bits they are exact in float32"""


class Far(NamedTuple):
    """``m 2^e``, elementwise."""

    m: Any
    e: Any


def normalized(m: Any, e: Any) -> Far:
    """The same number with ``1 <= |m| < 2``."""
    fmt = format_of(m)
    place = fmt.bits(fmt.digits - 1)
    mask = fmt.bits(2 * fmt.bias + 1)
    bits = lax.bitcast_convert_type(m, fmt.bits)
    raw = (bits >> place) & mask
    ordinary = (raw != 0) & (raw != mask)
    unit = lax.bitcast_convert_type((bits & ~(mask << place)) | (fmt.bits(fmt.bias) << place), m.dtype)
    exponent = jnp.clip(e + raw.astype(jnp.int32) - fmt.bias, -FARTHEST, FARTHEST)
    special = jnp.where(raw == 0, jnp.int32(-FARTHEST), jnp.int32(0))
    # Subnormals are flushed by XLA, and are 0 here.
    rest = jnp.where(raw == 0, jnp.zeros_like(m), m)
    return Far(jnp.where(ordinary, unit, rest), jnp.where(ordinary, exponent, special))


def of_float(x: Any) -> Far:
    """A float; of a constant, without an operation in the program."""
    if isinstance(x, np.ndarray):
        m, e = np.frexp(x)
        ordinary = np.isfinite(x) & (x != 0)
        e = np.where(ordinary, e - 1, np.where(x == 0, -FARTHEST, 0)).astype(np.int32)
        return Far(jnp.asarray(np.where(ordinary, 2 * m, x).astype(x.dtype)), jnp.asarray(e))
    return normalized(x, jnp.int32(0))


def plain(a: Far) -> Any:
    """The number in the range of the dtype: infinite or 0 beyond."""
    fmt = format_of(a.m)
    e = jnp.clip(a.e, 2 - 2 * fmt.bias, 2 * fmt.bias)
    half = e >> 1
    return (a.m * power_of_two(half, a.m)) * power_of_two(e - half, a.m)


def choose(where: Any, a: Far, b: Far) -> Far:
    """`a` where the condition holds, else `b`."""
    return Far(jnp.where(where, a.m, b.m), jnp.where(where, a.e, b.e))


def neg(a: Far) -> Far:
    """``-a``."""
    return Far(-a.m, a.e)


def absolute(a: Far) -> Far:
    """``|a|``."""
    return Far(jnp.abs(a.m), a.e)


def lowered(m: Any, e: Any, to: Any) -> Any:
    """``m 2^(e - to)`` for e <= to; what lies further below than the dtype's range is as good as 0."""
    return m * power_of_two(jnp.maximum(e - to, 1 - format_of(m).bias), m)


def add(a: Far, b: Far) -> Far:
    """``a + b``."""
    e = jnp.maximum(a.e, b.e)
    return normalized(lowered(a.m, a.e, e) + lowered(b.m, b.e, e), e)


def sub(a: Far, b: Far) -> Far:
    """``a - b``."""
    return add(a, neg(b))


def mul(a: Far, b: Far) -> Far:
    """``a b``."""
    return normalized(a.m * b.m, a.e + b.e)


def div(a: Far, b: Far) -> Far:
    """``a / b``."""
    return normalized(a.m / b.m, a.e - b.e)


def square(a: Far) -> Far:
    """``a^2``."""
    return mul(a, a)


def sqrt(a: Far) -> Far:
    """``sqrt a``."""
    odd = a.e & 1
    return normalized(jnp.sqrt(a.m * (1 + odd).astype(a.m.dtype)), (a.e - odd) >> 1)


def one(a: Far) -> Far:
    """The number 1."""
    return Far(jnp.ones_like(a.m), jnp.zeros_like(a.e))


def whole_power(a: Far, n: int) -> Far:
    """``a^n`` by squarings."""
    if n < 0:
        return div(one(a), whole_power(a, -n))
    out = None
    while n:
        if n & 1:
            out = a if out is None else mul(out, a)
        n >>= 1
        a = mul(a, a) if n else a
    return one(a) if out is None else out


def total(a: Far, axes: Sequence[int]) -> Far:
    """The sum along axes, at the exponent of its largest term."""
    if 0 in a.m.shape:
        return of_float(jnp.sum(a.m, axis=tuple(axes)))
    e = jnp.max(a.e, axis=tuple(axes), keepdims=True)
    return normalized(jnp.sum(lowered(a.m, a.e, e), axis=tuple(axes)), jnp.squeeze(e, tuple(axes)))


def _difference(a: Far, b: Far) -> Any:
    """A float with the sign of ``a - b``."""
    ends = jnp.isinf(a.m) | jnp.isinf(b.m)
    return jnp.where(ends, jnp.where(a.m == b.m, jnp.zeros_like(a.m), a.m - b.m), sub(a, b).m)


COMPARISONS: dict[str, Callable[[Far, Far], Any]] = {
    "lt": lambda a, b: _difference(a, b) < 0,
    "gt": lambda a, b: _difference(a, b) > 0,
    "le": lambda a, b: _difference(a, b) <= 0,
    "ge": lambda a, b: _difference(a, b) >= 0,
    "eq": lambda a, b: _difference(a, b) == 0,
    "ne": lambda a, b: _difference(a, b) != 0,
}


def larger(a: Far, b: Far) -> Far:
    """The larger one, or what is undefined."""
    return choose((_difference(a, b) < 0) | jnp.isnan(b.m), b, a)


def smaller(a: Far, b: Far) -> Far:
    """The smaller one, or what is undefined."""
    return choose((_difference(a, b) > 0) | jnp.isnan(b.m), b, a)


def _beyond(x: Any) -> Any:
    """The float above which exp(x) leaves a comfortable part of the range."""
    return 0.9 * float(np.log(2.0)) * format_of(x).largest


def exp(a: Far) -> Far:
    """``exp a``, beyond the range by ``2^k exp(a - k log 2)`` with log 2 in three pieces."""
    x = plain(a)
    safe = jnp.clip(jnp.where(jnp.isnan(x), jnp.zeros_like(x), x), -LARGEST_EXPONENTIAL, LARGEST_EXPONENTIAL)
    k = jnp.round(safe / np.asarray(np.log(2.0), x.dtype))
    first = np.round(np.log(2.0) * 2.0**PIECE) / 2.0**PIECE
    second = np.round((np.log(2.0) - first) * 4.0**PIECE) / 4.0**PIECE
    # The float64 nearest to log 2 is short by this.
    third = (np.log(2.0) - first - second) + 2.3190468138462996e-17
    rest = ((safe - k * np.asarray(first, x.dtype)) - k * np.asarray(second, x.dtype)) - k * np.asarray(third, x.dtype)
    far = normalized(jnp.exp(rest), k.astype(jnp.int32))
    beyond = (jnp.abs(x) > _beyond(x)) & (jnp.abs(x) <= LARGEST_EXPONENTIAL)
    return choose(beyond, far, of_float(jnp.exp(x)))


def log(a: Far) -> Far:
    """``log a``, beyond the range ``e log 2 + log m``."""
    inside = jnp.abs(a.e) < format_of(a.m).largest
    far = a.e.astype(a.m.dtype) * np.asarray(np.log(2.0), a.m.dtype) + jnp.log(a.m)
    return of_float(jnp.where(inside | (a.m == 0), jnp.log(plain(a)), far))


def power(a: Far, b: Far) -> Far:
    """``a^b``; where that leaves the range, as the fourth power of ``a^(b/4)``."""
    x, y = plain(a), plain(b)
    whole = jnp.power(x, y)
    least = jnp.finfo(x.dtype).tiny
    inside = (jnp.isfinite(whole) & (jnp.abs(whole) >= least)) | jnp.isnan(whole) | (a.m == 0)
    # 2^(e b): its integer part is an exponent, the rest a factor.
    t = a.e.astype(x.dtype) * y
    root = jnp.power(jnp.abs(a.m), 0.25 * y)
    # Where even the root leaves the range, by the logarithm of its base, whose rounding is multiplied by y.
    near = jnp.isfinite(root) & (root >= least)
    t = jnp.where(near, t, t + y * jnp.log2(jnp.abs(a.m)))
    k = jnp.round(jnp.where(jnp.isfinite(t), jnp.clip(t, -FARTHEST, FARTHEST), jnp.zeros_like(t)))
    fourth = square(square(of_float(jnp.where(near, root, jnp.ones_like(root)))))
    sign = jnp.power(jnp.sign(a.m), y)
    outside = normalized(sign * fourth.m * jnp.exp2(t - k), fourth.e + k.astype(jnp.int32))
    return choose(inside, of_float(whole), outside)


def odd(function: Callable[[Any], Any]) -> Callable[[Far], Far]:
    """A function with ``f(t) = t + O(t^2)``: the smallest numbers are their own value."""
    return lambda a: choose(a.e < -2 * format_of(a.m).digits, a, of_float(function(plain(a))))


def within(function: Callable[[Any], Any]) -> Callable[[Far], Far]:
    """A function whose arguments and values matter in the range of the dtype only."""
    return lambda a: of_float(function(plain(a)))


def like_exp(function: Callable[[Far], Far], limit: Callable[[Far, Far], Far]) -> Callable[[Far], Far]:
    """A function that is `limit` of x and exp(|x|) where |x| is larger than the digits can tell."""

    def run(a: Far) -> Far:
        size = absolute(a)
        large = jnp.abs(plain(a)) > format_of(a.m).digits
        return choose(large, limit(a, exp(size)), function(a))

    return run


__all__ = [
    "COMPARISONS",
    "FARTHEST",
    "Far",
    "absolute",
    "add",
    "choose",
    "div",
    "exp",
    "larger",
    "like_exp",
    "log",
    "mul",
    "neg",
    "normalized",
    "odd",
    "of_float",
    "one",
    "plain",
    "power",
    "smaller",
    "sqrt",
    "square",
    "sub",
    "total",
    "whole_power",
    "within",
]
