"""softmax, log_softmax, logsumexp, log_mean_exp: the largest entry apart from the others.

With m = max x, z = x − m and ``rest = Σ_{i ≠ argmax} exp(z_i)``,

    softmax = exp(z)/(1 + rest),    log_softmax = z − log1p(rest),    logsumexp = m + log1p(rest)

The shift by m is [GBC16]'s; keeping the 1 of the largest entry out of the sum keeps what ``log(1 + rest)`` would
absorb.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from karush.core.errors import OptionError
from karush.jaxprs.meaning import means
from karush.numerics import meanings
from karush.numerics.coefficients import EXPM1_TAIL
from karush.numerics.door import Axes, Axis, reals
from karush.numerics.errorfree import horner, others, product, sum_last, total, two_sum
from karush.numerics.exponentials import SERIES, expm1_of
from karush.numerics.logarithms import log1p_of


def softmax(x: Any, axis: Axis = -1, where: Any = None) -> jax.Array:
    """``softmax(x)_i = exp(x_i)/Σ_j exp(x_j)``.

    Parameters
    ----------
    x : array of any shape
    axis : int, tuple of int or None (all axes)
    where : boolean array that broadcasts to `x`, entries to take; the others get 0

    Returns
    -------
    array of the shape and dtype of `x`. Equal infinities count as equal numbers: [∞, 0] gives [1, 0], [−∞, −∞] gives
    [½, ½]. Derivative ``p_i (δ_ij − p_j)``, with 1 − p_i taken from the other entries.

    Raises
    ------
    OptionError, ProblemError
        for an axis that does not exist, a `where` that does not fit, complex numbers, no entries.
    """
    (x,), kept = reals(x=x)
    axes = Axes.of(x.shape, axis)
    axes.require_entries("x")
    return axes.scattered(softmax_of(axes.gathered(x), axes.mask(where))).astype(kept)


def log_softmax(x: Any, axis: Axis = -1, where: Any = None) -> jax.Array:
    """``log softmax(x)_i = x_i − log Σ_j exp(x_j)``, relatively accurate also where it is nearly 0.

    Parameters
    ----------
    x, axis, where
        as for `softmax`; entries left out get −inf

    Returns
    -------
    array of the shape and dtype of `x`. Derivative ``δ_ij − p_j``.
    """
    (x,), kept = reals(x=x)
    axes = Axes.of(x.shape, axis)
    axes.require_entries("x")
    return axes.scattered(log_softmax_of(axes.gathered(x), axes.mask(where))).astype(kept)


def logsumexp(x: Any, axis: Axis = None, b: Any = None, keepdims: bool = False, where: Any = None) -> jax.Array:
    """``log Σ_i b_i exp(x_i)`` (`scipy.special.logsumexp`).

    Parameters
    ----------
    x : array of any shape
    axis : int, tuple of int or None (all axes)
    b : weights that broadcast to `x`; 1 by default. NaN results where the weighted sum is negative.
    keepdims : whether the reduced axes stay, with length 1
    where : boolean array that broadcasts to `x`, entries to take; none of them gives −inf

    Returns
    -------
    array of the reduced shape, in the dtype of `x`. Derivatives ``b_i exp(x_i)/Σ`` and ``exp(x_i)/Σ``. Where m and
    log1p(rest) cancel, an error of one ulp of m remains, as much as half an ulp of change in `x` makes.

    Raises
    ------
    OptionError, ProblemError
        as for `softmax`, and for weights that do not fit.
    """
    if b is None:
        (x,), kept = reals(x=x)
    else:
        (x, b), kept = reals(x=x, b=b)
    axes = Axes.of(x.shape, axis)
    axes.require_entries("x")
    rows, mask = axes.gathered(x), axes.mask(where)
    if b is None:
        return axes.kept(logsumexp_of(rows, mask), keepdims).astype(kept)
    try:
        weights = axes.gathered(jnp.broadcast_to(b, x.shape))
    except ValueError as error:
        raise OptionError(f"b of shape {b.shape} does not broadcast to {x.shape}, the shape of x") from error
    return axes.kept(_weighted(rows, weights, mask), keepdims).astype(kept)


def log_mean_exp(x: Any, axis: Axis = None, keepdims: bool = False, where: Any = None) -> jax.Array:
    """``log((1/n) Σ_i exp(x_i))``: logsumexp − log n without the cancellation of the two.

    Parameters
    ----------
    x, axis, keepdims, where
        as for `logsumexp`

    Returns
    -------
    array of the reduced shape, in the dtype of `x`. Derivative ``softmax(x)``.
    """
    (x,), kept = reals(x=x)
    axes = Axes.of(x.shape, axis)
    axes.require_entries("x")
    return axes.kept(_log_mean_exp(axes.gathered(x), axes.mask(where)), keepdims).astype(kept)


class Shifted(NamedTuple):
    """Rows (..., n) less their largest entry."""

    m: jax.Array
    """largest entry, (..., 1)"""
    z: jax.Array
    """x − m, rounded; 0 for entries equal to m, infinite ones too; −inf for entries left out"""
    lost: jax.Array
    """what that rounding has lost"""
    top: jax.Array
    """the entries that equal m"""
    weights: jax.Array
    """exp(x − m)"""
    rest: jax.Array
    """sum of all weights but one of the largest, (..., 1)"""


def shifted(x: jax.Array, mask: jax.Array) -> Shifted:
    """Rows less their largest entry, and the sum of all weights but that of one such entry."""
    x = jnp.where(mask, x, -jnp.inf)
    m = jnp.max(x, axis=-1, keepdims=True)
    top = (x == m) & mask
    z, lost = two_sum(jnp.where(top, 0.0, x), -jnp.where(top, 0.0, m))
    z = jnp.where(mask, z, -jnp.inf)
    weights = jnp.exp(z) * (1.0 + lost)
    equals = jnp.maximum(jnp.sum(top, axis=-1) - 1, 0).astype(x.dtype)
    rest = total(jnp.where(top, 0.0, weights)) + equals
    return Shifted(m, z, lost, top, weights, rest[..., None])


FAINT = -40.0
"""z below which exp(z) may be subnormal once it is divided, or multiplied by something small"""
HALF_LIFT = 2.0**32


def times_softmax(s: Shifted, values: jax.Array) -> jax.Array:
    """``p_i v_i``, 0 where p_i is 0; where p_i may be subnormal, which XLA rounds to 0, exp(z) is lifted by 2^64."""
    root = jnp.exp(0.5 * s.z) * HALF_LIFT
    faint = product(root * root * (1.0 + s.lost), values) / HALF_LIFT / HALF_LIFT
    return jnp.where(s.z < FAINT, faint, product(s.weights, values)) / (1.0 + s.rest)


def less_mean(p: jax.Array, w: jax.Array, low: jax.Array) -> jax.Array:
    """``w_i − Σ_j p_j w_j`` of w + low, in two passes: what the rounded mean has missed is the mean of differences."""
    d, more = two_sum(w, -total(product(p, w))[..., None])
    d, low = two_sum(d, low + more)
    missed, missed_low = (v[..., None] for v in sum_last(product(p, d), product(p, low)))
    return (d - missed) + (low - missed_low)


@means(meanings.softmax)
@jax.custom_jvp
def softmax_of(x: jax.Array, mask: jax.Array) -> jax.Array:
    """`softmax` along the last axis of a float array."""
    s = shifted(x, mask)
    return s.weights / (1.0 + s.rest)


@softmax_of.defjvp
def _softmax_jvp(primals: Any, tangents: Any) -> Any:
    p = softmax_of(*primals)
    return p, p * _less_mean(p, complement(*primals), tangents[0])


def _less_mean(p: jax.Array, rest: jax.Array, t: jax.Array) -> jax.Array:
    """``t_i − Σ_j p_j t_j`` as ``(1 − p_i) t_i − Σ_{j≠i} p_j t_j``: transposed, it keeps the small 1 − p_i."""
    return rest * t - others(p, t)


def complement(x: jax.Array, mask: jax.Array) -> jax.Array:
    """``1 − softmax(x)``, where one entry has nearly all the weight: the sum of the others."""
    s = shifted(x, mask)
    return jnp.where(s.top, s.rest, (1.0 + s.rest) - s.weights) / (1.0 + s.rest)


@jax.custom_jvp
def deviation(x: jax.Array, mask: jax.Array) -> jax.Array:
    """``x_i − Σ_j p_j x_j``, p = softmax(x), from the differences to the largest entry."""
    s = shifted(x, mask)
    return less_mean(softmax_of(x, mask), s.z, s.lost)


@deviation.defjvp
def _deviation_jvp(primals: Any, tangents: Any) -> Any:
    p, d = softmax_of(*primals), deviation(*primals)
    change = _less_mean(p, complement(*primals), tangents[0])
    return d, change - jnp.sum(product(p, d) * change, axis=-1, keepdims=True)


@means(meanings.log_softmax)
@jax.custom_jvp
def log_softmax_of(x: jax.Array, mask: jax.Array) -> jax.Array:
    """`log_softmax` along the last axis of a float array."""
    s = shifted(x, mask)
    return s.z + (s.lost - log1p_of(s.rest))


@log_softmax_of.defjvp
def _log_softmax_jvp(primals: Any, tangents: Any) -> Any:
    tangent = _less_mean(softmax_of(*primals), complement(*primals), tangents[0])
    return log_softmax_of(*primals), tangent


@means(meanings.logsumexp)
@jax.custom_jvp
def logsumexp_of(x: jax.Array, mask: jax.Array) -> jax.Array:
    """`logsumexp` along the last axis of a float array."""
    s = shifted(x, mask)
    # A row with no entry has no peak whose 1 was kept out of the sum.
    return jnp.where(jnp.any(mask, axis=-1), s.m[..., 0] + log1p_of(s.rest[..., 0]), -jnp.inf)


@logsumexp_of.defjvp
def _logsumexp_jvp(primals: Any, tangents: Any) -> Any:
    return logsumexp_of(*primals), jnp.sum(softmax_of(*primals) * tangents[0], axis=-1)


@means(meanings.weighted)
@jax.custom_jvp
def _weighted(x: jax.Array, b: jax.Array, mask: jax.Array) -> jax.Array:
    mask = mask & (b != 0.0)
    s = shifted(x, mask)
    first = total(jnp.where(s.top, b, 0.0))
    others = jnp.where(s.top | ~mask, 0.0, b * s.weights)
    size = total(jnp.where(mask, b * s.weights, 0.0))
    above = total(jnp.concatenate([others, (first - 1.0)[..., None]], axis=-1))
    near_one = jnp.abs(above) < 0.5
    part = jnp.where(near_one, log1p_of(jnp.where(near_one, above, 0.0)), jnp.log(jnp.where(near_one, 1.0, size)))
    return jnp.where(jnp.any(mask, axis=-1), s.m[..., 0] + part, -jnp.inf)


@_weighted.defjvp
def _weighted_jvp(primals: Any, tangents: Any) -> Any:
    x, b, mask = primals
    return _weighted(x, b, mask), _change(_share(x, b, mask), b, tangents)


def _change(share: jax.Array, b: jax.Array, tangents: Any) -> jax.Array:
    """``Σ_j share_j (b_j dx_j + db_j)``, the change of the weighted log-sum-exp."""
    return jnp.sum(b * share * tangents[0] + share * tangents[1], axis=-1)


@jax.custom_jvp
def _share(x: jax.Array, b: jax.Array, mask: jax.Array) -> jax.Array:
    """``exp(x_i)/Σ_j b_j exp(x_j)``."""
    s = shifted(x, mask & (b != 0.0))
    # Entries of weight 0 have a share too: it is the derivative in their weight.
    weights = jnp.where(mask, jnp.exp(jnp.where(x == s.m, 0.0, x - jnp.where(x == s.m, 0.0, s.m))), 0.0)
    return weights / total(b * jnp.where(b == 0.0, 0.0, weights))[..., None]


@_share.defjvp
def _share_jvp(primals: Any, tangents: Any) -> Any:
    share = _share(*primals)
    return share, share * (tangents[0] - _change(share, primals[1], tangents)[..., None])


@means(meanings.log_mean_exp)
@jax.custom_jvp
def _log_mean_exp(x: jax.Array, mask: jax.Array) -> jax.Array:
    s = shifted(x, mask)
    n = jnp.sum(mask, axis=-1).astype(x.dtype)
    mean = (1.0 + s.rest[..., 0]) / n
    below = total(jnp.where(mask, expm1_of(s.z), 0.0)) / n
    near_one = mean > 0.5
    part = jnp.where(near_one, log1p_of(jnp.where(near_one, below, 0.0)), jnp.log(mean))
    # Of small numbers without the shift, whose rounding would show where the mean of all x is near 0.
    flat = jnp.max(jnp.where(mask, jnp.abs(x), 0.0), axis=-1) <= SERIES
    v = jnp.where(mask & flat[..., None], x, 0.0)
    direct = log1p_of(total(v, v * v * horner(EXPM1_TAIL, v)) / n)
    return jnp.where(n > 0.0, jnp.where(flat, direct, s.m[..., 0] + part), -jnp.inf)


@_log_mean_exp.defjvp
def _log_mean_exp_jvp(primals: Any, tangents: Any) -> Any:
    return _log_mean_exp(*primals), jnp.sum(softmax_of(*primals) * tangents[0], axis=-1)
