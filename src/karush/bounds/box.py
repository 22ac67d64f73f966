"""Boxes: a lower and an upper end for every number of a pytree, and functions that are traced on them."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from karush.core.errors import ProblemError
from karush.core.pytrees import open_door
from karush.jaxprs.function import FlatFunction, trace


@dataclass(frozen=True)
class Box:
    """``{x : lower <= x <= upper}``, elementwise.

    Parameters
    ----------
    lower, upper
        Pytrees of one structure, of floating-point numbers or arrays; infinite ends are allowed.

    Raises
    ------
    ProblemError
        for ends that are NaN, reversed, integers, or of different structure or shape.
    """

    lower: Any
    upper: Any

    def __post_init__(self) -> None:
        _door, low = open_door(self.lower, "lower")
        high = _door.ravel(self.upper, "upper")
        names = _door.names()
        for index in np.flatnonzero(np.isnan(low) | np.isnan(high) | (low > high)):
            raise ProblemError(
                f"the box at {names[index]} is [{float(low[index])!r}, {float(high[index])!r}]; "
                "give numbers with lower <= upper"
            )

    @classmethod
    def around(cls, center: Any, radius: float) -> "Box":
        """The box of one radius around a pytree of numbers."""
        if not radius >= 0.0:
            raise ProblemError(f"radius is {radius!r}; give a number >= 0")
        door, middle = open_door(center, "center")
        return cls(door.unravel(middle - radius), door.unravel(middle + radius))

    def flat(self) -> tuple[np.ndarray, np.ndarray]:
        """Both ends as float64 arrays (n,)."""
        door, low = open_door(self.lower, "lower")
        return low, door.ravel(self.upper, "upper")


def counted(boxes: int) -> str:
    """``1 box``, ``2 boxes``."""
    return f"{boxes} box" if boxes == 1 else f"{boxes} boxes"


def traced_on(function: Any, box: Any) -> tuple[FlatFunction, np.ndarray, np.ndarray]:
    """The program of a function on a box, and the ends of the box (n,).

    Raises
    ------
    ProblemError
        for a box that is none.
    TraceError, PrecisionError
        for a function that cannot be traced in float64.
    """
    if not isinstance(box, Box):
        raise ProblemError(f"box is {type(box).__name__} {box!r:.60}; give a karush.Box(lower, upper)")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        flat, _ = trace(function, box.lower)
    return flat, *box.flat()


__all__ = ["Box", "counted", "traced_on"]
