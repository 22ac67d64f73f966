"""The barrier −μ Σ log(v − lower) − μ Σ log(upper − v): distances, forces, curvature, and steps that stay inside."""

from typing import Any

from karush.linalg.ops import Ops
from karush.solvers.state import Data, Point, Step

KAPPA_SIGMA = 1e10
"""z stays within this factor of μ / distance, eq. (16) of [WB06]"""
SMALLEST_DISTANCE = 1e-17
"""distances to a bound are taken as at least this much of max(1, |bound|), where rounding would make them zero"""
KAPPA_1, KAPPA_2 = 1e-2, 1e-2
"""distance from a bound at the start: this share of max(1, |bound|), at most this share of the box; sec. 3.6"""
S_MAX = 100.0
"""multipliers larger than this on average loosen the optimality error, eq. (5) of [WB06]"""


def distances(ops: Ops, data: Data, v: Any) -> tuple[Any, Any]:
    """``v − lower`` and ``upper − v``, positive; inf where there is no bound."""
    xnp = ops.np
    below = xnp.maximum(v - data.lower, SMALLEST_DISTANCE * xnp.maximum(1.0, xnp.abs(data.lower)))
    above = xnp.maximum(data.upper - v, SMALLEST_DISTANCE * xnp.maximum(1.0, xnp.abs(data.upper)))
    return xnp.where(data.has_lower, below, xnp.inf), xnp.where(data.has_upper, above, xnp.inf)


def objective(ops: Ops, data: Data, v: Any, mu: Any) -> Any:
    """The barrier's part of φ."""
    xnp = ops.np
    below, above = distances(ops, data, v)
    logs = xnp.where(data.has_lower, xnp.log(below), 0.0) + xnp.where(data.has_upper, xnp.log(above), 0.0)
    return -mu * xnp.sum(logs)


def force(ops: Ops, data: Data, point: Point, mu: Any) -> Any:
    """Gradient of the barrier, ``−μ/(v − lower) + μ/(upper − v)``."""
    below, above = distances(ops, data, point.v)
    return mu / above - mu / below


def curvature(ops: Ops, data: Data, point: Point) -> Any:
    """Σ = z_lower/(v − lower) + z_upper/(upper − v), the primal–dual Hessian of the barrier."""
    below, above = distances(ops, data, point.v)
    return point.z_lower / below + point.z_upper / above


def safeguarded(ops: Ops, data: Data, point: Point, mu: Any) -> Point:
    """z kept within a factor κ_Σ of the primal barrier's multipliers, eq. (16) of [WB06]."""
    xnp = ops.np
    below, above = distances(ops, data, point.v)

    def keep(z: Any, distance: Any, has: Any) -> Any:
        ideal = mu / distance
        return xnp.where(has, xnp.clip(z, ideal / KAPPA_SIGMA, ideal * KAPPA_SIGMA), 0.0)

    return point._replace(
        z_lower=keep(point.z_lower, below, data.has_lower), z_upper=keep(point.z_upper, above, data.has_upper)
    )


def dual_residual(ops: Ops, data: Data, point: Point, J: Any, g: Any, y: Any) -> Any:
    """(n+m,) gradient of the Lagrangian in x and s; zero for fixed entries."""
    xnp = ops.np
    gradient = xnp.concatenate([g + y @ J, -y]) - point.z_lower + point.z_upper
    return xnp.where(data.free, gradient, 0.0)


def complementarity(ops: Ops, data: Data, point: Point, mu: Any) -> Any:
    """max |z · distance − μ|."""
    xnp = ops.np
    below, above = distances(ops, data, point.v)
    low = xnp.where(data.has_lower, xnp.where(data.has_lower, below, 1.0) * point.z_lower - mu, 0.0)
    up = xnp.where(data.has_upper, xnp.where(data.has_upper, above, 1.0) * point.z_upper - mu, 0.0)
    return xnp.maximum(xnp.max(xnp.abs(low), initial=0.0), xnp.max(xnp.abs(up), initial=0.0))


def multiplier_scale(ops: Ops, data: Data, point: Point, y: Any) -> Any:
    """s_d of eq. (6) of [WB06]: 1 unless the multipliers exceed S_MAX on average."""
    xnp = ops.np
    total = xnp.sum(xnp.abs(y)) + xnp.sum(point.z_lower) + xnp.sum(point.z_upper)
    count = y.shape[0] + xnp.sum(data.has_lower) + xnp.sum(data.has_upper)
    return xnp.maximum(1.0, total / xnp.maximum(count, 1) / S_MAX)


def tau(ops: Ops, mu: Any, tau_min: float) -> Any:
    """Fraction to the boundary, eq. (8) of [WB06]."""
    return ops.np.maximum(tau_min, 1.0 - mu)


def fraction_to_boundary(ops: Ops, data: Data, v: Any, dv: Any, share: Any) -> Any:
    """Largest α <= 1 with ``v + α dv`` at least ``(1 − share)`` of the distance away from every bound, eq. (15)."""
    xnp = ops.np
    below, above = distances(ops, data, v)
    ratio = xnp.maximum(-dv / below, dv / above)
    return 1.0 / xnp.maximum(1.0, xnp.max(ratio, initial=0.0) / share)


def inside(ops: Ops, data: Data, v: Any) -> Any:
    """v moved into the interior of its bounds, sec. 3.6 of [WB06]."""
    xnp = ops.np
    width = data.upper - data.lower
    low = xnp.minimum(KAPPA_1 * xnp.maximum(1.0, xnp.abs(data.lower)), KAPPA_2 * width)
    up = xnp.minimum(KAPPA_1 * xnp.maximum(1.0, xnp.abs(data.upper)), KAPPA_2 * width)
    lowest = xnp.where(data.has_lower, data.lower + low, data.lower)
    highest = xnp.where(data.has_upper, data.upper - up, data.upper)
    return xnp.clip(v, lowest, highest)


def within(ops: Ops, data: Data, v: Any) -> Any:
    """v clipped to the bounds, against the last rounding."""
    return ops.np.clip(v, data.lower, data.upper)


def step(ops: Ops, data: Data, point: Point, mu: Any, dv: Any, dy: Any, slope: Any, tau_min: float) -> Step:
    """The whole step: dz from the linearised complementarity, eq. (12) of [WB06], and the largest lengths."""
    xnp = ops.np
    below, above = distances(ops, data, point.v)
    dz_lower = xnp.where(data.has_lower, (mu - point.z_lower * dv) / below - point.z_lower, 0.0)
    dz_upper = xnp.where(data.has_upper, (mu + point.z_upper * dv) / above - point.z_upper, 0.0)
    share = tau(ops, mu, tau_min)
    shrink = xnp.maximum(
        xnp.max(xnp.where(data.has_lower, -dz_lower / xnp.maximum(point.z_lower, 1e-300), 0.0), initial=0.0),
        xnp.max(xnp.where(data.has_upper, -dz_upper / xnp.maximum(point.z_upper, 1e-300), 0.0), initial=0.0),
    )
    return Step(
        dv,
        dy,
        dz_lower,
        dz_upper,
        slope,
        fraction_to_boundary(ops, data, point.v, dv, share),
        1.0 / xnp.maximum(1.0, shrink / share),
    )
