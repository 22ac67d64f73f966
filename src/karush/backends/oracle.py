"""One evaluation per point for solvers that ask for f, ∇f, c, J and ∇²L one by one, and the reasons to stop early."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal

import numpy as np

from karush.backends.answer import BackendAnswer, BackendOptions
from karush.core.status import Status
from karush.derivatives.evaluator import Evaluator, SparseEvaluation
from karush.problem.flat import FlatProblem

SHOWN_VARIABLES = 3
"""entries of x printed in the message about a failed evaluation"""
# In these cases a solver's last point may be anything, the best one seen is not.
ENDED_ANYWHERE = frozenset({Status.INTERRUPTED, Status.STOPPED, Status.TIME_LIMIT, Status.EVALUATION_FAILED})


MEASURED = ("infeasibility", "stationarity", "barrier", "step")
"""What a row of the history holds beside the iteration and the value."""


class Oracle:
    """The problem as callbacks, with a memory of one point, of the best point, and of what went wrong.

    Every point is clipped to the bounds before the user's functions see it: solvers step a rounding error outside of
    them, and some further.

    Compiled solvers swallow the exceptions of their callbacks, Ctrl-C included. So callbacks run inside ``carried()``,
    which keeps an exception until `answer` raises it again, and Ctrl-C is a mark that `proceed` reads between two
    iterations.
    """

    def __init__(self, flat: FlatProblem, evaluator: Evaluator, options: BackendOptions):
        self.flat, self.evaluator, self.options = flat, evaluator, options
        self.deadline = np.inf if options.time_limit is None else time.perf_counter() + options.time_limit
        self.evaluations = 0
        self.history: list[dict[str, Any]] = []
        self.stop: Status | None = None
        self.failure: str | None = None
        """the last evaluation that gave no finite number, in words"""
        self.error: BaseException | None = None
        self._x = np.full(flat.n, np.nan)
        self._values: tuple[float, np.ndarray] | None = None
        self._derivatives: SparseEvaluation | None = None
        self._weights: tuple[float, np.ndarray] = (1.0, np.zeros(flat.m))
        self._best: tuple[tuple[float, float], np.ndarray] | None = None

    def values(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """f(x) and c(x) (m,); NaN and inf as the user's functions gave them."""
        self._move_to(x)
        if self._values is None:
            self._values = self.evaluator.values(self._x)
            self._remember(*self._values)
        return self._values

    def derivatives(self, x: np.ndarray) -> SparseEvaluation:
        """∇f and the entries of J at x; whatever Hessian was last asked for comes with them."""
        self._move_to(x)
        return self._differentiated() if self._derivatives is None else self._derivatives

    def hessian(self, x: np.ndarray, y: np.ndarray, weight: float) -> np.ndarray:
        """Entries, in the lower triangle, of the Hessian of ``weight f + yᵀc``."""
        self._move_to(x)
        there = self._derivatives
        if there is None or weight != self._weights[0] or not np.array_equal(y, self._weights[1]):
            self._weights = (float(weight), np.array(y, dtype=np.float64))
            there = self._differentiated()
        return there.hessian_data

    def _move_to(self, x: np.ndarray) -> None:
        x = self.flat.projected(x)
        if not np.array_equal(x, self._x):
            self._x, self._values, self._derivatives = x, None, None
            self.evaluations += 1

    def _differentiated(self) -> SparseEvaluation:
        weight, y = self._weights
        there = self._derivatives = self.evaluator.sparse(self._x, y, weight)
        if self._values is None:
            self._values = there.value, there.rows
            self._remember(*self._values)
        if not self._finite_values():
            return there
        if not np.all(np.isfinite(there.gradient)):
            j = int(np.flatnonzero(~np.isfinite(there.gradient))[0])
            self._fail(f"the derivative of the objective in {self.flat.variable_names[j]}", there.gradient[j])
        elif not np.all(np.isfinite(there.jacobian_data)):
            k = int(np.flatnonzero(~np.isfinite(there.jacobian_data))[0])
            row, column = (int(index[k]) for index in self.evaluator.jacobian_pattern)
            label = f"the derivative of constraint {self.flat.row_names[row]} in {self.flat.variable_names[column]}"
            self._fail(label, there.jacobian_data[k])
        return there

    def _finite_values(self) -> bool:
        return self._values is not None and all(np.all(np.isfinite(part)) for part in self._values)

    def _remember(self, value: float, rows: np.ndarray) -> None:
        if not np.isfinite(value):
            self._fail("the objective", value)
        elif not np.all(np.isfinite(rows)):
            i = int(np.flatnonzero(~np.isfinite(rows))[0])
            self._fail(f"constraint {self.flat.row_names[i]}", rows[i])
        else:
            merit = (self._beyond_tolerance(rows), value)
            if self._best is None or merit < self._best[0]:
                self._best = merit, self._x

    def _beyond_tolerance(self, rows: np.ndarray) -> float:
        """Largest violation of a row, zero within the tolerance."""
        outside = np.maximum(self.flat.row_lower - rows, rows - self.flat.row_upper)
        worst = float(np.max(outside, initial=0.0))
        return worst if worst > self.options.tol else 0.0

    def _fail(self, label: str, value: float) -> None:
        point = [f"{n} = {v:.9g}" for n, v in zip(self.flat.variable_names, self._x)][:SHOWN_VARIABLES]
        more = ", ..." if self.flat.n > SHOWN_VARIABLES else ""
        self.failure = f"{label} is {value} at {', '.join(point)}{more}"

    def _stands_on_a_failure(self) -> bool:
        """Whether the last point asked for has no finite f, c, ∇f or J."""
        there = self._derivatives
        derivatives = () if there is None else (there.gradient, there.jacobian_data)
        return self.evaluations > 0 and not (
            self._finite_values() and all(np.all(np.isfinite(part)) for part in derivatives)
        )

    def carried(self) -> "_Carrier":
        """Context for the body of a callback: its exception ends the run and is raised by `answer`."""
        return _Carrier(self)

    def proceed(self, iteration: int, value: float, **measured: float) -> bool:
        """Note one iteration (a row of `BackendAnswer.history`; `value` the minimised one) and say whether to go on."""
        row: dict[str, Any] = {"iteration": int(iteration), "value": float(-value if self.flat.maximize else value)}
        row |= {name: float(measured.get(name, np.nan)) for name in MEASURED}
        self.history.append(row)
        if self.stop is None and time.perf_counter() > self.deadline:
            self.stop = Status.TIME_LIMIT
        if self.stop is None and self.options.callback is not None and self._callback_stops():
            self.stop = Status.STOPPED
        return self.stop is None

    def _callback_stops(self) -> bool:
        try:
            return bool(self.options.callback(self.history[-1])) if self.options.callback else False
        except StopIteration:  # SciPy's convention
            return True

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """While it lasts, the first Ctrl-C stops the run at the end of its iteration; a second one acts as ever."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return

        def interrupt(number: int, frame: Any) -> None:
            self.stop = self.stop or Status.INTERRUPTED
            signal.signal(signal.SIGINT, before)

        signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def answer(
        self, solver: str, x: np.ndarray, y: np.ndarray, z: np.ndarray, status: Status, words: str, iterations: int
    ) -> BackendAnswer:
        """The answer that stands: the solver's own, or the best point seen where it was stopped anywhere.

        Raises
        ------
        BaseException
            what a callback raised.
        """
        if self.error is not None:
            raise self.error
        if self.stop is not None and status is not Status.CONVERGED:
            status, words = self.stop, f"{self.stop} after {iterations} iterations"
        elif status is Status.STEP_FAILED and self._stands_on_a_failure():
            status = Status.EVALUATION_FAILED
        if (status in ENDED_ANYWHERE or not np.all(np.isfinite(x))) and self._best is not None:
            x = self._best[1]
        message = f"{solver}: {words}"
        if status is not Status.CONVERGED and self.failure is not None:
            message += f"; on the way {self.failure}"
        return BackendAnswer(
            x=self.flat.projected(x if np.all(np.isfinite(x)) else self.flat.x0),
            y=np.where(np.isfinite(y), y, 0.0),
            z=np.where(np.isfinite(z), z, 0.0),
            status=status,
            message=message,
            iterations=iterations,
            evaluations=self.evaluations,
            history=tuple(self.history),
        )


class _Carrier:
    """Keeps the first exception of a callback in its oracle and stops the run."""

    def __init__(self, oracle: Oracle):
        self.oracle = oracle

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[True] | None:
        if error is None:
            return None
        self.oracle.error = self.oracle.error or error
        self.oracle.stop = self.oracle.stop or Status.EVALUATION_FAILED
        return True
