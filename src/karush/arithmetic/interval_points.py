"""The point functions that interval ends are computed with: XLA's own where they are good, else rebuilt from good ones.

| function | XLA's own error in ulps | built as |
|---|---|---|
| expm1, sinh, cosh, tanh | 4, 496, 496, 7 | from two doubles for ``e^x``: `karush.arithmetic.interval_exponentials` |
| log1p, atanh, acosh | 128, 129, 3 | from log and what its rounded argument lost: there, too |
| erfc | 510 for large x | times the factor that the rounded square in ``exp(−x²)`` loses |
| erf_inv | 484000 near ±1 | one step of Newton's method on erfc |
| sin, cos | 0.5, but scalar code | reduction by π/2 in four parts [CW80], then the polynomials of fdlibm |
| cbrt | 60 for the largest x | one step of Newton's method on XLA's own |

The margins of `karush.arithmetic.interval_margins` are those of these functions, compiled.
"""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from karush.arithmetic.interval_exponentials import acosh, atanh, cosh, erfc, expm1, log1p, polynomial, sinh, tanh


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


HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32)
"""π/2 in parts of 33 bits, so that up to 2²⁰ times each of the first three is exact, and the rest"""
SINE = (-0.16666666666666632, 0.00833333333332249, -0.0001984126982985795, 2.7557313707070068e-06)
SINE += (-2.5050760253406863e-08, 1.58969099521155e-10)
COSINE = (0.0416666666666666, -0.001388888888887411, 2.480158728947673e-05, -2.7557314351390663e-07)
COSINE += (2.087572321298175e-09, -1.1359647557788195e-11)
"""coefficients on [−π/4, π/4], of fdlibm: ``sin r = r + r³ S(r²)``, ``cos r = 1 − r²/2 + r⁴ C(r²)``"""


def turned(quarter: float) -> Callable[[Any], Any]:
    """``sin(x + quarter π/2)`` for ``|x| <= LARGEST_ANGLE``."""

    def function(x: Any) -> Any:
        count = jnp.round(x * (2.0 / math.pi))
        rest = x
        for part in HALF_PI:
            rest = rest - count * part
        z = rest * rest
        sine = rest + rest * (z * polynomial(SINE, z))
        cosine = 1.0 - (0.5 * z - z * (z * polynomial(COSINE, z)))
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
    "expm1": expm1,
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
    "tanh": tanh,
    "asinh": lax.asinh,
    "acosh": acosh,
    "atanh": atanh,
    "logistic": lax.logistic,
    "erf": lax.erf,
    "erfc": erfc,
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
