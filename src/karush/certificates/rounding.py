"""A verdict of minimum held against rounding: by the derivatives beside the point, and in balls if these are unsteady.

```
r(d) = ∇L(u + d) − ∇L(u) − H d,   |r(d)|            <=  ½ tol + 2⁻¹⁰ |H d|,    |d| = δ = 2⁻¹⁷
or                                |r(d) − 4 r(d/2)| <=  ½ tol + 2⁻¹⁰ |H d|  and  |r(d)| <= ½ tol + 2⁻³ |H d|
```

and the same for c and J. A gradient that rounding dominates does not follow its Hessian over so short a way. The first
evaluation beside the point is the one that `karush.certificates.near` makes anyway. What the next derivatives bring,
some 10⁻¹¹ of them, is less than that wherever f and c are tame in their typical sizes. Elsewhere a second one tells:
what third derivatives bring grows as the square of the way and drops out of ``r(d) − 4 r(d/2)``, rounding does not.
Where that fails too balls decide, which takes milliseconds.
"""

from dataclasses import replace

import numpy as np

from karush.certificates.case import Case
from karush.certificates.certificate import Certificate
from karush.certificates.near import LENGTHS, Beside, missed
from karush.core.status import Verdict

STEADY = 0.5
"""Share of tol up to which the gradient beside the point counts as following the Hessian."""


def held_against_rounding(certificate: Certificate) -> Certificate:
    """`certificate`, or UNDECIDED in place of a minimum that rests on numbers which rounding dominates."""
    if not certificate.success:
        return certificate
    evidence = certificate.evidence
    if not certificate.evaluated.refutes(evidence.tol):
        return certificate
    because = certificate.evaluated.sentence(evidence.tol)
    refused = replace(certificate, verdict=Verdict.UNDECIDED, evidence=evidence._replace(because=because))
    refused.__dict__["evaluated"] = certificate.evaluated
    return refused


def steady(case: Case, certificate: Certificate) -> bool:
    """Whether derivatives beside the point of `case` follow those at it, as if there were no rounding."""
    near, allowed = certificate.evidence.near, STEADY * case.evidence.tol
    beside = None if near is None else near.beside
    if beside is None:
        beside = _look(case, _uneven(case))
    return beside.unsteady <= allowed or beside.unsteady_beside(_look(case, 0.5 * beside.d)) <= allowed


def _uneven(case: Case) -> np.ndarray:
    """(n,) a way of length δ into the bounds, all variables by different amounts."""
    point = case.point
    m = point.rows.size
    back = point.to_lower[m:] > point.to_upper[m:]
    return np.where(back, -LENGTHS[0], LENGTHS[0]) * case.scaled.uneven


def _look(case: Case, d: np.ndarray) -> Beside:
    """The derivatives at the end of the way d (n,)."""
    scaled, point = case.scaled, case.point
    x = scaled.at(point.u + d)
    slope, _, rows = scaled.bend(x, point.y)
    return missed(point, x / scaled.scales.x - point.u, slope, rows)


__all__ = ["held_against_rounding", "steady"]
