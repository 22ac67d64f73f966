"""Running bounds of rounding errors along a straight program on a box, inside XLA.

```
|f − e| <= r |e| + t         e exact, f computed, for every x of the box
```

Each value carries an interval of e, and r and t. An operation adds its own rounding, ``k u`` of the result with u the
unit roundoff of the user's dtype and k measured per function (`karush.stability.error_margins`), and what flushing a
subnormal result loses. `Value.fine` says that nothing overflows and that every computed operand lies inside its domain;
`Interval.ok` says whether the exact function is defined. Float comparisons agree with exact ones where the widened
operands do not overlap; elsewhere the two branches are joined, and their distance is an error.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from karush.arithmetic.interval_numbers import Interval, Truth
from karush.jaxprs.walk import Step, bind


class Format(NamedTuple):
    """A floating-point format."""

    u: float
    """unit roundoff"""
    tiny: float
    """least normal number; what is smaller may be flushed to 0"""
    largest: float
    margins: dict[str, float]
    """function -> largest relative error in units of u"""


class Value(NamedTuple):
    """One value of the program."""

    exact: Any
    """`Interval` of real numbers; `Truth` or exact array of anything else"""
    r: Any = 0.0
    t: Any = 0.0
    before: Any = 0.0
    """t without what flushing this very result may lose: of an output whose exact value is normal nothing is flushed"""
    positive: Any = False
    """whether the computed number is certainly not negative"""
    fine: Any = True
    """whether the computation goes well: nothing overflows, no computed operand leaves its domain"""
    over: Any = False
    """whether the computed number may be infinite, of the exact one's sign, where the exact one is about as large as
    the largest float; elsewhere the bounds hold"""
    same: Any = True
    """of an answer: whether the computed one is the exact one, even where the interval cannot tell which"""


Bounds = tuple[Any, Any, Any]
"""r, t, t without the last flush"""
Values = Sequence[Value]


def least(v: Interval) -> Any:
    """Least size of the members."""
    return jnp.maximum(jnp.maximum(v.lo, -v.hi), 0.0)


def most(v: Interval) -> Any:
    """Greatest size of the members."""
    return jnp.maximum(jnp.abs(v.lo), jnp.abs(v.hi))


def error(v: Value) -> Any:
    """Absolute error."""
    return v.r * most(v.exact) + v.t


def widened(v: Value) -> Interval:
    """Interval of both the exact and the computed number."""
    e = v.exact
    lo = e.lo - v.r * jnp.abs(e.lo) - v.t
    hi = e.hi + v.r * jnp.abs(e.hi) + v.t
    return Interval(jnp.where(v.positive & (e.lo >= 0.0), jnp.maximum(lo, 0.0), lo), hi, e.ok)


def own(form: Format, k: Any, r: Any, t: Any, e: Interval | None = None) -> Bounds:
    """Bounds after the operation's own rounding of k u and flush; nothing is flushed of results that are all normal."""
    r, t = (1.0 + r) * (1.0 + k * form.u) - 1.0, t * (1.0 + k * form.u)
    flush = form.tiny
    if e is not None:
        normal = least(e) * (1.0 - jnp.minimum(r, 1.0)) - t >= form.tiny * (1.0 + 64.0 * form.u)
        flush = jnp.where(normal, 0.0, form.tiny)
    return r, t + flush, t


def better(e: Interval, first: Bounds, second: Bounds) -> Bounds:
    """The first bounds where they are relative ones of use, else the second."""
    slack = jnp.where(most(e) > 2.0 * least(e), SLACK, 1.0)
    use = (first[0] < MEANT) & (first[0] * most(e) + first[1] <= slack * (second[0] * most(e) + second[1]))
    return tuple(jnp.where(use, a, b) for a, b in zip(first, second, strict=True))  # type: ignore[return-value]


MEANT = 0.25
"""relative errors below this are of use"""
SLACK = 4.0
"""a relative bound is worth this factor at the largest member of a wide interval: it is better at all small ones"""


def add(form: Format, a: Value, b: Value, e: Interval, sign: float = 1.0) -> Bounds:
    """Sum or difference."""
    loose = own(form, 1.0, jnp.zeros_like(e.lo), error(a) + error(b), e)
    other_lo, other_hi = (b.exact.lo, b.exact.hi) if sign > 0.0 else (-b.exact.hi, -b.exact.lo)
    agree = ((a.exact.lo >= 0.0) & (other_lo >= 0.0)) | ((a.exact.hi <= 0.0) & (other_hi <= 0.0))
    tight = own(form, 1.0, jnp.where(agree, jnp.maximum(a.r, b.r), jnp.inf), a.t + b.t, e)
    return better(e, tight, loose)


