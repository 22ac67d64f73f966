"""Sparsity patterns of the Jacobian and of the Lagrangian's Hessian, their colorings by asdex."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asdex
import jax
import jax.numpy as jnp
import numpy as np

from karush.core.precision import float64
from karush.derivatives.detection import find
from karush.derivatives.index_sets import TooFullError
from karush.derivatives.pattern import both_sides

PAYS_BELOW = 0.5
"""Colors per variable below which the compressed product beats the dense one."""
SPARSE_BELOW = 0.3
"""Share of nonzeros above which no coloring is tried: it would need nearly all colors, and 30 s to find that out for a
full matrix of order 200."""


@dataclass(frozen=True)
class Pattern:
    """Colored patterns of J (m, n) and of H (n, n)."""

    jacobian_coloring: asdex.ColoredPattern | None
    hessian_coloring: asdex.ColoredPattern
    n: int

    @property
    def jacobian(self) -> Any:
        """pattern of J with `.rows` and `.cols`"""
        if self.jacobian_coloring is None:
            return asdex.SparsityPattern(np.zeros(0, np.int32), np.zeros(0, np.int32), (0, self.n))
        return self.jacobian_coloring.sparsity

    @property
    def hessian(self) -> Any:
        """pattern of all of H with `.rows` and `.cols`"""
        return self.hessian_coloring.sparsity

    def jacobian_data(self, rows: Callable[[Any], Any], x: Any) -> Any:
        """Entries of the Jacobian of `rows` at x, in pattern order, in a trace."""
        if self.jacobian_coloring is None or self.jacobian_coloring.sparsity.nnz == 0:
            return jnp.zeros(0)
        compressed = asdex.compressed_jacobian_from_coloring(rows, self.jacobian_coloring)(x)
        return asdex.decompress_data(compressed, self.jacobian_coloring)

    def hessian_data(self, function: Callable[[Any], Any], x: Any) -> Any:
        """Entries of the Hessian of `function` at x, in pattern order, in a trace."""
        if self.hessian_coloring.sparsity.nnz == 0:
            return jnp.zeros(0)
        compressed = asdex.compressed_hessian_from_coloring(function, self.hessian_coloring)(x)
        return asdex.decompress_data(compressed, self.hessian_coloring)


def detect(program: Callable[..., Any], n: int, m: int, params: list[Any]) -> Pattern | None:
    """Colored patterns of ``program(x, *params) -> (1+m,)``, or None where dense products are as good.

    They are read off the traced products (``detection.py``), so no entry is missed by an unlucky probing point, nor by
    parameters that are zero now: a prepared problem is solved with others.
    """
    x = jax.ShapeDtypeStruct((n,), np.float64)
    with float64():
        weights = jnp.ones(1 + m)

        def bent(x: Any, v: Any, *params: Any) -> Any:
            slope = jax.grad(lambda x: jnp.vdot(weights, program(x, *params)))
            return jax.jvp(slope, (x,), (v,))[1]

        def along(x: Any, v: Any, *params: Any) -> Any:
            return jax.jvp(lambda x: program(x, *params)[1:], (x,), (v,))[1]

        try:
            found = find(jax.make_jaxpr(bent)(x, x, *params), n)
            of_rows = find(jax.make_jaxpr(along)(x, x, *params), n) if m else None
        except TooFullError:
            return None
        hessian = asdex.SparsityPattern(*both_sides(found, n), (n, n))
        jacobian = None if of_rows is None else asdex.SparsityPattern(of_rows.rows, of_rows.cols, (m, n))
        if hessian.nnz > SPARSE_BELOW * n * n or (jacobian is not None and jacobian.nnz > SPARSE_BELOW * m * n):
            return None
        with warnings.catch_warnings():
            # asdex warns where coloring saves nothing; that is decided below.
            warnings.simplefilter("ignore", asdex.DenseColoringWarning)
            hessian_coloring = asdex.hessian_coloring_from_sparsity(hessian)
            jacobian_coloring = None if jacobian is None else asdex.jacobian_coloring_from_sparsity(jacobian)
    colors = max(hessian_coloring.num_colors, 0 if jacobian_coloring is None else jacobian_coloring.num_colors)
    return Pattern(jacobian_coloring, hessian_coloring, n) if colors <= PAYS_BELOW * n else None


def dense_pattern(rows: int, cols: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column indices of a full matrix, row by row."""
    return np.repeat(np.arange(rows), cols), np.tile(np.arange(cols), rows)
