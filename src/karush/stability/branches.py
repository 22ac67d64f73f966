"""Branches: one program left of a threshold, another right of it, where no single one is accurate everywhere.

The variable of the branch is an input, or a term of the program; up to two thresholds are placed where the sum of
errors is least (dynamic programming over the sorted samples [PS+15]).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from karush.stability.search import Candidate, Judge, candidate_of
from karush.stability.terms import Graph, Term, order, substitute
from karush.stability.ulps import from_ordinals, ordinals

SPLITS = 48
"""places tried for a threshold"""
LEAST_GAIN = 0.08
"""mean bits that a branch must save"""


@dataclass(frozen=True, eq=False)
class Plan:
    """Which candidate in which range of the variable."""

    variable: Term
    thresholds: tuple[float, ...]
    choice: tuple[int, ...]
    """index of a candidate per range, one more than thresholds"""
    mean: float


def branched(graph: Graph, pool: Sequence[Candidate], judge: Judge, inputs: Sequence[Term]) -> Candidate | None:
    """The best combination of candidates by one variable; None where none helps."""
    plan = best_plan(pool, judge, inputs)
    if plan is None:
        return None
    outputs: list[Term] | None = None
    lows = (-np.inf, *plan.thresholds)
    highs = (*plan.thresholds, np.inf)
    for low, high, index in zip(lows, highs, plan.choice, strict=True):
        safe = _inside(low, high, graph.dtype)
        part = _confined(graph, pool[index], plan.variable, low, high, safe)
        if outputs is None:
            outputs = part
        else:
            above = graph.term("ge", plan.variable, low)
            outputs = [graph.term("select_n", above, o, p) for o, p in zip(outputs, part, strict=True)]
    assert outputs is not None
    moves = tuple(dict.fromkeys(move for index in plan.choice for move in pool[index].moves))
    found = candidate_of(tuple(outputs), judge, moves)
    return found if found.mean < min(c.mean for c in pool) - LEAST_GAIN else None


def _inside(low: float, high: float, dtype: np.dtype) -> float:
    """A number of the range, for the side of a branch that is not taken."""
    info = np.finfo(dtype)
    if low < 1.0 < high:
        return 1.0
    if low < -1.0 < high:
        return -1.0
    ends = np.asarray([max(low, info.min), min(high, info.max)], dtype)
    middle = ordinals(ends)
    return float(from_ordinals(np.asarray([middle[0] // 2 + middle[1] // 2]), dtype)[0])


def _confined(graph: Graph, c: Candidate, variable: Term, low: float, high: float, safe: float) -> list[Term]:
    """The candidate with the variable kept inside its range, so that derivatives outside are no NaN."""
    changed = variable
    if high < np.inf:
        changed = graph.term("select_n", graph.term("lt", variable, high), graph.constant(safe), changed)
    if low > -np.inf:
        changed = graph.term("select_n", graph.term("ge", variable, low), graph.constant(safe), changed)
    if variable.op != "input":
        return list(c.outputs)
    return substitute(graph, c.outputs, {variable.number: changed})


def best_plan(pool: Sequence[Candidate], judge: Judge, inputs: Sequence[Term]) -> Plan | None:
    """The plan of least mean error over all variables."""
    shape = pool[0].outputs[0].shape
    if len(pool) < 2 or len(pool[0].outputs) != 1 or not pool[0].errors.size:
        return None
    errors = np.stack([c.errors for c in pool])
    variables = [v for v in inputs if v.shape in ((), shape) and v.is_float]
    for term in order(pool[-1].outputs):
        if (
            term.is_float
            and term.args
            and term.shape == shape
            and len(variables) < 8
            and term.op in ("add", "sub", "mul")
        ):
            variables.append(term)
    best: Plan | None = None
    for variable in variables:
        values = np.broadcast_to(_aligned(judge.points.values(variable), judge.exact[0].ndim), judge.exact[0].shape)
        column = values[judge.valid[0]]
        if not np.isfinite(column).all():
            continue
        plan = _plan(variable, column, errors)
        if plan is not None and (best is None or plan.mean < best.mean - 1e-3):
            best = plan
    return best if best is not None and best.mean < errors.mean(axis=1).min() - LEAST_GAIN else None


def _aligned(values: np.ndarray, rank: int) -> np.ndarray:
    return values.reshape(values.shape + (1,) * (rank - values.ndim))


def _plan(variable: Term, column: np.ndarray, errors: np.ndarray) -> Plan | None:
    """The best one or two thresholds for one variable."""
    by_value = np.argsort(column, kind="stable")
    sorted_values = column[by_value]
    sums = np.concatenate([np.zeros((len(errors), 1)), np.cumsum(errors[:, by_value], axis=1)], axis=1)
    total = errors.shape[1]
    changes = np.flatnonzero(sorted_values[1:] != sorted_values[:-1]) + 1
    if not changes.size:
        return None
    splits = changes[np.unique(np.linspace(0, len(changes) - 1, SPLITS).astype(int))]
    zero = int(np.searchsorted(sorted_values, 0.0))
    splits = np.unique(np.append(splits, zero)) if 0 < zero < total else splits
    left, right = sums[:, splits], sums[:, -1:] - sums[:, splits]
    one = left.min(axis=0) + right.min(axis=0)
    i = int(np.argmin(one))
    best_one = one[i] / total
    middle = (sums[:, None, splits] - sums[:, splits, None]).min(axis=0)
    two = left.min(axis=0)[:, None] + middle + right.min(axis=0)[None, :]
    two[np.tril_indices(len(splits))] = np.inf
    j, k = np.unravel_index(int(np.argmin(two)), two.shape)
    if two[j, k] / total < best_one - LEAST_GAIN:
        thresholds = (_threshold(sorted_values, splits[j]), _threshold(sorted_values, splits[k]))
        middles = int(np.argmin(sums[:, splits[k]] - sums[:, splits[j]]))
        choice = (int(np.argmin(left[:, j])), middles, int(np.argmin(right[:, k])))
        return Plan(variable, thresholds, choice, two[j, k] / total)
    choice = (int(np.argmin(left[:, i])), int(np.argmin(right[:, i])))
    return Plan(variable, (_threshold(sorted_values, splits[i]),), choice, best_one) if choice[0] != choice[1] else None


def _threshold(values: np.ndarray, index: int) -> float:
    """A number between two neighbouring samples: 0, or the middle by bit pattern."""
    a, b = values[index - 1], values[index]
    if a < 0 <= b:
        return 0.0
    places = ordinals(np.asarray([a, b], values.dtype))
    return float(from_ordinals(np.asarray([places[0] + (places[1] - places[0] + 1) // 2]), values.dtype)[0])


__all__ = ["best_plan", "branched"]
