"""Two drivers of the same step: a Python loop that people can watch and stop, and one compiled `lax.while_loop`."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.precision import float64
from karush.core.status import Status
from karush.fitting import step
from karush.fitting.problem import Fit
from karush.linalg.ops import JAX, NUMPY

STATUS = {
    step.RUNNING: Status.ITERATION_LIMIT,
    step.CONVERGED: Status.CONVERGED,
    step.STEP_FAILED: Status.STEP_FAILED,
    step.EVALUATION_FAILED: Status.EVALUATION_FAILED,
}


@dataclass
class Effort:
    """What all runs of one fit have spent and seen; runs are limited together."""

    max_iterations: int
    deadline: float = math.inf
    """on the clock of `time.perf_counter`"""
    callback: Callable[[dict[str, Any]], Any] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    iterations: int = 0
    residuals: int = 0
    """points at which residuals were evaluated"""
    columns: int = 0
    """columns of Jacobians that were evaluated; n make one Jacobian"""
    stopped: Status | None = None
    """which of the user's own limits ended it"""

    def watch(self, value: float, cosine: float, length: float) -> bool:
        """Note one iteration; False where the user's limits end the fit."""
        self.iterations += 1
        record = {
            "iteration": self.iterations,
            "value": value,
            "infeasibility": 0.0,
            "stationarity": cosine,
            "barrier": math.nan,
            "step": length,
        }
        self.history.append(record)
        if self.callback is not None and self.callback(record):
            self.stopped = Status.STOPPED
        elif time.perf_counter() > self.deadline:
            self.stopped = Status.TIME_LIMIT
        return self.stopped is None


@dataclass(frozen=True)
class Run:
    """Where one run ended."""

    x: np.ndarray
    r: np.ndarray
    """(m,) weighted residuals"""
    jacobian: np.ndarray
    cost: float
    status: Status
    cosine: float


def python_loop(fit: Fit, x: np.ndarray, method: str, tol: float, effort: Effort, max_iterations: int) -> Run:
    """Run from x (n,), with NumPy around the compiled residuals."""
    projection, jacobian = fit.compiled
    terms = _terms(
        fit,
        lambda beta: tuple(np.asarray(part) for part in projection(beta)),
        lambda x: tuple(np.asarray(part) for part in jacobian(x)),
        method,
        tol,
    )
    with np.errstate(all="ignore"), float64():
        state = step.start(NUMPY, terms, np.clip(x, fit.lower, fit.upper)[fit.rest])
        try:
            while state.status == step.RUNNING and state.iterations < max_iterations:
                before = int(state.iterations)
                state = step.advance(NUMPY, terms, state)
                if state.iterations > before and not effort.watch(
                    float(state.cost), float(state.cosine), float(state.step)
                ):
                    break
        except KeyboardInterrupt:
            effort.stopped = Status.INTERRUPTED
    return _ended(effort, state)


def fused_loop(fit: Fit, x: np.ndarray, method: str, tol: float, effort: Effort, max_iterations: int) -> Run:
    """The same as one compiled program."""
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        program = fit.fused.setdefault((method, tol), jax.jit(_whole(fit, method, tol)))
        state = jax.tree.map(np.asarray, program(np.clip(x, fit.lower, fit.upper)[fit.rest], max_iterations))
    effort.iterations += int(state.iterations)
    return _ended(effort, state)


def _whole(fit: Fit, method: str, tol: float) -> Callable[..., Any]:
    terms = _terms(fit, fit.projection, fit.jacobian, method, tol)

    def solve(beta: Any, max_iterations: Any) -> step.State:
        def going(state: step.State) -> Any:
            return (state.status == step.RUNNING) & (state.iterations < max_iterations)

        first = jax.tree.map(jnp.asarray, step.start(JAX, terms, beta))
        return jax.lax.while_loop(going, lambda state: step.advance(JAX, terms, state), first)

    return solve


def _terms(fit: Fit, projection: Callable[..., Any], jacobian: Callable[..., Any], method: str, tol: float) -> Any:
    return step.Terms(
        projection=projection,
        jacobian=jacobian,
        rest=fit.rest,
        linear=fit.linear,
        place=fit.place,
        lower=fit.lower[fit.rest],
        upper=fit.upper[fit.rest],
        loss=fit.loss,
        loss_scale=fit.loss_scale,
        method=method,
        tol=tol,
    )


def _ended(effort: Effort, state: step.State) -> Run:
    effort.residuals += int(state.residual_calls)
    effort.columns += int(state.jacobian_columns)
    status = effort.stopped or STATUS[int(state.status)]
    return Run(state.x, state.r, state.jacobian, float(state.cost), status, float(state.cosine))


def reduced_cost(fit: Fit) -> Callable[[np.ndarray], float]:
    """β (q,) -> cost with the best α."""
    projection, jacobian = fit.compiled
    terms = _terms(fit, lambda beta: tuple(map(np.asarray, projection(beta))), jacobian, "levenberg-marquardt", 0.0)

    def cost(beta: np.ndarray) -> float:
        with np.errstate(all="ignore"), float64():
            return float(step.evaluated(NUMPY, terms, beta)[2])

    return cost
