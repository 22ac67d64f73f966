"""How the operations of a linear program carry the sets of ``index_sets``: one rule per operation.

The program is v -> J(x) v, so what depends on v does so linearly. An operation without a rule is read as the worst
case: each of its outputs depends on all that any of its inputs does. No entry can be missed, some may be superfluous.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from jax import lax

from karush.derivatives.contraction import dot_general
from karush.derivatives.index_sets import Sets, everything, gathered, stacked, take, union
from karush.derivatives.known import Value, array_of, sets_of, width
from karush.derivatives.moves import MOVES, NOWHERE
from karush.derivatives.windows import convolution, reduce_window_sum
from karush.jaxprs.walk import Step

ELEMENTWISE = frozenset(
    [
        "add",
        "add_any",
        "complex",
        "conj",
        "convert_element_type",
        "copy",
        "copy_p",
        "div",
        "imag",
        "mul",
        "name",
        "neg",
        "real",
        "reduce_precision",
        "select_n",
        "sub",
    ]
)
"""outputs that depend on the elements of the inputs at the same place"""
MATRICES = (
    "cholesky",
    "eigh",
    "geqrf",
    "householder_product",
    "lu",
    "qr",
    "svd",
    "triangular_solve",
    "tridiagonal_solve",
)
WITHIN_A_BATCH: dict[str, Callable[[dict[str, Any]], int]] = {
    "fft": lambda params: len(params["fft_lengths"]),
    **dict.fromkeys(MATRICES, lambda params: 2),
}
"""operation -> number of last dimensions in which everything depends on everything; the others are a batch"""


def conservative(step: Step, *values: Value) -> list[Value]:
    """Every element of every output depends on all."""
    parts = [value.sets for value in values if value.sets is not None]
    return [Value(everything(parts, prod(aval.shape))) for aval in step.out_avals]


def elementwise(step: Step, *values: Value) -> list[Value]:
    """Each element depends on the same element of the inputs; a factor that is known to be zero cuts the tie."""
    target = step.out_avals[0].shape
    parts = [
        None if value.sets is None else _stretched(value.sets, aval.shape, target)
        for value, aval in zip(values, step.in_avals, strict=True)
    ]
    if step.primitive == "select_n":
        return [_selected(values[0], parts[1:], target)]
    total = union([part for part in parts if part is not None])
    if step.primitive == "mul":
        for factor in map(array_of, values):
            if factor is not None and not np.all(factor):
                alive = np.broadcast_to(factor != 0, target).ravel()
                total = take(total, np.where(alive, np.arange(alive.size), NOWHERE))
    return [Value(total)]


def _stretched(sets: Sets, shape: tuple[int, ...], target: tuple[int, ...]) -> Sets:
    """Sets of an array that the operation itself broadcasts: JAX's operators stretch dimensions of length 1."""
    if shape == target:
        return sets
    return take(sets, np.broadcast_to(np.arange(prod(shape)).reshape(shape), target))


def _selected(which: Value, parts: Sequence[Sets | None], target: tuple[int, ...]) -> Value:
    n = next(part.shape[1] for part in parts if part is not None)
    cases = [sets_of(Value(part), prod(target), n) for part in parts]
    number = array_of(which)
    if number is None:
        return Value(union(cases))
    places = np.broadcast_to(number.astype(np.int64), target).ravel() * prod(target) + np.arange(prod(target))
    return Value(take(stacked(cases), places))


def moved(step: Step, values: Sequence[Value], move: Callable[..., Any]) -> list[Value]:
    """Outputs of an operation that moves elements, given what it does to arrays of positions."""
    offset, arrays, parts = 0, [], []
    for value, aval in zip(values, step.in_avals, strict=True):
        size = prod(aval.shape)
        if value.sets is None:
            arrays.append(np.full(aval.shape, NOWHERE))
        else:
            arrays.append(np.asarray(offset + np.arange(size).reshape(aval.shape)))
            parts.append(value.sets)
            offset += size
    out = move(step, *arrays)
    sets = stacked(parts)
    return [Value(take(sets, positions)) for positions in (out if isinstance(out, list) else [out])]


