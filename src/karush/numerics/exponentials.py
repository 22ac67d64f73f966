"""Relatives of the exponential: expm1, exprel, powm1, sigmoid, tanh."""

from typing import Any

import jax
import jax.numpy as jnp

from karush.jaxprs.meaning import means
from karush.numerics import meanings
from karush.numerics.coefficients import EXPM1_TAIL
from karush.numerics.door import elementwise
from karush.numerics.errorfree import horner, tiny

SERIES = 1.0
"""|x| up to which exp(x) − 1 is a polynomial; beyond it, exp(x) − 1 loses less than one bit"""
POWM1_SERIES = 0.5
"""|y log x| up to which x^y − 1 is expm1(y log x)"""


def expm1(x: Any) -> jax.Array:
    """``exp(x) − 1`` without cancellation near 0.

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the shape and dtype of `x`. The derivative is ``exp(x)``.
    """
    return elementwise(expm1_of, x=x)


def exprel(x: Any) -> jax.Array:
    """``(exp(x) − 1)/x``, and 1 at x = 0 (`scipy.special.exprel`).

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the shape and dtype of `x`. The derivative is ``(exp(x) − exprel(x))/x``, ½ at 0.
    """
    return elementwise(exprel_of, x=x)


def powm1(x: Any, y: Any) -> jax.Array:
    """``x^y − 1`` without cancellation where x^y is near 1 (`scipy.special.powm1`).

    Parameters
    ----------
    x, y : arrays that broadcast against each other

    Returns
    -------
    array; NaN for x < 0 and y no integer. Derivatives ``y x^(y−1)`` and ``x^y log x`` (0 at x = 0 < y, and for x < 0,
    where y can only be an integer).
    """
    return elementwise(_powm1, x=x, y=y)


def sigmoid(x: Any) -> jax.Array:
    """``1/(1 + exp(−x))``, with the derivative ``σ(x) σ(−x)`` and not σ(1 − σ), which is 0 already at x = 17.

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the shape and dtype of `x`.
    """
    return elementwise(sigmoid_of, x=x)


def tanh(x: Any) -> jax.Array:
    """``tanh(x)``, with the derivative ``1/cosh(x)²`` and not 1 − tanh(x)², which cancels.

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the shape and dtype of `x`.
    """
    return elementwise(tanh_of, x=x)


@means(jnp.expm1)
@jax.custom_jvp
def expm1_of(x: jax.Array) -> jax.Array:
    """`expm1` of a float array."""
    near = jnp.abs(x) <= SERIES
    s = jnp.where(near, x, 0.0)
    return jnp.where(near, s + s * s * horner(EXPM1_TAIL, s), jnp.exp(x) - 1.0)


expm1_of.defjvps(lambda t, ans, x: t * jnp.exp(x))


@jax.custom_jvp
def exprel_of(x: jax.Array) -> jax.Array:
    """`exprel` of a float array."""
    near = jnp.abs(x) <= SERIES
    s = jnp.where(near, x, 0.0)
    far, high, half = _beyond(x, near)
    ratio = jnp.where(high, half * (half / far), (jnp.exp(jnp.where(high, 1.0, far)) - 1.0) / far)
    return jnp.where(near, 1.0 + s * horner(EXPM1_TAIL, s), ratio)


@jax.custom_jvp
def exprel_slope(x: jax.Array) -> jax.Array:
    """``(exp(x) − exprel(x))/x``; near 0 the slope of exprel's own polynomial."""
    near = jnp.abs(x) <= SERIES
    s = jnp.where(near, x, 0.0)
    value, slope = jax.jvp(lambda v: horner(EXPM1_TAIL, v), (s,), (jnp.ones_like(s),))
    far, high, half = _beyond(x, near)
    steep = half * (half / far) * ((far - 1.0) / far)
    ratio = ((far - 1.0) * (jnp.exp(jnp.where(high, 1.0, far)) / far) + 1.0 / far) / far
    return jnp.where(near, value + s * slope, jnp.where(high, steep, jnp.where(far == -jnp.inf, 0.0, ratio)))


