"""The front door: `minimize`, `maximize`, `prepare`, `certify`, `multistart`."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from karush.backends import registry
from karush.backends.answer import BackendOptions
from karush.certificates import Certificate
from karush.core.errors import OptionError, ProblemError
from karush.core.pytrees import Door, open_door
from karush.core.status import Status
from karush.core.table import iteration_line
from karush.problem.problem import Problem
from karush.solvers import strategies
from karush.solvers.prepared import Prepared as Parts
from karush.solvers.result import BOUNDS, Result
from karush.solvers.run import Limits

Driver = Literal["python", "fused"]
MESSAGES = {
    Status.CONVERGED: "The optimality conditions hold to the tolerance.",
    Status.ITERATION_LIMIT: "The iteration limit was reached.",
    Status.TIME_LIMIT: "The time limit was reached.",
    Status.INTERRUPTED: "Interrupted; this is the best point so far.",
    Status.STOPPED: "The callback asked to stop; this is the best point so far.",
    Status.EVALUATION_FAILED: "A function could not be evaluated.",
    Status.STEP_FAILED: "No step makes further progress.",
    Status.INFEASIBLE: "The run ended where the constraints cannot be met any better nearby.",
    Status.UNBOUNDED: "The objective fell below any sensible value.",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How far and how long to go."""

    method: str = "auto"
    """``"auto"``, ``"interior-point"``, or a backend"""
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

    def __post_init__(self) -> None:
        if not isinstance(self.tol, (int, float)) or not 0.0 < self.tol < 1.0:
            raise OptionError(f"tol is {self.tol!r}; it bounds dimensionless numbers: give a value between 0 and 1")
        if not isinstance(self.max_iterations, int) or self.max_iterations < 1:
            raise OptionError(f"max_iterations is {self.max_iterations!r}; give a positive integer")
        if self.time_limit is not None and not self.time_limit > 0:
            raise OptionError(f"time_limit is {self.time_limit!r}; give a positive number of seconds, or None")
        if self.driver not in ("python", "fused"):
            raise OptionError(f"driver is {self.driver!r}; the drivers are 'python' and 'fused'")
        if self.method not in ("auto", registry.OWN, *registry.BACKENDS):
            known = ", ".join(repr(name) for name in ("auto", registry.OWN, *registry.BACKENDS))
            raise OptionError(f"method is {self.method!r}; the methods are {known}")
        if self.driver == "fused" and (self.callback is not None or self.progress or self.time_limit is not None):
            raise OptionError(
                "driver='fused' runs as one compiled program and cannot be watched: "
                "leave out callback, progress and time_limit, or use driver='python'"
            )


