"""One run of karush's own interior point, from a start in the user's units to a point and multipliers in them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from karush.backends.answer import BackendAnswer as Answer
from karush.core.status import Status
from karush.derivatives.evaluator import Evaluator
from karush.linalg.kkt_system import Layout
from karush.problem.flat import FlatProblem
from karush.solvers import drivers
from karush.solvers.state import (
    CONVERGED,
    DIVERGED,
    EVALUATION_FAILED,
    INFEASIBLE,
    RESTORATION,
    RUNNING,
    STEP_FAILED,
    Data,
    State,
)

MU_FIRST = 0.1
"""first barrier parameter, as in [WB06]"""
STATUS = {
    CONVERGED: Status.CONVERGED,
    INFEASIBLE: Status.INFEASIBLE,
    STEP_FAILED: Status.STEP_FAILED,
    EVALUATION_FAILED: Status.EVALUATION_FAILED,
    DIVERGED: Status.UNBOUNDED,
    RUNNING: Status.ITERATION_LIMIT,
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When to stop a run from outside."""

    max_iterations: int = 500
    deadline: float = np.inf
    """on the clock of `time.perf_counter`"""
    callback: Callable[[dict[str, Any]], Any] | None = None
    """called after every iteration with a row of the history; a true answer ends the run"""


class Watch:
    """Looks at every iterate of the Python loop: history, callback, limits, and the best point so far."""

    def __init__(self, flat: FlatProblem, data: Data, limits: Limits, offset: int = 0):
        self.flat, self.data, self.limits, self.offset = flat, data, limits, offset
        self.history: list[dict[str, Any]] = []
        self.stopped: Status | None = None
        self.best: tuple[tuple[float, float], State] | None = None
        self.first_feasible: np.ndarray | None = None
        """(n,) where an unbounded run came past first; from far out, a curved way back is lost in rounding"""

    def __call__(self, state: State) -> bool:
        record = self._record(state)
        self.history.append(record)
        rank = (max(0.0, record["infeasibility"] - float(self.data.tol)), float(state.point.value))
        if np.isfinite(rank[0]) and (self.best is None or rank <= self.best[0]):
            self.best = (rank, state)
        if self.first_feasible is None and rank[0] == 0.0:
            self.first_feasible = state.point.v[: self.flat.n] * self.data.x_unit
        if self.limits.callback is not None and self.limits.callback(record):
            self.stopped = Status.STOPPED
        elif time.perf_counter() > self.limits.deadline:
            self.stopped = Status.TIME_LIMIT
        return self.stopped is None

    def _record(self, state: State) -> dict[str, Any]:
        sign = -1.0 if self.flat.maximize else 1.0
        residual = np.abs(state.point.residual) * self.data.row_unit
        return {
            "iteration": self.offset + int(state.iterations),
            "value": sign * float(state.point.value) * float(self.data.f_unit),
            "infeasibility": float(np.max(residual, initial=0.0)),
            "stationarity": float(state.error),
            "barrier": float(state.mu),
            "step": float(state.alpha),
            "phase": "restoration" if state.mode == RESTORATION else "regular",
        }


def watched(
    flat: FlatProblem,
    evaluator: Evaluator,
    rows: Layout,
    data: Data,
    x0: np.ndarray,
    *,
    mu: float = MU_FIRST,
    watch: Watch,
) -> Answer:
    """Run the Python loop from x0 (n,) within the bounds; Ctrl-C ends it with the best point so far."""
    state, interrupted = drivers.python_loop(evaluator, rows, data, x0, mu, watch, watch.limits.max_iterations)
    status = Status.INTERRUPTED if interrupted else watch.stopped or STATUS[int(state.status)]
    if status in (Status.INTERRUPTED, Status.STOPPED, Status.TIME_LIMIT) and watch.best is not None:
        state = watch.best[1]._replace(iterations=state.iterations, evaluations=state.evaluations)
    packed = np.concatenate([state.point.v, state.point.y, state.point.z_upper - state.point.z_lower])
    return unpacked(flat, evaluator, data, packed, status, int(state.iterations), int(state.evaluations), watch.history)


def unpacked(
    flat: FlatProblem,
    evaluator: Evaluator,
    data: Data,
    packed: np.ndarray,
    status: Status,
    iterations: int,
    evaluations: int,
    history: list[dict[str, Any]],
) -> Answer:
    """Back to the user's units from (v, y, z, ...); fixed variables get the multiplier that balances them."""
    n, m = flat.n, flat.m
    x = np.clip(packed[:n] * data.x_unit, flat.lower, flat.upper)
    y = packed[n + m : n + 2 * m] * (data.f_unit / data.row_unit)
    z = packed[n + 2 * m : 2 * n + 2 * m] * (data.f_unit / data.x_unit)
    fixed = flat.lower == flat.upper
    message = ""
    if status is Status.EVALUATION_FAILED:
        message = evaluation_failure(flat, evaluator, x)
    elif fixed.any():
        at = evaluator(x, y)
        z = np.where(fixed, -(at.gradient + y @ at.jacobian), z)
    return Answer(
        x=x,
        y=y,
        z=z,
        status=status,
        message=message,
        iterations=iterations,
        evaluations=evaluations,
        history=tuple(history),
    )


def evaluation_failure(flat: FlatProblem, evaluator: Evaluator, x: np.ndarray) -> str:
    """Which function is not finite at x, in words."""
    value, rows = evaluator.values(x)
    where = ", ".join(f"{name} = {number:.6g}" for name, number in zip(flat.variable_names[:4], x[:4], strict=False))
    more = ", ..." if flat.n > 4 else ""
    if not np.isfinite(value):
        return f"the objective is {value} at {where}{more}"
    bad = np.flatnonzero(~np.isfinite(rows))
    if bad.size:
        return f"constraint {flat.row_names[bad[0]]} is {rows[bad[0]]} at {where}{more}"
    return f"a derivative is not finite at {where}{more}"
