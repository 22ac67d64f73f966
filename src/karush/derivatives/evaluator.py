"""Values and exact derivatives of a problem, from one traced program, in one compiled call.

With the weights ``w = (σ, y)`` and ``F = (f, c): R^n -> R^(1+m)`` a call returns

```
F(x)         (1+m,)
J(x)         (1+m, n)   the gradient of f above the Jacobian of c
H(x, w)      (n, n)     Hessian of  σ f + yᵀc,  the Jacobian of its gradient
```
"""

import copy
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np

from karush.core.precision import float64
from karush.derivatives.sparsity import Pattern, dense_pattern, detect

SPARSE_FROM = 60
"""From this many variables on, patterns are looked for; below, the n-column product is as fast (see docs/solver.md)."""
UNFUSED_FROM = 600
"""Equations of a program from which XLA's fusion is left out: one kernel of thousands of scalar operations takes LLVM
minutes (HS25: 114 s fused, 4 s not), while single operations cost at most some 100 µs more a call."""
UNFUSED_POWERS_FROM = 10
"""Powers with a real exponent from which it is left out for the first solve, for LLVM takes 0.1 s for each (HS101)."""


COMPILED_FROM = 30
"""Calls for values alone that the program with derivatives answers; for more, one of their own is worth compiling."""
UNFUSED = {"xla_disable_hlo_passes": "fusion"}


class Evaluation(NamedTuple):
    """f, c and their derivatives at one point; NumPy float64 arrays, not to be written to."""

    value: float
    gradient: np.ndarray
    """(n,)"""
    rows: np.ndarray
    """(m,)"""
    jacobian: np.ndarray
    """(m, n)"""
    hessian: Any
    """(n, n) of σ f + yᵀc; of a large problem a `Curved`, which multiplies by ``@``"""


class SparseEvaluation(NamedTuple):
    """As `Evaluation`, with the entries of the patterns instead of the matrices."""

    value: float
    gradient: np.ndarray
    rows: np.ndarray
    jacobian_data: np.ndarray
    """aligned with `Evaluator.jacobian_pattern`"""
    hessian_data: np.ndarray
    """aligned with `Evaluator.hessian_pattern`, the lower triangle"""