def _groups(shape: tuple[int, ...], axes: Sequence[Any]) -> tuple[np.ndarray, int]:
    """Number of its group for each element, elements that differ along `axes` alone being one; number of groups."""
    kept = [1 if axis in axes else length for axis, length in enumerate(shape)]
    return np.broadcast_to(np.arange(prod(kept)).reshape(kept), shape), prod(kept)


def _gather(step: Step, operand: Value, indices: Value) -> list[Value]:
    """With indices that are not known, an element may come from anywhere along the dimensions that they run over."""
    if operand.sets is None:
        return conservative(step, operand)
    shape, where = step.in_avals[0].shape, array_of(indices)
    axes = step.params["dimension_numbers"].start_index_map if where is None else ()
    groups, count = _groups(shape, axes)
    where = np.zeros(step.in_avals[1].shape, np.int32) if where is None else where
    out = step.equation.primitive.bind(groups, where, **{**step.params, "fill_value": NOWHERE})
    return [Value(take(gathered(operand.sets, groups, count) if axes else operand.sets, np.asarray(out)))]


def _dynamic_slice(step: Step, operand: Value, *starts: Value) -> list[Value]:
    if operand.sets is None:
        return conservative(step, operand)
    shape, sizes = step.in_avals[0].shape, step.params["slice_sizes"]
    corner = _corner(starts, shape, sizes)
    axes = [axis for axis in range(len(shape)) if sizes[axis] < shape[axis]] if corner is None else []
    groups, count = _groups(shape, axes)
    block = tuple(slice(start, start + size) for start, size in zip(corner or [0] * len(sizes), sizes, strict=True))
    return [Value(take(gathered(operand.sets, groups, count) if axes else operand.sets, groups[block]))]


def _corner(starts: Sequence[Value], shape: tuple[int, ...], sizes: tuple[int, ...]) -> list[int] | None:
    known = [start for start in map(array_of, starts) if start is not None]
    if len(known) < len(starts):
        return None
    # XLA moves a block that would stick out back inside.
    limits = [length - size for length, size in zip(shape, sizes, strict=True)]
    return [int(np.clip(start, 0, limit)) for start, limit in zip(known, limits, strict=True)]


def _dynamic_update_slice(step: Step, operand: Value, update: Value, *starts: Value) -> list[Value]:
    shape, sizes = step.in_avals[0].shape, step.in_avals[1].shape
    corner = _corner(starts, shape, sizes)
    n = width((operand, update))
    below, above = sets_of(operand, prod(shape), n), sets_of(update, prod(sizes), n)
    if corner is None:
        groups, count = _groups(shape, [axis for axis in range(len(shape)) if sizes[axis] < shape[axis]])
        landing = groups[tuple(slice(size) for size in sizes)]
        return [Value(union([below, take(gathered(above, landing, count), groups)]))]
    positions = np.arange(prod(shape)).reshape(shape)
    block = tuple(slice(start, start + size) for start, size in zip(corner, sizes, strict=True))
    positions[block] = prod(shape) + np.arange(prod(sizes)).reshape(sizes)
    return [Value(take(stacked([below, above]), positions))]


def _scatter(step: Step, operand: Value, indices: Value, updates: Value) -> list[Value]:
    """What an element holds already, and all updates that go to it."""
    shape, n = step.in_avals[0].shape, width((operand, updates))
    size = prod(shape)
    below = sets_of(operand, size, n)
    where = array_of(indices)
    above = sets_of(updates, prod(step.in_avals[2].shape), n)
    if where is None:
        groups, count = _groups(shape, step.params["dimension_numbers"].scatter_dims_to_operand_dims)
        landing = _targets(step, np.zeros(step.in_avals[1].shape, np.int32), groups)
        return [Value(union([below, take(gathered(above, landing, count), groups)]))]
    targets = _targets(step, where, np.arange(size).reshape(shape))
    if step.primitive == "scatter":
        kept = np.arange(size)
        kept[targets[targets >= 0]] = NOWHERE
        below = take(below, kept)
    return [Value(union([below, gathered(above, targets, size)]))]


