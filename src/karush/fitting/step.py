"""One step of a fit, from one frozen state to the next; the same lines for NumPy and for JAX.

Parameters that r is affine in (α, see `linear_part`) are eliminated: with ``Φ = ∂r/∂α`` and ``P = I − ΦΦ⁺``

```
min_β ½ ‖P r(β)‖²,    K = P ∂r/∂β  (Kaufman's Jacobian [Kau75]),    K D⁻¹ = U diag(s) Vᵀ,    h = Uᵀ r
d = −D⁻¹ V a(s, h, Δ)           a: levenberg_marquardt, dog_leg_ls or gauss_newton
α = −Φ⁺ r₀                       at the trial point, so that r there is r₀ + Φ α
```

Nothing is squared: the condition of the linear algebra is that of J, not of JᵀJ. Without such parameters Φ is empty.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

from karush.fitting import dog_leg_ls, gauss_newton, levenberg_marquardt, loss
from karush.linalg.ops import Ops

RUNNING, CONVERGED, STEP_FAILED, EVALUATION_FAILED = 0, 1, 2, 3
EPS = float(numpy.finfo(numpy.float64).eps)
RANK = 64.0 * EPS
"""Singular values of scaled columns below RANK times the largest are zero."""
ROUNDING = 8.0
"""Residuals are known to ROUNDING ε times what the parameters add to them."""
GOOD, POOR, ENOUGH = 0.75, 0.25, 1.0e-4
"""Ratios of actual to predicted decrease from which the radius grows, below which it shrinks, and above which the point
is taken, as in MINPACK [Mor78]."""
LEAST_SHRINK, MOST_SHRINK = 0.5, 0.1
NOISE = 64.0
"""The cost is known to NOISE ε of itself."""
SHARP = 0.1
"""The cosine ends below this part of tol: the certificate measures entries by their own scales, some of them finer."""
SLOWEST = 0.8
"""Factor by which the cosine has to fall with each step whose decrease is lost in rounding."""
FIRST = 1.0
"""The first step may be as long as the start, in units of D: β is believed to its order of magnitude."""
UNLIMITED = 1.0e150
"""Radius that limits no step; its square does not overflow."""
PASSES = 3
"""Rounds in which parameters that a step takes over a bound are put onto it, and the rest solved again."""

COEFFICIENTS: dict[str, Callable[..., Any]] = {
    "levenberg-marquardt": levenberg_marquardt.coefficients,
    "dog-leg": dog_leg_ls.coefficients,
    "gauss-newton": gauss_newton.coefficients,
}


class Terms(NamedTuple):
    """What a step needs to know of the problem: functions in the step's own array library, and constants."""

    projection: Callable[..., Any]
    """β (q,) -> r₀ (m,), Φ (m, p)"""
    jacobian: Callable[..., Any]
    """x (n,) -> r (m,), J (m, n)"""
    rest: numpy.ndarray
    linear: numpy.ndarray
    place: numpy.ndarray
    lower: numpy.ndarray
    """(q,) of the parameters that are not eliminated"""
    upper: numpy.ndarray
    loss: str
    loss_scale: float
    method: str
    tol: float


class State(NamedTuple):
    """Point, its residuals and Jacobian, and the size of the next step."""

    x: Any
    r: Any
    """(m,) weighted residuals"""
    jacobian: Any
    """(m, n)"""
    cost: Any
    scale: Any
    """(q,) D: the largest column norms of K so far"""
    radius: Any
    """Δ, in units of D β; negative before the first step"""
    cosine: Any
    """‖h‖ / ‖r‖: cosine between residual and tangent space, 0 at a stationary point"""
    step: Any
    """length of the last accepted step, relative to the point"""
    trusted: Any
    """cosine at the last step that was taken although rounding hides its decrease; inf before the first"""
    status: Any
    iterations: Any
    residual_calls: Any
    jacobian_columns: Any


def least_squares_solution(ops: Ops, matrix: Any, right: Any) -> Any:
    """x of least length (in scaled columns) that minimises ‖A x − b‖; zero along directions that A does not see."""
    np = ops.np
    length = np.linalg.norm(matrix, axis=0)
    length = np.where(length > 0, length, 1.0)
    u, s, vt = np.linalg.svd(matrix / length, full_matrices=False)
    seen = s > RANK * s[0]
    return (vt.T @ np.where(seen, (u.T @ right) / np.where(seen, s, 1.0), 0.0)) / length


