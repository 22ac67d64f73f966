"""The search for a witness: nothing here is rigorous, all of it is checked afterwards.

1. Name the active set by distance and multiplier.
2. Polish (x_F, y_A) by Newton's method with balls' midpoints, ``u ← u − Y G(u)``.
3. Where the sign of a multiplier or an inactive limit says otherwise, change the active set and polish again.
4. Choose W so that ``H + Jᵀ W J`` is positive definite.
5. Grow the box for as long as Krawczyk's test holds.
"""

import time
from dataclasses import dataclass, replace

import numpy as np

from karush.arithmetic.ball_numbers import Undecided, around, balls, floats, middles
from karush.arithmetic.ball_reductions import product
from karush.certificates.scales import Scales
from karush.problem.flat import FlatProblem
from karush.proofs.checker import SINGULAR, require_strict
from karush.proofs.exact import coarse, exact_multipliers
from karush.proofs.krawczyk import approximate_inverse, krawczyk, magnitude
from karush.proofs.system import ActiveSet, Limit, System

NEWTON_STEPS = 60
SPARE_BITS = 24
"""bits of the precision that the polished point may miss"""
NOISE_BITS = 56
"""bits of the precision below which a multiplier or a distance to a limit of a polished point is taken for 0"""
SLOW = 0.25
"""step over last step from which Y is computed anew"""
NEAR = 1.0e-2
"""how far Newton's method may go from the point that was given, relative to max(1, |x|)"""
UNLIKELY = "the minimum is degenerate, active gradients are dependent, a function is not smooth, or x is far from it"
ACTIVE_SET_ROUNDS = 12
CLOSE = 1.0e-3
"""distance to a limit, in typical sizes, from which on it is not active"""
INFLATION = 2.0**20
"""radius of the small box over the size of the last Newton step's error"""
SMALLEST = 2.0**-70
"""radius of the small box, relative to max(|u|, 1), at least"""
FIRST_WIDTH, GROWTH, WIDEST, TRIES = 1.0e-4, 8.0, 1.0e3, 14
"""relative radius at which the search for the box of uniqueness starts, its factor, and its ends"""
NO_CURVATURE = 1.0e-15
"""largest entry of the Hessian up to which it is taken for 0"""
WEIGHTS = 10.0 ** np.arange(0.0, 13.0, 2.0)
"""W over ‖H‖/‖J_i‖², tried in turn"""
SAFETY = 4.0
"""factor on the first W that will do"""


@dataclass(frozen=True, eq=False)
class Polished:
    """A zero of G to working precision, with an inverse of G' there."""

    system: System
    u: np.ndarray
    Y: np.ndarray


def limits_near(
    flat: FlatProblem,
    quantities: tuple[np.ndarray, np.ndarray],
    multipliers: tuple[np.ndarray, np.ndarray],
    scales: Scales,
) -> ActiveSet:
    """Equalities, fixed variables, and each limit that is nearer than its multiplier is large, both dimensionless.

    Parameters
    ----------
    quantities
        c (m,) and x (n,).
    multipliers
        y (m,) and z (n,).
    """
    price_rows, price_bounds = scales.rows / scales.f, scales.x / scales.f
    rows = _near(quantities[0], flat.row_lower, flat.row_upper, multipliers[0] * price_rows, scales.rows)
    bounds = _near(quantities[1], flat.lower, flat.upper, multipliers[1] * price_bounds, scales.x)
    return ActiveSet(rows, bounds)


def _near(
    values: np.ndarray, lower: np.ndarray, upper: np.ndarray, multiplier: np.ndarray, size: np.ndarray
) -> tuple[Limit, ...]:
    found = []
    for i in range(values.size):
        if lower[i] == upper[i]:
            found.append(Limit(i, 0))
            continue
        side = 1 if upper[i] - values[i] <= values[i] - lower[i] else -1
        distance = max(min(upper[i] - values[i], values[i] - lower[i]), 0.0) / size[i]
        if distance <= CLOSE and side * multiplier[i] > distance:
            found.append(Limit(i, side))
    return tuple(found)