def _targets(step: Step, where: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Position in the operand of each update: the gather that the scatter is the transpose of, on `positions`."""
    shape, updates = step.in_avals[0].shape, step.in_avals[2].shape
    numbers = step.params["dimension_numbers"]
    dropped = set(numbers.inserted_window_dims) | set(numbers.operand_batching_dims)
    window = iter(numbers.update_window_dims)
    sizes = tuple(1 if axis in dropped else updates[next(window)] for axis in range(len(shape)))
    return np.asarray(
        lax.gather(
            positions,
            where,
            lax.GatherDimensionNumbers(
                offset_dims=numbers.update_window_dims,
                collapsed_slice_dims=numbers.inserted_window_dims,
                start_index_map=numbers.scatter_dims_to_operand_dims,
                operand_batching_dims=numbers.operand_batching_dims,
                start_indices_batching_dims=numbers.scatter_indices_batching_dims,
            ),
            sizes,
            mode=step.params["mode"],
            fill_value=NOWHERE,
        )
    )


def _reduce(step: Step, operand: Value) -> list[Value]:
    shape = step.in_avals[0].shape
    groups, count = _groups(shape, step.params["axes"])
    return [Value(gathered(sets_of(operand, prod(shape), width([operand])), groups, count))]


def _cumulative(step: Step, operand: Value) -> list[Value]:
    shape, axis = step.in_avals[0].shape, step.params["axis"]
    sets = sets_of(operand, prod(shape), width([operand]))
    positions = np.moveaxis(np.arange(prod(shape)).reshape(shape), axis, 0).reshape(shape[axis], -1)
    order = np.flip(positions, 0) if step.params.get("reverse") else positions
    out = np.empty(prod(shape), np.int64)
    parts, running = [], take(sets, order[0])
    for place, row in enumerate(order):
        running = running if place == 0 else union([running, take(sets, row)])
        parts.append(running)
        out[row] = place * row.size + np.arange(row.size)
    return [Value(take(stacked(parts), out))]


def _blocks(step: Step, *values: Value) -> list[Value]:
    """Everything depends on everything within a batch."""
    core = WITHIN_A_BATCH[step.primitive](step.params)
    shapes = [aval.shape for aval in step.in_avals]
    batch = shapes[0][: len(shapes[0]) - core]
    outs = [aval.shape for aval in step.out_avals]
    if any(shape[: len(batch)] != batch for shape in (*shapes, *outs)):
        return conservative(step, *values)
    count = prod(batch)
    joined = union(
        [
            gathered(value.sets, np.arange(prod(shape)) // (prod(shape) // count), count)
            for value, shape in zip(values, shapes, strict=True)
            if value.sets is not None
        ]
    )
    return [Value(take(joined, np.arange(prod(shape)) // max(prod(shape) // count, 1))) for shape in outs]


RULES: dict[str, Callable[..., list[Value]]] = {
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **{name: (lambda step, *values, move=move: moved(step, values, move)) for name, move in MOVES.items()},
    **dict.fromkeys(WITHIN_A_BATCH, _blocks),
    "conv_general_dilated": convolution,
    "cumsum": _cumulative,
    "device_put": lambda step, *values: list(values),
    "dot_general": dot_general,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "gather": _gather,
    "optimization_barrier": lambda step, *values: list(values),
    "reduce_sum": _reduce,
    "reduce_window_sum": reduce_window_sum,
    "scatter": _scatter,
    "scatter-add": _scatter,
    "scatter-mul": _scatter,
    "scatter-sub": _scatter,
}


__all__ = ["RULES", "conservative"]
