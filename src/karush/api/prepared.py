"""A problem traced and compiled, to be solved again and again."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jax.tree_util import treedef_is_leaf

from karush.api.options import Options, backend_options, own_limits, read_options
from karush.backends import registry
from karush.certificates import Certificate, judge
from karush.certificates.rounding import held_against_rounding
from karush.core.errors import OptionError, ProblemError, RoundingWarning, TraceError
from karush.core.pytrees import Door, open_door
from karush.core.status import Status
from karush.problem.problem import Problem
from karush.proofs.functions import Functions
from karush.proofs.polish import POLISHED_UP_TO, ExactEvaluator, polish_flat
from karush.proofs.polish import PRECISION as POLISHED_PRECISION
from karush.solvers import strategies
from karush.solvers.doubt import sentence, spoilt
from karush.solvers.prepared import Prepared as Parts
from karush.solvers.result import BOUNDS, Result
from karush.solvers.sharpen import sharpened
from karush.stability.findings import Finding
from karush.unconstrained import drive, search
from karush.unconstrained.method import Method
from karush.unconstrained.methods import BY_NAME, read_method
from karush.unconstrained.polish import polished

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


class Prepared:
    """A problem traced and compiled, to be solved again and again: other starts, warm, other parameters.

    Made by `prepare`. Not to be shared between threads.
    """

    def __init__(self, problem: Problem):
        self.parts = Parts.of(problem)
        self._chosen: dict[str, tuple[str | Method, str]] = {}
        self._latest_start: tuple[bytes, np.ndarray, tuple[str, ...]] | None = None
        self._latest_doubt: tuple[bytes, tuple[Finding, ...]] | None = None

    @property
    def problem(self) -> Problem:
        """The problem as it was given."""
        return self.parts.problem

    def compile(self) -> "Prepared":
        """Compile the solve of ``method="auto"`` now, so that the first one by ``driver="fused"`` is quick too."""
        method, _ = self._choice("fused")
        if isinstance(method, Method):
            search.compile_fused(self.parts, method, Options.tol)
        else:
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
            Other values for the problem's params, kept for later solves; nothing is traced anew, and nothing compiled
            unless typical sizes change by more than two orders of magnitude.
        options
            Those of `minimize`.
        """
        began = time.perf_counter()
        chosen = read_options(options)
        parts = self.parts
        if params is not None:
            parts.set_params(params)
            self._latest_doubt = None
        start, notes = self._start(x0, warm)
        method, why = chosen.method, "asked for"
        if method == "auto":
            method, why = self._choice(chosen.driver)
        candidate = sharpened(parts, self._run(method, start, warm, chosen, began), chosen.tol)
        if chosen.polish:
            candidate = self._polished(candidate, chosen.tol)
        answer, certificate = candidate.answer, candidate.certificate
        notes += (candidate.note,) if candidate.note else ()
        findings = self._spoilt(start, answer.x, certificate, chosen.tol)
        if findings:
            notes += (sentence(findings[0]),)
            warnings.warn(f"{sentence(findings[0])}; see Result.findings", RoundingWarning, stacklevel=2)
        y, z = certificate.multipliers
        if candidate.values is None:
            at = parts.evaluator(answer.x, y)
            value, rows = at.value, at.rows
        else:
            value, rows = candidate.values
        return Result(
            flat=parts.flat,
            x_flat=answer.x,
            y_flat=y,
            z_flat=z,
            rows_flat=rows,
            value=-value if parts.flat.maximize else value,
            status=answer.status,
            message=answer.message or MESSAGES[answer.status],
            certificate=certificate,
            method=method.name if isinstance(method, Method) else method,
            why_method=why,
            history=answer.history,
            iterations=answer.iterations,
            evaluations=answer.evaluations,
            notes=notes,
            findings=findings,
            seconds=time.perf_counter() - began,
            name=parts.problem.name,
        )

    def _run(
        self, method: str | Method, start: np.ndarray, warm: Result | None, options: Options, began: float
    ) -> strategies.Candidate:
        """The judged answer of karush's own solver or of a backend."""
        parts, limits = self.parts, own_limits(options, began)
        if method == registry.OWN and options.method == "auto" and options.driver == "python":
            return search.solve_once(parts, start, tol=options.tol, limits=limits)
        if method == registry.OWN:
            return strategies.solve(parts, start, tol=options.tol, limits=limits, driver=options.driver)
        if isinstance(method, Method) or method in BY_NAME:
            chosen = read_method(method)
            if chosen.derivative_free:
                answer = drive.run(chosen, parts, start, limits, options.tol, options.driver)
                return polished(parts, answer, tol=options.tol, limits=limits)
            auto = options.method == "auto"
            return search.solve(parts, chosen, start, tol=options.tol, limits=limits, driver=options.driver, auto=auto)
        y0, z0 = (None, None) if warm is None else (warm.y_flat, warm.z_flat)
        answer = registry.solve(method, parts.flat, parts.evaluator, start, y0, z0, backend_options(options, began))
        return strategies.improve(parts, answer, tol=options.tol, limits=limits)

    def _polished(self, candidate: strategies.Candidate, tol: float) -> strategies.Candidate:
        """`candidate` polished and judged in ball arithmetic, unless that says less of it."""
        parts, answer = self.parts, candidate.answer

        def left(reason: str) -> strategies.Candidate:
            return replace(candidate, note="; ".join(filter(None, (candidate.note, f"not polished: {reason}"))))

        if parts.flat.n > POLISHED_UP_TO:
            return left(f"{parts.flat.n} variables are more than {POLISHED_UP_TO}")
        functions = Functions(parts.flat, POLISHED_PRECISION)
        rows = parts.evaluator(answer.x, np.zeros(parts.flat.m)).rows
        try:
            found = polish_flat(functions, answer.x, candidate.certificate.multipliers, rows, parts.scales)
        except TraceError as error:
            return left(str(error))
        if found is None:
            return left("in higher precision Newton's method finds no KKT point near the answer")
        x, y, z = found
        exact = ExactEvaluator(functions)
        judged = judge(parts.flat, exact, x, y, z, tol=tol, analysis=parts.analysis, scales=parts.scales)
        note = f"polished, and evaluated for the certificate, in ball arithmetic of {functions.precision} bits"
        answer = replace(answer, x=x, y=y, z=z)
        polished = strategies.Candidate(answer, judged, note, exact.values(x))
        return polished if polished.rank <= candidate.rank else candidate

    def _spoilt(
        self, start: np.ndarray, answer: np.ndarray | None, certificate: Certificate, tol: float
    ) -> tuple[Finding, ...]:
        """`spoilt`, looked at once for the same way."""
        if certificate.success or answer is None:
            return ()
        way = start.tobytes() + answer.tobytes() + np.float64(tol).tobytes()
        latest = self._latest_doubt
        if latest is None or latest[0] != way:
            self._latest_doubt = latest = (way, spoilt(self.parts, start, answer, certificate, tol))
        return latest[1]

    def _choice(self, driver: str) -> tuple[str | Method, str]:
        if driver not in self._chosen:
            by_size = search.choose(self.parts, driver)
            self._chosen[driver] = by_size or registry.choose(self.parts.flat, self.parts.evaluator)
        return self._chosen[driver]

    def certify(self, x: Any, multipliers: Mapping[str, Any] | None = None, *, tol: float = 1e-8) -> Certificate:
        """Certificate of the point x; see `certify`."""
        tol = read_options({"tol": tol}).tol
        flat = self.parts.flat
        y, z = flat_multipliers(self.parts, multipliers)
        certificate = held_against_rounding(self.parts.judged(flat.door.ravel(x, "x"), y, z, tol))
        # Measured now: a certificate that was asked for says what its own numbers are worth.
        _ = certificate.evaluation
        return certificate

    def _start(self, x0: Any, warm: Any) -> tuple[np.ndarray, tuple[str, ...]]:
        if warm is not None and not isinstance(warm, Result):
            raise OptionError(f"warm is {type(warm).__name__} {warm!r:.60}; give an earlier Result, or a start as x0")
        if x0 is None and warm is not None:
            x0 = warm.x
        flat = self.parts.flat
        latest = self._latest_start
        if latest is not None and type(x0) is np.ndarray and _fits(flat.door, x0) and latest[0] == x0.tobytes():
            # What is checked below held when these very numbers came last.
            return latest[1], latest[2]
        x = flat.x0 if x0 is None else _same_structure(flat.door, x0)
        if latest is None or latest[0] != x.tobytes():
            start, notes = self._projected(x)
            start.setflags(write=False)
            self._latest_start = latest = (x.tobytes(), start, notes)
        return latest[1], latest[2]

    def _projected(self, x: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        """The start x (n,) within its bounds, and what was moved, in words."""
        flat = self.parts.flat
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


def as_problem(problem: Problem | Callable[..., Any], x0: Any, fields: dict[str, Any]) -> Problem:
    """The problem that the arguments of `minimize` state; an unknown argument is an `OptionError`."""
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


def _fits(door: Door, x0: np.ndarray) -> bool:
    """Whether x0 is a float64 array shaped as the problem's own start, which was one array too."""
    return x0.dtype == np.float64 and door.shapes == (x0.shape,) and treedef_is_leaf(door.treedef)


def _same_structure(door: Door, x0: Any) -> np.ndarray:
    other, flat = open_door(x0, "x0")
    if (other.treedef, other.shapes) != (door.treedef, door.shapes):
        raise ProblemError(
            f"x0 has structure {other.treedef} with shapes {other.shapes}, but the problem was prepared with "
            f"{door.treedef} and {door.shapes}"
        )
    return door.enter(flat)


def flat_multipliers(
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
    if flat.n != flat.door.size:
        # Of the limits of the two parts of |x| the user has none: they follow from y.
        z = None
    return y, None if z is None else sign * flat.door.ravel(z, f"multipliers[{BOUNDS!r}]")
