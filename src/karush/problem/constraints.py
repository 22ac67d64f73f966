"""Constraints as users write them: ``equal``, ``between`` and ``linear``, each a function of x with limits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from karush.core.errors import ProblemError
from karush.core.precision import as_float64


@dataclass(frozen=True)
class Constraint:
    """``lower <= function(x) <= upper``, row by row."""

    function: Callable[..., Any]
    """x (and params, if the problem has them) -> array, or pytree of arrays, of rows"""
    lower: Any
    """scalar or array that broadcasts to the rows; None is -inf"""
    upper: Any
    """scalar or array that broadcasts to the rows; None is +inf"""
    name: str | None = None
    flat: bool = False
    """whether `function` takes the flat x alone, as `linear` does"""


def equal(function: Callable[..., Any], target: Any = 0.0, *, name: str | None = None) -> Constraint:
    """The constraint ``function(x) = target``.

    Parameters
    ----------
    function
        JAX function of x (of x and params where the problem has params); its rows may have any shape.
    target
        Scalar, or anything that broadcasts to the rows.
    name
        Said in every message; a number is given to a constraint without one.
    """
    _require_callable(function, "equal(function, ...)")
    if target is None:
        raise ProblemError("equal(..., target=None): an equality needs a number; use between(...) for one-sided limits")
    return Constraint(function, target, target, name)


def between(
    function: Callable[..., Any], *, lower: Any = None, upper: Any = None, name: str | None = None
) -> Constraint:
    """The constraint ``lower <= function(x) <= upper``, one- or two-sided, row by row.

    Parameters
    ----------
    function
        JAX function of x (of x and params where the problem has params); its rows may have any shape.
    lower, upper
        Scalars, or anything that broadcasts to the rows; None or ±inf for a side without a limit.
    name
        Said in every message; a number is given to a constraint without one.
    """
    _require_callable(function, "between(function, ...)")
    if lower is None and upper is None:
        raise ProblemError("between(..., lower=None, upper=None) constrains nothing; give at least one limit")
    return Constraint(function, lower, upper, name)


def linear(A: Any, *, lower: Any = None, upper: Any = None, name: str | None = None) -> Constraint:
    """The constraint ``lower <= A x <= upper`` on the raveled x.

    Parameters
    ----------
    A
        Matrix (k, n), NumPy or SciPy sparse; a row (n,) is one constraint. Columns follow the leaves of x0 in order.
    lower, upper
        Scalars or (k,); equal limits make an equality.
    name
        Said in every message; a number is given to a constraint without one.
    """
    if lower is None and upper is None:
        raise ProblemError("linear(A, lower=None, upper=None) constrains nothing; give at least one limit")
    if hasattr(A, "tocoo"):
        return Constraint(_sparse_product(A.tocoo()), lower, upper, name, flat=True)
    matrix = np.atleast_2d(as_float64(A, "linear(A, ...)"))
    if matrix.ndim != 2 or not np.all(np.isfinite(matrix)):
        raise ProblemError(f"linear(A, ...) needs a finite matrix (k, n), got shape {np.shape(A)}")

    def rows(x: Any) -> Any:
        if matrix.shape[1] != x.shape[0]:
            raise ProblemError(_columns(matrix.shape, x.shape[0]))
        return jnp.asarray(matrix) @ x

    return Constraint(rows, lower, upper, name, flat=True)


def _sparse_product(coo: Any) -> Callable[[Any], Any]:
    row, column = np.asarray(coo.row), np.asarray(coo.col)
    data = as_float64(coo.data, "linear(A, ...)")
    shape = coo.shape
    if not np.all(np.isfinite(data)):
        raise ProblemError(f"linear(A, ...) needs a finite matrix (k, n), got {data[~np.isfinite(data)][0]} in it")

    def rows(x: Any) -> Any:
        if shape[1] != x.shape[0]:
            raise ProblemError(_columns(shape, x.shape[0]))
        return jnp.zeros(shape[0], x.dtype).at[row].add(jnp.asarray(data) * x[column])

    return rows


def _columns(shape: tuple[int, ...], n: int) -> str:
    return f"linear(A, ...) has A of shape {shape}, but x0 holds {n} numbers; A needs one column for each"


def _require_callable(function: Any, place: str) -> None:
    if not callable(function):
        raise ProblemError(f"{place} needs a JAX function of x, got {type(function).__name__} {function!r:.60}")
