"""The first-order conditions of Karush, Kuhn and Tucker, measured.

```
stationarity     | ∇f + Jᵀy + z |                        per variable
feasibility      distance of (c, x) outside its limits     per row, per variable
dual sign        |λ| where λ > 0 has no upper limit or λ < 0 no lower one
complementarity  |λ| · distance to the limit that its sign names
```

with λ = (y, z), one signed multiplier per limited quantity; everything dimensionless.
"""

from typing import NamedTuple

import numpy as np

from karush.certificates.scaled import Point


class Kkt(NamedTuple):
    """Measured residuals of the first-order conditions at one point with given multipliers."""

    multipliers: np.ndarray
    """(k,) λ = (y, z), dimensionless"""
    residual: np.ndarray
    """(n,) |∇f + Jᵀy + z|"""
    violation: np.ndarray
    """(k,)"""
    wrong_sign: np.ndarray
    """(k,)"""
    complementarity: np.ndarray
    """(k,)"""
    outside: np.ndarray
    """(n,) distance of the given x from the bounds' box; everything is evaluated at its projection"""

    def dual_defect(self) -> float:
        """The largest of stationarity, dual sign and complementarity; NaN if one is."""
        worst = self.residual.max()
        if self.multipliers.size:
            worst = np.maximum(worst, np.maximum(self.wrong_sign.max(), self.complementarity.max()))
        return float(worst)

    def feasible(self, tol: float) -> bool:
        """Whether no limit is exceeded by more than tol, and no bound at all."""
        return bool(self.violation.max() <= tol and self.outside.max() == 0.0)


def first_order(point: Point, multipliers: np.ndarray, outside: np.ndarray) -> Kkt:
    """Measure λ = `multipliers` (k,) at `point`."""
    m = multipliers.size - point.u.size
    distance = np.where(multipliers > 0, point.to_upper, point.to_lower)
    missing = np.isinf(distance)
    size = np.abs(multipliers)
    return Kkt(
        multipliers=multipliers,
        residual=np.abs(point.lagrangian_gradient(multipliers[:m]) + multipliers[m:]),
        violation=point.violation,
        wrong_sign=np.where(missing, size, 0.0),
        complementarity=size * np.abs(np.where(missing, 0.0, distance)),
        outside=outside,
    )


MULTIPLIER = 100.0
"""Multipliers below this multiple of what is left of ∇L may be zero: they are known to that over the conditioning
of A."""
ROUNDING = 64.0 * float(np.finfo(np.float64).eps)
"""Assumed rounding of ∇L relative to the terms that it sums."""
PUSH = 2.0**-17
"""Length, about ε^(1/3), over which a strongly active limit outweighs negative curvature along its inward normal."""
RATIO = 10.0
"""A strongly active limit has a multiplier this many times its distance; where strict complementarity fails, an
interior point leaves both at about the root of its barrier parameter."""


class ActiveSet(NamedTuple):
    """Which limits hold with equality, and which of them with a multiplier; (k,) bool each.

    With a = |λ|, b = distance to the nearest limit, unit normal ν, A the row of [J; I], r what is left of ∇L:

    ```
    active    equality, or b <= √tol
    strong    equality, or active and a > 10 b + 100 max|r| + 2^-17 max(-νᵀHν, 0) / |A|
    weak      active and not strong: strict complementarity cannot be told
    ```

    The bound is measured, not tol: with a large typical f all multipliers are small, and still exact.
    """

    strong: np.ndarray
    weak: np.ndarray
    strict: float
    """min over the active inequalities of a over its bound, all strong above 1; inf without any"""
    least: int
    """index of that minimum"""


def active_set(point: Point, kkt: Kkt, equal: np.ndarray, tol: float) -> ActiveSet:
    """Sort the limited quantities by multiplier and distance."""
    distance = np.abs(np.minimum(point.to_lower, point.to_upper))
    active = distance <= np.sqrt(tol)
    inequality = active & ~equal
    strong = active & equal
    if not inequality.any():
        return ActiveSet(strong, inequality, np.inf, 0)
    ratio = np.full(active.size, np.inf)
    chosen = np.flatnonzero(inequality)
    size = np.abs(kkt.multipliers[chosen])
    floor = RATIO * distance[chosen] + MULTIPLIER * _leftover(point, kkt)
    normals = limit_gradients(point, chosen)
    square = np.einsum("ij,ij->i", normals, normals)
    # |νᵀHν| <= ‖H‖, which is enough to know for most limits and spares a product.
    most = PUSH * float(np.sqrt(np.vdot(point.hessian, point.hessian) / square.min())) if square.min() > 0 else np.inf
    if np.all(size > floor + most):
        floor += most
    else:
        bent = np.einsum("ij,ij->i", normals @ point.hessian, normals) / np.where(square > 0, square**1.5, 1.0)
        floor += PUSH * np.maximum(-bent, 0.0)
    # At a zero gradient the floor is zero, and so are the multipliers: weak, not 0 / 0.
    ratio[chosen] = size / np.maximum(floor, np.finfo(np.float64).tiny)
    least = int(ratio.argmin())
    strong |= inequality & (ratio > 1.0)
    return ActiveSet(strong, active & ~strong, float(ratio[least]), least)


def _leftover(point: Point, kkt: Kkt) -> float:
    """Largest entry of ∇L, or of its rounding."""
    terms = np.abs(point.gradient)
    if point.y.size:
        terms = terms + np.abs(kkt.multipliers[: point.y.size]) @ np.abs(point.jacobian)
    return max(float(kkt.residual.max()), ROUNDING * float(terms.max()))


def limit_gradients(point: Point, chosen: np.ndarray) -> np.ndarray:
    """Rows `chosen` of [J; I]."""
    m, n = point.jacobian.shape
    rows = np.zeros((chosen.size, n))
    split = int(np.searchsorted(chosen, m))
    rows[:split] = point.jacobian[chosen[:split]]
    rows[np.arange(split, chosen.size), chosen[split:] - m] = 1.0
    return rows
