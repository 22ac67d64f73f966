"""Sets through convolutions and sliding windows.

Along one dimension, output p of a window of K elements reads ``s p − low + r k`` for k < K, in an input stretched by
its dilation d: elements between the multiples of d, and beyond the ends, are zeros and depend on nothing.
"""

from collections.abc import Sequence
from math import prod

import numpy as np
from scipy.sparse import csr_matrix

from karush.derivatives.index_sets import Sets, combined, everything, gathered, take, union
from karush.derivatives.known import Value, array_of
from karush.jaxprs.walk import Step


def _reads(length: int, out: int, window: int, stride: int, low: int, dilations: tuple[int, int]) -> np.ndarray:
    """(out, window) element that each place of a window reads along one dimension, -1 for none."""
    base, spread = dilations
    place = np.arange(out)[:, None] * stride - low + np.arange(window)[None, :] * spread
    inside = (place >= 0) & (place <= (length - 1) * base) & (place % base == 0)
    return np.where(inside, place // base, -1)


def _positions(reads: Sequence[np.ndarray], shape: Sequence[int]) -> np.ndarray:
    """(outputs, places of the window), flat, position read in an array of `shape`; -1 for none."""
    total = np.zeros((1, 1), np.int64)
    inside = np.ones((1, 1), bool)
    for along, length in zip(reads, shape, strict=True):
        grown = total[:, None, :, None] * length + np.maximum(along, 0)[None, :, None, :]
        kept = inside[:, None, :, None] & (along >= 0)[None, :, None, :]
        size = (grown.shape[0] * grown.shape[1], grown.shape[2] * grown.shape[3])
        total, inside = grown.reshape(size), np.broadcast_to(kept, grown.shape).reshape(size)
    return np.where(inside, total, -1)


def _collected(sets: Sets, reads: np.ndarray) -> Sets:
    """Union over what each output reads; `reads` (outputs, places)."""
    of_output, place = np.nonzero(reads >= 0)
    shape = (reads.shape[0], sets.shape[0])
    return combined(
        csr_matrix((np.ones(of_output.size, bool), (of_output, reads[of_output, place])), shape=shape), sets
    )


def reduce_window_sum(step: Step, operand: Value) -> list[Value]:
    """Each output depends on the elements of its window."""
    params, shape, out = step.params, step.in_avals[0].shape, step.out_avals[0].shape
    strides, padding = params["window_strides"], params["padding"]
    dilations = list(zip(params["base_dilation"], params["window_dilation"], strict=True))
    reads = [
        _reads(shape[d], out[d], params["window_dimensions"][d], strides[d], padding[d][0], dilations[d])
        for d in range(len(shape))
    ]
    sets = operand.sets
    return [Value() if sets is None else Value(_collected(sets, _positions(reads, shape)))]


def convolution(step: Step, lhs: Value, rhs: Value) -> list[Value]:
    """``out[b, c, p]``: the inputs under the filter c that is not known to be 0 there, and all of filter c."""
    numbers = step.params["dimension_numbers"]
    out_shape = tuple(step.out_avals[0].shape[axis] for axis in numbers.out_spec)  # batch, feature, space
    if step.params["batch_group_count"] > 1:
        sets = [value.sets for value in (lhs, rhs) if value.sets is not None]
        return [Value(everything(sets, prod(out_shape)))]
    parts = []
    if lhs.sets is not None:
        parts.append(_through_input(step, lhs.sets, array_of(rhs), out_shape))
    if rhs.sets is not None:
        shape = tuple(step.in_avals[1].shape[axis] for axis in numbers.rhs_spec)  # out feature, in feature, space
        order = np.transpose(np.arange(prod(shape)).reshape(step.in_avals[1].shape), numbers.rhs_spec).ravel()
        filters = gathered(take(rhs.sets, order), np.repeat(np.arange(shape[0]), prod(shape[1:])), shape[0])
        feature = np.arange(shape[0]).reshape(1, -1, *[1] * len(shape[2:]))
        parts.append(take(filters, np.broadcast_to(feature, out_shape)))
    # From batch, feature, space to the order of the output.
    places = np.empty(step.out_avals[0].shape, np.int64)
    np.transpose(places, numbers.out_spec)[...] = np.arange(prod(out_shape)).reshape(out_shape)
    return [Value(take(union(parts), places))]


def _through_input(step: Step, sets: Sets, rhs: np.ndarray | None, out_shape: tuple[int, ...]) -> Sets:
    params, numbers = step.params, step.params["dimension_numbers"]
    shape = tuple(step.in_avals[0].shape[axis] for axis in numbers.lhs_spec)  # batch, feature, space
    filters = tuple(step.in_avals[1].shape[axis] for axis in numbers.rhs_spec)
    order = np.transpose(np.arange(prod(shape)).reshape(step.in_avals[0].shape), numbers.lhs_spec).ravel()
    batch, features, space = shape[0], shape[1], shape[2:]
    reads = [
        _reads(
            space[d],
            out_shape[2 + d],
            filters[2 + d],
            params["window_strides"][d],
            params["padding"][d][0],
            (params["lhs_dilation"][d], params["rhs_dilation"][d]),
        )
        for d in range(len(space))
    ]
    under = _positions(reads, space)
    per_group = features // params["feature_group_count"]
    outs_per_group = out_shape[1] // params["feature_group_count"]
    alive = np.ones((out_shape[1], per_group, under.shape[1]), bool)
    if rhs is not None:
        alive = (np.transpose(rhs, numbers.rhs_spec) != 0).reshape(alive.shape)
    parts = []
    for c in range(out_shape[1]):
        of_feature, place = np.nonzero(alive[c])
        feature = (c // outs_per_group) * per_group + of_feature
        seen = np.where(under[:, place] >= 0, feature * prod(space) + under[:, place], -1)
        whole = np.arange(batch)[:, None, None] * features * prod(space) + seen
        parts.append(np.where(seen >= 0, whole, -1))
    return _of_channels(take(sets, order), parts, out_shape)


def _of_channels(sets: Sets, parts: list[np.ndarray], out_shape: tuple[int, ...]) -> Sets:
    """Outputs (batch, feature, space) from what each feature reads, (batch, space, places) each."""
    space = prod(out_shape[2:])
    of_output, sources = [], []
    for c, reads in enumerate(parts):
        b, p, place = np.nonzero(reads >= 0)
        of_output.append((b * out_shape[1] + c) * space + p)
        sources.append(reads[b, p, place])
    rows, columns = np.concatenate(of_output), np.concatenate(sources)
    shape = (prod(out_shape), sets.shape[0])
    return combined(csr_matrix((np.ones(rows.size, bool), (rows, columns)), shape=shape), sets)


__all__ = ["convolution", "reduce_window_sum"]
