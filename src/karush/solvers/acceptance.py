"""Whether a trial point is accepted: the filter of [WB06], sec. 2.3, and the Armijo test of the restoration phase."""

from typing import Any

from karush.linalg.ops import Ops
from karush.solvers import barrier
from karush.solvers.state import FILTER_SIZE, REGULAR, RESTORATION, Data, Point, State

GAMMA_THETA, GAMMA_PHI = 1e-5, 1e-8
"""sufficient progress, eq. (18) of [WB06]"""
S_THETA, S_PHI = 1.1, 2.3
"""switching condition, eq. (19) of [WB06], with δ = 1"""
ETA_PHI = 1e-8
"""Armijo, eq. (20) of [WB06]"""
GAMMA_ALPHA = 0.05
"""safety factor of the shortest step, eq. (23) of [WB06]"""
ROUNDING = 10.0 * 2.0**-52
"""relative error granted to the merit's two values"""
TINY_STEP = 10.0 * 2.0**-52
"""a step this small relative to max(1, |v|) is taken whole: no merit can measure it"""
RESTORED = 0.9
"""share of the violation that restoration must leave at most"""


def _merit(ops: Ops, data: Data, point: Point, mu: Any, restoring: Any) -> Any:
    smooth = ops.np.where(restoring, 0.5 * point.residual @ point.residual, point.value)
    return smooth + barrier.objective(ops, data, point.v, mu)


def _dominated(ops: Ops, state: State, theta: Any, phi: Any) -> Any:
    """Whether the filter refuses (θ, φ)."""
    better_theta = theta <= (1.0 - GAMMA_THETA) * state.filter_theta
    better_phi = phi <= state.filter_phi - GAMMA_PHI * state.filter_theta
    empty = ~ops.np.isfinite(state.filter_theta)
    return ~ops.np.all(better_theta | better_phi | empty)


def judge(ops: Ops, data: Data, state: State, trial: Point, finite: Any) -> tuple[Any, State]:
    """Whether the trial point is accepted, and the state with the filter augmented where that is due."""
    xnp = ops.np
    point, step, alpha = state.point, state.step, state.alpha
    restoring = state.mode == RESTORATION
    phi_now = _merit(ops, data, point, state.mu, restoring)
    phi = _merit(ops, data, trial, state.mu, restoring)
    theta_now, theta = point.violation, trial.violation
    slack = ROUNDING * xnp.maximum(xnp.abs(phi_now), 1e-30)
    descent = step.slope < 0.0
    # eq. (19) in logarithms, since powers of tiny slopes underflow
    switching = descent & (_log(ops, alpha) + S_PHI * _log(ops, -step.slope) > S_THETA * _log(ops, theta_now))
    armijo = phi <= phi_now + ETA_PHI * alpha * step.slope + slack
    ftype = switching & (theta_now <= state.theta_min)
    progress = (theta <= (1.0 - GAMMA_THETA) * theta_now) | (phi - slack <= phi_now - GAMMA_PHI * theta_now)
    regular = xnp.where(ftype, armijo, progress) & ~_dominated(ops, state, theta, phi) & (theta <= state.theta_max)
    tiny = xnp.max(xnp.abs(step.v) / xnp.maximum(1.0, xnp.abs(point.v)), initial=0.0) <= TINY_STEP
    accepted = state.force | (finite & (xnp.where(restoring, armijo, regular) | tiny))
    grows = accepted & ~state.force & (state.mode == REGULAR) & ~(ftype & armijo)
    return accepted, augment(ops, data, state, grows)


def _log(ops: Ops, positive: Any) -> Any:
    return ops.np.log(ops.np.maximum(positive, 1e-300))


def augment(ops: Ops, data: Data, state: State, grows: Any) -> State:
    """The filter with the current point's (θ, φ) added where `grows`."""
    xnp = ops.np
    phi = state.point.value + barrier.objective(ops, data, state.point.v, state.mu)
    here = (xnp.arange(FILTER_SIZE) == state.filter_next) & grows
    return state._replace(
        filter_theta=xnp.where(here, state.point.violation, state.filter_theta),
        filter_phi=xnp.where(here, phi, state.filter_phi),
        filter_next=xnp.where(grows, (state.filter_next + 1) % FILTER_SIZE, state.filter_next),
    )


def restored(ops: Ops, data: Data, state: State) -> Any:
    """Whether the current point ends the restoration phase."""
    point = state.point
    phi = point.value + barrier.objective(ops, data, point.v, state.mu_saved)
    enough = point.violation <= RESTORED * state.theta_saved
    feasible = ops.np.max(ops.np.abs(point.residual), initial=0.0) <= data.tol
    return (enough & ~_dominated(ops, state, point.violation, phi)) | feasible


def shortest_step(ops: Ops, state: State) -> Any:
    """α_min of eq. (23) of [WB06]."""
    xnp = ops.np
    theta, slope = state.point.violation, state.step.slope
    by_phi = xnp.where(slope < 0.0, GAMMA_PHI * theta / xnp.maximum(-slope, 1e-300), 1.0)
    bound = xnp.where(slope < 0.0, xnp.minimum(GAMMA_THETA, by_phi), GAMMA_THETA)
    by_switching = xnp.exp(S_THETA * _log(ops, theta) - S_PHI * _log(ops, -slope))
    ftype = (slope < 0.0) & (theta <= state.theta_min)
    bound = xnp.where(ftype, xnp.minimum(bound, by_switching), bound)
    return xnp.where(state.mode == REGULAR, xnp.maximum(GAMMA_ALPHA * bound, 1e-12), 1e-12)
