"""A point under judgement, and how a verdict on it is written down."""

from typing import Any, NamedTuple

import numpy as np

from karush.certificates.certificate import Certificate
from karush.certificates.evidence import Evidence
from karush.certificates.kkt import Kkt
from karush.certificates.scaled import Point, Scaled
from karush.certificates.witness import Witness
from karush.core.status import Verdict


class Case(NamedTuple):
    """One point under judgement."""

    scaled: Scaled
    x: np.ndarray
    """(n,) within the bounds"""
    point: Point
    kkt: Kkt
    evidence: Evidence
    notes: tuple[str, ...]
    given_y: np.ndarray | None = None
    """(m,) the multipliers of the rows that came with x, dimensionless; the verdict may rest on others"""


def conclude(case: Case, verdict: Verdict, evidence: Evidence, witness: dict[str, Any] | None = None) -> Certificate:
    """The certificate of `verdict`, with the multipliers in the units of the problem."""
    m = case.scaled.flat.m
    multipliers = case.kkt.multipliers
    in_units = (multipliers[:m] * case.scaled.row_price, multipliers[m:] * case.scaled.bound_price)
    scales = case.scaled.scales
    return Certificate(verdict, scales, in_units, evidence, witness, notes=scales.notes + case.notes)


def not_a_minimum(case: Case, because: str, better: Witness) -> Certificate:
    """NOT_A_MINIMUM with its witness."""
    flat = case.scaled.flat
    sign = -1.0 if flat.maximize else 1.0
    value = sign * better.value * case.scaled.scales.f
    witness = {"x": flat.door.unravel(better.x), "x_flat": better.x, "value": value}
    return conclude(case, Verdict.NOT_A_MINIMUM, case.evidence._replace(because=because), witness)
