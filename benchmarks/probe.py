"""What a probe is: a small problem whose truth is known, and the verdicts that do not contradict it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from karush import Problem, Verdict

LOCAL, GLOBAL = Verdict.LOCAL_MINIMUM, Verdict.GLOBAL_MINIMUM
STATIONARY, UNDECIDED = Verdict.STATIONARY, Verdict.UNDECIDED
NOT_MINIMUM, NOT_STATIONARY = Verdict.NOT_A_MINIMUM, Verdict.NOT_STATIONARY
INFEASIBLE, UNBOUNDED = Verdict.LOCALLY_INFEASIBLE, Verdict.UNBOUNDED

Verdicts = frozenset[Verdict]

MINIMUM: Verdicts = frozenset({LOCAL, GLOBAL})
"""A regular minimum that is the global one: anything less than success is a failure here."""
LOCAL_ONLY: Verdicts = frozenset({LOCAL})
"""A regular minimum with a better point elsewhere."""
REFUSED: Verdicts = frozenset({NOT_STATIONARY, NOT_MINIMUM})
"""A regular point where the first order already shows a descent."""
SADDLE: Verdicts = frozenset({NOT_MINIMUM})
"""First order holds, curvature is clearly negative: the better point is to be shown."""
FLAT_NOT_MINIMUM: Verdicts = frozenset({NOT_MINIMUM, STATIONARY, UNDECIDED})
"""First order holds, curvature vanishes, and the point is no minimum."""
FLAT_MINIMUM: Verdicts = frozenset({STATIONARY, UNDECIDED, GLOBAL})
"""A global minimum where curvature vanishes: curvature alone decides nothing, known convexity does."""
HARD_MINIMUM: Verdicts = frozenset({UNDECIDED, STATIONARY, LOCAL, GLOBAL})
"""A minimum at a kink or with singular constraints: success is true, but derivatives there cannot show it."""
DERIVATIVES_LIE: Verdicts = frozenset({NOT_MINIMUM, UNDECIDED, NOT_STATIONARY})
"""The values fall where the derivatives at the point are zero (a kink, a wrong derivative): not even stationary."""
NO_MULTIPLIERS: Verdicts = frozenset({UNDECIDED, NOT_STATIONARY, LOCAL, GLOBAL})
"""A minimum that is no KKT point because constraint qualifications fail: calling it stationary is wrong."""
NOT_SUCCESS: Verdicts = frozenset({STATIONARY, UNDECIDED, NOT_MINIMUM, NOT_STATIONARY})
"""There is nothing to succeed at, or only by luck."""


@dataclass(frozen=True)
class Point:
    """A point handed to ``certify``, as another solver might have returned it."""

    x: Any
    accepted: Verdicts


@dataclass(frozen=True)
class Probe:
    """One problem, with what may be said of the answer of ``minimize`` and of given points."""

    name: str
    problem: Callable[[], Problem]
    accepted: Verdicts
    """verdicts of the answer of ``minimize`` that are true and good enough"""
    is_minimum: Callable[[Any], bool] | None
    """whether x is a local minimum, to the accuracy that tol = 1e-8 allows; None: there is none"""
    why: str
    """who is fooled, or what makes it hard"""
    points: tuple[Point, ...] = ()


NEAR = 1e-5
"""How close a minimum is found where its curvature is of size 1 (tol = 1e-8 allows about 1e-8)."""


def near(*targets: Any, within: float = NEAR) -> Callable[[Any], bool]:
    """Whether x is one of the targets, relative to max(1, size of the target)."""

    def test(x: Any) -> bool:
        return any(np.max(np.abs(x - np.array(t))) <= within * max(1.0, np.max(np.abs(t))) for t in targets)

    return test
