"""Multipliers where none are given: sign-constrained least squares on the active limits.

```
minimise ‖ ∇f + Aᵀλ ‖₂   over λ >= 0 at upper limits, λ <= 0 at lower ones, free at equalities;  A the rows of [J; I]
```

in dimensionless form, for a few answers to "which limits are active", of which the best residual is kept.
"""

import numpy as np
from scipy.optimize import lsq_linear

from karush.certificates.kkt import Kkt, first_order
from karush.certificates.scaled import Point

CUTS = (0.5, 0.75, 1.0)
"""A limit is taken for active within tol^cut: a point known to tol may be √tol off at a degenerate limit."""
BVLS_UP_TO = 300
"""Multipliers for which the exact active-set method is quick; above, the interior one of SciPy."""


def complete(point: Point, y: np.ndarray, tol: float) -> np.ndarray:
    """λ (k,) from y (m,) alone: z takes up what is left of ∇f + Jᵀy where that keeps sign and complementarity."""
    m = y.size
    wanted = -point.gradient - y @ point.jacobian
    lower = np.abs(wanted) * point.to_lower[m:] <= tol
    upper = np.abs(wanted) * point.to_upper[m:] <= tol
    return np.concatenate((y, np.clip(wanted, np.where(lower, -np.inf, 0.0), np.where(upper, np.inf, 0.0))))


def estimate(point: Point, outside: np.ndarray, tol: float) -> Kkt:
    """First-order conditions with the best multipliers found; those of `point.y` are not looked at."""
    best: Kkt | None = None
    k = point.to_lower.size
    matrix: np.ndarray | None = None
    seen: list[np.ndarray] = []
    for cut in CUTS:
        lower, upper = point.to_lower <= tol**cut, point.to_upper <= tol**cut
        active = np.flatnonzero(lower | upper)
        if any(np.array_equal(active, other) for other in seen):
            continue
        seen.append(active)
        if matrix is None:
            matrix = np.concatenate((point.jacobian, np.eye(point.u.size)))
        multipliers = np.zeros(k)
        if active.size:
            multipliers[active] = sign_constrained(matrix[active].T, -point.gradient, lower[active], upper[active])
        kkt = first_order(point, multipliers, outside)
        if best is None or kkt.dual_defect < best.dual_defect:
            best = kkt
        if kkt.dual_defect <= tol:
            break
    assert best is not None
    return best


def sign_constrained(columns: np.ndarray, target: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """λ (q,) that minimises ‖columns λ − target‖, negative only where `lower` (q,), positive only where `upper`."""
    free = np.linalg.lstsq(columns, target, rcond=None)[0]
    least, most = np.where(lower, -np.inf, 0.0), np.where(upper, np.inf, 0.0)
    if np.all((free >= least) & (free <= most)):
        return free
    method = "bvls" if free.size <= BVLS_UP_TO else "trf"
    return np.clip(lsq_linear(columns, target, bounds=(least, most), method=method).x, least, most)
