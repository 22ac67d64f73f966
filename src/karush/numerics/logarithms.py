"""Relatives of the logarithm: log1p, log1pmx, log1mexp, logaddexp, log_sub_exp, softplus, log_sigmoid, logcosh."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.jaxprs.meaning import means
from karush.numerics import meanings
from karush.numerics.coefficients import ATANH_TAIL, LOGCOSH
from karush.numerics.door import elementwise
from karush.numerics.errorfree import horner, tiny
from karush.numerics.exponentials import expm1_of, sigmoid_of, tanh_of

LOG1P_SAFE = -0.25
"""XLA's own log1p is accurate from here on, and loses seven bits near −0.41"""
LOG1PMX_SERIES = (-0.7, 2.0)
"""where log(1 + x) − x is a series in x/(2 + x), whose square stays below 0.3"""
UP = 2.0**64
"""below its inverse, log(1 − exp(−d)) = log d to all digits"""
LOGCOSH_SERIES = 1.0
"""|x| up to which log cosh x is a polynomial"""


def log1p(x: Any) -> jax.Array:
    """``log(1 + x)`` without absorption of a small x.

    Parameters
    ----------
    x : array of any shape, ≥ −1

    Returns
    -------
    array of the shape and dtype of `x`; −inf at −1, NaN below. Derivative ``1/(1 + x)``, at −1 that of the smallest
    normal number above the pole.
    """
    return elementwise(log1p_of, x=x)


def log1pmx(x: Any) -> jax.Array:
    """``log(1 + x) − x`` without cancellation.

    Parameters
    ----------
    x : array of any shape, ≥ −1

    Returns
    -------
    array of the shape and dtype of `x`; −inf at −1, NaN below. Derivative ``−x/(1 + x)``.
    """
    return elementwise(log1pmx_of, x=x)


def log1mexp(x: Any) -> jax.Array:
    """``log(1 − exp(−x))`` for x > 0 (`jax.nn.log1mexp`, [Mae12]).

    Parameters
    ----------
    x : array of any shape, ≥ 0

    Returns
    -------
    array of the shape and dtype of `x`; −inf at 0, NaN below. Derivative ``1/(exp(x) − 1)``, at the pole 0 that of the
    smallest normal number.
    """
    return elementwise(log1mexp_of, x=x)


def logaddexp(a: Any, b: Any) -> jax.Array:
    """``log(exp(a) + exp(b))`` (`numpy.logaddexp`).

    Parameters
    ----------
    a, b : arrays that broadcast against each other

    Returns
    -------
    array. Derivatives ``σ(a − b)`` and ``σ(b − a)``; equal infinities count as equal numbers.
    """
    return elementwise(_logaddexp, a=a, b=b)


def log_sub_exp(a: Any, b: Any) -> jax.Array:
    """``log(exp(a) − exp(b))`` for a ≥ b.

    Parameters
    ----------
    a, b : arrays that broadcast against each other

    Returns
    -------
    array; −inf where a = b, NaN where a < b or both are +inf. Derivatives ``1/(1 − exp(b − a))`` and
    ``−1/(exp(a − b) − 1)``, at the pole a = b those of the smallest normal difference.
    """
    return elementwise(_log_sub_exp, a=a, b=b)


def softplus(x: Any) -> jax.Array:
    """``log(1 + exp(x)) = max(x, 0) + log1p(exp(−|x|))`` (`jax.nn.softplus`).

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the shape and dtype of `x`. Derivative ``σ(x)``.
    """
    return elementwise(softplus_of, x=x)


def log_sigmoid(x: Any) -> jax.Array:
    """``log(1/(1 + exp(−x))) = −softplus(−x)`` (`jax.nn.log_sigmoid`).

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the shape and dtype of `x`. Derivative ``σ(−x)``.
    """
    return elementwise(lambda v: -softplus_of(-v), x=x)


def logcosh(x: Any) -> jax.Array:
    """``log(cosh(x)) = |x| + log1p(exp(−2|x|)) − log 2``, a polynomial in x² where that cancels.

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the shape and dtype of `x`. Derivative ``tanh(x)``.
    """
    return elementwise(_logcosh, x=x)


@means(jnp.log1p)
@jax.custom_jvp
def log1p_of(x: jax.Array) -> jax.Array:
    """`log1p` of a float array."""
    low = x < LOG1P_SAFE
    inside = jnp.where(low, x, 0.0)
    # The barrier keeps (1 + x) − 1 from becoming x.
    u = jax.lax.optimization_barrier(1.0 + inside)
    lost = inside - (u - 1.0)
    return jnp.where(low, jnp.log(u) + lost / jnp.where(u > 0.0, u, 1.0), jnp.log1p(jnp.where(low, 0.0, x)))


log1p_of.defjvps(lambda t, ans, x: t / jnp.where(x == -1.0, tiny(x), 1.0 + x))


