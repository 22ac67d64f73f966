"""Where an iterate stands: optimality errors, a smaller barrier parameter where it is due, and the end of a run."""

from typing import Any

from karush.linalg.ops import Ops
from karush.solvers import barrier
from karush.solvers.state import (
    CONVERGED,
    DIVERGED,
    INFEASIBLE,
    MULTIPLIERS,
    REGULAR,
    RESTORATION,
    Data,
    Evaluated,
    State,
)

KAPPA_EPSILON = 10.0
"""barrier problems are solved to κ_ε μ, eq. (8) of [WB06]"""
KAPPA_MU, THETA_MU = 0.2, 1.5
"""μ ← max(μ_min, min(κ_μ μ, μ^θ_μ)), eq. (7) of [WB06]"""
STALLS = 3
"""iterations without halving the weighted error, once the scaled one is met, after which it is taken as it is"""
PATIENT, SMALL_VIOLATION = 0.9, 1e3
"""a violation that falls to this share of the best is progress; below this multiple of tol none is asked for"""
LEAST_RESIDUAL = 1e-4
"""restoration ends where the residual's gradient falls below tol times the residual, taken as at least this"""
ROUNDING = 1e-12
"""share of the largest variable or slack that counts as a rounding error of the rows"""
DIVERGENCE, DISTANT = 1e18, 1e14
"""a feasible run ends as unbounded at a scaled objective below minus the first, or below zero with a variable or slack
beyond the second, where rounding leaves no digits to the constraints"""


def measure(ops: Ops, data: Data, state: State, at: Evaluated) -> State:
    """Optimality errors, a smaller barrier parameter where it is due, and whether the run is over."""
    xnp = ops.np
    point, restoring = state.point, state.mode == RESTORATION
    y = xnp.where(restoring, point.residual, point.y)
    dual = barrier.dual_residual(ops, data, point, at.J, xnp.where(restoring, 0.0, at.g), y)
    violation = xnp.where(restoring, 0.0, xnp.max(xnp.abs(point.residual), initial=0.0))
    scale = barrier.multiplier_scale(ops, data, point, y)

    def error(mu: Any) -> Any:
        gaps = barrier.complementarity(ops, data, point, mu)
        return xnp.maximum(xnp.maximum(xnp.max(xnp.abs(dual), initial=0.0), gaps) / scale, violation)

    gap_unit = data.gap_weight * data.f_unit
    smallest = data.tol * xnp.minimum(1.0, 1.0 / gap_unit) / (KAPPA_EPSILON + 1.0)
    smallest = xnp.where(restoring, LEAST_RESIDUAL * smallest, smallest)

    def smaller(mu: Any) -> Any:
        return xnp.maximum(smallest, xnp.minimum(KAPPA_MU * mu, mu**THETA_MU))

    measuring = state.mode != MULTIPLIERS
    mu = ops.while_loop(lambda mu: measuring & (error(mu) <= KAPPA_EPSILON * mu) & (mu > smallest), smaller, state.mu)
    lowered = mu < state.mu
    total = error(0.0)
    price_unit = xnp.concatenate([data.dual_weight / data.x_unit, data.price_weight / data.row_unit]) * data.f_unit
    weighted = xnp.maximum(
        xnp.max(xnp.abs(dual) * price_unit, initial=0.0),
        xnp.max(xnp.abs(point.residual) * data.row_unit * data.row_weight, initial=0.0),
    )
    # What a row misses its slack by counts in its complementarity too.
    gap = xnp.maximum(barrier.complementarity(ops, data, point, 0.0), xnp.max(xnp.abs(y * point.residual), initial=0.0))
    weighted = xnp.maximum(weighted, gap * gap_unit)
    # A residual that cannot be lowered: its gradient vanishes relative to itself.
    residual = xnp.max(xnp.abs(point.residual), initial=0.0)
    wanted = data.tol * xnp.where(restoring, xnp.clip(residual, LEAST_RESIDUAL, 1.0), 1.0)
    fine = (total <= wanted) & measuring
    halved = weighted <= 0.5 * state.weighted_error
    stalled = xnp.where(fine & ~halved, state.stalled + 1, 0)
    over = fine & xnp.where(restoring, residual > data.tol, (weighted <= data.tol) | (stalled > STALLS))
    # Far out, a residual of a few units in the last place of v counts as none.
    distance = xnp.max(xnp.abs(point.v), initial=0.0)
    feasible = violation <= data.tol + ROUNDING * distance
    diverged = ((at.f < -DIVERGENCE) | ((at.f < 0.0) & (distance > DISTANT))) & feasible & measuring & ~restoring
    status = xnp.where(over, xnp.where(restoring, INFEASIBLE, CONVERGED), xnp.where(diverged, DIVERGED, state.status))
    empty = xnp.full_like(state.filter_theta, xnp.inf)
    return state._replace(
        mu=mu,
        status=status,
        error=total,
        weighted_error=xnp.where(measuring, weighted, xnp.inf),
        stalled=stalled,
        filter_theta=xnp.where(lowered & ~restoring, empty, state.filter_theta),
        **_patience(ops, data, state),
    )


def _patience(ops: Ops, data: Data, state: State) -> dict[str, Any]:
    """Count the iterations since the violation last fell by a tenth; a filter lets f sink for ever at the same one."""
    xnp = ops.np
    theta = state.point.violation
    better = (theta <= PATIENT * state.theta_best) | (theta <= SMALL_VIOLATION * data.tol) | (state.mode != REGULAR)
    return {
        "theta_best": xnp.where(better, theta, state.theta_best),
        "waiting": xnp.where(better, 0, state.waiting + 1),
    }
