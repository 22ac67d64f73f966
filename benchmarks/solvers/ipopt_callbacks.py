"""The callback object of Ipopt's Python interface, which POUNCE speaks too."""

from dataclasses import dataclass, field

from benchmarks.callbacks import Callbacks, build
from benchmarks.problem import Answer, BenchmarkProblem

TOLERANCE = 1e-8
SOLVED = 0
"""Ipopt's return status Solve_Succeeded; 1, "solved to acceptable level", is not the tolerance asked for"""


@dataclass
class _Counted:
    """Ipopt's names for the callbacks; counts what Ipopt does not return."""

    callbacks: Callbacks
    iterations: int = 0
    evaluations: int = 0
    gradient: object = field(init=False)
    constraints: object = field(init=False)
    jacobian: object = field(init=False)
    hessian: object = field(init=False)

    def __post_init__(self):
        self.gradient, self.constraints = self.callbacks.gradient, self.callbacks.rows
        self.jacobian, self.hessian = self.callbacks.jacobian, self.callbacks.hessian

    def objective(self, x):
        self.evaluations += 1
        return self.callbacks.value(x)

    def jacobianstructure(self):
        return self.callbacks.jacobian_pattern

    def hessianstructure(self):
        return self.callbacks.hessian_pattern

    def intermediate(self, alg_mod, iter_count, *rest):
        self.iterations = iter_count
        return True


def prepare_with(make, problem: BenchmarkProblem, *, quiet: dict):
    """``make`` is the class ``cyipopt.Problem`` or one like it."""
    counted = _Counted(build(problem))
    limits = {"lb": problem.lower, "ub": problem.upper, "cl": problem.row_lower, "cu": problem.row_upper}
    nlp = make(n=problem.n, m=problem.m, problem_obj=counted, **limits)
    for option, value in {**quiet, "tol": TOLERANCE}.items():
        nlp.add_option(option, value)

    def solve(x0) -> Answer:
        counted.evaluations = counted.iterations = 0
        x, info = nlp.solve(x0)
        message = info["status_msg"]
        return Answer(
            x=x,
            status=message.decode() if isinstance(message, bytes) else str(message),
            claimed=info["status"] == SOLVED,
            y=info["mult_g"],
            z=info["mult_x_U"] - info["mult_x_L"],
            iterations=counted.iterations,
            evaluations=counted.evaluations,
        )

    return solve
