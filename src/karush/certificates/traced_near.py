"""The derivatives beside a point against those at it, as a JAX function: `near.Beside` and `rounding.steady` in one."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from karush.certificates import near
from karush.certificates.rounding import STEADY
from karush.certificates.scaled import Scaled
from karush.certificates.traced_point import Answer, TracedPoint, moved

ROUNDS = 0.75
"""Share of a bound that is used up where compiled and step-by-step numbers differ by rounding alone."""


def beside(
    scaled: Scaled,
    answer: Answer,
    point: TracedPoint,
    d: Any,
    tol: Any,
    derivatives: Callable[[Any, Any], tuple[Any, Any, Any]],
) -> tuple[Any, Any, Any]:
    """``∇L(u + d) − ∇L(u)``, ``H(u + d)``, and whether the derivatives there are steady: see `rounding`.

    The second look, half as far away, is a second turn of one loop, so that the functions are compiled once.
    """
    weights = jnp.concatenate([jnp.ones(1), answer.y])
    promised = point.hessian @ d, point.jacobian @ d

    def going(carried: Any) -> Any:
        turn, _, _, _, steady = carried
        return (turn < 1) | ((turn < 2) & ~steady)

    def look(carried: Any) -> Any:
        turn, missing, change, hessian, _ = carried
        first = turn < 1
        x, way = moved(scaled, point, jnp.where(first, 1.0, 0.5) * d)
        values, jacobian, hessian_there = derivatives(x, weights)
        slope = (weights @ jacobian) / scaled.bound_price - point.slope
        rows = values[1:] / scaled.scales.rows - point.rows
        here = slope - point.hessian @ way, rows - point.jacobian @ way
        kept = tuple(jnp.where(first, one, other) for one, other in zip(here, missing, strict=True))
        rest = tuple(jnp.where(first, 0.0, other - 4.0 * one) for one, other in zip(here, kept, strict=True))
        steady = _follows(kept, promised, jnp.where(first, near.BENT, near.CURVED), tol)
        steady &= _follows(rest, promised, near.BENT, tol)
        return turn + 1, kept, jnp.where(first, slope, change), jnp.where(first, hessian_there, hessian), steady

    nothing = tuple(map(jnp.zeros_like, promised))
    start = jnp.asarray(0), nothing, nothing[0], jnp.zeros_like(point.hessian), jnp.asarray(False)
    _, _, change, hessian, steady = jax.lax.while_loop(going, look, start)
    return change, hessian * scaled.scales.x / scaled.bound_price[:, None], steady


def _follows(missing: tuple[Any, ...], promised: tuple[Any, ...], share: Any, tol: Any) -> Any:
    """Whether what is missing, of the slope and of the rows, is within the bounds of `rounding.steady`."""
    follows = jnp.asarray(True)
    for part, model in zip(missing, promised, strict=True):
        if part.size:
            follows &= jnp.max(jnp.abs(part)) <= ROUNDS * (STEADY * tol + share * jnp.max(jnp.abs(model)))
    return follows


__all__ = ["ROUNDS", "beside"]
