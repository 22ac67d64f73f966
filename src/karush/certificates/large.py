"""The verdict on a point of a problem of many variables without constraint rows, in memory of order n.

First order as for small problems, with the same measures. Second order from the sparse Hessian or from its products
(`spectrum`), on the variables that no strongly active bound holds: what these cannot decide is STATIONARY.
"""

import math
from dataclasses import replace

import numpy as np

from karush.arithmetic.interval_margins import label
from karush.certificates.agreement import agreement
from karush.certificates.analysis import QUADRATIC, Analysis
from karush.certificates.case import Case, conclude, not_a_minimum
from karush.certificates.certificate import Certificate
from karush.certificates.evidence import Evidence
from karush.certificates.kkt import MULTIPLIER, PUSH, RATIO, TINY, ActiveSet, Kkt, first_order
from karush.certificates.kkt import ROUNDING as SLOPE_ROUNDING
from karush.certificates.multipliers import complete
from karush.certificates.near import Neighbourhood
from karush.certificates.near_large import keeps_curvature
from karush.certificates.scaled import Point, Scaled
from karush.certificates.second_order import Curvature, SecondOrder, Subspace
from karush.certificates.spectrum import Spectrum, spectrum
from karush.certificates.sufficiency import unqualified
from karush.certificates.unboundedness import suspicious, unbounded
from karush.certificates.witness import better_point
from karush.core.status import Verdict
from karush.core.table import measured
from karush.derivatives.large import Curved
from karush.problem.flat import FlatProblem


def large_case(
    scaled: Scaled, x: np.ndarray, outside: np.ndarray, z: np.ndarray | None, tol: float
) -> Case | Certificate:
    """Evaluate at x (n,), within the bounds, with the multipliers z (n,) of the bounds, completed where they fail."""
    flat = scaled.flat
    raw = scaled.evaluator(x, np.zeros(0))
    trouble = _not_finite(flat, raw.value, raw.gradient)
    if trouble:
        empty = (np.zeros(0), np.zeros(flat.n))
        return Certificate(Verdict.UNDECIDED, scaled.scales, empty, Evidence(flat, tol, because=trouble))
    u = x / scaled.scales.x
    gradient = raw.gradient / scaled.bound_price
    to_lower, to_upper = u - scaled.lower, scaled.upper - u
    curved: Curved = raw.hessian
    point = Point(
        u=u,
        y=np.zeros(0),
        value=raw.value / scaled.scales.f,
        gradient=gradient,
        jacobian=raw.jacobian,
        hessian=curved.in_units(scaled.scales.x, scaled.scales.f),
        rows=np.zeros(0),
        to_lower=to_lower,
        to_upper=to_upper,
        nearest=np.minimum(to_lower, to_upper),
        slope=gradient,
    )
    notes: tuple[str, ...] = ()
    kkt: Kkt | None = None
    if z is not None and np.all(np.isfinite(z)):
        kkt = first_order(point, z / scaled.bound_price, outside)
    if kkt is None or not kkt.dual_defect <= tol:
        completed = first_order(point, complete(point, point.y, tol), outside)
        if kkt is None or completed.dual_defect <= tol:
            if kkt is not None:
                notes = (f"the given multipliers are refused ({measured(kkt.dual_defect)}); estimated ones hold",)
            kkt = completed
    return Case(scaled, x, point, kkt, Evidence(flat, tol, point=point, kkt=kkt, equal=scaled.equal), notes)


def _not_finite(flat: FlatProblem, value: float, gradient: np.ndarray) -> str:
    if not math.isfinite(value):
        return f"the objective is {value}"
    bad = np.flatnonzero(~np.isfinite(gradient))
    if bad.size:
        return f"the derivative of the objective in {flat.variable_names[bad[0]]} is {gradient[bad[0]]}"
    return ""


def large_verdict(case: Case, analysis: Analysis | None, sequence: np.ndarray | None) -> Certificate:
    """From the first-order conditions to a verdict."""
    evidence, kkt, tol = case.evidence, case.kkt, case.evidence.tol
    if not kkt.feasible(tol):
        return conclude(case, Verdict.NOT_STATIONARY, evidence)
    if sequence is not None or suspicious(case.point):
        ray = unbounded(case.scaled, case.point, sequence, tol)
        if ray is not None:
            sign = -1.0 if case.scaled.flat.maximize else 1.0
            witness = {"points": ray.points, "values": sign * ray.values, "direction": ray.direction}
            return conclude(case, Verdict.UNBOUNDED, evidence, witness)
    if evidence.kink is not None and not evidence.kink[0] > evidence.kink_bound:
        because = f"the point lies on a kink, where derivatives say nothing: {evidence.kink[1]}"
        return conclude(case, Verdict.UNDECIDED, evidence._replace(because=because))
    if not kkt.dual_defect <= tol:
        return conclude(case, Verdict.NOT_STATIONARY, evidence)
    if analysis is not None and analysis.value_degree == 0:
        because = "the objective is constant: every feasible point is a minimum"
        return conclude(case, Verdict.GLOBAL_MINIMUM, evidence._replace(because=because))
    found = agreement(case.scaled, case.point, kkt.terms, np.inf if evidence.kink is None else evidence.kink[0])
    if not found.holds:
        because = (
            f"values and derivatives disagree: over a short step the Lagrangian changes by {measured(found.changed)}, "
            f"its derivatives promise {measured(found.promised)}"
        )
        return conclude(case, Verdict.UNDECIDED, evidence._replace(agreement=found, because=because))
    active = _active_bounds(case)
    case = case._replace(evidence=evidence._replace(agreement=found, active=active))
    return unqualified(case) or _second(case, analysis, active)


