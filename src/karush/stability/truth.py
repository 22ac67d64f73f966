"""The exact value of a traced program at many points, rounded once to the program's own dtype.

A program is evaluated in ball arithmetic at rising precision until the ball of every output is so small that it rounds
to one float. Literals are taken as they stand in the program, rounded to its dtype. Points where no precision helps (a
domain left, a pole, a jump) give NaN.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import arb, ctx

from karush.arithmetic.ball import RULES, Undecided, folded
from karush.arithmetic.ball_numbers import lift
from karush.jaxprs.walk import Program, inline, interpret

FIRST_PRECISION = 192
"""bits: enough for well-conditioned programs of float64"""
LAST_PRECISION = 7000
"""bits; ``x - sin x`` at the least float64 cancels 2100 of them, and twice that in a quotient of such"""
GROWTH = 6
SPARE_BITS = 10
"""bits of an output known beyond the dtype's, so that it rounds to the nearest float but for a chance of 1e-3"""


def exact_values(trace: Any, points: Sequence[np.ndarray], *, last: int = LAST_PRECISION) -> list[np.ndarray]:
    """Exact outputs at each point, rounded to the outputs' dtype; NaN where they are not known.

    Parameters
    ----------
    trace
        ``trace(N)`` gives the closed jaxpr of the program over N points, axis 0 of every input and output.
    points
        One array (N, ...) per input.
    last
        Highest precision tried, in bits.
    """
    total = len(points[0])
    results: list[np.ndarray] | None = None
    open_lanes = np.arange(total)
    precision = FIRST_PRECISION
    while len(open_lanes) and precision <= last:
        closed = trace(len(open_lanes))
        if results is None:
            results = [_unknown((total, *v.aval.shape[1:]), v.aval.dtype) for v in closed.jaxpr.outvars]
        outputs = _evaluate(closed, [p[open_lanes] for p in points], precision)
        if outputs is None:
            break
        known = np.ones(len(open_lanes), bool)
        for result, output in zip(results, outputs, strict=True):
            values, settled = _rounded(output, result.dtype)
            result[open_lanes] = values
            known &= settled
        for result in results:
            result[open_lanes[~known]] = np.nan if result.dtype.kind == "f" else 0
        open_lanes = open_lanes[~known]
        precision *= GROWTH
    if results is None:
        closed = trace(total)
        results = [_unknown(v.aval.shape, v.aval.dtype) for v in closed.jaxpr.outvars]
    return results


def _unknown(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """NaN, or 0 where the dtype has none."""
    return np.full(shape, np.nan if dtype.kind == "f" else 0, dtype)


def _evaluate(closed: Any, points: Sequence[np.ndarray], precision: int) -> list[np.ndarray] | None:
    """Balls of the outputs; None where the whole program is beyond ball arithmetic at these points."""
    with ctx.workprec(precision):
        program: Program = folded(inline(closed), RULES)
        try:
            return interpret(program, [lift(p) for p in points], RULES, lift=lift)
        except Undecided:
            return None


def _rounded(output: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Values (N, ...), and whether each lane is settled (N,)."""
    rows = output.reshape(len(output), -1)
    if output.dtype != object:
        return output, np.ones(len(output), bool)
    needed = np.finfo(dtype).nmant + SPARE_BITS
    values = np.empty(rows.shape, np.float64)
    settled = np.ones(len(rows), bool)
    for i, row in enumerate(rows):
        for j, ball in enumerate(row):
            if not ball.is_finite():
                values[i, j], settled[i] = np.nan, False
            else:
                values[i, j] = float(ball.mid())
                settled[i] &= bool(ball.is_zero() or ball.rel_accuracy_bits() >= needed or _beyond(ball))
    with np.errstate(all="ignore"):
        return values.astype(dtype).reshape(output.shape), settled


def _beyond(ball: arb) -> bool:
    """Whether the number is so small that every dtype calls it 0."""
    return bool(abs(ball) < arb(2) ** -1100)


__all__ = ["exact_values"]
