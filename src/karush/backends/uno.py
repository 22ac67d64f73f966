"""Uno, by unopy; its ``filtersqp`` preset is a trust-region filter SQP [FL02].

Signs: asked for positive multipliers, Uno has ``L = f + λᵀc + (z_l + z_u)ᵀx`` with ``z_l <= 0 <= z_u``, so karush's
``y = λ`` and ``z = z_l + z_u``.
"""

import itertools
from importlib import import_module
from typing import Any

import numpy as np

from karush.backends.answer import BackendAnswer, BackendOptions
from karush.backends.oracle import Oracle
from karush.core.errors import OptionError
from karush.core.status import Status
from karush.derivatives.evaluator import Evaluator
from karush.problem.flat import FlatProblem

PRESET = "filtersqp"
ENDINGS = {
    "ITERATION_LIMIT": Status.ITERATION_LIMIT,
    "TIME_LIMIT": Status.TIME_LIMIT,
    "EVALUATION_ERROR": Status.EVALUATION_FAILED,
    "USER_TERMINATION": Status.STOPPED,
    "USER_INTERRUPTION": Status.INTERRUPTED,
}
POINTS = {
    "FEASIBLE_KKT_POINT": Status.CONVERGED,
    "FEASIBLE_FJ_POINT": Status.CONVERGED,
    "INFEASIBLE_STATIONARY_POINT": Status.INFEASIBLE,
    "UNBOUNDED_OBJECTIVE": Status.UNBOUNDED,
    "DIVERGING_ITERATE": Status.UNBOUNDED,
}
"""What Uno says of its point; the rest (small steps) is no further progress."""


def solve(
    flat: FlatProblem,
    evaluator: Evaluator,
    x0: np.ndarray,
    y0: np.ndarray | None,
    z0: np.ndarray | None,
    options: BackendOptions,
) -> BackendAnswer:
    """Run Uno from x0 (n,) and row multipliers y0 (m,); it has no place for z0.

    ``backend_options={"preset": "ipopt"}`` picks another of Uno's presets.

    Raises
    ------
    OptionError
        for a name or value in ``options.backend_options`` that Uno refuses.
    """
    unopy = import_module("unopy")
    oracle = Oracle(flat, evaluator, options)
    model = _model(unopy, oracle)
    model.set_initial_primal_iterate(flat.projected(x0).tolist())
    if y0 is not None and flat.m:
        model.set_initial_dual_iterate(np.asarray(y0, dtype=np.float64).tolist())
    solver = unopy.UnoSolver()
    _configure(solver, options)
    iterations = itertools.count(1)

    def note(
        x: Any, z_l: Any, z_u: Any, y: Any, weight: float, infeasibility: float, stationarity: float, gap: float
    ) -> None:
        with oracle.carried():
            # In the restoration phase x is longer, by the elastic variables.
            value = oracle.values(x[: flat.n])[0]
            oracle.proceed(
                iteration=next(iterations), value=value, infeasibility=infeasibility, stationarity=stationarity
            )

    solver.set_notify_acceptable_iterate_callback(note)
    # Asked after every iterate but the last one.
    solver.set_termination_callback(lambda *iterate: oracle.stop is not None)
    with oracle.interruptible():
        result = solver.optimize(model)
    ending, point = result.optimization_status.name, result.solution_status.name
    return oracle.answer(
        "Uno",
        np.array(result.primal_solution)[: flat.n],
        np.array(result.constraint_dual_solution)[: flat.m],
        (np.array(result.lower_bound_dual_solution) + np.array(result.upper_bound_dual_solution))[: flat.n],
        ENDINGS.get(ending) or POINTS.get(point, Status.STEP_FAILED),
        f"{ending}, {point}".replace("_", " ").lower(),
        int(result.number_iterations),
    )


def _configure(solver: Any, options: BackendOptions) -> None:
    own = dict(options.backend_options)
    chosen: dict[str, Any] = {
        "logger": "SILENT",
        "primal_tolerance": float(options.tol),
        "dual_tolerance": float(options.tol),
        "tight_unscaled_primal_infeasibility_tolerance": float(options.tol),
        # By itself Uno calls optimal, too, what stays within looser tolerances for some iterations.
        "acceptable_tolerance": float(options.tol),
        "acceptable_unscaled_primal_infeasibility_tolerance": float(options.tol),
        "bound_relaxation_factor": 0.0,
        "max_iterations": int(options.max_iterations),
    }
    if options.time_limit is not None:
        chosen["time_limit"] = float(options.time_limit)
    solver.set_preset(own.pop("preset", PRESET))
    for name, value in (chosen | own).items():
        try:
            solver.set_option(name, value)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise OptionError(
                f"Uno refuses the option {name} = {value!r}; see its manual for the names and types of its options"
            ) from error


def _model(unopy: Any, oracle: Oracle) -> Any:
    """The problem in Uno's terms; an entry left NaN by a callback makes Uno shorten its step."""
    flat, evaluator = oracle.flat, oracle.evaluator

    def objective(x: np.ndarray) -> float:
        with oracle.carried():
            return oracle.values(x)[0]
        return np.nan

    def gradient(x: np.ndarray, out: np.ndarray) -> None:
        out[:] = np.nan
        with oracle.carried():
            out[:] = oracle.derivatives(x).gradient

    def rows(x: np.ndarray, out: np.ndarray) -> None:
        out[:] = np.nan
        with oracle.carried():
            out[:] = oracle.values(x)[1]

    def jacobian(x: np.ndarray, out: np.ndarray) -> None:
        out[:] = np.nan
        with oracle.carried():
            out[:] = oracle.derivatives(x).jacobian_data

    def hessian(x: np.ndarray, weight: float, y: np.ndarray, out: np.ndarray) -> None:
        out[:] = np.nan
        with oracle.carried():
            out[:] = oracle.hessian(x, y, weight)

    bounds = flat.lower.tolist(), flat.upper.tolist()
    model = unopy.Model(unopy.PROBLEM_NONLINEAR, flat.n, *bounds, unopy.ZERO_BASED_INDEXING)
    model.set_objective(unopy.MINIMIZE, objective, gradient)
    if flat.m:
        limits = flat.row_lower.tolist(), flat.row_upper.tolist()
        at_rows, at_cols = (index.tolist() for index in evaluator.jacobian_pattern)
        model.set_constraints(flat.m, rows, *limits, len(at_rows), at_rows, at_cols, jacobian)
    model.set_lagrangian_sign_convention(unopy.MULTIPLIER_POSITIVE)
    at_rows, at_cols = (index.tolist() for index in evaluator.hessian_pattern)
    model.set_lagrangian_hessian(len(at_rows), unopy.LOWER_TRIANGLE, at_rows, at_cols, hessian)
    return model
