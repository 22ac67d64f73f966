"""Sparsity patterns and colorings of the Jacobian and of the Lagrangian's Hessian, by asdex."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asdex
import jax.numpy as jnp
import numpy as np

from karush.core.precision import float64

PAYS_BELOW = 0.5
"""Colors per variable below which the compressed product beats the dense one."""


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

    asdex reads the traced program, so no entry is missed by an unlucky probing point; what it cannot read (fft,
    linear solves) it says by NotImplementedError, and the products are dense.
    """
    sample = np.zeros(n)
    with float64(), warnings.catch_warnings():
        # That a coloring does not pay is an answer here, not news for the user.
        warnings.simplefilter("ignore", asdex.DenseColoringWarning)
        weights = jnp.ones(1 + m)
        try:
            hessian = asdex.hessian_coloring(lambda x: jnp.vdot(weights, program(x, *params)), sample)
            jacobian = asdex.jacobian_coloring(lambda x: program(x, *params)[1:], sample) if m else None
        except NotImplementedError:
            return None
    colors = max(hessian.num_colors, 0 if jacobian is None else jacobian.num_colors)
    return Pattern(jacobian, hessian, n) if colors <= PAYS_BELOW * n else None


def dense_pattern(rows: int, cols: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column indices of a full matrix, row by row."""
    return np.repeat(np.arange(rows), cols), np.tile(np.arange(cols), rows)
