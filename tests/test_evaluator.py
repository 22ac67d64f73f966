"""One compiled call gives f, c and their exact derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karush import Problem, between, equal
from karush.core.precision import float64
from karush.derivatives import Evaluator, evaluator
from karush.problem import flatten

EPS = np.finfo(float).eps


def made(problem):
    flat = flatten(problem)
    return flat, Evaluator(flat.closed_jaxpr, flat.param_leaves, flat.m)


@pytest.fixture(scope="module")
def monomials():
    """f = x³y + z², c = (xyz, x² + y²)."""
    with jax.numpy_dtype_promotion("strict"):
        return made(
            Problem(
                lambda v: v[0] ** 3 * v[1] + v[2] ** 2,
                np.ones(3),
                constraints=[
                    equal(lambda v: v[0] * v[1] * v[2], 1.0),
                    between(lambda v: v[0] ** 2 + v[1] ** 2, upper=2.0),
                ],
            )
        )[1]


numbers = st.integers(-8, 8).map(float)


@settings(max_examples=50)
@given(st.tuples(numbers, numbers, numbers), st.tuples(numbers, numbers), numbers)
def test_derivatives_of_polynomials_are_exact(monomials, point, multipliers, weight):
    """Small integers: no operation rounds, so equality is exact."""
    x, y, z = point
    a, b = multipliers
    at = monomials(np.array(point), np.array(multipliers), weight)
    assert at.value == x**3 * y + z**2
    np.testing.assert_array_equal(at.gradient, [3 * x**2 * y, x**3, 2 * z])
    np.testing.assert_array_equal(at.rows, [x * y * z, x**2 + y**2])
    np.testing.assert_array_equal(at.jacobian, [[y * z, x * z, x * y], [2 * x, 2 * y, 0]])
    hessian = weight * np.array([[6 * x * y, 3 * x**2, 0], [3 * x**2, 0, 0], [0, 0, 2]])
    hessian += a * np.array([[0, z, y], [z, 0, x], [y, x, 0]]) + b * np.diag([2.0, 2.0, 0.0])
    np.testing.assert_array_equal(at.hessian, hessian)
    value, rows = monomials.values(np.array(point))
    assert value == at.value
    np.testing.assert_array_equal(rows, at.rows)


def test_the_sparse_form_of_a_small_problem_is_its_dense_form_entry_by_entry(monomials):
    x, y = np.array([1.5, -2.0, 0.3]), np.array([0.7, -1.1])
    dense, sparse = monomials(x, y, 0.9), monomials.sparse(x, y, 0.9)
    rows, cols = monomials.jacobian_pattern
    np.testing.assert_array_equal(sparse.jacobian_data, dense.jacobian[rows, cols])
    rows, cols = monomials.hessian_pattern
    assert np.all(rows >= cols)
    np.testing.assert_array_equal(sparse.hessian_data, dense.hessian[rows, cols])
    np.testing.assert_array_equal(sparse.gradient, dense.gradient)


def test_everything_is_float64_under_the_32_bit_default(monomials):
    at = monomials(np.ones(3), np.ones(2))
    assert isinstance(at.value, float)
    assert {part.dtype for part in at[1:]} == {np.dtype(float)}


def test_derivatives_agree_with_jax_on_a_transcendental_function():
    def f(x):
        return jnp.sum(jnp.exp(x) * jnp.sin(x[::-1])) + jnp.log(1.0 + x[0] ** 2)

    point = np.array([0.3, -0.7, 1.1])
    at = made(Problem(f, np.ones(3)))[1](point, np.zeros(0))
    with float64():
        gradient, hessian = np.asarray(jax.grad(f)(point)), np.asarray(jax.hessian(f)(point))
    np.testing.assert_allclose(at.gradient, gradient, rtol=16 * EPS)
    np.testing.assert_allclose(at.hessian, hessian, rtol=64 * EPS, atol=16 * EPS)


def test_a_program_too_long_to_be_fused_has_the_same_derivatives(monkeypatch):
    def f(x):
        return sum(jnp.sin(k * x[0]) * x[1] for k in range(5))

    point = np.array([0.3, 0.9])
    fused = made(Problem(f, np.ones(2)))[1]
    monkeypatch.setattr(evaluator, "UNFUSED_FROM", 1)
    unfused = made(Problem(f, np.ones(2)))[1]
    assert fused.fused_options is None
    assert unfused.fused_options is not None
    for one, other in zip(fused(point, np.zeros(0)), unfused(point, np.zeros(0)), strict=True):
        np.testing.assert_allclose(one, other, rtol=256 * EPS, atol=256 * EPS)


def test_the_last_evaluation_is_remembered_and_forgotten_with_other_params():
    flat, evaluate = made(Problem(lambda x, p: jnp.sum(x) * p, np.ones(2), params=2.0))
    first = evaluate(flat.x0, np.zeros(0))
    calls = evaluate.calls
    assert evaluate(flat.x0.copy(), np.zeros(0)) is first
    assert evaluate.calls == calls
    evaluate.set_params([np.array(3.0)])
    assert evaluate(flat.x0, np.zeros(0)).value == 6.0


def test_nan_and_infinity_come_through():
    evaluate = made(Problem(lambda x: jnp.log(x[0]), np.ones(1)))[1]
    assert np.isnan(evaluate.values(np.array([-1.0]))[0])
    assert evaluate.values(np.array([0.0]))[0] == -np.inf


@pytest.mark.user_style
@pytest.mark.parametrize("kind", ["jit", "scan", "fori_loop", "where", "cond", "vmap"])
def test_the_users_function_may_use_jaxs_own(kind):
    """Σ xᵢ³ in six ways."""
    functions = {
        "jit": jax.jit(lambda x: jnp.sum(x**3)),
        "scan": lambda x: jax.lax.scan(lambda s, e: (s + e**3, None), 0.0, x)[0],
        "fori_loop": lambda x: jax.lax.fori_loop(0, 3, lambda i, s: s + x[i] ** 3, 0.0),
        "where": lambda x: jnp.sum(jnp.where(x > -100.0, x**3, 0.0)),
        "cond": lambda x: jax.lax.cond(x[0] > -100.0, lambda: jnp.sum(x**3), lambda: 0.0 * x[0]),
        "vmap": lambda x: jnp.sum(jax.vmap(lambda e: e**3)(x)),
    }
    x = np.array([1.0, -2.0, 3.0])
    at = made(Problem(functions[kind], np.ones(3)))[1](x, np.zeros(0))
    assert at.value == 20.0
    np.testing.assert_array_equal(at.gradient, 3 * x**2)
    np.testing.assert_array_equal(at.hessian, np.diag(6 * x))
