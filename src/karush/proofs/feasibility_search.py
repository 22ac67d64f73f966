"""The search for a witness of infeasibility or of a feasible point; all of it is checked afterwards.

Depth first over the box: a part is discarded by one row or by a combination of rows; else a feasible point is looked
for from its middle; else it is bisected where the violation is most sensitive.
"""

import time
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog, lsq_linear

from karush.arithmetic.ball_numbers import Undecided, lowers, uppers
from karush.derivatives.evaluator import Evaluator
from karush.problem.flat import FlatProblem
from karush.proofs.feasibility import (
    Covering,
    Leaf,
    NearPoint,
    Split,
    box_balls,
    excluded,
    parts,
    verify_point,
)
from karush.proofs.functions import Functions
from karush.proofs.system import Limit

MOST_NODES = 20_000
POINTS_UP_TO = 64
"""parts of the box from whose middle a feasible point is looked for"""
STEPS = 20
"""Gauss–Newton steps to a feasible point"""
MARGINS = (1e-2, 1e-5, 0.0)
"""how far inside its limits a row is first asked for, relative to max(1, |limit|)"""
NEAR = 1.0e-9
"""distance to a limit, relative to max(1, |limit|), from which a row is held at it"""
INFLATION = 16.0
RADIUS = 1.0e-10
"""radius of W over the last error, and its least size relative to max(1, |x|)"""
UNEVEN = 4.0
"""how much narrower one variable may be bisected than another, each as a share of its first width"""
SLIGHT = 1.0e-9
"""weight of the share where no row changes"""
COARSE = 2.0**20
"""points are tried rounded to multiples of its inverse too, for a limit may hold with equality there"""


@dataclass
class Found:
    """What a search ends with."""

    covering: Covering | None = None
    point: NearPoint | None = None
    reason: str = ""
    nodes: int = 0


def search(functions: Functions, evaluator: Evaluator, lower: np.ndarray, upper: np.ndarray, deadline: float) -> Found:
    """A witness, or the reason why there is none, for the finite box [lower, upper] (n,)."""
    flat = functions.flat
    nodes: list[Split | Leaf] = []
    todo, looked = [(lower, upper)], 0
    starts = [flat.projected(flat.x0)] if np.all((flat.x0 >= lower) & (flat.x0 <= upper)) else []
    while todo:
        low, high = todo.pop()
        middle = low + (high - low) / 2
        leaf = discarded(functions, evaluator, low, high, middle)
        if leaf is not None:
            nodes.append(leaf)
            continue
        if looked < POINTS_UP_TO:
            for start in (*starts, middle):
                point = feasible_near(functions, evaluator, start, lower, upper)
                if point is not None:
                    return Found(point=point, nodes=len(nodes))
            looked, starts = looked + 1, []
        if len(nodes) >= MOST_NODES or time.perf_counter() > deadline:
            return Found(reason=f"neither was decided within {len(nodes)} parts of the box", nodes=len(nodes))
        variable = _to_bisect(evaluator, low, high, middle, upper - lower)
        if variable is None:
            return Found(reason="a part of the box that cannot be bisected any more is not decided", nodes=len(nodes))
        split = Split(variable, float(middle[variable]))
        nodes.append(split)
        below, above = parts(low, high, split)
        todo += [above, below]
    return Found(covering=Covering(lower, upper, tuple(nodes)), nodes=len(nodes))


def discarded(
    functions: Functions, evaluator: Evaluator, low: np.ndarray, high: np.ndarray, middle: np.ndarray
) -> Leaf | None:
    """A leaf that proves the box infeasible, if one is found."""
    flat = functions.flat
    x = box_balls(low, high)
    try:
        values = functions.values(x)[0][1:]
        least, most = lowers(values), uppers(values)
        for row in np.flatnonzero((least > flat.row_upper) | (most < flat.row_lower)):
            return Leaf(((int(row), 1.0),), False)
    except Undecided:
        pass
    at = evaluator(middle, np.zeros(flat.m))
    if not (np.all(np.isfinite(at.rows)) and np.all(np.isfinite(at.jacobian))):
        return None
    for weights in _combinations(flat.row_lower, flat.row_upper, at.rows, at.jacobian, (high - low) / 2):
        leaf = Leaf(tuple((int(i), float(weights[i])) for i in np.flatnonzero(weights)), True)
        if excluded(functions, low, high, leaf):
            return leaf
    return None


def _combinations(
    lower: np.ndarray, upper: np.ndarray, c: np.ndarray, J: np.ndarray, radius: np.ndarray
) -> list[np.ndarray]:
    """Weights (m,) whose linearised combination stays off its limits on the box: of one row, and by linear programming.

    ``min t  s.t.  l − t <= c + J d <= u + t,  |d| <= radius``: the multipliers of a positive optimum are the weights.
    """
    reach = np.abs(J) @ radius
    out = []
    for row in np.flatnonzero((c - reach > upper) | (c + reach < lower)):
        weights = np.zeros(c.size)
        weights[row] = 1.0
        return [weights]
    above, below = np.isfinite(upper), np.isfinite(lower)
    size = 1.0 + np.abs(c)
    A = np.concatenate([np.column_stack([J[above], -size[above]]), np.column_stack([-J[below], -size[below]])])
    b = np.concatenate([(upper - c)[above], (c - lower)[below]])
    limits = [(-r, r) for r in radius] + [(None, None)]
    cost = np.append(np.zeros(radius.size), 1.0)
    solved = linprog(cost, A_ub=A, b_ub=b, bounds=limits, method="highs")
    if solved.status == 0 and solved.x[-1] > 0:
        found = -solved.ineqlin.marginals
        weights = np.zeros(c.size)
        weights[above] += found[: above.sum()]
        weights[below] -= found[above.sum() :]
        out.append(weights)
    return out


