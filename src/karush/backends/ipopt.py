"""Ipopt, by cyipopt [WB06]."""

from importlib import import_module

import numpy as np

from karush.backends.answer import BackendAnswer, BackendOptions
from karush.backends.ipopt_family import solve_with
from karush.derivatives.evaluator import Evaluator
from karush.problem.flat import FlatProblem


def solve(
    flat: FlatProblem,
    evaluator: Evaluator,
    x0: np.ndarray,
    y0: np.ndarray | None,
    z0: np.ndarray | None,
    options: BackendOptions,
) -> BackendAnswer:
    """Run Ipopt from x0 (n,), warm if multipliers y0 (m,) and z0 (n,) are given."""
    # Without the check a NaN in J or H goes into the factorization.
    extra = {"check_derivatives_for_naninf": "yes"}
    return solve_with(import_module("cyipopt").Problem, "Ipopt", extra, flat, evaluator, x0, y0, z0, options)
