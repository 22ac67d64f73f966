"""Derivatives of the traced program in its parameters, as products; nothing is stored that grows with n · p."""

from functools import cached_property, lru_cache
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np

from karush.certificates.analysis import Analysis, analyse
from karush.core.precision import float64
from karush.derivatives.evaluator import Evaluator
from karush.problem.flat import FlatProblem

KEPT = 4
"""problems whose compiled programs are remembered"""


class Programs:
    """For ``G(p) = (∇_x L(x, y, p), c(x, p), f(x, p))`` at fixed x, y: forward and adjoint products with dG/dp.

    `p` (P,) holds the entries of the floating-point leaves of params, one leaf after another.
    """

    def __init__(self, closed_jaxpr: Any, param_leaves: list[Any], m: int):
        self.closed_jaxpr, self.m = closed_jaxpr, m
        self.real = [np.asarray(leaf).dtype == np.float64 for leaf in param_leaves]
        self.shapes = [np.shape(leaf) for leaf in param_leaves]
        self.evaluator = Evaluator(closed_jaxpr, param_leaves, m)
        # Of long programs XLA's fusion takes minutes, as in the evaluator.
        options = self.evaluator.fused_options
        self._forward = jax.jit(self._forward_traced, compiler_options=options)
        self._adjoint = jax.jit(self._adjoint_traced, compiler_options=options)

    def flat(self, leaves: list[Any]) -> np.ndarray:
        """p (P,) of the leaves of params."""
        parts = [np.ravel(leaf) for leaf, real in zip(leaves, self.real, strict=True) if real]
        return np.concatenate([np.zeros(0), *parts])

    def _leaves(self, p: Any, leaves: Any) -> list[Any]:
        out, start = [], 0
        for leaf, real, shape in zip(leaves, self.real, self.shapes, strict=True):
            stop = start + int(np.prod(shape)) if real else start
            out.append(jnp.reshape(p[start:stop], shape) if real else leaf)
            start = stop
        return out

    def _program(self, x: Any, leaves: Any) -> Any:
        value, rows = jax.extend.core.jaxpr_as_fun(self.closed_jaxpr)(x, *leaves)
        return jnp.reshape(value, ()), rows

    def _conditions(self, x: Any, y: Any, leaves: Any, p: Any) -> Any:
        """G(p), with f first so that one pullback gives the rest."""
        (value, rows), pullback = jax.vjp(lambda x: self._program(x, self._leaves(p, leaves)), x)
        return pullback((jnp.ones_like(value), y))[0], rows, value

    def _forward_traced(self, x: Any, y: Any, leaves: Any, p: Any, directions: Any) -> Any:
        def along(direction: Any) -> Any:
            return jax.jvp(lambda p: self._conditions(x, y, leaves, p), (p,), (direction,))[1]

        return jax.vmap(along)(directions)

    def _adjoint_traced(self, x: Any, y: Any, leaves: Any, p: Any, cotangents: Any) -> Any:
        _, pullback = jax.vjp(lambda p: self._conditions(x, y, leaves, p), p)
        return jax.vmap(lambda one: pullback(one)[0])(cotangents)

    def forward(self, x: np.ndarray, y: np.ndarray, leaves: list[Any], directions: np.ndarray) -> tuple[Any, Any, Any]:
        """``dG/dp d`` for each row d of `directions` (b, P): ((b, n), (b, m), (b,))."""
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            out = self._forward(x, y, leaves, self.flat(leaves), directions)
        return np.asarray(out[0]), np.asarray(out[1]), np.asarray(out[2])

    def adjoint(
        self, x: np.ndarray, y: np.ndarray, leaves: list[Any], cotangents: tuple[np.ndarray, np.ndarray, np.ndarray]
    ) -> np.ndarray:
        """``(dG/dp)ᵀ w`` for each of `cotangents` ((b, n), (b, m), (b,)): (b, P)."""
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return np.asarray(self._adjoint(x, y, leaves, self.flat(leaves), cotangents))

    @cached_property
    def joint_analysis(self) -> Analysis:
        """Kinks of the program as a function of (x, p) together: |p − 1| has one that x alone does not show."""
        n = self.evaluator.n
        leaves = self.evaluator.param_leaves
        size = self.flat(leaves).size

        def joint(v: Any, *others: Any) -> Any:
            filled = iter(others)
            rest = [None if real else next(filled) for real in self.real]
            return self._program(v[:n], self._leaves(v[n:], rest))

        others = [leaf for leaf, real in zip(leaves, self.real, strict=True) if not real]
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return analyse(jax.make_jaxpr(joint)(np.zeros(n + size), *others), others)

    def kink_margins(self, x: np.ndarray, leaves: list[Any], scale: np.ndarray) -> tuple[np.ndarray, tuple[Any, ...]]:
        """Distances of (x, p) to the kinks, in units of `scale` (n,) and of the entries of p, and the kinks."""
        analysis = self.joint_analysis
        if not analysis.kinks or analysis.margins is None:
            return np.full(0, np.inf), ()
        p = self.flat(leaves)
        units = np.concatenate((scale, np.where(p != 0, np.abs(p), 1.0)))
        others = [leaf for leaf, real in zip(leaves, self.real, strict=True) if not real]
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return np.asarray(analysis.margins(np.concatenate((x, p)), units, *others)), analysis.kinks


@lru_cache(maxsize=KEPT)
def _programs(closed_jaxpr: Any, m: int) -> list[Programs]:
    return []


def programs(flat: FlatProblem) -> Programs:
    """The programs of a problem, compiled once; later calls take the parameter values of their own `flat`."""
    kept = _programs(flat.closed_jaxpr, flat.m)
    if not kept:
        kept.append(Programs(flat.closed_jaxpr, flat.param_leaves, flat.m))
    kept[0].evaluator.set_params(flat.param_leaves)
    return kept[0]
