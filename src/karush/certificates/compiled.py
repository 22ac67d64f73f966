"""The clear cases of `judge`, as a pure JAX function: to be compiled into the program that finds the point.

```
clear_verdict(...) = LOCAL, GLOBAL   only if judge(...) says LOCAL_MINIMUM, GLOBAL_MINIMUM
                   = UNCLEAR         otherwise: ask `judge`
```

It measures what `judge` measures, with the same formulas in the same dimensionless units, and holds every number to a
bound stricter than that of `judge` by more than the two can differ in rounding. What needs a search, a second look or a
promise of the user's (kinks nearby, dependent gradients, curvature near zero, rays, witnesses) is UNCLEAR. Any method's
program may call it, with constraint rows or without (m = 0).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from karush.certificates import agreement, near
from karush.certificates.analysis import QUADRATIC, Analysis
from karush.certificates.judge import KINK
from karush.certificates.kkt import MULTIPLIER, PUSH, RATIO
from karush.certificates.kkt import ROUNDING as SLOPE_ROUNDING
from karush.certificates.projection import null_space
from karush.certificates.scaled import Scaled
from karush.certificates.second_order import CURVATURE, EPS
from karush.certificates.sufficiency import LARGEST_MULTIPLIER
from karush.certificates.traced_near import ROUNDS, beside
from karush.certificates.traced_point import Answer, TracedPoint, dimensionless, moved
from karush.certificates.unboundedness import DEEP, FAR

UNCLEAR, LOCAL, GLOBAL = 0, 1, 2

CLEAR = 0.5
"""Share where they depend on the direction of least curvature, or sort a limit into strong, weak and inactive."""
COMPILED_UP_TO = 100
"""Variables up to which verdicts are compiled; above, the step-by-step judge costs no more than the linear algebra."""


class Conditions(NamedTuple):
    """What is constant in the judgement of one problem; NumPy arrays, which a compiled program embeds."""

    scaled: Scaled
    analysis: Analysis
    inequality: np.ndarray
    """(k,) bool"""
    affine: np.ndarray
    """(k,) bool: equalities whose gradients are constant"""


def conditions(scaled: Scaled, analysis: Analysis) -> Conditions | None:
    """The constants for a problem, or None for one whose verdicts are left to `judge` altogether.

    That is where the problem is large, or convex by the user's promise.
    """
    flat = scaled.flat
    if flat.n > COMPILED_UP_TO or "convex" in flat.promises:
        return None
    affine = scaled.equal.copy()
    affine[: flat.m] &= analysis.row_degrees <= 1
    return Conditions(scaled, analysis, ~scaled.equal, affine)


def clear_verdict(
    known: Conditions,
    answer: Answer,
    tol: Any,
    derivatives: Callable[[Any, Any], tuple[Any, Any, Any]],
    values: Callable[[Any], Any],
    params: tuple[Any, ...] = (),
) -> Any:
    """UNCLEAR, LOCAL or GLOBAL, in a trace.

    Parameters
    ----------
    known
        From `conditions`.
    answer
        The point; its x has to lie within the bounds exactly.
    tol
        Bound of the dimensionless first-order entries.
    derivatives
        ``(x, (σ, y)) -> F (1+m,), J (1+m, n), H (n, n)``, as `Evaluator.derivatives` with its parameters.
    values
        ``x -> F (1+m,)``, as `Evaluator.program` with its parameters.
    params
        Leaves of the parameters, for the distance to the kinks of the program.
    """
    point = dimensionless(known.scaled, answer)
    multipliers = jnp.concatenate([point.y, point.z])
    sound = _first_order(known, point, multipliers, tol)
    if known.analysis.kinks:
        distances = known.analysis.margins
        assert distances is not None
        margins = distances(answer.x, known.scaled.scales.x, *params)
        # Beyond this neither the rule for kinks nor the shortened steps of the comparison of values apply.
        far = max(KINK, agreement.BEFORE_KINK * agreement.LONGER * agreement.LENGTH) / CLEAR
        sound &= jnp.all(margins > far)
    if known.analysis.value_degree == 0:
        # Of a constant objective every feasible point is a minimum.
        return jnp.where(sound, GLOBAL, UNCLEAR)
    sound &= _agrees(known.scaled, answer, point, values)
    sound &= jnp.max(jnp.abs(multipliers), initial=0.0) <= CLEAR * tol**-LARGEST_MULTIPLIER
    strong, active, sorted_clearly = _sorted(known, point, multipliers, tol)
    convex, nonconvex = _convexity(known, point)
    curved, steady = _curvature(known, answer, point, strong, active, multipliers, tol, derivatives, convex)
    sound &= steady
    local = nonconvex & sorted_clearly & curved
    minimum = GLOBAL if known.analysis.why_convex else LOCAL
    return jnp.where(sound & convex, GLOBAL, jnp.where(sound & local, minimum, UNCLEAR))


def _first_order(known: Conditions, point: TracedPoint, multipliers: Any, tol: Any) -> Any:
    """Feasible, stationary, signs and complementarity; not far out or deep down."""
    allowed = ROUNDS * tol
    nearest = jnp.minimum(point.to_lower, point.to_upper)
    distance = jnp.where(multipliers > 0, point.to_upper, point.to_lower)
    defect = jnp.abs(multipliers) * jnp.where(jnp.isinf(distance), 1.0, jnp.abs(distance))
    return (
        jnp.all(nearest >= -allowed)
        & jnp.all(point.residual <= allowed)
        & jnp.all(defect <= allowed)
        & jnp.all(jnp.abs(point.u) <= CLEAR * FAR)
        & (point.value >= -CLEAR * DEEP)
    )


def _agrees(scaled: Scaled, answer: Answer, point: TracedPoint, values: Callable[[Any], Any]) -> Any:
    """`agreement.agreement` by its first, short step."""
    m = scaled.flat.m
    x, d = _even(scaled, point)
    there = values(x)
    changed = there[0] / scaled.scales.f - point.value
    rounding = jnp.abs(point.value) + point.terms @ (jnp.abs(point.u) + jnp.abs(d))
    if m:
        changed += point.y @ (there[1:] / scaled.scales.rows - point.rows)
        rounding += jnp.abs(point.y) @ jnp.abs(point.rows)
    first, bent = point.slope @ d, point.hessian @ d
    promised = first + 0.5 * (d @ bent)
    allowed = agreement.SHARE * (jnp.abs(first) + jnp.abs(d) @ jnp.abs(bent)) + agreement.ROUNDING * rounding
    return jnp.abs(changed - promised) <= CLEAR * allowed


def _sorted(known: Conditions, point: TracedPoint, multipliers: Any, tol: Any) -> tuple[Any, Any, Any]:
    """(k,) the strongly active limits of `kkt.active_set`, (k,) all active, and whether none is a borderline case."""
    distance = jnp.abs(jnp.minimum(point.to_lower, point.to_upper))
    reach = jnp.sqrt(tol)
    active = distance <= reach
    leftover = jnp.maximum(jnp.max(point.residual), SLOPE_ROUNDING * jnp.max(point.terms))
    floor = RATIO * distance + MULTIPLIER * leftover
    chosen = active & known.inequality
    size = jnp.abs(multipliers)
    strong = chosen & (CLEAR * size > floor + PUSH * jnp.maximum(-_bent(point), 0.0))
    weak = chosen & (size < CLEAR * floor)
    on_the_edge = known.inequality & (CLEAR * distance <= reach) & (distance >= CLEAR * reach)
    clear = ~jnp.any(on_the_edge) & jnp.all(strong | weak | ~chosen)
    return strong | (active & ~known.inequality), active, clear


def _bent(point: TracedPoint) -> Any:
    """(k,) ``νᵀHν / |A|`` along the unit normals ν of all limits, whose gradients A are the rows of [J; I]."""
    along = jnp.sum((point.jacobian @ point.hessian) * point.jacobian, axis=1)
    square = jnp.sum(point.jacobian**2, axis=1)
    return jnp.concatenate([along / jnp.where(square > 0, square**1.5, 1.0), jnp.diagonal(point.hessian)])


def _error(hessian: Any) -> Any:
    """Of an eigenvalue, as in `second_order.curvature`."""
    return CURVATURE * hessian.shape[0] * EPS * jnp.linalg.norm(hessian)


def _convexity(known: Conditions, point: TracedPoint) -> tuple[Any, Any]:
    """Whether L is clearly a convex quadratic on the affine equalities, and whether it clearly is none."""
    if known.analysis.degree > QUADRATIC:
        return False, True
    hessian = point.hessian
    space = null_space(point.jacobian, known.affine, known.affine)
    inner, error = space.restricted(hessian), _error(hessian)

    def above(bound: Any) -> Any:
        """Whether no eigenvalue is below `bound`; Cholesky's rounding is far below `error`."""
        factor = jnp.linalg.cholesky(inner - bound * jnp.eye(hessian.shape[0]), symmetrize_input=False)
        return jnp.all(jnp.isfinite(jnp.diagonal(factor)))

    diagonal = True if known.affine.any() else jnp.all(jnp.diagonal(hessian) >= 0)
    convex = space.clear & ((above(-CLEAR * error) & diagonal) | jnp.all(hessian == 0.0))
    return convex, space.clear & ~above(-error / CLEAR)


