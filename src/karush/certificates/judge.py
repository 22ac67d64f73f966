"""The verdict on a point, from the user's functions and the numbers alone (decision table: docs/certificate.md)."""

import math
from typing import Any

import numpy as np

from karush.certificates.agreement import agreement
from karush.certificates.analysis import Analysis
from karush.certificates.case import Case, conclude, not_a_minimum
from karush.certificates.certificate import Certificate
from karush.certificates.evidence import Evidence
from karush.certificates.infeasibility import infeasibility
from karush.certificates.kkt import Kkt, active_set, first_order
from karush.certificates.large import large_case, large_verdict
from karush.certificates.multipliers import complete, estimate
from karush.certificates.rounding import held_against_rounding, steady
from karush.certificates.scaled import Scaled, scaled_problem
from karush.certificates.scales import Scales, typical_scales
from karush.certificates.second_order import null_space, second_order
from karush.certificates.sufficiency import by_convexity, by_curvature, everywhere, unqualified
from karush.certificates.unboundedness import Ray, suspicious, unbounded
from karush.certificates.witness import around_kink, better_point
from karush.core.status import Verdict
from karush.core.table import measured
from karush.derivatives.evaluator import Evaluation, Evaluator
from karush.derivatives.large import LargeEvaluator
from karush.problem.flat import FlatProblem

KINK = 1.0e-6
"""A kink nearer than this many typical sizes of x counts as met."""


def judge(
    flat: FlatProblem,
    evaluator: Evaluator,
    x: np.ndarray,
    y: np.ndarray | None = None,
    z: np.ndarray | None = None,
    *,
    tol: float = 1e-8,
    analysis: Analysis | None = None,
    scales: Scales | None = None,
    sequence: np.ndarray | None = None,
) -> Certificate:
    """Certify x (n,) with multipliers y (m,) of the rows and z (n,) of the bounds.

    Parameters
    ----------
    flat, evaluator
        The problem. It is evaluated within the bounds only: for an x outside them at its projection.
    x
        (n,) in the units of the problem.
    y, z
        For ``L = f + yᵀc + zᵀx``. What is absent, or refused, is estimated by least squares; the notes say so.
    tol
        Bound of the dimensionless first-order entries.
    analysis
        Degrees and kinks of the program; None means that nothing is known, and no kink is looked for.
    scales
        Typical sizes; None computes them from x0.
    sequence
        (q, n) feasible iterates along which the objective diverges, if a solver suspects that.
    """
    with np.errstate(all="ignore"):
        # What is not finite is asked for where it matters; infinite limits make NumPy warn where nothing is wrong.
        return _judge(flat, evaluator, x, (y, z), tol, analysis, scales, sequence)


def _judge(
    flat: FlatProblem,
    evaluator: Evaluator,
    x: np.ndarray,
    given: tuple[np.ndarray | None, np.ndarray | None],
    tol: float,
    analysis: Analysis | None,
    scales: Scales | None,
    sequence: np.ndarray | None,
) -> Certificate:
    x = np.asarray(x, dtype=np.float64)
    if scales is None:
        start = evaluator(flat.projected(flat.x0), np.zeros(flat.m))
        scales = typical_scales(flat, start, evaluator)
    scaled = scaled_problem(flat, evaluator, scales)
    if not _finite(x):
        i = int(np.argmin(np.isfinite(x)))
        return _blind(scaled, Evidence(flat, tol, because=f"{flat.variable_names[i]} is {x[i]}"))
    inside = scaled.clipped(x)
    if isinstance(evaluator, LargeEvaluator):
        found = large_case(scaled, inside, np.abs(x - inside) / scales.x, given[1], tol)
        if isinstance(found, Certificate):
            return found
        found = _note_kink(found, analysis) if analysis is not None and analysis.kinks else found
        return large_verdict(found, analysis, sequence)
    case = _open_case(scaled, inside, np.abs(x - inside) / scales.x, given, tol)
    if isinstance(case, Certificate):
        return case
    if analysis is not None and analysis.kinks:
        case = _note_kink(case, analysis)
    return _first(case, analysis, sequence)


def _open_case(
    scaled: Scaled,
    x: np.ndarray,
    outside: np.ndarray,
    given: tuple[np.ndarray | None, np.ndarray | None],
    tol: float,
) -> Case | Certificate:
    """Evaluate, and find multipliers that the first-order conditions hold with, if there are any."""
    flat = scaled.flat
    y, z = given
    notes: tuple[str, ...] = ()
    if y is not None and not (_finite(y) and (z is None or _finite(z))):
        y, notes = None, ("the given multipliers are not finite; estimated ones are used",)
    y_scaled = np.zeros(flat.m) if y is None else np.asarray(y, dtype=np.float64) / scaled.row_price
    raw, point = scaled.evaluate(x, y_scaled)
    trouble = _not_finite(flat, raw)
    if trouble:
        return _blind(scaled, Evidence(flat, tol, because=trouble))
    kkt: Kkt | None = None
    if y is not None:
        if z is None:
            multipliers = complete(point, y_scaled, tol)
        else:
            multipliers = np.concatenate((y_scaled, np.asarray(z, dtype=np.float64) / scaled.bound_price))
        kkt = first_order(point, multipliers, outside)
    if kkt is None or not kkt.dual_defect <= tol:
        other = estimate(point, outside, tol)
        if kkt is None or other.dual_defect <= tol:
            if kkt is not None:
                notes = (f"the given multipliers are refused ({measured(kkt.dual_defect)}); estimated ones hold",)
            kkt = other
            if flat.m:
                raw, point = scaled.evaluate(x, kkt.multipliers[: flat.m])
                trouble = _not_finite(flat, raw)
                if trouble:
                    return _blind(scaled, Evidence(flat, tol, because=trouble))
    given_y = None if y is None else y_scaled
    return Case(scaled, x, point, kkt, Evidence(flat, tol, point=point, kkt=kkt, equal=scaled.equal), notes, given_y)


