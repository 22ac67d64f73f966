"""Lengths, directions, distances and angles."""

from typing import Any

import jax
import jax.numpy as jnp

from karush.core.errors import ProblemError
from karush.jaxprs.meaning import means
from karush.numerics import meanings
from karush.numerics.door import Axes, Axis, broadcast, elementwise, reals
from karush.numerics.errorfree import (
    exponent,
    others,
    rounded,
    safe_scale,
    times_power,
    tiny,
    total,
    two_product,
    two_sum,
)
from karush.numerics.sums import dot_of


def norm(x: Any, axis: Axis = None, keepdims: bool = False) -> jax.Array:
    """``‖x‖₂ = (Σ_i x_i²)^½`` without overflow or underflow of the squares.

    Parameters
    ----------
    x : array of any shape
    axis : int, tuple of int or None (all axes)
    keepdims : whether the reduced axes stay, with length 1

    Returns
    -------
    array of the reduced shape, in the dtype of `x`. Derivative ``x/‖x‖``; at 0, where there is none, the subgradient 0.
    """
    (x,), kept = reals(x=x)
    axes = Axes.of(x.shape, axis)
    return axes.kept(norm_of(axes.gathered(x)), keepdims).astype(kept)


def hypot(a: Any, b: Any) -> jax.Array:
    """``(a² + b²)^½`` without overflow or underflow of the squares (`numpy.hypot`).

    Parameters
    ----------
    a, b : arrays that broadcast against each other

    Returns
    -------
    array. Derivatives ``a/hypot`` and ``b/hypot``; 0 at a = b = 0.
    """
    return elementwise(lambda a, b: norm_of(jnp.stack([a, b], axis=-1)), a=a, b=b)


def unit_vector(x: Any, axis: Axis = -1) -> jax.Array:
    """``x/‖x‖₂``, and 0 for x = 0.

    Parameters
    ----------
    x : array of any shape
    axis : int, tuple of int or None (all axes)

    Returns
    -------
    array of the shape and dtype of `x`; infinite entries count as equally long, [∞, 1] gives [1, 0]. Derivative
    ``(I − u uᵀ)/‖x‖``, 0 at x = 0.
    """
    (x,), kept = reals(x=x)
    axes = Axes.of(x.shape, axis)
    return axes.scattered(unit_of(axes.gathered(x))).astype(kept)


def cosine_similarity(x: Any, y: Any, axis: Axis = -1) -> jax.Array:
    """``xᵀy/(‖x‖ ‖y‖)``, in [−1, 1], and 0 where a vector is 0.

    Parameters
    ----------
    x, y : arrays that broadcast against each other
    axis : int, tuple of int or None (all axes)

    Returns
    -------
    array of the reduced shape, accurate also for nearly orthogonal vectors. Derivative ``(v − (uᵀv) u)/‖x‖`` with
    u = x/‖x‖, v = y/‖y‖; 0 for a zero vector.
    """
    arrays, kept = reals(x=x, y=y)
    x, y = broadcast(arrays, ("x", "y"))
    axes = Axes.of(x.shape, axis)
    return _cosine(axes.gathered(x), axes.gathered(y)).astype(kept)


def squared_distances(x: Any, y: Any = None) -> jax.Array:
    """``D_ij = ‖x_i − y_j‖²`` from the differences, not as ``‖x‖² + ‖y‖² − 2 xᵀy``, which cancels for near points.

    Parameters
    ----------
    x : array (..., n, d)
    y : array (..., m, d); `x` itself by default

    Returns
    -------
    array (..., n, m), relative error at most about ``(d/2 + 2) eps``. Derivative ``2 (x_i − y_j)``.

    Raises
    ------
    ProblemError
        for other shapes.
    """
    if y is None:
        (x,), kept = reals(x=x)
        y = x
    else:
        (x, y), kept = reals(x=x, y=y)
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1] or x.shape[:-2] != y.shape[:-2]:
        raise ProblemError(f"x and y must be (..., n, d) and (..., m, d), got {x.shape} and {y.shape}")
    return _distances(x[..., :, None, :], y[..., None, :, :]).astype(kept)


