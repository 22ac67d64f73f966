"""Small linear algebra and reductions as plain loops, so that XLA's CPU compiler can put a whole program in one kernel.

A call of LAPACK, or a reduction, is an operation of its own. Written as loops over scalars and rows they become part of
the kernel around them; each function returns None for what it does not cover.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

LARGEST = 24
"""order of a matrix up to which a loop is as fast as a call"""
LONGEST = 1000
"""the same for the product of two vectors"""
FAR, UNIT = 2.0**400, 2.0**600
"""Entries beyond FAR, or all below 1/FAR, have squares out of range, and are taken in units of UNIT or 1/UNIT."""
DROPPING = (lax.GatherScatterMode.FILL_OR_DROP, lax.GatherScatterMode.PROMISE_IN_BOUNDS)
"""ways of a scatter to deal with indices outside"""
SWEEPS = 30
"""sweeps of Jacobi's method at most; six to eight are enough"""


def _at(array: Any, k: Any, axis: int = 0) -> Any:
    return lax.dynamic_index_in_dim(array, k, axis, keepdims=False)


def _put(array: Any, part: Any, k: Any, axis: int = 0) -> Any:
    return lax.dynamic_update_index_in_dim(array, part, k, axis)


def _turns(first: Any, last: Any, body: Callable[[Any, Any], Any], start: Any) -> Any:
    """``lax.fori_loop``, which counts twice where its limits are known: once for itself, once for its body."""
    return lax.while_loop(lambda carry: carry[0] < last, lambda carry: (carry[0] + 1, body(*carry)), (first, start))[1]


def _is_small(*matrices: Any) -> bool:
    return all(a.ndim == 2 and 0 < a.shape[0] <= LARGEST and a.dtype == jnp.float64 for a in matrices)


def reduced(combine: Callable[[Any, Any], Any], array: Any, axes: tuple[int, ...]) -> Any:
    """``combine`` over axes, one after the other, entry after entry."""
    if not axes or array.size == 0:
        return None
    for axis in sorted(axes, reverse=True):
        entry = partial(_at, array, axis=axis)
        array = _turns(1, array.shape[axis], lambda k, out, entry=entry: combine(out, entry(k)), entry(0))
    return array


def dot(a: Any, b: Any, params: Any) -> Any:
    """``Σ_k a_k b_k`` over one axis of each, of vectors and matrices."""
    (left, right), batch = params["dimension_numbers"]
    left, right = [int(axis) for axis in left], [int(axis) for axis in right]
    if not left and batch == ((), ()) and params["preferred_element_type"] == a.dtype == b.dtype:
        return lax.reshape(a, (*a.shape, *[1] * b.ndim)) * lax.reshape(b, (*[1] * a.ndim, *b.shape))
    if batch != ((), ()) or len(left) != 1 or a.ndim > 2 or b.ndim > 2 or a.dtype != b.dtype:
        return None
    longest = LONGEST if a.ndim == b.ndim == 1 else LARGEST
    if max(*a.shape, *b.shape) > longest or params["preferred_element_type"] != a.dtype:
        return None
    if a.shape[left[0]] == 0:
        return jnp.zeros(np.delete(a.shape, left).tolist() + np.delete(b.shape, right).tolist(), a.dtype)

    def term(k: Any) -> Any:
        one, other = _at(a, k, left[0]), _at(b, k, right[0])
        return one[:, None] * other[None, :] if one.ndim == other.ndim == 1 else one * other

    return _turns(1, a.shape[left[0]], lambda k, out: out + term(k), term(0))


