"""What is done once for a problem, whatever its starts: trace, patterns, compiled derivatives, units and scales."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from karush.bounds.convexity_problem import least_curvature, why_convex
from karush.certificates import Certificate, Scales, judge, typical_scales
from karush.certificates.analysis import Analysis, analyse
from karush.certificates.compiled import conditions
from karush.certificates.deferred import Deferred
from karush.certificates.scaled import scaled_problem
from karush.core.precision import float64
from karush.core.status import Verdict
from karush.derivatives.evaluator import Evaluator
from karush.derivatives.large import evaluator_of
from karush.linalg.kkt_system import Layout, layout
from karush.problem.flat import FlatProblem, flatten
from karush.problem.problem import Problem
from karush.solvers import drivers, start
from karush.solvers.state import Data


@dataclass(eq=False)
class Fused:
    """The compiled solve and its latest arguments on the device: for a repeated solve they need not go there again."""

    program: Callable[..., Any]
    settings: tuple[tuple[float, ...], Any] = ((), None)
    x: tuple[np.ndarray | None, Any] = (None, None)
    params: tuple[list[Any] | None, list[Any]] = (None, [])

    def __call__(self, x0: np.ndarray, settings: tuple[float, ...], params: list[Any]) -> np.ndarray:
        """The program's one packed array, from x0 (n,); to be called within `float64()`."""
        # Each with its copy on the device as one pair, in names of this call: other threads may solve meanwhile.
        of_settings, of_x, of_params = self.settings, self.x, self.params
        if settings != of_settings[0]:
            self.settings = of_settings = settings, jnp.asarray(settings, dtype=jnp.float64)
        if of_x[0] is not x0:
            on_device = of_x[1] if of_x[0] is not None and np.array_equal(of_x[0], x0) else jnp.asarray(x0)
            # An array that cannot change is known again by itself.
            self.x = of_x = x0.copy() if x0.flags.writeable else x0, on_device
        if of_params[0] is not params:
            self.params = of_params = params, [jnp.asarray(leaf) for leaf in params]
        # A copy, for the device's own memory cannot be written to.
        return np.array(self.program(of_x[1], of_settings[1], *of_params[1]))


ALIKE = 128.0
"""Factor up to which typical sizes are kept with other parameters: the least power of two above the 100 within which
the size of f is put beside its variation anyway."""


@dataclass(frozen=True)
class Tried:
    """How the latest solve of a problem by all attempts went; those of a repeated one are deterministic."""

    start: tuple[bytes, float, int]
    """the start, the tolerance and the iteration limit"""
    helped: int | None
    """number of the attempt that gave the best answer, None for the first run"""
    rank: int
    """of that answer"""


def _sized(flat: FlatProblem, evaluator: Evaluator) -> tuple[Scales, Data]:
    """Typical sizes at x0, and the problem in the solver's units."""
    at_start = evaluator(flat.projected(flat.x0), np.zeros(flat.m))
    scales = typical_scales(flat, at_start, evaluator)
    return scales, start.data(flat, scales, at_start.gradient, at_start.jacobian, 1e-8)


def _alike(one: Scales, other: Scales) -> bool:
    """Whether no size of f or a row (x0 and bounds stay) differs by more than ALIKE."""
    ratios = np.append(other.rows, other.f) / np.append(one.rows, one.f)
    return bool(np.all((ratios <= ALIKE) & (ratios >= 1.0 / ALIKE)))


def _convexity(flat: FlatProblem) -> Callable[[], str]:
    """`why_convex` of the problem, found when it is first asked for."""
    bounds, limits = (flat.lower, flat.upper), (flat.row_lower, flat.row_upper)
    return cache(lambda: why_convex(flat.closed_jaxpr, flat.param_leaves, bounds, limits))


def _floor(flat: FlatProblem) -> Callable[[], float]:
    """`least_curvature` of the objective, found when it is first asked for; 0 where it is not known."""
    return cache(lambda: least_curvature(flat.closed_jaxpr, flat.param_leaves, (flat.lower, flat.upper)) or 0.0)


