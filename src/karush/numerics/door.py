"""What the user hands in, as real arrays of one dtype and one shape, and the axes of a reduction."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.errors import OptionError, ProblemError

Axis = int | tuple[int, ...] | None
"""one axis, several, or all of them"""
WORKING_BITS = 32
"""float16 and bfloat16 are computed in float32 and rounded once at the end"""


def reals(**named: Any) -> tuple[list[jax.Array], Any]:
    """Arrays of one real dtype, and the dtype of the answer.

    Integers and booleans become JAX's default float, mixed floats follow JAX's promotion (and its setting of how strict
    that is). 16-bit floats are widened to float32; the answer is to be rounded to the dtype returned.

    Raises
    ------
    ProblemError
        for complex numbers, and for what is no array of numbers.
    """
    arrays = []
    for name, value in named.items():
        try:
            array = jnp.asarray(value)
        except (TypeError, ValueError) as error:
            raise ProblemError(f"{name} must be an array of real numbers, got {type(value).__name__}") from error
        if not (jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.kind in "iub"):
            raise ProblemError(f"{name} must hold real numbers, got dtype {array.dtype}; take its real part")
        # A Python number has no dtype of its own; what jnp.asarray gave it must not decide that of the answer.
        arrays.append(value if isinstance(value, int | float) and not isinstance(value, bool) else array)
    kept = jnp.result_type(*arrays)
    if not jnp.issubdtype(kept, jnp.floating):
        kept = jnp.result_type(float)
    wide = jnp.float32 if jnp.finfo(kept).bits < WORKING_BITS else kept
    return [jnp.asarray(array).astype(wide) for array in arrays], kept


def elementwise(function: Callable[..., jax.Array], **named: Any) -> jax.Array:
    """`function` of the arguments, broadcast against each other, in the dtype of the user.

    Raises
    ------
    ProblemError
        for shapes that do not broadcast, and as `reals`.
    """
    arrays, kept = reals(**named)
    return function(*broadcast(arrays, tuple(named))).astype(kept)


def broadcast(arrays: list[jax.Array], names: tuple[str, ...]) -> list[jax.Array]:
    """Arrays of one shape."""
    try:
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError as error:
        shapes = ", ".join(f"{name}: {array.shape}" for name, array in zip(names, arrays))
        raise ProblemError(f"shapes do not broadcast: {shapes}; give arrays of one shape") from error
    return [jnp.broadcast_to(array, shape) for array in arrays]


class Axes(NamedTuple):
    """The axes of a reduction: `gathered` puts them last, as one; the rest undoes that."""

    shape: tuple[int, ...]
    reduced: tuple[int, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], axis: Axis) -> "Axes":
        """Axes named by the argument `axis`; negative ones count from the end.

        Raises
        ------
        OptionError
            for an axis that the array does not have, or that is named twice.
        """
        ndim = len(shape)
        named = tuple(range(ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        for one in named:
            if not -ndim <= one < ndim:
                raise OptionError(f"axis {one} does not exist in an array of shape {shape}; it must be below {ndim}")
        reduced = tuple(one % ndim for one in named)
        if len(set(reduced)) < len(reduced):
            raise OptionError(f"axis {axis!r} names one axis of an array of shape {shape} twice; name each once")
        return cls(shape, tuple(sorted(reduced)))

    @property
    def others(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(len(self.shape)) if axis not in self.reduced)

    @property
    def entries(self) -> int:
        """number of entries that are reduced to one"""
        return math.prod(self.shape[axis] for axis in self.reduced)

    def gathered(self, array: jax.Array) -> jax.Array:
        """shape (*others, entries)"""
        moved = jnp.transpose(array, self.others + self.reduced)
        return moved.reshape(*(self.shape[axis] for axis in self.others), self.entries)

    def scattered(self, array: jax.Array) -> jax.Array:
        """inverse of `gathered`"""
        order = self.others + self.reduced
        return jnp.transpose(array.reshape([self.shape[axis] for axis in order]), tuple(np.argsort(order)))

    def kept(self, array: jax.Array, keepdims: bool) -> jax.Array:
        """A reduced array of shape `others`, with ones in place of the reduced axes if asked."""
        return jnp.expand_dims(array, self.reduced) if keepdims else array

    def mask(self, where: Any) -> jax.Array:
        """The argument `where` of shape (*others, entries).

        Raises
        ------
        OptionError
            if it does not broadcast to the shape of the array, or is not boolean.
        """
        if where is None:
            where = np.True_
        where = jnp.asarray(where)
        if where.dtype != jnp.bool_:
            raise OptionError(f"where must be boolean, got dtype {where.dtype}; compare it with something")
        try:
            return self.gathered(jnp.broadcast_to(where, self.shape))
        except ValueError as error:
            raise OptionError(f"where of shape {where.shape} does not broadcast to {self.shape}") from error

    def require_entries(self, name: str) -> None:
        """Refuse a reduction of nothing.

        Raises
        ------
        ProblemError
            if there is no entry along the axes.
        """
        if self.entries == 0:
            raise ProblemError(f"{name} of shape {self.shape} has no entry along axis {self.reduced}; it needs one")
