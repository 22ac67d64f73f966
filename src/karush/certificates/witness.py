"""A better feasible point, found by walking away from a point and re-verified by the values alone.

```
p(t) = restored( u + t d ),   t = 2^-20, 2^-19, ..., 1
better:  f(p) + |y|ᵀ violation(p) < f(u) - decrease,   violation(p) <= max(violation(u), rounding)
```

The walk goes outwards and ends at the first p(t) that is worse than u: the path from u to the witness then nowhere
rises above f(u) at the steps taken, so a lower valley elsewhere does not count against u. The multipliers' term keeps
a decrease from being bought by infeasibility.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from karush.certificates.scaled import Point, Scaled
from karush.certificates.second_order import EPS

STEPS = tuple(2.0**k for k in range(-20, 1))
"""Lengths of the walk, dimensionless: from where ε-rounding hides most decreases to the typical size of x."""
CORRECTIONS = 6
"""Gauss-Newton steps back to feasibility; they converge quadratically from the first few lengths."""
VALUE_ROUNDING = 32.0 * EPS
"""Assumed rounding of a value of f or of a row, relative to it."""
KINK_COORDINATES = 40
"""Up to this many variables, every coordinate direction is tried at a kink."""
KINK_RANDOM = 12
"""Random directions tried at a kink besides."""


@dataclass(frozen=True)
class Witness:
    """A feasible point with a better value."""

    x: np.ndarray
    """(n,) in the problem's units, within the bounds"""
    value: float
    """f there, dimensionless"""


def better_point(scaled: Scaled, point: Point, directions: Iterable[np.ndarray], decrease: float) -> Witness | None:
    """Walk along each unit direction (n,) in turn; None if no walk lowers f by more than `decrease`."""
    m = scaled.flat.m
    rounding = VALUE_ROUNDING * (1.0 + np.abs(_rows(scaled, point)))
    allowed = np.maximum(point.violation[:m], rounding)
    for direction in directions:
        best: Witness | None = None
        for t in STEPS:
            reached = restore(scaled, point.u + t * direction, allowed)
            if reached is None:
                break
            x, value, violation = reached
            unsure = VALUE_ROUNDING * max(abs(point.value), abs(value))
            if not value <= point.value + unsure:
                break
            gain = point.value - value - float(np.abs(point.y) @ violation)
            if gain > decrease + unsure and (best is None or value < best.value):
                best = Witness(x, value)
        if best is not None:
            return best
    return None


def _rows(scaled: Scaled, point: Point) -> np.ndarray:
    m = scaled.flat.m
    near = np.where(np.isfinite(point.to_lower), point.to_lower + scaled.lower, scaled.upper - point.to_upper)[:m]
    return np.where(np.isfinite(near), near, 0.0)


def restore(
    scaled: Scaled, u: np.ndarray, allowed: np.ndarray, corrections: int = CORRECTIONS
) -> tuple[np.ndarray, float, np.ndarray] | None:
    """A point near u (n,) within the bounds, with violations of the rows at most `allowed` (m,).

    Gauss-Newton on the violated rows, ``u <- u - A⁺ violation``, clipped at the bounds.

    Returns
    -------
    x (n,) in the problem's units, f and the violation (m,) there, dimensionless; None if it did not get there.
    """
    x = scaled.at(u)
    value, violation = scaled.values(x)
    zero = np.zeros(scaled.flat.m)
    for _ in range(corrections):
        if not (np.isfinite(value) and np.all(np.isfinite(violation))):
            return None
        wrong = np.flatnonzero(violation > allowed)
        if not wrong.size:
            return x, value, violation
        _, there = scaled.evaluate(x, zero)
        signed = np.where(there.to_lower < 0, there.to_lower, -there.to_upper)[wrong]
        rows = there.jacobian[wrong]
        if not np.all(np.isfinite(rows)):
            return None
        at_bound = np.minimum(there.to_lower, there.to_upper)[scaled.flat.m :] <= 0
        step = np.zeros(scaled.flat.n)
        # Variables on a bound stay there at first: a step that the clipping undoes restores nothing.
        free = ~at_bound if np.any(~at_bound) else np.ones_like(at_bound)
        step[free] = np.linalg.lstsq(rows[:, free], -signed, rcond=None)[0]
        x = scaled.at(there.u + step)
        value, violation = scaled.values(x)
    ok = np.isfinite(value) and np.all(violation <= allowed)
    return (x, value, violation) if ok else None


def both_ways(vectors: np.ndarray) -> Iterable[np.ndarray]:
    """The columns of `vectors` (n, q), each as it is and reversed."""
    for vector in vectors.T:
        yield vector
        yield -vector


def around_kink(point: Point, basis: np.ndarray) -> Iterable[np.ndarray]:
    """Unit directions to try where the derivatives at the point say nothing: (n,) each, both ways."""
    n = point.u.size
    chosen = [-point.gradient[:, None]]
    if n <= KINK_COORDINATES:
        chosen.append(np.eye(n))
    # Seeded: a certificate is the same when it is computed again.
    chosen.append(np.random.default_rng(0).standard_normal((n, KINK_RANDOM)))
    vectors = np.concatenate(chosen, axis=1)
    if 0 < basis.shape[1] < n:
        vectors = np.concatenate((basis @ (basis.T @ vectors), vectors), axis=1)
    length = np.sqrt(np.einsum("ij,ij->j", vectors, vectors))
    useful = length > RANK_OF_DIRECTION
    return both_ways(vectors[:, useful] / length[useful])


RANK_OF_DIRECTION = float(np.sqrt(EPS))
"""A projected direction shorter than this is rounding."""
