"""A problem whose objective is computed accurately, for ``minimize(..., stabilize=True)``."""

from dataclasses import replace
from typing import Any

import numpy as np

from karush.bounds import Box
from karush.core.errors import OptionError
from karush.core.precision import float64
from karush.core.pytrees import open_door
from karush.problem.bounds import read_bounds
from karush.problem.problem import Problem
from karush.stability import Stabilized, stabilize


def with_stable_objective(problem: Problem) -> Problem:
    """The problem with its objective repaired on the box of its bounds.

    Constraints stay as they are: their rows are judged at the user's own limits.

    Raises
    ------
    OptionError
        for a problem with parameters, whose range is not known.
    """
    if problem.params is not None:
        raise OptionError(
            "stabilize=True cannot know the range of params; hand in karush.stabilize(objective, boxes) instead"
        )
    if isinstance(problem.objective, Stabilized):
        return problem
    door, _ = open_door(problem.x0, "x0")
    low, high = read_bounds(problem.bounds, door, door.names())
    largest = np.finfo(np.float64).max
    with float64():
        box = Box(door.unravel(np.maximum(low, -largest)), door.unravel(np.minimum(high, largest)))
        return replace(problem, objective=stabilize(problem.objective, box))


def read_stabilize(arguments: dict[str, Any]) -> bool:
    """The argument ``stabilize``, taken out of the arguments of `minimize`."""
    given = arguments.pop("stabilize", False)
    if not isinstance(given, bool):
        raise OptionError(f"stabilize is {given!r:.60}; give True or False")
    return given


__all__ = ["read_stabilize", "with_stable_objective"]
