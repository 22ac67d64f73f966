"""The derivative of a repaired function: that of the repaired program where it is accurate, else a repaired derivative.

```
g = repaired f,    dg_i = sum_j (repaired df_i/dx_j) dx_j
```

The partial derivatives of the original, by JAX, are a program like any other: where those of the repaired program are
found inaccurate against their exact values, they are repaired themselves, and become the derivative rule.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from karush.jaxprs.walk import inline
from karush.stability.evaluate import emit
from karush.stability.repair import Traced, repair, take_sample
from karush.stability.rows import Row
from karush.stability.straight import typed
from karush.stability.terms import Graph, read

GOOD_MEAN = 1.0
"""mean bits of error of a derivative that is left as it is"""
LEAST_GAIN = 0.5
"""mean bits that a rule of its own must save"""
MOST_PARTIALS = 256
"""entries of a Jacobian up to which it is looked at: its rule computes all of them"""
OWN_RULE = Row("derivative with a rule of its own", "", "", "Hig02")

Run = Callable[..., Any]


def accurate_slope(program: Traced, repaired: Run | None, *, seed: int = 1) -> Run | None:
    """The program with an accurate derivative; None where it has one, or its Jacobian is too large to be looked at.

    repaired
        what stands for the program; None where that was left alone.
    """
    avals, outputs = program.closed.in_avals, program.closed.out_avals
    real = [index for index, out in enumerate(outputs) if out.dtype == program.dtype]
    size = sum(int(np.prod(aval.shape)) for aval in avals)
    if not real or size * sum(int(np.prod(outputs[index].shape)) for index in real) > MOST_PARTIALS:
        return None
    original = jaxpr_as_fun(program.closed)
    run = original if repaired is None else repaired
    slopes = _traced(program, _partials(original, real, len(avals)))
    sample = take_sample(slopes, np.random.default_rng(seed))
    if not any(ok.any() for ok in sample.valid):
        return None
    errors = sample.errors(_partials(run, real, len(avals)))
    if errors.mean() <= GOOD_MEAN:
        return None
    best: tuple[float, Run] | None = None
    for start in (_traced(program, _partials(_with_rules(program, repaired), real, len(avals))), slopes):
        found = repair(start, seed=seed, meaning=slopes)
        if found.after < errors.mean() - LEAST_GAIN and (best is None or found.after < best[0]):
            best = found.after, jaxpr_as_fun(start.closed) if found.run is None else found.run
        if found.after <= GOOD_MEAN:
            break
    return None if best is None else _with_rule(run, best[1], real, len(avals))


def _with_rules(program: Traced, repaired: Run | None) -> Run:
    """The repaired program; the original, if it is left alone, with the derivative rules of our operations."""
    if repaired is not None:
        return repaired
    graph = Graph(program.dtype)
    return emit(read(graph, typed(inline(program.closed)))[1])


def _partials(run: Run, real: Sequence[int], count: int) -> Run:
    """All partial derivatives of the outputs `real`, one block per output and input."""

    def outputs(*given: Any) -> list[Any]:
        out = run(*given)
        return [out[index] for index in real]

    def partials(*given: Any) -> tuple[Any, ...]:
        values, back = jax.vjp(outputs, *given)
        if [np.shape(value) for value in values] == [()]:
            return back([jnp.ones_like(values[0])])
        return tuple(jax.tree_util.tree_leaves(jax.jacrev(outputs, argnums=tuple(range(count)))(*given)))

    return partials


def _traced(program: Traced, partials: Run) -> Traced:
    return Traced(jax.make_jaxpr(partials)(*program.closed.in_avals), program.lows, program.highs, program.dtype)


def _with_rule(run: Run, partials: Run, real: Sequence[int], count: int) -> Run:
    """`run` with its partial derivatives as rule."""
    function = jax.custom_jvp(lambda *given: tuple(run(*given)))

    def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        values, blocks = function(*primals), partials(*primals)
        moves: list[Any] = [np.zeros(np.shape(value), jax.dtypes.float0) for value in values]
        for row, index in enumerate(real):
            parts = blocks[row * count : (row + 1) * count]
            moved = [_moved(part, tangent) for part, tangent in zip(parts, tangents, strict=True)]
            moves[index] = sum(moved[1:], start=moved[0])
        return values, tuple(moves)

    function.defjvp(rule)
    return lambda *given: list(function(*given))


def _moved(part: Any, tangent: Any) -> Any:
    """``sum_j df_i/dx_j dx_j`` over all axes of x."""
    return jnp.sum(part * tangent, axis=tuple(range(jnp.ndim(part) - jnp.ndim(tangent), jnp.ndim(part))))


__all__ = ["OWN_RULE", "accurate_slope"]
