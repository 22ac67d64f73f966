"""All that the structure of one traced problem says, in one object."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from karush.core.precision import float64
from karush.jaxprs.degree import QUADRATIC, degrees
from karush.jaxprs.kinks import Kink, kinks
from karush.jaxprs.margins import Margins, kink_margins


@dataclass(frozen=True)
class Analysis:
    """Structure of ``(x (n,), *params) -> (value (), rows (m,))``."""

    closed_jaxpr: ClosedJaxpr
    params: tuple[Any, ...]
    """values of the further inputs at which margins are taken"""
    kinks: tuple[Kink, ...]
    """operations that are not smooth everywhere; empty if the problem is smooth"""
    value_degree: int
    """0 constant, 1 affine, 2 quadratic, 3 more or unknown"""
    row_degrees: np.ndarray
    """(m,) of the same"""

    @cached_property
    def _margins(self) -> Margins:
        return jax.jit(kink_margins(self.closed_jaxpr))

    def kink_margins(self, x: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
        """(k,) relative distance of x (n,) to each kink (``margins.py``), in float64; compiled at the first call.

        ``scale`` (n,) holds typical sizes of the variables; default ``max(|x|, 1)``.
        """
        if not self.kinks:
            return np.zeros(0)
        with float64():
            return np.asarray(self._margins(np.asarray(x, float), *self.params, scale=scale))

    @property
    def quadratic(self) -> bool:
        """Whether the objective is at most quadratic and every row affine."""
        return self.value_degree <= QUADRATIC and bool(np.all(self.row_degrees < QUADRATIC))


def analyse(closed_jaxpr: ClosedJaxpr, params: Sequence[Any] = ()) -> Analysis:
    """Read the structure of ``(x (n,), *params) -> (value (), rows (m,))``; nothing is compiled or evaluated."""
    value_degree, row_degrees = degrees(closed_jaxpr)
    return Analysis(closed_jaxpr, tuple(params), kinks(closed_jaxpr), value_degree, row_degrees)


__all__ = ["Analysis", "analyse"]
