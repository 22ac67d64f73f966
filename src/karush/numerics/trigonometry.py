"""Relatives of sine and cosine: cosm1, sinc."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from karush.jaxprs.meaning import means
from karush.numerics import meanings
from karush.numerics.coefficients import SINC
from karush.numerics.door import elementwise
from karush.numerics.errorfree import horner


def cosm1(x: Any) -> jax.Array:
    """``cos(x) − 1 = −2 sin²(x/2)`` (`scipy.special.cosm1`).

    Parameters
    ----------
    x : array of any shape, radians

    Returns
    -------
    array of the shape and dtype of `x`; NaN at ±∞. Derivative ``−sin x``.
    """
    return elementwise(_cosm1, x=x)


def sinc(x: Any) -> jax.Array:
    """``sin(πx)/(πx)``, and 1 at x = 0 (`numpy.sinc`).

    x is reduced by the nearest integer before it is multiplied by π, so that the zeros are exact.

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the shape and dtype of `x`; 0 at ±∞. Derivative ``(cos(πx) − sinc(x))/x``, 0 at x = 0 and at ±∞.
    """
    return elementwise(_sinc, x=x)


@means(meanings.cosm1)
@jax.custom_jvp
def _cosm1(x: jax.Array) -> jax.Array:
    half = jnp.sin(0.5 * x)
    return -2.0 * half * half


_cosm1.defjvps(lambda t, ans, x: t * -jnp.sin(x))


def _reduced(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``r = x − k``, k the nearest integer, and (−1)^k."""
    k = jnp.round(x)
    odd = k - 2.0 * jnp.round(0.5 * k)
    return x - k, 1.0 - 2.0 * jnp.abs(odd)


@jax.custom_jvp
def _sinc(x: jax.Array) -> jax.Array:
    finite = jnp.abs(x) < jnp.inf
    v = jnp.where(finite, x, 1.0)
    r, sign = _reduced(v)
    kernel = horner(SINC, r * r)
    far = jnp.abs(v) > 0.5
    value = jnp.where(far, sign * r * kernel / jnp.where(far, v, 1.0), kernel)
    return jnp.where(finite, value, jnp.where(jnp.isnan(x), x, 0.0))


def _sinc_slope(x: jax.Array) -> jax.Array:
    """``(cos(πx) − sinc(x))/x``; for |x| ≤ ½ the slope of the polynomial."""
    finite = jnp.abs(x) < jnp.inf
    v = jnp.where(finite, x, 1.0)
    r, sign = _reduced(v)
    far = jnp.abs(v) > 0.5
    s = jnp.where(far, 0.0, v)
    _, by_square = jax.jvp(lambda w: horner(SINC, w), (s * s,), (jnp.ones_like(s),))
    # cos(πr) = sin(π(½ − |r|))
    rest = 0.5 - jnp.abs(r)
    cosine = sign * math.pi * rest * horner(SINC, rest * rest)
    slope = jnp.where(far, (cosine - _sinc(v)) / jnp.where(far, v, 1.0), 2.0 * s * by_square)
    return jnp.where(finite, slope, jnp.where(jnp.isnan(x), x, 0.0))


_sinc.defjvps(lambda t, ans, x: t * _sinc_slope(x))
