"""Rules of ball arithmetic for reductions, running reductions, contractions and sorting."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import arb, arb_mat

from karush.arithmetic.ball_logic import by_kind
from karush.arithmetic.ball_numbers import NO, UNDECIDED, YES, Undecided, as_array, balls, is_real
from karush.jaxprs.walk import Rule, Step

Values = Sequence[np.ndarray]
MATRIX_FROM = 512
"""Products of two numbers from which a contraction goes through ``arb_mat``; below, making the matrices costs more."""


def reduce(combine: Callable[[Any, Any], Any], exact: Callable[..., np.ndarray], empty: float) -> Rule:
    """Rule of a reduction along axes; `exact` reduces integers, `empty` is the result over no elements."""
    folding = np.frompyfunc(combine, 2, 1)

    def rule(step: Step, a: np.ndarray) -> Values:
        rows = _last(a, step.params["axes"])
        if not is_real(a):
            return (np.asarray(exact(rows, axis=-1), dtype=step.out_avals[0].dtype),)
        if rows.shape[-1] == 0:
            return (np.broadcast_to(balls(empty), rows.shape[:-1]).copy(),)
        return (as_array(folding.reduce(rows, axis=-1)),)

    return rule


def _last(a: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """`a` with `axes` joined into one last axis."""
    kept = [axis for axis in range(a.ndim) if axis not in axes]
    shape = [a.shape[axis] for axis in kept]
    return a.transpose((*kept, *axes)).reshape((*shape, int(np.prod([a.shape[axis] for axis in axes]))))


def reduce_and(step: Step, a: np.ndarray) -> Values:
    """Whether all are."""
    rows = _last(a, step.params["axes"])
    no, unknown = (rows == NO).any(axis=-1), (rows == UNDECIDED).any(axis=-1)
    return (np.where(no, NO, np.where(unknown, UNDECIDED, YES)).astype(np.int8),)


def reduce_or(step: Step, a: np.ndarray) -> Values:
    """Whether any is."""
    rows = _last(a, step.params["axes"])
    yes, unknown = (rows == YES).any(axis=-1), (rows == UNDECIDED).any(axis=-1)
    return (np.where(yes, YES, np.where(unknown, UNDECIDED, NO)).astype(np.int8),)


def running(combine: Callable[[Any, Any], Any], exact: np.ufunc) -> Rule:
    """Rule of a running reduction along one axis; `exact` accumulates integers."""
    folding = np.frompyfunc(combine, 2, 1)

    def rule(step: Step, a: np.ndarray) -> Values:
        axis, back = step.params["axis"], slice(None, None, -1 if step.params["reverse"] else 1)
        run = np.moveaxis(a, axis, 0)[back]
        out = folding.accumulate(run, axis=0) if is_real(a) else exact.accumulate(run, axis=0)
        return (np.moveaxis(out[back], 0, axis).astype(a.dtype),)

    return rule


def contract(step: Step, a: np.ndarray, b: np.ndarray) -> Values:
    """``dot_general``: sums over products; axes of the result are batch, free of a, free of b."""
    (over_a, over_b), (batch_a, batch_b) = step.params["dimension_numbers"]
    left, free_a = _matrices(a, over_a, batch_a, last=True)
    right, free_b = _matrices(b, over_b, batch_b, last=False)
    shape = (*[a.shape[axis] for axis in batch_a], *free_a, *free_b)
    if not is_real(a):
        return ((left @ right).reshape(shape).astype(step.out_avals[0].dtype),)
    out = np.empty((left.shape[0], left.shape[1], right.shape[2]), dtype=object)
    for index in range(left.shape[0]):
        out[index] = product(left[index], right[index])
    return (out.reshape(shape),)


def _matrices(a: np.ndarray, over: Sequence[int], batch: Sequence[int], *, last: bool) -> tuple[np.ndarray, list[int]]:
    """`a` as a stack of matrices with the contracted axes last or first, and the shape of the free axes."""
    free = [axis for axis in range(a.ndim) if axis not in (*over, *batch)]
    sizes = [int(np.prod([a.shape[axis] for axis in axes])) for axes in (batch, free, over)]
    if last:
        flat = a.transpose((*batch, *free, *over)).reshape(sizes)
    else:
        flat = a.transpose((*batch, *over, *free)).reshape(sizes[0], sizes[2], sizes[1])
    return flat, [a.shape[axis] for axis in free]


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Product of two matrices of balls, (p, q) and (q, r)."""
    (p, q), r = left.shape, right.shape[1]
    if q == 0:
        return np.broadcast_to(balls(0.0), (p, r)).copy()
    if p * q * r >= MATRIX_FROM:
        result = arb_mat(p, q, left.ravel().tolist()) * arb_mat(q, r, right.ravel().tolist())
        return matrix_entries(result)
    return np.add.reduce(left[:, :, None] * right[None, :, :], axis=1)


