"""Rules of interval arithmetic for primitives that move, add up or contract the elements of arrays.

```
|fl(Σ t_i) − Σ t_i| <= n 2⁻⁵³ (1 + ...) Σ |t_i|     in any order of summation, with or without fused operations
```

so sums are widened by n 2⁻⁵² Σ|t_i|, twice that [Rum10]. Contractions with an exact factor, and large ones, go through
midpoints and radii; small ones of two wide factors are products of intervals, added up, which is tighter.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.arithmetic.interval_basics import mul
from karush.arithmetic.interval_numbers import EPS, FLUSHED, Interval, Truth, as_truth, dense_ok, each
from karush.core.errors import TraceError
from karush.jaxprs.walk import Rule, Step, bind

Values = Sequence[Any]
MOST_PRODUCTS = 1 << 15
"""products of two wide factors that are written out one by one; above, midpoints and radii"""
MOST_FACTORS = 64
"""elements whose product is written out"""


def moved(step: Step, *operands: Any) -> Values:
    """A primitive that moves the elements of its interval operands, together, and is steered by integers."""
    if any(isinstance(operand, Truth) for operand in operands):
        return _moved_answers(step, *operands)
    chosen = [k for k, operand in enumerate(operands) if isinstance(operand, Interval)]

    def run(*parts: Any) -> Any:
        filled = list(operands)
        for k, part in zip(chosen, parts, strict=True):
            filled[k] = part
        return bind(step, *filled)

    parts = [operands[k] for k in chosen]
    exact = all(part.exact for part in parts)
    lo = run(*[part.lo for part in parts])
    hi = lo if exact else run(*[part.hi for part in parts])
    oks: Sequence[Any] = [None] * len(lo)
    if any(part.ok is not None for part in parts):
        oks = run(*[dense_ok(part) for part in parts])
    return [Interval(a, b, ok) for a, b, ok in zip(lo, hi, oks, strict=True)]


def _moved_answers(step: Step, *operands: Any) -> Values:
    """The same for answers."""
    truths = [
        as_truth(operand) if aval.dtype == jnp.bool_ else operand
        for operand, aval in zip(operands, step.in_avals, strict=True)
    ]
    yes = bind(step, *[item.can_be_true if isinstance(item, Truth) else item for item in truths])
    no = bind(step, *[item.can_be_false if isinstance(item, Truth) else item for item in truths])
    return [Truth(a, b) for a, b in zip(yes, no, strict=True)]


def gather(step: Step, a: Interval, indices: Any, *, slope: bool = False) -> Values:
    """Elements of `a`; one read from outside is the fill value, or, without one, any number, and not defined.

    The derivative of a fill value is 0 (`slope`).
    """

    def read(x: Any, fill: Any) -> Any:
        params = {**step.params, "fill_value": fill}
        return step.equation.primitive.bind(x, indices, **params)

    fill = step.params["fill_value"] if step.params["mode"] == lax.GatherScatterMode.FILL_OR_DROP else 0.0
    real = fill is not None and np.isfinite(fill)
    fill = 0.0 if slope else fill
    ends = (fill, fill) if real else (-np.inf, np.inf)
    lo = read(a.lo, ends[0])
    hi = lo if a.exact and real else read(a.hi, ends[1])
    ok = None
    if a.ok is not None or not real:
        ok = read(jnp.where(dense_ok(a), 1.0, 0.0), 1.0 if real else 0.0) == 1.0
    return (Interval(lo, hi, ok),)


def total(a: Interval, axes: Sequence[int]) -> Interval:
    """Sum along axes."""
    axes = tuple(axes)
    count = float(np.prod([jnp.shape(a.lo)[axis] for axis in axes])) if axes else 1.0
    lo = _lowered(jnp.sum(a.lo, axes), jnp.sum(jnp.abs(a.lo), axes), count)
    hi = -_lowered(-jnp.sum(a.hi, axes), jnp.sum(jnp.abs(a.hi), axes), count)
    lo = jnp.where(jnp.all(a.lo >= 0.0, axes), jnp.maximum(lo, 0.0), lo)
    hi = jnp.where(jnp.all(a.hi <= 0.0, axes), jnp.minimum(hi, 0.0), hi)
    return Interval(lo, hi, None if a.ok is None else jnp.all(dense_ok(a), axes))


def _lowered(value: Any, sizes: Any, count: float) -> Any:
    """A number below a sum of `count` terms with computed value and sum of sizes."""
    # One more for the sum of sizes, which is rounded as well, and one for this step.
    moved_down = value - (sizes * ((count + 2.0) * EPS) + (count + 2.0) * FLUSHED)
    return jnp.where(jnp.isnan(moved_down), -jnp.inf, moved_down)


def reduce_sum(step: Step, a: Interval) -> Values:
    """``reduce_sum``."""
    return (total(a, step.params["axes"]),)


def cumsum(step: Step, a: Interval) -> Values:
    """Running sums along one axis."""
    count = float(step.in_avals[0].shape[step.params["axis"]])
    lo = _lowered(bind(step, a.lo)[0], bind(step, jnp.abs(a.lo))[0], count)
    hi = -_lowered(-bind(step, a.hi)[0], bind(step, jnp.abs(a.hi))[0], count)
    ok = None
    if a.ok is not None:
        ok = bind(step, jnp.where(dense_ok(a), 0.0, 1.0))[0] == 0.0
    return (Interval(lo, hi, ok),)


def reduce_prod(step: Step, a: Interval) -> Values:
    """Product along axes, one factor after the other."""
    axes = step.params["axes"]
    kept = [axis for axis in range(len(step.in_avals[0].shape)) if axis not in axes]
    shape = [step.in_avals[0].shape[axis] for axis in kept]
    rows = each(lambda x: jnp.transpose(x, (*kept, *axes)).reshape((*shape, -1)), a)
    count = rows.lo.shape[-1]
    if not 0 < count <= MOST_FACTORS:
        raise TraceError(
            f"'reduce_prod' at {step.place} multiplies {count} numbers; intervals take 1 to {MOST_FACTORS}"
        )
    out = each(lambda x: x[..., 0], rows)
    for k in range(1, count):
        out = mul(out, each(lambda x, k=k: x[..., k], rows))
    return (out,)


def extreme(step: Step, a: Interval) -> Values:
    """``reduce_max``, ``reduce_min``, ``cummax``, ``cummin``: increasing in every element."""
    axes = step.params.get("axes")
    ok = None
    if a.ok is not None:
        ok = jnp.all(dense_ok(a), axes) if axes is not None else jnp.broadcast_to(jnp.all(a.ok), jnp.shape(a.lo))
    return (Interval(bind(step, a.lo)[0], bind(step, a.hi)[0], ok),)


def best_place(step: Step, a: Interval) -> Values:
    """``argmax``, ``argmin``: from the first to the last place that may hold the best element."""
    (axis,) = step.params["axes"]
    low, high = (a.lo, a.hi) if step.primitive == "argmax" else (-a.hi, -a.lo)
    may_be = (high >= jnp.max(low, axis, keepdims=True)) | ~dense_ok(a) | ~jnp.all(dense_ok(a), axis, keepdims=True)
    first = jnp.argmax(may_be, axis)
    last = may_be.shape[axis] - 1 - jnp.argmax(jnp.flip(may_be, axis), axis)
    return (Interval(first.astype(jnp.float64), last.astype(jnp.float64)),)


def ordered(step: Step, *operands: Any) -> Values:
    """``sort`` of one array: every order statistic is increasing in every element."""
    if len(operands) != 1:
        raise TraceError(f"'sort' at {step.place} carries other arrays along, which has no rule in intervals")
    (a,) = operands
    ok = None if a.ok is None else jnp.broadcast_to(jnp.all(a.ok), jnp.shape(a.lo))
    return (Interval(bind(step, a.lo)[0], bind(step, a.hi)[0], ok),)


def scatter_add(step: Step, a: Interval, indices: Any, updates: Interval) -> Values:
    """``a[indices] += updates``, or ``−=``."""
    count = float(np.prod(step.in_avals[2].shape)) + 1.0
    minus = step.primitive == "scatter-sub"
    first, last = (updates.hi, updates.lo) if minus else (updates.lo, updates.hi)

    def added(base: Any, sizes: Any) -> Any:
        return bind(step, base, indices, -sizes if minus else sizes)[0]

    def low(base: Any, changes: Any) -> Any:
        return _lowered(bind(step, base, indices, changes)[0], added(jnp.abs(base), jnp.abs(changes)), count)

    ok = None
    if a.ok is not None or updates.ok is not None:
        ok = added(jnp.where(dense_ok(a), 0.0, 1.0), jnp.where(dense_ok(updates), 0.0, 1.0)) == 0.0
    return (Interval(low(a.lo, first), -low(-a.hi, -last), ok),)


def contract(step: Step, a: Interval, b: Interval) -> Values:
    """``dot_general``."""
    numbers = step.params["dimension_numbers"]
    return (dot(a, b, numbers),)


def dot(a: Interval, b: Interval, numbers: Any) -> Interval:
    """Sums over products; axes of the result are batch, free of a, free of b."""
    (over_a, _), (batch_a, _) = numbers
    shape_a, shape_b = jnp.shape(a.lo), jnp.shape(b.lo)
    count = int(np.prod([shape_a[axis] for axis in over_a]))
    batch = int(np.prod([shape_a[axis] for axis in batch_a]))
    volume = np.prod(shape_a, dtype=float) * np.prod(shape_b, dtype=float) / max(count * batch, 1)
    if not (a.exact or b.exact) and volume <= MOST_PRODUCTS:
        return _written_out(a, b, numbers)
    highest = lax.Precision.HIGHEST
    out = by_radii(a, b, lambda x, y: lax.dot_general(x, y, numbers, precision=highest), float(count))
    if a.ok is None and b.ok is None:
        return out
    ok = jnp.all(dense_ok(a)) & jnp.all(dense_ok(b))
    return Interval(out.lo, out.hi, jnp.broadcast_to(ok, jnp.shape(out.lo)))


def _written_out(a: Interval, b: Interval, numbers: Any) -> Interval:
    (over_a, over_b), (batch_a, batch_b) = numbers
    shape_a, shape_b = jnp.shape(a.lo), jnp.shape(b.lo)
    free_a = [k for k in range(len(shape_a)) if k not in (*over_a, *batch_a)]
    free_b = [k for k in range(len(shape_b)) if k not in (*over_b, *batch_b)]
    batch = [shape_a[k] for k in batch_a]
    over = [shape_a[k] for k in over_a]
    ones_a, ones_b = [1] * len(free_a), [1] * len(free_b)
    left = [*batch, *[shape_a[k] for k in free_a], *ones_b, *over]
    right = [*batch, *ones_a, *[shape_b[k] for k in free_b], *over]
    spread_a = each(lambda x: jnp.transpose(x, (*batch_a, *free_a, *over_a)).reshape(left), a)
    spread_b = each(lambda x: jnp.transpose(x, (*batch_b, *free_b, *over_b)).reshape(right), b)
    rank = len(left)
    return total(mul(spread_a, spread_b), range(rank - len(over), rank))


def by_radii(a: Interval, b: Interval, product: Callable[[Any, Any], Any], count: float) -> Interval:
    """``|AB − mA mB| <= |mA| rB + rA (|mB| + rB)``, and the rounding of all of it; `product` adds `count` products."""
    (mid_a, rad_a), (mid_b, rad_b) = _middle(a), _middle(b)
    size_a, size_b = jnp.abs(mid_a), jnp.abs(mid_b)
    middle = product(mid_a, mid_b)
    radius = product(size_a, size_b) * ((count + 2.0) * EPS)
    if rad_b is not None:
        radius = radius + product(size_a, rad_b)
    if rad_a is not None:
        radius = radius + product(rad_a, size_b if rad_b is None else (size_b + rad_b) * (1.0 + 2.0 * EPS))
    # Every computed term above is a sum of at most `count` products of numbers >= 0.
    radius = radius * (1.0 + (2.0 * count + 8.0) * EPS) + (4.0 * count + 8.0) * FLUSHED
    lo, hi = middle - radius, middle + radius
    lo = lo - (jnp.abs(lo) * EPS + FLUSHED)
    hi = hi + (jnp.abs(hi) * EPS + FLUSHED)
    return Interval(jnp.where(jnp.isnan(lo), -jnp.inf, lo), jnp.where(jnp.isnan(hi), jnp.inf, hi))


def _middle(a: Interval) -> tuple[Any, Any]:
    """A number in the interval, and a radius around it that covers the interval; no radius for exact numbers."""
    if a.exact:
        return a.lo, None
    middle = 0.5 * a.lo + 0.5 * a.hi
    # The barrier keeps both uses of the middle one number: fused differently they might differ.
    middle = lax.optimization_barrier(middle)
    radius = jnp.maximum(middle - a.lo, a.hi - middle)
    return middle, radius * (1.0 + 2.0 * EPS) + FLUSHED


MOVING = [
    "reshape",
    "squeeze",
    "expand_dims",
    "broadcast_in_dim",
    "transpose",
    "slice",
    "rev",
    "tile",
    "concatenate",
    "stack",
    "split",
    "unstack",
    "pad",
    "dynamic_slice",
    "dynamic_update_slice",
    "scatter",
    "copy",
    "copy_p",
    "device_put",
    "stop_gradient",
    "optimization_barrier",
    "name",
    "real",
]

RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVING, moved),
    "gather": gather,
    **dict.fromkeys(("scatter-add", "scatter-sub"), scatter_add),
    "reduce_sum": reduce_sum,
    "reduce_prod": reduce_prod,
    **dict.fromkeys(("reduce_max", "reduce_min", "cummax", "cummin"), extreme),
    "cumsum": cumsum,
    "dot_general": contract,
    "sort": ordered,
    **dict.fromkeys(("argmax", "argmin"), best_place),
}
"""primitive -> rule"""

__all__ = ["MOVING", "RULES", "by_radii", "dot", "extreme", "moved", "ordered", "total"]
