"""Entries, names and the one sentence of a certificate, from what was measured."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from karush.certificates.evidence import Entry, Evidence
from karush.certificates.scales import Scales
from karush.certificates.second_order import dependent
from karush.core.status import Verdict
from karush.core.table import measured, number

BOUNDS = "bounds"
"""Name of the entry on the variables' bounds, beside those of the constraints."""
LISTED = 3
"""Names spelled out in a sentence; the table has them all."""


def limited_name(evidence: Evidence, index: int) -> str:
    """Name of the limited quantity `index` out of k: a row, or a variable."""
    flat = evidence.flat
    return flat.row_names[index] if index < flat.m else flat.variable_names[index - flat.m]


def entries(evidence: Evidence) -> tuple[Entry, ...]:
    """All that was measured, in the order of the formulas of docs/certificate.md."""
    return tuple(_first_order(evidence)) + tuple(_active(evidence)) + tuple(_curvature(evidence))


def _first_order(evidence: Evidence) -> Iterator[Entry]:
    kkt, tol, flat = evidence.kkt, evidence.tol, evidence.flat
    if kkt is None:
        return
    worst = int(np.argmax(kkt.residual))
    yield _at_most("stationarity", kkt.residual[worst], tol, flat.variable_names[worst])
    for k, name in enumerate(flat.constraint_names):
        rows = np.flatnonzero(flat.row_owner == k)
        if rows.size:
            row = int(rows[np.argmax(kkt.violation[rows])])
            yield _at_most(f"feasibility: {name}", kkt.violation[row], tol, flat.row_names[row])
    if np.any(np.isfinite(flat.lower) | np.isfinite(flat.upper)):
        worst = int(np.argmax(kkt.outside))
        yield _at_most(f"feasibility: {BOUNDS}", kkt.outside[worst], 0.0, flat.variable_names[worst])
    for name, values in (("dual sign", kkt.wrong_sign), ("complementarity", kkt.complementarity)):
        worst = int(np.argmax(values))
        yield _at_most(name, values[worst], tol, limited_name(evidence, worst))


def _active(evidence: Evidence) -> Iterator[Entry]:
    active, second = evidence.active, evidence.second
    if active is not None and np.isfinite(active.strict):
        note = f"{np.count_nonzero(active.weak)} weakly active" if np.any(active.weak) else ""
        ok = active.strict > 1.0
        yield Entry("strict complementarity", active.strict, 1.0, ok, limited_name(evidence, active.least), note)
    if second is not None and second.independence.rows:
        space = second.independence
        ok = space.smallest > space.bound
        note = "" if ok else f"{space.rows} active constraints, rank {space.rank}"
        yield Entry("independence of active gradients", space.smallest, space.bound, ok, "", note)


def _curvature(evidence: Evidence) -> Iterator[Entry]:
    second, near = evidence.second, evidence.near
    if evidence.convexity is not None:
        least, error = evidence.convexity
        note = "least eigenvalue, everywhere" + (f", {evidence.how}" if evidence.how else "")
        yield Entry("convexity of the Lagrangian", least, -error, least >= -error, "", note)
    if second is not None:
        outer, inner = second.outer, second.inner
        count = outer.values.size if evidence.free is None else evidence.free
        note = "no direction is left free" if not count else f"on {count} free directions"
        if outer is not inner:
            note += f"; on the cone between {measured(outer.least)} and {measured(inner.least)}"
            if evidence.cone is not None and evidence.cone.positive:
                note += ", positive on every face"
        note += f", {evidence.how}" if evidence.how else ""
        ok = outer.least > outer.error or (evidence.cone is not None and evidence.cone.positive is True)
        yield Entry("least curvature", outer.least, outer.error, ok, "", note)
    if evidence.agreement is not None:
        found = evidence.agreement
        note = "" if found.holds else "derivatives of L do not fit its values"
        yield Entry("values against derivatives", found.mismatch, found.allowed, found.holds, "", note)
    if near is not None:
        yield _at_most("change of derivatives nearby", near.change, near.allowed)
        yield _at_most("decrease promised by a Newton step", near.decrease, evidence.tol)
    if evidence.kink is not None:
        margin, what = evidence.kink
        yield Entry("distance to the nearest kink", margin, evidence.kink_bound, margin > evidence.kink_bound, what)
    if evidence.infeasibility is not None:
        found = evidence.infeasibility
        ok = found.measure <= found.bound
        yield Entry("stationarity of the infeasibility", found.measure, found.bound, ok, "", found.weighting)


