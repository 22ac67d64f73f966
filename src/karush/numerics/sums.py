"""Sums and dot products that carry the error of every operation along [ORO05]."""

from typing import Any

import jax
import jax.numpy as jnp

from karush.jaxprs.meaning import means
from karush.numerics import meanings
from karush.numerics.door import Axes, Axis, broadcast, reals
from karush.numerics.errorfree import safe_scale, sum_last, total, two_product


def compensated_sum(x: Any, axis: Axis = None, keepdims: bool = False, where: Any = None) -> jax.Array:
    """``Σ_i x_i`` as if computed in twice the precision and rounded once.

    Parameters
    ----------
    x : array of any shape
    axis : int, tuple of int or None (all axes)
    keepdims : whether the reduced axes stay, with length 1
    where : boolean array that broadcasts to `x`, entries to take

    Returns
    -------
    array of the reduced shape, in the dtype of `x`, with relative error at most about ``eps + (log₂ n · eps)² c``,
    ``c = Σ|x| / |Σx|``. Derivative 1.
    """
    (x,), kept = reals(x=x)
    axes = Axes.of(x.shape, axis)
    rows = jnp.where(axes.mask(where), axes.gathered(x), 0.0)
    return axes.kept(sum_of(rows), keepdims).astype(kept)


def compensated_dot(x: Any, y: Any, axis: Axis = -1, keepdims: bool = False) -> jax.Array:
    """``Σ_i x_i y_i`` as if computed in twice the precision and rounded once.

    Parameters
    ----------
    x, y : arrays that broadcast against each other
    axis : int, tuple of int or None (all axes)
    keepdims : whether the reduced axes stay, with length 1

    Returns
    -------
    array of the reduced shape, with relative error at most about ``eps + (log₂ n · eps)² c``,
    ``c = Σ|x y| / |Σ x y|``, as long as neither an entry nor a product, times eps, underflows.
    Derivatives ``y`` and ``x``.
    """
    arrays, kept = reals(x=x, y=y)
    x, y = broadcast(arrays, ("x", "y"))
    axes = Axes.of(x.shape, axis)
    return axes.kept(dot_of(axes.gathered(x), axes.gathered(y)), keepdims).astype(kept)


@means(meanings.total)
@jax.custom_jvp
def sum_of(x: jax.Array) -> jax.Array:
    """`compensated_sum` along the last axis of a float array."""
    return total(x)


@sum_of.defjvp
def _sum_jvp(primals: Any, tangents: Any) -> Any:
    return sum_of(*primals), jnp.sum(tangents[0], axis=-1)


@means(meanings.dot)
@jax.custom_jvp
def dot_of(x: jax.Array, y: jax.Array) -> jax.Array:
    """`compensated_dot` along the last axis of float arrays."""
    k, unscale_x = safe_scale(jnp.max(jnp.abs(x), axis=-1, initial=0.0))
    h, unscale_y = safe_scale(jnp.max(jnp.abs(y), axis=-1, initial=0.0))
    products, lost = two_product(x * k[..., None], y * h[..., None])
    s, e = sum_last(products, lost)
    # One factor at a time: their product alone may underflow where the answer does not.
    return (s + e) * unscale_x * unscale_y


@dot_of.defjvp
def _dot_jvp(primals: Any, tangents: Any) -> Any:
    x, y = primals
    return dot_of(x, y), jnp.sum(y * tangents[0] + x * tangents[1], axis=-1)
