"""Typical sizes of x, f and c, which make every entry of a certificate dimensionless.

Homogeneous of degree one: rescaling the problem, its start, its bounds and the user's scales by powers of two rescales
them alike. They are powers of two themselves, so that dividing by them is exact.
"""

from dataclasses import dataclass

import numpy as np

from karush.derivatives.evaluator import Evaluation, Evaluator
from karush.derivatives.large import Curved
from karush.problem.flat import FlatProblem

REACH = 100.0
"""A start says more about the size of a variable than a box does: the box counts up to this multiple of |x0|."""
ACCIDENT = 1.0e-2
"""|f(x0)| may be small by accident; below this fraction of the typical variation it is not believed."""
UNSEEN = 2.0**-10
"""A row must cross its distance to its limit to become active; where its gradient at x0 vanishes, this part counts."""
BELIEVED = 100.0
"""The variation that derivatives at x0 promise counts up to this multiple of the variation seen over moves."""
MOVES = (1.0, 2.0**-5)
"""Lengths of the moves, in typical sizes of x; the shorter one for functions that are not defined far from x0."""
GOLDEN = 0.5 * (float(np.sqrt(5.0)) - 1.0)
ROUNDING = 2.0**-24
"""Smallest scale of a row relative to its value: rounding, 2^-53 of the value, has to stay far below tol = 1e-8."""


@dataclass(frozen=True)
class Scales:
    """Typical sizes; positive powers of two."""

    x: np.ndarray
    """(n,)"""
    f: float
    rows: np.ndarray
    """(m,)"""
    notes: tuple[str, ...] = ()
    """which of them are nothing but 1 because x0, bounds and the values there were all zero"""


def typical_scales(flat: FlatProblem, evaluation: Evaluation, evaluator: Evaluator | None = None) -> Scales:
    """Scales from the user's, else from x0, the bounds, and f, ∇f, ∇²f, c, J at x0.

    ```
    s_i = max(|x0_i|, min(reach_i, 100 |x0_i|)),    reach = u - l, or the only finite bound;  s_i = reach_i at x0_i = 0
    v   = max(max_i s_i |∇f_i|, max_ij s_i |∇²f_ij| s_j)          typical variation of f
    s_f = |f(x0)| put into [v/100, v]
    s_c = max(|c(x0)|, |limits|) put into [v_c/100, v_c],   v_c = max(max_j |J_j| s_j, |c(x0) - nearest limit| / 1024)
    ```

    Too large a scale of f or c makes a verdict lax, too small a one asks for more than rounding allows. A false
    success is the worst defect, so the smaller of two readings (value, variation) is taken, within a factor of 100.

    Parameters
    ----------
    flat
        The problem.
    evaluation
        At x0 projected onto the bounds, with y = 0 and weight 1. What is not finite in it counts as zero.
    evaluator
        If given, v and v_c count up to BELIEVED times what f and c change by over moves of the typical size of x:
        a derivative destroyed by cancellation at x0 (1e8 where |f| <= 1/2 everywhere) is no size.
    """
    notes: list[str] = []
    x = _variables(flat, notes)
    gradient = _finite(evaluation.gradient)
    variation = max(_largest(x * gradient), _largest_bend(evaluation.hessian, x))
    seen = None if evaluator is None else _seen(flat, evaluation, evaluator, x)
    if seen is not None:
        variation = min(variation, BELIEVED * float(seen[0]))
    f = _put(np.array(abs(float(_finite(np.array(evaluation.value))))), np.array(variation))
    if flat.f_scale is not None:
        f = np.array(flat.f_scale)
    elif f == 0:
        notes.append("typical size of the objective: 1, for it and its derivatives are zero at the start")
    rows = _rows(flat, evaluation, x, np.inf if seen is None else BELIEVED * seen[1:])
    if flat.row_scale is not None:
        rows = np.where(flat.row_scale > 0, flat.row_scale, rows)
    if np.any(rows == 0):
        name = flat.row_names[int(np.argmin(rows))]
        notes.append(f"typical size of {name}: 1, for it, its limits and its gradient are zero at the start")
    return Scales(x, float(_power_of_two(f)), _power_of_two(rows), tuple(notes))


