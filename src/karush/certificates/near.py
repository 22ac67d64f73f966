"""Does the curvature at the point speak for its neighbourhood? One more evaluation tells.

With the Newton step in the critical subspace ``p = -Z (Zᵀ H Z)⁻¹ Zᵀ (∇L + z)`` and v the direction of least curvature:

```
d = 2 p + δ v
secant curvature     dᵀ (∇L(u + d) - ∇L(u))   within a half of   dᵀ H d
least eigenvalue     λ_min(Zᵀ H(u + d) Z)     at least half of    λ_min(Zᵀ H Z)
```

Twice the step, because of Kantorovich: with ``h = ‖H⁻¹‖ · Lip(H) · ‖p‖`` Newton's method converges to a simple root for
h <= 1/2, and H keeps half of its least eigenvalue over 2p exactly for h <= 1/4. Over p alone x³ would pass at every
x > 0 (h = 1/2, a double root). The length δ serves another purpose: gradients destroyed by cancellation agree with
their Hessian only where they happen to be constant; at ``-(1 - cos x)/x²`` near 0 they do not.
"""

import math
from typing import NamedTuple

import numpy as np

from karush.certificates.scaled import Point, Scaled
from karush.certificates.second_order import EPS, Curvature, eigenvalues

LENGTHS = (2.0**-17, 2.0**-20, 2.0**-23)
"""δ near ε^(1/3), where a difference quotient of ∇L is most accurate; shorter ones for valleys whose curvature changes
within that length, as long as rounding of ∇L stays small against λ_min δ."""
AGREEMENT = 0.5
"""Relative difference allowed between secant and second derivative, and relative loss of the least eigenvalue."""
BENT = 2.0**-10
"""What the next derivatives may change over δ, relative to what the derivatives promise: 2^-27 of the second."""
CURVED = 2.0**-3
"""The same where a look half as far away shows that it is they, growing as the square of the way, and no rounding."""
ROUNDING = 64.0 * EPS
"""Assumed rounding of ∇L relative to the terms that it sums; what is worse than that, the test finds itself."""


class Beside(NamedTuple):
    """What ∇L and c at u + d are beyond what derivatives at u promise: rounding, and what higher derivatives bring."""

    d: np.ndarray
    """(n,)"""
    slope: np.ndarray
    """(n,) ``∇L(u + d) − ∇L(u) − H d``"""
    rows: np.ndarray
    """(m,) ``c(u + d) − c(u) − J d``"""
    promised: tuple[float, float]
    """largest entry of H d and of J d"""

    @property
    def unsteady(self) -> float:
        """The largest entry beyond `BENT` of what is promised."""
        return _beyond(BENT, (self.slope, self.rows), self.promised)

    def unsteady_beside(self, half: "Beside") -> float:
        """The same of r(d) − 4 r(d/2), which lacks what grows as the square of the way, if r(d) is within `CURVED`."""
        rest = self.slope - 4.0 * half.slope, self.rows - 4.0 * half.rows
        # NumPy's maximum, for Python's forgets a NaN.
        return float(
            np.maximum(_beyond(CURVED, (self.slope, self.rows), self.promised), _beyond(BENT, rest, self.promised))
        )


class Neighbourhood(NamedTuple):
    """How far the curvature of the point holds."""

    holds: bool
    change: float
    """the larger of relative difference of secant curvature and relative loss of the least eigenvalue"""
    decrease: float
    """what a Newton step promises to lower L by, dimensionless"""
    step: float
    """length of that step, dimensionless"""
    beside: Beside | None = None
    """the derivatives at the end of the way that was looked at"""
    allowed: float = AGREEMENT
    """bound of `change`"""


