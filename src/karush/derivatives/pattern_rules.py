"""How the operations of a linear program carry the sets of ``index_sets``: one rule per operation.

The program is v -> J(x) v, so what depends on v does so linearly. An operation without a rule is read as the worst
case: each of its outputs depends on all that any of its inputs does. No entry can be missed, some may be superfluous.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from jax import lax
from scipy.sparse import csr_matrix

from karush.derivatives.index_sets import combined, everything, gathered, made, stacked, take, union
from karush.derivatives.known import Value, array_of
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


def sets_of(value: Value, size: int, n: int) -> csr_matrix:
    """The sets of a value, empty ones if it depends on nothing."""
    return made(np.zeros(size + 1, np.int64), np.zeros(0, np.int32), n) if value.sets is None else value.sets


def width(values: Sequence[Value]) -> int:
    """n, the number of entries of v."""
    return next(value.sets.shape[1] for value in values if value.sets is not None)


def conservative(step: Step, *values: Value) -> list[Value]:
    """Every element of every output depends on all."""
    parts = [value.sets for value in values if value.sets is not None]
    return [Value(everything(parts, prod(aval.shape))) for aval in step.out_avals]


def elementwise(step: Step, *values: Value) -> list[Value]:
    """Each element depends on the same element of the inputs; a factor that is known to be zero cuts the tie."""
    size = prod(step.out_avals[0].shape)
    if step.primitive == "select_n":
        return [_selected(values, size)]
    parts = []
    for value in values:
        if value.sets is not None:
            rows = value.sets.shape[0]
            parts.append(value.sets if rows == size else take(value.sets, np.zeros(size, np.int64)))
    total = union(parts)
    if step.primitive == "mul":
        for factor in map(array_of, values):
            if factor is not None and not np.all(factor):
                alive = np.broadcast_to(factor != 0, step.out_avals[0].shape).ravel()
                total = take(total, np.where(alive, np.arange(size), NOWHERE))
    return [Value(total)]


def _selected(values: Sequence[Value], size: int) -> Value:
    cases = [sets_of(case, size, width(values)) for case in values[1:]]
    which = array_of(values[0])
    if which is None:
        return Value(union(cases))
    places = np.broadcast_to(which.astype(np.int64).ravel(), (size,)) * size + np.arange(size)
    return Value(take(stacked(cases), places))


def moved(step: Step, values: Sequence[Value], move: Callable[..., Any]) -> list[Value]:
    """Outputs of an operation that moves elements, given what it does to arrays of positions."""
    offset, arrays, parts = 0, [], []
    for value, aval in zip(values, step.in_avals, strict=True):
        size = prod(aval.shape)
        if value.sets is None:
            arrays.append(np.full(aval.shape, NOWHERE))
        else:
            arrays.append(offset + np.arange(size).reshape(aval.shape))
            parts.append(value.sets)
            offset += size
    out = move(step, *arrays)
    sets = stacked(parts)
    return [Value(take(sets, positions)) for positions in (out if isinstance(out, list) else [out])]


def _gather(step: Step, operand: Value, indices: Value) -> list[Value]:
    where = array_of(indices)
    if operand.sets is None or where is None:
        return conservative(step, operand)
    positions = np.arange(operand.sets.shape[0]).reshape(step.in_avals[0].shape)
    out = step.equation.primitive.bind(positions, where, **{**step.params, "fill_value": NOWHERE})
    return [Value(take(operand.sets, np.asarray(out)))]


def _dynamic_slice(step: Step, operand: Value, *starts: Value) -> list[Value]:
    corner = _corner(starts, step.in_avals[0].shape, step.params["slice_sizes"])
    if operand.sets is None or corner is None:
        return conservative(step, operand)
    positions = np.arange(operand.sets.shape[0]).reshape(step.in_avals[0].shape)
    block = tuple(slice(start, start + size) for start, size in zip(corner, step.params["slice_sizes"], strict=True))
    return [Value(take(operand.sets, positions[block]))]


def _corner(starts: Sequence[Value], shape: tuple[int, ...], sizes: tuple[int, ...]) -> list[int] | None:
    known = [array_of(start) for start in starts]
    if any(start is None for start in known):
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
        return [Value(union([below, everything([above], prod(shape))]))]
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
        return [Value(union([below, everything([above], size)]))]
    targets = _targets(step, where)
    if step.primitive == "scatter":
        kept = np.arange(size)
        kept[targets[targets >= 0]] = NOWHERE
        below = take(below, kept)
    return [Value(union([below, gathered(above, targets, size)]))]


def _targets(step: Step, where: np.ndarray) -> np.ndarray:
    """Position in the operand of each update: the gather that the scatter is the transpose of, on positions."""
    shape, updates = step.in_avals[0].shape, step.in_avals[2].shape
    numbers = step.params["dimension_numbers"]
    dropped = set(numbers.inserted_window_dims) | set(numbers.operand_batching_dims)
    window = iter(numbers.update_window_dims)
    sizes = tuple(1 if axis in dropped else updates[next(window)] for axis in range(len(shape)))
    return np.asarray(
        lax.gather(
            np.arange(prod(shape)).reshape(shape),
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
    shape, axes = step.in_avals[0].shape, step.params["axes"]
    kept = [1 if axis in axes else length for axis, length in enumerate(shape)]
    targets = np.broadcast_to(np.arange(prod(kept)).reshape(kept), shape)
    return [Value(gathered(sets_of(operand, prod(shape), width([operand])), targets, prod(kept)))]


def _cumulative(step: Step, operand: Value) -> list[Value]:
    shape, axis = step.in_avals[0].shape, step.params["axis"]
    sets = sets_of(operand, prod(shape), width([operand]))
    positions = np.moveaxis(np.arange(prod(shape)).reshape(shape), axis, 0)
    order = np.flip(positions, 0) if step.params.get("reverse") else positions
    out = np.empty(shape, np.int64)
    parts, running = [], take(sets, order[0])
    for place, row in enumerate(order):
        running = running if place == 0 else union([running, take(sets, row)])
        parts.append(running)
        out.ravel()[row.ravel()] = place * row.size + np.arange(row.size)
    return [Value(take(stacked(parts), out))]


def _dot_general(step: Step, lhs: Value, rhs: Value) -> list[Value]:
    """``out[b, i, j]``: the sets of ``lhs[b, i, :]`` where ``rhs[b, :, j]`` is not known to be 0, and the other way."""
    parts = []
    (contracted, batch), avals = step.params["dimension_numbers"], step.in_avals
    sides = [(lhs, rhs, 0), (rhs, lhs, 1)]
    out_shape = step.out_avals[0].shape
    for value, other, side in sides:
        if value.sets is None:
            continue
        mine, theirs = avals[side].shape, avals[1 - side].shape
        free = [axis for axis in range(len(mine)) if axis not in (*contracted[side], *batch[side])]
        far = [axis for axis in range(len(theirs)) if axis not in (*contracted[1 - side], *batch[1 - side])]
        b, k = prod(mine[axis] for axis in batch[side]), prod(mine[axis] for axis in contracted[side])
        i, j = prod(mine[axis] for axis in free), prod(theirs[axis] for axis in far)
        rows = np.transpose(np.arange(prod(mine)).reshape(mine), (*batch[side], *free, *contracted[side]))
        factor = array_of(other)
        mask = np.ones(theirs, bool) if factor is None else np.broadcast_to(factor != 0, theirs)
        mask = np.transpose(mask, (*batch[1 - side], *far, *contracted[1 - side])).reshape(b, j, k)
        if mask.all():
            # every far index sees the same union: form it once
            once = gathered(value.sets, _inverse(np.repeat(np.arange(b * i), k), rows.ravel()), b * i)
            spread = np.arange(b * i).reshape(b, i, 1) + np.zeros((1, 1, j), np.int64)
        else:
            of_batch, at_j, at_k = np.nonzero(mask)
            to = (of_batch[:, None] * i + np.arange(i)) * j + at_j[:, None]
            source = rows.reshape(b, i, k)[of_batch, :, at_k]
            shape = (b * i * j, prod(mine))
            weights = csr_matrix((np.ones(to.size, bool), (to.ravel(), source.ravel())), shape=shape)
            once, spread = combined(weights, value.sets), np.arange(b * i * j).reshape(b, i, j)
        ordered = spread if side == 0 else np.transpose(spread, (0, 2, 1))
        parts.append(take(once, ordered.reshape(out_shape)))
    return [Value(union(parts))]


def _inverse(targets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Target of each row, where ``rows[i]`` goes to ``targets[i]``."""
    out = np.empty(rows.size, np.int64)
    out[rows] = targets
    return out


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
    "dot_general": _dot_general,
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


__all__ = ["RULES", "conservative", "sets_of", "width"]