def evaluated(ops: Ops, terms: Terms, beta: Any) -> tuple[Any, Any, Any]:
    """x, r and cost at β (q,) with the best α; the cost is inf where r is not finite."""
    np = ops.np
    r, phi = terms.projection(beta)
    ok = np.all(np.isfinite(r)) & np.all(np.isfinite(phi))
    r = np.where(ok, r, 0.0)
    alpha = np.zeros(terms.linear.size)
    if terms.linear.size:
        phi = np.where(ok, phi, 0.0)
        alpha = -least_squares_solution(ops, phi, r)
        r = r + phi @ alpha
    x = np.concatenate([beta, alpha])[terms.place]
    value = loss.cost(np, terms.loss, terms.loss_scale, r)
    return x, r, np.where(ok & np.isfinite(value), value, np.inf)


def start(ops: Ops, terms: Terms, beta: Any) -> State:
    """The state at β (q,)."""
    np = ops.np
    x, r, value = evaluated(ops, terms, beta)
    r, jacobian = terms.jacobian(x)
    ok = np.isfinite(value) & np.all(np.isfinite(jacobian)) & np.all(np.isfinite(r))
    return State(
        x=x,
        r=np.where(ok, r, 0.0),
        jacobian=np.where(ok, jacobian, 0.0),
        cost=np.where(ok, loss.cost(np, terms.loss, terms.loss_scale, r), np.inf),
        scale=np.zeros(beta.shape[0]),
        radius=np.asarray(-1.0),
        cosine=np.asarray(1.0),
        step=np.asarray(0.0),
        trusted=np.asarray(np.inf),
        status=np.where(ok, RUNNING, EVALUATION_FAILED),
        iterations=np.asarray(0),
        residual_calls=np.asarray(1),
        jacobian_columns=np.asarray(x.shape[0]),
    )


class Model(NamedTuple):
    """The linearised problem in β at one point."""

    r: Any
    k: Any
    """(m, q) K"""
    scale: Any
    cosine: Any
    converged: Any
    noise: Any
    """what the rounding of the residuals does to the cost"""


def _model(ops: Ops, terms: Terms, state: State) -> Model:
    np = ops.np
    if not terms.rest.size:
        # Linear in all parameters: the projection was the solution.
        none = np.zeros(0)
        return Model(state.r, np.zeros((state.r.shape[0], 0)), none, state.cosine * 0.0, np.asarray(True), none)
    r, jacobian = loss.linearised(np, terms.loss, terms.loss_scale, state.r, state.jacobian)
    k = jacobian[:, terms.rest]
    if terms.linear.size:
        phi = jacobian[:, terms.linear]
        length = np.linalg.norm(phi, axis=0)
        q = np.linalg.qr(phi / np.where(length > 0, length, 1.0))[0]
        # Twice is enough: what the first projection leaves of a nearly dependent column is rounding.
        k = k - q @ (q.T @ k)
        k = k - q @ (q.T @ k)
    length = np.linalg.norm(k, axis=0)
    scale = np.maximum(state.scale, length)
    scale = np.where(scale > 0, scale, 1.0)
    beta = state.x[terms.rest]
    slope = r @ k
    held = ((beta <= terms.lower) & (slope > 0)) | ((beta >= terms.upper) & (slope < 0))
    k = np.where(held, 0.0, k)
    u, s, _ = np.linalg.svd(k / scale, full_matrices=False)
    tangent = np.linalg.norm(np.where(s > RANK * s[0], u.T @ r, 0.0))
    size = np.linalg.norm(r)
    known = ROUNDING * EPS * np.max(np.linalg.norm(state.jacobian, axis=0) * np.abs(state.x))
    cosine = tangent / np.where(size > 0, size, 1.0)
    noise = known * np.linalg.norm(state.r) + NOISE * EPS * state.cost
    return Model(r, k, scale, cosine, tangent <= np.maximum(SHARP * terms.tol * size, known), noise)


