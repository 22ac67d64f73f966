"""Rules of twofold numbers for primitives that move, order, add up or contract the elements of arrays.

Sums and products along axes are trees of twofold additions and multiplications; a contraction is the sum over its
twofold products.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.arithmetic.twofold_numbers import Twofold, add, choose, exact, mul, normal
from karush.jaxprs.walk import Rule, Step, bind

Values = Sequence[Any]
MOST_PRODUCTS = 1 << 22
"""products of a contraction that are formed at once; above, one slice of the summed axis after the other"""
LONGEST_TURNS = 64
"""numbers that are folded one after the other; of more, pairs first"""


def both(function: Callable[[Any], Any], a: Any) -> Any:
    """`function`, which only moves elements, of every part of the numbers."""
    return jax.tree_util.tree_map(function, a)


def moved(step: Step, *operands: Any) -> Values:
    """A primitive that moves the elements of its float operands and is steered by integers."""
    upper = bind(step, *[item.hi if isinstance(item, Twofold) else item for item in operands])
    lower = bind(step, *[item.lo if isinstance(item, Twofold) else item for item in operands])
    return [
        Twofold(a, b) if jnp.issubdtype(aval.dtype, jnp.floating) else a
        for a, b, aval in zip(upper, lower, step.out_avals, strict=True)
    ]


def gather(step: Step, a: Twofold, indices: Any) -> Values:
    """Elements of `a`; what is read from outside is NaN in the upper part and so 0 in the lower."""
    hi, lo = bind(step, a.hi, indices)[0], bind(step, a.lo, indices)[0]
    return (Twofold(hi, jnp.where(jnp.isfinite(hi), lo, jnp.zeros_like(lo))),)


def tree(combine: Callable[[Any, Any], Any], a: Any, axes: Sequence[int], neutral: Callable[[Any], Any]) -> Any:
    """Fold along axes, pairs first; `neutral` makes the numbers of a shape that stand for an empty fold.

    The last ones are folded by a loop. XLA writes what a number is made of once more for every slice of it, and slices
    of slices double that: without the loop, which it does not look through, the divergence of two softmaxes took 48 s
    to compile instead of 1.4 s.
    """
    shape = jnp.shape(jax.tree_util.tree_leaves(a)[0])
    kept = [axis for axis in range(len(shape)) if axis not in tuple(axes)]
    outer = [shape[axis] for axis in kept]
    count = int(np.prod([shape[axis] for axis in axes], dtype=int))
    rows = both(lambda x: jnp.transpose(x, (*kept, *axes)).reshape((*outer, count)), a)
    if count == 0:
        return neutral(outer)
    while count > LONGEST_TURNS:
        half = count // 2
        paired = combine(
            both(lambda x, half=half: x[..., :half], rows), both(lambda x, half=half: x[..., half : 2 * half], rows)
        )
        if count % 2:
            rest = both(lambda x, half=half: x[..., 2 * half :], rows)
            paired = jax.tree_util.tree_map(lambda x, y: jnp.concatenate((x, y), axis=-1), paired, rest)
        rows, count = paired, half + count % 2
    first = both(lambda x: x[..., 0], rows)
    if count == 1:
        return first
    others = both(lambda x: jnp.moveaxis(x[..., 1:], -1, 0), rows)
    return lax.scan(lambda total, item: (combine(total, item), None), first, others)[0]


def filled(a: Twofold, number: float) -> Callable[[Any], Twofold]:
    """Maker of twofold numbers of the dtype of `a`, all equal."""
    return lambda shape: exact(jnp.full(shape, number, a.hi.dtype))


def reduce_sum(step: Step, a: Twofold) -> Values:
    """Sum along axes."""
    return (tree(add, a, step.params["axes"], filled(a, 0.0)),)


def reduce_prod(step: Step, a: Twofold) -> Values:
    """Product along axes."""
    return (tree(mul, a, step.params["axes"], filled(a, 1.0)),)


def running(combine: Callable[[Twofold, Twofold], Twofold]) -> Rule:
    """Rule of running sums or products along one axis."""

    def rule(step: Step, a: Twofold) -> Values:
        return (lax.associative_scan(combine, a, reverse=step.params["reverse"], axis=step.params["axis"]),)

    return rule


def below(a: Twofold, b: Twofold) -> Any:
    """``a < b``."""
    return (a.hi < b.hi) | ((a.hi == b.hi) & (a.lo < b.lo))


def maximum(a: Twofold, b: Twofold) -> Twofold:
    """The larger one, or what is undefined."""
    return choose(below(a, b) | jnp.isnan(b.hi), b, a)


def minimum(a: Twofold, b: Twofold) -> Twofold:
    """The smaller one, or what is undefined."""
    return choose(below(b, a) | jnp.isnan(b.hi), b, a)


def extreme(largest: bool) -> Rule:
    """Rule of ``reduce_max`` or ``reduce_min``."""

    def rule(step: Step, a: Twofold) -> Values:
        limit = -jnp.inf if largest else jnp.inf
        return (tree(maximum if largest else minimum, a, step.params["axes"], filled(a, limit)),)

    return rule


def best(a: Twofold, axes: Sequence[int], largest: bool) -> Any:
    """Where the extreme is, as answers."""
    pick, limit = (jnp.max, -jnp.inf) if largest else (jnp.min, jnp.inf)
    top = a.hi == pick(a.hi, axes, keepdims=True)
    lower = jnp.where(top, a.lo, jnp.full_like(a.lo, limit))
    return top & (lower == pick(lower, axes, keepdims=True)) | jnp.isnan(a.hi)


def arg_extreme(largest: bool) -> Rule:
    """Rule of ``argmax`` or ``argmin``: the first of the best, or of the undefined."""

    def rule(step: Step, a: Twofold) -> Values:
        (axis,) = step.params["axes"]
        return (jnp.argmax(best(a, (axis,), largest), axis).astype(step.params["index_dtype"]),)

    return rule


def ordered(step: Step, *operands: Any) -> Values:
    """``sort``: every float key is followed by its lower part as the next key."""
    keys = step.params["num_keys"]
    flat: list[Any] = []
    count = 0
    for index, operand in enumerate(operands):
        parts = list(operand) if isinstance(operand, Twofold) else [operand]
        flat += parts
        count += len(parts) if index < keys else 0
    out = list(
        lax.sort(tuple(flat), dimension=step.params["dimension"], is_stable=step.params["is_stable"], num_keys=count)
    )
    return [Twofold(out.pop(0), out.pop(0)) if isinstance(item, Twofold) else out.pop(0) for item in operands]


def top_k(step: Step, a: Twofold) -> Values:
    """The k largest along an axis, with their places."""
    axis = step.params["axis"] % len(jnp.shape(a.hi))
    count = jnp.shape(a.hi)[axis]
    # Descending with the earlier place first, as `top_k` has it: ascending order of the negated numbers, stably.
    places = lax.broadcasted_iota(np.dtype(step.out_avals[1].dtype), jnp.shape(a.hi), axis)
    hi, lo, found = lax.sort((-a.hi, -a.lo, places), dimension=axis, is_stable=True, num_keys=2)
    k = min(step.params["k"], count)
    hi, lo, found = (lax.slice_in_dim(item, 0, k, axis=axis) for item in (hi, lo, found))
    return [Twofold(-hi, -lo), found]


def scatter_add(step: Step, a: Twofold, indices: Any, updates: Twofold) -> Values:
    """Additions at places: exact where no place is met twice, else of plain accuracy."""
    hits = bind(step, jnp.zeros_like(a.hi), indices, jnp.ones_like(updates.hi))[0]
    zero = jnp.zeros_like(a.hi)
    added = Twofold(bind(step, zero, indices, updates.hi)[0], bind(step, zero, indices, updates.lo)[0])
    return (choose(hits > 0, add(a, normal(added)), a),)


def contract(step: Step, a: Twofold, b: Twofold) -> Values:
    """``dot_general``: axes of the result are batch, free of a, free of b."""
    (over_a, over_b), (batch_a, batch_b) = step.params["dimension_numbers"]
    left, free_a = matrices(a, over_a, batch_a)
    right, free_b = matrices(b, over_b, batch_b)
    shape = (*[jnp.shape(a.hi)[axis] for axis in batch_a], *free_a, *free_b)
    return (both(lambda x: x.reshape(shape), product(left, right)),)


def matrices(a: Twofold, over: Sequence[int], batch: Sequence[int]) -> tuple[Twofold, list[int]]:
    """`a` as (batch, free, summed), and the shape of the free axes."""
    shape = jnp.shape(a.hi)
    free = [axis for axis in range(len(shape)) if axis not in (*over, *batch)]
    sizes = [int(np.prod([shape[axis] for axis in axes], dtype=int)) for axes in (batch, free, over)]
    flat = both(lambda x: jnp.transpose(x, (*batch, *free, *over)).reshape(sizes), a)
    return flat, [shape[axis] for axis in free]


def product(left: Twofold, right: Twofold) -> Twofold:
    """``sum_k left[b, i, k] right[b, j, k]``."""
    (batch, rows, count), columns = jnp.shape(left.hi), jnp.shape(right.hi)[1]
    if batch * rows * columns * count <= MOST_PRODUCTS:
        terms = mul(
            both(lambda x: jnp.broadcast_to(x[:, :, None, :], (batch, rows, columns, count)), left),
            both(lambda x: jnp.broadcast_to(x[:, None, :, :], (batch, rows, columns, count)), right),
        )
        return tree(add, terms, (3,), filled(terms, 0.0))

    def turn(total: Twofold, pair: tuple[Twofold, Twofold]) -> tuple[Twofold, None]:
        x, y = pair
        wide = (batch, rows, columns)
        term = mul(
            both(lambda z: jnp.broadcast_to(z[:, :, None], wide), x),
            both(lambda z: jnp.broadcast_to(z[:, None, :], wide), y),
        )
        return add(total, term), None

    slices = tuple(both(lambda x: jnp.moveaxis(x, 2, 0), item) for item in (left, right))
    start = exact(jnp.zeros((batch, rows, columns), left.hi.dtype))
    return lax.scan(turn, start, slices)[0]


MOVING = (
    "reshape", "squeeze", "expand_dims", "broadcast_in_dim", "transpose", "slice", "rev", "tile", "concatenate",
    "stack", "split", "unstack", "pad", "dynamic_slice", "dynamic_update_slice", "scatter", "copy", "copy_p",
    "device_put", "stop_gradient", "optimization_barrier", "name", "real", "neg",
)  # fmt: skip
"""primitives that only move elements, or change all signs"""

RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVING, moved),
    "gather": gather,
    "scatter-add": scatter_add,
    "reduce_sum": reduce_sum,
    "reduce_prod": reduce_prod,
    "reduce_max": extreme(True),
    "reduce_min": extreme(False),
    "argmax": arg_extreme(True),
    "argmin": arg_extreme(False),
    "cumsum": running(add),
    "cumprod": running(mul),
    "cummax": running(maximum),
    "cummin": running(minimum),
    "sort": ordered,
    "top_k": top_k,
    "dot_general": contract,
}
"""primitive -> rule"""

__all__ = ["RULES", "below", "both", "maximum", "minimum", "tree"]
