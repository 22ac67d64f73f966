"""Many starts, and the distinct minima that they lead to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from karush.api.options import Options
from karush.api.prepared import Prepared, as_problem
from karush.core.errors import OptionError
from karush.problem.problem import Problem
from karush.solvers.prepared import Prepared as Parts
from karush.solvers.result import Result

SAME_MINIMUM = 1e-5
"""distance, in typical sizes of x, below which two minima count as one"""


@dataclass(frozen=True, eq=False)
class MultistartResult:
    """What many starts found."""

    minima: tuple[Result, ...]
    """the distinct minima, best first"""
    results: tuple[Result, ...]
    """every run, in the order of the starts"""

    @property
    def best(self) -> Result:
        """The best minimum; the best run if no minimum was found."""
        return self.minima[0] if self.minima else self.results[0]


def multistart(
    problem: Problem | Callable[..., Any],
    x0: Any = None,
    *,
    starts: int | Sequence[Any] = 20,
    seed: int = 0,
    **arguments: Any,
) -> MultistartResult:
    """Solve from many starts; the distinct minima, best first.

    Parameters
    ----------
    problem, x0, arguments
        As for `minimize`.
    starts
        Number of starts, x0 among them, the others drawn within finite bounds uniformly, otherwise around x0 normally
        with the typical size of each variable; or the starts themselves.
    seed
        Of the draw.
    """
    options = {name: arguments.pop(name) for name in list(arguments) if name in Options.__dataclass_fields__}
    prepared = Prepared(as_problem(problem, None if isinstance(problem, Problem) else x0, arguments))
    drawn = isinstance(starts, Integral)
    if (not drawn and not isinstance(starts, (list, tuple, np.ndarray))) or (starts < 1 if drawn else not len(starts)):
        raise OptionError(f"starts is {starts!r:.60}; give a positive number of starts, or a list of starts")
    points = _starts(prepared.parts, int(starts), seed) if drawn else list(starts)
    if isinstance(problem, Problem) and x0 is not None and drawn:
        points[0] = x0
    results = tuple(prepared.solve(point, **options) for point in points)
    sign = -1.0 if prepared.parts.flat.maximize else 1.0
    minima: list[Result] = []
    scale = prepared.parts.scales.x
    for result in sorted((r for r in results if r.success), key=lambda r: sign * r.value):
        distances = (np.max(np.abs(result.x_flat - other.x_flat) / scale) for other in minima)
        if all(distance > SAME_MINIMUM for distance in distances):
            minima.append(result)
    return MultistartResult(tuple(minima), results)


def _starts(parts: Parts, count: int, seed: int) -> list[Any]:
    flat = parts.flat
    generator = np.random.default_rng(seed)
    boxed = np.isfinite(flat.lower) & np.isfinite(flat.upper)
    points = [flat.x0]
    for _ in range(count - 1):
        uniform = generator.random(flat.n)
        normal = flat.x0 + parts.scales.x * generator.standard_normal(flat.n)
        low, width = np.where(boxed, flat.lower, 0.0), np.where(boxed, flat.upper - flat.lower, 0.0)
        points.append(flat.projected(np.where(boxed, low + uniform * width, normal)))
    return [flat.door.unravel(point) for point in points[:count]]
