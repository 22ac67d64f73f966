"""POUNCE through its cyipopt-like class: default options, tol 1e-8."""

import pounce

from benchmarks.problem import BenchmarkProblem
from benchmarks.solvers.ipopt_callbacks import prepare_with

PACKAGE = "pounce-solver"


def prepare(problem: BenchmarkProblem):
    return prepare_with(pounce.Problem, problem, quiet={"print_level": 0, "sb": "yes"})
