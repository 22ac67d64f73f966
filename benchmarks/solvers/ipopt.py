"""Ipopt through cyipopt: default options, tol 1e-8."""

import cyipopt

from benchmarks.problem import BenchmarkProblem
from benchmarks.solvers.ipopt_callbacks import prepare_with

PACKAGE = "cyipopt-wheels"


def prepare(problem: BenchmarkProblem):
    return prepare_with(cyipopt.Problem, problem, quiet={"print_level": 0, "sb": "yes"})