def matrix_entries(matrix: arb_mat) -> np.ndarray:
    """Entries of an ``arb_mat`` as an object array."""
    out = np.empty(matrix.nrows() * matrix.ncols(), dtype=object)
    out[:] = matrix.entries()
    return out.reshape(matrix.nrows(), matrix.ncols())


def arg_extreme(largest: bool) -> Rule:
    """Rule of ``argmax`` or ``argmin``, where one element is certainly the best."""

    def rule(step: Step, a: np.ndarray) -> Values:
        (axis,) = step.params["axes"]
        if not is_real(a):
            if step.in_avals[0].dtype == np.bool_ and (a == UNDECIDED).any():
                raise Undecided(f"'{step.primitive}' at {step.place} picks among answers that balls cannot decide")
            found = np.argmax(a, axis) if largest else np.argmin(a, axis)
            return (np.asarray(found, dtype=step.params["index_dtype"]),)
        rows = np.moveaxis(a, axis, -1)
        out = np.empty(rows.shape[:-1], dtype=step.params["index_dtype"])
        for index in np.ndindex(*out.shape):
            row = rows[index] if largest else -rows[index]
            best = max(range(row.size), key=lambda k: float(row[k].mid()))
            if not all(k == best or row[best] > row[k] for k in range(row.size)):
                raise Undecided(f"balls cannot tell which element is the best at {step.place}")
            out[index] = best
        return (out,)

    return rule


def ordered(step: Step, *operands: np.ndarray) -> Values:
    """``sort`` along one axis by one key, where the order is certain."""
    axis, keys = step.params["dimension"], operands[0]
    if not is_real(keys):
        if step.in_avals[0].dtype == np.bool_ and (keys == UNDECIDED).any():
            raise Undecided(f"'sort' at {step.place} orders answers that balls cannot decide")
        if step.params["num_keys"] > 1:
            raise Undecided(f"'sort' at {step.place} orders integers by several keys, which has no rule")
        order = np.argsort(keys, axis=axis, kind="stable")
        return [np.take_along_axis(operand, order, axis) for operand in operands]
    rows = np.moveaxis(keys, axis, -1)
    order = np.empty(rows.shape, dtype=int)
    for index in np.ndindex(*rows.shape[:-1]):
        row = rows[index]
        order[index] = sorted(range(row.size), key=lambda k: float(row[k].mid()))
        if not all(row[i] < row[j] for i, j in zip(order[index], order[index][1:], strict=False)):
            raise Undecided(f"balls cannot tell the order of the numbers sorted at {step.place}")
    order = np.moveaxis(order, -1, axis)
    return [np.take_along_axis(operand, order, axis) for operand in operands]


def _no_tie(name: str, rule: Rule) -> Rule:
    """A reduction by max or min, refused where two of its elements may tie at the best."""

    def refusing(step: Step, a: np.ndarray) -> Values:
        if is_real(a):
            for row in _last(a, step.params["axes"]).reshape(
                -1, int(np.prod([a.shape[k] for k in step.params["axes"]]))
            ):
                best = (
                    max(row, key=lambda x: float(x.mid())) if "max" in name else min(row, key=lambda x: float(x.mid()))
                )
                if sum(bool(best.overlaps(item)) for item in row) > 1:
                    raise Undecided(f"two elements of '{name}' at {step.place} may tie inside the box")
        return rule(step, a)

    return refusing


def _refused(name: str) -> Rule:
    def refusing(step: Step, a: np.ndarray) -> Values:
        raise Undecided(f"'{name}' at {step.place} has kinks that are not looked for")

    return refusing


RULES: dict[str, Rule] = {
    "reduce_sum": reduce(operator.add, np.sum, 0.0),
    "reduce_prod": reduce(operator.mul, np.prod, 1.0),
    "reduce_max": by_kind(reduce(arb.max, np.max, -np.inf), reduce_or),
    "reduce_min": by_kind(reduce(arb.min, np.min, np.inf), reduce_and),
    "reduce_and": reduce_and,
    "reduce_or": reduce_or,
    "argmax": arg_extreme(True),
    "argmin": arg_extreme(False),
    "cumsum": running(operator.add, np.add),
    "cumprod": running(operator.mul, np.multiply),
    "cummax": running(arb.max, np.maximum),
    "cummin": running(arb.min, np.minimum),
    "dot_general": contract,
    "sort": ordered,
}
"""primitive -> rule"""

SMOOTH: dict[str, Rule] = {
    "reduce_max": _no_tie("reduce_max", RULES["reduce_max"]),
    "reduce_min": _no_tie("reduce_min", RULES["reduce_min"]),
    "cummax": _refused("cummax"),
    "cummin": _refused("cummin"),
}
"""primitive -> rule that refuses ties"""

__all__ = ["RULES", "SMOOTH", "matrix_entries", "product"]
