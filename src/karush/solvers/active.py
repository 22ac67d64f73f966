"""Active limits: the rows and bounds that hold with equality at a point, with their prices."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from karush.certificates.certificate import Scales
from karush.problem.flat import FlatProblem

BOUNDS = "bounds"
"""Owner of the limits of variables, and key of their multipliers, beside the names of the constraints."""
ACTIVE = 1e-6
"""Distance to a limit, in typical sizes of its row or variable, below which it is shown as active."""
ZERO_PRICE = 1e-8
"""Change of the objective, in its typical size, per typical size of a limit, below which a price is shown as ≈ 0."""

Side = Literal["equal", "lower", "upper", "fixed"]


@dataclass(frozen=True)
class Active:
    """A limit that holds with equality."""

    name: str
    """row or variable, such as ``power balance[3]``"""
    owner: str
    """constraint, or `BOUNDS`"""
    side: Side
    limit: float
    price: float
    """d value / d limit of the user's own objective"""
    negligible: bool
    """whether the price is zero to the accuracy of the certificate (weakly active)"""


def distances(flat: FlatProblem, x: np.ndarray, rows: np.ndarray, scales: Scales) -> tuple[np.ndarray, np.ndarray]:
    """Distances of rows, then variables, to their lower and upper limits (k,), k = m + n, in typical sizes."""
    at, units = np.concatenate((rows, x)), np.concatenate((scales.rows, scales.x))
    lower, upper = np.concatenate((flat.row_lower, flat.lower)), np.concatenate((flat.row_upper, flat.upper))
    return (at - lower) / units, (upper - at) / units


def active_limits(
    flat: FlatProblem, to_limits: tuple[np.ndarray, np.ndarray], y: np.ndarray, z: np.ndarray, scales: Scales
) -> tuple[Active, ...]:
    """Limits within `ACTIVE` typical sizes of the point; ``price = −λ``, for a maximisation of the user's objective.

    Parameters
    ----------
    flat
        The problem.
    to_limits
        `distances` of the point.
    y, z
        Multipliers (m,) and (n,) of the minimised objective.
    scales
        Typical sizes.
    """
    below, above = np.abs(to_limits[0]), np.abs(to_limits[1])
    lower, upper = np.concatenate((flat.row_lower, flat.lower)), np.concatenate((flat.row_upper, flat.upper))
    price = (1.0 if flat.maximize else -1.0) * np.concatenate((y, z))
    change = np.abs(price) * np.concatenate((scales.rows, scales.x)) / scales.f
    names = (*flat.row_names, *flat.variable_names)
    found = []
    for k in np.flatnonzero((below <= ACTIVE) | (above <= ACTIVE)).tolist():
        owner = flat.constraint_names[flat.row_owner[k]] if k < flat.m else BOUNDS
        side: Side = "lower" if below[k] <= above[k] else "upper"
        limit = lower[k] if side == "lower" else upper[k]
        if lower[k] == upper[k]:
            side = "equal" if k < flat.m else "fixed"
        found.append(Active(names[k], owner, side, float(limit), float(price[k]), bool(change[k] <= ZERO_PRICE)))
    return tuple(found)
