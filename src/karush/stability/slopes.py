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

from karush.stability.repair import Repaired, Traced, repair, take_sample

GOOD_MEAN = 1.0
"""mean bits of error of a gradient that is left as it is"""


def with_accurate_slope(program: Traced, found: Repaired, *, seed: int = 1) -> Callable[..., Any]:
    """``found.run`` with a derivative that is accurate too, for a program with one number as its output."""
    run = found.run
    assert run is not None
    avals = program.closed.in_avals
    if [v.shape for v in program.closed.out_avals] != [()]:
        return run
    arguments = tuple(range(len(avals)))
    original = jax.extend.core.jaxpr_as_fun(program.closed)
    slope = jax.grad(lambda *given: original(*given)[0], argnums=arguments)
    own_slope = jax.grad(lambda *given: run(*given)[0], argnums=arguments)
    slopes = Traced(jax.make_jaxpr(slope)(*avals), program.lows, program.highs, program.dtype)
    sample = take_sample(slopes, np.random.default_rng(seed))
    if not any(ok.any() for ok in sample.valid):
        return run
    errors = sample.errors(own_slope)
    if errors.mean() <= GOOD_MEAN:
        return run
    better = repair(slopes, seed=seed)
    slope_run = jax.extend.core.jaxpr_as_fun(slopes.closed) if better.run is None else better.run
    if not better.after < errors.mean():
        return run
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


__all__ = ["with_accurate_slope"]