def _active_bounds(case: Case) -> ActiveSet:
    """`kkt.active_set` for bounds alone; the norm of H stands for its diagonal entries."""
    point, kkt, equal = case.point, case.kkt, case.scaled.equal
    distance = np.abs(point.nearest)
    active = distance <= np.sqrt(case.evidence.tol)
    strong, chosen = active & equal, np.flatnonzero(active & ~equal)
    weak = np.zeros(active.size, dtype=bool)
    if not chosen.size:
        return ActiveSet(strong, weak, np.inf, 0)
    leftover = max(float(kkt.residual.max()), SLOPE_ROUNDING * float(kkt.terms.max()))
    curved: Curved = point.hessian
    floor = RATIO * distance[chosen] + MULTIPLIER * leftover + PUSH * curved.norm
    ratio = np.abs(kkt.multipliers[chosen]) / np.maximum(floor, TINY)
    least = int(ratio.argmin())
    strong[chosen], weak[chosen] = ratio > 1.0, ~(ratio > 1.0)
    return ActiveSet(strong, weak, float(ratio[least]), int(chosen[least]))


def _second(case: Case, analysis: Analysis | None, active: ActiveSet) -> Certificate:
    """Convexity, else curvature on the free variables."""
    strongly = _strongly_convex(case, analysis, active)
    if strongly is not None:
        return strongly
    curved: Curved = case.point.hessian
    tol, free = case.evidence.tol, ~active.strong
    if analysis is not None and analysis.degree <= QUADRATIC:
        everywhere = spectrum(curved, np.ones(free.size, dtype=bool))
        if everywhere.least < -everywhere.error and "convex" not in case.scaled.flat.promises and not free.all():
            case = case._replace(evidence=case.evidence._replace(convexity=(everywhere.least, everywhere.error)))
        elif everywhere.positive:
            evidence = case.evidence._replace(
                convexity=(everywhere.below, everywhere.error),
                how=everywhere.how,
                because="the objective is a convex quadratic",
            )
            return conclude(case, Verdict.GLOBAL_MINIMUM, evidence)
    found = spectrum(curved, free)
    evidence = case.evidence._replace(second=_as_second_order(case, found, free), how=found.how, free=int(free.sum()))
    case = case._replace(evidence=evidence)
    if found.least < -found.error:
        because = f"the curvature along a feasible direction is {measured(found.least)}"
        better = better_point(case.scaled, case.point, (found.vector, -found.vector), 0.0)
        if better is not None:
            return not_a_minimum(case, because, better)
        because += ", but no better feasible point was found"
        return conclude(case, Verdict.STATIONARY, case.evidence._replace(because=because))
    if "convex" in case.scaled.flat.promises:
        because = "the problem is convex by the user's promise"
        certificate = conclude(case, Verdict.GLOBAL_MINIMUM, case.evidence._replace(because=because))
        return replace(certificate, assumed=("convex",))
    if not found.positive:
        because = f"the least curvature on the free variables, {measured(found.least)} {found.how}, is not sure enough"
        return conclude(case, Verdict.STATIONARY, case.evidence._replace(because=because))
    near = keeps_curvature(case, found, free)
    case = case._replace(evidence=case.evidence._replace(near=near))
    if not near.holds:
        because = f"within a Newton step, or by rounding, the curvature changes by {measured(near.change)} of itself"
        return conclude(case, Verdict.STATIONARY, case.evidence._replace(because=because))
    if not near.decrease <= tol:
        because = f"a Newton step promises to lower the objective by {measured(near.decrease)} of its typical size"
        return conclude(case, Verdict.STATIONARY, case.evidence._replace(because=because))
    return conclude(case, Verdict.LOCAL_MINIMUM, case.evidence)


def _strongly_convex(case: Case, analysis: Analysis | None, active: ActiveSet) -> Certificate | None:
    """GLOBAL_MINIMUM where the rules say that ``f − (m/2) ‖x‖²`` is convex within the bounds, m > 0; without a product.

    With r = ∇f + z and the dimensionless m, every feasible v has ``f(v) >= f(u) − ‖r‖² / (2m) − zᵀ(distances)``, and
    the minimum lies within ``‖r‖ / m`` but for what complementarity leaves. None where that promises more than tol.
    """
    scales, tol = case.scaled.scales, case.evidence.tol
    least = 0.0 if analysis is None else analysis.least_curvature * float(scales.x.min()) ** 2 / scales.f
    if not least > 0.0:
        return None
    slope = float(np.linalg.norm(case.point.slope + case.kkt.multipliers))
    near = Neighbourhood(True, 0.0, 0.5 * slope * slope / least, slope / least)
    if not near.decrease <= tol:
        return None
    free = ~active.strong
    how = f"by the rules of convex analysis, {label()}"
    floor = Spectrum(least, least, 0.0, np.zeros(free.size), how)
    second, count = _as_second_order(case, floor, free), int(free.sum())
    because = "the objective is strongly convex"
    evidence = case.evidence._replace(second=second, near=near, how=how, free=count, because=because)
    return conclude(case, Verdict.GLOBAL_MINIMUM, evidence)


def _as_second_order(case: Case, found: Spectrum, free: np.ndarray) -> SecondOrder:
    """`found` in the words of the small certificate; its one eigenvalue is the least."""
    values = np.array([found.least]) if free.any() else np.zeros(0)
    outer = Curvature(values, found.vector[:, None][:, : values.size], found.error)
    space = Subspace(np.zeros((free.size, 0)), 0, 0, np.inf, 0.0)
    return SecondOrder(space, outer, outer, space)
