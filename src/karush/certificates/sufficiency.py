"""From the first-order conditions to a minimum: by convexity, else by curvature."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from karush.certificates.analysis import QUADRATIC, Analysis
from karush.certificates.case import Case, conclude, not_a_minimum
from karush.certificates.certificate import Certificate
from karush.certificates.copositive import critical_cone
from karush.certificates.near import keeps_curvature, keeps_slope
from karush.certificates.scaled import Point
from karush.certificates.second_order import Curvature, SecondOrder, curvature, null_space
from karush.certificates.witness import Witness, better_point, both_ways
from karush.core.status import Verdict
from karush.core.table import measured

LARGEST_MULTIPLIER = 0.75
"""A dimensionless multiplier above tol^-0.75 (1e6) says that no constraint qualification holds: towards a minimum that
is no KKT point (x for x² <= 0), multipliers grow without end while every residual vanishes."""


def unqualified(case: Case) -> Certificate | None:
    """STATIONARY where the multipliers are so large that no constraint qualification can hold."""
    largest = float(np.abs(case.kkt.multipliers).max(initial=0.0))
    if largest <= case.evidence.tol**-LARGEST_MULTIPLIER:
        return None
    because = f"a multiplier is {measured(largest)}, as where no constraint qualification holds"
    return conclude(case, Verdict.STATIONARY, case.evidence._replace(because=because))


def by_convexity(case: Case, analysis: Analysis | None) -> Certificate | None:
    """KKT suffices where L(·, y) is known to be convex: f(x) >= L(x) >= L(x*) = f(x*) for every feasible x."""
    evidence = case.evidence
    if analysis is not None and analysis.degree <= QUADRATIC:
        least, error = _constant_curvature(case, analysis)
        evidence = evidence._replace(convexity=(least, error))
        if least >= -error:
            because = "the Lagrangian is a convex quadratic"
            if analysis.degree <= 1:
                because = "the problem is linear"
            return conclude(case, Verdict.GLOBAL_MINIMUM, evidence._replace(because=because))
        case = case._replace(evidence=evidence)
    if "convex" in case.scaled.flat.promises:
        assert evidence.second is not None
        if evidence.second.outer.least < -evidence.second.outer.error:
            because = "the problem was promised to be convex, and is not"
            return _negative(case._replace(evidence=evidence._replace(because=because)), evidence.second)
        because = "the problem is convex by the user's promise"
        certificate = conclude(case, Verdict.GLOBAL_MINIMUM, evidence._replace(because=because))
        return replace(certificate, assumed=("convex",))
    return None


def everywhere(found: Certificate, analysis: Analysis | None) -> Certificate:
    """A local minimum of a problem that is convex by its rules is global.

    Stationarity to a tolerance is not enough there: exp(−x) is convex and has no minimum, and x⁴ is flat at 0.001.
    """
    if found.verdict is not Verdict.LOCAL_MINIMUM or analysis is None or not analysis.why_convex:
        return found
    return replace(found, verdict=Verdict.GLOBAL_MINIMUM, evidence=found.evidence._replace(because=analysis.why_convex))


def _constant_curvature(case: Case, analysis: Analysis) -> tuple[float, float]:
    """Least eigenvalue of the constant ∇²L, if need be on the affine equalities alone, and its error."""
    n, m = case.scaled.flat.n, case.scaled.flat.m
    spectrum = curvature(case.point, np.eye(n))
    if np.any(np.diagonal(case.point.hessian) < 0) or spectrum.least < -spectrum.error:
        held = case.scaled.equal.copy()
        held[:m] &= analysis.row_degrees <= 1
        spectrum = curvature(case.point, null_space(case.point, held).basis) if np.any(held) else spectrum
        # The diagonal is exact where an eigenvalue is not: −1e-20 y² is no convex function.
        if not np.any(held):
            return min(spectrum.least, float(np.diagonal(case.point.hessian).min())), 0.0
    return spectrum.least, spectrum.error


def by_curvature(case: Case, second: SecondOrder) -> Certificate:
    """Second order: the curvature on the critical cone, and near the point."""
    outer = second.outer
    if not outer.least > outer.error:
        return _not_positive(case, second)
    if not outer.values.size:
        return _vertex(case)
    return _settle(case, second, outer, "")


def _vertex(case: Case) -> Certificate:
    """No direction is left free: first derivatives decide, if they hold nearby."""
    active = case.evidence.active
    assert active is not None
    near = keeps_slope(case.scaled, case.point, case.kkt.multipliers, active.strong)
    evidence = case.evidence._replace(near=near)
    if near.holds:
        return conclude(case, Verdict.LOCAL_MINIMUM, evidence)
    because = f"nearby, or by rounding, the gradient changes by {measured(near.change)} of what holds the point"
    return conclude(case, Verdict.STATIONARY, evidence._replace(because=because))


def _settle(case: Case, second: SecondOrder, spectrum: Curvature, how: str) -> Certificate:
    """Positive curvature at the point: a minimum if it holds nearby."""
    near = keeps_curvature(case.scaled, case.point, _push(case), spectrum)
    evidence = case.evidence._replace(near=near, because=how)
    if not near.holds:
        because = f"within a Newton step, or by rounding, the curvature changes by {measured(near.change)} of itself"
        return _degenerate(case._replace(evidence=evidence), spectrum.vectors[:, :1], because)
    if not near.decrease <= evidence.tol:
        because = f"a Newton step promises to lower the objective by {measured(near.decrease)} of its typical size"
        return conclude(case, Verdict.STATIONARY, evidence._replace(because=because))
    return conclude(case, Verdict.LOCAL_MINIMUM, evidence)


def _push(case: Case) -> np.ndarray:
    """(n,) what the bounds add to ∇f + Jᵀy, with the multipliers of active limits alone.

    A limit far away holds nothing: |∇f| = 3x² at a distance of 1 passes for a multiplier, and x³ for a minimum.
    """
    active = case.evidence.active
    assert active is not None
    m = case.scaled.flat.m
    idle = np.where(active.strong | active.weak, 0.0, case.kkt.multipliers)
    push = case.kkt.multipliers[m:] - idle[m:]
    return push - idle[:m] @ case.point.jacobian if m else push


def _not_positive(case: Case, second: SecondOrder) -> Certificate:
    """Zero or negative curvature on the null space of the strongly active limits."""
    outer, inner = second.outer, second.inner
    if inner.least < -inner.error:
        return _negative(case, second)
    if outer is not inner:
        assert case.evidence.active is not None
        cone = critical_cone(case.point, case.evidence.active)
        case = case._replace(evidence=case.evidence._replace(cone=cone))
        if cone.positive and inner.values.size:
            return _settle(case, second, inner, "although it is not on the whole subspace that contains it")
        if cone.positive:
            return conclude(case, Verdict.LOCAL_MINIMUM, case.evidence._replace(because="on every face of it"))
        if cone.direction is not None:
            better = _walk(case, [cone.direction], 0.0)
            if better is not None:
                return not_a_minimum(case, "the curvature is negative on the critical cone", better)
    because = f"the least curvature on the critical cone, {measured(outer.least)}, cannot be told from zero"
    if outer.least < -outer.error:
        because = f"with weakly active constraints the curvature is only bracketed, from {measured(outer.least)} up"
    small = outer.values <= outer.error
    return _degenerate(case, outer.vectors[:, small], because)


def _negative(case: Case, second: SecondOrder) -> Certificate:
    spectrum = second.inner if second.inner.least < -second.inner.error else second.outer
    because = f"the curvature along a feasible direction is {measured(spectrum.least)}"
    below = spectrum.vectors[:, spectrum.values < -spectrum.error]
    better = _walk(case, both_ways(below), 0.0)
    if better is not None:
        return not_a_minimum(case, because, better)
    because += ", but no better feasible point was found"
    return conclude(case, Verdict.STATIONARY, case.evidence._replace(because=because))


def _degenerate(case: Case, directions: np.ndarray, because: str) -> Certificate:
    """Second derivatives do not decide; walking along the flat directions may still find a better point."""
    better = _walk(case, both_ways(directions), case.evidence.tol)
    if better is not None:
        return not_a_minimum(case, because, better)
    return conclude(case, Verdict.STATIONARY, case.evidence._replace(because=because))


def _walk(case: Case, directions: Iterable[np.ndarray], decrease: float) -> Witness | None:
    """A better point along one of `directions` (n,), on the strongly active rows first, else wherever it is feasible.

    A tangent may lead into the inside of the feasible set (outside of a ball), where f rises before the curvature
    shows; along the rows themselves f changes as L does.
    """
    chosen = list(directions)
    active = case.evidence.active
    assert active is not None
    m = case.scaled.flat.m
    strong = active.strong[:m] & ~case.scaled.equal[:m]
    if np.any(strong):
        multipliers = case.kkt.multipliers
        held = case.scaled.holding(strong, multipliers)
        to_limit = np.where(multipliers > 0, case.point.to_upper, case.point.to_lower)[:m]
        # What closing the distance to the limits brings, a slack times its multiplier, shows no curvature.
        slack = float(np.abs(multipliers[:m][strong]) @ np.abs(to_limit[strong]))
        better = better_point(held, _on_rows(case.point, strong, multipliers), chosen, decrease + slack)
        if better is not None:
            return better
    return better_point(case.scaled, case.point, chosen, decrease)


def _on_rows(point: Point, rows: np.ndarray, multipliers: np.ndarray) -> Point:
    """`point` as `Scaled.holding` measures it: distances to both limits of `rows` (m,) bool are to the same one."""
    m = rows.size
    lower, upper = point.to_lower.copy(), point.to_upper.copy()
    at_upper = multipliers[:m] > 0
    lower[:m] = np.where(rows & at_upper, -upper[:m], lower[:m])
    upper[:m] = np.where(rows & ~at_upper, -point.to_lower[:m], upper[:m])
    return point._replace(to_lower=lower, to_upper=upper)
