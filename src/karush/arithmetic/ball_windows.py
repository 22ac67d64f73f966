"""Rules of ball arithmetic for convolutions, orders of the largest, and triangular matrices.

```
L_jj = √(A_jj − Σ L_jk²),   L_ij = (A_ij − Σ L_ik L_jk) / L_jj,        x_i = (b_i − Σ a_ik x_k) / a_ii
P A = L U
```

Each is the textbook algorithm in balls: whatever JAX calls, the exact result is the same.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
from flint import arb

from karush.arithmetic.ball_numbers import Undecided, as_array, balls, is_real
from karush.arithmetic.ball_reductions import product, running
from karush.jaxprs.walk import Rule, Step

Values = Sequence[np.ndarray]
DOUBLE = (11, 52)
"""exponent and mantissa bits of float64"""


def convolve(step: Step, a: np.ndarray, b: np.ndarray) -> Values:
    """``conv_general_dilated``: one product of matrices per place of the kernel."""
    params, numbers = step.params, step.params["dimension_numbers"]
    if params["batch_group_count"] != 1:
        raise Undecided(f"a convolution at {step.place} groups its batch, which has no rule in balls")
    image = _spread_out(a.transpose(numbers.lhs_spec), params["lhs_dilation"], params["padding"])
    kernel = b.transpose(numbers.rhs_spec)
    shape = [step.out_avals[0].shape[axis] for axis in numbers.out_spec]
    out = np.broadcast_to(balls(0.0) if is_real(a) else np.zeros((), a.dtype), shape).copy()
    groups = params["feature_group_count"]
    inputs, outputs = kernel.shape[1], kernel.shape[0] // groups
    for place in np.ndindex(*kernel.shape[2:]):
        cut = [
            slice(k * spread, k * spread + (size - 1) * stride + 1, stride)
            for k, spread, size, stride in zip(
                place, params["rhs_dilation"], shape[2:], params["window_strides"], strict=True
            )
        ]
        window = image[(slice(None), slice(None), *cut)]
        for group in range(groups):
            rows = slice(group * outputs, (group + 1) * outputs)
            part = np.moveaxis(window[:, group * inputs : (group + 1) * inputs], 1, 0).reshape(inputs, -1)
            weights = kernel[(rows, slice(None), *place)]
            made = product(weights, part) if is_real(a) else weights @ part
            added = np.moveaxis(made.reshape(outputs, shape[0], *shape[2:]), 0, 1)
            out[:, rows] = out[:, rows] + added
    return (out.transpose(np.argsort(numbers.out_spec)),)


def _spread_out(a: np.ndarray, dilation: Sequence[int], padding: Sequence[tuple[int, int]]) -> np.ndarray:
    """`a` (batch, features, ...) with zeros between and around its elements; negative padding cuts."""
    sizes = [max((size - 1) * step + 1, 0) for size, step in zip(a.shape[2:], dilation, strict=True)]
    zero = balls(0.0) if is_real(a) else np.zeros((), a.dtype)
    spread = np.broadcast_to(zero, (*a.shape[:2], *sizes)).copy()
    spread[(slice(None), slice(None), *[slice(None, None, step) for step in dilation])] = a
    for axis, (low, high) in enumerate(padding, start=2):
        kept = spread[(*[slice(None)] * axis, slice(max(-low, 0), spread.shape[axis] - max(-high, 0)))]
        ends = [
            np.broadcast_to(zero, (*kept.shape[:axis], max(size, 0), *kept.shape[axis + 1 :])) for size in (low, high)
        ]
        spread = np.concatenate([ends[0], kept, ends[1]], axis)
    return spread


def top(step: Step, a: np.ndarray) -> Values:
    """``top_k``, where the order of the largest is certain."""
    axis, count = step.params["axis"], step.params["k"]
    rows = np.moveaxis(a, axis, -1)
    order = np.empty((*rows.shape[:-1], count), dtype=int)
    for index in np.ndindex(*rows.shape[:-1]):
        row = rows[index]
        if not is_real(row):
            order[index] = np.argsort(-row.astype(object), kind="stable")[:count]
            continue
        ranked = sorted(range(row.size), key=lambda k: -float(row[k].mid()))
        chosen = ranked[:count]
        pairs = [*pairwise(chosen), *[(chosen[-1], k) for k in ranked[count:] if chosen]]
        if not all(row[i] > row[j] for i, j in pairs):
            raise Undecided(f"balls cannot tell which numbers are the largest at {step.place}")
        order[index] = chosen
    values = np.take_along_axis(rows, order, -1)
    places = order.astype(step.out_avals[1].dtype)
    return [np.moveaxis(values, -1, axis), np.moveaxis(places, -1, axis)]


def reduce_precision(step: Step, a: np.ndarray) -> Values:
    """Nothing for float64's own bits; a rounding to fewer jumps everywhere."""
    if (step.params["exponent_bits"], step.params["mantissa_bits"]) != DOUBLE:
        raise Undecided(f"'reduce_precision' at {step.place} rounds to fewer bits than float64 has")
    return (a,)