def top_k(a: Any, count: int) -> tuple[Any, Any] | None:
    """The `count` largest entries of a vector of integers, in order, and where they stand; of equal ones the first.

    Of floats XLA orders NaN and −0 too, which comparisons do not.
    """
    if a.ndim != 1 or count == 0 or not jnp.issubdtype(a.dtype, jnp.integer):
        return None
    i = jnp.arange(a.size)
    before = (a[None, :] > a[:, None]) | ((a[None, :] == a[:, None]) & (i[None, :] < i[:, None]))
    place = reduced(jnp.add, before.astype(jnp.int32), (1,))

    def put(k: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        there = _at(place, k)
        values, where = carry
        chosen = there < count
        slot = jnp.minimum(there, count - 1)
        values = _put(values, jnp.where(chosen, _at(a, k), _at(values, slot)), slot)
        return values, _put(where, jnp.where(chosen, jnp.asarray(k, jnp.int32), _at(where, slot)), slot)

    return _turns(0, a.size, put, (jnp.zeros(count, a.dtype), jnp.zeros(count, jnp.int32)))


def replaced(there: Any, new: Any) -> Any:
    """The new one."""
    return new


def scatter(combine: Callable[[Any, Any], Any], array: Any, indices: Any, updates: Any, params: Any) -> Any:
    """``array[i_k] = combine(array[i_k], updates_k)`` along one axis; what lies outside is dropped.

    With addition it is the transpose of ``x[i]``.
    """
    numbers = params["dimension_numbers"]
    # ``x.at[i].apply(g)`` is a plain scatter too, whose g is in the parameters and whose updates are not used.
    if params["mode"] not in DROPPING or (combine is replaced and params["update_jaxpr"] is not None):
        return None
    axes = numbers.scatter_dims_to_operand_dims
    if len(axes) != 1 or numbers.inserted_window_dims != axes or numbers.operand_batching_dims or indices.ndim > 2:
        return None
    axis = int(axes[0])
    # Indices without a batch of their own, (1,), are one place.
    if indices.ndim == 1:
        indices, updates = indices[None], jnp.expand_dims(updates, axis)
        along = axis
    else:
        (along,) = set(range(updates.ndim)) - set(numbers.update_window_dims)
    size = array.shape[axis]
    if size == 0 or updates.size * size != array.size * indices.shape[0]:
        return None

    def put(k: Any, out: Any) -> Any:
        i = _at(indices, k)[0]
        there = _at(out, i, axis)
        inside = (i >= 0) & (i < size)
        return _put(out, jnp.where(inside, combine(there, _at(updates, k, along)), there), i, axis)

    return _turns(0, indices.shape[0], put, array)


def cholesky(a: Any) -> Any:
    """``a = L Lᵀ`` column by column; NaN, all of it, for a pivot that is not positive."""
    if not _is_small(a):
        return None
    i = jnp.arange(a.shape[0])

    def column(k: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        rest, L = carry
        below = _at(rest, k, 1)
        pivot = _at(below, k)
        below = jnp.where(i >= k, below / jnp.sqrt(jnp.where(pivot > 0, pivot, jnp.nan)), 0.0)
        return rest - below[:, None] * below[None, :], _put(L, below, k, 1)

    L = _turns(0, a.shape[0], column, (a, jnp.zeros_like(a)))[1]
    return jnp.where(jnp.isnan(L[-1, -1]) & (i[:, None] >= i[None, :]), jnp.nan, L)


def triangular_solve(a: Any, b: Any, params: Any) -> Any:
    """x of ``a x = b`` or ``aᵀ x = b``, for right-hand sides (n, r)."""
    if not _is_small(a) or b.ndim != 2 or not params["left_side"] or params["conjugate_a"]:
        return None
    n, transposed = a.shape[0], params["transpose_a"]
    forward = params["lower"] != transposed
    i = jnp.arange(n)

    def row(step: Any, x: Any) -> Any:
        k = step if forward else n - 1 - step
        line = _at(a, k, 0 if transposed else 1)
        known = _at(x, k)
        if not params["unit_diagonal"]:
            known = known / _at(line, k)
        ahead = i > k if forward else i < k
        return _put(x - jnp.where(ahead[:, None], line[:, None] * known[None, :], 0.0), known, k)

    return _turns(0, n, row, b)


def lu(a: Any) -> tuple[Any, Any, Any] | None:
    """L and U in one matrix, the row exchanged with row k in step k, and the permutation; partial pivoting."""
    if not _is_small(a) or a.shape[0] != a.shape[1]:
        return None
    n = a.shape[0]
    i = jnp.arange(n, dtype=jnp.int32)

    def step(k: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        a, pivots = carry
        sizes = jnp.where(i >= k, jnp.abs(_at(a, k, 1)), -1.0)
        largest = _turns(
            k + 1, n, lambda j, best: jnp.where(_at(sizes, j) > _at(sizes, best), jnp.int32(j), best), jnp.int32(k)
        )
        row, other = _at(a, largest), _at(a, k)
        a = _put(_put(a, other, largest), row, k)
        factors = jnp.where(i > k, _at(a, k, 1) / _at(row, k), 0.0)
        reduced_rows = a - factors[:, None] * jnp.where(i > k, row, 0.0)[None, :]
        return _put(reduced_rows, jnp.where(i > k, factors, _at(a, k, 1)), k, 1), _put(pivots, largest, k)

    a, pivots = _turns(0, n, step, (a, i))
    return a, pivots, permutation(pivots, n)


def permutation(pivots: Any, size: int) -> Any:
    """The row permutation (size,) that the exchanges `pivots` make together."""
    if pivots.ndim != 1 or size > LARGEST:
        return None

    def exchange(k: Any, order: Any) -> Any:
        other = _at(pivots, k)
        return _put(_put(order, _at(order, other), k), _at(order, k), other)

    return _turns(0, pivots.shape[0], exchange, jnp.arange(size, dtype=jnp.int32))


def eigh(a: Any, lower: bool = True) -> tuple[Any, Any] | None:
    """Eigenvectors, as columns, and ascending eigenvalues of a symmetric matrix by Jacobi's method (8.5 of [GV13]).

    Of `a` only the triangle is read that `lower` names.
    """
    if not _is_small(a):
        return None
    n = a.shape[0]
    i = jnp.arange(n)
    a = jnp.where((i[:, None] >= i[None, :]) == lower, a, a.T)
    a = jnp.where(i[:, None] == i[None, :], jnp.diagonal(a)[:, None], a)
    largest = reduced(jnp.maximum, jnp.abs(a), (0, 1))
    unit = jnp.where(largest > FAR, 1.0 / UNIT, jnp.where(largest < 1.0 / FAR, UNIT, 1.0))
    a = a * unit
    size = reduced(jnp.add, a * a, (0, 1))

    def rotate(p: Any, q: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        a, v = carry
        row_p, row_q = _at(a, p), _at(a, q)
        off = _at(row_p, q)
        theta = (_at(row_q, q) - _at(row_p, p)) / (2.0 * jnp.where(off == 0.0, 1.0, off))
        tangent = jnp.where(theta >= 0, 1.0, -1.0) / (jnp.abs(theta) + jnp.sqrt(theta * theta + 1.0))
        tangent = jnp.where(off == 0.0, 0.0, tangent)
        c = 1.0 / jnp.sqrt(tangent * tangent + 1.0)
        s = tangent * c
        a = _put(_put(a, c * row_p - s * row_q, p), s * row_p + c * row_q, q)
        column_p, column_q = _at(a, p, 1), _at(a, q, 1)
        a = _put(_put(a, c * column_p - s * column_q, p, 1), s * column_p + c * column_q, q, 1)
        v_p, v_q = _at(v, p), _at(v, q)
        return a, _put(_put(v, c * v_p - s * v_q, p), s * v_p + c * v_q, q)

    def sweep(carry: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        count, a, v = carry

        def with_row(p: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
            return _turns(p + 1, n, lambda q, carry: rotate(p, q, carry), carry)

        a, v = _turns(0, n - 1, with_row, (a, v))
        return count + 1, a, v

    def rough(carry: tuple[Any, Any, Any]) -> Any:
        count, a, _ = carry
        off = reduced(jnp.add, jnp.where(i[:, None] == i[None, :], 0.0, a * a), (0, 1))
        return (count < SWEEPS) & (off > jnp.finfo(jnp.float64).eps ** 2 * size)

    last = lax.while_loop(rough, sweep, (0, a, jnp.eye(n)))
    _, a, v = last
    values = jnp.diagonal(a)
    before = (values[None, :] < values[:, None]) | ((values[None, :] == values[:, None]) & (i[None, :] < i[:, None]))
    place = reduced(jnp.add, before.astype(jnp.int64), (1,))

    def sort(k: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        vectors, ascending = carry
        return _put(vectors, _at(v, k), _at(place, k), 1), _put(ascending, _at(values, k), _at(place, k))

    vectors, ascending = _turns(0, n, sort, (jnp.zeros_like(a), jnp.zeros_like(values)))
    # What is not finite, or has not converged, has no eigenvalues.
    found = jnp.isfinite(size) & (last[0] < SWEEPS)
    return jnp.where(found, vectors, jnp.nan), jnp.where(found, ascending / unit, jnp.nan)
