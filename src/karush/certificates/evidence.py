"""What was measured on the way to a verdict, and one line of it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from karush.certificates.agreement import Agreement
from karush.certificates.copositive import Cone
from karush.certificates.infeasibility import Infeasibility
from karush.certificates.kkt import ActiveSet, Kkt
from karush.certificates.near import Neighbourhood
from karush.certificates.scaled import Point
from karush.certificates.second_order import SecondOrder
from karush.core.table import measured
from karush.problem.flat import FlatProblem


@dataclass(frozen=True)
class Entry:
    """One measured number beside its bound; dimensionless."""

    name: str
    value: float
    bound: float
    ok: bool
    worst: str = ""
    """name of the variable, row or constraint where it is measured"""
    note: str = ""
    kind: str = "checked"
    """*checked* in floating point; later *calibrated* or *proved*"""

    def __str__(self) -> str:
        relation = "<=" if self.value <= self.bound else ">"
        place = f" at {self.worst}" if self.worst else ""
        return f"{self.name} {measured(self.value)} {relation} {measured(self.bound)}{place}"


class Evidence(NamedTuple):
    """What was measured on the way to a verdict; None where it was not needed."""

    flat: FlatProblem
    tol: float
    point: Point | None = None
    kkt: Kkt | None = None
    equal: np.ndarray | None = None
    """(k,) bool"""
    active: ActiveSet | None = None
    second: SecondOrder | None = None
    cone: Cone | None = None
    near: Neighbourhood | None = None
    kink: tuple[float, str] | None = None
    """margin of the nearest kink in typical sizes of x, and what it is"""
    kink_bound: float = 0.0
    """margin up to which the point counts as lying on the kink"""
    agreement: Agreement | None = None
    infeasibility: Infeasibility | None = None
    convexity: tuple[float, float] | None = None
    """least eigenvalue of the constant ∇²L on the affine equalities, and its error bound"""
    because: str = ""
    """what decided, where the numbers alone do not say it"""
    how: str = ""
    """by what the curvature of a large problem was found"""
    free: int | None = None
    """number of free directions, where `second` does not list an eigenvalue for each"""
