"""A ray, bent back to the feasible set where it leaves it, along which the objective falls without end in sight.

```
u_k = restored( u + 2^k d ),  k = 0, 1, ..., 60        decrease_k = f(u_k) - f(u_{k+1})
```

Claimed if every u_k is feasible and over the second half of the doublings no decrease is smaller than the one before
(by more than SLACK). Decreases that do not diminish add up to infinity: −x, −√x, −log x pass; exp(−x), 1/x, −tanh x,
−x/(1+x) do not; −log log x does not either, though it is unbounded. A function that turns only beyond 2^60 typical
sizes is misjudged: a statement from values is *checked*, not proved.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from karush.certificates.scaled import Point, Scaled
from karush.certificates.witness import VALUE_ROUNDING, restore

DOUBLINGS = 60
FEWEST = 8
"""Doublings needed where the objective overflows to −inf on the way, as −exp(x) does."""
LONG_WAY = 80
"""Gauss-Newton steps allowed back to a curved feasible set: from far away each may do no more than halve the error."""
SLACK = 1.0e-3
"""Relative: rounding of the values of a slowly falling objective makes equal decreases differ a little."""
FAR = 1.0e4
"""A point this many typical sizes of x away is asked for a ray even where nobody suspects one."""
DEEP = 1.0e6
"""The same for a value this many typical sizes of f below zero."""


@dataclass(frozen=True)
class Ray:
    """Feasible points of falling value, all in the problem's units."""

    points: np.ndarray
    """(q, n)"""
    values: np.ndarray
    """(q,) of the minimised objective"""
    direction: np.ndarray
    """(n,)"""


def suspicious(point: Point) -> bool:
    """Whether the point is so far out or so deep that the problem may be unbounded."""
    return bool(np.abs(point.u).max() > FAR or point.value < -DEEP)


def unbounded(scaled: Scaled, point: Point, sequence: np.ndarray | None, tol: float) -> Ray | None:
    """Look for a ray from the point: along the last iterates `sequence` (q, n), away from x0, and down the gradient."""
    for direction in _directions(scaled, point, sequence, tol):
        length = float(np.sqrt(direction @ direction))
        if length > 0 and np.isfinite(length):
            ray = _follow(scaled, point, direction / length, tol)
            if ray is not None:
                return ray
    return None


def _directions(scaled: Scaled, point: Point, sequence: np.ndarray | None, tol: float) -> Iterable[np.ndarray]:
    scale = scaled.scales.x
    start = scaled.flat.projected(scaled.flat.x0) / scale
    if sequence is not None and len(sequence):
        yield point.u - sequence[len(sequence) // 2] / scale
        yield point.u - sequence[-1] / scale
    yield point.u - start
    m = scaled.flat.m
    down = -point.gradient
    stuck = ((point.to_lower[m:] <= 0) & (down < 0)) | ((point.to_upper[m:] <= 0) & (down > 0))
    down = np.where(stuck, 0.0, down)
    active = np.minimum(point.to_lower, point.to_upper)[:m] <= np.sqrt(tol)
    if np.any(active):
        rows = point.jacobian[active]
        yield down - np.linalg.lstsq(rows, rows @ down, rcond=None)[0]
    yield down


def _follow(scaled: Scaled, point: Point, direction: np.ndarray, tol: float) -> Ray | None:
    points, values = [], []
    steepness = np.abs(point.jacobian) @ np.abs(direction)

    def reach(k: int) -> tuple[np.ndarray, float, np.ndarray] | None:
        t = 2.0**k
        return restore(scaled, point.u + t * direction, tol + VALUE_ROUNDING * t * steepness, LONG_WAY)

    # The end of the walk first: where the functions have values there, its last points tell of most walks that they
    # lead nowhere.
    value, violation = scaled.values(scaled.at(point.u + 2.0**DOUBLINGS * direction))
    if np.isfinite(value) and np.all(np.isfinite(violation)):
        last = [reach(k) for k in (DOUBLINGS, DOUBLINGS - 1, DOUBLINGS - 2)]
        if any(one is None for one in last):
            return None
        if not _goes_on(-np.diff([one[1] for one in last[::-1] if one is not None])):
            return None
    for k in range(DOUBLINGS + 1):
        reached = reach(k)
        if reached is None:
            break
        points.append(reached[0])
        values.append(reached[1] * scaled.scales.f)
    decreases = -np.diff(values)
    # An overflow to −inf on the way ends the walk early, and for good reason.
    count = len(values)
    enough = count == DOUBLINGS + 1 or (count > FEWEST and _overflows(scaled, point, direction, count))
    if not (enough and _goes_on(decreases[decreases.size // 2 :])):
        return None
    return Ray(np.array(points), np.array(values), direction * scaled.scales.x)


def _goes_on(decreases: np.ndarray) -> bool:
    """Whether these are positive and do not diminish."""
    return bool(decreases.size and np.all(decreases > 0) and np.all(decreases[1:] >= (1 - SLACK) * decreases[:-1]))


def _overflows(scaled: Scaled, point: Point, direction: np.ndarray, k: int) -> bool:
    """Whether the next point of the walk is feasible with the value −inf."""
    value, violation = scaled.values(scaled.at(point.u + 2.0**k * direction))
    return value == -np.inf and not np.any(violation > 0)
