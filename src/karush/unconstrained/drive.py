"""Two drivers of a method's step: a Python loop that can be watched and stopped, and one compiled `lax.while_loop`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.backends.answer import BackendAnswer
from karush.core.precision import float64
from karush.core.status import Status
from karush.solvers.prepared import Prepared
from karush.solvers.run import STATUS, Limits, evaluation_failure
from karush.solvers.state import RUNNING
from karush.unconstrained.method import Method, Progress, Task, task_of


@dataclass(frozen=True)
class Compiled:
    """A method compiled for one problem; each function is compiled at its first call."""

    init: Callable[..., Any]
    step: Callable[..., Any]
    fused: Callable[..., Any]
    """``(task, x, max_iterations, *params) -> Progress``"""
    each: int
    """evaluations for each iteration of the limit"""


def compiled(method: Method, parts: Prepared) -> Compiled:
    """The method's programs, kept with the prepared problem."""
    key = method.unseeded()
    if key not in parts.compiled:
        algorithm = method.algorithm(parts)
        options = parts.evaluator.fused_options
        each = method.evaluations_per_iteration(parts.flat.n)

        def fused(task: Task, x: Any, max_iterations: Any, *params: Any) -> Progress:
            return jax.lax.while_loop(
                lambda state: _going(state.progress, max_iterations, each),
                lambda state: algorithm.step(task, state, *params),
                algorithm.init(task, x),
            ).progress

        parts.compiled[key] = Compiled(
            jax.jit(algorithm.init),
            jax.jit(algorithm.step, compiler_options=options),
            jax.jit(fused, compiler_options=options),
            each,
        )
    return parts.compiled[key]


def _going(progress: Progress, max_iterations: Any, each: int) -> Any:
    enough = (progress.iterations >= max_iterations) | (progress.evaluations >= each * max_iterations)
    return (progress.status == RUNNING) & ~enough


def run(
    method: Method, parts: Prepared, x0: np.ndarray, limits: Limits, tol: float, driver: str = "python"
) -> BackendAnswer:
    """The method's answer from x0 (n,), which lies within the bounds; nothing in it has been checked.

    Raises
    ------
    OptionError
        for a problem that the method cannot solve.
    """
    method.check(parts.flat)
    programs, task = compiled(method, parts), task_of(parts, tol)._replace(seed=np.int64(method.random_seed()))
    history: list[dict[str, Any]] = []
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        if driver == "fused":
            limit = np.int64(limits.max_iterations)
            progress, ended = programs.fused(task, x0, limit, *parts.evaluator.param_leaves), None
        else:
            progress, ended = _watched(programs, parts, task, x0, limits, history)
        progress = jax.tree.map(np.asarray, progress)
    return _answer(parts, task, progress, ended or STATUS[int(progress.status)], method.end, history)


def _watched(
    programs: Compiled, parts: Prepared, task: Task, x0: np.ndarray, limits: Limits, history: list[dict[str, Any]]
) -> tuple[Progress, Status | None]:
    """The Python loop: its last progress, and what ended it from outside."""
    sign = -1.0 if parts.flat.maximize else 1.0
    task = jax.tree.map(jnp.asarray, task)
    params = [jnp.asarray(leaf) for leaf in parts.evaluator.param_leaves]
    state = programs.init(task, jnp.asarray(x0))
    seen = 0
    try:
        # The counts as NumPy scalars: each operation on a JAX array outside a program costs some 20 µs.
        while _going(jax.tree.map(np.asarray, state.progress), limits.max_iterations, programs.each):
            state = programs.step(task, state, *params)
            if time.perf_counter() > limits.deadline:
                return state.progress, Status.TIME_LIMIT
            iterations = int(state.progress.iterations)
            if iterations == seen:
                continue
            seen = iterations
            history.append(_record(state.progress, sign))
            if limits.callback is not None and limits.callback(history[-1]):
                return state.progress, Status.STOPPED
    except KeyboardInterrupt:
        return state.progress, Status.INTERRUPTED
    return state.progress, None


def _record(progress: Progress, sign: float) -> dict[str, Any]:
    return {
        "iteration": int(progress.iterations),
        "value": sign * float(progress.value),
        "infeasibility": 0.0,
        "stationarity": float(progress.error),
        "barrier": float("nan"),
        "step": float(progress.length),
        "phase": "regular",
    }


def _answer(
    parts: Prepared, task: Task, progress: Progress, status: Status, end: str, history: list[dict[str, Any]]
) -> BackendAnswer:
    flat = parts.flat
    x = flat.projected(np.array(progress.x))
    z = np.zeros(flat.n)
    if np.any(np.isfinite(task.lower) | np.isfinite(task.upper)):
        gradient = np.where(np.isfinite(progress.gradient), progress.gradient, 0.0)
        # −g balances the slope: at a bound it is the multiplier, and where slope and distance are small only together.
        distance = np.where(gradient > 0, x - flat.lower, flat.upper - x)
        steep = np.abs(gradient) * task.weight > task.tol
        z = np.where((distance == 0) | (steep & (distance < task.x_unit)), -gradient, 0.0)
    message = end if status is Status.STEP_FAILED else ""
    if status is Status.EVALUATION_FAILED:
        message = evaluation_failure(flat, parts.evaluator, x)
    return BackendAnswer(
        x=x,
        y=np.zeros(0),
        z=z,
        status=status,
        message=message,
        iterations=int(progress.iterations),
        evaluations=int(progress.evaluations),
        history=tuple(history),
    )
