"""Point functions of one ulp made of the exponential and the logarithm, for the ends of intervals.

```
e^x = 2^k (1 + p),  p = e^r − 1,  r = x − k log 2
log(1 + x) = log u + (1 + x − u) / u,  u the double next to 1 + x
```

XLA's own are off by up to 700 ulps, and an end moves by twice what they are off. Here p is a sum of two doubles, and
what a rounded sum loses is added again, so that one or two roundings of the result remain. All is arithmetic of
vectors: every quotient that is used twice is a reciprocal, which XLA keeps in one loop.
"""

import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from karush.arithmetic.twofold_numbers import fast_two_sum, two_product, two_sum

LOG2 = (0.6931471803691238, 1.9082149292705877e-10)
"""log 2: its first 32 digits, whose product with k is exact, and the rest"""
TERMS = tuple(1.0 / math.factorial(n) for n in range(2, 15))
"""of ``(e^r − 1 − r) / r²``: for ``|r| <= log(2) / 2`` what follows is below 2⁻⁵⁸ of r"""
WHOLE = 1.5 * 2.0**52
"""added to an integer, it leaves the integer in the last bits"""
BIAS = 1023
DIGITS = 52
LEAST, MOST = -40.0, 710.5
"""below, e^x − 1 rounds to −1; above, cosh x is no double"""
TINY = 2.0**-500
"""below it a function with slope 1 at 0 is its argument; a quarter of the smallest numbers would be flushed to 0"""
TANH_SMALL = 0.625
TANH_ABOVE = (-1614.6876844170845, -99.28772310019185, -0.9643991794250523)
TANH_BELOW = (4844.063053251255, 2235.4883906010046, 112.81167849163293, 1.0)
"""``tanh x = x + x z P(z) / Q(z)``, z = x², ``|x| <= TANH_SMALL`` [Mos89]"""
ACOSH_LARGE = 2.0**28
"""beyond, acosh x is log(2 x) to all digits"""


def polynomial(coefficients: tuple[float, ...], z: Any) -> Any:
    """``sum_n c_n z^n`` by Horner's rule."""
    out = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        out = out * z + coefficient
    return out


def _exponential(x: Any) -> tuple[Any, Any, Any]:
    """``e^x / 4 = q (1 + h + l)`` for x in [LEAST, MOST]: q = 2^(k−2), and h, l two doubles, l the smaller."""
    k = jnp.round(x * (1.0 / math.log(2.0)))
    r, lost = two_sum(x - k * LOG2[0], -(k * LOG2[1]))
    h, l = fast_two_sum(r, r * r * polynomial(TERMS, r) + lost)
    bits = lax.bitcast_convert_type(k + (WHOLE + BIAS - 2), jnp.int64)
    return lax.bitcast_convert_type(bits << DIGITS, jnp.float64), h, l


def _quarter_expm1(x: Any) -> tuple[Any, Any]:
    """``(e^x − 1) / 4`` as two doubles."""
    q, h, l = _exponential(jnp.clip(x, LEAST, MOST))
    s, lost = two_sum(q - 0.25, q * h)
    return s, q * l + lost


def _quarter_exp(x: Any) -> tuple[Any, Any]:
    """``e^x / 4`` as two doubles."""
    q, h, l = _exponential(jnp.clip(x, LEAST, MOST))
    s, lost = fast_two_sum(q, q * h)
    return s, q * l + lost


def expm1(x: Any) -> Any:
    """``e^x − 1``."""
    s, lost = _quarter_expm1(x)
    return jnp.where(jnp.abs(x) < TINY, x, 4.0 * (s + lost))


def sinh(x: Any) -> Any:
    """Odd; ``(e + e / (e + 1)) / 2`` with ``e = e^|x| − 1``, of which s is a quarter."""
    s, lost = _quarter_expm1(jnp.abs(x))
    return jnp.where(jnp.abs(x) < TINY, x, jnp.sign(x) * (2.0 * (s + (s / (1.0 + 4.0 * s) + lost))))


def cosh(x: Any) -> Any:
    """Even; ``2 (s + 1 / (16 s))`` with ``s = e^|x| / 4``."""
    s, lost = _quarter_exp(jnp.abs(x))
    return 2.0 * (s + (0.0625 / s + lost))


def tanh(x: Any) -> Any:
    """Odd; ``1 − 2 / (e^2|x| + 1)``, for small x a rational function."""
    size = jnp.minimum(jnp.abs(x), -LEAST)
    z = size * size
    small = size + size * (z * polynomial(TANH_ABOVE, z) / polynomial(TANH_BELOW, z))
    s, lost = _quarter_exp(2.0 * size)
    d, rest = two_sum(s, 0.25)
    inverse = 0.5 / d
    large = 1.0 - (inverse - inverse * ((rest + lost) * (2.0 * inverse)))
    return jnp.sign(x) * jnp.where(size < TANH_SMALL, small, large)


def _log1p(x: Any, low: Any = 0.0) -> Any:
    """``log(1 + x + low)``."""
    u, lost = two_sum(jnp.ones_like(x), x)
    return jnp.where(jnp.isinf(u), u, lax.log(u) + (lost + low) / u)


def log1p(x: Any) -> Any:
    """``log(1 + x)``."""
    return _log1p(x)


def atanh(x: Any) -> Any:
    """Odd; ``log1p(2|x| / (1 − |x|)) / 2``."""
    size = jnp.abs(x)
    d, lost = fast_two_sum(jnp.ones_like(size), -size)
    inverse = 1.0 / d
    y, rest = two_product(2.0 * size, inverse)
    # What 1/d and d lack: y (1 − d/d) and y lost / d.
    product, error = two_product(d, inverse)
    low = rest + y * ((1.0 - product) - error - lost * inverse)
    return jnp.sign(x) * (0.5 * _log1p(y, low))


def acosh(x: Any) -> Any:
    """``log1p(t + sqrt(t² + 2 t))``, t = x − 1."""
    t = jnp.clip(x, 1.0, ACOSH_LARGE) - 1.0
    square, rest = two_product(t, t)
    w, lost = two_sum(2.0 * t, square)
    root = lax.sqrt(w)
    p, e = two_product(root, root)
    short = ((w - p) - e + (lost + rest)) / jnp.where(root == 0.0, 1.0, 2.0 * root)
    z, low = fast_two_sum(root, t)
    return jnp.where(x > ACOSH_LARGE, lax.log(x) + math.log(2.0), _log1p(z, low + short))


def erfc(x: Any) -> Any:
    """XLA's own, which loses what the rounded square in ``exp(−x²)`` loses, and that factor."""
    _, lost = two_product(x, x)
    return lax.erfc(x) * jnp.where(x > 1.0, 1.0 - lost, 1.0)


__all__ = ["acosh", "atanh", "cosh", "expm1", "log1p", "polynomial", "sinh", "tanh"]