def _to_bisect(
    evaluator: Evaluator, low: np.ndarray, high: np.ndarray, middle: np.ndarray, first: np.ndarray
) -> int | None:
    """Of the variables that are still wide, as a share of `first`, that by which the rows change most over the part.

    A variable may matter off the middle alone, so none is left behind by more than a factor `UNEVEN`.
    """
    divisible = (middle > low) & (middle < high)
    if not divisible.any():
        return None
    width = high - low
    share = np.where(divisible, width / np.where(first > 0, first, 1.0), 0.0)
    jacobian = evaluator(middle, np.zeros(evaluator.m)).jacobian
    smear = np.nan_to_num(np.abs(jacobian)).max(axis=0, initial=0.0) * width
    wide = share >= share.max() / UNEVEN
    return int(np.argmax(np.where(wide, smear + SLIGHT * share, -1.0)))


def feasible_near(
    functions: Functions, evaluator: Evaluator, start: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> NearPoint | None:
    """A verified witness of a feasible point near `start` (n,) within the box, if Newton's method finds one."""
    flat = functions.flat
    low, high = np.maximum(lower, flat.lower), np.minimum(upper, flat.upper)
    if np.any(low > high):
        return None
    for margin in MARGINS:
        x = _towards(flat, evaluator, np.clip(start, low, high), low, high, margin)
        if x is None:
            continue
        for at in (x, np.clip(np.round(x * COARSE) / COARSE, low, high)):
            for held in _held(flat, evaluator, at):
                witness = _witness(flat, evaluator, at, held, lower, upper, (low, high))
                try:
                    verify_point(functions, witness)
                except Undecided:
                    continue
                return witness
    return None


def _towards(
    flat: FlatProblem, evaluator: Evaluator, x: np.ndarray, low: np.ndarray, high: np.ndarray, margin: float
) -> np.ndarray | None:
    """Gauss–Newton on the violation of the limits, moved inwards by `margin` where there is room, within the bounds."""
    room = flat.row_upper - flat.row_lower
    size = np.minimum(1.0, np.where(room > 0, room / 4, 0.0)) * margin
    inner_low, inner_high = flat.row_lower + size, flat.row_upper - size
    movable = high > low
    for _ in range(STEPS):
        at = evaluator(x, np.zeros(flat.m))
        over = np.maximum(at.rows - inner_high, 0.0) - np.maximum(inner_low - at.rows, 0.0)
        if not (np.all(np.isfinite(at.rows)) and np.all(np.isfinite(at.jacobian))):
            return None
        chosen = over != 0.0
        if not chosen.any() or not movable.any():
            return x
        J = at.jacobian[chosen][:, movable]
        step = np.linalg.lstsq(J, -over[chosen], rcond=None)[0]
        moved = x[movable] + step
        if np.any(moved < low[movable]) or np.any(moved > high[movable]):
            ends = low[movable] - x[movable], np.maximum(high[movable] - x[movable], np.finfo(float).tiny)
            step = lsq_linear(J, -over[chosen], ends).x
        x = x.copy()
        x[movable] = np.clip(x[movable] + step, low[movable], high[movable])
    return x


def _held(flat: FlatProblem, evaluator: Evaluator, x: np.ndarray) -> list[tuple[Limit, ...]]:
    """Rows to be held: the equalities, and these with all rows that are at a limit."""
    rows = evaluator(x, np.zeros(flat.m)).rows
    equal = [Limit(int(i), 0) for i in np.flatnonzero(flat.row_lower == flat.row_upper)]
    touching = list(equal)
    for i in np.flatnonzero(flat.row_lower != flat.row_upper):
        for side, limit in ((1, flat.row_upper[i]), (-1, flat.row_lower[i])):
            if np.isfinite(limit) and abs(rows[i] - limit) <= NEAR * max(1.0, abs(limit)):
                touching.append(Limit(int(i), side))
                break
    choices = [tuple(equal), tuple(touching)] if len(touching) > len(equal) else [tuple(equal)]
    # Without held rows the point itself may be feasible, equalities included, in exact numbers.
    return [*choices, ()] if equal else choices


def _witness(
    flat: FlatProblem,
    evaluator: Evaluator,
    x: np.ndarray,
    held: tuple[Limit, ...],
    lower: np.ndarray,
    upper: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray],
) -> NearPoint:
    """The directions are those of least length, of the variables off their ends."""
    at = evaluator(x, np.zeros(flat.m))
    rows = [limit.at for limit in held]
    A = np.zeros((flat.n, len(rows)))
    free = (x > ends[0]) & (x < ends[1])
    error = 0.0
    if rows and free.any():
        A[free] = np.linalg.pinv(at.jacobian[rows][:, free])
        limits = np.array([flat.row_upper[k] if side >= 0 else flat.row_lower[k] for k, side in held])
        error = float(np.max(np.abs(at.rows[rows] - limits)))
    radius = INFLATION * error + RADIUS * max(1.0, float(np.max(np.abs(at.rows[rows]), initial=0.0)))
    return NearPoint(lower, upper, x, held, A, radius)


__all__ = ["Found", "discarded", "feasible_near", "search"]
