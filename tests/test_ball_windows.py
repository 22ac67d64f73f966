"""Convolutions, orders, triangular matrices and integers in balls hold what JAX computes, and what is exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import karush
from karush.arithmetic.ball import BallProgram, Undecided
from karush.arithmetic.ball_numbers import around, balls, floats
from karush.core.precision import float64
from karush.jaxprs.primal import primal

pytestmark = pytest.mark.user_style
MATRIX = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.2], [0.5, -0.2, 2.0]])
RANDOM = np.random.default_rng(3)


def both(function, *arguments):
    """What balls and JAX make of a function, of one output."""
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        (value,) = BallProgram(jax.make_jaxpr(function)(*arguments))(*arguments)
        return value, np.asarray(function(*arguments))


def convolution(**params):
    def function(a, b):
        given = {"window_strides": (1, 1), "padding": "VALID", **params}
        return lax.conv_general_dilated(a, b, **given)

    return function


@pytest.mark.parametrize(
    ("shape", "kernel", "params"),
    [
        ((2, 3, 6, 5), (4, 3, 2, 3), {}),
        ((1, 2, 6, 5), (3, 2, 2, 2), {"window_strides": (2, 1), "padding": ((1, 2), (0, -1))}),
        ((1, 2, 4, 3), (3, 2, 2, 2), {"lhs_dilation": (2, 1), "rhs_dilation": (1, 2), "padding": ((1, 1), (2, 2))}),
        ((1, 4, 4, 4), (6, 2, 2, 2), {"feature_group_count": 2}),
        ((1, 4, 4, 2), (2, 2, 2, 3), {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}),
    ],
)
def test_a_convolution_of_balls_is_jaxs(shape, kernel, params):
    value, expected = both(convolution(**params), RANDOM.normal(size=shape), RANDOM.normal(size=kernel))
    assert value.shape == expected.shape
    np.testing.assert_allclose(floats(value), expected, rtol=1e-13, atol=1e-13)


def test_the_largest_are_taken_in_order_or_refused():
    value, expected = both(lambda x: lax.top_k(x, 2)[0], np.array([[1.0, 3.0, 2.0], [5.0, -1.0, 0.0]]))
    assert np.array_equal(floats(value), expected)
    with float64():
        program = BallProgram(jax.make_jaxpr(lambda x: lax.top_k(x, 2)[0])(np.zeros(3)))
    with pytest.raises(Undecided, match="largest"):
        program(around(balls([1.0, 1.1, 0.0]), balls([0.1, 0.1, 0.0])))


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("unit", [True, False])
def test_a_triangular_system_of_balls_is_solved(lower, left, transposed, unit):
    sides = RANDOM.normal(size=(3, 3))

    def function(a, b):
        return lax.linalg.triangular_solve(
            a, b, left_side=left, lower=lower, transpose_a=transposed, unit_diagonal=unit
        )

    value, expected = both(function, np.tril(MATRIX) if lower else np.triu(MATRIX), sides)
    np.testing.assert_allclose(floats(value), expected, rtol=1e-13, atol=1e-13)


def test_a_cholesky_factor_of_balls_and_its_derivative_are_jaxs():
    value, expected = both(lambda a: jnp.linalg.cholesky(a), MATRIX)
    np.testing.assert_allclose(floats(value), expected, rtol=1e-13, atol=1e-13)

    def logdet(x):
        factor = jnp.linalg.cholesky(MATRIX + jnp.diag(x))
        return 2.0 * jnp.sum(jnp.log(jnp.diagonal(factor)))

    value, _ = both(jax.grad(logdet), np.zeros(3))
    np.testing.assert_allclose(floats(value), np.diagonal(np.linalg.inv(MATRIX)), rtol=1e-13)
    with pytest.raises(Undecided):
        both(lambda a: jnp.linalg.cholesky(a), -MATRIX)


def test_running_sums_of_exponentials_do_not_overflow():
    value, expected = both(lax.cumlogsumexp, np.array([1000.0, -2000.0, 1001.0]))
    np.testing.assert_allclose(floats(value), expected, rtol=1e-13)


def test_integers_are_divided_digit_by_digit():
    large = np.array([2**62 + 1, -(2**62) - 1, 7, -7])
    for function in (lax.div, lax.rem):
        value, expected = both(lambda a, f=function: f(a, jnp.array([3, 3, -2, 2])), large)
        assert np.array_equal(value, expected)
    with pytest.raises(Undecided, match="zero"):
        both(lambda a: lax.rem(a, a), np.array([0]))


def test_exclusive_or_of_an_answer_that_balls_cannot_decide_is_not_decided():
    with float64():
        program = BallProgram(jax.make_jaxpr(lambda x: jnp.where((x > 0.0) ^ (x > -5.0), 1.0, 2.0))(0.0))
        (value,) = program(around(balls(0.0), balls(1.0)))
        assert value.item().contains(1)
        assert value.item().contains(2)
        (value,) = program(np.array(3.0))
    assert value.item() == 2


def test_a_rounding_to_fewer_bits_is_refused():
    both(lambda x: lax.reduce_precision(x, 11, 52), np.array(0.1))
    with pytest.raises(Undecided, match="bits"):
        both(lambda x: lax.reduce_precision(x, 8, 7), np.array(0.1))


SYSTEM = np.array([[0.5, 1.0, -2.0], [3.0, -1.0, 0.0], [1.0, 1.0, 4.0]])


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: jnp.linalg.solve(a, b),
        lambda a, b: jnp.linalg.inv(a) @ b,
        lambda a, b: jnp.linalg.det(jnp.block([[a, b[:, None]], [b[None], jnp.ones((1, 1))]])),
        lambda a, b: jax.scipy.linalg.lu_solve(jax.scipy.linalg.lu_factor(a), b),
        lambda a, b: jnp.concatenate([jnp.ravel(part) for part in jax.scipy.linalg.lu(a[:, :2])]),
        lambda a, b: jax.vmap(jnp.linalg.solve)(jnp.stack([a, a.T]), jnp.stack([b, 2 * b])),
    ],
)
def test_what_is_factorized_in_balls_is_jaxs(function):
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        closed = jax.make_jaxpr(primal(jax.make_jaxpr(function)(SYSTEM, np.ones(3))))(SYSTEM, np.arange(3.0))
        (value,) = BallProgram(closed)(SYSTEM, np.arange(3.0))
        np.testing.assert_allclose(floats(value), np.asarray(function(SYSTEM, np.arange(3.0))), rtol=1e-13, atol=1e-13)


def test_a_pivot_that_balls_cannot_tell_is_refused_and_one_that_may_change_beside_x_is_not_smooth():
    with float64():
        closed = jax.make_jaxpr(lambda a: lax.linalg.lu(a)[0])(np.zeros((2, 2)))
    wide = around(balls(np.array([[1.0, 2.0], [1.1, 3.0]])), balls(np.full((2, 2), 0.1)))
    with pytest.raises(Undecided, match="pivot"):
        BallProgram(closed)(wide)
    tied = np.array([[1.0, 2.0], [-1.0, 3.0]])
    assert np.array_equal(floats(BallProgram(closed)(tied)[0]), [[1.0, 2.0], [-1.0, 5.0]])
    with pytest.raises(Undecided, match="pivot"):
        BallProgram(closed, smooth=True)(tied)


def test_the_minimum_of_a_program_with_a_linear_solve_is_proved():
    def misfit(x):
        state = jnp.linalg.solve(jnp.array([[4.0, 1.0], [1.0, 3.0]]) + jnp.diag(x), jnp.array([1.0, 2.0]))
        return jnp.sum((state - jnp.array([0.1, 0.4])) ** 2)

    proof = karush.prove(karush.Problem(misfit, np.ones(2)), karush.minimize(misfit, np.ones(2)))
    assert "strict minimum" in proof
    x = np.linalg.solve(np.diag([0.1, 0.4]), np.array([1.0, 2.0]) - np.array([[4.0, 1.0], [1.0, 3.0]]) @ [0.1, 0.4])
    np.testing.assert_allclose(proof.box.lower, x, rtol=1e-13)


def test_a_solve_that_does_not_solve_is_taken_by_what_it_computes():
    def claimed(x):
        return lax.custom_linear_solve(lambda v: v, x, solve=lambda _, b: b**3 - 3 * b, symmetric=True)[0]

    proof = karush.prove(karush.Problem(claimed, np.ones(1)), np.ones(1))
    assert proof.theorems == ("KKT point", "strict minimum")
    assert (proof.value.lower, proof.value.upper) == (-2.0, -2.0)
