"""How far and how long to go."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from karush.backends import registry
from karush.backends.answer import BackendOptions
from karush.core.errors import OptionError
from karush.core.table import iteration_line
from karush.solvers.run import Limits
from karush.unconstrained.method import Method
from karush.unconstrained.methods import BY_NAME

Driver = Literal["python", "fused"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How far and how long to go."""

    method: str | Method = "auto"
    """``"auto"``, ``"interior-point"``, one of `karush.methods` by its name or as an instance, or a backend"""
    tol: float = 1e-8
    """bound on the dimensionless entries of the certificate"""
    max_iterations: int = 500
    """of one run"""
    time_limit: float | None = None
    """seconds"""
    callback: Callable[[dict[str, Any]], Any] | None = None
    """called after every iteration with a row of ``Result.history``; a true answer ends the run"""
    progress: bool = False
    """print a line per iteration"""
    driver: Driver = "python"
    """``"python"``: a loop that can be watched and stopped; ``"fused"``: one compiled program, for repeated solves"""
    backend_options: Mapping[str, Any] | None = None
    """handed verbatim to a backend"""

    polish: bool = False
    """polish the answer in higher precision, and judge it there: for functions that lose float64's digits"""

    def __post_init__(self) -> None:
        if not isinstance(self.tol, Real) or not 0.0 < self.tol < 1.0:
            raise OptionError(f"tol is {self.tol!r}; it bounds dimensionless numbers: give a value between 0 and 1")
        if not isinstance(self.max_iterations, Integral) or self.max_iterations < 1:
            raise OptionError(f"max_iterations is {self.max_iterations!r}; give a positive integer")
        if self.time_limit is not None and not (isinstance(self.time_limit, Real) and self.time_limit > 0):
            raise OptionError(f"time_limit is {self.time_limit!r}; give a positive number of seconds, or None")
        if self.callback is not None and not callable(self.callback):
            raise OptionError(f"callback is {self.callback!r:.60}; give a function of one history row, or None")
        if not isinstance(self.polish, bool):
            raise OptionError(f"polish is {self.polish!r}; give True or False")
        if self.driver not in ("python", "fused"):
            raise OptionError(f"driver is {self.driver!r}; the drivers are 'python' and 'fused'")
        own = ("auto", registry.OWN, *BY_NAME)
        if not isinstance(self.method, Method) and self.method not in (*own, *registry.BACKENDS):
            known = ", ".join(repr(name) for name in (*own, *registry.BACKENDS))
            raise OptionError(
                f"method is {self.method!r:.60}; the methods are {known}, and instances of karush.methods"
            )
        if self.backend_options and self.method not in registry.BACKENDS:
            raise OptionError(
                f"backend_options is {self.backend_options!r:.60}, but method is {self.method!r}; name the backend "
                "that they are for, for example method='ipopt'"
            )
        if self.driver == "fused" and (self.callback is not None or self.progress or self.time_limit is not None):
            raise OptionError(
                "driver='fused' runs as one compiled program and cannot be watched: "
                "leave out callback, progress and time_limit, or use driver='python'"
            )


_read: dict[tuple[Any, ...], Options] = {}
"""what `read_options` has read lately: a repeated solve of microseconds is given the same options"""
KEPT = 64


def read_options(options: Mapping[str, Any]) -> Options:
    """`Options` from keywords; an unknown one is an `OptionError`."""
    if "callback" in options:
        # A user's function is not to be kept alive.
        return _options(options)
    # With the types, for 500 == 500.0 and only one of them is a number of iterations.
    key = tuple((name, type(value), value) for name, value in options.items())
    try:
        known = _read.get(key)
    except TypeError:
        # A value without a hash, such as a dict of a backend's options.
        return _options(options)
    if known is None:
        if len(_read) >= KEPT:
            _read.clear()
        known = _read[key] = _options(options)
    return known


def _options(options: Mapping[str, Any]) -> Options:
    unknown = [name for name in options if name not in Options.__dataclass_fields__]
    if unknown:
        raise OptionError(f"unknown option {unknown[0]!r}; the options are {', '.join(Options.__dataclass_fields__)}")
    return Options(**options)


def own_limits(options: Options, began: float) -> Limits:
    """Limits of karush's own solver for a solve that began at `began` on the clock of `time.perf_counter`."""
    return Limits(
        max_iterations=options.max_iterations,
        deadline=math.inf if options.time_limit is None else began + options.time_limit,
        callback=_callback(options),
    )


def backend_options(options: Options, began: float) -> BackendOptions:
    """Options of a backend for a solve that began at `began`."""
    left = None if options.time_limit is None else max(1e-3, options.time_limit - (time.perf_counter() - began))
    return BackendOptions(
        tol=options.tol,
        max_iterations=options.max_iterations,
        time_limit=left,
        callback=_callback(options),
        backend_options=options.backend_options or {},
    )


def _callback(options: Options) -> Callable[[dict[str, Any]], Any] | None:
    if not options.progress:
        return options.callback
    given = options.callback

    def show(record: dict[str, Any]) -> Any:
        sys.stdout.write(iteration_line(record) + "\n")
        return given(record) if given is not None else None

    return show
