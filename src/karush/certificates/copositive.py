"""Curvature on a cone that is no subspace: copositivity by enumeration of its faces.

On ``C = { d : A_strong d = 0, W d <= 0 }`` the least value of ``dᵀ H d`` over unit vectors is attained in the relative
interior of some face; there d is an eigenvector of H on the span of that face, with that value. So the form is positive
on C if on the span of every face each eigenvector of an eigenvalue below the error lies outside C, in both senses.
(M. Hall, M. Newman, Copositive and completely positive quadratic forms, 1963, for the orthant.)
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from karush.certificates.kkt import ActiveSet
from karush.certificates.scaled import Point
from karush.certificates.second_order import RANK, Curvature, curvature, null_space

FACES_UP_TO = 6
"""Weak limits whose 2^k faces are enumerated."""


@dataclass(frozen=True)
class Cone:
    """The least curvature found on the critical cone."""

    positive: bool | None
    """None where it could not be decided"""
    direction: np.ndarray | None
    """(n,) unit vector of the cone with curvature below zero beyond the error, if one was found"""


def critical_cone(point: Point, active: ActiveSet) -> Cone:
    """Decide the sign of the curvature on the critical cone with weak limits."""
    weak = np.flatnonzero(active.weak)
    if weak.size > FACES_UP_TO:
        return Cone(None, None)
    outward = np.concatenate((point.jacobian, np.eye(point.u.size)))[weak]
    at_upper = (point.to_upper <= point.to_lower)[weak]
    outward = outward * np.where(at_upper, 1.0, -1.0)[:, None]
    decided = True
    for size in range(weak.size + 1):
        for face in combinations(range(weak.size), size):
            held = active.strong.copy()
            held[weak[list(face)]] = True
            spectrum = curvature(point, null_space(point, held).basis)
            verdict = _face(spectrum, outward)
            if isinstance(verdict, np.ndarray):
                return Cone(False, verdict)
            decided = decided and verdict
    return Cone(True if decided else None, None)


def _face(spectrum: Curvature, outward: np.ndarray) -> bool | np.ndarray:
    """True if no eigenvector of small eigenvalue lies in the cone, False if undecided, else one that does."""
    small = np.flatnonzero(spectrum.values <= spectrum.error)
    decided = True
    for i in small:
        vector = spectrum.vectors[:, i]
        slopes = outward @ vector
        for sign in (1.0, -1.0):
            if np.all(sign * slopes <= RANK):
                if spectrum.values[i] < -spectrum.error:
                    return sign * vector
                decided = False
    # Within a multiple eigenvalue the basis of eigenvectors is arbitrary, another one may enter the cone.
    separated = np.all(np.diff(spectrum.values[: small.size + 1]) > spectrum.error)
    return bool(decided and (separated or not small.size))