@means(meanings.squared_distances)
@jax.custom_jvp
def _distances(x: jax.Array, y: jax.Array) -> jax.Array:
    """``Σ (x − y)²`` along the last axis; where squares may underflow, of numbers that are scaled up."""
    d = x - y
    plain = jnp.sum(jnp.square(d), axis=-1)
    limit = -jnp.finfo(x.dtype).minexp  # E: 2^−E is the smallest normal number
    up, threshold = 2.0 ** (limit // 2), 2.0 ** -(limit // 2)
    scaled = jnp.sum(jnp.square(d * up), axis=-1)
    return jnp.where(plain < threshold, scaled * (1.0 / up) * (1.0 / up), plain)


@_distances.defjvp
def _distances_jvp(primals: Any, tangents: Any) -> Any:
    (x, y), (dx, dy) = primals, tangents
    d = x - y
    # Twice a subnormal difference is a normal number; and twice a large number may not be one.
    slope = jnp.where((d == 0.0) & (jnp.abs(x) < 1.0), 2.0 * x - 2.0 * y, 2.0 * d)
    return _distances(x, y), jnp.sum(slope * (dx - dy), axis=-1)


@means(meanings.norm)
@jax.custom_jvp
def norm_of(x: jax.Array) -> jax.Array:
    """`norm` along the last axis of a float array."""
    k, unscale = safe_scale(jnp.max(jnp.abs(x), axis=-1, initial=0.0))
    scaled = x * k[..., None]
    return jnp.sqrt(total(scaled * scaled)) * unscale


@norm_of.defjvp
def _norm_jvp(primals: Any, tangents: Any) -> Any:
    (x,) = primals
    return norm_of(x), jnp.sum(unit_of(x) * tangents[0], axis=-1)


@means(meanings.unit)
@jax.custom_jvp
def unit_of(x: jax.Array) -> jax.Array:
    """`unit_vector` along the last axis of a float array."""
    largest = jnp.max(jnp.abs(x), axis=-1, keepdims=True, initial=0.0)
    infinite = largest == jnp.inf
    x = jnp.where(infinite, jnp.where(jnp.abs(x) == jnp.inf, jnp.sign(x), jnp.where(jnp.isnan(x), x, 0.0)), x)
    k, _ = safe_scale(jnp.where(infinite, 1.0, largest))
    scaled = x * k
    length = jnp.sqrt(total(scaled * scaled))[..., None]
    # Up before the division, down after it: small entries of long vectors must not underflow on the way.
    return x * jnp.maximum(k, 1.0) / jnp.where(length == 0.0, 1.0, length) * jnp.minimum(k, 1.0)


@unit_of.defjvp
def _unit_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    u = unit_of(x)
    # t_i − u_i Σ_j u_j t_j as (1 − u_i²) t_i − u_i Σ_{j≠i} u_j t_j: transposed, it keeps a small 1 − u_i², which is the
    # sum of the other squares.
    peak, squares = _peak(x), u * u
    across = jnp.where(peak, total(jnp.where(peak, 0.0, squares))[..., None], 1.0 - squares)
    return u, (across * t - u * others(u, t)) * _inverse_length(x)


def _inverse_length(x: jax.Array) -> jax.Array:
    """``1/‖x‖`` (..., 1), and 0 for x = 0."""
    length = norm_of(x)[..., None]
    return jnp.where(length < tiny(length), 0.0, 1.0 / jnp.where(length < tiny(length), 1.0, length))


def _raised(x: jax.Array) -> jax.Array:
    """x times a power of two: its largest entry is as high as fourth powers, which derivatives hold, leave it."""
    size = jnp.max(jnp.abs(x), axis=-1, keepdims=True, initial=0.0)
    size = jnp.where(size < jnp.inf, size, 1.0)
    return rounded(times_power(x, -jnp.finfo(x.dtype).minexp // 6 - exponent(size)))


def _peak(x: jax.Array) -> jax.Array:
    """Whether an entry is the first of the largest."""
    first = jnp.argmax(jnp.abs(x), axis=-1, keepdims=True)
    return jax.lax.broadcasted_iota(first.dtype, x.shape, x.ndim - 1) == first


def _residue(x: jax.Array, y: jax.Array) -> jax.Array:
    """``v − (uᵀv) u = (w − q x)/‖y‖`` with ``w = y − r x``, ``q = xᵀw/xᵀx``, for any r: here r = y_k/x_k, x_k largest.

    Nearly parallel vectors keep their angle: w_k is 0, and the others are ``(y_i x_k − y_k x_i)/x_k`` in two words.
    """
    a, b = _raised(x), _raised(y)
    peak = _peak(a)
    over, under = (jnp.sum(jnp.where(peak, v, 0.0), axis=-1, keepdims=True) for v in (b, a))
    under = jnp.where(under == 0.0, 1.0, under)
    r = over / under
    p, lost = two_product(r, under)
    r_low = ((over - p) - lost) / under
    p, lost = two_product(r, a)
    s, e = two_sum(b, -p)
    w = jnp.where(peak, 0.0, s + (e - lost - r_low * a))
    square = total(a * a)[..., None]
    # Divided before they are multiplied: small entries of a and w must not underflow on the way.
    q = dot_of(a / jnp.where(square == 0.0, 1.0, square), w)[..., None]
    length = norm_of(b)[..., None]
    return (w - q * a) / jnp.where(length == 0.0, 1.0, length)


@means(meanings.cosine)
@jax.custom_jvp
def _cosine(x: jax.Array, y: jax.Array) -> jax.Array:
    k, _ = safe_scale(jnp.max(jnp.abs(x), axis=-1, initial=0.0))
    h, _ = safe_scale(jnp.max(jnp.abs(y), axis=-1, initial=0.0))
    a, b = x * k[..., None], y * h[..., None]
    lengths = norm_of(a), norm_of(b)
    zero = (lengths[0] == 0.0) | (lengths[1] == 0.0)
    cosine = dot_of(a, b) / jnp.where(zero, 1.0, lengths[0]) / jnp.where(zero, 1.0, lengths[1])
    return jnp.where(zero, 0.0, jnp.clip(cosine, -1.0, 1.0))


@_cosine.defjvp
def _cosine_jvp(primals: Any, tangents: Any) -> Any:
    (x, y), (dx, dy) = primals, tangents
    by_x = _residue(x, y) * _inverse_length(x)
    by_y = _residue(y, x) * _inverse_length(y)
    return _cosine(x, y), jnp.sum(by_x * dx + by_y * dy, axis=-1)
