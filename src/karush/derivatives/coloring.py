"""Columns that one product computes together, and where each entry is found in the products.

Columns j with one color c form one direction ``v_c = Σ e_j``. Entry (i, j) stands alone in row i of ``J v_c`` if no
other column of that color has an entry in row i. For a Jacobian all entries must stand alone; for a symmetric matrix
it is enough that (i, j) or (j, i) does ([GMP05], star coloring). That is tested here for every entry, whatever the
colors came from, so a wrong coloring cannot pass.
"""

from dataclasses import dataclass

import asdex
import numpy as np

LONGEST_PERIOD = 12
"""Colors up to which ``j mod k`` is tried first: it is optimal for bands, and needs no graph."""
SPARSE_BELOW = 0.3
"""Share of nonzeros above which every column has a color of its own: greedy coloring would need nearly all of them,
and 30 s to find that out for a full matrix of order 200."""
WORK = 50_000_000
"""Sum of squared degrees up to which the greedy star coloring is fast; columns of highest degree beyond it get a color
of their own (an arrow of order 1e5 costs 20 s otherwise, and two colors are enough)."""


@dataclass(frozen=True, eq=False)
class Coloring:
    """One color per column."""

    colors: np.ndarray
    """(n,) int32; -1 for a column that no product needs"""
    count: int
    positions: np.ndarray
    """(nnz,) place of each entry in the ``(count, k)`` array of the products, flattened"""


def color_columns(rows: np.ndarray, cols: np.ndarray, shape: tuple[int, int]) -> Coloring:
    """Coloring for ``J v``; entries sorted by row."""
    k, n = shape
    least = int(np.bincount(rows, minlength=max(k, 1)).max(initial=0))
    for period in range(max(least, 1), LONGEST_PERIOD + 1):
        found = _direct(rows, cols, k, (np.arange(n) % period).astype(np.int32), period)
        if found is not None:
            return found
    if rows.size <= SPARSE_BELOW * k * n and least < n:
        colors, count = asdex.color_cols(asdex.SparsityPattern(rows, cols, shape))
        found = _direct(rows, cols, k, colors, count)
        if found is not None:
            return found
    return _own(rows, cols, k, n)


def color_symmetric(rows: np.ndarray, cols: np.ndarray, n: int) -> Coloring:
    """Coloring for ``H v`` of a symmetric pattern; entries sorted by row."""
    for period in range(1, min(LONGEST_PERIOD, n) + 1):
        found = _symmetric(rows, cols, n, (np.arange(n) % period).astype(np.int32), period)
        if found is not None:
            return found
    if rows.size > SPARSE_BELOW * n * n:
        return _own(rows, cols, n, n)
    hub = _hubs(np.bincount(rows, minlength=n))
    kept = ~(hub[rows] | hub[cols])
    colors, count, _ = asdex.color_symmetric(asdex.SparsityPattern(rows[kept], cols[kept], (n, n)), postprocess=False)
    colors = np.array(colors, np.int32)
    hubs = np.flatnonzero(hub)
    colors[hubs] = count + np.arange(hubs.size, dtype=np.int32)
    found = _symmetric(rows, cols, n, colors, count + hubs.size)
    return _own(rows, cols, n, n) if found is None else found


def _hubs(degrees: np.ndarray) -> np.ndarray:
    """Columns (n,) bool to be given colors of their own, those of highest degree, so that the work stays in bounds."""
    order = np.argsort(degrees, kind="stable")
    work = np.cumsum(degrees[order].astype(np.int64) ** 2)
    hub = np.zeros(degrees.size, bool)
    hub[order[work > WORK]] = True
    return hub


def _alone(rows: np.ndarray, colors: np.ndarray, k: int, count: int) -> np.ndarray:
    """Whether each entry is the only one of its color in its row; `colors` are those of the entries' columns."""
    keys = rows.astype(np.int64) * count + colors
    if k * count <= 8 * keys.size:
        several = np.bincount(keys, minlength=k * count)[keys]
    else:
        _, places, counts = np.unique(keys, return_inverse=True, return_counts=True)
        several = counts[places]
    return several == 1


def _direct(rows: np.ndarray, cols: np.ndarray, k: int, colors: np.ndarray, count: int) -> Coloring | None:
    of_entry = colors[cols]
    if not _alone(rows, of_entry, k, count).all():
        return None
    return Coloring(colors, count, _flat(of_entry, rows, k))


def _symmetric(rows: np.ndarray, cols: np.ndarray, n: int, colors: np.ndarray, count: int) -> Coloring | None:
    alone = _alone(rows, colors[cols], n, count)
    # Transposed, the entries come in the order of the columns: entry p is (j, i) where entry mirror[p] is (i, j).
    mirror = np.argsort(cols.astype(np.int64) * n + rows, kind="stable")
    there = alone[mirror]
    if not (alone | there).all():
        return None
    # Both entries of a pair are read from one place, the lower one where both would do.
    here = alone & ((rows >= cols) | ~there)
    return Coloring(
        colors, count, np.where(here, _flat(colors[cols], rows, n), _flat(colors[rows], cols, n)).astype(np.int32)
    )


def _own(rows: np.ndarray, cols: np.ndarray, k: int, n: int) -> Coloring:
    return Coloring(np.arange(n, dtype=np.int32), n, _flat(cols, rows, k))


def _flat(colors: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    return (colors.astype(np.int64) * k + rows).astype(np.int64)


__all__ = ["Coloring", "color_columns", "color_symmetric"]
