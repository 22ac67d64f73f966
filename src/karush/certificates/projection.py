"""The null space of active gradients as a projector, in a trace: static shapes, whichever limits are active.

```
P = F − AᵀK⁻¹A,   K = A Aᵀ,   A = unit gradients of the active rows on the free variables F
```

Gradients that are nearly dependent are not looked into: ``clear`` is False.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from karush.certificates.kkt import TINY
from karush.certificates.second_order import EPS

LARGEST_INVERSE = 1e6
"""‖K⁻¹‖ up to which gradients count as clearly independent: singular values above 1e-3, far above `RANK`."""


class NullSpace(NamedTuple):
    """Null space of active gradients in the coordinates of all n variables."""

    projector: Any
    """(n, n) P"""
    free: Any
    """(n,) 1 where a variable is not held by its bound, else 0"""
    unit: Any
    """(p, n) A, zero rows for what is not active"""
    inverse: Any
    """(p, p) K⁻¹"""
    order: Any
    """(p,) indices of A's rows among the m, or None for all in their order"""
    lengths: Any
    """(m,) of the rows' gradients"""
    full: Any
    """(m, n) the rows' unit gradients on all variables"""
    dimension: Any
    clear: Any
    """bool: the gradients are clearly independent"""
    error: Any
    """of P, relative to 1"""

    def project(self, vector: Any) -> Any:
        """P v."""
        return self.projector @ vector

    def restricted(self, matrix: Any) -> Any:
        """(n, n) ``P M P`` with eigenvalues beyond all of M's in the directions that P removes."""
        beyond = 2.0 * jnp.linalg.norm(matrix) + TINY
        inner = self.projector @ matrix @ self.projector
        return 0.5 * (inner + inner.T) + beyond * (jnp.eye(matrix.shape[0]) - self.projector)

    def reach(self, inwards: Any) -> Any:
        """(n,) the shortest d with ``a_i d = inwards_i`` for the unit gradients of rows, after those of bounds."""
        m = self.lengths.size
        d = jnp.where(self.free > 0, 0.0, inwards[m:])
        if not m:
            return d
        left = inwards[:m] - self.full @ d
        left = left if self.order is None else left[self.order]
        return d + self.unit.T @ (self.inverse @ left)


def null_space(jacobian: Any, active: Any, possible: np.ndarray) -> NullSpace:
    """Directions along which the limits `active` (k,) bool keep their values to first order.

    `jacobian` is (m, n); `possible` (k,), static, is False for limits that are never active.
    """
    m, n = jacobian.shape
    free = jnp.where(active[m:], 0.0, 1.0)
    lengths = jnp.sqrt(jnp.sum(jacobian**2, axis=1))
    full = jacobian / jnp.maximum(lengths, TINY)[:, None]
    count = jnp.sum(active[:m])
    dimension = jnp.sum(free).astype(count.dtype) - count
    if not possible[:m].any():
        zero = jnp.zeros((0, 0))
        return NullSpace(
            jnp.diag(free), free, jnp.zeros((0, n)), zero, np.zeros(0, int), lengths, full, dimension, True, 0.0
        )
    order, rows, chosen = None, full, active[:m]
    if m > n:
        # More than n of them are dependent anyway.
        chosen, order = jax.lax.top_k(active[:m].astype(jnp.int32), n)
        chosen, rows = chosen > 0, full[order]
    unit = jnp.where(chosen[:, None], rows * free, 0.0)
    gram = unit @ unit.T + jnp.diag(jnp.where(chosen, 0.0, 1.0))
    factor = jnp.linalg.cholesky(gram, symmetrize_input=False)
    half = jax.lax.linalg.triangular_solve(factor, jnp.eye(chosen.size), left_side=True, lower=True)
    inverse = half.T @ half
    size = jnp.linalg.norm(inverse)
    once = jnp.diag(free) - unit.T @ (inverse @ unit)
    # A second time removes the rounding of the first.
    projector = once @ once
    clear = (size <= LARGEST_INVERSE) & (dimension >= 0)
    return NullSpace(projector, free, unit, inverse, order, lengths, full, dimension, clear, n * EPS * size)
