"""What goes into a backend and what comes out of it, the same for all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from karush.core.status import Status


@dataclass(frozen=True, kw_only=True)
class BackendOptions:
    """How far and how long a backend may run."""

    tol: float = 1e-8
    """handed to the solver as its own tolerance; what the answer is worth, the certificate says"""
    max_iterations: int = 3000
    time_limit: float | None = None
    """seconds"""
    callback: Callable[[dict[str, Any]], Any] | None = None
    """called after every iteration with a row of `BackendAnswer.history`; a true return or StopIteration ends it all"""
    backend_options: Mapping[str, Any] = field(default_factory=dict)
    """the solver's own options by their own names, set last"""


@dataclass(frozen=True, kw_only=True)
class BackendAnswer:
    """A backend's word; nothing in it has been checked."""

    x: np.ndarray
    """(n,) inside the bounds"""
    y: np.ndarray
    """(m,) one multiplier per row, >= 0 where the upper limit is active, <= 0 where the lower one is"""
    z: np.ndarray
    """(n,) one per variable, same signs; stationarity is ``∇f + Jᵀy + z = 0``"""
    status: Status
    message: str
    iterations: int
    evaluations: int
    """points at which the user's functions were evaluated"""
    history: tuple[dict[str, Any], ...] = ()
    """per iteration: iteration, value (of the user's own objective), infeasibility, stationarity, barrier, step; NaN
    where the solver does not say"""
