"""SLSQP, by SciPy: a dense quasi-Newton SQP.

Signs: ``L = f - λᵀg`` with ``g = c - target = 0`` or ``g = c - lower >= 0`` or ``g = upper - c >= 0``. SLSQP returns no
multipliers for the bounds; they are what is left of ``-(∇f + Jᵀy)`` where a bound is reached from the right side.
"""

import itertools
from typing import Any

import numpy as np
from scipy import optimize

from karush.backends.answer import BackendAnswer, BackendOptions
from karush.backends.oracle import Oracle
from karush.backends.scipy_door import FAR, UNDEFINED, NoNumbers, ScipyDoor, box, strict_options
from karush.core.status import Status
from karush.derivatives.evaluator import Evaluator
from karush.problem.flat import FlatProblem

FTOL_POWER = 1.5
"""``ftol = tol^1.5``: SLSQP stops when f changes by less than ftol, and f changes by the square of the error in x; tol²
would lie below the rounding of f."""
STATUS = {0: Status.CONVERGED, 9: Status.ITERATION_LIMIT}
"""SLSQP's exit modes; the others are failures of the quadratic program or of the line search."""


def solve(
    flat: FlatProblem,
    evaluator: Evaluator,
    x0: np.ndarray,
    y0: np.ndarray | None,
    z0: np.ndarray | None,
    options: BackendOptions,
) -> BackendAnswer:
    """Run SLSQP from x0 (n,); it takes no multipliers to start from.

    Raises
    ------
    OptionError
        for a name in ``options.backend_options`` that SLSQP does not know.
    """
    oracle = Oracle(flat, evaluator, options)
    start = flat.projected(x0)
    door = ScipyDoor(oracle, start, np.arange(flat.n))
    if np.array_equal(flat.lower, flat.upper):
        return door.fixed_answer("SLSQP")
    rows = _Rows(flat)
    chosen = {"ftol": options.tol**FTOL_POWER, "maxiter": options.max_iterations}
    iterations = itertools.count(1)

    def callback(intermediate_result: Any) -> None:
        if not door.proceed(intermediate_result.x, iteration=next(iterations), value=intermediate_result.fun):
            raise StopIteration

    with oracle.interruptible(), strict_options("SLSQP", options.backend_options):
        try:
            result = optimize.minimize(
                door.objective,
                start,
                jac=door.gradient,
                method="SLSQP",
                bounds=box(flat.lower, flat.upper),
                constraints=rows.constraints(door),
                callback=callback,
                options=chosen | dict(options.backend_options),
            )
        except NoNumbers as lost:
            return door.failed_answer("SLSQP", lost.status, str(lost))
    x = flat.projected(result.x)
    if not door.objective(x) < FAR:
        return door.failed_answer("SLSQP", Status.EVALUATION_FAILED, UNDEFINED)
    y = rows.multipliers(result.multipliers)
    z = _bound_multipliers(flat, x, door.residual(x, y), options.tol)
    status = STATUS.get(result.status, Status.STEP_FAILED)
    return oracle.answer("SLSQP", x, y, z, status, result.message, int(result.nit))


class _Rows:
    """The rows of a problem as SLSQP's equalities and inequalities, and back."""

    def __init__(self, flat: FlatProblem):
        self.flat = flat
        equal = flat.row_lower == flat.row_upper
        self.equal = np.flatnonzero(equal)
        self.low = np.flatnonzero(np.isfinite(flat.row_lower) & ~equal)
        self.high = np.flatnonzero(np.isfinite(flat.row_upper) & ~equal)

    def constraints(self, door: ScipyDoor) -> list[dict[str, Any]]:
        """SciPy's dictionaries; equalities come first in its multipliers too."""
        lower, upper = self.flat.row_lower, self.flat.row_upper
        parts = (
            ("eq", self.equal, 1.0, -lower[self.equal]),
            ("ineq", self.low, 1.0, -lower[self.low]),
            ("ineq", self.high, -1.0, upper[self.high]),
        )

        def part(kind: str, index: np.ndarray, sign: float, shift: np.ndarray) -> dict[str, Any]:
            return {
                "type": kind,
                "fun": lambda x: sign * door.rows(x)[index] + shift,
                "jac": lambda x: sign * door.jacobian(x)[index].toarray(),
            }

        return [part(*given) for given in parts if given[1].size]

    def multipliers(self, scipy_multipliers: np.ndarray) -> np.ndarray:
        """y (m,) from λ of ``L = f - λᵀg``."""
        at_equal, at_low, at_high = np.split(scipy_multipliers, np.cumsum([self.equal.size, self.low.size]))
        y = np.zeros(self.flat.m)
        y[self.equal] -= at_equal
        y[self.low] -= at_low
        y[self.high] += at_high[: self.high.size]
        return y


def _bound_multipliers(flat: FlatProblem, x: np.ndarray, residual: np.ndarray, tol: float) -> np.ndarray:
    """z (n,): the residual where a bound is reached within `tol` and the sign is the one of that bound."""
    near_lower = x - flat.lower <= tol * np.maximum(1.0, np.abs(x))
    near_upper = flat.upper - x <= tol * np.maximum(1.0, np.abs(x))
    return np.where(near_lower, np.minimum(residual, 0.0), 0.0) + np.where(near_upper, np.maximum(residual, 0.0), 0.0)