def _variables(flat: FlatProblem, notes: list[str]) -> np.ndarray:
    if flat.x_scale is not None:
        return _power_of_two(flat.x_scale)
    start = np.abs(flat.projected(flat.x0))
    below, above = np.isfinite(flat.lower), np.isfinite(flat.upper)
    width = np.subtract(flat.upper, flat.lower, where=below & above, out=np.zeros(flat.n))
    only = np.where(below, np.abs(flat.lower), np.where(above, np.abs(flat.upper), 0.0))
    reach = np.where(below & above, width, only)
    size = np.where(start > 0, np.maximum(start, np.minimum(reach, REACH * start)), reach)
    if np.any(size == 0):
        notes.append(f"typical size of {flat.variable_names[int(np.argmin(size))]}: 1, for its start is zero")
    return _power_of_two(size)


def _seen(flat: FlatProblem, evaluation: Evaluation, evaluator: Evaluator, scale: np.ndarray) -> np.ndarray:
    """(1+m,) largest change of f and c over MOVES from x0 by up to `scale` (n,); inf where none could be evaluated."""
    start = flat.projected(flat.x0)
    uneven = 0.5 + 0.5 * spread(flat.n)
    alternating = uneven * np.where(np.arange(flat.n) % 2, -1.0, 1.0)
    changes = []
    for move in (uneven, -uneven, alternating, -alternating):
        for length in MOVES:
            x = flat.projected(start + length * move * scale)
            there = evaluator(x, np.zeros(flat.m))
            change = np.abs(np.append(there.value - evaluation.value, there.rows - evaluation.rows))
            changes.append(np.where(np.isfinite(change) & np.any(x != start), change, -np.inf))
    largest = np.max(changes, axis=0)
    return np.where(largest >= 0, largest, np.inf)


def spread(n: int) -> np.ndarray:
    """(n,) numbers spread over (0, 1): multiples of the golden ratio modulo 1, the same in every run."""
    return (np.arange(1, n + 1) * GOLDEN) % 1.0


def _rows(flat: FlatProblem, evaluation: Evaluation, x: np.ndarray, believed: np.ndarray | float) -> np.ndarray:
    if not flat.m:
        return np.zeros(0)
    rows = _finite(evaluation.rows)
    limits = np.stack([flat.row_lower, flat.row_upper])
    distance = np.min(np.abs(limits - rows), axis=0)
    variation = np.max(np.abs(_finite(evaluation.jacobian)) * x, axis=1)
    variation = np.minimum(variation, believed)
    variation = np.maximum(variation, np.where(np.isfinite(distance), UNSEEN * distance, 0.0))
    size = np.maximum(np.abs(rows), np.max(np.where(np.isfinite(limits), np.abs(limits), 0.0), axis=0))
    return np.maximum(_put(size, variation), ROUNDING * size)


def _put(size: np.ndarray, variation: np.ndarray) -> np.ndarray:
    """`size` put into [variation/100, variation]; `size` itself where nothing varies."""
    return np.where(variation > 0, np.clip(size, ACCIDENT * variation, variation), size)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, 0.0)


def _largest(values: np.ndarray) -> float:
    return float(np.max(np.abs(values), initial=0.0))


def _largest_bend(hessian: np.ndarray | Curved, x: np.ndarray) -> float:
    """The largest ``x_i |H_ij| x_j``."""
    if isinstance(hessian, Curved):
        return float(_finite(np.array(hessian.in_units(x, 1.0).largest())))
    return _largest(x[:, None] * _finite(hessian) * x)


def _power_of_two(values: np.ndarray) -> np.ndarray:
    """The largest power of two that is not above; 1 for zero."""
    return np.asarray(np.ldexp(1.0, np.frexp(np.where(values > 0, values, 1.0))[1] - 1))
