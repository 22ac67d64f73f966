"""POUNCE, an interior point in Rust with Ipopt's interface."""

import os
from functools import cache
from importlib import import_module
from typing import Any

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
    return solve_with(_quiet_pounce().Problem, "POUNCE", {}, flat, evaluator, x0, y0, z0, options)


@cache
def _quiet_pounce() -> Any:
    """The package, without its notes on stderr, which ``print_level`` does not reach.

    Its log filter is the environment's RUST_LOG at the time of the import; one set by the user stays.
    """
    chosen = os.environ.get("RUST_LOG")
    os.environ["RUST_LOG"] = chosen or "error"
    package = import_module("pounce")
    if chosen is None:
        del os.environ["RUST_LOG"]
    return package
