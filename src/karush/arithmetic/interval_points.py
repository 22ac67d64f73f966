"""The point functions that interval ends are computed with: XLA's own where they are good, else rebuilt from good ones.

| function | XLA's own error in ulps | built as |
|---|---|---|
| log1p | 128 near −0.41 | ``log(u) x / (u − 1)``, ``u = 1 + x`` |
| atanh | 129 | ``sign(x) log1p(2|x| / (1 − |x|)) / 2`` |
| sinh | 496 for large x | ``(e + e / (e + 1)) / 2``, ``e = expm1 |x|``; ``exp(|x| − log 2)`` beyond 20 |
| erf_inv | 484000 near ±1 | one step of Newton's method on erfc |
| cosh | 496 for large x | ``(e + 1/e) / 2``, ``e = exp |x|`` |
| sin, cos | 0.5, but scalar code | reduction by π/2 in four parts [CW80], then the polynomials of fdlibm |
| cbrt | 60 for the largest x | one step of Newton's method on XLA's own |

The margins of `karush.arithmetic.interval_margins` are those of these functions, compiled.
"""

import math
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


def erf_inv(x: Any) -> Any:
    """XLA's own, and beyond 1/2 one step of Newton's method for ``erfc y = 1 − |x|``, a difference that is exact."""
    own, size = lax.erf_inv(x), jnp.abs(x)
    outer = (size > 0.5) & (size < 1.0)
    y = jnp.where(outer, jnp.abs(own), 1.0)
    slope = (2.0 / math.sqrt(math.pi)) * lax.exp(-y * y)
    return jnp.where(outer, jnp.sign(x) * (y + (lax.erfc(y) - (1.0 - size)) / slope), own)


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


HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32)
"""π/2 in parts of 33 bits, so that up to 2²⁰ times each of the first three is exact, and the rest"""
SINE = (-0.16666666666666632, 0.00833333333332249, -0.0001984126982985795, 2.7557313707070068e-06)
SINE += (-2.5050760253406863e-08, 1.58969099521155e-10)
COSINE = (0.0416666666666666, -0.001388888888887411, 2.480158728947673e-05, -2.7557314351390663e-07)
COSINE += (2.087572321298175e-09, -1.1359647557788195e-11)
"""coefficients on [−π/4, π/4], of fdlibm: ``sin r = r + r³ S(r²)``, ``cos r = 1 − r²/2 + r⁴ C(r²)``"""


def _polynomial(coefficients: tuple[float, ...], z: Any) -> Any:
    out = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        out = out * z + coefficient
    return out


def turned(quarter: float) -> Callable[[Any], Any]:
    """``sin(x + quarter π/2)`` for ``|x| <= LARGEST_ANGLE``."""

    def function(x: Any) -> Any:
        count = jnp.round(x * (2.0 / math.pi))
        rest = x
        for part in HALF_PI:
            rest = rest - count * part
        z = rest * rest
        sine = rest + rest * (z * _polynomial(SINE, z))
        cosine = 1.0 - (0.5 * z - z * (z * _polynomial(COSINE, z)))
        place = count + quarter
        place = place - 4.0 * jnp.floor(0.25 * place)
        value = jnp.where((place == 1.0) | (place == 3.0), cosine, sine)
        return jnp.where(place >= 2.0, -value, value)

    return function


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sqrt": lax.sqrt,
    "rsqrt": lax.rsqrt,
    "cbrt": cbrt,
    "exp": lax.exp,
    "expm1": lax.expm1,
    "log": lax.log,
    "log1p": log1p,
    "sin": turned(0.0),
    "cos": turned(1.0),
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
    "erf_inv": erf_inv,
    "lgamma": lax.lgamma,
    "digamma": lax.digamma,
    "polygamma 1": lambda x: lax.polygamma(jnp.ones_like(x), x),
    "polygamma 2": lambda x: lax.polygamma(jnp.full_like(x, 2.0), x),
    "polygamma 3": lambda x: lax.polygamma(jnp.full_like(x, 3.0), x),
}
"""primitive -> function of one number"""

FLOORS = {"lgamma": 1.0, "digamma": 1.0}
"""functions whose error near their zeros is measured against this, not against their value"""
POLYGAMMA = (2.0**-10, 2.0**20)
"""where polygamma functions are enclosed"""
LARGEST_ANGLE = 2.0**20
"""beyond it sin and cos are enclosed by [−1, 1], and tan is not enclosed"""
LEAST_EXPONENT = -708.0
"""below it exp and the logistic function are enclosed by 0 and their value here: XLA flushes subnormal results"""
LARGEST_ERFC = 26.0
"""above it erfc is enclosed by 0 and its value here"""

__all__ = ["FLOORS", "FUNCTIONS", "LARGEST_ANGLE", "LARGEST_ERFC", "LEAST_EXPONENT", "POLYGAMMA"]
