"""Krawczyk's test: a box that its operator maps into its own interior holds exactly one zero.

```
K(X) = m − Y G(m) + (I − Y G'(X)) (X − m),   X = [m ± r],   K(X) ⊂ int X
```

Then G has a zero in K(X), it is the only one in X, and every matrix in ``G'(X)`` is nonsingular ([Kra69];
[Rum10], section 13). Y may be any matrix; the better an inverse of G' it is, the larger X may be.
"""

from typing import NamedTuple

import numpy as np
from flint import arb, arb_mat, ctx

from karush.arithmetic.ball_numbers import around, balls, floats, middles, unary
from karush.arithmetic.ball_reductions import matrix_entries, product
from karush.proofs.system import Curved, Point, System

FLOAT_INVERSE_FROM = 150
"""Unknowns from which Y is inverted in float64: the inverse in balls takes seconds there, and Y may be any matrix."""


class Inclusion(NamedTuple):
    """What one test computed; `holds` says whether it is a theorem."""

    holds: bool
    reach: np.ndarray
    """(size,) bound on ``|K(X) − m|``, exact balls"""
    curved: Curved
    """derivatives on the box"""


magnitude = unary(arb.abs_upper)
_below = np.frompyfunc(lambda a, b: bool(a < b), 2, 1)


def approximate_inverse(matrix: np.ndarray) -> np.ndarray | None:
    """Some inverse of the midpoints of `matrix` (k, k), as exact balls; None if there seems to be none."""
    size = matrix.shape[0]
    if size == 0:
        return matrix
    if size < FLOAT_INVERSE_FROM:
        middle = arb_mat(size, size, middles(matrix).ravel().tolist())
        try:
            return middles(matrix_entries(middle.inv()))
        except ZeroDivisionError:
            return None
    try:
        inverse = np.linalg.inv(floats(matrix))
    except np.linalg.LinAlgError:
        return None
    return balls(inverse) if np.isfinite(inverse).all() else None


def krawczyk(system: System, middle: np.ndarray, radius: np.ndarray, Y: np.ndarray, at_middle: Point) -> Inclusion:
    """Test the box ``[middle ± radius]``; both (size,) exact balls, Y (size, size), `at_middle` evaluated at middle."""
    with ctx.workprec(system.functions.precision):
        curved = system.curved(around(middle, radius))
        defect = -product(Y, system.matrix(curved))
        diagonal = np.arange(system.size)
        defect[diagonal, diagonal] = 1 + defect[diagonal, diagonal]
        newton = product(Y, system.residual(at_middle)[:, None])[:, 0]
        spread = product(magnitude(defect), radius[:, None])[:, 0]
        reach = magnitude(magnitude(newton) + spread)
        holds = all(ball.is_finite() for ball in reach) and bool(np.all(_below(reach, radius)))
        return Inclusion(holds, reach, curved)


__all__ = ["FLOAT_INVERSE_FROM", "Inclusion", "approximate_inverse", "krawczyk", "magnitude"]