def _curvature(
    known: Conditions,
    answer: Answer,
    point: TracedPoint,
    strong: Any,
    active: Any,
    multipliers: Any,
    tol: Any,
    derivatives: Callable[[Any, Any], tuple[Any, Any, Any]],
    convex: Any,
) -> tuple[Any, Any]:
    """Positive curvature on the null space of the strongly active limits, at the point and near it.

    At a vertex, where nothing is left of that space, the gradients have to hold near it instead. Second, whether the
    derivatives beside the point follow those at it, as `rounding.steady` asks; for a convex L over the step of `_even`.
    """
    scaled, hessian = known.scaled, point.hessian
    space = null_space(point.jacobian, strong, np.ones(strong.shape, bool))
    spectrum, vectors = jnp.linalg.eigh(space.restricted(hessian))
    least = jnp.where(space.dimension > 0, spectrum[0], 0.0)
    positive = CLEAR * least > _error(hessian) + space.error * jnp.linalg.norm(hessian)
    # A limit far away holds nothing, whatever its multiplier.
    held = jnp.where(active, multipliers, 0.0)
    m = point.rows.size
    slope = space.project(point.gradient + held[:m] @ point.jacobian + held[m:])
    newton = -space.project(vectors @ ((slope @ vectors) / spectrum))
    decrease = -0.5 * (slope @ newton)
    vertex = space.dimension == 0
    wanted, inwards = _ways(space, vectors[:, 0], newton, known, strong, multipliers)
    _, d_first = moved(scaled, point, wanted)
    _, d_other = moved(scaled, point, 4.0 * newton - wanted)
    clipped = jnp.max(jnp.abs(d_first - wanted)) > 0.5 * near.LENGTHS[0]
    _, d_vertex = moved(scaled, point, inwards)
    _, d_even = _even(scaled, point)
    d = jnp.where(convex, d_even, jnp.where(vertex, d_vertex, jnp.where(clipped, d_other, d_first)))
    change, hessian_there, steady = beside(scaled, answer, point, d, tol, derivatives)
    bent = hessian @ d
    model = d @ bent
    share = CLEAR * near.AGREEMENT
    kept = jnp.linalg.cholesky(
        space.restricted(hessian_there) - (1.0 - share) * least * jnp.eye(d.size), symmetrize_input=False
    )
    curved = (
        positive
        & (jnp.abs(d @ change - model) <= share * model)
        & jnp.all(jnp.isfinite(jnp.diagonal(kept)))
        & (decrease <= ROUNDS * tol)
    )
    pushing = strong & known.inequality
    forces = jnp.concatenate([jnp.where(pushing[:m], space.lengths, 1.0), jnp.ones(d.size)]) * jnp.abs(multipliers)
    reference = jnp.min(jnp.where(pushing, forces, jnp.inf)) + jnp.max(jnp.abs(bent))
    kept_slope = (jnp.max(jnp.abs(change - bent)) <= share * reference) | ~jnp.any(pushing)
    return space.clear & jnp.where(vertex, kept_slope, curved), steady


def _even(scaled: Scaled, point: TracedPoint) -> tuple[Any, Any]:
    """A point beside `point`, all variables moved by different amounts of at most δ, and the step; see `rounding`."""
    m = scaled.flat.m
    back = point.to_lower[m:] > point.to_upper[m:]
    return moved(scaled, point, jnp.where(back, -agreement.LENGTH, agreement.LENGTH) * scaled.uneven)


def _ways(space: Any, softest: Any, newton: Any, known: Conditions, strong: Any, multipliers: Any) -> tuple[Any, Any]:
    """2 p + δ v of `near`, and of length δ the way from a vertex into the inside of its strong inequalities."""
    delta = near.LENGTHS[0]
    wanted = 2 * newton + jnp.where(softest @ newton >= 0, delta, -delta) * softest
    inwards = space.reach(jnp.where(strong & known.inequality, -jnp.sign(multipliers), 0.0))
    length = jnp.sqrt(inwards @ inwards)
    return wanted, delta * inwards / jnp.where(length > 0, length, 1.0)