def power_of_two(size: Any) -> Any:
    """The power of two at or below a number >= 0."""
    bits = lax.bitcast_convert_type(jnp.asarray(size, jnp.float64), jnp.uint64)
    return lax.bitcast_convert_type(bits & jnp.asarray(0x7FF0_0000_0000_0000, jnp.uint64), jnp.float64)


def is_power_of_two(e: Interval) -> Any:
    """Whether an interval is one power of two, by which floats are multiplied exactly."""
    bits = lax.bitcast_convert_type(jnp.asarray(e.lo, jnp.float64), jnp.uint64)
    return (e.lo == e.hi) & ((bits & jnp.asarray(0x000F_FFFF_FFFF_FFFF, jnp.uint64)) == jnp.uint64(0)) & (e.lo != 0.0)


def mul(form: Format, a: Value, b: Value, e: Interval) -> Bounds:
    """Product."""
    k = jnp.where(is_power_of_two(a.exact) | is_power_of_two(b.exact), 0.0, 1.0)
    size_a, size_b = most(a.exact), most(b.exact)
    t = a.t * (size_b * (1.0 + b.r) + b.t) + b.t * size_a * (1.0 + a.r)
    return own(form, k, (1.0 + a.r) * (1.0 + b.r) - 1.0, t, e)


DIVISION = 3.0
"""units of u: XLA may multiply by the rounded 1/b"""


def div(form: Format, a: Value, b: Value, e: Interval) -> tuple[Bounds, Any]:
    """Quotient, and where it is defined: b is no 0, and 1/b does not overflow.

    Where 1/b may be flushed to 0, or b has overflowed, so that ``|b| >= 1/(2 tiny)``, computed and exact quotient are
    both at most ``4 tiny |a|`` in size.
    """
    wide = widened(b)
    size = least(wide)
    far = (most(wide) * form.tiny * (1.0 + 64.0 * form.u) >= 1.0) | b.over
    ok = (size > 0.0) & (size * form.largest >= 1.0) & (~far | ((b.r < MEANT) & (b.t * form.tiny <= MEANT)))
    safe = jnp.where(size > 0.0, size, 1.0)
    ratio = most(a.exact) / jnp.where(least(b.exact) > 0.0, least(b.exact), 1.0)
    part = jnp.minimum(b.r, MEANT)
    r = jnp.where(b.r < MEANT, (1.0 + a.r) / (1.0 - part) - 1.0, jnp.inf)
    t = a.t / safe + ratio * (1.0 + a.r) * b.t / safe
    t = t + jnp.where(far, 4.0 * form.tiny * (most(a.exact) + error(a)), 0.0)
    k = jnp.where(is_power_of_two(b.exact), 0.0, DIVISION)
    return own(form, k, r, t, e), ok


def total(form: Format, a: Value, e: Interval, axes: Sequence[int], count: float) -> Bounds:
    """Sum over axes, in any order."""
    axes = tuple(axes)
    slack = (count + 1.0) * form.u
    sizes = jnp.sum(most(a.exact) + error(a), axes)
    flushed = count * form.tiny
    t = jnp.sum(error(a), axes) + slack * sizes + flushed
    loose = (jnp.zeros_like(e.lo), t, t)
    agree = jnp.all(a.exact.lo >= 0.0, axes) | jnp.all(a.exact.hi <= 0.0, axes)
    r = jnp.where(agree, (1.0 + jnp.max(a.r, axes)) * (1.0 + slack) - 1.0, jnp.inf)
    t = jnp.sum(a.t, axes) * (1.0 + slack)
    # Sums of few normal numbers of one sign are normal: only the parts' own flushes count.
    return better(e, (r, t, t), loose)


def contract(form: Format, step: Step, a: Value, b: Value, e: Interval, count: float) -> Bounds:
    """``dot_general``."""
    numbers = step.params["dimension_numbers"]

    def dot(x: Any, y: Any) -> Any:
        return lax.dot_general(x, y, numbers, precision=lax.Precision.HIGHEST)

    size_a, size_b, err_a, err_b = most(a.exact), most(b.exact), error(a), error(b)
    slack = (count + 1.0) * form.u
    t = (
        dot(size_a, err_b)
        + dot(err_a, size_b + err_b)
        + slack * dot(size_a + err_a, size_b + err_b)
        + count * form.tiny
    )
    loose = (jnp.zeros_like(e.lo), t, t)
    agree = jnp.all(a.exact.lo >= 0.0) & jnp.all(b.exact.lo >= 0.0)
    r = jnp.where(agree, (1.0 + jnp.max(a.r)) * (1.0 + jnp.max(b.r)) * (1.0 + slack) - 1.0, jnp.inf)
    t = (dot(size_a * (1.0 + a.r), b.t) + dot(a.t, size_b * (1.0 + b.r) + b.t)) * (1.0 + slack) + count * form.tiny
    return better(e, (jnp.broadcast_to(r, jnp.shape(e.lo)), t, t), loose)


