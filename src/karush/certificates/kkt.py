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
"""Multipliers below this multiple of tol may be zero: they are known to about tol over the conditioning of A."""
RATIO = 10.0
"""A strongly active limit has a multiplier this many times its distance; where strict complementarity fails, an
interior point leaves both at about the root of its barrier parameter."""


class ActiveSet(NamedTuple):
    """Which limits hold with equality, and which of them with a multiplier; (k,) bool each.

    With a = |λ| and b = distance to the nearest limit:

    ```
    active    equality, or b <= √tol
    strong    equality, or active and a > 10 b + 100 tol
    weak      active and not strong: strict complementarity cannot be told
    ```
    """

    strong: np.ndarray
    weak: np.ndarray
    strict: float
    """min over the active inequalities of a / (10 b + 100 tol), all strong above 1; inf without any"""
    least: int
    """index of that minimum"""


def active_set(point: Point, kkt: Kkt, equal: np.ndarray, tol: float) -> ActiveSet:
    """Sort the limited quantities by multiplier and distance."""
    distance = np.abs(np.minimum(point.to_lower, point.to_upper))
    active = distance <= np.sqrt(tol)
    ratio = np.abs(kkt.multipliers) / (RATIO * distance + MULTIPLIER * tol)
    strong = equal | (active & (ratio > 1.0))
    inequalities = np.where(active & ~equal, ratio, np.inf)
    least = int(inequalities.argmin())
    return ActiveSet(strong, active & ~strong, float(inequalities[least]), least)
