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
ROUNDING = 64.0 * EPS
"""Assumed rounding of ∇L relative to the terms that it sums; what is worse than that, the test finds itself."""


class Neighbourhood(NamedTuple):
    """How far the curvature of the point holds."""

    holds: bool
    change: float
    """the larger of relative difference of secant curvature and relative loss of the least eigenvalue"""
    decrease: float
    """what a Newton step promises to lower L by, dimensionless"""
    step: float
    """length of that step, dimensionless"""
    unsteady: float = 0.0
    """see `unsteady`"""
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
    worst = moved = np.inf
    for delta in LENGTHS:
        if delta < LENGTHS[0] and _noise(point) > AGREEMENT / 4 * spectrum.least * max(delta, step):
            break
        change, moved = _change(scaled, point, basis, spectrum, newton, delta)
        worst = min(worst, change)
        if change <= AGREEMENT or 2 * step > delta:
            break
    return Neighbourhood(worst <= AGREEMENT, float(worst), decrease, step, moved)


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
    model = point.hessian @ d
    change = slope - point.slope - model
    reference = np.min((np.abs(multipliers) * length)[inequality]) + np.abs(model).max()
    relative = float(np.abs(change).max() / reference)
    return Neighbourhood(relative <= AGREEMENT, relative, 0.0, 0.0, unsteady(point, d, slope, rows))


def unsteady(point: Point, d: np.ndarray, slope: np.ndarray, rows: np.ndarray) -> float:
    """Largest entry of ``∇L(u + d) − ∇L(u) − H d`` or ``c(u + d) − c(u) − J d``, beyond `BENT` of H d or of J d.

    That is rounding, and what the higher derivatives bring. `slope` (n,) and `rows` (m,) are those at u + d.
    """
    worst = [0.0]
    for change, model in ((slope - point.slope, point.hessian @ d), (rows - point.rows, point.jacobian @ d)):
        if change.size:
            worst.append(np.abs(change - model).max() - BENT * np.abs(model).max())
    # NumPy's maximum, for Python's forgets a NaN.
    return float(np.max(worst))


def _change(
    scaled: Scaled, point: Point, basis: np.ndarray, spectrum: Curvature, newton: np.ndarray, delta: float
) -> tuple[float, float]:
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
        return np.inf, np.inf
    slope, hessian, rows = scaled.bend(x, point.y)
    secant = float(d @ (slope - point.slope))
    least = eigenvalues(basis.T @ hessian @ basis)[0]
    change = max(abs(secant - model) / model, 1.0 - float(least) / spectrum.least)
    return (change if math.isfinite(change) else np.inf), unsteady(point, d, slope, rows)


def _noise(point: Point) -> float:
    terms = np.abs(point.gradient)
    if point.y.size:
        terms = terms + np.abs(point.y) @ np.abs(point.jacobian)
    return ROUNDING * float(np.sqrt(terms @ terms))