def whole_power(form: Format, a: Value, y: int) -> Bounds:
    """``a^y``, y > 0, by products; where the result is normal, all are: they lie between it and a, or above 1."""
    if y == 1:
        return a.r, a.t, a.t
    size = most(a.exact)
    t = y * (size * (1.0 + a.r) + a.t) ** (y - 1) * a.t
    r = (1.0 + a.r) ** y * (1.0 + form.u) ** y - 1.0
    t = t * (1.0 + y * form.u)
    normal = least(a.exact) ** y * (1.0 - jnp.minimum(r, 1.0)) - t >= form.tiny * (1.0 + 64.0 * form.u)
    flush = jnp.where(normal, 0.0, form.tiny)
    return r, t + 2.0 * flush, t + (flush if y > 2 else 0.0)


def power(form: Format, a: Value, b: Value, e: Interval) -> tuple[Bounds, Any]:
    """``a^b = exp(b log a)`` of a positive a."""
    wide = widened(a)
    lo = jnp.where(wide.lo > 0.0, wide.lo, 1.0)
    relative = a.r + a.t / lo
    shift = -jnp.log1p(-jnp.minimum(relative, MEANT)) * (most(b.exact) + error(b))
    logs = jnp.maximum(jnp.abs(jnp.log(lo)), jnp.abs(jnp.log(jnp.maximum(wide.hi, lo))))
    r = jnp.where(relative < MEANT, jnp.expm1(shift + logs * error(b)), jnp.inf)
    return own(form, form.margins["pow"], r, jnp.zeros_like(r), e), wide.lo > 0.0


def product(form: Format, a: Value, axes: Sequence[int], count: float) -> tuple[Bounds, Any]:
    """Product over axes, in any order."""
    axes = tuple(axes)
    grown = most(a.exact) * (1.0 + a.r) + a.t
    highest = jnp.prod(jnp.maximum(grown, 1.0), axes)
    lowest = jnp.prod(jnp.minimum(jnp.where(grown > 0.0, least(a.exact), 1.0), 1.0), axes)
    r = jnp.expm1(jnp.sum(jnp.log1p(a.r), axes) + count * form.u)
    t = jnp.sum(a.t, axes) * highest
    # A partial product may be flushed and its rest still be large; not where the least partial product is normal.
    flushed = jnp.where(lowest >= form.tiny, 0.0, count * form.tiny * highest)
    return (r, t + flushed + form.tiny, t + flushed), highest < form.largest


def moved(step: Step, operands: Values) -> tuple[Any, ...]:
    """r, t, t before, sign, fine and over, of a primitive that moves elements and is steered by integers."""

    def run(pick: Callable[[Value], Any]) -> Any:
        parts = [pick(v) if isinstance(v.exact, Interval) else v.exact for v in operands]
        return bind(step, *parts)

    def like(v: Value, part: Any) -> Any:
        return jnp.broadcast_to(jnp.asarray(part, jnp.float64), jnp.shape(v.exact.lo))

    out = [run(lambda v, k=k: like(v, v[k])) for k in range(1, 7)]
    return (*out[:3], *[[item == 1.0 for item in part] for part in out[3:]])


def chosen(which: Value, cases: Values) -> tuple[Any, ...]:
    """``select_n``: r, t, t before, sign, fine and over of the branch taken.

    The distance of the branches is an error where the exact and the computed program may take different ones.
    """
    answer = which.exact
    shape = jnp.shape(cases[0].exact.lo)
    full = [[jnp.broadcast_to(jnp.asarray(case[k]), shape) for case in cases] for k in range(1, 7)]
    if not isinstance(answer, Truth):
        return tuple(lax.select_n(answer, *column) for column in full)
    no, yes = cases
    apart = jnp.maximum(jnp.abs(yes.exact.hi - no.exact.lo), jnp.abs(no.exact.hi - yes.exact.lo))
    open_ = answer.can_be_true & answer.can_be_false & ~jnp.asarray(which.same)
    extra = jnp.where(open_, apart, 0.0)

    def pick(k: int) -> Any:
        return jnp.maximum(jnp.where(answer.can_be_false, no[k], 0.0), jnp.where(answer.can_be_true, yes[k], 0.0))

    def hold(k: int) -> Any:
        return (full[k - 1][0] | ~answer.can_be_false) & (full[k - 1][1] | ~answer.can_be_true)

    over = (full[5][0] & answer.can_be_false) | (full[5][1] & answer.can_be_true)
    return pick(1), pick(2) + extra, pick(3) + extra, hold(4), hold(5) & (which.fine | ~open_), over


__all__ = [
    "Bounds",
    "Format",
    "Value",
    "add",
    "better",
    "chosen",
    "contract",
    "div",
    "error",
    "least",
    "most",
    "moved",
    "mul",
    "own",
    "power",
    "power_of_two",
    "product",
    "total",
    "whole_power",
    "widened",
]
