"""Do the values change as the derivatives say? A wrong rule of the user's, and cancellation, break that.

Over a step d of length δ into the box, with all variables moving by different amounts,

```
| L(u + d) − L(u) − (∇L·d + ½ dᵀHd) |  <=  ¼ ( |∇L·d| + dᵀ|H|d ) + rounding
```

L of f and c as they are evaluated, ∇L and H as they are differentiated. Where that fails the step is taken again, 16
times as long. An error of the derivatives grows with d or d², 16 to 256 times; what d³ brings, which is no error but
curvature that changes, 4096 times; and rounding does not grow: a value that is merely computed less well than assumed
fits the longer step.
"""

from typing import NamedTuple

import numpy as np

from karush.certificates.scaled import Point, Scaled
from karush.certificates.second_order import EPS

LENGTH = 2.0**-17
"""δ, about ε^(1/3): long enough for the curvature to show in the values, short enough for third derivatives not to."""
LONGER = 16.0
SHARE = 0.25
"""Of the change that the derivatives promise; a rule that is wrong by less is not noticed."""
ROUNDING = 32.0 * EPS
"""Assumed rounding of a value relative to the terms that it sums, of which sizes are known: value, |∇| (|u| + |d|)."""
NO_GROWTH, CUBIC_GROWTH = 8.0, 1024.0
"""A mismatch that grows by less over the longer step is rounding; one that grows by more comes from d³."""
BEFORE_KINK = 2.0
"""Steps end at this fraction of the way to the nearest kink, where derivatives jump rightly."""


class Agreement(NamedTuple):
    """Change of L over one step, dimensionless."""

    holds: bool
    mismatch: float
    """the left-hand side above"""
    allowed: float
    """the right-hand side"""
    changed: float
    """L(u + d) − L(u)"""
    promised: float
    """∇L·d + ½ dᵀHd"""


def agreement(scaled: Scaled, point: Point, terms: np.ndarray, to_kink: float) -> Agreement:
    """Compare values with derivatives beside `point`.

    `terms` (n,) are the sums ``|∇f| + |J|ᵀ|y|``, `to_kink` is the distance to the nearest kink.
    """
    longest = min(LONGER * LENGTH, to_kink / BEFORE_KINK)
    first = _compare(scaled, point, terms, longest / LONGER)
    if first.mismatch <= first.allowed:
        return first
    second = _compare(scaled, point, terms, longest)
    growth = second.mismatch / first.mismatch
    by_rounding = second.mismatch <= second.allowed and growth < NO_GROWTH
    return second._replace(holds=bool(by_rounding or growth > CUBIC_GROWTH))


def _compare(scaled: Scaled, point: Point, terms: np.ndarray, length: float) -> Agreement:
    m, y = scaled.flat.m, point.y
    # Towards the farther bound; either way is free between infinite ones.
    back = point.to_lower[m:] > point.to_upper[m:]
    x = scaled.at(point.u + np.where(back, -length, length) * scaled.uneven)
    d = x / scaled.scales.x - point.u
    value, rows = scaled.evaluator.values(x)
    changed = value / scaled.scales.f - point.value
    rounding = abs(point.value) + float(terms @ (np.abs(point.u) + np.abs(d)))
    if y.size:
        changed += float(y @ (rows / scaled.scales.rows - point.rows))
        rounding += float(np.abs(y) @ np.abs(point.rows))
    first = float(point.slope @ d)
    bent = point.hessian @ d
    promised = first + 0.5 * float(d @ bent)
    allowed = SHARE * (abs(first) + float(np.abs(d) @ np.abs(bent))) + ROUNDING * rounding
    mismatch = abs(changed - promised)
    return Agreement(bool(mismatch <= allowed), mismatch, allowed, changed, promised)