@means(meanings.log1pmx)
@jax.custom_jvp
def log1pmx_of(x: jax.Array) -> jax.Array:
    """`log1pmx` of a float array."""
    lowest, highest = LOG1PMX_SERIES
    near = (x >= lowest) & (x <= highest)
    s = jnp.where(near, x, 0.0)
    r = s / (2.0 + s)
    # log(1 + x) = 2 atanh(r) and x = r (2 + x), so log(1 + x) − x = r (2 r² tail(r²) − x).
    series = r * (2.0 * r * r * horner(ATANH_TAIL, r * r) - s)
    far = jnp.where(near | jnp.isposinf(x), 1.0, x)
    return jnp.where(near, series, jnp.where(jnp.isposinf(x), -jnp.inf, log1p_of(far) - far))


def _log1pmx_slope(x: jax.Array) -> jax.Array:
    inside = jnp.where(jnp.isposinf(x), 1.0, x)
    slope = -inside / jnp.where(inside == -1.0, tiny(x), 1.0 + inside)
    return jnp.where(jnp.isposinf(x), -1.0, slope)


log1pmx_of.defjvps(lambda t, ans, x: t * _log1pmx_slope(x))


@means(meanings.log1mexp)
@jax.custom_jvp
def log1mexp_of(x: jax.Array) -> jax.Array:
    """`log1mexp` of a float array."""
    near = x < math.log(2.0)
    return jnp.where(
        near,
        jnp.log(-expm1_of(-jnp.where(near, x, 1.0))),
        log1p_of(-jnp.exp(-jnp.where(near, 1.0, x))),
    )


def _odds(x: jax.Array) -> jax.Array:
    """``1/(exp(x) − 1)`` for x ≥ 0, from below 0 as from the smallest normal number."""
    inside = jnp.where(x < tiny(x), tiny(x), x)
    return jnp.exp(-inside) / -expm1_of(-inside)


log1mexp_of.defjvps(lambda t, ans, x: t * _odds(x))


def _difference(a: jax.Array, b: jax.Array) -> jax.Array:
    """``a − b``, 0 for equal infinities."""
    equal = a == b
    return jnp.where(equal, 0.0, a - jnp.where(equal, 0.0, b))


@means(jnp.logaddexp)
@jax.custom_jvp
def _logaddexp(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.maximum(a, b) + log1p_of(jnp.exp(-jnp.abs(_difference(a, b))))


_logaddexp.defjvps(
    lambda t, ans, a, b: t * sigmoid_of(_difference(a, b)), lambda t, ans, a, b: t * sigmoid_of(_difference(b, a))
)


def _tiny_difference(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whether both are so small that a − b may be subnormal, which XLA rounds to 0; and ``UP (a − b)``, 1 elsewhere."""
    small = (jnp.abs(a) < 1.0 / UP) & (jnp.abs(b) < 1.0 / UP) & (a != b)
    higher, lower = (jax.lax.optimization_barrier(jnp.where(small, v, 0.0) * UP) for v in (a, b))
    return small, jnp.where(small, higher - lower, 1.0)


@means(meanings.log_sub_exp)
@jax.custom_jvp
def _log_sub_exp(a: jax.Array, b: jax.Array) -> jax.Array:
    nothing = a == b
    part = log1mexp_of(jnp.where(nothing, 1.0, a - jnp.where(nothing, 0.0, b)))
    small, scaled = _tiny_difference(a, b)
    part = jnp.where(small, jnp.log(scaled) - math.log(UP), part)
    return jnp.where(nothing, jnp.where(jnp.isposinf(a), jnp.nan, -jnp.inf), a + part)


def _odds_between(a: jax.Array, b: jax.Array) -> jax.Array:
    """``1/(exp(a − b) − 1)``, which is 1/(a − b) to all digits where that is tiny."""
    small, scaled = _tiny_difference(a, b)
    return jnp.where(small, UP / scaled, _odds(jnp.where(small, 1.0, _difference(a, b))))


_log_sub_exp.defjvps(
    lambda t, ans, a, b: t * (1.0 + _odds_between(a, b)), lambda t, ans, a, b: t * -_odds_between(a, b)
)


@means(meanings.softplus)
@jax.custom_jvp
def softplus_of(x: jax.Array) -> jax.Array:
    """`softplus` of a float array."""
    return jnp.maximum(x, 0.0) + log1p_of(jnp.exp(-jnp.abs(x)))


softplus_of.defjvps(lambda t, ans, x: t * sigmoid_of(x))


@means(meanings.logcosh)
@jax.custom_jvp
def _logcosh(x: jax.Array) -> jax.Array:
    size = jnp.abs(x)
    near = size <= LOGCOSH_SERIES
    s = jnp.where(near, size * size, 0.0)
    # log 2 in two parts: the first subtraction is exact where it cancels.
    log2 = np.asarray(math.log(2.0), x.dtype)
    rest = np.asarray(math.log(2.0) - float(log2) if x.dtype == np.float32 else LOG2_LOW, x.dtype)
    far = (size - log2) + (log1p_of(jnp.exp(-2.0 * size)) - rest)
    return jnp.where(near, s * horner(LOGCOSH, s), far)


LOG2_LOW = 2.3190468138462996e-17
"""log 2 minus its float64"""
_logcosh.defjvps(lambda t, ans, x: t * tanh_of(x))