def cholesky(step: Step, a: np.ndarray) -> Values:
    """Lower triangular L with L Lᵀ = A, read from the lower triangle of A; not finite unless A is positive definite."""
    out = np.broadcast_to(balls(0.0), a.shape).copy()
    n = a.shape[-1]
    for batch in np.ndindex(*a.shape[:-2]):
        low, matrix = out[batch], a[batch]
        for j in range(n):
            pivot = matrix[j, j] - sum((low[j, k] ** 2 for k in range(j)), arb(0))
            low[j, j] = pivot.sqrt() if pivot > 0 else arb.nan()
            for i in range(j + 1, n):
                rest = matrix[i, j] - sum((low[i, k] * low[j, k] for k in range(j)), arb(0))
                low[i, j] = rest / low[j, j]
    return (out,)


def triangular_solve(step: Step, a: np.ndarray, b: np.ndarray) -> Values:
    """X with ``op(A) X = B``, or ``X op(A) = B``, by substitution."""
    params = step.params
    swap = bool(params["transpose_a"]) != (not params["left_side"])
    matrices = np.swapaxes(a, -1, -2) if swap else a
    sides = b if params["left_side"] else np.swapaxes(b, -1, -2)
    lower = bool(params["lower"]) != swap
    n = a.shape[-1]
    out = sides.copy()
    for batch in np.ndindex(*a.shape[:-2]):
        matrix, x = matrices[batch], out[batch]
        done: list[int] = []
        for i in range(n) if lower else range(n - 1, -1, -1):
            for k in done:
                x[i] = as_array(x[i] - matrix[i, k] * x[k])
            if not params["unit_diagonal"]:
                x[i] = as_array(x[i] / matrix[i, i])
            done.append(i)
    return (out if params["left_side"] else np.swapaxes(out, -1, -2),)


def lu(step: Step, a: np.ndarray, *, ties: bool = True) -> Values:
    """P A = L U, L and U in one array, the row swapped at every step, and P; the pivot is the largest of its column.

    Where balls cannot tell which it is: `Undecided`. Of numbers that are exactly equal it is the first if `ties`, which
    may be another one beside x.
    """
    out = a.copy()
    rows, columns = a.shape[-2:]
    swaps = np.zeros((*a.shape[:-2], min(rows, columns)), np.int32)
    order = np.broadcast_to(np.arange(rows, dtype=np.int32), (*a.shape[:-2], rows)).copy()
    for batch in np.ndindex(*a.shape[:-2]):
        matrix, taken = out[batch], order[batch]
        for k in range(min(rows, columns)):
            pivot = k + _largest(step, matrix[k:, k], ties)
            swaps[batch][k] = pivot
            matrix[[k, pivot]], taken[[k, pivot]] = matrix[[pivot, k]], taken[[pivot, k]]
            matrix[k + 1 :, k] = matrix[k + 1 :, k] / matrix[k, k]
            matrix[k + 1 :, k + 1 :] -= matrix[k + 1 :, k, None] * matrix[k, None, k + 1 :]
    return out, swaps, order


def permutation(step: Step, swaps: np.ndarray) -> Values:
    """The order of rows that the swaps of `lu` lead to."""
    size = step.params["permutation_size"]
    order = np.broadcast_to(np.arange(size, dtype=step.out_avals[0].dtype), (*swaps.shape[:-1], size)).copy()
    for batch in np.ndindex(*swaps.shape[:-1]):
        taken = order[batch]
        for k, pivot in enumerate(swaps[batch]):
            taken[[k, pivot]] = taken[[pivot, k]]
    return (order,)


def _largest(step: Step, column: np.ndarray, ties: bool) -> int:
    """Place of the entry of largest absolute value."""
    sizes = [abs(entry) for entry in column]
    best = max(range(len(sizes)), key=lambda k: float(sizes[k].mid()))
    for k, size in enumerate(sizes):
        first = ties and k > best and size == sizes[best]  # equality of balls: both exact, and the same number
        if k != best and not size < sizes[best] and not first:
            raise Undecided(f"balls cannot tell which row is the pivot of 'lu' at {step.place}")
    return best


def platform_index(step: Step) -> Values:
    """Which of several ways to compute one and the same thing is taken: that of the CPU."""
    ways = step.params["platforms"]
    taken = [k for k, names in enumerate(ways) if names is None or "cpu" in names]
    return (np.asarray(taken[0] if taken else 0, dtype=np.int32),)


def logaddexp(a: arb, b: arb) -> arb:
    """``log(e^a + e^b)``, written around the larger midpoint."""
    if float(a.mid()) < float(b.mid()):
        a, b = b, a
    return a + (b - a).exp().log1p()


RULES: dict[str, Rule] = {
    "conv_general_dilated": convolve,
    "top_k": top,
    "reduce_precision": reduce_precision,
    "cumlogsumexp": running(logaddexp, np.logaddexp),
    "cholesky": cholesky,
    "lu": lu,
    "lu_pivots_to_permutation": permutation,
    "platform_index": platform_index,
    "triangular_solve": triangular_solve,
}
"""primitive -> rule"""

SMOOTH: dict[str, Rule] = {"lu": partial(lu, ties=False)}
"""primitive -> rule that refuses ties"""

__all__ = ["RULES", "SMOOTH"]
