"""Hessians that are zero beyond a few diagonals, as those of chains and time series are.

```
H_ij = 0  for |i − j| > b      columns of one color j mod (2b + 1) never meet in a row:  2b + 1 products give all of H
```

A product with a few columns far apart shows at once that most Hessians are not of this kind; of the others the pattern
is read off the program of the products (`detection`), so that no entry is missed by an unlucky point.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.precision import float64
from karush.derivatives.detection import find
from karush.derivatives.index_sets import TooFullError

WIDEST = 8
"""half-bandwidth b up to which a Hessian counts as a band: 17 products and factors of 9 numbers per variable"""
APART = 1000
"""columns between two that are looked at together"""


def looks_banded(product: Callable[[np.ndarray], np.ndarray], n: int) -> bool:
    """Whether a product ``v -> H v`` with columns far apart stays near them; False is certain, True is a hint."""
    columns = np.arange(0, n, APART)
    v = np.zeros(n)
    # Different weights, so that what two columns bring to a row does not cancel.
    v[columns] = np.random.default_rng(0).uniform(1.0, 2.0, columns.size)
    far = np.ones(n, dtype=bool)
    for shift in range(-WIDEST, WIDEST + 1):
        far[np.clip(columns + shift, 0, n - 1)] = False
    return not np.any(product(v)[far] != 0.0)


def bandwidth(along: Callable[..., Any], n: int, params: Sequence[Any]) -> int | None:
    """Half-bandwidth b of the program ``(x, v, *params) -> H(x) v``, at any x and parameters; None above WIDEST."""
    x = jax.ShapeDtypeStruct((n,), np.float64)
    try:
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            found = find(jax.make_jaxpr(along)(x, x, *params), n)
    except TooFullError:
        return None
    width = width_of(found.rows, found.cols)
    return width if width <= WIDEST else None


def width_of(rows: np.ndarray, cols: np.ndarray) -> int:
    """Half-bandwidth of a pattern."""
    return int(np.abs(rows - cols).max(initial=0))


def lower_diagonals(product: Callable[[Any], Any], n: int, b: int) -> Any:
    """``band[d, j] = H[j + d, j]`` (b+1, n) of the matrix that `product` multiplies by, in a trace."""
    count = 2 * b + 1
    color = jnp.arange(n) % count
    products = jax.vmap(lambda c: product(jnp.where(color == c, 1.0, 0.0)))(jnp.arange(count))
    padded = jnp.pad(products, ((0, 0), (0, b)))
    rows = []
    for d in range(b + 1):
        row = padded[0, d : d + n]
        for c in range(1, count):
            row = jnp.where(color == c, padded[c, d : d + n], row)
        rows.append(jnp.where(jnp.arange(n) < n - d, row, 0.0))
    return jnp.stack(rows)


def norm(band: np.ndarray) -> float:
    """``max_j Σ_i |H_ij|`` >= ‖H‖₂ of the matrix with the lower diagonals `band` (b+1, n)."""
    size = np.abs(band)
    sums = size.sum(axis=0)
    for d in range(1, band.shape[0]):
        sums[d:] += size[d, : band.shape[1] - d]
    return float(sums.max(initial=0.0))


__all__ = ["WIDEST", "bandwidth", "looks_banded", "lower_diagonals", "norm", "width_of"]
