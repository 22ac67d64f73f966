"""Enclosed derivatives by the chain rule: every value carries its first, and second, derivatives as intervals.

```
f(u):    f'(u) u_i,     f''(u) u_i u_j + f'(u) u_ij
u v:     u_i v + u v_i,     u_ij v + u_i v_j + u_j v_i + u v_ij
```

with f'([u]) and f''([u]) from `karush.arithmetic.interval_slopes`. Where the program has a kink (abs, max) the
first derivative is Clarke's generalised one, for which the mean value theorem still holds. Where it may jump, the
derivative is the whole line; so is the second derivative at a kink.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from karush.arithmetic import interval_functions as functions
from karush.arithmetic import interval_special as special
from karush.arithmetic.interval_logic import less
from karush.arithmetic.interval_numbers import Interval, Truth, constant, dense_ok, each, hull
from karush.arithmetic.interval_slopes import SLOPES

ALL = functions.UNARY | special.UNARY


class Jet(NamedTuple):
    """A value of shape s with its derivatives; None for derivatives that are 0."""

    value: Interval
    first: Interval | None = None
    """(n, *s)"""
    second: Interval | None = None
    """(n, n, *s); where the first is not None, None says that second derivatives are not asked for"""


def plus(a: Interval | None, b: Interval | None) -> Interval | None:
    """Sum where None is 0."""
    if a is None or b is None:
        return b if a is None else a
    return functions.add(a, b)


def times(slope: Interval, a: Interval | None) -> Interval | None:
    """Product where None is 0; `slope` broadcasts against the leading axes."""
    return None if a is None else functions.mul(slope, a)


def negative(a: Interval | None) -> Interval | None:
    """``−a`` where None is 0."""
    return None if a is None else functions.neg(a)


def unbounded(a: Interval, where: Any) -> Interval:
    """`a`, or the whole line at the places `where`."""
    return Interval(jnp.where(where, -jnp.inf, a.lo), jnp.where(where, jnp.inf, a.hi), a.ok)


def outer(a: Interval, b: Interval) -> Interval:
    """``a_i b_j`` over the leading axes."""
    return functions.mul(each(lambda x: x[:, None], a), each(lambda x: x[None, :], b))


def outer_square(a: Interval) -> Interval:
    """``a_i a_j``, with squares on the diagonal."""
    product, diagonal = outer(a, a), functions.square(a)
    n = product.lo.shape[0]
    same = jnp.eye(n, dtype=bool).reshape((n, n) + (1,) * (product.lo.ndim - 2))
    return Interval(
        jnp.where(same, diagonal.lo[:, None], product.lo), jnp.where(same, diagonal.hi[:, None], product.hi), product.ok
    )


def composed(a: Jet, value: Interval, first: Callable[[], Interval], second: Callable[[], Interval]) -> Jet:
    """``f(a)`` from f and the ranges of its derivatives, computed only where a depends on x."""
    if a.first is None:
        return Jet(value)
    slope = first()
    if a.second is None:
        return Jet(value, times(slope, a.first))
    return Jet(
        value, times(slope, a.first), plus(functions.mul(second(), outer_square(a.first)), times(slope, a.second))
    )


def sum_of(a: Jet, b: Jet) -> Jet:
    """``a + b``."""
    return Jet(functions.add(a.value, b.value), _spread(plus, a, b, "first"), _spread(plus, a, b, "second"))


def _spread(combine: Any, a: Jet, b: Jet, name: str) -> Interval | None:
    """Combined derivatives, in the shape of the result: a scalar operand may meet an array."""
    lead = 1 if name == "first" else 2
    shape = jnp.broadcast_shapes(jnp.shape(a.value.lo), jnp.shape(b.value.lo))
    return combine(*[shaped(getattr(item, name), shape, lead) for item in (a, b)])


def shaped(derivative: Interval | None, shape: tuple[int, ...], lead: int) -> Interval | None:
    """A derivative in the shape of a result that its value was broadcast to; None is 0."""
    return None if derivative is None else _spread_to(derivative, shape, lead)


def _spread_to(derivative: Interval, shape: tuple[int, ...], lead: int) -> Interval:
    head, tail = jnp.shape(derivative.lo)[:lead], jnp.shape(derivative.lo)[lead:]
    if tail == shape:
        return derivative
    missing = (1,) * (len(shape) - len(tail))
    return each(lambda x: jnp.broadcast_to(x.reshape(head + missing + tail), head + shape), full(derivative))


def full(d: Interval) -> Interval:
    """With a flag of its own shape, so that it can be mapped over."""
    return d if d.ok is None else Interval(d.lo, d.hi, dense_ok(d))


def opposite(a: Jet) -> Jet:
    """``−a``."""
    return Jet(functions.neg(a.value), negative(a.first), negative(a.second))


def product(a: Jet, b: Jet) -> Jet:
    """``a b``."""
    shape = jnp.broadcast_shapes(jnp.shape(a.value.lo), jnp.shape(b.value.lo))
    a, b = (Jet(x.value, shaped(x.first, shape, 1), shaped(x.second, shape, 2)) for x in (a, b))
    first = plus(times(b.value, a.first), times(a.value, b.first))
    second = plus(times(b.value, a.second), times(a.value, b.second))
    if a.second is not None and b.second is not None and a.first is not None and b.first is not None:
        second = plus(second, functions.add(outer(a.first, b.first), outer(b.first, a.first)))
    return Jet(functions.mul(a.value, b.value), first, second)


def unary(name: str, a: Jet) -> Jet:
    """An elementary function."""
    value = ALL[name](a.value)
    first, second = SLOPES[name]
    return composed(a, value, lambda: first(a.value, value), lambda: second(a.value, value))


def whole_power(a: Jet, y: int) -> Jet:
    """``a^y``."""
    if y == 0:
        return Jet(functions.whole_power(a.value, 0))
    if y == 1:
        return a
    slope = lambda k, c: functions.mul(constant(float(c)), functions.whole_power(a.value, k))  # noqa: E731
    return composed(a, functions.whole_power(a.value, y), lambda: slope(y - 1, y), lambda: slope(y - 2, y * (y - 1)))


def reciprocal(a: Jet) -> Jet:
    """``1 / a``."""
    return whole_power(a, -1)


def larger(a: Jet, b: Jet) -> Jet:
    """``max(a, b)``: Clarke's derivative where either may be the larger."""
    answer = less(a.value, b.value)
    value = functions.maximum(a.value, b.value)
    return chosen(answer, a, b, value, jump=False)


