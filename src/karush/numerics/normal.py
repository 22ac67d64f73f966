"""The logarithm of the normal distribution function, by a scaled complementary error function."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from karush.jaxprs.meaning import means
from karush.numerics import meanings
from karush.numerics.coefficients import ERFCX, MILLS
from karush.numerics.door import elementwise
from karush.numerics.errorfree import horner, two_product
from karush.numerics.logarithms import log1p_of

CENTRE = 2.0
"""of t = (y − 2)/(y + 2), in which erfcx is a polynomial"""
LAST = 1e10
"""beyond it the square of x may overflow, and the normal tail is 0 or 1 in any precision"""


def log_ndtr(x: Any) -> jax.Array:
    """``log Φ(x)``, Φ the distribution function of the standard normal (`scipy.special.log_ndtr`).

    With ``erfcx(y) = exp(y²) erfc(y)`` and y = |x|/√2 it is ``−x²/2 + log(erfcx(y)/2)`` for x ≤ 0 and
    ``log1p(−exp(−x²/2) erfcx(y)/2)`` for x > 0: no subtraction of near-equal numbers.

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the shape and dtype of `x`. Derivative ``φ(x)/Φ(x)``, about −x for very negative x.
    """
    return elementwise(_log_ndtr, x=x)


def _half_erfcx(x: jax.Array) -> jax.Array:
    """``exp(y²) erfc(y)/2`` at y = |x|/√2."""
    y = jnp.minimum(jnp.abs(x), LAST) * math.sqrt(0.5)
    return 0.5 * horner(ERFCX, (y - CENTRE) / (y + CENTRE)) / (1.0 + 2.0 * y)


def _bell(x: jax.Array) -> jax.Array:
    """``exp(−x²/2)``; the rounding error of x² would cost up to nine bits where the result is small."""
    square, lost = two_product(jnp.minimum(jnp.abs(x), LAST), jnp.minimum(jnp.abs(x), LAST))
    return jnp.exp(-0.5 * square) * (1.0 - 0.5 * jnp.where(square < 1.0 / jnp.finfo(x.dtype).eps, lost, 0.0))


@means(meanings.log_ndtr)
@jax.custom_jvp
def _log_ndtr(x: jax.Array) -> jax.Array:
    half = _half_erfcx(x)
    lower = -0.5 * x * x + jnp.log(half)
    upper = log1p_of(-_bell(x) * jnp.where(x > 0.0, half, 0.0))
    return jnp.where(x > 0.0, upper, lower)


def _excess(u: jax.Array) -> jax.Array:
    """``φ(u)/Φ(−u) − u`` for u ≥ 0, which tends to 1/u."""
    inside = jnp.minimum(u, LAST)
    excess = horner(MILLS, (inside - CENTRE) / (inside + CENTRE)) / (1.0 + inside)
    return jnp.where(u < LAST, excess, 1.0 / jnp.maximum(u, LAST))


@jax.custom_jvp
def _hazard(x: jax.Array) -> jax.Array:
    """``φ(x)/Φ(x)``."""
    bell = _bell(x)
    upper = bell / math.sqrt(2.0 * math.pi) / (1.0 - bell * _half_erfcx(x))
    below = jnp.maximum(-x, 0.0)
    return jnp.where(x > 0.0, upper, below + _excess(below))


def _hazard_slope(x: jax.Array) -> jax.Array:
    """``−h (x + h)`` of ``h = φ(x)/Φ(x)``; for x < 0 the sum in brackets is the excess of h over −x."""
    h, below = _hazard(x), jnp.maximum(-x, 0.0)
    finite = jnp.clip(x, -LAST, LAST)
    above = -h * (finite + h)
    return jnp.where(x > 0.0, above, -_hazard(finite) * _excess(jnp.minimum(below, LAST)))


_hazard.defjvps(lambda t, ans, x: t * _hazard_slope(x))
_log_ndtr.defjvps(lambda t, ans, x: t * _hazard(x))
