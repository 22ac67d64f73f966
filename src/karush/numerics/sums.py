"""Sums and dot products that carry the error of every operation along [ORO05]."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from karush.jaxprs.meaning import means
from karush.numerics import meanings
from karush.numerics.door import Axes, Axis, broadcast, reals
from karush.numerics.errorfree import total, two_product


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
    ``c = Σ|x y| / |Σ x y|``, over the whole float range. Derivatives ``y`` and ``x``.
    """
    arrays, kept = reals(x=x, y=y)
    x, y = broadcast(arrays, ("x", "y"))
    axes = Axes.of(x.shape, axis)
    return axes.kept(dot_of(axes.gathered(x), axes.gathered(y)), keepdims).astype(kept)


@means(meanings.total)
@jax.custom_jvp
def sum_of(x: jax.Array) -> jax.Array:
    """`compensated_sum` along the last axis of a float array."""
    # Scaled down where a partial sum might overflow and the sum might not.
    largest = float(jnp.finfo(x.dtype).max)
    down = 2.0 ** -math.ceil(math.log2(x.shape[-1] + 1))
    k = jnp.where(jnp.max(jnp.abs(x), axis=-1, initial=0.0) > largest * down, down, 1.0).astype(x.dtype)
    return total(x * k[..., None]) / k


@sum_of.defjvp
def _sum_jvp(primals: Any, tangents: Any) -> Any:
    return sum_of(*primals), jnp.sum(tangents[0], axis=-1)


class _Steps(NamedTuple):
    """Three powers of two that bring any number of a dtype near 1, as in [Blu78]."""

    step: float
    """S: the float range in thirds"""
    lift: float
    """L: middle of the scaled numbers, so high that errors of products of two of them do not underflow"""

    @classmethod
    def of(cls, dtype: Any) -> "_Steps":
        limit = -int(jnp.finfo(dtype).minexp)  # E: 2^−E is the smallest normal number
        return cls(2.0 ** (2 * (limit // 3)), 2.0 ** (limit // 12))

    def sized(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """``L x S^−level`` and the level, −1, 0 or 1."""
        size, edge = jnp.abs(x), math.sqrt(self.step)
        large, small = size > edge, size < 1.0 / edge
        factor = jnp.where(large, self.lift / self.step, jnp.where(small, self.lift * self.step, self.lift))
        level = jnp.where(large, 1.0, jnp.where(small, -1.0, 0.0))
        return x * factor.astype(x.dtype), level.astype(x.dtype)


@means(meanings.dot)
@jax.custom_jvp
def dot_of(x: jax.Array, y: jax.Array) -> jax.Array:
    """`compensated_dot` along the last axis of float arrays.

    Every entry is scaled on its own: where a large one meets a small one, the product may be as large as any.
    """
    steps = _Steps.of(x.dtype)
    (a, i), (b, j) = steps.sized(x), steps.sized(y)
    level = jnp.where((x == 0.0) | (y == 0.0), -2.0, i + j)
    top = jnp.max(level, axis=-1, initial=-2.0)
    p, lost = two_product(a, b)
    below = top[..., None] - level
    for below_this in (0.5, 1.5):
        down = jnp.where(below > below_this, 1.0 / steps.step, 1.0).astype(x.dtype)
        p, lost = p * down, lost * down
    # Three steps below the largest is nothing; and a step at a time, so that no power overflows.
    p, lost = (jnp.where(below > 2.5, 0.0, v) for v in (p, lost))
    dot = total(p, lost) / steps.lift / steps.lift
    for this in (0.5, 1.5):
        up = jnp.where(top > this, steps.step, jnp.where(top < -this, 1.0 / steps.step, 1.0))
        dot = dot * up.astype(x.dtype)
    return dot


@dot_of.defjvp
def _dot_jvp(primals: Any, tangents: Any) -> Any:
    x, y = primals
    return dot_of(x, y), jnp.sum(y * tangents[0] + x * tangents[1], axis=-1)
