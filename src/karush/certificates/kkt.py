"""The first-order conditions of Karush, Kuhn and Tucker, measured.

```
stationarity     | ∇f + Jᵀy + z |                        per variable
feasibility      distance of (c, x) outside its limits     per row, per variable
dual sign        |λ| where λ > 0 has no upper limit or λ < 0 no lower one
complementarity  |λ| · distance to the limit that its sign names
```

with λ = (y, z), one signed multiplier per limited quantity; everything dimensionless.
"""

import math
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
    missing: np.ndarray
    """(k,) bool: there is no limit that the sign of λ names"""
    defect: np.ndarray
    """(k,) |λ| where it is missing, else |λ| times the distance to it"""
    outside: np.ndarray
    """(n,) distance of the given x from the bounds' box; everything is evaluated at its projection"""
    terms: np.ndarray
    """(n,) |∇f| + |J|ᵀ|y|, what ∇L sums"""

    dual_defect: float
    """the largest of stationarity, dual sign and complementarity; NaN if one is"""

    @property
    def wrong_sign(self) -> np.ndarray:
        """(k,) |λ| where its sign names no limit."""
        return np.where(self.missing, self.defect, 0.0)

    @property
    def complementarity(self) -> np.ndarray:
        """(k,) |λ| times the distance to the limit that its sign names."""
        return np.where(self.missing, 0.0, self.defect)

    def feasible(self, tol: float) -> bool:
        """Whether no limit is exceeded by more than tol, and no bound at all."""
        return bool(self.violation.max() <= tol and not self.outside.any())


DISTANT = 1.0e6
"""Beyond this many typical sizes a slope counts in proportion to the distance: along −x with y = x², or −log x, the
slope falls below every tolerance on the way to infinity, while the objective falls on."""


def first_order(point: Point, multipliers: np.ndarray, outside: np.ndarray) -> Kkt:
    """Measure λ = `multipliers` (k,) at `point`; `outside` (n,) as in `Kkt`."""
    m = multipliers.size - point.u.size
    y, z = multipliers[:m], multipliers[m:]
    distance = np.where(multipliers > 0, point.to_upper, point.to_lower)
    missing = np.isinf(distance)
    size = np.abs(multipliers)
    terms = np.abs(point.gradient)
    if m:
        terms += size[:m] @ np.abs(point.jacobian)
    slope = point.slope if y is point.y or np.array_equal(y, point.y) else point.gradient + y @ point.jacobian
    residual = np.abs(slope + z)
    reach = np.abs(point.u)
    if reach.max() > DISTANT:
        residual = residual * np.maximum(reach / DISTANT, 1.0)
    defect = size * np.where(missing, 1.0, np.abs(distance))
    return Kkt(
        multipliers=multipliers,
        residual=residual,
        violation=point.violation,
        missing=missing,
        defect=defect,
        outside=outside,
        terms=terms,
        dual_defect=float(np.maximum(residual.max(), defect.max())),
    )


MULTIPLIER = 100.0
"""Multipliers below this multiple of what is left of ∇L may be zero: they are known to that over the conditioning
of A."""
ROUNDING = 64.0 * float(np.finfo(np.float64).eps)
"""Assumed rounding of ∇L relative to the terms that it sums."""
TINY = float(np.finfo(np.float64).tiny)
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
    distance = np.abs(point.nearest)
    active = distance <= np.sqrt(tol)
    strong = active & equal
    chosen = (active & ~equal).nonzero()[0]
    weak = np.zeros(active.size, dtype=bool)
    if not chosen.size:
        return ActiveSet(strong, weak, np.inf, 0)
    size = np.abs(kkt.multipliers[chosen])
    # Largest entry of ∇L, or of its rounding.
    leftover = max(float(kkt.residual.max()), ROUNDING * float(kkt.terms.max()))
    floor = RATIO * distance[chosen] + MULTIPLIER * leftover
    # |νᵀHν| <= ‖H‖, which is enough to know for most limits and spares a product.
    floor_at_most = floor + PUSH * math.sqrt(np.vdot(point.hessian, point.hessian)) / _shortest(point, chosen)
    if (size > floor_at_most).all():
        floor = floor_at_most
    else:
        normals = limit_gradients(point, chosen)
        square = np.einsum("ij,ij->i", normals, normals)
        bent = np.einsum("ij,ij->i", normals @ point.hessian, normals) / np.where(square > 0, square**1.5, 1.0)
        floor += PUSH * np.maximum(-bent, 0.0)
    # At a zero gradient the floor is zero, and so are the multipliers: weak, not 0 / 0.
    ratio = size / np.maximum(floor, TINY)
    least = int(ratio.argmin())
    strong[chosen] = ratio > 1.0
    weak[chosen] = ~strong[chosen]
    return ActiveSet(strong, weak, float(ratio[least]), int(chosen[least]))


def _shortest(point: Point, chosen: np.ndarray) -> float:
    """Length of the shortest gradient of the limits `chosen`, those of bounds are 1; the least positive float for 0."""
    chosen = chosen[: int(chosen.searchsorted(point.rows.size))]
    if not chosen.size:
        return 1.0
    rows = point.jacobian[chosen]
    return max(min(1.0, math.sqrt(np.einsum("ij,ij->i", rows, rows).min())), TINY)


def limit_gradients(point: Point, chosen: np.ndarray) -> np.ndarray:
    """Rows `chosen` of [J; I]."""
    m, n = point.jacobian.shape
    rows = np.zeros((chosen.size, n))
    split = int(np.searchsorted(chosen, m))
    rows[:split] = point.jacobian[chosen[:split]]
    rows[np.arange(split, chosen.size), chosen[split:] - m] = 1.0
    return rows
