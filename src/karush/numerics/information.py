"""x log x, entropies, divergences and cross-entropies, of probabilities given by logits."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.errors import ProblemError
from karush.jaxprs.meaning import means
from karush.numerics import meanings
from karush.numerics.coefficients import EXPM1_TAIL
from karush.numerics.door import Axes, broadcast, elementwise, reals
from karush.numerics.errorfree import horner, product, tiny, total, two_sum
from karush.numerics.exponentials import expm1_of, sigmoid_of
from karush.numerics.logarithms import log1p_of, softplus_of
from karush.numerics.softmax import deviation, less_mean, log_softmax_of, shifted, softmax_of, times_softmax

INVERSE_E, INVERSE_E_LOW = 0.36787944117144233, -1.2428753672788363e-17
"""1/e, and what its float64 misses"""
SURE = 2.0**-60
"""sum of all weights but the largest, relative to it, whose square counts for nothing"""
CLOSE = 1.0
"""largest change of the logits for which the change of log-probabilities is computed from it"""


def xlogx(x: Any) -> jax.Array:
    """``x log x``, and 0 at x = 0.

    Parameters
    ----------
    x : array of any shape, ≥ 0

    Returns
    -------
    array of the shape and dtype of `x`; NaN below 0. Derivative ``1 + log x``; at 0, where it would be −∞, that of the
    smallest normal number (−86.3 in float32, −707.4 in float64): finite, so that a zero cotangent stays zero.
    """
    return elementwise(_xlogx, x=x)


def xlogy(x: Any, y: Any) -> jax.Array:
    """``x log y``, and 0 at x = 0 (`jax.scipy.special.xlogy`).

    Parameters
    ----------
    x, y : arrays that broadcast against each other; y ≥ 0

    Returns
    -------
    array. Derivatives ``log y`` (at y = 0 that of the smallest normal number) and ``x/y`` (0 where x = 0).
    """
    return elementwise(_xlogy, x=x, y=y)


def entropy(logits: Any, axis: int = -1) -> jax.Array:
    """``H(p) = −Σ_i p_i log p_i`` of ``p = softmax(logits)``, in nats.

    Parameters
    ----------
    logits : array of any shape
    axis : int, the axis of the probabilities

    Returns
    -------
    array of the reduced shape. Derivative ``−p_i (log p_i + H) = −p_i Σ_j p_j (x_i − x_j)``.
    """
    (x,), kept = reals(logits=logits)
    axes = Axes.of(x.shape, axis)
    axes.require_entries("logits")
    return _entropy(axes.gathered(x)).astype(kept)


def kl_divergence(logits_p: Any, logits_q: Any, axis: int = -1) -> jax.Array:
    """``KL(p‖q) = Σ_i p_i log(p_i/q_i)`` of ``p = softmax(logits_p)``, ``q = softmax(logits_q)``, in nats.

    With ``δ = log q − log p`` it is ``Σ p_i (exp(δ_i) − 1 − δ_i)``: no term is negative, so nothing cancels.

    Parameters
    ----------
    logits_p, logits_q : arrays that broadcast against each other
    axis : int, the axis of the probabilities

    Returns
    -------
    array of the reduced shape; ∞ where a q_i is 0 and p_i is not. Derivatives ``−p_i (δ_i + KL)`` and ``q_i − p_i``.
    """
    arrays, kept = reals(logits_p=logits_p, logits_q=logits_q)
    a, b = broadcast(arrays, ("logits_p", "logits_q"))
    axes = Axes.of(a.shape, axis)
    axes.require_entries("logits_p")
    return _kl(axes.gathered(a), axes.gathered(b)).astype(kept)


def binary_cross_entropy(logits: Any, labels: Any) -> jax.Array:
    """``−y log σ(x) − (1 − y) log(1 − σ(x)) = (1 − y) softplus(x) + y softplus(−x)``, element by element.

    Parameters
    ----------
    logits, labels : arrays that broadcast against each other; labels y in [0, 1]

    Returns
    -------
    array. Derivatives ``(1 − y) σ(x) − y σ(−x)`` in the logits and ``−x`` in the labels.
    """
    return elementwise(_binary, logits=logits, labels=labels)


def cross_entropy(logits: Any, labels: Any, axis: int = -1) -> jax.Array:
    """``−log p_k`` for an integer label k, ``−Σ_i y_i log p_i`` for soft labels y, ``p = softmax(logits)``.

    Parameters
    ----------
    logits : array of any shape
    labels : integers of the shape of `logits` without `axis`, or floats of its full shape
    axis : int, the axis of the classes

    Returns
    -------
    array of the shape of `logits` without `axis`. Derivative in the logits ``p_i Σy − y_i``; for an integer label
    ``p_k − 1`` is the negative sum of the other p. A label outside of 0, …, n − 1 gives NaN.

    Raises
    ------
    ProblemError
        if the shape of `labels` is neither.
    """
    (x,), kept = reals(logits=logits)
    axes = Axes.of(x.shape, axis)
    axes.require_entries("logits")
    rows = axes.gathered(x)
    y = jnp.asarray(labels)
    if jnp.issubdtype(y.dtype, jnp.integer):
        if y.shape != rows.shape[:-1]:
            raise ProblemError(f"integer labels must have shape {rows.shape[:-1]} (no class axis), got {y.shape}")
        classes = jax.lax.broadcasted_iota(y.dtype, rows.shape, rows.ndim - 1)
        chosen = classes == y[..., None]
        known = jnp.any(chosen, axis=-1)
        return jnp.where(known, _cross(rows, chosen.astype(rows.dtype)), jnp.nan).astype(kept)
    (x, y), kept = reals(logits=logits, labels=labels)
    if y.shape != x.shape:
        raise ProblemError(f"soft labels must have the shape {x.shape} of the logits, got {y.shape}")
    return _cross(axes.gathered(x), axes.gathered(y)).astype(kept)


def _everywhere(x: jax.Array) -> jax.Array:
    """The mask that takes every entry."""
    return jnp.ones(x.shape, bool)


@jax.custom_jvp
def _log_floor(x: jax.Array) -> jax.Array:
    """``log x``, at 0 that of the smallest normal number."""
    return jnp.log(_floor(x))


def _floor(x: jax.Array) -> jax.Array:
    return jnp.where((x >= 0.0) & (x < tiny(x)), tiny(x), x)


_log_floor.defjvps(lambda t, ans, x: t / _floor(x))


@means(meanings.xlogx)
@jax.custom_jvp
def _xlogx(x: jax.Array) -> jax.Array:
    return product(x, jnp.log(x))


_xlogx.defjvps(lambda t, ans, x: t * _one_plus_log(x))


def _one_plus_log(x: jax.Array) -> jax.Array:
    """``1 + log x``, as ``log(e x)`` near its zero at 1/e, where the sum cancels."""
    # e x = 1 + (x − 1/e) e; 1/e in two parts.
    near = jnp.abs(x - INVERSE_E) < INVERSE_E / 2.0
    high = np.asarray(INVERSE_E, x.dtype)
    low = np.asarray(INVERSE_E - float(high) if x.dtype == np.float32 else INVERSE_E_LOW, x.dtype)
    # The barrier keeps the two constants from being added up.
    offset = jax.lax.optimization_barrier(jnp.where(near, x, high) - high) - low
    return jnp.where(near, log1p_of(math.e * offset), 1.0 + _log_floor(x))


@means(meanings.xlogy)
@jax.custom_jvp
def _xlogy(x: jax.Array, y: jax.Array) -> jax.Array:
    return product(x, jnp.log(y))


_xlogy.defjvps(
    lambda t, ans, x, y: t * _log_floor(y),
    lambda t, ans, x, y: t * jnp.where(x == 0.0, 0.0, x / _floor(y)),
)


@means(meanings.entropy)
@jax.custom_jvp
def _entropy(x: jax.Array) -> jax.Array:
    s = shifted(x, _everywhere(x))
    # −log p_i = log(1 + rest) − z_i; where the rest may be subnormal, log(1 + rest) is Σ_{i ≠ top} p_i.
    sure = s.rest < SURE
    surprise = jnp.where(sure, jnp.where(s.top, 0.0, 1.0 - s.z), -log_softmax_of(x, _everywhere(x)))
    return total(times_softmax(s, surprise))


@_entropy.defjvp
def _entropy_jvp(primals: Any, tangents: Any) -> Any:
    (x,) = primals
    mask = _everywhere(x)
    slope = -times_softmax(shifted(x, mask), deviation(x, mask))
    return _entropy(x), jnp.sum(slope * tangents[0], axis=-1)


class _Change(NamedTuple):
    """From p = softmax(a) to q = softmax(b)."""

    delta: jax.Array
    """``δ = log q − log p``, accurate where a and b differ by little, or by a constant"""
    contrast: jax.Array
    """``δ_i + KL = w_i − Σ_j p_j w_j`` of w = b − a, if these are finite"""
    finite: jax.Array
    """whether they are, (..., 1)"""

    @classmethod
    def of(cls, a: jax.Array, b: jax.Array) -> "_Change":
        mask = _everywhere(a)
        p, log_p, log_q = softmax_of(a, mask), log_softmax_of(a, mask), log_softmax_of(b, mask)
        same = a == b
        w, low = two_sum(jnp.where(same, 0.0, b), -jnp.where(same, 0.0, a))
        finite = jnp.all(jnp.isfinite(w), axis=-1, keepdims=True)
        contrast = less_mean(p, jnp.where(finite, w, 0.0), jnp.where(finite, low, 0.0))
        close = finite & jnp.all(jnp.abs(contrast) < CLOSE, axis=-1, keepdims=True)
        inner = jnp.where(close, contrast, 0.0)
        # log Σ p exp(w), the change of the log-sum-exp.
        rise = log1p_of(total(p * expm1_of(inner)))[..., None]
        same = log_p == log_q
        far = jnp.where(same, 0.0, log_q - jnp.where(same, 0.0, log_p))
        return cls(jnp.where(close, inner - rise, far), contrast, finite)


@means(meanings.divergence)
@jax.custom_jvp
def _kl(a: jax.Array, b: jax.Array) -> jax.Array:
    mask = _everywhere(a)
    p, q, d = softmax_of(a, mask), softmax_of(b, mask), _Change.of(a, b).delta
    near = jnp.abs(d) < CLOSE
    s = jnp.where(near, d, 0.0)
    return total(jnp.where(near, p * (s * s * horner(EXPM1_TAIL, s)), (q - p) - times_softmax(shifted(a, mask), d)))


@_kl.defjvp
def _kl_jvp(primals: Any, tangents: Any) -> Any:
    a, b = primals
    mask = _everywhere(a)
    value, change = _kl(a, b), _Change.of(a, b)
    # q − p without a subtraction, from the side on which exp does not overflow.
    lower = change.delta < CLOSE
    down, up = (jnp.where(side, d, 0.0) for side, d in ((lower, change.delta), (~lower, -change.delta)))
    gain = times_softmax(shifted(a, mask), expm1_of(down)) - times_softmax(shifted(b, mask), expm1_of(up))
    by_a = -times_softmax(shifted(a, mask), jnp.where(change.finite, change.contrast, change.delta + value[..., None]))
    return value, jnp.sum(by_a * tangents[0] + gain * tangents[1], axis=-1)


@means(meanings.binary_cross_entropy)
@jax.custom_jvp
def _binary(x: jax.Array, y: jax.Array) -> jax.Array:
    return product(1.0 - y, softplus_of(x)) + product(y, softplus_of(-x))


_binary.defjvps(lambda t, ans, x, y: t * ((1.0 - y) * sigmoid_of(x) - y * sigmoid_of(-x)), lambda t, ans, x, y: t * -x)


@means(meanings.cross_entropy)
@jax.custom_jvp
def _cross(x: jax.Array, y: jax.Array) -> jax.Array:
    return -total(product(y, log_softmax_of(x, _everywhere(x))))


@_cross.defjvp
def _cross_jvp(primals: Any, tangents: Any) -> Any:
    x, y = primals
    log_p = log_softmax_of(x, _everywhere(x))
    p = softmax_of(x, _everywhere(x))
    size = total(y)[..., None]
    # p_i Σy − y_i; where y_i is all of Σy this is (p_i − 1) Σy.
    by_x = jnp.where(y == size, expm1_of(log_p) * size, p * size - y)
    return _cross(x, y), jnp.sum(by_x * tangents[0] - log_p * tangents[1], axis=-1)
