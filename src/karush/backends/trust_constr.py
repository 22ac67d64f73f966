"""trust-constr, by SciPy: a trust-region interior point with sparse Jacobian and exact Hessian.

Signs are karush's own. Fixed variables are taken out, since trust-constr needs room between its bounds.
"""

from typing import Any

import numpy as np
from scipy import optimize

from karush.backends.answer import BackendAnswer, BackendOptions
from karush.backends.oracle import Oracle
from karush.backends.scipy_door import FAR, UNDEFINED, NoNumbers, ScipyDoor, box, strict_options
from karush.core.status import Status
from karush.derivatives.evaluator import Evaluator
from karush.problem.flat import FlatProblem

XTOL_POWER = 1.5
"""``xtol = tol^1.5``: a trust region of size tol is no reason to stop where the gradient is still above tol."""
PUSH = 1e-2
"""Relative distance from its bounds that the start is pushed to (κ₁ = κ₂ of [WB06], section 3.6): the slacks of
trust-constr must be positive."""
STATUS = {0: Status.ITERATION_LIMIT, 1: Status.CONVERGED, 3: Status.STOPPED}
"""trust-constr's statuses; 1 only by a gtol of the user's, 2 is a small trust region, 4 a violation."""


def solve(
    flat: FlatProblem,
    evaluator: Evaluator,
    x0: np.ndarray,
    y0: np.ndarray | None,
    z0: np.ndarray | None,
    options: BackendOptions,
) -> BackendAnswer:
    """Run trust-constr from x0 (n,); it takes no multipliers to start from.

    Raises
    ------
    OptionError
        for a name in ``options.backend_options`` that trust-constr does not know.
    """
    oracle = Oracle(flat, evaluator, options)
    free = np.flatnonzero(flat.lower < flat.upper)
    start = _pushed_inside(flat, x0)
    door = ScipyDoor(oracle, start, free)
    if not free.size:
        return door.fixed_answer("trust-constr")
    bounds = box(flat.lower[free], flat.upper[free], keep_feasible=True)
    bounded = np.any(np.isfinite(bounds.lb) | np.isfinite(bounds.ub))
    watch = _Watch(door)
    with oracle.interruptible(), strict_options("trust-constr", options.backend_options):
        try:
            result = optimize.minimize(
                door.objective,
                start[free],
                jac=door.gradient,
                hess=lambda x: door.hessian(x, np.zeros(flat.m), 1.0),
                method="trust-constr",
                bounds=bounds if bounded else None,
                constraints=_rows(door),
                callback=watch,
                options=_options(options),
            )
        except NoNumbers as lost:
            return door.failed_answer("trust-constr", lost.status, str(lost))
    x = door.full(result.x)
    if not result.fun < FAR:
        return door.failed_answer("trust-constr", Status.EVALUATION_FAILED, UNDEFINED)
    y = np.array(result.v[0]) if flat.m else np.zeros(0)
    z = door.residual(x, y)
    z[free] = result.v[-1] if bounded else 0.0
    status = Status.CONVERGED if watch.converged else STATUS.get(result.status, Status.STEP_FAILED)
    words = "within the tolerance" if watch.converged else result.message.rstrip(".")
    return oracle.answer("trust-constr", x, y, z, status, words, int(result.nit))


class _Watch:
    """The callback, which holds the stopping test as well.

    Not gtol: that test leaves complementarity out, and passes at a barrier parameter of 6e-6 on HS71.
    """

    def __init__(self, door: ScipyDoor):
        self.door, self.tol = door, door.oracle.options.tol
        self.converged = False

    def __call__(self, x_free: np.ndarray, state: Any) -> bool:
        barrier = state.get("barrier_parameter", 0.0)
        self.converged = all(error <= self.tol for error in (state.optimality, state.constr_violation, barrier))
        go_on = self.door.proceed(
            x_free,
            iteration=state.nit,
            value=state.fun,
            stationarity=state.optimality,
            barrier=barrier,
            step=state.tr_radius,
        )
        return self.converged or not go_on


def _options(options: BackendOptions) -> dict[str, Any]:
    chosen = {
        "gtol": 0.0,  # see _Watch
        "barrier_tol": options.tol,
        "xtol": options.tol**XTOL_POWER,
        "maxiter": options.max_iterations,
        "sparse_jacobian": True,
    }
    return chosen | dict(options.backend_options)


def _rows(door: ScipyDoor) -> list[optimize.NonlinearConstraint]:
    flat = door.oracle.flat
    if not flat.m:
        return []
    derivatives: dict[str, Any] = {"jac": door.jacobian, "hess": lambda x, y: door.hessian(x, y, 0.0)}
    return [optimize.NonlinearConstraint(door.rows, flat.row_lower, flat.row_upper, **derivatives)]


def _pushed_inside(flat: FlatProblem, x0: np.ndarray) -> np.ndarray:
    """x0 (n,) moved off its bounds, as in section 3.6 of [WB06]; fixed variables on their value."""
    width = flat.upper - flat.lower
    with np.errstate(invalid="ignore"):
        low = flat.lower + np.minimum(PUSH * np.maximum(1.0, np.abs(flat.lower)), PUSH * width)
        high = flat.upper - np.minimum(PUSH * np.maximum(1.0, np.abs(flat.upper)), PUSH * width)
    low, high = np.where(np.isfinite(flat.lower), low, -np.inf), np.where(np.isfinite(flat.upper), high, np.inf)
    return flat.projected(np.clip(x0, low, high))
