"""Derivative rules of operations that keep their accuracy where JAX's own cancel or leave the range.

```
d(x/y) = (dx - (x/y) dy) / y          JAX: dx/y - x dy y^-2, whose power overflows
d tanh x = 4 e/(1 + e)^2 dx           JAX: (1 + y)(1 - y) dx, e = exp(-2|x|)
d expm1 x = exp(x) dx                 JAX: (y + 1) dx
d asin x = dx / sqrt((1 - x)(1 + x))  JAX: dx / sqrt(1 - x^2)
```
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Function = Callable[..., Any]


def ruled(function: Function, move: Callable[..., Any]) -> Function:
    """`function` with the derivative rule ``move(value, *arguments, *their moves)``."""
    inner = jax.custom_jvp(function)

    def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        value = inner(*primals)
        return value, jnp.broadcast_to(move(value, *primals, *tangents), jnp.shape(value))

    inner.defjvp(rule)
    return inner


def _bell(e: Any) -> Any:
    """``e / (1 + e)^2``, the slope of a sigmoid with ``e = exp(-|u|)``."""
    return e / ((1 + e) * (1 + e))


def _exprel_slope(x: Any) -> Any:
    """``sum_n n x^(n-1) / (n+1)!``, beyond |x| = 1 as ``((x - 1) e^x + 1) / x^2``."""
    near = jnp.abs(x) < 1
    inner, outer = jnp.where(near, x, 0), jnp.where(near, 2, x)
    total, terms = jnp.zeros_like(x), 20
    factorial = 1.0
    coefficients = []
    for n in range(1, terms):
        factorial *= n + 1
        coefficients.append(n / factorial)
    for coefficient in reversed(coefficients):
        total = total * inner + coefficient
    return jnp.where(near, total, ((outer - 1) * jnp.exp(outer) + 1) / outer / outer)


def _atan2_move(value: Any, a: Any, b: Any, da: Any, db: Any) -> Any:
    """``(b da - a db) / (a^2 + b^2)``, by the quotient of the smaller and the larger."""
    flat = jnp.abs(b) >= jnp.abs(a)
    below, above = jnp.where(flat, b, a), jnp.where(flat, a, b)
    r = above / jnp.where(below == 0, 1, below)
    return jnp.where(flat, da - r * db, r * da - db) / (below * (1 + r * r))


def _power_move(p: Any, x: Any, y: Any, dx: Any, dy: Any) -> Any:
    """``y x^(y-1) dx + log(x) x^y dy``; what y - 1 loses by rounding is made good, for large |log x| it is seen."""
    less = y - 1
    lost = y - (less + 1)
    log = jnp.log(jnp.where(x > 0, x, 1))
    slope = y * jnp.power(x, jnp.where(y == 0, 1, less)) * (1 + lost * log)
    return slope * dx + log * p * dy


RULES: dict[str, Callable[..., Any]] = {
    "div": lambda q, x, y, dx, dy: (dx - q * dy) / y,
    "tanh": lambda y, x, dx: 4 * _bell(jnp.exp(-2 * jnp.abs(x))) * dx,
    "logistic": lambda y, x, dx: _bell(jnp.exp(-jnp.abs(x))) * dx,
    "expm1": lambda y, x, dx: jnp.exp(x) * dx,
    "asin": lambda y, x, dx: dx / jnp.sqrt((1 - x) * (1 + x)),
    "acos": lambda y, x, dx: -dx / jnp.sqrt((1 - x) * (1 + x)),
    "atanh": lambda y, x, dx: dx / ((1 - x) * (1 + x)),
    "acosh": lambda y, x, dx: dx / (jnp.sqrt(x - 1) * jnp.sqrt(x + 1)),
    "sinh": lambda y, x, dx: jnp.cosh(x) * dx,
    "exprel": lambda y, x, dx: _exprel_slope(x) * dx,
    "atan2": _atan2_move,
    "pow": _power_move,
}
"""operation -> its rule"""


__all__ = ["RULES", "ruled"]