def _direction(ops: Ops, terms: Terms, model: Model, beta: Any, radius: Any) -> Any:
    """d (q,) within the bounds."""
    np = ops.np
    r, k, d = model.r, model.k, np.zeros_like(beta)
    bounded = bool(numpy.any(numpy.isfinite(terms.lower) | numpy.isfinite(terms.upper)))
    open_ = np.ones(beta.shape[0], dtype=bool)
    for _ in range(PASSES if bounded else 1):
        left = np.where(open_, k, 0.0)
        u, s, vt = np.linalg.svd(left / model.scale, full_matrices=False)
        s = np.where(s > RANK * s[0], s, 0.0)
        a = COEFFICIENTS[terms.method](ops, s, u.T @ (r + k @ np.where(open_, 0.0, d)), radius)
        d = np.where(open_, -(vt.T @ a) / model.scale, d)
        if bounded:
            inside = np.clip(beta + d, terms.lower, terms.upper) - beta
            open_ = open_ & (inside == d)
            d = inside
    return d


def advance(ops: Ops, terms: Terms, state: State) -> State:
    """One trial point: taken where it is better, with the radius updated either way. No trial at a stationary point."""
    model = _model(ops, terms, state)
    state = state._replace(scale=model.scale, cosine=model.cosine)
    return ops.cond(model.converged, _stop, lambda state: _try(ops, terms, state, model), state)


def _stop(state: State) -> State:
    return state._replace(status=state.status * 0 + CONVERGED)


def _try(ops: Ops, terms: Terms, state: State, model: Model) -> State:
    np = ops.np
    beta = state.x[terms.rest]
    reach = np.linalg.norm(model.scale * beta)
    line = terms.method == "gauss-newton"
    radius = np.where(state.radius < 0, np.where(line | (reach == 0.0), UNLIMITED, FIRST * reach), state.radius)
    d = _direction(ops, terms, model, beta, radius)
    length = np.linalg.norm(model.scale * d)
    ahead = model.r + model.k @ d
    predicted = 0.5 * (np.vdot(model.r, model.r) - np.vdot(ahead, ahead))
    x, r, cost = evaluated(ops, terms, beta + d)
    actual = state.cost - cost
    ratio = np.where(predicted > 0, actual / np.where(predicted > 0, predicted, 1.0), -1.0)
    # Near the end the decrease drowns in the rounding of the cost, long before the cosine does: take such steps as
    # long as it falls.
    hidden = (predicted <= model.noise) & (actual >= -model.noise)
    trust = hidden & (state.cosine <= SLOWEST * state.trusted)
    taken = trust | ((ratio > ENOUGH) & (actual > 0))
    r, jacobian = ops.cond(taken, terms.jacobian, lambda _: (state.r, state.jacobian), x)
    moved = taken & np.all(np.isfinite(jacobian)) & np.all(np.isfinite(r))
    stuck = ~moved & ((length <= EPS * reach) | hidden)
    return State(
        x=np.where(moved, x, state.x),
        r=np.where(moved, r, state.r),
        jacobian=np.where(moved, jacobian, state.jacobian),
        cost=np.where(moved, loss.cost(np, terms.loss, terms.loss_scale, r), state.cost),
        scale=state.scale,
        radius=_radius(np, line, moved, radius, length, ratio, predicted, actual),
        cosine=state.cosine,
        step=np.where(moved, length / np.where(reach > 0, reach, 1.0), state.step),
        trusted=np.where(trust, state.cosine, state.trusted),
        status=np.where(stuck, STEP_FAILED, RUNNING),
        iterations=state.iterations + 1,
        residual_calls=state.residual_calls + 1,
        jacobian_columns=state.jacobian_columns + terms.linear.size + np.where(taken, terms.rest.size, 0),
    )


def _radius(np: Any, line: bool, moved: Any, radius: Any, length: Any, ratio: Any, predicted: Any, actual: Any) -> Any:
    """The next Δ: MINPACK's rule; a line search begins every step at its full length."""
    # Along d the cost falls with slope −2 predicted at most; the parabola through both values has its minimum here.
    bend = 2.0 * predicted - actual
    parabola = predicted / np.where(bend > 0, bend, 1.0)
    part = np.where(np.isfinite(actual), np.clip(parabola, MOST_SHRINK, LEAST_SHRINK), LEAST_SHRINK**2)
    if line:
        return np.where(moved, UNLIMITED, part * length)
    shrunk = part * np.minimum(radius, length / MOST_SHRINK)
    grown = np.where(ratio >= GOOD, np.maximum(radius, 2.0 * length), radius)
    return np.where(moved & (ratio >= POOR), grown, shrunk)
