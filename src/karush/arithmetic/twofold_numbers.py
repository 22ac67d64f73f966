"""Twofold numbers: unevaluated sums of two floats of the program's own dtype, under XLA.

```
x = hi + lo,    hi = fl(hi + lo),    a + b = s + e exactly,    a b = p + e exactly
```

`lo` keeps its own relative accuracy however far it lies below the last digit of `hi`: 1 + x is the pair (1, x) for
every tiny x, so that what is left when `hi` cancels is right [Dek71; JMP17, algorithms 6, 12, 17]. With p digits a sum
or product errs by about 2^(3 - 2p) of the size of its terms.

Under XLA a product may be fused into a following sum, constants may be folded, and subnormals are flushed. Products
are therefore split by their bits, not by a multiplication, so that every partial product is exact with or without
fusion; constants are hidden behind a barrier, since ``(x + c) - c`` would be folded.

An infinite or undefined `hi` has the `lo` 0 and is what the program itself would have computed.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax


class Twofold(NamedTuple):
    """Numbers ``hi + lo``, elementwise; arrays of one dtype, float32 or float64, and one shape."""

    hi: Any
    lo: Any


class Format(NamedTuple):
    """What the bits of a float dtype mean."""

    bits: Any
    """unsigned integer dtype of the same width"""
    digits: int
    """binary digits with the leading one"""
    bias: int
    largest: int
    """exponent of the largest power of two"""
    half: int
    """digits of the upper half of a split number; two of them multiply exactly"""


FORMATS = {
    "float32": Format(np.uint32, 24, 127, 127, 12),
    "float64": Format(np.uint64, 53, 1023, 1023, 26),
}


SPARE = 4
"""bits: flushed partial products err by a few of the smallest normal numbers"""


def format_of(x: Any) -> Format:
    """Format of an array's dtype."""
    return FORMATS[np.dtype(x.dtype).name]


def hidden(value: Any, like: Any) -> Any:
    """A constant that XLA cannot fold into neighbouring sums."""
    return lax.optimization_barrier(jnp.asarray(value, like.dtype))


def digits_of(value: Fraction, dtype: Any, count: int, width: int | None = None) -> list[Any]:
    """`value` as a sum of `count` floats; all but the last have at most `width` digits."""
    out = []
    for k in range(count):
        part = float(value)
        if width is not None and k < count - 1:
            mantissa, exponent = np.frexp(part)
            part = float(np.ldexp(np.round(np.ldexp(mantissa, width)), exponent - width))
        digit = np.dtype(dtype).type(part)
        out.append(digit)
        value -= Fraction(float(digit))
    return out


def constant(value: Fraction, like: Any) -> Twofold:
    """A rational number, rounded to a twofold one of the dtype of `like`."""
    hi, lo = digits_of(value, like.dtype, 2)
    return Twofold(hidden(hi, like), hidden(lo, like))


def unit(like: Any) -> Twofold:
    """The number 1, in the shape and dtype of `like`, which XLA cannot fold into neighbouring sums."""
    return Twofold(lax.optimization_barrier(jnp.ones_like(like)), jnp.zeros_like(like))


def exact(x: Any) -> Twofold:
    """A float as it is."""
    return Twofold(x, jnp.zeros_like(x))


def fast_two_sum(a: Any, b: Any) -> Twofold:
    """``a + b`` exactly, where a is 0 or ``|a| >= |b|``."""
    s = lax.optimization_barrier(a + b)
    return Twofold(s, b - (s - a))


def two_sum(a: Any, b: Any) -> Twofold:
    """``a + b`` exactly."""
    s = lax.optimization_barrier(a + b)
    other = s - a
    return Twofold(s, (a - (s - other)) + (b - other))


def split(a: Any) -> tuple[Any, Any]:
    """``a = upper + lower`` with half the digits each: the upper half by rounding the bits."""
    fmt = format_of(a)
    dropped = fmt.digits - fmt.half
    bits = lax.bitcast_convert_type(a, fmt.bits)
    # Rounding instead of cutting leaves a lower half of one digit less, so that all four products are exact.
    bits = (bits + fmt.bits(1 << (dropped - 1))) & fmt.bits(
        ((1 << (8 * np.dtype(fmt.bits).itemsize)) - 1) ^ ((1 << dropped) - 1)
    )
    upper = lax.bitcast_convert_type(bits, a.dtype)
    return upper, a - upper


def two_product(a: Any, b: Any) -> Twofold:
    """``a b`` exactly, where neither the product nor its last digits leave the range of the dtype."""
    p = a * b
    least = jnp.finfo(p.dtype).tiny
    # A choice between: fused into ``s - p`` the product would not be the rounded one that e belongs to.
    p = jnp.where(jnp.abs(p) < least, jnp.zeros_like(p), p)
    a1, a2 = split(a)
    b1, b2 = split(b)
    e = ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2
    # Below, partial products are flushed to 0 and e would be their trace.
    whole = jnp.abs(p) >= least * 2.0 ** (format_of(p).digits + SPARE)
    return Twofold(p, jnp.where(whole, e, jnp.zeros_like(e)))


def finished(value: Twofold, plain: Any) -> Twofold:
    """The pair, or what the program itself computes where the pair is not finite."""
    good = jnp.isfinite(value.hi)
    # A lower part that is lost at the edge of the range leaves the accuracy of the upper one.
    lo = jnp.where(good & jnp.isfinite(value.lo), value.lo, jnp.zeros_like(value.lo))
    return Twofold(jnp.where(good, value.hi, plain), lo)


