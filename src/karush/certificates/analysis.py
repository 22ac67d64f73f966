"""What the structure of the user's program says: degrees in x, and how far the point is from a kink."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from karush.core.precision import float64
from karush.jaxprs.degree import degrees
from karush.jaxprs.kinks import Kink, kinks
from karush.jaxprs.margins import kink_margins

QUADRATIC = 2
"""Degree in x up to which a Hessian is constant"""


@dataclass(frozen=True)
class Analysis:
    """Made once when a problem is prepared."""

    value_degree: int
    """0 constant, 1 affine, 2 quadratic, more: nonlinear"""
    row_degrees: np.ndarray
    """(m,) the same for the rows"""
    kinks: tuple[Kink, ...]
    margins: Callable[..., Any] | None
    """compiled ``(x, scale, *params) -> (len(kinks),)``; None without kinks"""
    param_leaves: list[Any]
    convexity: Callable[[], str] | None = None
    """why the problem is convex whatever its parameters, in words, empty where that is not known; asked for once"""
    floor: Callable[[], float] | None = None
    """m of `karush.bounds.convexity_problem.least_curvature` for these parameters, 0 where none is known"""

    @property
    def why_convex(self) -> str:
        """The answer of `convexity`."""
        return "" if self.convexity is None else self.convexity()

    @property
    def least_curvature(self) -> float:
        """The answer of `floor`."""
        return 0.0 if self.floor is None else self.floor()

    @cached_property
    def degree(self) -> int:
        """The largest of all."""
        return max(self.value_degree, int(self.row_degrees.max(initial=0)))

    def kink_margins(self, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Distance of x (n,) to each kink in units of `scale` (n,)."""
        if self.margins is None:
            return np.full(0, np.inf)
        with float64():
            return np.asarray(self.margins(x, scale, *self.param_leaves))


def analyse(closed_jaxpr: ClosedJaxpr, param_leaves: list[Any]) -> Analysis:
    """Degrees and kinks of the traced program ``(x, *params) -> (f, c)``."""
    value_degree, row_degrees = degrees(closed_jaxpr)
    found = kinks(closed_jaxpr)
    margins = None
    if found:
        distances = kink_margins(closed_jaxpr)
        margins = jax.jit(lambda x, scale, *params: distances(x, *params, scale=scale))
    return Analysis(int(value_degree), np.asarray(row_degrees), found, margins, param_leaves)
