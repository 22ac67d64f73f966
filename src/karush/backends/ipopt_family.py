"""What Ipopt and POUNCE have in common: the callbacks, the option names and the return codes of Ipopt's C interface.

Signs: ``L = f + λᵀc - z_Lᵀ(x - l) - z_Uᵀ(u - x)`` with ``z_L, z_U >= 0``, so karush's ``y = λ`` and ``z = z_U - z_L``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from karush.backends.answer import BackendAnswer, BackendOptions
from karush.backends.oracle import Oracle
from karush.core.errors import OptionError
from karush.core.status import Status
from karush.derivatives.evaluator import Evaluator
from karush.problem.flat import FlatProblem

NO_LIMIT = 2e19
"""What Ipopt reads as no limit, ``nlp_upper_bound_inf`` = 1e19, with a margin."""
PUSH_WARM = 1e-9
"""Relative distance to the bounds that a warm start is pushed to; Ipopt's 1e-3 would throw the start away."""
MU_WARM = 1e-6
"""First barrier parameter of a warm start; Ipopt's 0.1 would walk back to the centre."""
WARM = {"warm_start_init_point": "yes", "mu_init": MU_WARM} | dict.fromkeys(
    (
        "warm_start_bound_push",
        "warm_start_bound_frac",
        "warm_start_slack_bound_push",
        "warm_start_slack_bound_frac",
        "warm_start_mult_bound_push",
    ),
    PUSH_WARM,
)
TOO_FEW_DEGREES_OF_FREEDOM = -10
STATUS = {
    0: Status.CONVERGED,
    1: Status.STEP_FAILED,  # "acceptable" is short of the tolerance asked for
    2: Status.INFEASIBLE,
    3: Status.STEP_FAILED,
    4: Status.UNBOUNDED,
    5: Status.STOPPED,
    6: Status.CONVERGED,  # a feasible point of a square system
    -1: Status.ITERATION_LIMIT,
    -2: Status.STEP_FAILED,
    -3: Status.STEP_FAILED,
    -4: Status.TIME_LIMIT,
    -5: Status.TIME_LIMIT,
    -13: Status.EVALUATION_FAILED,
}
"""Ipopt's ApplicationReturnStatus; the codes that are missing here are failures of the step or of the set-up."""


class Callbacks:
    """The problem object of Ipopt's interface; NaN tells the line search to try a shorter step."""

    def __init__(self, oracle: Oracle):
        self.oracle = oracle
        evaluator = oracle.evaluator
        self._jacobian_pattern, self._hessian_pattern = evaluator.jacobian_pattern, evaluator.hessian_pattern

    def objective(self, x: np.ndarray) -> float:
        with self.oracle.carried():
            return self.oracle.values(x)[0]
        return np.nan

    def constraints(self, x: np.ndarray) -> np.ndarray:
        with self.oracle.carried():
            return self.oracle.values(x)[1]
        return np.full(self.oracle.flat.m, np.nan)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        with self.oracle.carried():
            return self.oracle.derivatives(x).gradient
        return np.full(self.oracle.flat.n, np.nan)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        with self.oracle.carried():
            return self.oracle.derivatives(x).jacobian_data
        return np.full(self._jacobian_pattern[0].size, np.nan)

    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float) -> np.ndarray:
        with self.oracle.carried():
            return self.oracle.hessian(x, multipliers, weight)
        return np.full(self._hessian_pattern[0].size, np.nan)

    def jacobianstructure(self) -> tuple[np.ndarray, np.ndarray]:
        return self._jacobian_pattern

    def hessianstructure(self) -> tuple[np.ndarray, np.ndarray]:
        return self._hessian_pattern

    def intermediate(
        self, alg_mod: int, iter_count: int, obj_value: float, inf_pr: float, inf_du: float, mu: float, *step: float
    ) -> bool:
        """After every iteration; the rest of the arguments: ‖d‖, regularization, α_du, α_pr, trials."""
        with self.oracle.carried():
            return self.oracle.proceed(
                iteration=iter_count,
                value=obj_value,
                infeasibility=inf_pr,
                stationarity=inf_du,
                barrier=mu,
                step=step[3],
            )
        return False


def common_options(options: BackendOptions, warm: bool) -> dict[str, Any]:
    """Silent, no relaxation of bounds, rows within `tol` in the user's units, no option file from the folder."""
    chosen: dict[str, Any] = {
        "print_level": 0,
        "sb": "yes",
        "option_file_name": "",
        "tol": float(options.tol),
        "constr_viol_tol": float(options.tol),
        "max_iter": int(options.max_iterations),
        "bound_relax_factor": 0.0,
        "honor_original_bounds": "yes",
    }
    if options.time_limit is not None:
        chosen["max_wall_time"] = float(options.time_limit)
    return chosen | (WARM if warm else {})


def solve_with(
    problem_class: Callable[..., Any],
    solver: str,
    extra_options: dict[str, Any],
    flat: FlatProblem,
    evaluator: Evaluator,
    x0: np.ndarray,
    y0: np.ndarray | None,
    z0: np.ndarray | None,
    options: BackendOptions,
) -> BackendAnswer:
    """Run `problem_class`, an implementation of cyipopt's ``Problem``.

    Raises
    ------
    OptionError
        for a name or value in ``options.backend_options`` that the solver refuses.
    """
    oracle = Oracle(flat, evaluator, options)
    limits = [np.clip(limit, -NO_LIMIT, NO_LIMIT) for limit in (flat.lower, flat.upper, flat.row_lower, flat.row_upper)]
    names = dict(zip(("lb", "ub", "cl", "cu"), limits))
    problem = problem_class(n=flat.n, m=flat.m, problem_obj=Callbacks(oracle), **names)
    common = common_options(options, warm=y0 is not None and z0 is not None)
    for name, value in (common | extra_options | dict(options.backend_options)).items():
        try:
            problem.add_option(name, value)
        except (TypeError, RuntimeError) as error:
            raise OptionError(
                f"{solver} refuses the option {name} = {value!r}; see its manual for the names and types of its options"
            ) from error
    start = flat.projected(x0)
    duals = {}
    if y0 is not None and z0 is not None:
        duals = {"lagrange": y0, "zl": np.maximum(-z0, 0.0), "zu": np.maximum(z0, 0.0)}
    with oracle.interruptible():
        try:
            x, info = problem.solve(start, **duals)
        except RuntimeError as error:
            if "OPTION_INVALID" not in str(error):
                raise
            # POUNCE looks at its options only now.
            raise OptionError(f"{solver} refuses an option: {str(error).splitlines()[0]}") from error
    words = info["status_msg"].decode() if isinstance(info["status_msg"], bytes) else info["status_msg"]
    if info["status"] == TOO_FEW_DEGREES_OF_FREEDOM:
        words = words.rstrip(".") + " (fewer free variables than equality rows: take another method)"
    return oracle.answer(
        solver,
        np.asarray(x) if oracle.history else start,
        np.asarray(info["mult_g"]),
        np.asarray(info["mult_x_U"]) - np.asarray(info["mult_x_L"]),
        STATUS.get(info["status"], Status.STEP_FAILED),
        words.rstrip("."),
        int(oracle.history[-1]["iteration"]) if oracle.history else 0,
    )