@dataclass(eq=False)
class Prepared:
    """A flat problem with everything that its solves share."""

    problem: Problem
    flat: FlatProblem
    evaluator: Evaluator
    analysis: Analysis
    layout: Layout
    scales: Scales
    units: Data
    """the problem in the solver's units, as NumPy arrays"""
    fused: Fused | None = None
    """compiled solve, once asked for"""
    tried: Tried | None = None
    """for a solve from the same start with the same parameters"""
    compiled: dict[Any, Any] = field(default_factory=dict)
    """compiled programs of the methods for problems without constraint rows, by method"""

    @classmethod
    def of(cls, problem: Problem) -> "Prepared":
        """Trace and compile the problem's functions."""
        flat = flatten(problem)
        evaluator = evaluator_of(flat.closed_jaxpr, flat.param_leaves, flat.m)
        analysis = analyse(flat.closed_jaxpr, flat.param_leaves)
        analysis = replace(analysis, convexity=_convexity(flat), floor=_floor(flat))
        rows = layout(flat.n, flat.row_lower == flat.row_upper)
        scales, units = _sized(flat, evaluator)
        return cls(problem, flat, evaluator, analysis, rows, scales, units)

    def set_params(self, params: Any) -> None:
        """Solve with other parameter values from now on; nothing is traced anew.

        Where typical sizes change by more than ALIKE they are replaced, and what was compiled with them is dropped:
        by the sizes of other parameters, a start where f is small counts as stationary.
        """
        self.flat = self.flat.with_params(params)
        self.tried = None
        leaves = self.flat.param_leaves
        self.evaluator.set_params(leaves)
        self.analysis = replace(self.analysis, param_leaves=leaves, floor=_floor(self.flat))
        scales, units = _sized(self.flat, self.evaluator)
        if not _alike(self.scales, scales):
            self.scales, self.units, self.fused = scales, units, None
            self.compiled.clear()

    def data(self, tol: float) -> Data:
        """The problem in the solver's units, to be solved to `tol`."""
        return self.units._replace(tol=np.float64(tol))

    def unscaled(self, tol: float) -> Data:
        """The problem in the user's own units."""
        none = np.zeros(self.flat.n)
        return start.data(self.flat, self.scales, none, np.zeros((self.flat.m, self.flat.n)), tol)

    def judged(self, x: np.ndarray, y: np.ndarray | None, z: np.ndarray | None, tol: float, **more: Any) -> Certificate:
        """The certificate of a point."""
        return judge(self.flat, self.evaluator, x, y, z, tol=tol, analysis=self.analysis, scales=self.scales, **more)

    def deferred(self, verdict: Verdict, x: np.ndarray, y: np.ndarray, z: np.ndarray, tol: float) -> Certificate:
        """The certificate of a point whose verdict is clear; its numbers are measured when they are first read."""
        flat, leaves, analysis, scales = self.flat, self.evaluator.param_leaves, self.analysis, self.scales

        def measure() -> Certificate:
            # The problem may have been given other parameters since.
            evaluator = self.evaluator.with_params(leaves)
            return judge(flat, evaluator, x, y, z, tol=tol, analysis=analysis, scales=scales)

        return Deferred(verdict, scales, (y, z), measure)

    def compile_fused(self) -> None:
        """Compile the whole solve into one program; later fused solves run it."""
        self.run_fused(self.flat.projected(self.flat.x0), 0.1, 0, float(self.units.tol))

    def run_fused(self, x0: np.ndarray, mu: float, max_iterations: int, tol: float) -> drivers.Packed:
        """The answer of the compiled solve from x0 (n,), with a verdict where that is clear."""
        with float64():
            if self.fused is None:
                known = conditions(scaled_problem(self.flat, self.evaluator, self.scales), self.analysis)
                self.fused = Fused(drivers.fused(self.evaluator, self.layout, self.units, known))
            array = self.fused(x0, (mu, tol, float(max_iterations)), self.evaluator.param_leaves)
        return drivers.unpack(array, self.flat.n, self.flat.m)
