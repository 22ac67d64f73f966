"""Jacobians of flat programs: blocks of partial derivatives, matrices with twice the digits, derivative rules.

```
blocks = (dy_1/dx_1, dy_1/dx_2, ..., dy_2/dx_1, ...),    each of the shape of y_i, then that of x_j
```
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic.twofold import TwofoldProgram, compensated

Run = Callable[..., Any]


def reals(run: Run, real: Sequence[int]) -> Run:
    """The outputs that have derivatives."""

    def outputs(*given: Any) -> list[Any]:
        out = run(*given)
        return [out[index] for index in real]

    return outputs


def backward(run: Run, real: Sequence[int], count: int) -> Run:
    """All partial derivatives of the outputs `real`, one block per output and input, by reverse mode."""
    outputs = reals(run, real)

    def partials(*given: Any) -> tuple[Any, ...]:
        values, back = jax.vjp(outputs, *given)
        if [np.shape(value) for value in values] == [()]:
            return back([jnp.ones_like(values[0])])
        return tuple(jax.tree_util.tree_leaves(jax.jacrev(outputs, argnums=tuple(range(count)))(*given)))

    return partials


def forward(run: Run, real: Sequence[int], count: int) -> Run:
    """The same by forward mode: other intermediate results, which may stay in the range where those leave it."""
    matrix = jax.jacfwd(reals(run, real), argnums=tuple(range(count)))
    return lambda *given: tuple(jax.tree_util.tree_leaves(matrix(*given)))


def with_sum(run: Run, real: Sequence[int], count: int) -> Run:
    """The partial derivatives, and of several numbers the gradient of their sum."""
    outputs, partials = reals(run, real), backward(run, real, count)

    def judged(*given: Any) -> tuple[Any, ...]:
        values, back = jax.vjp(outputs, *given)
        if sum(int(np.size(value)) for value in values) == 1:
            return partials(*given)
        return (*partials(*given), *back([jnp.ones_like(value) for value in values]))

    return judged


def moved(part: Any, tangent: Any) -> Any:
    """``sum_j df_i/dx_j dx_j`` over all axes of x."""
    return jnp.sum(part * tangent, axis=tuple(range(jnp.ndim(part) - jnp.ndim(tangent), jnp.ndim(part))))


def ruled(run: Run, moves: Callable[[Sequence[Any], Sequence[Any]], list[Any]], real: Sequence[int]) -> Run:
    """`run` with the rule that moves its outputs `real`."""
    function = jax.custom_jvp(lambda *given: tuple(run(*given)))

    def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        values = function(*primals)
        steps: list[Any] = [np.zeros(np.shape(value), jax.dtypes.float0) for value in values]
        for index, move in zip(real, moves(primals, tangents), strict=True):
            steps[index] = move
        return values, tuple(steps)

    function.defjvp(rule)
    return lambda *given: list(function(*given))


def twofold_matrix(partials: Run, rows: Sequence[int], avals: Sequence[Any]) -> Run:
    """Upper and lower part (m, n) of the Jacobian whose blocks are `partials`."""

    def joined(blocks: Sequence[Any]) -> Any:
        bands = [blocks[k * len(avals) : (k + 1) * len(avals)] for k in range(len(rows))]
        return jnp.concatenate(
            [
                jnp.concatenate([jnp.reshape(block, (size, -1)) for block in band], axis=1)
                for size, band in zip(rows, bands, strict=True)
            ]
        )

    def computed(*given: Any) -> tuple[Any, Any]:
        blocks = TwofoldProgram(jax.make_jaxpr(partials)(*given))(*given)
        return joined([block.hi for block in blocks]), joined([block.lo for block in blocks])

    pair = jax.custom_jvp(computed)

    def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        # The lower part is what the upper one lacks for its digits; what moves is their sum.
        whole = compensated(lambda *given: joined(partials(*given)))
        hi, lo = pair(*primals)
        return (hi, lo), (jax.jvp(whole, primals, tangents)[1], jnp.zeros_like(lo))

    pair.defjvp(rule)
    return pair


__all__ = ["Run", "backward", "forward", "moved", "reals", "ruled", "twofold_matrix", "with_sum"]
