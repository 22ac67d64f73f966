"""Rules of enclosed derivatives for what runs along an axis, and for functions of two numbers.

```
f(u, v):    f_u u_i + f_v v_i,     f_uu u_i u_j + f_vv v_i v_j + f_uv (u_i v_j + v_i u_j) + f_u u_ij + f_v v_ij
```
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from karush.arithmetic import interval_basics as basics
from karush.arithmetic import interval_places as places
from karush.arithmetic import interval_running as running
from karush.arithmetic import interval_special as special
from karush.arithmetic.interval_jet_loops import Stepped, stacked, turn_of
from karush.arithmetic.interval_jets import (
    Jet,
    composed,
    full,
    larger,
    mappable,
    opposite,
    outer,
    outer_square,
    plus,
    product,
    shaped,
    sum_of,
    times,
    unbounded,
)
from karush.arithmetic.interval_numbers import Interval, constant, dense_ok, each
from karush.arithmetic.interval_slopes import SLOPES
from karush.core.errors import TraceError
from karush.jaxprs.walk import Rule, Step

Values = Sequence[Any]
MOST_FACTORS = 64
"""elements along an axis that are written out"""


def _moved(a: Jet, change: Callable[[Any], Any]) -> Jet:
    """`change` of the shape of the value, for the derivatives too."""
    first = jax.vmap(change)
    second = jax.vmap(first)
    return Jet(
        each(change, a.value),
        None if a.first is None else each(first, full(a.first)),
        None if a.second is None else each(second, full(a.second)),
    )


def read(name: str, rule: Rule, stepped: Stepped) -> Rule:
    """`rule` of ``gather`` or ``dynamic_slice``, and reads at places that are not decided, which may be jumps.

    Where several elements may be read, the derivative is the whole line. What constants are read so is a step.
    """
    hull = places.READS[name]

    def anywhere(step: Step, a: Any, *at: Any) -> Values:
        if not isinstance(a, Jet) or not any(isinstance(place, Jet) for place in at):
            return rule(step, a, *at)
        known = [place.value if isinstance(place, Jet) else place for place in at]
        if a.first is None:
            return stepped(step, lambda step, *given: (hull(step, *given),), (a, *known))
        shape = jnp.shape(a.value.lo)
        # Elements are told apart by numbers from 1 on; 0 stands for a fill value.
        names = jnp.arange(1.0, 1.0 + math.prod(shape)).reshape(shape)
        which = hull(step, Interval(names, names), *known, slope=True)

        def follow(part: Interval | None, lead: int) -> Interval | None:
            if part is None:
                return None
            run = lambda part: hull(step, part, *known, slope=True)  # noqa: E731
            for _ in range(lead):
                run = jax.vmap(run)
            return unbounded(run(full(part)), which.lo < which.hi)

        return (Jet(hull(step, a.value, *known), follow(a.first, 1), follow(a.second, 2)),)

    return anywhere


def pieces(step: Step, a: Jet, axis: int) -> list[Jet]:
    """The slices along an axis."""
    length = jnp.shape(a.value.lo)[axis]
    if length > MOST_FACTORS:
        raise TraceError(
            f"'{step.primitive}' at {step.place} runs over {length} numbers; derivatives take {MOST_FACTORS}"
        )
    front = _moved(a, lambda x: jnp.moveaxis(x, axis, 0))
    return [turn_of(front, k) for k in range(length)]


def cumulative(combine: Callable[[Jet, Jet], Jet]) -> Rule:
    """Rule of a running reduction, one element after the other."""

    def rule(step: Step, a: Jet) -> Values:
        axis = step.params["axis"]
        parts = pieces(step, a, axis)
        out: list[Jet] = []
        for part in reversed(parts) if step.params["reverse"] else parts:
            out.append(combine(out[-1], part) if out else part)
        if step.params["reverse"]:
            out.reverse()
        return (_moved(stacked(out), lambda x: jnp.moveaxis(x, 0, axis)),) if out else (a,)

    return rule


def reduce_prod(step: Step, a: Jet) -> Values:
    """Product along axes, one factor after the other."""
    axes, shape = step.params["axes"], step.in_avals[0].shape
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    rows = _moved(a, lambda x: jnp.transpose(x, (*axes, *kept)).reshape((-1, *[shape[axis] for axis in kept])))
    parts = pieces(step, rows, 0)
    if not parts:
        raise TraceError(f"'reduce_prod' at {step.place} multiplies no numbers")
    out = parts[0]
    for part in parts[1:]:
        out = product(out, part)
    return (out,)


def smaller(a: Jet, b: Jet) -> Jet:
    """``min(a, b)``."""
    return opposite(larger(opposite(a), opposite(b)))


def logaddexp(a: Jet, b: Jet) -> Jet:
    """``b + softplus(a − b)``."""
    value = running.logaddexp(a.value, b.value)
    gap = sum_of(a, opposite(b))
    slopes = SLOPES["softplus"]
    soft = composed(gap, value, lambda: slopes[0](gap.value, value), lambda: slopes[1](gap.value, value))
    return Jet(value, plus(soft.first, b.first), plus(soft.second, b.second))


def ordered(step: Step, a: Jet, *carried: Any) -> Values:
    """``sort`` of one array."""
    if carried:
        raise TraceError(f"'sort' at {step.place} carries other arrays along, which has no rule for derivatives")
    (value,) = running.ordered(step, a.value)
    return (_picked(step, a, value, step.params["dimension"]),)


def top(step: Step, a: Jet) -> Values:
    """``top_k``; the places jump."""
    value, places = running.top(step, a.value)
    if a.first is None:
        return (Jet(value), Jet(places))
    wild = Interval(
        *[jnp.broadcast_to(end, (a.first.lo.shape[0], *jnp.shape(value.lo))) for end in (-jnp.inf, jnp.inf)]
    )
    bends = None if a.second is None else each(lambda x: jnp.broadcast_to(x, (x.shape[0], *x.shape)), wild)
    return (_picked(step, a, value, step.params["axis"]), Jet(places, wild, bends))


def _picked(step: Step, a: Jet, value: Interval, axis: int) -> Jet:
    """Order statistics along an axis: the slope of one is that of an element that may be it."""
    if a.first is None:
        return Jet(value)
    if jnp.shape(a.value.lo)[axis] > MOST_FACTORS:
        raise TraceError(f"'{step.primitive}' at {step.place} is too long for derivatives, which take {MOST_FACTORS}")

    def front(x: Any) -> Any:
        return jnp.moveaxis(x, axis, 0)

    # Axes: place in the result, place in the operand, the others.
    high_enough = front(a.value.hi)[None] >= front(value.lo)[:, None]
    may_be = high_enough & (front(a.value.lo)[None] <= front(value.hi)[:, None])
    may_be = may_be | ~jnp.all(front(dense_ok(a.value)), axis=0)
    several = jnp.moveaxis(jnp.sum(may_be, 1) > 1, 0, axis)

    def chosen(lo: Any, hi: Any, ok: Any) -> Interval:
        low = jnp.min(jnp.where(may_be, front(lo)[None], jnp.inf), 1)
        high = jnp.max(jnp.where(may_be, front(hi)[None], -jnp.inf), 1)
        fine = jnp.all(front(ok)[None] | ~may_be, 1)
        return Interval(*[jnp.moveaxis(part, 0, axis) for part in (low, high, fine)])

    first = jax.vmap(chosen)(a.first.lo, a.first.hi, dense_ok(a.first))
    if a.second is None:
        return Jet(value, first)
    second = jax.vmap(jax.vmap(chosen))(a.second.lo, a.second.hi, dense_ok(a.second))
    return Jet(value, first, unbounded(second, several))


def polygamma(step: Step, order: Jet, a: Jet) -> Values:
    """``ψ⁽ᵐ⁾(a)``, whose derivatives are those of higher order."""

    def higher(k: int) -> Interval:
        return special.polygamma(basics.add(order.value, constant(float(k))), a.value)

    return (composed(a, higher(0), lambda: higher(1), lambda: higher(2)),)


def of_two(value: Interval, u: Jet, v: Jet, slopes: Sequence[Interval], bends: Sequence[Interval]) -> Jet:
    """``f(u, v)`` from the ranges of f_u, f_v and of f_uu, f_vv, f_uv."""
    shape = jnp.shape(value.lo)
    u, v = (Jet(x.value, shaped(x.first, shape, 1), shaped(x.second, shape, 2)) for x in (u, v))
    first = plus(times(slopes[0], u.first), times(slopes[1], v.first))
    second = plus(times(slopes[0], u.second), times(slopes[1], v.second))
    for bend, x in zip(bends, (u, v), strict=False):
        if x.second is not None and x.first is not None:
            second = plus(second, basics.mul(bend, outer_square(x.first)))
    if u.second is not None and v.second is not None and u.first is not None and v.first is not None:
        cross = basics.add(outer(u.first, v.first), outer(v.first, u.first))
        second = plus(second, basics.mul(bends[2], cross))
    return Jet(value, first, second)


def atan2(step: Step, y: Jet, x: Jet) -> Values:
    """Angle of (x, y): ``θ_y = x / r²``, ``θ_x = −y / r²``."""
    value = special.atan2(y.value, x.value)
    radius = basics.add(basics.square(y.value), basics.square(x.value))
    unit_y, unit_x = basics.div(y.value, radius), basics.div(x.value, radius)
    twice = basics.mul(constant(2.0), basics.mul(unit_y, unit_x))
    mixed = basics.sub(basics.square(unit_y), basics.square(unit_x))
    out = of_two(value, y, x, (unit_x, basics.neg(unit_y)), (basics.neg(twice), twice, mixed))
    return (_wild(out, special.at_cut(y.value, x.value)),)


def rem(step: Step, a: Jet, b: Jet) -> Values:
    """``a − b trunc(a / b)``; it jumps where the quotient may be an integer."""
    value = special.rem(a.value, b.value)
    quotient = basics.div(a.value, b.value)
    low, high = jnp.trunc(quotient.lo), jnp.trunc(quotient.hi)
    known = (low == high) & (jnp.abs(low) < 2.0**52)
    count = jnp.where(known, low, 0.0)
    out = sum_of(a, opposite(product(Jet(Interval(count, count)), b)))
    return (_wild(Jet(value, out.first, out.second), ~known),)


def _wild(a: Jet, where: Any) -> Jet:
    """Derivatives unbounded at some places."""
    return Jet(
        a.value,
        None if a.first is None else unbounded(a.first, where),
        None if a.second is None else unbounded(a.second, where),
    )


def convolve(step: Step, a: Jet, b: Jet) -> Values:
    """``conv_general_dilated``, bilinear."""
    a, b = mappable(a), mappable(b)
    left = jax.vmap(lambda d: running.convolution(step, d, b.value))
    right = jax.vmap(lambda d: running.convolution(step, a.value, d))
    first = plus(None if a.first is None else left(a.first), None if b.first is None else right(b.first))
    second = plus(
        None if a.second is None else jax.vmap(left)(a.second), None if b.second is None else jax.vmap(right)(b.second)
    )
    if a.second is not None and b.second is not None and a.first is not None and b.first is not None:
        cross = jax.vmap(lambda p: jax.vmap(lambda q: running.convolution(step, p, q))(b.first))(a.first)
        second = plus(second, basics.add(cross, each(lambda x: jnp.swapaxes(x, 0, 1), cross)))
    return (Jet(running.convolution(step, a.value, b.value), first, second),)


RULES: dict[str, Rule] = {
    "custom_jvp_call": lambda step, a, b: (logaddexp(a, b),),
    "reduce_prod": reduce_prod,
    "cumprod": cumulative(product),
    "cummax": cumulative(larger),
    "cummin": cumulative(smaller),
    "cumlogsumexp": cumulative(logaddexp),
    "sort": ordered,
    "atan2": atan2,
    "rem": rem,
    "top_k": top,
    "polygamma": polygamma,
    "conv_general_dilated": convolve,
}
"""primitive -> rule"""

__all__ = ["RULES", "read"]
