"""A primal–dual interior point with a filter line search, as a pure function from state to state.

The algorithm is that of [WB06], with two changes. Its restoration phase is the same step with other weights, a
regularised Newton step on ½‖c(x) − s‖² with the same barrier, so no second solver is needed. And it runs in reverse:
`advance(state, evaluation)` is handed the functions' values and derivatives at `state.trial_v`, decides, and names the
next point. The user's functions are therefore evaluated in one place of any driver, and traced once.

Notation: docs/algorithms.md. v = (x, s), c(x) − s = 0, lower <= v <= upper.
"""

from typing import Any, NamedTuple

from karush.linalg import kkt_system
from karush.linalg.kkt_system import Layout
from karush.linalg.ops import Ops
from karush.solvers import acceptance, barrier, inertia
from karush.solvers.state import (
    CONVERGED,
    DIVERGED,
    EVALUATION_FAILED,
    INFEASIBLE,
    MULTIPLIERS,
    REGULAR,
    RESTORATION,
    RUNNING,
    STEP_FAILED,
    Data,
    Point,
    State,
    Step,
)

KAPPA_EPSILON = 10.0
"""barrier problems are solved to κ_ε μ, eq. (8) of [WB06]"""
KAPPA_MU, THETA_MU = 0.2, 1.5
"""μ ← max(μ_min, min(κ_μ μ, μ^θ_μ)), eq. (7) of [WB06]"""
TAU_MIN = 0.99
"""fraction to the boundary, eq. (8) of [WB06]"""
MULTIPLIER_LIMIT = 1e3
"""least-squares multipliers beyond this are replaced by zero, sec. 3.6 of [WB06]"""
DELTA_C = 1e-9
"""regularisation of the equality rows; always on: it only damps dy, so it moves no solution, and dependent rows need no
special case"""
RESTORED = 0.9
"""restoration ends at a point that the filter accepts with at most this share of the violation it began with"""
STALLS = 3
"""iterations without halving the weighted error, once the scaled one is met, after which it is taken as it is"""
LEAST_RESIDUAL = 1e-4
"""restoration ends where the residual's gradient falls below tol times the residual, taken as at least this"""
DELTA_DAMP = 1e-4
"""first extra inertia correction where no step length served near feasibility; then ten times that, and so on"""
DIVERGENCE = 1e18
"""scaled objective below minus this, feasible: the run ends as unbounded"""


class Evaluated(NamedTuple):
    """Scaled values and derivatives at the trial point."""

    f: Any
    g: Any
    c: Any
    J: Any
    W: Any


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
        lambda s: _retreat(ops, rows, data, s, trial),
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
        theta_max=xnp.where(begin, 10.0 * scale, state.theta_max),
        theta_min=xnp.where(begin, 1e-4 * scale, state.theta_min),
        status=xnp.where(finite, state.status, EVALUATION_FAILED),
    )
    state = _measure(ops, data, state, at)
    leaving = (state.mode == RESTORATION) & acceptance.restored(ops, data, state)
    state = ops.cond(leaving, lambda s: _leave_restoration(ops, s), lambda s: s, state)
    return ops.cond(
        leaving | (state.status != RUNNING), lambda s: s, lambda s: _direct(ops, rows, data, s, at), state
    )


def _measure(ops: Ops, data: Data, state: State, at: Evaluated) -> State:
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
    mu = ops.while_loop(
        lambda mu: measuring & (error(mu) <= KAPPA_EPSILON * mu) & (mu > smallest), smaller, state.mu
    )
    lowered = mu < state.mu
    total = error(0.0)
    weighted = xnp.maximum(
        xnp.max(xnp.abs(dual[: data.x_unit.shape[0]]) * (data.f_unit / data.x_unit) * data.dual_weight, initial=0.0),
        xnp.max(xnp.abs(point.residual) * data.row_unit * data.row_weight, initial=0.0),
    )
    weighted = xnp.maximum(weighted, barrier.complementarity(ops, data, point, 0.0) * gap_unit)
    # A residual that cannot be lowered: its gradient vanishes relative to itself.
    residual = xnp.max(xnp.abs(point.residual), initial=0.0)
    wanted = data.tol * xnp.where(restoring, xnp.clip(residual, LEAST_RESIDUAL, 1.0), 1.0)
    fine = (total <= wanted) & measuring
    halved = weighted <= 0.5 * state.weighted_error
    stalled = xnp.where(fine & ~halved, state.stalled + 1, 0)
    over = fine & ((weighted <= data.tol) | (stalled > STALLS) | restoring)
    diverged = (at.f < -DIVERGENCE) & (violation <= 1e-6 * DIVERGENCE) & measuring & ~restoring
    status = xnp.where(
        over, xnp.where(restoring, INFEASIBLE, CONVERGED), xnp.where(diverged, DIVERGED, state.status)
    )
    empty = xnp.full_like(state.filter_theta, xnp.inf)
    return state._replace(
        mu=mu,
        status=status,
        error=total,
        weighted_error=xnp.where(measuring, weighted, xnp.inf),
        stalled=stalled,
        filter_theta=xnp.where(lowered & ~restoring, empty, state.filter_theta),
    )


def _leave_restoration(ops: Ops, state: State) -> State:
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


def _direct(ops: Ops, rows: Layout, data: Data, state: State, at: Evaluated) -> State:
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
    merit_gradient = merit_gradient - xnp.where(
        restoring, xnp.concatenate([xnp.zeros(n), point.residual]), 0.0
    )
    merit_gradient = merit_gradient + barrier.force(ops, data, point, state.mu)
    step = barrier.step(ops, data, point, state.mu, dv, dy, merit_gradient @ dv, TAU_MIN)
    solved = xnp.isfinite(xnp.sum(dv) + xnp.sum(dy))
    return ops.cond(
        solved, lambda s: _first_trial(ops, data, s, step, dy), lambda s: _change_phase(ops, data, s), state
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


def _retreat(ops: Ops, rows: Layout, data: Data, state: State, trial: Point) -> State:
    """The trial point was refused: correct it once, else shorten the step, else change the phase."""
    xnp = ops.np
    whole = state.alpha >= state.step.alpha_max
    correctable = (
        whole & ~state.corrected & (state.mode == REGULAR) & (trial.violation >= state.point.violation)
    )
    correctable = correctable & xnp.isfinite(trial.violation) & (data.row_unit.shape[0] > 0)
    shortest = acceptance.shortest_step(ops, state)
    alpha = xnp.where(state.corrected, state.step.alpha_max, state.alpha) * 0.5
    return ops.cond(
        correctable,
        lambda s: _correct(ops, rows, data, s, trial),
        lambda s: ops.cond(
            alpha < shortest, lambda t: _change_phase(ops, data, t), lambda t: _shorten(ops, data, t, alpha), s
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


def _change_phase(ops: Ops, data: Data, state: State) -> State:
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
    status = xnp.where(
        failed_values, EVALUATION_FAILED, xnp.where(exhausted, STEP_FAILED, state.status)
    )
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
