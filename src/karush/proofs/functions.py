"""f, c and their first and second derivatives in ball arithmetic, from the traced program of a flat problem.

With ``F = (f, c): R^n -> R^(1+m)`` and weights w (1+m,)

```
values(x)      F(x)
first(x, w)    F(x),  ∇(wᵀF)(x)
second(x, w)   F(x),  J(x) (1+m, n),  H(x) (n, n) = ∇²(wᵀF)(x)
```

The derivatives are JAX's, of the primal operations of the program, and enclose where no comparison is undecided.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic.ball import DEFAULT_PRECISION, BallProgram
from karush.core.precision import float64
from karush.jaxprs.primal import primal
from karush.jaxprs.reverse import require_reversible
from karush.jaxprs.walk import Program, inline
from karush.problem.flat import FlatProblem

ADDRESS = re.compile(r"0x[0-9a-f]+")
"""addresses of functions inside the text of a program, which differ from run to run"""


class Functions:
    """The functions of a flat problem at one precision; each program is traced when first called."""

    def __init__(self, flat: FlatProblem, precision: int = DEFAULT_PRECISION):
        self.flat = flat
        self.precision = precision
        self._primal = primal(flat.closed_jaxpr)

    def _program(self, x: Any) -> Any:
        value, rows = self._primal(x, *self.flat.param_leaves)
        return jnp.concatenate([jnp.reshape(value, (1,)), jnp.reshape(rows, (self.flat.m,))])

    def _first(self, x: Any, weights: Any) -> Any:
        values, pullback = jax.vjp(self._program, x)
        return values, pullback(weights)[0]

    def _second(self, x: Any, weights: Any) -> Any:
        # The rules of `primal` hold for one differentiation: inside a loop JAX forgets them in the second.
        first = primal(self._first_jaxpr)

        def gradient_and_values(x: Any) -> tuple[Any, Any]:
            values, gradient = first(x, weights)
            return gradient, values

        def column(direction: Any) -> tuple[Any, Any, Any]:
            (_, values), (hessian, jacobian) = jax.jvp(gradient_and_values, (x,), (direction,))
            return values, jacobian, hessian

        return jax.vmap(column, out_axes=(None, 1, 1))(jnp.eye(self.flat.n))

    def _traced(self, function: Any, *arguments: Any, smooth: bool) -> BallProgram:
        return self._balls(_closed(function, *arguments), smooth=smooth)

    def _balls(self, closed: Any, *, smooth: bool) -> BallProgram:
        return BallProgram(closed, precision=self.precision, smooth=smooth)

    @cached_property
    def _first_jaxpr(self) -> Any:
        try:
            return _closed(self._first, np.zeros(self.flat.n), np.zeros(1 + self.flat.m))
        except ValueError:
            # A `custom_linear_solve` may compute by a loop, which JAX itself never differentiates.
            require_reversible(_closed(self._program, np.zeros(self.flat.n)))
            raise

    @cached_property
    def values(self) -> BallProgram:
        """x -> F; comparisons without an answer are joined."""
        return self._traced(self._program, np.zeros(self.flat.n), smooth=False)

    @cached_property
    def first(self) -> BallProgram:
        """x, w -> F, ∇(wᵀF)."""
        return self._balls(self._first_jaxpr, smooth=True)

    @cached_property
    def second(self) -> BallProgram:
        """x, w -> F, J, ∇²(wᵀF)."""
        return self._traced(self._second, np.zeros(self.flat.n), np.zeros(1 + self.flat.m), smooth=True)


class RowFunctions(Functions):
    """As `Functions` with f = 0: what a theorem about the constraints alone asks for.

    The steps of the objective are left out, for it may leave its domain where the constraints do not.
    """

    def _program(self, x: Any) -> Any:
        _, rows = self._primal(x, *self.flat.param_leaves)
        return jnp.concatenate([jnp.zeros(1), jnp.reshape(rows, (self.flat.m,))])

    def _balls(self, closed: Any, *, smooth: bool) -> BallProgram:
        program = super()._balls(closed, smooth=smooth)
        program.program = _needed(program.program)
        return program


def _needed(program: Program) -> Program:
    """`program` without the steps that no output depends on."""
    used, steps = set(program.outputs), []
    for step in reversed(program.steps):
        if used.intersection(step.outputs):
            used.update(step.inputs)
            steps.append(step)
    return replace(program, steps=steps[::-1])


def _closed(function: Any, *arguments: Any) -> Any:
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return jax.make_jaxpr(function)(*map(np.asarray, arguments))


def _constants(program: Program) -> Iterator[Any]:
    """Captured arrays and literals, also of what is called or looped over: the text of a program does not show them."""
    yield from (program.constants[slot] for slot in sorted(program.constants))
    for step in program.steps:
        for body in step.bodies:
            yield from _constants(body)


def fingerprint(flat: FlatProblem) -> str:
    """SHA-256 of the traced program, its constants, parameters and limits: what a theorem speaks of."""
    closed = flat.closed_jaxpr
    digest = hashlib.sha256(ADDRESS.sub("", str(closed.jaxpr)).encode())
    arrays = [*_constants(inline(closed)), *flat.param_leaves, flat.lower, flat.upper, flat.row_lower, flat.row_upper]
    for array in map(np.asarray, arrays):
        digest.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    digest.update(str((flat.maximize, flat.variable_names, flat.row_names)).encode())
    return digest.hexdigest()


__all__ = ["Functions", "RowFunctions", "fingerprint"]
