"""Two drivers of the same step: a Python loop that people can watch and stop, and one compiled `lax.while_loop`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.precision import float64
from karush.derivatives.evaluator import Evaluator
from karush.linalg.kkt_system import Layout
from karush.linalg.ops import JAX, NUMPY
from karush.solvers import interior_point, start
from karush.solvers.state import RUNNING, Data, State

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


def fused(evaluator: Evaluator, rows: Layout) -> Callable[..., Any]:
    """``(data, x, mu, max_iterations, *params) -> array``, one compiled program.

    The array holds v (n+m,), y (m,), z_upper − z_lower (n+m,), then status, iterations and evaluations: one array,
    because each that leaves a compiled program costs a microsecond or two.
    """

    def solve(data: Data, x: Any, mu: Any, max_iterations: Any, *params: Any) -> Any:
        def body(state: State) -> State:
            weights = interior_point.weights(JAX, data, state)
            at = evaluator.derivatives(interior_point.trial_x(JAX, data, state), weights, *params)
            return interior_point.advance(JAX, rows, data, state, *at)

        state = jax.lax.while_loop(
            lambda state: _going(state, max_iterations), body, start.state(JAX, rows, data, x, mu)
        )
        point = state.point
        counts = jnp.stack([state.status, state.iterations, state.evaluations]).astype(jnp.float64)
        return jnp.concatenate([point.v, point.y, point.z_upper - point.z_lower, counts])

    return jax.jit(solve, compiler_options=evaluator.fused_options)
