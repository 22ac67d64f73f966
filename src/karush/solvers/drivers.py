"""Two drivers of the same step: a Python loop that people can watch and stop, and one compiled `lax.while_loop`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from karush.certificates import compiled
from karush.certificates.traced_point import Answer
from karush.core.precision import float64
from karush.derivatives.evaluator import Evaluator
from karush.jaxprs.kernel import quickest
from karush.linalg.kkt_system import Layout
from karush.linalg.ops import JAX, NUMPY
from karush.solvers import interior_point, start
from karush.solvers.state import CONVERGED, RUNNING, Data, State

TRIALS = 6
"""Trial points for each iteration of the limit: at a kink every line search goes down to the shortest step."""


def python_loop(
    evaluator: Evaluator,
    rows: Layout,
    data: Data,
    x: np.ndarray,
    mu: float,
    watch: Callable[[State], bool],
    max_iterations: int,
) -> tuple[State, bool]:
    """Run from x (n,) until the step says it is over, `watch` answers False, or the iterations are used up.

    Returns the last state, and whether Ctrl-C ended the run.
    """
    # Overflow in a trial point is an expected answer that the line search deals with.
    with np.errstate(all="ignore"), float64():
        state = start.state(NUMPY, rows, data, x, mu)
        try:
            while _going(state, max_iterations):
                weights = interior_point.weights(NUMPY, data, state)
                at = evaluator.raw(interior_point.trial_x(NUMPY, data, state), weights)
                before = state.iterations
                state = interior_point.advance(NUMPY, rows, data, state, *at)
                if state.iterations > before and not watch(state):
                    break
        except KeyboardInterrupt:
            return state, True
    return state, False


def _going(state: State, max_iterations: Any) -> Any:
    enough = (state.iterations >= max_iterations) | (state.evaluations >= TRIALS * max_iterations)
    return (state.status == RUNNING) & ~enough


def fused(evaluator: Evaluator, rows: Layout, problem: Data, known: compiled.Conditions | None) -> Callable[..., Any]:
    """``(x, settings, *params) -> array``, the whole solve and the clear cases of the verdict as one compiled program.

    `settings` (3,) holds the first barrier parameter, the tolerance and the iteration limit. The array is read by
    `Packed`: one array, because each that enters or leaves a compiled program costs a microsecond or two.
    """

    def solve(x: Any, settings: Any, *params: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return run(x, settings, params)

    def run(x: Any, settings: Any, params: tuple[Any, ...]) -> Any:
        mu, tol, max_iterations = settings
        data = problem._replace(tol=tol)

        def body(carried: tuple[State, Any]) -> tuple[State, Any]:
            state, _ = carried
            weights = interior_point.weights(JAX, data, state)
            at = evaluator.derivatives(interior_point.trial_x(JAX, data, state), weights, *params)
            return interior_point.advance(JAX, rows, data, state, *at), at

        n, m = evaluator.n, evaluator.m
        nothing = jnp.zeros(1 + m), jnp.zeros((1 + m, n)), jnp.zeros((n, n))
        first = start.state(JAX, rows, data, x, mu), nothing
        state, at = jax.lax.while_loop(lambda carried: _going(carried[0], max_iterations), body, first)
        point = state.point
        counts = jnp.stack([state.status, state.iterations, state.evaluations]).astype(jnp.float64)
        packed = [point.v, point.y, point.z_upper - point.z_lower, counts]
        if known is not None:
            packed += _judged(evaluator, data, known, state, at, params)
        return jnp.concatenate(packed)

    like = jnp.zeros(evaluator.n), jnp.zeros(3), *map(jnp.asarray, evaluator.param_leaves)
    return quickest(solve, *like, options=evaluator.fused_options)


def _judged(
    evaluator: Evaluator, data: Data, known: compiled.Conditions, state: State, at: Any, params: tuple[Any, ...]
) -> list[Any]:
    """The last accepted point in the problem's units, value, rows, multipliers, and the verdict where it is clear."""
    values, jacobian, hessian = at
    n = evaluator.n
    # A converged run ends with the evaluation of the point that it accepted last: `at` is of this x and this y.
    point = state.point
    x = interior_point.trial_x(JAX, data, state)
    y = point.y * (data.f_unit / data.row_unit)
    z = (point.z_upper - point.z_lower)[:n] * (data.f_unit / data.x_unit)
    z = jnp.where(data.free[:n], z, -(jacobian[0] + y @ jacobian[1:]))
    answer = Answer(x, y, z, values, jacobian, hessian * data.f_unit)
    verdict = jax.lax.cond(
        state.status == CONVERGED,
        lambda: compiled.clear_verdict(
            known,
            answer,
            data.tol,
            lambda x, weights: evaluator.derivatives(x, weights, *params),
            lambda x: evaluator.program(x, *params),
            params,
        ),
        lambda: jnp.asarray(compiled.UNCLEAR),
    )
    return [x, y, z, values, jnp.reshape(verdict, 1).astype(jnp.float64)]


class Packed(NamedTuple):
    """What `fused` has answered."""

    point: np.ndarray
    """v (n+m,), y (m,), z_upper − z_lower (n+m,) in the solver's units"""
    status: int
    iterations: int
    evaluations: int
    verdict: int
    """one of the words of `certificates.compiled`"""
    x: np.ndarray
    """(n,) this and what follows in the problem's units, and only where the verdict is clear"""
    y: np.ndarray
    """(m,)"""
    z: np.ndarray
    """(n,)"""
    value: float
    rows: np.ndarray
    """(m,)"""


def unpack(array: np.ndarray, n: int, m: int) -> Packed:
    """The parts of what `fused` has answered, views of one array."""
    counts = 2 * n + 3 * m
    x = counts + 3
    y = x + n
    z = y + m
    value = z + n
    status, iterations, evaluations = array[counts:x].tolist()
    judged = array.size > x
    return Packed(
        array[:counts],
        int(status),
        int(iterations),
        int(evaluations),
        int(array[-1]) if judged else compiled.UNCLEAR,
        array[x:y],
        array[y:z],
        array[z:value],
        float(array[value]) if judged else np.nan,
        array[value + 1 : value + 1 + m],
    )