class Prepared:
    """A problem traced and compiled, to be solved again and again: other starts, warm, other parameters.

    Made by `prepare`. Not to be shared between threads.
    """

    def __init__(self, problem: Problem):
        self.parts = Parts.of(problem)

    @property
    def problem(self) -> Problem:
        """The problem as it was given."""
        return self.parts.problem

    def compile(self) -> "Prepared":
        """Compile the whole solve into one program now, so that the first ``driver="fused"`` solve is quick too."""
        self.parts.compile_fused()
        return self

    def solve(self, x0: Any = None, *, warm: Result | None = None, params: Any = None, **options: Any) -> Result:
        """Solve from x0, or from where `warm` ended, or from the problem's own start.

        Parameters
        ----------
        x0
            Start in the structure of the problem's x0.
        warm
            An earlier result of this problem, to start from.
        params
            Other values for the problem's params, kept for later solves; nothing is compiled anew.
        options
            Those of `minimize`.
        """
        began = time.perf_counter()
        chosen = _options(options)
        parts = self.parts
        if params is not None:
            parts.set_params(params)
        if x0 is None and warm is not None:
            x0 = warm.x
        start, notes = self._start(x0)
        method, why = chosen.method, "asked for"
        if method == "auto":
            method, why = registry.choose(parts.flat, parts.evaluator)
        if method == registry.OWN:
            candidate = strategies.solve(
                parts, start, tol=chosen.tol, limits=_limits(chosen, began), driver=chosen.driver
            )
            answer, certificate = candidate.answer, candidate.certificate
            notes += (candidate.note,) if candidate.note else ()
        else:
            y0, z0 = (None, None) if warm is None else (warm.y_flat, warm.z_flat)
            answer = registry.solve(method, parts.flat, parts.evaluator, start, y0, z0, _backend_options(chosen, began))
            certificate = parts.judged(answer.x, answer.y, answer.z, chosen.tol)
        y, z = certificate.multipliers
        at = parts.evaluator(answer.x, y)
        return Result(
            flat=parts.flat,
            x_flat=answer.x,
            y_flat=y,
            z_flat=z,
            rows_flat=at.rows,
            value=-at.value if parts.flat.maximize else at.value,
            status=answer.status,
            message=answer.message or MESSAGES[answer.status],
            certificate=certificate,
            method=method,
            why_method=why,
            history=answer.history,
            iterations=answer.iterations,
            evaluations=answer.evaluations,
            notes=notes,
            seconds=time.perf_counter() - began,
            name=parts.problem.name,
        )

    def certify(self, x: Any, multipliers: Mapping[str, Any] | None = None, *, tol: float = 1e-8) -> Certificate:
        """Certificate of the point x; see `certify`."""
        tol = _options({"tol": tol}).tol
        flat = self.parts.flat
        y, z = _flat_multipliers(self.parts, multipliers)
        return self.parts.judged(flat.door.ravel(x, "x"), y, z, tol)

    def _start(self, x0: Any) -> tuple[np.ndarray, tuple[str, ...]]:
        flat = self.parts.flat
        x = flat.x0 if x0 is None else _same_structure(flat.door, x0)
        if not np.all(np.isfinite(x)):
            worst = int(np.flatnonzero(~np.isfinite(x))[0])
            raise ProblemError(f"x0 at {flat.variable_names[worst]} is {x[worst]}; every entry must be finite")
        projected = flat.projected(x)
        moved = np.flatnonzero(projected != x)
        if not moved.size:
            return projected, ()
        names = ", ".join(f"{flat.variable_names[i]} from {x[i]:.6g} to {projected[i]:.6g}" for i in moved[:5])
        more = f" and {moved.size - 5} more" if moved.size > 5 else ""
        return projected, (f"the start was outside its bounds and was projected: {names}{more}",)


def prepare(problem: Problem | Callable[..., Any], x0: Any = None, **parts: Any) -> Prepared:
    """Trace a problem's functions and compile their derivatives, once, for any number of solves.

    Parameters
    ----------
    problem, x0, parts
        A `Problem`; or an objective, a start and the other fields of a `Problem` by keyword.

    Notes
    -----
    Computes in float64 by a local switch; JAX's global setting is not touched.
    """
    return Prepared(_problem(problem, x0, parts))


def minimize(problem: Problem | Callable[..., Any], x0: Any = None, **arguments: Any) -> Result:
    """Find a local minimum and certify it: ``min f(x)  s.t.  bounds and constraints``.

    Parameters
    ----------
    problem
        A `Problem`, or an objective ``f(x)`` to go with `x0` and the fields of a `Problem` (``bounds``,
        ``constraints``, ``params``, ``scales``, ``convex``) by keyword.
    x0
        Start; with a `Problem`, used instead of its own.
    arguments
        Fields of a `Problem`, and the fields of `Options`: ``method``, ``tol``, ``max_iterations``, ``time_limit``,
        ``callback``, ``progress``, ``driver``, ``backend_options``.

    Returns
    -------
    Result
        Always, whatever happened; `Result.success` only if the certificate says minimum.

    Raises
    ------
    ProblemError, OptionError, BackendMissing
        for bad input, naming the argument, its value and the cure.

    Notes
    -----
    Computes in float64 by a local switch; JAX's global setting is not touched.
    """
    options = {name: arguments.pop(name) for name in list(arguments) if name in Options.__dataclass_fields__}
    _options(options)
    if isinstance(problem, Problem):
        return Prepared(_problem(problem, None, arguments)).solve(x0, **options)
    return Prepared(_problem(problem, x0, arguments)).solve(**options)


def maximize(problem: Problem | Callable[..., Any], x0: Any = None, **arguments: Any) -> Result:
    """`minimize` with the objective's sign turned; values, multipliers and prices are of the objective as given."""
    if isinstance(problem, Problem):
        return minimize(replace(problem, maximize=True), x0, **arguments)
    return minimize(problem, x0, maximize=True, **arguments)


