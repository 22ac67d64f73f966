"""Active limits: the rows and bounds that hold with equality at a point, with their prices."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from karush.certificates.certificate import Scales
from karush.problem.flat import FlatProblem

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
    """constraint, or "bounds" """
    side: Side
    limit: float
    price: float
    """d value / d limit of the user's own objective"""
    negligible: bool
    """whether the price is zero to the accuracy of the certificate (weakly active)"""


def active_limits(
    flat: FlatProblem, x: np.ndarray, rows: np.ndarray, y: np.ndarray, z: np.ndarray, scales: Scales
) -> tuple[Active, ...]:
    """Limits within `ACTIVE` typical sizes of the point; ``price = −λ``, for a maximisation of the user's objective."""
    owners = [flat.constraint_names[k] for k in flat.row_owner]
    sign = 1.0 if flat.maximize else -1.0
    of_rows = _active(flat.row_names, owners, (rows, flat.row_lower, flat.row_upper), sign * y, scales.rows, scales.f)
    bounds = (x, flat.lower, flat.upper)
    return (
        *of_rows,
        *_active(flat.variable_names, ["bounds"] * flat.n, bounds, sign * z, scales.x, scales.f),
    )


def _active(
    names: Sequence[str],
    owners: list[str],
    values_lower_upper: tuple[np.ndarray, np.ndarray, np.ndarray],
    price: np.ndarray,
    scale: np.ndarray,
    f_scale: float,
) -> Iterator[Active]:
    values, lower, upper = values_lower_upper
    below, above = np.abs(values - lower) / scale, np.abs(upper - values) / scale
    for k in np.flatnonzero((below <= ACTIVE) | (above <= ACTIVE)).tolist():
        side: Side = "lower" if below[k] <= above[k] else "upper"
        if lower[k] == upper[k]:
            side = "fixed" if owners[k] == "bounds" else "equal"
        limit = upper[k] if side == "upper" else lower[k]
        negligible = bool(abs(price[k]) * scale[k] <= ZERO_PRICE * f_scale)
        yield Active(names[k], owners[k], side, float(limit), float(price[k]), negligible)
