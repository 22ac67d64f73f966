"""Rules of interval arithmetic for running reductions, orders, scatters and convolutions.

```
out_k = a_1 ∘ a_2 ∘ ... ∘ a_k,        order statistics, maxima and sums of exponentials increase in every element
```
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.arithmetic import interval_arrays as arrays
from karush.arithmetic.interval_basics import add, magnitude, maximum, mul, neg, sub
from karush.arithmetic.interval_functions import UNARY, exp
from karush.arithmetic.interval_numbers import Interval, Truth, dense_ok, each
from karush.core.errors import TraceError
from karush.jaxprs.walk import Rule, Step, bind

Values = Sequence[Any]
MOST_TERMS = 64
"""length up to which a running reduction is written out"""
BITS = (11, 52)
"""exponent and mantissa of float64"""


def logaddexp(a: Interval, b: Interval) -> Interval:
    """``log(e^a + e^b)``, increasing in both: its values at both ends."""

    def at(x: Any, y: Any) -> Interval:
        gap = sub(Interval(x, x), Interval(y, y))
        most = jnp.maximum(x, y)
        tail = UNARY["log1p"](exp(neg(magnitude(gap))))
        return add(Interval(most, most), tail)

    return Interval(at(a.lo, b.lo).lo, at(a.hi, b.hi).hi, maximum(a, b).ok)


def running(combine: Callable[[Interval, Interval], Interval]) -> Rule:
    """Rule of a running reduction along one axis, one element after the other."""

    def rule(step: Step, a: Interval) -> Values:
        axis, back = step.params["axis"], step.params["reverse"]
        length = step.in_avals[0].shape[axis]
        if length > MOST_TERMS:
            raise TraceError(
                f"'{step.primitive}' at {step.place} runs over {length} numbers; intervals take {MOST_TERMS}"
            )
        rows = each(lambda x: jnp.moveaxis(jnp.flip(x, axis) if back else x, axis, 0), a)
        out: list[Interval] = []
        for k in range(length):
            here = each(lambda x, k=k: x[k], rows)
            out.append(combine(out[-1], here) if out else here)
        if not out:
            return (a,)
        whole = each(lambda *parts: jnp.moveaxis(jnp.stack(parts), 0, axis), *out)
        return (each(lambda x: jnp.flip(x, axis), whole) if back else whole,)

    return rule


def reduce_precision(step: Step, a: Interval) -> Values:
    """Rounding to fewer bits: increasing, and nothing for float64's own."""
    if (step.params["exponent_bits"], step.params["mantissa_bits"]) == BITS:
        return (a,)
    return (Interval(bind(step, a.lo)[0], bind(step, a.hi)[0], a.ok),)


def _spanned(a: Interval, axis: int) -> Interval:
    """The hull of all elements along an axis, at each of them."""
    shape = jnp.shape(a.lo)
    lo, hi = jnp.min(a.lo, axis, keepdims=True), jnp.max(a.hi, axis, keepdims=True)
    ok = None if a.ok is None else jnp.broadcast_to(jnp.all(dense_ok(a), axis, keepdims=True), shape)
    return Interval(jnp.broadcast_to(lo, shape), jnp.broadcast_to(hi, shape), ok)


def ordered(step: Step, *operands: Any) -> Values:
    """``sort`` by one key; arrays that are carried along may come in any order."""
    if len(operands) == 1:
        return arrays.ordered(step, *operands)
    if step.params["num_keys"] != 1 or any(isinstance(item, Truth) for item in operands):
        raise TraceError(f"'sort' at {step.place} has several keys, or carries answers, which has no rule in intervals")
    axis = step.params["dimension"]
    reals = [item if isinstance(item, Interval) else _whole(item) for item in operands]
    key = reals[0]
    ok = None if key.ok is None else jnp.broadcast_to(jnp.all(key.ok), jnp.shape(key.lo))
    first = Interval(jnp.sort(key.lo, axis), jnp.sort(key.hi, axis), ok)
    return [first, *[_spanned(item, axis) for item in reals[1:]]]


def _whole(value: Any) -> Interval:
    end = jnp.asarray(value, jnp.float64)
    return Interval(end, end)


def top(step: Step, a: Interval) -> Values:
    """``top_k``: order statistics; their places may be any."""
    (lo, _), (hi, _) = bind(step, a.lo), bind(step, a.hi)
    ok = None if a.ok is None else jnp.broadcast_to(jnp.all(a.ok), jnp.shape(lo))
    last = float(step.in_avals[0].shape[step.params["axis"]] - 1)
    return (Interval(lo, hi, ok), Interval(jnp.zeros_like(lo), jnp.full_like(lo, last)))


def scatter_mul(step: Step, a: Interval, indices: Any, updates: Interval) -> Values:
    """``a[indices] *= updates``, each place at most once."""
    if not step.params["unique_indices"]:
        raise TraceError(f"'scatter-mul' at {step.place} has a rule in intervals with unique_indices=True only")
    ones = jnp.ones(step.in_avals[0].shape)
    factor = each(lambda x: bind(step, ones, indices, x)[0], Interval(updates.lo, updates.hi))
    factor = Interval(factor.lo, factor.hi, None)
    ok = None
    if updates.ok is not None:
        ok = bind(step, ones, indices, jnp.where(dense_ok(updates), 1.0, 2.0))[0] == 1.0
    out = mul(a, Interval(factor.lo, factor.hi, ok))
    return (out,)


def convolve(step: Step, a: Interval, b: Interval) -> Values:
    """``conv_general_dilated``, through midpoints and radii."""
    return (convolution(step, a, b),)


def convolution(step: Step, a: Interval, b: Interval) -> Interval:
    """Convolution of two intervals; of at most as many products as the kernel has elements per output."""
    shape, numbers = step.in_avals[1].shape, step.params["dimension_numbers"]
    count = float(np.prod(shape)) / max(shape[numbers.rhs_spec[0]], 1)
    highest = {**step.params, "precision": (lax.Precision.HIGHEST, lax.Precision.HIGHEST)}
    out = arrays.by_radii(a, b, lambda x, y: step.equation.primitive.bind(x, y, **highest), count)
    if a.ok is None and b.ok is None:
        return out
    ok = jnp.all(dense_ok(a)) & jnp.all(dense_ok(b))
    return Interval(out.lo, out.hi, jnp.broadcast_to(ok, jnp.shape(out.lo)))


RULES: dict[str, Rule] = {
    "cumprod": running(mul),
    "cumlogsumexp": running(logaddexp),
    "reduce_precision": reduce_precision,
    "sort": ordered,
    "top_k": top,
    "scatter-mul": scatter_mul,
    "conv_general_dilated": convolve,
}
"""primitive -> rule"""

__all__ = ["MOST_TERMS", "RULES", "convolution", "logaddexp", "running"]
