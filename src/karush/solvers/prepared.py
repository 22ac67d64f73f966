"""What is done once for a problem, whatever its starts: trace, patterns, compiled derivatives, units and scales."""

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from karush.certificates import Certificate, Scales, judge, typical_scales
from karush.certificates.analysis import Analysis, analyse
from karush.core.precision import float64
from karush.derivatives.evaluator import Evaluator
from karush.linalg.kkt_system import Layout, layout
from karush.problem.flat import FlatProblem, flatten
from karush.problem.problem import Problem
from karush.solvers import drivers, start
from karush.solvers.state import Data


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
    fused: dict[str, Any] = field(default_factory=dict)
    """compiled solve and its data on the device, once asked for"""
    compiled: dict[Any, Any] = field(default_factory=dict)
    """compiled programs of the methods for problems without constraint rows, by method"""

    @classmethod
    def of(cls, problem: Problem) -> "Prepared":
        """Trace and compile the problem's functions."""
        flat = flatten(problem)
        evaluator = Evaluator(flat.closed_jaxpr, flat.param_leaves, flat.m)
        analysis = analyse(flat.closed_jaxpr, flat.param_leaves)
        rows = layout(flat.n, flat.row_lower == flat.row_upper)
        at_start = evaluator(flat.projected(flat.x0), np.zeros(flat.m))
        scales = typical_scales(flat, at_start, evaluator)
        units = start.data(flat, scales, at_start.gradient, at_start.jacobian, 1e-8)
        return cls(problem, flat, evaluator, analysis, rows, scales, units)

    def set_params(self, params: Any) -> None:
        """Solve with other parameter values from now on; nothing is traced or compiled anew."""
        self.flat = self.flat.with_params(params)
        leaves = self.flat.param_leaves
        self.evaluator.set_params(leaves)
        self.analysis = replace(self.analysis, param_leaves=leaves)

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

    def compile_fused(self) -> None:
        """Compile the whole solve into one program; later fused solves run it."""
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            function = drivers.fused(self.evaluator, self.layout)
            device = jax.tree.map(jax.numpy.asarray, self.units)
            arguments = (device, self.flat.projected(self.flat.x0), 0.1, 0, *self.evaluator.param_leaves)
            jax.block_until_ready(function(*arguments))
        self.fused = {"function": function, "device": device, "tol": float(self.units.tol)}

    def run_fused(self, x0: np.ndarray, mu: float, max_iterations: int, tol: float) -> np.ndarray:
        """The packed answer of `drivers.fused` from x0 (n,)."""
        if not self.fused:
            self.compile_fused()
        device = self.fused["device"]
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            if tol != self.fused["tol"]:
                device = jax.tree.map(jax.numpy.asarray, self.data(tol))
                self.fused |= {"device": device, "tol": tol}
            return np.asarray(self.fused["function"](device, x0, mu, max_iterations, *self.evaluator.param_leaves))
