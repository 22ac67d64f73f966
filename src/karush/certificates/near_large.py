"""Does the curvature of a large problem hold near a point? `near` from products, or from factors where there are some.

As there, over twice the Newton step and a little along the softest direction the secant curvature stays within a half
of the model's, and the least eigenvalue loses no more than half.
"""

import math

import numpy as np
import scipy.sparse

from karush.certificates.case import Case
from karush.certificates.near import AGREEMENT, LENGTHS, Neighbourhood
from karush.certificates.spectrum import CHANCE, Spectrum, factorized
from karush.derivatives import band
from karush.derivatives.large import POWERS, Curved
from karush.linalg.band import BandFactors, band_factors, restricted

NEGLIGIBLE = 1e-3
"""part of the shortest visible step below which a Newton step changes nothing of what is measured there"""


def keeps_curvature(case: Case, found: Spectrum, free: np.ndarray) -> Neighbourhood:
    """`near.keeps_curvature` from products: twice the Newton step and a little along the softest direction."""
    if not free.any():
        return Neighbourhood(True, 0.0, 0.0, 0.0)
    point, scaled = case.point, case.scaled
    curved: Curved = point.hessian
    slope = np.where(free, point.slope + case.kkt.multipliers, 0.0)
    newton, decrease = newton_step(curved, found, free, slope)
    along = found.vector if np.any(found.vector) else np.where(free, scaled.uneven, 0.0)
    along = along / np.linalg.norm(along)
    worst = np.inf
    for way in (1.0, -1.0):
        x = scaled.at(point.u + 2.0 * newton + way * LENGTHS[0] * along)
        d = x / scaled.scales.x - point.u
        there = scaled.evaluator(x, np.zeros(0))
        model = float(d @ (curved @ d))
        if not model > 0:
            continue
        secant = float(d @ (there.gradient / scaled.bound_price - point.slope))
        moved: Curved = there.hessian.in_units(scaled.scales.x, scaled.scales.f)
        loss = _loss(curved, moved, found, free)
        change = max(abs(secant - model) / model, loss)
        worst = min(worst, change) if math.isfinite(change) else worst
        if worst <= AGREEMENT:
            break
    return Neighbourhood(worst <= AGREEMENT, float(worst), decrease, float(np.linalg.norm(newton)))


def newton_step(curved: Curved, found: Spectrum, free: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, float]:
    """−H⁻¹ `slope` (n,) and what it promises to lower the objective by, where need be.

    ``‖H⁻¹ slope‖ <= ‖slope‖ / λ``, λ the lower bound of the spectrum: where that vanishes beside the step along the
    softest direction, the step is put to zero, and the promise to its bound ``½ ‖slope‖² / λ``.
    """
    size = float(np.linalg.norm(slope))
    if size <= NEGLIGIBLE * LENGTHS[0] * found.below:
        return np.zeros(free.size), 0.5 * size * size / found.below
    newton = -_solved(curved, found, free, slope)
    return newton, -0.5 * float(slope @ newton)


def _solved(curved: Curved, found: Spectrum, free: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """H⁻¹ times `slope` (n,), zero where not `free`, on the free variables."""
    if isinstance(found.solve, BandFactors):
        # Of all variables, with the matrix I in those that are not free; `slope` is zero there.
        return found.solve.solve(slope)
    if found.solve is not None:
        whole = np.zeros(free.size)
        whole[free] = found.solve.solve(slope[free])
        return whole
    return curved.solve(free, slope)


def _loss(curved: Curved, moved: Curved, found: Spectrum, free: np.ndarray) -> float:
    """Bound, or estimate, of the relative loss of the least eigenvalue from `curved` to `moved`."""
    least = found.least
    if found.solve is None:
        return loss_by_products(curved, moved, found, free)
    # Half of the least eigenvalue, found from above, has to be left.
    kept = (1.0 - AGREEMENT) * least
    if curved.band is not None and moved.band is not None:
        loss = band.norm(moved.band - curved.band) / least
        if loss <= AGREEMENT:
            return loss
        inner = restricted(moved.band, free).copy()
        inner[0] -= np.where(free, kept, 0.0)
        return AGREEMENT if band_factors(inner) is not None else loss
    assert curved.entries is not None
    assert moved.entries is not None
    difference = abs(moved.entries - curved.entries)
    loss = float(difference.sum(axis=0).max(initial=0.0)) / least
    if loss <= AGREEMENT:
        return loss
    places = np.flatnonzero(free)
    inner = moved.entries[places][:, places]
    matrix = (inner - kept * scipy.sparse.eye_array(places.size)).tocsc()
    return AGREEMENT if factorized(matrix) is not None else loss


def loss_by_products(curved: Curved, moved: Curved, found: Spectrum, free: np.ndarray) -> float:
    """‖A‖₂ over the least eigenvalue, for the change A of the Hessian, by powers of A on a random ω.

    For normal ω, ``‖A^k ω‖ >= ‖A‖^k |v₁ᵀω|`` and ``|v₁ᵀω| >= t = δ √(π/2)`` but for a chance δ, so that
    ``‖A‖ <= (‖A^k ω‖ / t)^(1/k)``. Where POWERS products do not make that small enough, their last norm has to do.
    """
    omega = np.where(free, np.random.default_rng(1).standard_normal(free.size), 0.0)
    length = float(np.linalg.norm(omega))
    ratio = CHANCE * math.sqrt(math.pi / 2.0) / length
    count = 1.0 + np.arange(POWERS)
    norms = curved.powers(moved, free, omega / length, (AGREEMENT * found.below) ** count * ratio)
    done = norms[norms != -1.0]
    if not np.all(np.isfinite(done)):
        return np.inf
    if not done[-1] > 0.0:
        return 0.0
    bound = math.exp((float(np.log(done).sum()) - math.log(ratio)) / done.size)
    enough = bound <= AGREEMENT * found.below
    return (bound if enough else float(done[-1])) / found.below
