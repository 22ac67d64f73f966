"""A program with its small reductions written out is the same program."""

from functools import cache

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import karush
from karush.core.precision import float64
from karush.jaxprs.lean import LARGEST, LONGEST, lean

EPS = float(np.finfo(np.float64).eps)


def reductions(x):
    square = x[:, None] * x[None, :] + 2.0 * jnp.eye(x.size)
    return (
        jnp.sum(x),
        jnp.max(square, axis=0),
        jnp.min(square, axis=1),
        jnp.all(x > 0),
        jnp.any(square < 0, axis=0),
        square @ x,
        square @ square,
        jnp.vdot(x, x),
        x @ square,
    )


def factors(x):
    square = x[:, None] * x[None, :] + 2.0 * jnp.eye(x.size)
    lower = lax.linalg.cholesky(square, symmetrize_input=False)
    half = lax.linalg.triangular_solve(lower, x[:, None], left_side=True, lower=True)
    whole = lax.linalg.triangular_solve(lower, half, left_side=True, lower=True, transpose_a=True)
    return lower, half, whole


def control(x):
    def body(carry):
        k, y = carry
        y = lax.cond(jnp.sum(y) > 1.0, lambda y: y / jnp.max(jnp.abs(y)), lambda y: y + jnp.mean(y) + 0.1, y)
        return k + 1, lax.switch(k % 3, [jnp.sin, jnp.cos, lambda y: y * jnp.vdot(y, y)], y)

    return lax.while_loop(lambda carry: carry[0] < jnp.where(jnp.sum(x) > 0, 6, 5), body, (0, x))


def primitives(jaxpr):
    """Names of all primitives of a program, those of bodies included."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for body in jax.extend.core.jaxprs_in_params(equation.params):
            yield from primitives(body)


@pytest.mark.parametrize("function", [reductions, factors, control])
@pytest.mark.parametrize("n", [1, 2, 3, LONGEST, LONGEST + 1])
def test_the_lean_program_computes_the_same(function, n):
    x = np.random.default_rng(n).standard_normal(n)
    with float64():
        plain = jax.jit(function)(x)
        written_out = jax.jit(lean(function, x))(x)
    assert jax.tree.structure(plain) == jax.tree.structure(written_out)
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(written_out), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(other, one, rtol=64 * n * EPS, atol=64 * n * EPS)


def test_small_programs_hold_no_reduction_any_more():
    with float64():
        small, large = (
            set(primitives(jax.make_jaxpr(lean(function, np.ones(n)))(np.ones(n)).jaxpr))
            for function, n in ((lambda x: (reductions(x), factors(x)), LONGEST), (reductions, LARGEST * LONGEST + 1))
        )
    calls = {"reduce_sum", "reduce_max", "reduce_min", "reduce_and", "reduce_or", "dot_general", "cholesky"}
    assert not small & (calls | {"triangular_solve"})
    assert large >= {"reduce_sum", "reduce_max", "dot_general"}


@pytest.mark.parametrize("pivot", [0.0, -1.0, np.nan])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_matrix_that_is_not_positive_definite_has_no_finite_factor(pivot, place):
    square = np.diag(np.where(np.arange(3) == place, pivot, 2.0))
    with float64():
        factor = jax.jit(lean(lambda a: lax.linalg.cholesky(a, symmetrize_input=False), square))(square)
    assert not np.all(np.isfinite(np.diagonal(factor)))


def test_a_nan_is_no_maximum_that_a_comparison_could_pass():
    x = np.array([1.0, np.nan, 0.0])
    with float64():
        largest, least, both = jax.jit(lean(lambda x: (jnp.max(x), jnp.min(x), x @ x), x))(x)
    assert np.isnan(largest)
    assert np.isnan(least)
    assert np.isnan(both)


@cache
def banana() -> karush.Prepared:
    return karush.prepare(karush.Problem(lambda x: 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2, [-1.2, 1.0]))


def test_options_read_once_are_still_checked():
    first = banana().solve(driver="fused")
    again = banana().solve(driver="fused")
    assert first.success
    np.testing.assert_array_equal(first.x_flat, again.x_flat)
    assert not banana().solve(driver="fused", max_iterations=2).success
    assert banana().solve(driver="fused", max_iterations=500).success
    with pytest.raises(karush.errors.OptionError, match="max_iterations"):
        banana().solve(driver="fused", max_iterations=500.0)


def test_a_result_is_not_changed_by_a_later_solve():
    first = banana().solve(driver="fused")
    kept = first.x_flat.copy()
    start = np.array([0.5, 0.5])
    assert banana().solve(start, driver="fused").success
    start[:] = 2.0
    assert banana().solve(start, driver="fused").success
    assert first.x_flat.flags.writeable
    np.testing.assert_array_equal(first.x_flat, kept)


def test_a_repeated_solve_tries_first_what_helped_last():
    first = banana().solve(driver="fused", max_iterations=12)
    again = banana().solve(driver="fused", max_iterations=12)
    assert first.success
    assert first.notes
    assert again.success
    assert again.notes == first.notes
    assert again.iterations <= first.iterations
    np.testing.assert_allclose(again.x_flat, first.x_flat, rtol=0, atol=1e-8)
