"""Which entries of v each element of an array can depend on: one set of indices per element, all sets in one matrix.

The sets of an array with N elements are the rows of a boolean CSR matrix (N, n), sorted and without doubles. Every
operation on them is one pass over arrays in compiled code; Python sets cost 20 to 50 times more at n = 1e5.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, vstack

CAPACITY = 30_000_000
"""Entries, 150 MB, from which sets are given up: a matrix with as many is nothing to be kept."""


Sets = Any
"""A boolean ``scipy.sparse.csr_matrix`` (N, n); SciPy's stubs know neither its shape nor its operators."""


class TooFullError(Exception):
    """The sets hold more than `CAPACITY` entries."""


def identity(n: int) -> Sets:
    """Element i depends on entry i, (n, n)."""
    return made(np.arange(n + 1), np.arange(n), n)


def made(indptr: np.ndarray, indices: np.ndarray, n: int) -> Sets:
    """The matrix of sorted rows without doubles."""
    matrix = csr_matrix((np.ones(indices.size, bool), indices, indptr), shape=(indptr.size - 1, n))
    matrix.has_canonical_format = True
    return matrix


def take(sets: Sets, positions: np.ndarray) -> Sets:
    """Row ``positions[i]`` of `sets` as row i; an empty one where ``positions[i] < 0``."""
    positions = positions.ravel()
    starts = sets.indptr[:-1][positions]
    lengths = np.where(positions >= 0, np.diff(sets.indptr)[positions], 0).astype(np.int64)
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    _within(int(indptr[-1]))
    sources = np.repeat(starts - indptr[:-1], lengths) + np.arange(indptr[-1])
    return made(indptr, sets.indices[sources], sets.shape[1])


def union(parts: Sequence[Sets]) -> Sets:
    """Element by element the union of several."""
    total = parts[0]
    for part in parts[1:]:
        if not same(total, part):
            _within(int(total.nnz + part.nnz))
            total = total + part
    return total


def same(one: Sets, other: Sets) -> bool:
    """Whether both hold the same sets."""
    if one is other:
        return True
    return np.array_equal(one.indptr, other.indptr) and np.array_equal(one.indices, other.indices)


def gathered(sets: Sets, targets: np.ndarray, size: int) -> Sets:
    """Element t, of `size`, is the union of the rows i with ``targets[i] == t``; rows with a negative target vanish."""
    targets = targets.ravel()
    kept = np.flatnonzero(targets >= 0)
    return combined(csr_matrix((np.ones(kept.size, bool), (targets[kept], kept)), shape=(size, targets.size)), sets)


def combined(weights: Sets, sets: Sets) -> Sets:
    """Element i is the union of the rows j with ``weights[i, j]``: the pattern of a matrix product."""
    _within(int(np.diff(sets.indptr)[weights.indices].sum()))
    product = weights @ sets
    product.sort_indices()
    return product


def everything(parts: Sequence[Sets], size: int) -> Sets:
    """Each of `size` elements depends on all that any part does."""
    columns = np.unique(np.concatenate([part.indices for part in parts]))
    _within(size * columns.size)
    return made(np.arange(size + 1) * columns.size, np.tile(columns, size), parts[0].shape[1])


def stacked(parts: Sequence[Sets]) -> Sets:
    """The elements of several arrays one after another."""
    if len(parts) == 1:
        return parts[0]
    _within(int(sum(part.nnz for part in parts)))
    return csr_matrix(vstack(parts, format="csr"))


def _within(entries: int) -> None:
    if entries > CAPACITY:
        raise TooFullError


__all__ = [
    "CAPACITY",
    "Sets",
    "TooFullError",
    "combined",
    "everything",
    "gathered",
    "identity",
    "made",
    "same",
    "stacked",
    "take",
    "union",
]
