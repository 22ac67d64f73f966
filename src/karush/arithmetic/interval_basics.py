"""The four operations, powers and the like of intervals: ends from the point operation, moved outward.

```
[a] + [b] = [down(a.lo + b.lo), up(a.hi + b.hi)],        [a] [b] = [down(min a_i b_j), up(max a_i b_j)]
```
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from karush.arithmetic.interval_numbers import (
    LARGEST,
    ROUNDED,
    Interval,
    both,
    constant,
    down,
    two_above,
    two_below,
    up,
)

HALF = 0.5 * LARGEST
HUGE, HUGE_SCALE = 2.0**1000, 2.0**128
"""divisors beyond it are divided by a power of two first, and by which"""


def neg(a: Interval) -> Interval:
    """``−a``."""
    lo = -a.hi
    return Interval(lo, lo if a.exact else -a.lo, a.ok)


def keep_sign(lo: Any, hi: Any, not_negative: Any, not_positive: Any) -> tuple[Any, Any]:
    """Ends that do not cross 0 where the exact result cannot."""
    return jnp.where(not_negative, jnp.maximum(lo, 0.0), lo), jnp.where(not_positive, jnp.minimum(hi, 0.0), hi)


def add(a: Interval, b: Interval) -> Interval:
    """``a + b``, which is at least twice the smaller: a sum of numbers >= 0 stays so.

    Where twice the smaller overflows the smaller itself is taken: the sum of two such numbers is finite, if no float.
    """
    least, most = jnp.minimum(a.lo, b.lo), jnp.maximum(a.hi, b.hi)
    # A choice, and no minimum with the largest float: XLA's minimum asks for NaN, and halves the speed of a program.
    lo = jnp.maximum(down(a.lo + b.lo), jnp.where(least > HALF, least, 2.0 * least))
    hi = jnp.minimum(up(a.hi + b.hi), jnp.where(most < -HALF, most, 2.0 * most))
    return Interval(lo, hi, both(a.ok, b.ok))


def sub(a: Interval, b: Interval) -> Interval:
    """``a − b``."""
    return add(a, neg(b))


def product_signs(a: Interval, b: Interval) -> tuple[Any, Any]:
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
    return Interval(*keep_sign(down(least), up(most), *product_signs(a, b)), both(a.ok, b.ok))


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
    """``a / b``, as ``a (1/b)``; unbounded and not defined where b may be 0.

    XLA would write many quotients so anyway. Rounded twice, they are less than two ulps off, whatever the numbers. Two
    reciprocals serve four quotients, and as functions of one number they stay in the loop that uses them (`joined`).
    """
    positive, negative = b.lo > 0.0, b.hi < 0.0
    signs = product_signs(a, b)
    a, b = _within_reach(a, b)
    inverses = (1.0 / b.lo,) if b.exact else (1.0 / b.lo, 1.0 / b.hi)
    least, most = _extremes(
        tuple(end * inverse for end in ((a.lo,) if a.exact else (a.lo, a.hi)) for inverse in inverses)
    )
    lo, hi = keep_sign(two_below(least), two_above(most), *signs)
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
    return Interval(*keep_sign(lo, hi, a.lo >= 0.0, a.hi <= 0.0), a.ok)


def _repeated(x: Any, y: int) -> Any:
    out, factor = None, x
    while y:
        if y & 1:
            out = factor if out is None else out * factor
        factor = factor * factor if y > 1 else factor
        y >>= 1
    return out


__all__ = [
    "add",
    "div",
    "keep_sign",
    "magnitude",
    "maximum",
    "minimum",
    "mul",
    "neg",
    "product_signs",
    "square",
    "sub",
    "whole_power",
]
