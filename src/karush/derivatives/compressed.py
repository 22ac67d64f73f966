"""All entries of a sparse matrix from one product per color."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

BATCH_NUMBERS = 50_000_000
"""Numbers that the products in flight may hold; more products are computed one batch after another."""


def entries(product: Callable[[Any], Any], colors: Any, positions: Any, count: int, dtype: Any) -> Any:
    """Entries (nnz,) of the matrix M in the order of its pattern, in a trace.

    Parameters
    ----------
    product
        v -> M v, flat.
    colors
        (n,) color of each column.
    positions
        (nnz,) places in the (count, k) products.
    count
        Number of colors.
    dtype
        of v.
    """

    def of_color(color: Any) -> Any:
        return product((colors == color).astype(dtype))

    every = jnp.arange(count, dtype=colors.dtype)
    batch = max(BATCH_NUMBERS // max(colors.size, 1), 1)
    products = jax.vmap(of_color)(every) if count <= batch else jax.lax.map(of_color, every, batch_size=batch)
    return products.ravel().at[positions].get(mode="promise_in_bounds")


__all__ = ["entries"]
