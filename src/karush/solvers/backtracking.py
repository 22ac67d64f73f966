"""What follows a refused trial point: a second-order correction, a shorter step, or another phase."""

from typing import Any

from karush.linalg import kkt_system
from karush.linalg.kkt_system import Layout
from karush.linalg.ops import Ops
from karush.solvers import acceptance, barrier
from karush.solvers.state import (
    DELTA_C,
    EVALUATION_FAILED,
    REGULAR,
    RESTORATION,
    STEP_FAILED,
    TAU_MIN,
    Data,
    Point,
    State,
)

DELTA_DAMP = 1e-4
"""first extra inertia correction where no step length served near feasibility; then ten times that, and so on"""


def retreat(ops: Ops, rows: Layout, data: Data, state: State, trial: Point) -> State:
    """The trial point was refused: correct it once, else shorten the step, else change the phase."""
    xnp = ops.np
    whole = state.alpha >= state.step.alpha_max
    correctable = whole & ~state.corrected & (state.mode == REGULAR) & (trial.violation >= state.point.violation)
    correctable = correctable & xnp.isfinite(trial.violation) & (data.row_unit.shape[0] > 0)
    shortest = acceptance.shortest_step(ops, state)
    alpha = xnp.where(state.corrected, state.step.alpha_max, state.alpha) * 0.5
    return ops.cond(
        correctable,
        lambda s: _correct(ops, rows, data, s, trial),
        lambda s: ops.cond(
            alpha < shortest, lambda t: change_phase(ops, data, t), lambda t: _shorten(ops, data, t, alpha), s
        ),
        state,
    )


def _correct(ops: Ops, rows: Layout, data: Data, state: State, trial: Point) -> State:
    """Second-order correction, sec. 2.4 of [WB06]: the same system with α c(x) + c(x + α dx) on its right."""
    xnp = ops.np
    n = data.x_unit.shape[0]
    point, step, alpha = state.point, state.step, state.alpha
    free_s = data.free[n:]
    # The first system's right-hand side differs from this one in its constraint part only.
    extra = alpha * point.residual + trial.residual - point.residual
    dx, dy = kkt_system.solve(ops, rows, state.factors, state.J, state.D, xnp.zeros(n), extra)
    slack = xnp.where(free_s, state.D - DELTA_C, 0.0)
    dv = step.v + xnp.concatenate([dx, slack * dy])
    alpha_soc = barrier.fraction_to_boundary(ops, data, point.v, dv, barrier.tau(ops, state.mu, TAU_MIN))
    return state._replace(
        corrected=xnp.asarray(True),
        trial_v=barrier.within(ops, data, point.v + alpha_soc * dv),
        trial_y=point.y + alpha_soc * (step.y + dy),
    )


def _shorten(ops: Ops, data: Data, state: State, alpha: Any) -> State:
    point, step = state.point, state.step
    y_base = ops.np.where(state.mode == RESTORATION, point.residual, point.y)
    return state._replace(
        corrected=ops.np.asarray(False),
        alpha=alpha,
        trial_v=barrier.within(ops, data, point.v + alpha * step.v),
        trial_y=y_base + alpha * step.y,
    )


def change_phase(ops: Ops, data: Data, state: State) -> State:
    """No step length served: restore feasibility, or, where there is little to restore, damp the step."""
    xnp = ops.np
    point = state.point
    restoring = state.mode == RESTORATION
    feasible = xnp.max(xnp.abs(point.residual), initial=0.0) <= data.tol
    failed_values = ~xnp.isfinite(point.value + point.violation)
    damp = restoring | feasible
    failures = state.failures + 1
    largest = xnp.max(xnp.abs(point.residual), initial=0.0)
    mu_restoring = xnp.maximum(state.mu, xnp.minimum(largest, 1e2))
    exhausted = damp & (failures > 6)
    status = xnp.where(failed_values, EVALUATION_FAILED, xnp.where(exhausted, STEP_FAILED, state.status))
    state = acceptance.augment(ops, data, state, ~damp)
    return state._replace(
        status=status,
        failures=failures,
        force=xnp.asarray(True),
        corrected=xnp.asarray(False),
        mode=xnp.where(damp, state.mode, RESTORATION),
        mu_saved=xnp.where(damp, state.mu_saved, state.mu),
        mu=xnp.where(damp, state.mu, mu_restoring),
        theta_saved=xnp.where(damp, state.theta_saved, point.violation),
        delta=xnp.where(damp, state.delta, 0.0),
        delta_floor=xnp.where(damp, xnp.maximum(DELTA_DAMP, 10.0 * state.delta_floor), 0.0),
        filter_theta=xnp.where(damp & ~restoring, xnp.full_like(state.filter_theta, xnp.inf), state.filter_theta),
        trial_v=point.v,
        trial_y=xnp.where(damp & ~restoring, point.y, point.residual),
    )
