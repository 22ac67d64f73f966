"""Compiled callbacks for solvers that ask for f, ∇f, c, J and ∇²L one at a time, NumPy in and out."""

from collections.abc import Callable
from dataclasses import dataclass

import asdex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from benchmarks.problem import BenchmarkProblem

DENSE_UP_TO = 50
"""Variables. Above, patterns are detected (structurally: a value probed at a bound misses entries) and coloured."""

Pattern = tuple[Int[np.ndarray, " nnz"], Int[np.ndarray, " nnz"]]


@dataclass(frozen=True)
class Callbacks:
    """Exact derivatives of one problem. Jacobian and Hessian are value vectors aligned with their patterns."""

    value: Callable[[Float[np.ndarray, " n"]], float]
    gradient: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]
    rows: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " m"]]
    jacobian: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " nnz"]]
    hessian: Callable[..., Float[np.ndarray, " nnz"]]
    """of ``(x, y, weight)``: weight ∇²f + Σ y_i ∇²c_i, lower triangle"""
    jacobian_pattern: Pattern
    hessian_pattern: Pattern


def build(problem: BenchmarkProblem) -> Callbacks:
    """Callbacks of ``problem``; each compiles at its first call."""
    n, m = problem.n, problem.m
    rows = problem.rows if problem.rows is not None else (lambda x: jnp.zeros(0, x.dtype))

    def lagrangian(x, y, weight):
        # no 0 * f where the objective is constant and no empty product where there are no rows
        return weight * problem.objective(x) + (jnp.dot(y, rows(x)) if m else 0.0)

    sparse = n > DENSE_UP_TO
    jacobian, jacobian_pattern = (_sparse_jacobian if sparse and m else _dense_jacobian)(rows, n, m)
    hessian, hessian_pattern = (_sparse_hessian if sparse else _dense_hessian)(lagrangian, n, m)
    value, gradient, rows = jax.jit(problem.objective), jax.jit(jax.grad(problem.objective)), jax.jit(rows)
    jacobian, hessian = jax.jit(jacobian), jax.jit(hessian)
    return Callbacks(
        value=lambda x: float(value(x)),
        gradient=lambda x: np.asarray(gradient(x)),
        rows=lambda x: np.asarray(rows(x)),
        jacobian=lambda x: np.asarray(jacobian(x)),
        hessian=lambda x, y, weight: np.asarray(hessian(x, y, float(weight))),
        jacobian_pattern=jacobian_pattern,
        hessian_pattern=hessian_pattern,
    )


def _dense_jacobian(rows, n: int, m: int):
    # the mode with fewer directional derivatives
    full = jax.jacrev(rows) if m < n else jax.jacfwd(rows)
    pattern = np.divmod(np.arange(m * n), n)
    return lambda x: full(x).reshape(-1), pattern


def _dense_hessian(lagrangian, n: int, m: int):
    full, pattern = jax.hessian(lagrangian), np.tril_indices(n)
    return lambda x, y, weight: full(x, y, weight)[pattern], pattern


def _sparse_jacobian(rows, n: int, m: int):
    coloring = asdex.jacobian_coloring(rows, jnp.zeros(n))
    full = asdex.jacobian_from_coloring(rows, coloring)
    row, column = np.asarray(coloring.sparsity.rows), np.asarray(coloring.sparsity.cols)
    return lambda x: full(x).data, (row, column)


def _sparse_hessian(lagrangian, n: int, m: int):
    sample = jnp.zeros(n), jnp.ones(m), 1.0
    coloring = asdex.hessian_coloring(lagrangian, *sample)
    full = asdex.hessian_from_coloring(lagrangian, coloring)
    row, column = np.asarray(coloring.sparsity.rows), np.asarray(coloring.sparsity.cols)
    lower = np.flatnonzero(row >= column)
    return lambda x, y, weight: full(x, y, weight).data[lower], (row[lower], column[lower])
