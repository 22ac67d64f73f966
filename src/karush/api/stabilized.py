"""A problem whose functions are computed accurately, for ``minimize(..., stabilize=True)``."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from karush.bounds import Box
from karush.core.errors import OptionError
from karush.core.precision import float64
from karush.core.pytrees import open_door
from karush.problem.bounds import read_bounds
from karush.problem.constraints import Constraint
from karush.problem.flat import read_params
from karush.problem.problem import Problem
from karush.stability import Stabilized, stabilize

RANGE_OF_PARAMS = 2.0
"""Parameters are taken from ``p / RANGE_OF_PARAMS`` to ``p RANGE_OF_PARAMS``; what is 0 stays 0."""


def with_stable_functions(problem: Problem) -> Problem:
    """The problem with its objective and its constraints repaired on the box of its bounds.

    A repaired function is the same function for all values of the parameters; that it is accurate is measured where
    they are between half and twice the values given. `linear` constraints, functions that `stabilize` has made and the
    limits of constraints stay as they are.
    """
    door, _ = open_door(problem.x0, "x0")
    low, high = read_bounds(problem.bounds, door, door.names())
    largest = np.finfo(np.float64).max
    with float64():
        boxes = (Box(door.unravel(np.maximum(low, -largest)), door.unravel(np.minimum(high, largest))),)
        if problem.params is not None:
            boxes += (_around(read_params(problem.params)),)
        constraints = [_repaired(constraint, boxes) for constraint in problem.constraints]  # type: ignore[union-attr]
        return replace(problem, objective=_stable(problem.objective, boxes), constraints=constraints)


def _around(params: Any) -> Box:
    """The box of parameters near those given."""
    ends = [jax.tree.map(lambda p, end=end: _end(p, end), params) for end in (np.minimum, np.maximum)]
    return Box(*ends)


def _end(p: np.ndarray, end: Any) -> np.ndarray:
    return end(p / RANGE_OF_PARAMS, p * RANGE_OF_PARAMS) if p.dtype.kind == "f" else p


def _repaired(constraint: Constraint, boxes: tuple[Box, ...]) -> Constraint:
    return constraint if constraint.flat else replace(constraint, function=_stable(constraint.function, boxes))


def _stable(function: Any, boxes: tuple[Box, ...]) -> Any:
    return function if isinstance(function, Stabilized) else stabilize(function, boxes)


def read_stabilize(arguments: dict[str, Any]) -> bool:
    """The argument ``stabilize``, taken out of the arguments of `minimize`."""
    given = arguments.pop("stabilize", False)
    if not isinstance(given, bool):
        raise OptionError(f"stabilize is {given!r:.60}; give True or False")
    return given


__all__ = ["read_stabilize", "with_stable_functions"]
