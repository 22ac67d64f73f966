"""What must hold for a solution to have a derivative, measured; the first condition that fails is raised.

The implicit function theorem gives x(p), λ(p) near p where, at the KKT point on its active set ([NW06] §18, [Fia83]):

```
verdict                       a certified minimum
smoothness                    no kink of f, c within 1e-6 typical sizes of (x, p)
LICQ                          the active gradients are linearly independent
strict complementarity        every active inequality has a multiplier, every inactive limit a distance
second order                  dᵀ H d > 0 on the null space of A
```
"""

from typing import Any, NamedTuple

import numpy as np

from karush.certificates.kkt import limit_gradients
from karush.certificates.second_order import curvature, null_space
from karush.core.errors import SensitivityError
from karush.core.table import measured
from karush.sensitivity.point import Exact, require_independent
from karush.sensitivity.programs import Programs
from karush.sensitivity.system import System

KINK = 1e-6
"""A kink nearer than this many typical sizes of (x, p) counts as met, as in the certificate."""
ACCURACY = 1e-6
"""relative accuracy that the derivative is to have at least"""
EPS = float(np.finfo(np.float64).eps)
STRICT = 1e-7
"""Multipliers and distances, dimensionless, below which an active limit and an inactive one cannot be told apart. The
polished point is exact to the rounding of a step; ten times the tolerance of the certificate leaves no doubt."""


class Conditions(NamedTuple):
    """Measured values of the conditions, all met."""

    independence: float
    """smallest singular value of the active gradients scaled to length 1; inf without any"""
    strictness: float
    """least multiplier of an active inequality, or distance of an inactive limit, dimensionless; inf without any"""
    curvature: float
    """least eigenvalue of ZᵀHZ, dimensionless; inf where no direction is left"""
    conditioning: float
    """smallest over largest singular value of the equilibrated KKT matrix"""


def require_success(verdict: Any, success: bool, sentence: str) -> None:
    """Refuse a point that is no certified minimum."""
    if not success:
        raise SensitivityError(
            f"the verdict on result is {verdict.value}, not a certified minimum, so there is no solution to "
            f"differentiate: {sentence} Solve from another start, or to a smaller tol"
        )


def require_smooth(programs: Programs, exact: Exact) -> None:
    """Refuse a point on a kink of the user's functions, in x or in params."""
    flat = exact.scaled.flat
    margins, kinks = programs.kink_margins(exact.x, flat.param_leaves, exact.scaled.scales.x)
    if not margins.size or np.min(margins) > KINK:
        return
    worst = int(np.argmin(np.where(np.isnan(margins), -1.0, margins)))
    raise SensitivityError(
        f"the solution lies on a kink, where derivatives say nothing: {kinks[worst]}, at a distance of "
        f"{measured(float(margins[worst]))} <= {measured(KINK)}; replace the kink by constraints or a smooth function"
    )


def require_regular(exact: Exact, system: System) -> Conditions:
    """Measure LICQ, strict complementarity and the second-order condition."""
    independence = require_independent(exact.scaled, exact.point, exact.working)
    strictness = _require_strict(exact)
    spectrum = curvature(exact.point, null_space(exact.point, exact.working).basis)
    if not spectrum.least > spectrum.error:
        raise SensitivityError(
            "the second-order condition fails: the least curvature of the Lagrangian on the null space of the active "
            f"gradients is {measured(spectrum.least)} <= {measured(spectrum.error)}; the solution is not locally unique"
        )
    conditioning = system.smallest
    bound = system.matrix.shape[0] * EPS / ACCURACY
    if not conditioning > bound:
        raise SensitivityError(
            f"the KKT matrix is nearly singular: its smallest singular value is {measured(conditioning)} <= "
            f"{measured(bound)} of its largest, so that rounding leaves fewer than six digits of the derivative"
        )
    return Conditions(independence, strictness, spectrum.least, conditioning)


def _require_strict(exact: Exact) -> float:
    scaled, point = exact.scaled, exact.point
    inequality = ~scaled.equal
    size = np.where(exact.working, np.abs(exact.multipliers), np.abs(point.nearest))
    size = np.where(inequality, size, np.inf)
    # A row whose gradient is long crosses its distance, and pulls, with a small multiplier: the length is its unit.
    chosen = np.flatnonzero(inequality & exact.working)
    if chosen.size:
        length = np.linalg.norm(limit_gradients(point, chosen), axis=1)
        size[chosen] *= np.maximum(length, 1.0)
    least = int(np.argmin(size)) if size.size else 0
    if not size.size or size[least] > STRICT:
        return float(size[least]) if size.size else np.inf
    name = exact.names[least]
    kind = "its multiplier" if exact.working[least] else "its distance"
    m = scaled.flat.m
    price = float(exact.multipliers[least] * (scaled.row_price[least] if least < m else scaled.bound_price[least - m]))
    raise SensitivityError(
        f"strict complementarity fails: {name} is weakly active, {kind} is {measured(float(size[least]))} <= "
        f"{measured(STRICT)} of its typical size (multiplier {price:.3g}); the solution has a kink in params there: "
        "move params a little to either side, or leave the constraint out if it should not act"
    )
