"""Variance and standard scores."""

from typing import Any

import jax
import jax.numpy as jnp

from karush.core.errors import OptionError
from karush.jaxprs.meaning import means
from karush.numerics import meanings
from karush.numerics.door import Axes, Axis, reals
from karush.numerics.errorfree import safe_scale, sum_last, total, two_sum
from karush.numerics.vectors import unit_of


def variance(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False, where: Any = None) -> jax.Array:
    """``(1/(n − ddof)) Σ_i (x_i − mean x)²``, in two passes, with a mean of twice the precision [CGL83].

    Parameters
    ----------
    x : array of any shape
    axis : int, tuple of int or None (all axes)
    ddof : int ≥ 0, degrees of freedom that were spent on the mean, as in `numpy.var`
    keepdims : whether the reduced axes stay, with length 1
    where : boolean array that broadcasts to `x`, entries to take

    Returns
    -------
    array of the reduced shape, in the dtype of `x`; NaN where n ≤ ddof. Derivative ``2 (x_i − mean x)/(n − ddof)``.

    Raises
    ------
    OptionError
        for a negative `ddof`, and as `compensated_sum`.
    """
    if ddof < 0:
        raise OptionError(f"ddof is {ddof}; it must be 0 (all entries) or more")
    (x,), kept = reals(x=x)
    axes = Axes.of(x.shape, axis)
    rows, mask = axes.gathered(x), axes.mask(where)
    return axes.kept(_variance(rows, mask, _freedom(rows, mask, ddof)), keepdims).astype(kept)


def standardize(x: Any, axis: Axis = -1, epsilon: float = 0.0, where: Any = None) -> jax.Array:
    """``(x − mean x)/(variance x + ε)^½`` (`jax.nn.standardize`, whose default is ε = 1e-5).

    Parameters
    ----------
    x : array of any shape
    axis : int, tuple of int or None (all axes)
    epsilon : float ≥ 0, ε. With 0, equal entries give 0, and so does the derivative there.
    where : boolean array that broadcasts to `x`, entries to take; the others get 0

    Returns
    -------
    array of the shape and dtype of `x`.

    Raises
    ------
    OptionError
        for a negative `epsilon`, and as `compensated_sum`.
    """
    if epsilon < 0.0:
        raise OptionError(f"epsilon is {epsilon}; it is added to a variance and must not be negative")
    (x,), kept = reals(x=x)
    axes = Axes.of(x.shape, axis)
    rows, mask = axes.gathered(x), axes.mask(where)
    n = jnp.sum(mask, axis=-1, keepdims=True).astype(x.dtype)
    d = centred(rows, mask)
    # d/(‖d‖²/n + ε)^½ = √n times the unit vector of (d, √(nε)), less its last entry.
    extra = jnp.sqrt(n) * jnp.sqrt(jnp.asarray(epsilon, x.dtype))
    longer = jnp.concatenate([d, extra], axis=-1)
    return axes.scattered(jnp.sqrt(n) * unit_of(longer)[..., :-1]).astype(kept)


@means(meanings.centred)
@jax.custom_jvp
def centred(x: jax.Array, mask: jax.Array) -> jax.Array:
    """``x − mean x`` along the last axis, 0 for entries left out."""
    size = jnp.max(jnp.where(mask, jnp.abs(x), 0.0), axis=-1, initial=0.0)
    k, unscale = safe_scale(size)
    scaled = jnp.where(mask, x * k[..., None], 0.0)
    n = jnp.maximum(jnp.sum(mask, axis=-1), 1).astype(x.dtype)
    mean = (total(scaled) / n)[..., None]
    # What the rounded mean has missed is the mean of the differences from it.
    d, lost = two_sum(scaled, -mean)
    d, lost = jnp.where(mask, d, 0.0), jnp.where(mask, lost, 0.0)
    s, e = sum_last(d, lost)
    missed = ((s + e) / n)[..., None]
    return jnp.where(mask, (d + (lost - missed)) * unscale[..., None], 0.0)


@centred.defjvp
def _centred_jvp(primals: Any, tangents: Any) -> Any:
    x, mask = primals
    t = jnp.where(mask, tangents[0], 0.0)
    n = jnp.maximum(jnp.sum(mask, axis=-1, keepdims=True), 1).astype(x.dtype)
    return centred(x, mask), jnp.where(mask, t - jnp.sum(t, axis=-1, keepdims=True) / n, 0.0)


def _freedom(x: jax.Array, mask: jax.Array, ddof: int) -> jax.Array:
    """``n − ddof``, NaN where that is not positive."""
    n = (jnp.sum(mask, axis=-1) - ddof).astype(x.dtype)
    return jnp.where(n > 0.0, n, jnp.nan)


@means(meanings.variance)
@jax.custom_jvp
def _variance(x: jax.Array, mask: jax.Array, freedom: jax.Array) -> jax.Array:
    d = centred(x, mask)
    return total(d * d) / freedom


@_variance.defjvp
def _variance_jvp(primals: Any, tangents: Any) -> Any:
    x, mask, freedom = primals
    slope = 2.0 * centred(x, mask) / freedom[..., None]
    return _variance(*primals), jnp.sum(slope * jnp.where(mask, tangents[0], 0.0), axis=-1)
