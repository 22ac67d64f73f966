"""Uno with its filtersqp preset: default options, tolerances 1e-8."""

import numpy as np
import unopy

from benchmarks.callbacks import build
from benchmarks.problem import Answer, BenchmarkProblem

PACKAGE = "unopy"
TOLERANCE = 1e-8


def _writes(callback):
    """Uno hands over the array to be filled."""

    def fill(x, out):
        out[:] = callback(x)

    return fill


def prepare(problem: BenchmarkProblem):
    callbacks = build(problem)
    zero_based = unopy.ZERO_BASED_INDEXING
    kind = unopy.PROBLEM_NONLINEAR
    model = unopy.Model(kind, problem.n, problem.lower.tolist(), problem.upper.tolist(), zero_based)
    model.set_objective(unopy.MINIMIZE, callbacks.value, _writes(callbacks.gradient))
    if problem.m:
        row, column = (index.tolist() for index in callbacks.jacobian_pattern)
        limits = problem.row_lower.tolist(), problem.row_upper.tolist()
        jacobian = _writes(callbacks.jacobian)
        model.set_constraints(problem.m, _writes(callbacks.rows), *limits, len(row), row, column, jacobian)

    def hessian(x, weight, y, out):
        out[:] = callbacks.hessian(x, y, weight)

    row, column = (index.tolist() for index in callbacks.hessian_pattern)
    model.set_lagrangian_hessian(len(row), unopy.LOWER_TRIANGLE, row, column, hessian)
    model.set_lagrangian_sign_convention(unopy.MULTIPLIER_POSITIVE)
    solver = unopy.UnoSolver()
    solver.set_preset("filtersqp")
    for option, value in {"primal_tolerance": TOLERANCE, "dual_tolerance": TOLERANCE, "logger": "SILENT"}.items():
        solver.set_option(option, value)

    def solve(x0) -> Answer:
        model.set_initial_primal_iterate(x0.tolist())
        result = solver.optimize(model)
        stopped, point = result.optimization_status, result.solution_status
        bound_multipliers = np.array(result.lower_bound_dual_solution) + np.array(result.upper_bound_dual_solution)
        return Answer(
            x=np.array(result.primal_solution),
            status=f"{stopped.name}, {point.name}",
            claimed=stopped.name == "SUCCESS" and point.name == "FEASIBLE_KKT_POINT",
            y=np.array(result.constraint_dual_solution),
            z=bound_multipliers,
            iterations=result.number_iterations,
            evaluations=result.number_objective_evaluations,
        )

    return solve
