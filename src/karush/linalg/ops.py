"""The two array libraries that the solver's step runs on, with the few operations in which they differ.

The step is written once, against `Ops`. NumPy runs it at once, without compiling, so a first solve costs only the
compilation of the user's own functions; JAX compiles it whole, so a repeated solve costs microseconds per iteration.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np
from scipy.linalg import get_lapack_funcs

_potrf, _getrf, _getrs = get_lapack_funcs(("potrf", "getrf", "getrs"), dtype=np.float64)


@dataclass(frozen=True)
class Ops:
    """One array library."""

    np: ModuleType
    """numpy or jax.numpy"""
    cond: Callable[..., Any]
    """``cond(predicate, true_function, false_function, *operands)``"""
    while_loop: Callable[..., Any]
    """``while_loop(condition, body, state)``"""
    is_positive_definite: Callable[[Any], Any]
    """whether the Cholesky factorization of a symmetric matrix exists; False for NaN"""
    lu_factor: Callable[[Any], Any]
    lu_solve: Callable[[Any, Any], Any]
    """solution of ``A X = B`` from `lu_factor`'s answer; NaN or inf where A is singular"""


def _numpy_cond(predicate: Any, true_function: Any, false_function: Any, *operands: Any) -> Any:
    return true_function(*operands) if predicate else false_function(*operands)


def _numpy_while_loop(condition: Any, body: Any, state: Any) -> Any:
    while condition(state):
        state = body(state)
    return state


def _numpy_is_positive_definite(matrix: np.ndarray) -> bool:
    if matrix.size == 0:
        return True
    if not np.isfinite(matrix).all():
        return False
    return _potrf(matrix, lower=1, clean=0)[1] == 0


def _numpy_lu_factor(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if matrix.size == 0:
        return matrix, np.zeros(0, np.int32)
    lu, pivots, _ = _getrf(matrix)
    return lu, pivots


def _numpy_lu_solve(factors: tuple[np.ndarray, np.ndarray], right: np.ndarray) -> np.ndarray:
    if right.size == 0:
        return right
    return _getrs(factors[0], factors[1], right)[0]


def _jax_is_positive_definite(matrix: Any) -> Any:
    return jnp.all(jnp.isfinite(jnp.diagonal(jax.lax.linalg.cholesky(matrix, symmetrize_input=False))))


NUMPY = Ops(np, _numpy_cond, _numpy_while_loop, _numpy_is_positive_definite, _numpy_lu_factor, _numpy_lu_solve)
JAX = Ops(
    jnp,
    jax.lax.cond,
    jax.lax.while_loop,
    _jax_is_positive_definite,
    jax.scipy.linalg.lu_factor,
    jax.scipy.linalg.lu_solve,
)
