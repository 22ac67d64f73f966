"""Stationary points of the infeasibility: no small move makes the violated constraints less violated.

With the signed violations r (m,) of the rows, dimensionless, positive weights ω on the violated rows and w_i = ω_i r_i:

```
φ = ½ Σ ω_i r_i²      over the bounds and the active satisfied rows, whose multipliers are λ
g = Jᵀw + Jᵀλ         measure  ‖ g_j · min(1, room_j) ‖ / Σ w_i r_i  <= √tol      room_j to the bound that −g points to
∇²φ = Σ ω_i ∇c_i ∇c_iᵀ + Σ (w_i + λ_i) ∇²c_i     without negative eigenvalue on what g does not hold
```

The measure is the relative loss of φ, to first order, promised by a move of the typical size of x. Dividing by w·r, not
‖w‖, tells an infeasible point from a slow approach to a feasible one: for x² = 0 the quotient is 2/x at x, for
x² + 1 = 0 it is 2x.

Which ω a solver minimises is its own affair: sums of squares or of absolute values, in typical sizes or in the user's
units, are tried, and the weights that the given multipliers name. For an arbitrary ω > 0 every overdetermined system
would be stationary on whole regions (x = 1, x² = 1 on all of −1 < x < 0), so the list is closed.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from karush.certificates.kkt import limit_gradients
from karush.certificates.multipliers import sign_constrained
from karush.certificates.scaled import Point, Scaled
from karush.certificates.second_order import CURVATURE, EPS, null_space

PROBES = tuple(2.0**k for k in range(-16, 1))
"""Lengths at which a direction without curvature of φ is tried (x³ = 1 at 0)."""
PENALTY = 2.0
"""An exact penalty of a satisfied row exceeds its multiplier; by this factor here."""


class Infeasibility(NamedTuple):
    """The measure above, and whether φ has a local minimum as far as second derivatives and probes tell."""

    measure: float
    bound: float
    minimum: bool
    weighting: str
    """the ω that it was found with, in words"""


def infeasibility(scaled: Scaled, x: np.ndarray, point: Point, y: np.ndarray | None, tol: float) -> Infeasibility:
    """Measure φ at x (n,), within the bounds, where rows are violated by more than tol.

    `point` is the evaluation there, `y` (m,) the multipliers that came with x, dimensionless, if any did.
    """
    m = scaled.flat.m
    signed = np.maximum(-point.to_upper[:m], 0.0) - np.maximum(-point.to_lower[:m], 0.0)
    signed[np.abs(signed) <= tol] = 0.0
    bound = float(np.sqrt(tol))
    best: Infeasibility | None = None
    for weighting, weights in _weightings(scaled, signed, y):
        conflict = _balanced(scaled, point, signed, weights, bound)
        stationary = conflict.measure <= bound
        minimum = stationary and _minimum(scaled, x, point, conflict, bound)
        found = Infeasibility(conflict.measure, bound, minimum, weighting)
        if minimum:
            return found
        if best is None or not best.measure <= conflict.measure:
            best = found
    assert best is not None
    return best


def _weightings(scaled: Scaled, signed: np.ndarray, y: np.ndarray | None) -> Iterator[tuple[str, np.ndarray]]:
    """(what is minimised, w (m,)), w with the signs of `signed` and zero with it."""
    units = scaled.scales.rows
    yield "sum of squares", signed
    if y is not None:
        given = np.where(y * signed > 0, y, 0.0)
        if np.any(given) and np.all((given != 0) == (signed != 0)):
            yield "weights of the given multipliers", given
    yield "sum of squares in the user's units", signed * units**2
    yield "sum of amounts", np.sign(signed)
    yield "sum of amounts in the user's units", np.sign(signed) * units


class _Conflict(NamedTuple):
    """Weights, and multipliers that balance them as far as they can."""

    measure: float
    omega: np.ndarray
    """(m,) ω, zero on satisfied rows"""
    multipliers: np.ndarray
    """(m,) w on violated rows, λ on satisfied ones"""
    held: np.ndarray
    """(k,) bool: satisfied rows and bounds that g presses against"""
    total: float
    """Σ w_i r_i = 2 φ"""


def _balanced(scaled: Scaled, point: Point, signed: np.ndarray, weights: np.ndarray, bound: float) -> _Conflict:
    m = signed.size
    weights = weights / np.abs(weights).sum()
    total = float(weights @ signed)
    slope = weights @ point.jacobian
    lower, upper = point.to_lower <= bound, point.to_upper <= bound
    active = lower | upper
    active[:m] &= signed == 0
    multipliers = weights.copy()
    rows = np.flatnonzero(active[:m])
    if rows.size:
        chosen = np.flatnonzero(active)
        columns = limit_gradients(point, chosen).T
        balance = sign_constrained(columns, -slope, lower[chosen], upper[chosen])
        multipliers[rows] = balance[: rows.size]
        slope = slope + multipliers[rows] @ point.jacobian[rows]
    room = np.maximum(np.where(slope > 0, point.to_lower[m:], point.to_upper[m:]), 0.0)
    promised = slope * np.minimum(room, 1.0)
    slack = np.minimum(np.abs(point.to_lower[rows]), np.abs(point.to_upper[rows]))
    lost = float(np.abs(multipliers[rows]) @ slack)
    measure = (float(np.sqrt(promised @ promised)) + lost) / total if total > 0 else np.inf
    omega = np.divide(weights, signed, out=np.zeros(m), where=signed != 0)
    pressed = bound * total
    against = ((np.abs(slope) > pressed) & (room <= bound)) | scaled.equal[m:]
    held = np.concatenate((active[:m] & (np.abs(multipliers) > pressed), against))
    return _Conflict(measure, omega, multipliers, held, total)


def _minimum(scaled: Scaled, x: np.ndarray, point: Point, conflict: _Conflict, bound: float) -> bool:
    """Whether φ has no negative curvature, and does not fall where it has none."""
    units = scaled.scales
    raw = scaled.evaluator(x, conflict.multipliers / units.rows, 0.0)
    weighted = point.jacobian * np.sqrt(conflict.omega)[:, None]
    hessian = raw.hessian * units.x * units.x[:, None] + weighted.T @ weighted
    if not np.all(np.isfinite(hessian)):
        return False
    basis = null_space(point, conflict.held).basis
    if not basis.shape[1]:
        return True
    values, vectors = np.linalg.eigh(basis.T @ hessian @ basis)
    error = CURVATURE * x.size * EPS * float(np.sqrt(np.vdot(hessian, hessian)))
    if not values[0] >= -error:
        return False
    flat = basis @ vectors[:, values <= max(error, bound * conflict.total)]
    return not _lower(scaled, point, flat.T, conflict)


def _lower(scaled: Scaled, point: Point, directions: np.ndarray, conflict: _Conflict) -> bool:
    """Whether φ falls along one of `directions` (q, n), rows, by more than rounding.

    Rows that are satisfied at the point may not pay for it: they enter with the largest ω and an exact penalty.
    """
    satisfied = conflict.omega == 0
    square = np.where(satisfied, conflict.omega.max(), conflict.omega)
    price = np.where(satisfied, 2 * PENALTY * np.abs(conflict.multipliers), 0.0)
    for direction in directions:
        for sign in (1.0, -1.0):
            for t in PROBES:
                violation = scaled.values(scaled.at(point.u + sign * t * direction))[1]
                moved = float(square @ violation**2 + price @ violation)
                if not moved <= conflict.total * (1 + CURVATURE * EPS):
                    break
                if moved < conflict.total * (1 - np.sqrt(EPS)):
                    return True
    return False