def chosen(answer: Truth, no: Jet, yes: Jet, value: Interval, *, jump: bool) -> Jet:
    """Derivatives of a choice: those of the case taken; of an open choice the hull, or the whole line for a jump."""
    open_, is_yes = answer.can_be_true & answer.can_be_false, answer.can_be_true
    shape = jnp.shape(value.lo)

    def pick(name: str, lead: int, wild: bool) -> Interval | None:
        parts = [getattr(no, name), getattr(yes, name)]
        known = [part for part in parts if part is not None]
        if not known:
            return None
        zero = each(jnp.zeros_like, known[0])
        zero = Interval(zero.lo, zero.hi)
        a, b = (_spread_to(zero if part is None else part, shape, lead) for part in parts)
        joined = hull(a, b)
        lo = jnp.where(open_, joined.lo, jnp.where(is_yes, b.lo, a.lo))
        hi = jnp.where(open_, joined.hi, jnp.where(is_yes, b.hi, a.hi))
        flags = None
        if joined.ok is not None:
            of_no, of_yes = dense_ok(a), dense_ok(b)
            flags = jnp.where(open_, of_no & of_yes, jnp.where(is_yes, of_yes, of_no))
        out = Interval(lo, hi, flags)
        return unbounded(out, open_) if wild else out

    return Jet(value, pick("first", 1, jump), pick("second", 2, True))


def mappable(a: Jet) -> Jet:
    """With flags of their own shapes."""
    first, second = (None if part is None else full(part) for part in (a.first, a.second))
    return Jet(full(a.value), first, second)


def zeros(shape: tuple[int, ...]) -> Interval:
    """Exact zeros."""
    return Interval(jnp.zeros(shape), jnp.zeros(shape))


__all__ = [
    "ALL",
    "Jet",
    "chosen",
    "composed",
    "full",
    "larger",
    "mappable",
    "opposite",
    "outer",
    "plus",
    "product",
    "reciprocal",
    "sum_of",
    "unary",
    "unbounded",
    "whole_power",
    "zeros",
]
