"""The point functions that interval ends are computed with: XLA's own where they are good, else rebuilt from good ones.

| function | XLA's own error in ulps | built as |
|---|---|---|
| log1p | 128 near −0.41 | ``log(u) x / (u − 1)``, ``u = 1 + x`` |
| atanh | 129 | ``sign(x) log1p(2|x| / (1 − |x|)) / 2`` |
| sinh | 496 for large x | ``(e + e / (e + 1)) / 2``, ``e = expm1 |x|``; ``exp(|x| − log 2)`` beyond 20 |
| cosh | 496 for large x | ``(e + 1/e) / 2``, ``e = exp |x|`` |
| cbrt | 60 for the largest x | one step of Newton's method on XLA's own |

The margins of `karush.arithmetic.interval_margins` are those of these functions, compiled.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax


def log1p(x: Any) -> Any:
    """``log(1 + x)``: the error of u = 1 + x is undone by the factor x / (u − 1), where u − 1 is exact."""
    # Without the barrier the simplifier turns (1 + x) − 1 into x.
    u = lax.optimization_barrier(1.0 + x)
    rest = u - 1.0
    return jnp.where(rest == 0.0, x, jnp.where(jnp.isinf(u), u, lax.log(u) * (x / jnp.where(rest == 0.0, 1.0, rest))))


def atanh(x: Any) -> Any:
    """Odd; ``log1p(2|x| / (1 − |x|)) / 2``."""
    size = jnp.abs(x)
    return jnp.sign(x) * (0.5 * log1p(2.0 * size / (1.0 - size)))


def cbrt(x: Any) -> Any:
    """XLA's own, and one step of Newton's method for ``y³ = x``, written so that nothing overflows."""
    y = lax.cbrt(x)
    safe = jnp.where((x == 0.0) | jnp.isinf(x), 1.0, y)
    return jnp.where((x == 0.0) | jnp.isinf(x), y, safe - (safe - (x / safe) / safe) / 3.0)


def sinh(x: Any) -> Any:
    """Odd; from expm1, and beyond 20 from two factors ``exp(|x|/2)``, which do not overflow."""
    size = jnp.abs(x)
    e = lax.expm1(jnp.minimum(size, 30.0))
    half = lax.optimization_barrier(lax.exp(0.5 * size))
    return jnp.sign(x) * jnp.where(size < 20.0, 0.5 * (e + e / (e + 1.0)), (0.5 * half) * half)


def cosh(x: Any) -> Any:
    """Even; from exp, and beyond 20 from two factors."""
    size = jnp.abs(x)
    half = lax.optimization_barrier(lax.exp(0.5 * size))
    e = half * half
    return jnp.where(size < 20.0, 0.5 * (e + 1.0 / e), (0.5 * half) * half)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sqrt": lax.sqrt,
    "rsqrt": lax.rsqrt,
    "cbrt": cbrt,
    "exp": lax.exp,
    "expm1": lax.expm1,
    "log": lax.log,
    "log1p": log1p,
    "sin": lax.sin,
    "cos": lax.cos,
    "tan": lax.tan,
    "asin": lax.asin,
    "acos": lax.acos,
    "atan": lax.atan,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": lax.tanh,
    "asinh": lax.asinh,
    "acosh": lax.acosh,
    "atanh": atanh,
    "logistic": lax.logistic,
    "erf": lax.erf,
    "erfc": lax.erfc,
}
"""primitive -> function of one number"""

LARGEST_ANGLE = 2.0**20
"""beyond it sin and cos are enclosed by [−1, 1], and tan is not enclosed"""
LEAST_EXPONENT = -708.0
"""below it exp and the logistic function are enclosed by 0 and their value here: XLA flushes subnormal results"""
LARGEST_ERFC = 26.0
"""above it erfc is enclosed by 0 and its value here"""

__all__ = ["FUNCTIONS", "LARGEST_ANGLE", "LARGEST_ERFC", "LEAST_EXPONENT"]
