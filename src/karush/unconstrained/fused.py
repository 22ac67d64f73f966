"""A dense method and the clear cases of its verdict as one compiled program: the quick lane of repeated solves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.backends.answer import BackendAnswer
from karush.certificates import compiled
from karush.certificates.scaled import scaled_problem
from karush.certificates.traced_point import Answer
from karush.core.precision import float64
from karush.core.status import Status
from karush.jaxprs.kernel import quickest
from karush.solvers.drivers import TRIALS
from karush.solvers.prepared import Fused, Prepared
from karush.solvers.run import STATUS, evaluation_failure
from karush.solvers.state import CONVERGED, RUNNING
from karush.solvers.strategies import CLEAR_VERDICTS, Candidate
from karush.unconstrained.method import Algorithm, Method, Task, task_of

COUNTS = 5
"""numbers behind x, ∇f and z: status, iterations, evaluations, f, verdict"""


def quick(
    method: Method, parts: Prepared, x0: np.ndarray, *, max_iterations: int, tol: float
) -> BackendAnswer | Candidate | None:
    """The answer from x0 (n,) by one compiled call, with its verdict where that is clear.

    None where the verdicts of the problem are not compiled.
    """
    with float64():
        lane = _lane(method, parts)
        if lane is None:
            return None
        array = lane(x0, (tol, float(max_iterations)), parts.evaluator.param_leaves)
    n = parts.flat.n
    status, iterations, evaluations, value, verdict = array[2 * n :].tolist()
    x, y, z = array[:n], np.zeros(0), array[n : 2 * n]
    answer = BackendAnswer(
        x=x,
        y=y,
        z=z,
        status=STATUS[int(status)],
        message="",
        iterations=int(iterations),
        evaluations=int(evaluations),
    )
    if verdict == compiled.UNCLEAR:
        if answer.status is not Status.EVALUATION_FAILED:
            return answer
        return replace(answer, message=evaluation_failure(parts.flat, parts.evaluator, x))
    certificate = parts.deferred(CLEAR_VERDICTS[int(verdict)], x, y, z, tol)
    return Candidate(answer, certificate, values=(value, y))


def _lane(method: Method, parts: Prepared) -> Fused | None:
    """The compiled program and its latest arguments, kept with the problem; None where no verdict is compiled."""
    key = ("clear", method)
    if key not in parts.compiled:
        known = compiled.conditions(scaled_problem(parts.flat, parts.evaluator, parts.scales), parts.analysis)
        parts.compiled[key] = None if known is None else Fused(_program(method.algorithm(parts), parts, known))
    return parts.compiled[key]


def _program(algorithm: Algorithm, parts: Prepared, known: compiled.Conditions) -> Callable[..., Any]:
    """``(x, settings, *params) -> array`` of x, z (n,) and the numbers of COUNTS."""
    evaluator, problem = parts.evaluator, task_of(parts, 0.0)

    def going(state: Any, max_iterations: Any) -> Any:
        progress = state.progress
        enough = (progress.iterations >= max_iterations) | (progress.evaluations >= TRIALS * max_iterations)
        return (progress.status == RUNNING) & ~enough

    def solve(x: Any, settings: Any, *params: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            tol, max_iterations = settings
            task = problem._replace(tol=tol)
            state = jax.lax.while_loop(
                lambda state: going(state, max_iterations),
                lambda state: algorithm.step(task, state, *params),
                algorithm.init(task, x),
            )
            return _judged(evaluator, task, known, state, params)

    like = jnp.zeros(parts.flat.n), jnp.zeros(2), *map(jnp.asarray, evaluator.param_leaves)
    return quickest(solve, *like, options=evaluator.fused_options)


def _judged(evaluator: Any, task: Task, known: compiled.Conditions, state: Any, params: tuple[Any, ...]) -> Any:
    progress = state.progress
    x, gradient = progress.x, progress.gradient
    distance = jnp.where(gradient > 0, x - task.lower, task.upper - x)
    z = jnp.where((distance < task.x_unit) & jnp.isfinite(gradient), -gradient, 0.0)
    # Typical sizes are powers of two: the Hessian of the model is the one at x, to the last bit.
    hessian = state.hessian * task.f_unit / task.x_unit / task.x_unit[:, None]
    answer = Answer(x, jnp.zeros(0), z, progress.value[None], gradient[None], hessian)
    verdict = jax.lax.cond(
        progress.status == CONVERGED,
        lambda: jnp.asarray(
            compiled.clear_verdict(
                known,
                answer,
                task.tol,
                lambda x, weights: evaluator.derivatives(x, weights, *params),
                lambda x: evaluator.program(x, *params),
                params,
            )
        ),
        lambda: jnp.asarray(compiled.UNCLEAR),
    )
    counts = jnp.stack([progress.status, progress.iterations, progress.evaluations]).astype(jnp.float64)
    return jnp.concatenate([x, z, counts, progress.value[None], jnp.reshape(verdict, 1).astype(jnp.float64)])
