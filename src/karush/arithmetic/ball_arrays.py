"""Rules of ball arithmetic for primitives that move, add up or contract the elements of arrays.

What only moves elements needs no arithmetic: the primitive itself is run on an array of positions, and the balls are
taken from there (`gather`). The common ones are written out with NumPy, which saves JAX compiling each shape.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flint import arb
from jax import lax

from karush.arithmetic.ball_numbers import Undecided, balls, lift
from karush.core.precision import float64
from karush.jaxprs import degree_algebra
from karush.jaxprs.walk import Rule, Step

Values = Sequence[np.ndarray]
OUTSIDE = -1
"""position of an element that comes from no operand"""


def moved(move: Callable[[Step, np.ndarray], np.ndarray]) -> Rule:
    """Rule of a primitive that moves the elements of its one operand as `move` does."""
    return lambda step, a: (np.asarray(move(step, a), dtype=a.dtype),)


def gather(step: Step, a: np.ndarray, indices: np.ndarray) -> Values:
    """Elements of `a` at run-time indices; out of bounds, what the mode says: the nearest, the fill value, or none.

    The primitive is run on positions; `OUTSIDE` reads the fill value, which is put last.
    """
    params = {**step.params, "fill_value": OUTSIDE}
    positions = np.arange(a.size, dtype=float).reshape(a.shape)
    with float64():
        found = np.asarray(step.equation.primitive.bind(jnp.asarray(positions), jnp.asarray(indices), **params))
    fill = step.params["fill_value"]
    if fill is None and np.any(found == OUTSIDE):
        raise Undecided(f"'{step.primitive}' at {step.place} reads outside its array")
    last = lift(np.asarray(0 if fill is None else fill, dtype=step.out_avals[0].dtype))
    pool = np.concatenate([a.ravel(), last.reshape(1).astype(a.dtype)])
    return (np.asarray(pool[found.astype(int)], dtype=a.dtype),)


def _places(step: Step, indices: np.ndarray) -> np.ndarray:
    """Position in the operand that each element of the updates of a scatter goes to; `OUTSIDE` if dropped."""
    dims = step.params["dimension_numbers"]
    operand, _, updates = (aval.shape for aval in step.in_avals)
    window = iter([updates[axis] for axis in dims.update_window_dims])
    missing = (*dims.inserted_window_dims, *dims.operand_batching_dims)
    sizes = tuple(1 if axis in missing else next(window) for axis in range(len(operand)))
    numbers = lax.GatherDimensionNumbers(
        offset_dims=dims.update_window_dims,
        collapsed_slice_dims=dims.inserted_window_dims,
        start_index_map=dims.scatter_dims_to_operand_dims,
        operand_batching_dims=dims.operand_batching_dims,
        start_indices_batching_dims=dims.scatter_indices_batching_dims,
    )
    mode = step.params["mode"]
    with float64():
        positions = jnp.arange(int(np.prod(operand))).reshape(operand)
        found = lax.gather(positions, jnp.asarray(indices), numbers, sizes, mode=mode, fill_value=OUTSIDE)
        return np.asarray(found).reshape(updates)


def scatter(combine: Callable[[Any, Any], Any]) -> Rule:
    """Rule of ``operand[indices] = combine(operand[indices], updates)``, one update after the other."""

    def rule(step: Step, a: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> Values:
        out = a.copy().ravel()
        for place, update in zip(_places(step, indices).flat, updates.flat, strict=True):
            if place != OUTSIDE:
                out[place] = combine(out[place], update)
        return (out.reshape(a.shape),)

    return rule


def padded(step: Step, a: np.ndarray, fill: np.ndarray) -> Values:
    """``pad``: `fill` around and between the elements; negative padding cuts."""
    out = np.full(step.out_avals[0].shape, fill.item(), dtype=a.dtype)
    source, target = [], []
    for size, (low, high, between) in zip(a.shape, step.params["padding_config"], strict=True):
        places = low + (between + 1) * np.arange(size)
        end = low + high + size + between * max(size - 1, 0)
        kept = (places >= 0) & (places < end)
        source.append(np.flatnonzero(kept))
        target.append(places[kept])
    out[np.ix_(*target)] = a[np.ix_(*source)]
    return (out,)


def concatenate(step: Step, *parts: np.ndarray) -> Values:
    """Arrays side by side."""
    return (np.concatenate(parts, axis=step.params["dimension"]),)


def stacked(step: Step, *parts: np.ndarray) -> Values:
    """Arrays of one shape along a new axis."""
    return (np.stack(parts, axis=step.params["axis"]),)


def split(step: Step, a: np.ndarray) -> Values:
    """One array cut into several."""
    return np.split(a, np.cumsum(step.params["sizes"])[:-1], axis=step.params["axis"])


def unstack(step: Step, a: np.ndarray) -> Values:
    """The slices along one axis."""
    return [np.asarray(part, dtype=a.dtype) for part in np.moveaxis(a, step.params["axis"], 0)]


def empty(step: Step, *operands: Any) -> Values:
    """An array that is to be written to: no numbers yet."""
    aval = step.out_avals[0]
    return (
        np.full(aval.shape, arb.nan(), dtype=object) if aval.dtype.kind == "f" else np.zeros(aval.shape, aval.dtype),
    )


def iota(step: Step) -> Values:
    """``0, 1, 2, ...`` along one axis."""
    shape, axis, dtype = step.params["shape"], step.params["dimension"], step.params["dtype"]
    count = np.arange(shape[axis]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    whole = np.broadcast_to(count, shape)
    return (balls(whole) if np.dtype(dtype).kind == "f" else whole.astype(dtype),)


def dynamic_slice(step: Step, a: np.ndarray, *starts: np.ndarray) -> Values:
    """A block at a run-time index, moved inside as JAX does."""
    sizes = step.params["slice_sizes"]
    at = [_inside(start, size, whole) for start, size, whole in zip(starts, sizes, a.shape, strict=True)]
    return (a[tuple(slice(low, low + size) for low, size in zip(at, sizes, strict=True))],)


def dynamic_update_slice(step: Step, a: np.ndarray, update: np.ndarray, *starts: np.ndarray) -> Values:
    """`a` with a block replaced."""
    at = [_inside(start, size, whole) for start, size, whole in zip(starts, update.shape, a.shape, strict=True)]
    out = a.copy()
    out[tuple(slice(low, low + size) for low, size in zip(at, update.shape, strict=True))] = update
    return (out,)


def _inside(start: np.ndarray, size: int, whole: int) -> int:
    return int(np.clip(int(start), 0, whole - size))


RULES: dict[str, Rule] = {
    "reshape": moved(lambda step, a: a.reshape(step.params["new_sizes"])),
    "squeeze": moved(lambda step, a: a.reshape(step.out_avals[0].shape)),
    "expand_dims": moved(lambda step, a: a.reshape(step.out_avals[0].shape)),
    "broadcast_in_dim": moved(degree_algebra.broadcast),
    "transpose": moved(lambda step, a: a.transpose(step.params["permutation"])),
    "slice": moved(degree_algebra.cut),
    "rev": moved(degree_algebra.flip),
    "tile": moved(lambda step, a: np.tile(a, step.params["reps"])),
    "concatenate": concatenate,
    "stack": stacked,
    "split": split,
    "unstack": unstack,
    "empty": empty,
    "empty2": empty,
    "pad": padded,
    "iota": iota,
    "gather": gather,
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "scatter": scatter(lambda old, new: new),
    "scatter-add": scatter(operator.add),
    "scatter-sub": scatter(operator.sub),
    "scatter-mul": scatter(operator.mul),
}
"""primitive -> rule"""

__all__ = ["RULES"]
