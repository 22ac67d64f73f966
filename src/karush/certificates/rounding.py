"""A verdict of minimum held against rounding: by the derivatives beside the point, and in balls if these are unsteady.

```
|∇L(u + d) − ∇L(u) − H d|  <=  ½ tol + 2⁻¹⁰ |H d|,    |c(u + d) − c(u) − J d|  <=  ½ tol + 2⁻¹⁰ |J d|,    |d| = δ = 2⁻¹⁷
```

A gradient that rounding dominates does not follow its Hessian over so short a way. The evaluation beside the point is
the one that `karush.certificates.near` makes anyway. What the next derivatives bring, some 10⁻¹¹ of them, is less than
that wherever f and c are tame in their typical sizes; elsewhere balls decide, which takes milliseconds.
"""

from dataclasses import replace

import numpy as np

from karush.certificates.case import Case
from karush.certificates.certificate import Certificate
from karush.certificates.near import LENGTHS, unsteady
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
    near = certificate.evidence.near
    change = _beside(case) if near is None else near.unsteady
    return bool(change <= STEADY * case.evidence.tol)


def _beside(case: Case) -> float:
    scaled, point = case.scaled, case.point
    m = scaled.flat.m
    back = point.to_lower[m:] > point.to_upper[m:]
    x = scaled.at(point.u + np.where(back, -LENGTHS[0], LENGTHS[0]) * scaled.uneven)
    slope, _, rows = scaled.bend(x, point.y)
    return unsteady(point, x / scaled.scales.x - point.u, slope, rows)


__all__ = ["held_against_rounding", "steady"]
