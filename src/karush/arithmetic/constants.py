"""Constants of a traced program as NumPy arrays, before they enter a number system."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.errors import TraceError


def array_of(value: Any) -> np.ndarray:
    """An array of numbers.

    Raises
    ------
    TraceError
        for a key of `jax.random`, which is none.
    """
    if jnp.issubdtype(getattr(value, "dtype", float), jax.dtypes.prng_key):
        raise TraceError(
            "the function draws random numbers from a key of jax.random, and bounds and proofs are about real numbers "
            "that are known; draw them outside of the function, and use the array inside"
        )
    return np.asarray(value)


__all__ = ["array_of"]