class Evaluator:
    """Compiled derivatives of a traced program ``(x, *params) -> (f, c)``; the user's functions are not called again.

    Parameters
    ----------
    closed_jaxpr
        The traced program.
    param_leaves
        Leaves of the parameters, one array each.
    m
        Number of rows.
    """

    def __init__(self, closed_jaxpr: Any, param_leaves: list[Any], m: int):
        self.closed_jaxpr = closed_jaxpr
        self.param_leaves = param_leaves
        self.n = closed_jaxpr.in_avals[0].shape[0]
        self.m = m
        self.calls = 0
        self._value_calls = 0
        self._last: tuple[bytes, Evaluation] | None = None
        powers = sum(equation.primitive.name == "pow" for equation in closed_jaxpr.eqns)
        long = len(closed_jaxpr.eqns) >= UNFUSED_FROM
        options = UNFUSED if long or powers >= UNFUSED_POWERS_FROM else None
        self.pattern: Pattern | None = detect(self.program, self.n, m, param_leaves) if self.n >= SPARSE_FROM else None
        self.fused_options = UNFUSED if long else None
        """compiler options for a program that holds the whole solve, which is compiled for repeated use"""
        self._dense = jax.jit(self.derivatives, compiler_options=options)
        self._sparse = jax.jit(self.compressed, compiler_options=options)
        self._values = jax.jit(self.program, compiler_options=options)

    def program(self, x: Any, *params: Any) -> Any:
        """F(x) = (f, c), (1+m,), in a trace."""
        value, rows = jax.extend.core.jaxpr_as_fun(self.closed_jaxpr)(x, *params)
        return jnp.concatenate([jnp.reshape(value, (1,)), rows])

    def derivatives(self, x: Any, weights: Any, *params: Any) -> tuple[Any, Any, Any]:
        """``F (1+m,), J (1+m, n), H (n, n)`` in a trace; `weights` (1+m,) is (σ, y)."""
        if self.pattern is None:
            return self._dense_columns(x, weights, params)
        values, gradient, jacobian_data, hessian_data = self.compressed(x, weights, *params)
        pattern = self.pattern
        jacobian = jnp.zeros((self.m, self.n)).at[pattern.jacobian.rows, pattern.jacobian.cols].set(jacobian_data)
        hessian = jnp.zeros((self.n, self.n)).at[pattern.hessian.rows, pattern.hessian.cols].set(hessian_data)
        return values, jnp.concatenate([gradient[None], jacobian]), hessian

    def _dense_columns(self, x: Any, weights: Any, params: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        def gradient_and_values(x: Any) -> tuple[Any, Any]:
            values, pullback = jax.vjp(lambda x: self.program(x, *params), x)
            return pullback(weights)[0], values

        def column(direction: Any) -> tuple[Any, Any, Any]:
            (_, values), (hessian, jacobian) = jax.jvp(gradient_and_values, (x,), (direction,))
            return values, jacobian, hessian

        return jax.vmap(column, out_axes=(None, 1, 1))(jnp.eye(self.n))

    def compressed(self, x: Any, weights: Any, *params: Any) -> tuple[Any, Any, Any, Any]:
        """F, ∇f, and the entries of J and of all of H in the order of the pattern, in a trace."""
        pattern = self.pattern
        if pattern is None:
            raise RuntimeError("compressed products need a sparsity pattern")

        def fun(x: Any) -> Any:
            return self.program(x, *params)

        values, pullback = jax.vjp(fun, x)
        gradient = pullback(jnp.zeros(1 + self.m).at[0].set(1.0))[0]
        jacobian_data = pattern.jacobian_data(lambda x: fun(x)[1:], x)
        hessian_data = pattern.hessian_data(lambda x: jnp.vdot(weights, fun(x)), x)
        return values, gradient, jacobian_data, hessian_data

    def raw(self, x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """F, J, H as NumPy arrays, with the gradient of f above the Jacobian; to be called within `float64()`."""
        self.calls += 1
        values, jacobian, hessian = self._dense(x, weights, *self.param_leaves)
        return np.asarray(values), np.asarray(jacobian), np.asarray(hessian)

    def __call__(self, x: np.ndarray, y: np.ndarray, weight: float = 1.0) -> Evaluation:
        """Everything at x (n,), with the Hessian of ``weight f + yᵀc``; the last answer is remembered."""
        weights = np.concatenate(([weight], y))
        key = x.tobytes() + weights.tobytes()
        if self._last is None or self._last[0] != key:
            with float64():
                values, jacobian, hessian = self.raw(x, weights)
            self._last = key, Evaluation(float(values[0]), jacobian[0], values[1:], jacobian[1:], hessian)
        return self._last[1]

    def values(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """f(x) and c(x) (m,)."""
        self._value_calls += 1
        if self._value_calls <= COMPILED_FROM:
            at = self(x, np.zeros(self.m))
            return at.value, at.rows
        with float64():
            values = np.asarray(self._values(x, *self.param_leaves))
        return float(values[0]), values[1:]

    def sparse(self, x: np.ndarray, y: np.ndarray, weight: float = 1.0) -> SparseEvaluation:
        """Everything at x (n,), matrices as entries of `jacobian_pattern` and `hessian_pattern`."""
        if self.pattern is None:
            dense = self(x, y, weight)
            lower = dense.hessian.ravel()[self._lower_triangle]
            return SparseEvaluation(dense.value, dense.gradient, dense.rows, dense.jacobian.ravel(), lower)
        self.calls += 1
        with float64():
            out = self._sparse(x, np.concatenate(([weight], y)), *self.param_leaves)
        values, gradient, jacobian_data, hessian_data = (np.asarray(part) for part in out)
        return SparseEvaluation(
            float(values[0]), gradient, values[1:], jacobian_data, hessian_data[self._lower_triangle]
        )

    @property
    def jacobian_pattern(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column indices of the entries of J that can be nonzero."""
        if self.pattern is None:
            return dense_pattern(self.m, self.n)
        return self.pattern.jacobian.rows, self.pattern.jacobian.cols

    @property
    def hessian_pattern(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column indices, row >= column, of the entries of H that can be nonzero."""
        rows, cols = self._full_hessian_pattern()
        return rows[self._lower_triangle], cols[self._lower_triangle]

    def _full_hessian_pattern(self) -> tuple[np.ndarray, np.ndarray]:
        if self.pattern is None:
            return dense_pattern(self.n, self.n)
        return self.pattern.hessian.rows, self.pattern.hessian.cols

    @cached_property
    def _lower_triangle(self) -> np.ndarray:
        rows, cols = self._full_hessian_pattern()
        return np.flatnonzero(rows >= cols)

    def with_params(self, param_leaves: list[Any]) -> "Evaluator":
        """Itself where it has these parameter values, else another one with them on the same compiled programs."""
        if param_leaves is self.param_leaves:
            return self
        other = copy.copy(self)
        other.set_params(param_leaves)
        return other

    def set_params(self, param_leaves: list[Any]) -> None:
        """Evaluate with other parameter values from now on; nothing is compiled anew."""
        self.param_leaves = param_leaves
        self._last = None
