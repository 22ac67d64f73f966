"""Stationary points of the infeasibility: no small move makes the violated constraints less violated.

With the signed violations r (m,) of the rows, dimensionless, and ``φ = ½ ‖r‖²`` over the bounds:

```
∇φ = Jᵀ r         projected: zero at a bound that it points out of
measure           ‖ P ∇φ ‖ / ‖r‖²  <= √tol      relative loss of ‖r‖ promised by a move of the typical size of x
∇²φ = J_vᵀJ_v + Σ r_i ∇²c_i   without negative eigenvalue on the free variables
```

Dividing by ‖r‖², not ‖r‖, tells an infeasible point from a slow approach to a feasible one: for x² = 0 the quotient is
2/x at x, for x² + 1 = 0 it is 2x.
"""

from dataclasses import dataclass

import numpy as np

from karush.certificates.scaled import Point, Scaled
from karush.certificates.second_order import CURVATURE, EPS

PROBES = tuple(2.0**k for k in range(-16, 1))
"""Lengths at which a direction without curvature of φ is tried (x³ = 1 at 0)."""


@dataclass(frozen=True)
class Infeasibility:
    """The measure above, and whether φ has a local minimum as far as second derivatives and probes tell."""

    measure: float
    bound: float
    minimum: bool


def infeasibility(scaled: Scaled, x: np.ndarray, point: Point, tol: float) -> Infeasibility:
    """Measure φ at x (n,), within the bounds, where the rows are violated; `point` is the evaluation there."""
    m = scaled.flat.m
    signed = np.maximum(-point.to_upper[:m], 0.0) - np.maximum(-point.to_lower[:m], 0.0)
    square = float(signed @ signed)
    gradient = signed @ point.jacobian
    held = ((point.to_lower[m:] <= 0) & (gradient > 0)) | ((point.to_upper[m:] <= 0) & (gradient < 0))
    projected = np.where(held, 0.0, gradient)
    measure = float(np.sqrt(projected @ projected)) / square if square > 0 else np.inf
    bound = float(np.sqrt(tol))
    if not measure <= bound:
        return Infeasibility(measure, bound, False)
    raw = scaled.evaluator(x, signed / scaled.scales.rows, 0.0)
    violated = point.jacobian[signed != 0]
    hessian = raw.hessian * scaled.scales.x * scaled.scales.x[:, None] + violated.T @ violated
    free = np.flatnonzero(~held)
    if not np.all(np.isfinite(hessian)):
        return Infeasibility(measure, bound, False)
    if not free.size:
        return Infeasibility(measure, bound, True)
    values, vectors = np.linalg.eigh(hessian[np.ix_(free, free)])
    error = CURVATURE * free.size * EPS * float(np.abs(values).max())
    directions = np.zeros((free.size, x.size))
    directions[:, free] = vectors.T
    flat = directions[values <= max(error, bound * square)]
    return Infeasibility(measure, bound, bool(values[0] >= -error and not _lower(scaled, point, flat, square)))


def _lower(scaled: Scaled, point: Point, directions: np.ndarray, square: float) -> bool:
    """Whether φ falls along one of `directions` (q, n), rows, by more than rounding."""
    for direction in directions:
        for sign in (1.0, -1.0):
            for t in PROBES:
                violation = scaled.values(scaled.at(point.u + sign * t * direction))[1]
                moved = float(violation @ violation)
                if not moved <= square * (1 + CURVATURE * EPS):
                    break
                if moved < square * (1 - np.sqrt(EPS)):
                    return True
    return False
