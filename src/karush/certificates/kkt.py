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


class ActiveSet(NamedTuple):
    """Which limits hold with equality, and which of them with a multiplier; (k,) bool each.

    With a = |λ| and b = distance to the nearest limit, complementarity gives a b <= tol, so with θ = √tol at most
    one of a > θ and b > θ is true:

    ```
    strong    equality, or a > θ and a > b
    weak      neither a nor b above θ: strict complementarity cannot be told
    ```
    """

    strong: np.ndarray
    weak: np.ndarray
    strict: float
    """min over the inequalities of max(a, b): strict complementarity holds where it exceeds θ; inf without any"""
    least: int
    """index of that minimum"""


def active_set(point: Point, kkt: Kkt, equal: np.ndarray, theta: float) -> ActiveSet:
    """Sort the limited quantities by multiplier and distance; `theta` is √tol."""
    size = np.abs(kkt.multipliers)
    distance = np.abs(np.minimum(point.to_lower, point.to_upper))
    larger = np.where(equal, np.inf, np.maximum(size, distance))
    strong = equal | ((size > theta) & (size > distance))
    least = int(larger.argmin())
    return ActiveSet(strong, ~strong & (distance <= theta), float(larger[least]), least)