def _exprel_bend(x: jax.Array) -> jax.Array:
    """Second derivative, ``(exp(x) − 2 exprel'(x))/x``."""
    near = jnp.abs(x) <= SERIES
    s = jnp.where(near, x, 0.0)
    one = jnp.ones_like(s)
    # d²/ds² (1 + s P(s)) = 2 P' + s P''
    _, slope, bend = _derivatives(EXPM1_TAIL, s, one)
    far, high, half = _beyond(x, near)
    steep = half * (half / far) * (1.0 - 2.0 / far + (2.0 / far) / far)
    ratio = (jnp.exp(jnp.where(high, 1.0, far)) - 2.0 * exprel_slope(x)) / far
    return jnp.where(near, 2.0 * slope + s * bend, jnp.where(high, steep, ratio))


def _derivatives(coefficients: tuple[float, ...], s: jax.Array, one: jax.Array) -> tuple[jax.Array, ...]:
    """Value, first and second derivative of a polynomial."""

    def first(v: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(lambda w: horner(coefficients, w), (v,), (one,))

    (value, slope), (_, bend) = jax.jvp(first, (s,), (one,))
    return value, slope, bend


exprel_slope.defjvps(lambda t, ans, x: t * _exprel_bend(x))


def _beyond(x: jax.Array, near: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """x where it is not near 0, whether exp(x) is about to overflow before exp(x)/x does, and exp(x/2)."""
    limit = jnp.log(jnp.asarray(jnp.finfo(x.dtype).max, x.dtype))
    far = jnp.minimum(jnp.where(near, -1.0, x), 2.0 * limit)
    high = far > limit - 1.0
    return far, high, jnp.exp(0.5 * jnp.where(high, far, 1.0))


exprel_of.defjvps(lambda t, ans, x: t * exprel_slope(x))


@means(meanings.powm1)
@jax.custom_jvp
def _powm1(x: jax.Array, y: jax.Array) -> jax.Array:
    power = jnp.power(x, y)
    exponent = y * jnp.log(jnp.where(x > 0.0, x, 1.0))
    near = (x > 0.0) & (jnp.abs(exponent) <= POWM1_SERIES)
    return jnp.where(near, expm1_of(jnp.where(near, exponent, 0.0)), power - 1.0)


def _powm1_by_x(t: jax.Array, ans: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    # 0 · 0^(−1) is 0: the constant x^0 has no slope.
    flat = y == 0.0
    # Rounding y − 1 would cost log x times as much: x^y/x, where x^y is a normal number.
    whole = jnp.power(x, y)
    usable = (jnp.abs(whole) > tiny(x)) & (jnp.abs(whole) < jnp.inf) & (x != 0.0)
    lower = jnp.power(x, jnp.where(flat, 1.0, y) - 1.0)
    power = jnp.where(usable, whole / jnp.where(x == 0.0, 1.0, x), lower)
    return t * jnp.where(flat | (power == 0.0), 0.0, y * power)


def _powm1_by_y(t: jax.Array, ans: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    positive = x > 0.0
    base = jnp.where(positive, x, 1.0)
    slope = jnp.power(base, y) * jnp.log(base)
    pole = jnp.power(tiny(x), y) * jnp.log(tiny(x))
    return t * jnp.where(positive, slope, jnp.where((x == 0.0) & (y <= 0.0), pole, 0.0))


_powm1.defjvps(_powm1_by_x, _powm1_by_y)


@means(jax.lax.logistic)
@jax.custom_jvp
def sigmoid_of(x: jax.Array) -> jax.Array:
    """`sigmoid` of a float array."""
    e = jnp.exp(-jnp.abs(x))
    return jnp.where(x >= 0.0, 1.0, e) / (1.0 + e)


def logistic_density(x: jax.Array) -> jax.Array:
    """``σ(x) σ(−x) = e/(1 + e)²``, ``e = exp(−|x|)``."""
    return sigmoid_of(x) * sigmoid_of(-x)


sigmoid_of.defjvps(lambda t, ans, x: t * logistic_density(x))


@means(jnp.tanh)
@jax.custom_jvp
def tanh_of(x: jax.Array) -> jax.Array:
    """`tanh` of a float array."""
    loss = expm1_of(-2.0 * jnp.abs(x))  # exp(−2|x|) − 1, in (−1, 0]
    return jnp.sign(x) * (jnp.abs(loss) / (2.0 + loss))


def sech_squared(x: jax.Array) -> jax.Array:
    """``1/cosh(x)² = 4e/(1 + e)²``, ``e = exp(−2|x|)``."""
    return 4.0 * logistic_density(2.0 * x)


tanh_of.defjvps(lambda t, ans, x: t * sech_squared(x))