def _finite(array: np.ndarray) -> bool:
    """Whether all entries are; a sum of squares tells it four times faster, unless it overflows."""
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def _not_finite(flat: FlatProblem, raw: Evaluation) -> str:
    """Which function is not finite, in words; empty where all are."""
    if not math.isfinite(raw.value):
        return f"the objective is {raw.value}"
    if not _finite(raw.rows):
        i = int(np.argmin(np.isfinite(raw.rows)))
        return f"constraint {flat.row_names[i]} is {raw.rows[i]}"
    if not _finite(raw.gradient):
        i = int(np.argmin(np.isfinite(raw.gradient)))
        return f"the derivative of the objective in {flat.variable_names[i]} is {raw.gradient[i]}"
    if not _finite(raw.jacobian):
        i, j = np.argwhere(~np.isfinite(raw.jacobian))[0]
        return f"the derivative of {flat.row_names[i]} in {flat.variable_names[j]} is {raw.jacobian[i, j]}"
    if not _finite(raw.hessian):
        i, j = np.argwhere(~np.isfinite(raw.hessian))[0]
        names = f"{flat.variable_names[i]}, {flat.variable_names[j]}"
        return f"the second derivative of the Lagrangian in {names} is {raw.hessian[i, j]}"
    return ""


def _note_kink(case: Case, analysis: Analysis) -> Case:
    margins = analysis.kink_margins(case.x, case.scaled.scales.x)
    if not margins.size:
        return case
    # argmin takes a NaN for the smallest: a margin that cannot be computed is none.
    nearest = int(np.argmin(margins))
    kink = (float(margins[nearest]), str(analysis.kinks[nearest]))
    return case._replace(evidence=case.evidence._replace(kink=kink, kink_bound=KINK))


def _first(case: Case, analysis: Analysis | None, sequence: np.ndarray | None) -> Certificate:
    """First order: feasible? stationary?"""
    evidence, kkt, tol = case.evidence, case.kkt, case.evidence.tol
    if not kkt.feasible(tol):
        return _infeasible(case)
    if sequence is not None or suspicious(case.point):
        ray = unbounded(case.scaled, case.point, sequence, tol)
        if ray is not None:
            return conclude(case, Verdict.UNBOUNDED, evidence, _ray(case, ray))
    if evidence.kink is not None and not evidence.kink[0] > evidence.kink_bound:
        return _at_kink(case)
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
    active = active_set(case.point, kkt, case.scaled.equal, tol)
    second = second_order(case.point, active)
    case = case._replace(evidence=evidence._replace(agreement=found, active=active, second=second))
    found = unqualified(case) or by_convexity(case, analysis) or everywhere(by_curvature(case, second), analysis)
    return held_against_rounding(found) if found.success and not steady(case, found) else found


def _infeasible(case: Case) -> Certificate:
    evidence, tol = case.evidence, case.evidence.tol
    m = case.scaled.flat.m
    if np.any(case.kkt.violation[:m] > tol):
        found = infeasibility(case.scaled, case.x, case.point, case.given_y, tol)
        evidence = evidence._replace(infeasibility=found)
        at_kink = evidence.kink is not None and not evidence.kink[0] > evidence.kink_bound
        if found.minimum and not case.kkt.outside.max() > 0:
            if at_kink:
                because = "infeasible, at a kink where derivatives say nothing"
                return conclude(case, Verdict.UNDECIDED, evidence._replace(because=because))
            return conclude(case, Verdict.LOCALLY_INFEASIBLE, evidence)
        if found.measure <= found.bound and not found.minimum:
            evidence = evidence._replace(because="stationary for the infeasibility too, but no minimum of it")
    return conclude(case, Verdict.NOT_STATIONARY, evidence)


def _at_kink(case: Case) -> Certificate:
    evidence = case.evidence
    assert evidence.kink is not None
    held = active_set(case.point, case.kkt, case.scaled.equal, evidence.tol)
    basis = null_space(case.point, held.strong).basis
    better = better_point(case.scaled, case.point, around_kink(case.point, basis), evidence.tol)
    if better is not None:
        because = f"it lies on a kink: {evidence.kink[1]}"
        return not_a_minimum(case, because, better)
    because = f"the point lies on a kink, where derivatives say nothing: {evidence.kink[1]}"
    return conclude(case, Verdict.UNDECIDED, evidence._replace(because=because))


def _ray(case: Case, ray: Ray) -> dict[str, Any]:
    sign = -1.0 if case.scaled.flat.maximize else 1.0
    return {"points": ray.points, "values": sign * ray.values, "direction": ray.direction}


def _blind(scaled: Scaled, evidence: Evidence) -> Certificate:
    n, m = scaled.flat.n, scaled.flat.m
    return Certificate(Verdict.UNDECIDED, scaled.scales, (np.zeros(m), np.zeros(n)), evidence)
