"""The KKT point beside a solver's answer, to full accuracy: Newton's method on the active set.

With W the working set (equalities, and the limits that multipliers say are active) and A their gradients

```
⎡ H  Aᵀ ⎤ ⎡ du  ⎤     ⎡ ∇L      ⎤
⎢       ⎥ ⎢     ⎥ = − ⎢         ⎥          everything dimensionless (`Scaled`)
⎣ A  0  ⎦ ⎣ dλ_W ⎦     ⎣ c_W − limit ⎦
```
"""

from typing import NamedTuple

import numpy as np

from karush.certificates.kkt import limit_gradients
from karush.certificates.scaled import Point, Scaled
from karush.certificates.second_order import dependent, null_space
from karush.core.errors import SensitivityError
from karush.core.table import measured
from karush.sensitivity.system import System

STEPS = 20
"""Newton steps; from an answer to 1e-8 two or three reach rounding, the rest is for poor answers"""
ROUNDS = 8
"""changes of the working set; each drops limits whose multiplier has the wrong sign, or takes in violated ones"""
SETTLED = float(np.sqrt(np.finfo(np.float64).eps))
"""Largest last Newton step, in typical sizes of x. At a regular point it is rounding; where the matrix is singular
Newton converges linearly, and the last step stays near the root of ε."""


class Exact(NamedTuple):
    """A KKT point polished on its working set."""

    scaled: Scaled
    x: np.ndarray
    """(n,) in the units of the problem"""
    point: Point
    multipliers: np.ndarray
    """(k,) λ = (y, z), dimensionless"""
    working: np.ndarray
    """(k,) bool"""
    step: float
    """length of the last Newton step, largest entry, in typical sizes of x"""

    @property
    def names(self) -> tuple[str, ...]:
        """Rows, then variables."""
        flat = self.scaled.flat
        return (*flat.row_names, *flat.variable_names)


def exact_point(scaled: Scaled, x: np.ndarray, y: np.ndarray, z: np.ndarray, tol: float) -> Exact:
    """Polish the answer (x, y, z), in the units of the problem, that is good to `tol`.

    Raises
    ------
    SensitivityError
        where the gradients of the working set are dependent, or Newton's method does not settle.
    """
    flat = scaled.flat
    multipliers = np.concatenate((y / scaled.row_price, z / scaled.bound_price))
    _, point = scaled.evaluate(x, multipliers[: flat.m])
    distance = np.abs(point.nearest)
    # An interior point leaves multiplier · distance at its barrier parameter: the larger of the two tells which it is.
    working = scaled.equal | ((distance <= np.sqrt(tol)) & (np.abs(multipliers) > distance))
    for _ in range(ROUNDS):
        found = _newton(scaled, x, multipliers, working)
        # Both signs are right at an equality.
        at_upper = found.point.to_upper <= found.point.to_lower
        sign = np.where(at_upper, found.multipliers, -found.multipliers)
        wrong = working & ~scaled.equal & (sign < 0)
        missed = ~working & (found.point.nearest < -tol)
        if not (wrong.any() or missed.any()):
            return found
        working = (working & ~wrong) | missed
    raise SensitivityError(
        f"the active limits cannot be told: after {ROUNDS} changes of the working set a multiplier still has the wrong "
        "sign, or a limit is exceeded; solve to a smaller tol"
    )


def _newton(scaled: Scaled, x: np.ndarray, multipliers: np.ndarray, working: np.ndarray) -> Exact:
    m = scaled.flat.m
    chosen = working.nonzero()[0]
    multipliers = np.where(working, multipliers, 0.0)
    limit = _limits(scaled, x, multipliers)
    last = length = np.inf
    point = scaled.evaluate(x, multipliers[:m])[1]
    require_independent(scaled, point, working)
    for _ in range(STEPS):
        system = System.of(point.hessian, limit_gradients(point, chosen))
        gradient = point.slope.copy()
        gradient += multipliers[m:]
        at = np.concatenate((point.rows, point.u))
        missing = (at - limit)[chosen]
        du, dual = system.solve(-gradient, -missing)
        length = float(np.max(np.abs(du), initial=0.0))
        if not np.isfinite(length) or not length < 0.5 * last:
            break
        u = np.where(working[m:], limit[m:], point.u + du)
        multipliers = multipliers.copy()
        multipliers[chosen] += dual
        x = scaled.at(u)
        point = scaled.evaluate(x, multipliers[:m])[1]
        last = length
    settled = min(last, length)
    if not settled <= SETTLED:
        raise SensitivityError(
            f"the KKT system is singular, or nearly so, at the solution: Newton's method on the {chosen.size} active "
            f"limits does not settle, its last step is {measured(settled)} > {measured(SETTLED)} of the typical size "
            "of x; the solution is not locally unique, or has no derivative there"
        )
    return Exact(scaled, x, point, multipliers, working, settled)


def _limits(scaled: Scaled, x: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """(k,) the limit that each quantity is at, or nearest to."""
    point = scaled.evaluate(x, multipliers[: scaled.flat.m])[1]
    return np.where(point.to_upper <= point.to_lower, scaled.upper, scaled.lower)


def require_independent(scaled: Scaled, point: Point, active: np.ndarray) -> float:
    """Smallest singular value of the active gradients (LICQ), each scaled to length 1; a `SensitivityError` if zero."""
    space = null_space(point, active)
    if space.rank == space.rows and space.smallest > space.bound:
        return space.smallest
    flat = scaled.flat
    names = (*flat.row_names, *flat.variable_names)
    listed = ", ".join(names[i] for i in dependent(point, active)[:6])
    raise SensitivityError(
        "the gradients of the active constraints are linearly dependent (LICQ fails): smallest singular value "
        f"{measured(space.smallest)} <= {measured(space.bound)}, among {listed}; multipliers are not unique there: "
        "leave out the redundant ones"
    )