def defined(value: Twofold, plain: Any) -> Twofold:
    """The same, and also what the program computes where that is not finite: outside the domain, and at poles."""
    return finished(choose(jnp.isfinite(plain), value, exact(plain)), plain)


def neg(a: Twofold) -> Twofold:
    """``-a``."""
    return Twofold(-a.hi, -a.lo)


def scale(a: Twofold, factor: float) -> Twofold:
    """``a * factor`` for a power of two."""
    return Twofold(a.hi * factor, a.lo * factor)


def raw_add(a: Twofold, b: Twofold) -> Twofold:
    """``a + b`` of finite numbers."""
    s, e = two_sum(a.hi, b.hi)
    t, f = two_sum(a.lo, b.lo)
    hi, e = fast_two_sum(s, e + t)
    # Where the upper parts cancel, the sum of the lower ones may be the larger.
    return two_sum(hi, e + f)


def raw_sub(a: Twofold, b: Twofold) -> Twofold:
    """``a - b`` of finite numbers."""
    return raw_add(a, neg(b))


def large_plus(a: Twofold, b: Twofold) -> Twofold:
    """``a + b`` of finite numbers with ``|a| >= 2 |b|`` or a = 0."""
    s, e = fast_two_sum(a.hi, b.hi)
    return fast_two_sum(s, e + (a.lo + b.lo))


def raw_mul(a: Twofold, b: Twofold) -> Twofold:
    """``a b`` of finite numbers."""
    p, e = two_product(a.hi, b.hi)
    return fast_two_sum(p, e + ((a.hi * b.lo + a.lo * b.hi) + a.lo * b.lo))


def raw_div(a: Twofold, b: Twofold) -> Twofold:
    """``a / b`` of finite numbers, b not 0, by one correction of the quotient of the upper parts."""
    q = lax.optimization_barrier(a.hi / b.hi)
    p, e = two_product(q, b.hi)
    return fast_two_sum(q, (((a.hi - p) - e) + (a.lo - q * b.lo)) / b.hi)


def raw_sqrt(a: Twofold) -> Twofold:
    """``sqrt a`` of a finite number above 0, by one step of Heron's method."""
    root = lax.optimization_barrier(jnp.sqrt(a.hi))
    p, e = two_product(root, root)
    return fast_two_sum(root, (((a.hi - p) - e) + a.lo) / (root + root))


def add(a: Twofold, b: Twofold) -> Twofold:
    """``a + b``."""
    return finished(raw_add(a, b), a.hi + b.hi)


def sub(a: Twofold, b: Twofold) -> Twofold:
    """``a - b``."""
    return add(a, neg(b))


def mul(a: Twofold, b: Twofold) -> Twofold:
    """``a b``."""
    return finished(raw_mul(a, b), a.hi * b.hi)


def square(a: Twofold) -> Twofold:
    """``a a``."""
    return mul(a, a)


def div(a: Twofold, b: Twofold) -> Twofold:
    """``a / b``."""
    plain = a.hi / b.hi
    # Over an infinite number the correction is no number.
    return finished(raw_div(a, b), plain)


def reciprocal(a: Twofold) -> Twofold:
    """``1 / a``."""
    return div(unit(a.hi), a)


def sqrt(a: Twofold) -> Twofold:
    """``sqrt a``."""
    plain = jnp.sqrt(a.hi)
    return finished(choose(a.hi > 0, raw_sqrt(a), exact(plain)), plain)


def absolute(a: Twofold) -> Twofold:
    """``|a|``."""
    return choose(a.hi < 0, neg(a), Twofold(jnp.abs(a.hi), a.lo))


def choose(where: Any, a: Twofold, b: Twofold) -> Twofold:
    """`a` where the condition holds, else `b`."""
    return Twofold(jnp.where(where, a.hi, b.hi), jnp.where(where, a.lo, b.lo))


def power_of_two(k: Any, like: Any) -> Any:
    """``2^k`` for integer k between the exponents of the smallest and the largest normal number."""
    fmt = format_of(like)
    biased = (k + fmt.bias).astype(fmt.bits)
    return lax.bitcast_convert_type(biased << fmt.bits(fmt.digits - 1), like.dtype)


def times_power(a: Twofold, k: Any) -> Twofold:
    """``a 2^k`` for integers k of any size, in three steps, so that only the result may leave the range."""
    fmt = format_of(a.hi)
    k = jnp.clip(k, -3 * (fmt.bias - 1), 3 * fmt.largest)
    first = jnp.clip(k, 1 - fmt.bias, fmt.largest)
    second = jnp.clip(k - first, 1 - fmt.bias, fmt.largest)
    third = k - first - second
    out = a
    for part in (first, second, third):
        factor = power_of_two(part, a.hi)
        out = Twofold(out.hi * factor, out.lo * factor)
    return Twofold(out.hi, jnp.where(jnp.isfinite(out.hi), out.lo, jnp.zeros_like(out.lo)))


def exponent_of(x: Any) -> Any:
    """Integer k with ``2^k <= |x| < 2^(k+1)``, of normal numbers."""
    fmt = format_of(x)
    bits = lax.bitcast_convert_type(jnp.abs(x), fmt.bits)
    return (bits >> fmt.bits(fmt.digits - 1)).astype(jnp.int32) - fmt.bias


def normal(a: Twofold) -> Twofold:
    """The same number with ``hi = fl(hi + lo)``."""
    return finished(two_sum(a.hi, a.lo), a.hi)
