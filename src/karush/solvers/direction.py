"""The next direction: the primal–dual system of the current phase, factorized and solved."""

from typing import Any

from karush.linalg import kkt_system
from karush.linalg.kkt_system import Layout
from karush.linalg.ops import Ops
from karush.solvers import backtracking, barrier, inertia
from karush.solvers.state import DELTA_C, MULTIPLIERS, REGULAR, RESTORATION, TAU_MIN, Data, Evaluated, State, Step

MULTIPLIER_LIMIT = 1e3
"""least-squares multipliers beyond this are replaced by zero, sec. 3.6 of [WB06]"""


def direct(ops: Ops, rows: Layout, data: Data, state: State, at: Evaluated) -> State:
    """Factorize the system of the current mode, and name the next trial point."""
    xnp = ops.np
    n = data.x_unit.shape[0]
    m = data.row_unit.shape[0]
    point = state.point
    restoring, first = state.mode == RESTORATION, state.mode == MULTIPLIERS
    sigma = xnp.where(first, 0.0, barrier.curvature(ops, data, point))
    free_x, free_s = data.free[:n], data.free[n:]
    W = xnp.where(first, xnp.eye(n), at.W) * (free_x & free_x[:, None])
    J = at.J * free_x
    y = xnp.where(restoring, point.residual, point.y)
    g = xnp.where(restoring, 0.0, at.g)
    force = xnp.where(first, point.z_upper - point.z_lower, barrier.force(ops, data, point, state.mu))
    y_now = xnp.where(first, 0.0, y)
    a = xnp.where(free_x, g + y_now @ at.J + force[:n], 0.0)
    a_s = xnp.where(free_s, force[n:] - y_now, 0.0)

    def system(delta: Any) -> tuple[Any, Any, Any]:
        diagonal = xnp.where(free_x, sigma[:n] + delta, 1.0)
        slack = xnp.where(first, 1.0, 1.0 / xnp.maximum(sigma[n:] + delta, 1e-20))
        slack = xnp.where(free_s, slack, 0.0)
        D = slack + xnp.where(restoring, 1.0, DELTA_C)
        return W + xnp.diag(diagonal), slack, D

    delta, delta_last = inertia.correction(
        ops, lambda d: kkt_system.has_right_inertia(ops, system(d)[0], J, system(d)[2]), state.delta, state.delta_floor
    )
    H, slack, D = system(delta)
    factors = kkt_system.factorize(ops, rows, H, J, D)
    b = xnp.where(first | restoring, 0.0, point.residual) + slack * a_s
    dx, dy = kkt_system.solve(ops, rows, factors, J, D, a, b)
    dv = xnp.concatenate([dx, xnp.where(free_s, slack * (dy - a_s), 0.0)])
    state = state._replace(factors=factors, J=J, D=D, delta=delta_last)
    merit_gradient = xnp.concatenate([xnp.where(restoring, point.residual @ at.J, at.g), xnp.zeros(m)])
    merit_gradient = merit_gradient - xnp.where(restoring, xnp.concatenate([xnp.zeros(n), point.residual]), 0.0)
    merit_gradient = merit_gradient + barrier.force(ops, data, point, state.mu)
    step = barrier.step(ops, data, point, state.mu, dv, dy, merit_gradient @ dv, TAU_MIN)
    solved = xnp.isfinite(xnp.sum(dv) + xnp.sum(dy))
    return ops.cond(
        solved, lambda s: _first_trial(ops, data, s, step, dy), lambda s: backtracking.change_phase(ops, data, s), state
    )


def _first_trial(ops: Ops, data: Data, state: State, step: Step, dy: Any) -> State:
    xnp = ops.np
    first = state.mode == MULTIPLIERS
    usable = xnp.max(xnp.abs(dy), initial=0.0) <= MULTIPLIER_LIMIT
    y_first = xnp.where(usable, dy, 0.0)
    alpha = step.alpha_max
    restoring = state.mode == RESTORATION
    y_base = xnp.where(restoring, state.point.residual, state.point.y)
    return state._replace(
        step=step,
        alpha=alpha,
        trial_v=xnp.where(first, state.point.v, barrier.within(ops, data, state.point.v + alpha * step.v)),
        trial_y=xnp.where(first, y_first, y_base + alpha * dy),
        force=first,
        mode=xnp.where(first, REGULAR, state.mode),
    )


def leave_restoration(ops: Ops, state: State) -> State:
    """Feasibility is restored: fresh multipliers at the same point, then the barrier problem again."""
    xnp = ops.np
    point = state.point
    largest = xnp.maximum(xnp.max(point.z_lower, initial=0.0), xnp.max(point.z_upper, initial=0.0))
    large = largest > MULTIPLIER_LIMIT
    point = point._replace(
        z_lower=xnp.where(large & (point.z_lower > 0), 1.0, point.z_lower),
        z_upper=xnp.where(large & (point.z_upper > 0), 1.0, point.z_upper),
        y=xnp.zeros_like(point.y),
    )
    return state._replace(
        point=point,
        mode=MULTIPLIERS,
        force=xnp.asarray(True),
        mu=state.mu_saved,
        trial_v=point.v,
        trial_y=point.y,
        delta=xnp.zeros(()),
        delta_floor=xnp.zeros(()),
        failures=state.failures * 0,
    )