def polish(system: System, u: np.ndarray) -> Polished:
    """Newton's method from u until steps vanish in the working precision.

    Raises
    ------
    Undecided
        where it does not converge.
    """
    tiny = 2.0 ** (SPARE_BITS - system.functions.precision)
    Y, last = None, np.inf
    for _ in range(NEWTON_STEPS):
        if Y is None:
            Y = approximate_inverse(system.matrix(system.curved(u)))
            if Y is None:
                raise Undecided(SINGULAR)
        step = middles(product(Y, system.residual(system.at(u))[:, None])[:, 0])
        u = middles(u - step)
        size = _relative(step, u)
        if size <= tiny:
            return Polished(system, u, Y)
        if not size < SLOW * last:
            Y = None
        last = size
    raise Undecided(f"Newton's method does not converge ({last:.1e} relative in its last step): {UNLIKELY}")


def _relative(step: np.ndarray, u: np.ndarray) -> float:
    return float(np.max(np.abs(floats(step)) / np.maximum(np.abs(floats(u)), 1.0), initial=0.0))


def adapted(polished: Polished) -> ActiveSet | None:
    """Another active set, where a multiplier has the wrong sign or an inactive limit is exceeded; else None."""
    system = polished.system
    flat, active = system.flat, system.active
    point = system.at(polished.u)
    x, weights = (floats(part) for part in system.spread(polished.u))
    rows, z = floats(point.values)[1:], -floats(point.gradient)
    noise = 2.0 ** (NOISE_BITS - system.functions.precision)
    least = noise * max(1.0, float(np.max(np.abs(weights))))
    wrong_rows = [limit for limit in active.rows if limit.side and limit.side * weights[1 + limit.at] <= least]
    wrong_bounds = [limit for limit in active.bounds if limit.side * z[limit.at] < -least]
    if wrong_rows or wrong_bounds:
        return replace(
            active,
            rows=(*[limit for limit in active.rows if limit not in wrong_rows], *active.dropped),
            bounds=tuple(limit for limit in active.bounds if limit not in wrong_bounds),
            dropped=(),
        )
    held = {limit.at for limit in (*active.rows, *active.dropped)}
    new_rows = _exceeded(rows, flat.row_lower, flat.row_upper, held, noise)
    new_bounds = _exceeded(x, flat.lower, flat.upper, {limit.at for limit in active.bounds}, noise)
    if not new_rows and not new_bounds:
        return None
    return replace(active, rows=(*active.rows, *new_rows), bounds=(*active.bounds, *new_bounds))


def _exceeded(
    values: np.ndarray, lower: np.ndarray, upper: np.ndarray, held: set[int], noise: float
) -> tuple[Limit, ...]:
    slack = noise * np.maximum(np.abs(values), 1.0)
    return tuple(
        Limit(i, 1 if values[i] > upper[i] else -1)
        for i in range(values.size)
        if i not in held and not lower[i] - slack[i] <= values[i] <= upper[i] + slack[i]
    )


def crossed(system: System, x: np.ndarray, y: np.ndarray) -> tuple[Limit, ...]:
    """Bounds that the first Newton step from x (n,) with the multipliers y (m,) crosses."""
    u = balls(np.concatenate([x[system.free], y[system.rows]]))
    Y = approximate_inverse(system.matrix(system.curved(u)))
    if Y is None:
        return ()
    step = product(Y, system.residual(system.at(u))[:, None])[:, 0]
    ahead = floats(system.spread(middles(u - step))[0])
    held = {limit.at for limit in system.active.bounds}
    return _exceeded(ahead, system.flat.lower, system.flat.upper, held, 0.0)


