"""POUNCE, an interior point in Rust with Ipopt's interface."""

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
    """Run POUNCE from x0 (n,), warm if multipliers y0 (m,) and z0 (n,) are given."""
    import pounce

    return solve_with(pounce.Problem, "POUNCE", {}, flat, evaluator, x0, y0, z0, options)