def certify(
    problem: Problem, x: Any, multipliers: Mapping[str, Any] | None = None, *, tol: float = 1e-8
) -> Certificate:
    """What the point x is, by whatever solver it was found: recomputed from the problem's own functions.

    Parameters
    ----------
    problem
        The problem.
    x
        Point in the structure of ``problem.x0``.
    multipliers
        As in `Result.multipliers`: constraint name -> array of its rows' shape, and ``"bounds"`` -> structure of x.
        What is left out is estimated by sign-constrained least squares.
    tol
        Bound on the dimensionless entries.
    """
    return Prepared(_problem(problem, None, {})).certify(x, multipliers, tol=tol)


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


SAME_MINIMUM = 1e-5
"""distance, in typical sizes of x, below which two minima count as one"""


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
    prepared = Prepared(_problem(problem, None if isinstance(problem, Problem) else x0, arguments))
    points = _starts(prepared.parts, starts, seed) if isinstance(starts, int) else list(starts)
    if isinstance(problem, Problem) and x0 is not None and isinstance(starts, int):
        points[0] = x0
    if not points:
        raise OptionError(f"starts is {starts!r}; give at least one start")
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


def _problem(problem: Problem | Callable[..., Any], x0: Any, fields: dict[str, Any]) -> Problem:
    known = [name for name in Problem.__dataclass_fields__ if name not in ("objective", "x0")]
    unknown = [name for name in fields if name not in known]
    if unknown:
        options = [*known, *Options.__dataclass_fields__]
        raise OptionError(f"unknown argument {unknown[0]!r}; the arguments are {', '.join(options)}")
    if isinstance(problem, Problem):
        if [name for name in fields if name != "maximize"]:
            raise OptionError(
                f"{sorted(fields)[0]!r} was given beside a Problem; put it into the Problem, "
                "or give the objective as a function"
            )
        return replace(problem, **fields) if fields else problem
    return Problem(problem, x0, **fields)


def _options(options: Mapping[str, Any]) -> Options:
    unknown = [name for name in options if name not in Options.__dataclass_fields__]
    if unknown:
        raise OptionError(f"unknown option {unknown[0]!r}; the options are {', '.join(Options.__dataclass_fields__)}")
    return Options(**options)


def _limits(options: Options, began: float) -> Limits:
    return Limits(
        max_iterations=options.max_iterations,
        deadline=np.inf if options.time_limit is None else began + options.time_limit,
        callback=_callback(options),
    )


def _backend_options(options: Options, began: float) -> BackendOptions:
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
        print(iteration_line(record), flush=True)
        return given(record) if given is not None else None

    return show


def _same_structure(door: Door, x0: Any) -> np.ndarray:
    other, flat = open_door(x0, "x0")
    if (other.treedef, other.shapes) != (door.treedef, door.shapes):
        raise ProblemError(
            f"x0 has structure {other.treedef} with shapes {other.shapes}, but the problem was prepared with "
            f"{door.treedef} and {door.shapes}"
        )
    return flat


def _flat_multipliers(
    parts: Parts, multipliers: Mapping[str, Any] | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """y (m,) and z (n,) of the minimised objective; None for what was not given."""
    if multipliers is None:
        return None, None
    flat = parts.flat
    unknown = [name for name in multipliers if name not in (*flat.constraint_names, BOUNDS)]
    if unknown:
        raise ProblemError(
            f"multipliers names {unknown[0]!r}; the names are {', '.join((*flat.constraint_names, BOUNDS))}"
        )
    missing = [name for name in flat.constraint_names if name not in multipliers]
    if missing:
        raise ProblemError(f"multipliers lacks {missing[0]!r}; give one for every constraint, or None for all")
    sign = -1.0 if flat.maximize else 1.0
    rows = []
    for name, shape in zip(flat.constraint_names, flat.row_shapes, strict=True):
        given = np.asarray(multipliers[name], dtype=np.float64)
        if given.shape != shape:
            raise ProblemError(f"multipliers[{name!r}] has shape {given.shape}, but the constraint has {shape}")
        rows.append(given.ravel())
    y = sign * np.concatenate([np.zeros(0), *rows])
    z = multipliers.get(BOUNDS)
    return y, None if z is None else sign * flat.door.ravel(z, f"multipliers[{BOUNDS!r}]")