def exactly(polished: Polished) -> np.ndarray | None:
    """The unknowns with x replaced by coarse numbers that it seems to be exactly; None if it does not."""
    system, u = polished.system, polished.u
    free = system.free.size
    x = coarse(u[:free])
    noise = 2.0 ** (NOISE_BITS - system.functions.precision)
    if np.any(np.abs(floats(x - u[:free])) > noise * np.maximum(np.abs(floats(x)), 1.0)):
        return None
    exact = np.concatenate([x, u[free:]])
    return None if exact_multipliers(system, exact) is None else exact


def second_order_weights(polished: Polished) -> np.ndarray | None:
    """W (number of active rows,) with ``H + Jᵀ W J`` positive definite in floating point; None if none is found."""
    system = polished.system
    curved = system.curved(polished.u)
    hessian = floats(curved.hessian[np.ix_(system.free, system.free)])
    jacobian = floats(curved.jacobian[np.ix_(1 + system.rows, system.free)])
    squares = np.maximum(np.sum(jacobian**2, axis=1), np.finfo(float).tiny)
    size = float(np.abs(hessian).max(initial=0.0))
    size = size if size > NO_CURVATURE else 1.0
    for factor in WEIGHTS:
        weights = factor * size / squares
        matrix = hessian + jacobian.T @ (weights[:, None] * jacobian)
        if _definite(matrix):
            return SAFETY * weights
    return None


def _definite(matrix: np.ndarray) -> bool:
    """Whether a Cholesky factorization runs through, after scaling to a unit diagonal."""
    diagonal = np.diag(matrix)
    if not (np.all(np.isfinite(matrix)) and np.all(diagonal > 0)):
        return False
    try:
        np.linalg.cholesky(matrix / np.sqrt(diagonal)[:, None] / np.sqrt(diagonal))
    except np.linalg.LinAlgError:
        return False
    return True


def small_radius(polished: Polished) -> np.ndarray:
    """(size,) float64 radius on which existence is to be tested."""
    system = polished.system
    error = magnitude(product(polished.Y, system.residual(system.at(polished.u))[:, None])[:, 0])
    size = np.maximum(np.abs(floats(polished.u)), 1.0)
    return INFLATION * floats(error) + SMALLEST * size


def wide_radius(polished: Polished, small: np.ndarray, deadline: float) -> np.ndarray:
    """(size,) float64: the widest box found on which the test, and all signs, hold; `small` if none is wider."""
    best, relative, factor = small, FIRST_WIDTH, 0.0
    for _ in range(TRIES):
        if time.perf_counter() > deadline or not SMALLEST < relative < WIDEST:
            break
        found = _unique_within(polished, relative, small)
        if found is not None:
            if factor == 1 / GROWTH:
                return found
            best, factor = found, GROWTH
        elif factor == GROWTH:
            break
        else:
            factor = 1 / GROWTH
        relative *= factor
    return best


def _unique_within(polished: Polished, relative: float, small: np.ndarray) -> np.ndarray | None:
    """A box of that relative radius in x which the test maps into itself, with multipliers as wide as it takes."""
    system = polished.system
    size = np.maximum(np.abs(floats(polished.u)), 1.0)
    radius = np.maximum(relative * size, small)
    free = system.free.size
    at_middle = system.at(polished.u)
    for _ in range(3):
        try:
            tested = krawczyk(system, polished.u, balls(radius), polished.Y, at_middle)
            if tested.holds:
                require_strict(system, around(polished.u, balls(radius)))
                return radius
        except Undecided:
            return None
        reach = floats(tested.reach)
        if not np.all(np.isfinite(reach)) or np.any(reach[:free] >= radius[:free]):
            return None
        radius = np.concatenate([radius[:free], np.maximum(radius[free:], 2.0 * reach[free:])])
    return None


__all__ = [
    "NEAR",
    "Polished",
    "adapted",
    "crossed",
    "limits_near",
    "polish",
    "second_order_weights",
    "small_radius",
    "wide_radius",
]
