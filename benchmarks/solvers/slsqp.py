"""SciPy's SLSQP, gradients and Jacobians by JAX, ftol 1e-12 (1e-8 on the objective stops far from 1e-6 in x)."""

import numpy as np
import scipy.optimize

from benchmarks.callbacks import build
from benchmarks.problem import Answer, BenchmarkProblem

PACKAGE = "scipy"
OPTIONS = {"ftol": 1e-12, "maxiter": 1000}
"""SciPy's default of 100 iterations stops 13 problems of small.txt early, TENBARS1 to 4 among them"""


def prepare(problem: BenchmarkProblem):
    callbacks = build(problem)
    row, column = callbacks.jacobian_pattern

    def jacobian(x):
        dense = np.zeros((problem.m, problem.n))
        dense[row, column] = callbacks.jacobian(x)
        return dense

    equal = problem.row_lower == problem.row_upper
    # SLSQP wants rows >= 0: one side of a range at a time
    parts = [
        ("eq", equal, 1.0, problem.row_lower),
        ("ineq", ~equal & np.isfinite(problem.row_lower), 1.0, problem.row_lower),
        ("ineq", ~equal & np.isfinite(problem.row_upper), -1.0, problem.row_upper),
    ]
    parts = [(kind, np.flatnonzero(which), sign, limit) for kind, which, sign, limit in parts if which.any()]
    constraints = [
        {
            "type": kind,
            "fun": lambda x, at=at, sign=sign, limit=limit: sign * (callbacks.rows(x)[at] - limit[at]),
            "jac": lambda x, at=at, sign=sign: sign * jacobian(x)[at],
        }
        for kind, at, sign, limit in parts
    ]
    bounds = scipy.optimize.Bounds(problem.lower, problem.upper)

    def solve(x0) -> Answer:
        result = scipy.optimize.minimize(
            callbacks.value,
            x0,
            jac=callbacks.gradient,
            method="SLSQP",
            bounds=bounds,
            constraints=constraints,
            options=OPTIONS,
        )
        y, start = np.zeros(problem.m), 0
        for _, at, sign, _ in parts:  # SciPy's Lagrangian is f - λᵀ(rows >= 0)
            y[at] -= sign * result.multipliers[start : start + at.size]
            start += at.size
        return Answer(
            x=result.x,
            status=result.message,
            claimed=bool(result.success),
            y=y,
            iterations=result.nit,
            evaluations=result.nfev,
        )

    return solve
