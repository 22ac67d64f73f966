"""What a fit may be told: method, loss, tolerances, limits."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from karush.core.errors import OptionError
from karush.fitting.loss import LOSSES

METHODS = ("auto", "gauss-newton", "levenberg-marquardt", "dog-leg")


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Options of `least_squares`."""

    method: str = "auto"
    """``"auto"``, ``"gauss-newton"``, ``"levenberg-marquardt"`` or ``"dog-leg"``"""
    loss: str = "linear"
    loss_scale: float = 1.0
    """C, in units of the weighted residual: beyond it a loss other than ``"linear"`` counts a residual less"""
    sparse: bool | None = None
    """whether the Jacobian is computed and factored as a sparse matrix; None decides by its size and pattern"""
    tol: float = 1e-8
    """bound on the dimensionless entries of the certificate, and on the cosine between residual and tangent space"""
    max_iterations: int = 500
    """of one run"""
    time_limit: float | None = None
    """seconds"""
    callback: Callable[[dict[str, Any]], Any] | None = None
    """called after every iteration with a row of ``Result.history``; a true answer ends the run"""
    progress: bool = False
    """print a line per iteration"""
    driver: Literal["python", "fused"] = "python"
    """``"python"``: a loop that can be watched and stopped; ``"fused"``: one compiled program"""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError(f"method is {self.method!r}; the methods are {', '.join(map(repr, METHODS))}")
        if self.loss not in LOSSES:
            raise OptionError(f"loss is {self.loss!r:.60}; the losses are {', '.join(map(repr, LOSSES))}")
        if not _positive(self.loss_scale):
            raise OptionError(
                f"loss_scale is {self.loss_scale!r:.60}; give the size of a residual that still counts as normal, "
                "a positive number"
            )
        if not _positive(self.tol) or not self.tol < 1.0:
            raise OptionError(f"tol is {self.tol!r}; it bounds dimensionless numbers: give a value between 0 and 1")
        if not isinstance(self.max_iterations, Integral) or self.max_iterations < 1:
            raise OptionError(f"max_iterations is {self.max_iterations!r}; give a positive integer")
        if self.time_limit is not None and not _positive(self.time_limit):
            raise OptionError(f"time_limit is {self.time_limit!r}; give a positive number of seconds, or None")
        if self.callback is not None and not callable(self.callback):
            raise OptionError(f"callback is {self.callback!r:.60}; give a function of one history row, or None")
        if self.driver not in ("python", "fused"):
            raise OptionError(f"driver is {self.driver!r}; the drivers are 'python' and 'fused'")
        if self.sparse not in (None, True, False):
            raise OptionError(f"sparse is {self.sparse!r:.60}; give True, False or None")
        watched = self.callback is not None or self.progress or self.time_limit is not None
        if self.driver == "fused" and (watched or self.sparse):
            raise OptionError(
                "driver='fused' runs as one compiled program on dense matrices and cannot be watched: leave out "
                "callback, progress, time_limit and sparse, or use driver='python'"
            )


def read_options(options: dict[str, Any]) -> FitOptions:
    """`FitOptions` from keywords; an unknown one is an `OptionError`."""
    unknown = [name for name in options if name not in FitOptions.__dataclass_fields__]
    if unknown:
        known = ", ".join(["bounds", "params", "weights", *FitOptions.__dataclass_fields__])
        raise OptionError(f"unknown argument {unknown[0]!r}; the arguments are {known}")
    return FitOptions(**options)


def _positive(value: Any) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and math.isfinite(value) and float(value) > 0.0
