"""The derivative of a repaired function: that of the repaired program where it is accurate, else a repaired derivative.

```
g = repaired f,    dg = sum_i (repaired df/dx_i) dx_i
```

The gradient of the original, by JAX, is a program like any other: where the gradient of the repaired program is found
inaccurate against its exact values, it is repaired itself, and becomes the derivative rule.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from karush.stability.repair import Traced, repair, take_sample
from karush.stability.rows import Row

GOOD_MEAN = 1.0
"""mean bits of error of a gradient that is left as it is"""
LEAST_GAIN = 0.5
"""mean bits that a rule of its own must save"""
OWN_RULE = Row("derivative with a rule of its own", "", "", "Hig02")


def accurate_slope(program: Traced, run: Callable[..., Any], *, seed: int = 1) -> Callable[..., Any] | None:
    """`run` with an accurate derivative; None where it has one, or returns more than one number."""
    avals = program.closed.in_avals
    if [(v.shape, v.dtype) for v in program.closed.out_avals] != [((), program.dtype)]:
        return None
    arguments = tuple(range(len(avals)))
    original = jaxpr_as_fun(program.closed)
    slope = jax.grad(lambda *given: original(*given)[0], argnums=arguments)
    own_slope = jax.grad(lambda *given: run(*given)[0], argnums=arguments)
    slopes = Traced(jax.make_jaxpr(slope)(*avals), program.lows, program.highs, program.dtype)
    sample = take_sample(slopes, np.random.default_rng(seed))
    if not any(ok.any() for ok in sample.valid):
        return None
    errors = sample.errors(own_slope)
    if errors.mean() <= GOOD_MEAN:
        return None
    better = repair(slopes, seed=seed)
    slope_run = jaxpr_as_fun(slopes.closed) if better.run is None else better.run
    if not better.after < errors.mean() - LEAST_GAIN:
        return None
    return _with_rule(run, slope_run)


def _with_rule(run: Callable[..., Any], slope: Callable[..., Sequence[Any]]) -> Callable[..., Any]:
    """`run` with `slope`, its partial derivatives, as rule."""
    function = jax.custom_jvp(lambda *given: run(*given)[0])

    def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        parts = slope(*primals)
        moved = [jnp.sum(part * tangent) for part, tangent in zip(parts, tangents, strict=True)]
        return function(*primals), sum(moved[1:], start=moved[0])

    function.defjvp(rule)
    return lambda *given: [function(*given)]


__all__ = ["OWN_RULE", "accurate_slope"]
