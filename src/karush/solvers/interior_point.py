"""A primal–dual interior point with a filter line search, as a pure function from state to state.

The algorithm is that of [WB06], with two changes. Its restoration phase is the same step with other weights, a
regularised Newton step on ½‖c(x) − s‖² with the same barrier, so no second solver is needed. And it runs in reverse:
`advance(state, evaluation)` is handed the functions' values and derivatives at `state.trial_v`, decides, and names the
next point. The user's functions are therefore evaluated in one place of any driver, and traced once.

Notation: docs/algorithms.md. v = (x, s), c(x) − s = 0, lower <= v <= upper.
"""

from typing import Any

from karush.linalg.kkt_system import Layout
from karush.linalg.ops import Ops
from karush.solvers import acceptance, backtracking, barrier, direction, optimality
from karush.solvers.state import EVALUATION_FAILED, REGULAR, RESTORATION, RUNNING, Data, Evaluated, Point, State

PATIENCE = 100
"""iterations without progress in feasibility after which it is restored, whatever the filter says"""
THETA_MAX, THETA_MIN = 10.0, 1e-4
"""largest violation accepted, and the one below which the objective alone may decide, in units of max(1, θ(x0));
eq. (21) of [WB06] with 10 for 1e4, which let a thousand barrier terms pay for two hundred times the violation"""


def advance(ops: Ops, rows: Layout, data: Data, state: State, values: Any, jacobian: Any, hessian: Any) -> State:
    """The next state, from F (1+m,), J (1+m, n) and H (n, n) at the trial point, in the user's units."""
    evaluated = _scaled(data, values, jacobian, hessian)
    state = _placed_slacks(ops, data, state, evaluated.c)
    trial = _trial_point(ops, data, state, evaluated)
    state = state._replace(evaluations=state.evaluations + 1)
    finite = _is_finite(ops, evaluated)
    accepted, state = acceptance.judge(ops, data, state, trial, finite)
    return ops.cond(
        accepted,
        lambda s: _move(ops, rows, data, s, trial, evaluated, finite),
        lambda s: backtracking.retreat(ops, rows, data, s, trial),
        state,
    )


def _scaled(data: Data, values: Any, jacobian: Any, hessian: Any) -> Evaluated:
    x_unit = data.x_unit
    return Evaluated(
        values[0] / data.f_unit,
        jacobian[0] * x_unit / data.f_unit,
        values[1:] / data.row_unit,
        jacobian[1:] * x_unit / data.row_unit[:, None],
        hessian * x_unit * x_unit[:, None],
    )


def _placed_slacks(ops: Ops, data: Data, state: State, c: Any) -> State:
    """At the first evaluation the slacks take the rows' values, moved inside their limits."""
    n = data.x_unit.shape[0]
    slacks = barrier.inside(ops, data, ops.np.concatenate([state.trial_v[:n], c]))[n:]
    slacks = ops.np.where(state.evaluations == 0, slacks, state.trial_v[n:])
    return state._replace(trial_v=ops.np.concatenate([state.trial_v[:n], slacks]))


def weights(ops: Ops, data: Data, state: State) -> Any:
    """(1+m,) weights (σ, y) of the Hessian wanted at the trial point, in the user's units."""
    sigma = ops.np.where(state.mode == RESTORATION, 0.0, 1.0 / data.f_unit)
    return ops.np.concatenate([ops.np.reshape(sigma, (1,)), state.trial_y / data.row_unit])


def trial_x(ops: Ops, data: Data, state: State) -> Any:
    """(n,) the trial point in the user's units, within the bounds exactly."""
    n = data.x_unit.shape[0]
    return ops.np.clip(state.trial_v[:n] * data.x_unit, data.x_lower, data.x_upper)


def _is_finite(ops: Ops, evaluated: Evaluated) -> Any:
    xnp = ops.np
    total = xnp.sum(evaluated.g) + xnp.sum(evaluated.c) + xnp.sum(evaluated.J) + xnp.sum(evaluated.W)
    return xnp.isfinite(total + evaluated.f)


def _trial_point(ops: Ops, data: Data, state: State, evaluated: Evaluated) -> Point:
    point, step = state.point, state.step
    n = data.x_unit.shape[0]
    residual = evaluated.c - state.trial_v[n:]
    dual = ops.np.where(state.force, 0.0, step.alpha_dual)
    return Point(
        state.trial_v,
        state.trial_y,
        point.z_lower + dual * step.z_lower,
        point.z_upper + dual * step.z_upper,
        evaluated.f,
        residual,
        ops.np.sum(ops.np.abs(residual)),
    )


def _move(ops: Ops, rows: Layout, data: Data, state: State, trial: Point, at: Evaluated, finite: Any) -> State:
    """Accept the trial point: new barrier parameter, convergence, and the next direction."""
    xnp = ops.np
    begin = state.evaluations == 1
    scale = xnp.maximum(1.0, trial.violation)
    state = state._replace(
        point=barrier.safeguarded(ops, data, trial, state.mu),
        J=at.J,
        iterations=state.iterations + xnp.where(state.force, 0, 1),
        corrected=xnp.asarray(False),
        failures=xnp.where(state.force, state.failures, 0),
        delta_floor=xnp.where(state.force, state.delta_floor, 0.0),
        theta_max=xnp.where(begin, THETA_MAX * scale, state.theta_max),
        theta_min=xnp.where(begin, THETA_MIN * scale, state.theta_min),
        status=xnp.where(finite, state.status, EVALUATION_FAILED),
    )
    state = optimality.measure(ops, data, state, at)
    leaving = (state.mode == RESTORATION) & acceptance.restored(ops, data, state)
    state = ops.cond(leaving, lambda s: direction.leave_restoration(ops, s), lambda s: s, state)
    impatient = (state.waiting > PATIENCE) & (state.mode == REGULAR)
    return ops.cond(
        leaving | (state.status != RUNNING),
        lambda s: s,
        lambda s: ops.cond(
            impatient,
            lambda t: backtracking.change_phase(ops, data, t),
            lambda t: direction.direct(ops, rows, data, t, at),
            s,
        ),
        state,
    )