def _at_most(name: str, value: float, bound: float, worst: str = "") -> Entry:
    value = float(value)
    return Entry(name, value, float(bound), value <= bound, worst if value > 0 else "")


def violated(evidence: Evidence, scales: Scales) -> tuple[tuple[str, float], ...]:
    """(name, amount) of each limit exceeded by more than tol, amounts in the units of the row or variable."""
    kkt, flat = evidence.kkt, evidence.flat
    if kkt is None:
        return ()
    rows = np.flatnonzero(~(kkt.violation[: flat.m] <= evidence.tol))
    variables = np.flatnonzero(kkt.outside > 0)
    return tuple((flat.row_names[i], float(kkt.violation[i] * scales.rows[i])) for i in rows) + tuple(
        (flat.variable_names[i], float(kkt.outside[i] * scales.x[i])) for i in variables
    )


def dependent_names(evidence: Evidence) -> tuple[str, ...]:
    """Names of active limits that take part in a linear dependency of the gradients."""
    second, active, point = evidence.second, evidence.active, evidence.point
    if second is None or active is None or point is None:
        return ()
    space = second.independence
    if space.smallest > space.bound:
        return ()
    return tuple(limited_name(evidence, int(i)) for i in dependent(point, active.strong | active.weak))


def sentence(verdict: Verdict, evidence: Evidence, witness: dict[str, Any] | None) -> str:
    """The verdict in one sentence."""
    return _SENTENCES[verdict](evidence, witness)


def _local(evidence: Evidence, witness: dict[str, Any] | None) -> str:
    assert evidence.second is not None
    if not evidence.second.outer.values.size:
        return "A strict local minimum: the active constraints leave no direction free and all push inwards."
    least = measured(evidence.second.outer.least)
    if evidence.cone is not None:
        return (
            f"A strict local minimum: KKT holds, and the curvature is positive on the critical cone {evidence.because}."
        )
    return f"A strict local minimum: KKT holds and the least curvature on the critical cone is {least}."


def _global(evidence: Evidence, witness: dict[str, Any] | None) -> str:
    return f"A global minimum: KKT holds and {evidence.because}."


def _stationary(evidence: Evidence, witness: dict[str, Any] | None) -> str:
    return f"KKT holds, but a minimum is not established: {evidence.because}."


def _not_a_minimum(evidence: Evidence, witness: dict[str, Any] | None) -> str:
    value = "" if witness is None else f" of value {number(witness['value'], 10)}"
    return f"Not a minimum ({evidence.because}): a path from the point leads to a better feasible point{value}."


def _not_stationary(evidence: Evidence, witness: dict[str, Any] | None) -> str:
    failed = [entry for entry in _first_order(evidence) if not entry.ok]
    infeasible = [entry for entry in failed if entry.name.startswith("feasibility")]
    parts = "; ".join(str(entry) for entry in (infeasible or failed)[:LISTED])
    word = "Infeasible" if infeasible else "KKT does not hold"
    return f"{word}: {parts}{'; ' + evidence.because if evidence.because else ''}."


def _infeasible(evidence: Evidence, witness: dict[str, Any] | None) -> str:
    kkt = evidence.kkt
    assert kkt is not None
    order = np.argsort(-kkt.violation[: evidence.flat.m])
    names = [evidence.flat.row_names[i] for i in order if kkt.violation[i] > evidence.tol]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"No point nearby comes closer to meeting {', '.join(names[:LISTED])}{more}: the constraints conflict here."


def _unbounded(evidence: Evidence, witness: dict[str, Any] | None) -> str:
    assert witness is not None
    value = number(float(witness["values"][-1]), 4)
    way = "rises" if evidence.flat.maximize else "falls"
    return f"The objective {way} without end along feasible points, to {value} at the last one tried."


def _undecided(evidence: Evidence, witness: dict[str, Any] | None) -> str:
    return f"Undecided: {evidence.because}."


_SENTENCES = {
    Verdict.LOCAL_MINIMUM: _local,
    Verdict.GLOBAL_MINIMUM: _global,
    Verdict.STATIONARY: _stationary,
    Verdict.NOT_A_MINIMUM: _not_a_minimum,
    Verdict.NOT_STATIONARY: _not_stationary,
    Verdict.LOCALLY_INFEASIBLE: _infeasible,
    Verdict.UNBOUNDED: _unbounded,
    Verdict.UNDECIDED: _undecided,
}
