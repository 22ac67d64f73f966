"""Sets through products of matrices."""

from math import prod

import numpy as np
from scipy.sparse import csr_matrix

from karush.derivatives.index_sets import combined, gathered, take, union
from karush.derivatives.known import Value, array_of
from karush.jaxprs.walk import Step


def dot_general(step: Step, lhs: Value, rhs: Value) -> list[Value]:
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


__all__ = ["dot_general"]
