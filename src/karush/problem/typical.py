"""The user's typical sizes, read and laid out flat."""

from typing import Any

import numpy as np

from karush.core.errors import ProblemError
from karush.core.precision import as_float64
from karush.core.pytrees import Door
from karush.problem.problem import Problem


def _row_scale(given: Any, label: str, size: int) -> np.ndarray:
    values = as_float64(given, f"scales.constraints[{label!r}]").ravel()
    if values.size not in (1, size):
        raise ProblemError(
            f"scales.constraints[{label!r}] holds {values.size} numbers, but the constraint has {size} rows; "
            "give one number, or one for each row"
        )
    return np.broadcast_to(values, (size,))


def read_scales(
    problem: Problem, door: Door, labels: tuple[str, ...], sizes: list[int]
) -> tuple[np.ndarray | None, float | None, np.ndarray | None]:
    """Typical sizes of x (n,), of f, and of the rows (m,) with zero where none was given; None for what was not."""
    scales = problem.scales
    if scales is None:
        return None, None, None
    x_scale = None if scales.x is None else door.broadcast(scales.x, "scales.x", 1.0)
    row_scale = None
    if scales.constraints is not None:
        unknown = set(scales.constraints) - set(labels)
        if unknown:
            raise ProblemError(f"scales.constraints names {sorted(unknown)[0]!r}; the constraints are {list(labels)}")
        row_scale = np.concatenate(
            [
                np.zeros(0),
                *(_row_scale(scales.constraints.get(label, 0.0), label, size) for label, size in zip(labels, sizes)),
            ]
        )
    f_scale = None
    if scales.objective is not None:
        if np.ndim(scales.objective):
            raise ProblemError(f"scales.objective is {scales.objective!r:.60}; give one positive number")
        f_scale = float(as_float64(scales.objective, "scales.objective"))
    given = {"x": x_scale, "objective": f_scale}
    for place, value in given.items():
        if value is not None and not np.all(np.isfinite(value) & (np.asarray(value) > 0)):
            raise ProblemError(f"scales.{place} is {value!r:.60}; typical sizes must be positive and finite")
    if row_scale is not None and not np.all(np.isfinite(row_scale) & (row_scale >= 0)):
        raise ProblemError("scales.constraints must be positive and finite")
    return x_scale, f_scale, row_scale