def keeps_curvature(scaled: Scaled, point: Point, z: np.ndarray, spectrum: Curvature) -> Neighbourhood:
    """Test the positive curvature `spectrum`, on q >= 1 directions, with what the bounds add to the slope, z (n,).

    The slope is that of the whole Lagrangian: what pushes against a weakly active bound promises no decrease.
    """
    basis = spectrum.vectors
    slope = (point.slope + z) @ basis
    newton = -basis @ (slope / spectrum.values)
    step = float(np.sqrt(newton @ newton))
    decrease = 0.5 * float(slope @ (slope / spectrum.values))
    worst, beside = np.inf, None
    for delta in LENGTHS:
        if delta < LENGTHS[0] and _noise(point) > AGREEMENT / 4 * spectrum.least * max(delta, step):
            break
        change, beside = _change(scaled, point, basis, spectrum, newton, delta)
        worst = min(worst, change)
        if change <= AGREEMENT or 2 * step > delta:
            break
    return Neighbourhood(worst <= AGREEMENT, float(worst), decrease, step, beside)


def keeps_slope(scaled: Scaled, point: Point, multipliers: np.ndarray, strong: np.ndarray) -> Neighbourhood:
    """At a vertex, where first derivatives alone decide: do they hold a little further inside?

    With d of length δ into the inside of all strongly active inequalities, the change of ∇L beyond H d has to stay
    below half of the least of their multipliers times the length of the gradient, with half of H d for curvature.
    """
    inequality = np.flatnonzero(strong & ~scaled.equal)
    if not inequality.size:
        return Neighbourhood(True, 0.0, 0.0, 0.0)
    held = np.flatnonzero(strong)
    gradients = np.concatenate((point.jacobian, np.eye(point.u.size)))
    length = np.sqrt(np.einsum("ij,ij->i", gradients, gradients))
    inwards = np.where(scaled.equal, 0.0, -np.sign(multipliers) * length)[held]
    direction = np.linalg.lstsq(gradients[held], inwards, rcond=None)[0]
    x = scaled.at(point.u + LENGTHS[0] * direction / np.sqrt(direction @ direction))
    d = x / scaled.scales.x - point.u
    slope, _, rows = scaled.bend(x, point.y)
    beside = missed(point, d, slope, rows)
    reference = np.min((np.abs(multipliers) * length)[inequality]) + beside.promised[0]
    relative = float(np.abs(beside.slope).max() / reference)
    return Neighbourhood(relative <= AGREEMENT, relative, 0.0, 0.0, beside)


def missed(point: Point, d: np.ndarray, slope: np.ndarray, rows: np.ndarray) -> Beside:
    """`Beside` from the slope (n,) and the rows (m,) at u + d."""
    model, linear = point.hessian @ d, point.jacobian @ d
    promised = float(np.abs(model).max()), float(np.abs(linear).max(initial=0.0))
    return Beside(d, slope - point.slope - model, rows - point.rows - linear, promised)


def _beyond(share: float, missing: tuple[np.ndarray, np.ndarray], promised: tuple[float, float]) -> float:
    """Largest entry of what is missing beyond a share of what is promised; NaN if one of them is."""
    parts = zip(missing, promised, strict=True)
    return float(np.max([0.0, *(np.abs(part).max() - share * size for part, size in parts if part.size)]))


def _change(
    scaled: Scaled, point: Point, basis: np.ndarray, spectrum: Curvature, newton: np.ndarray, delta: float
) -> tuple[float, Beside | None]:
    softest = spectrum.vectors[:, 0]
    sign = 1.0 if softest @ newton >= 0 else -1.0
    for way in (sign, -sign):
        wanted = 2 * newton + way * delta * softest
        x = scaled.at(point.u + wanted)
        d = x / scaled.scales.x - point.u
        model = float(d @ point.hessian @ d)
        # Clipped at a bound: the other way is free, or neither is and the step is as short as the box.
        if abs(d - wanted).max() <= delta / 2:
            break
    if not model > 0:
        return np.inf, None
    slope, hessian, rows = scaled.bend(x, point.y)
    secant = float(d @ (slope - point.slope))
    least = eigenvalues(basis.T @ hessian @ basis)[0]
    change = max(abs(secant - model) / model, 1.0 - float(least) / spectrum.least)
    return (change if math.isfinite(change) else np.inf), missed(point, d, slope, rows)


def _noise(point: Point) -> float:
    terms = np.abs(point.gradient)
    if point.y.size:
        terms = terms + np.abs(point.y) @ np.abs(point.jacobian)
    return ROUNDING * float(np.sqrt(terms @ terms))
