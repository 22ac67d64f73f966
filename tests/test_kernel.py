"""Small linear algebra as loops is the linear algebra, and a program in one kernel is the same program."""

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np
import pytest
from jax import lax

from karush.core.precision import float64
from karush.jaxprs import loops
from karush.jaxprs.kernel import one_kernel

EPS = float(np.finfo(np.float64).eps)
SIZES = [1, 2, 3, 5, loops.LARGEST]


def square(n):
    return np.random.default_rng(n).standard_normal((n, n))


@pytest.mark.parametrize("n", SIZES)
def test_factors_multiply_to_the_matrix(n):
    a = square(n)
    s = a @ a.T + np.eye(n)
    with float64():
        L = np.asarray(loops.cholesky(jnp.asarray(s)))
        packed, pivots, order = map(np.asarray, loops.lu(jnp.asarray(a)))
        other = lax.linalg.lu(jnp.asarray(a))
    bound = 8 * n * n * EPS * np.max(np.abs(s))
    np.testing.assert_allclose(L @ L.T, s, rtol=0, atol=bound)
    lower, upper = np.tril(packed, -1) + np.eye(n), np.triu(packed)
    np.testing.assert_allclose(lower @ upper, a[order], rtol=0, atol=8 * n * n * EPS * np.max(np.abs(a)))
    np.testing.assert_array_equal(pivots, other[1])
    np.testing.assert_array_equal(order, other[2])


@pytest.mark.parametrize("n", SIZES)
def test_eigenvectors_are_orthogonal_and_eigenvalues_ascend(n):
    a = square(n)
    s = a + a.T
    with float64():
        vectors, values = map(np.asarray, loops.eigh(jnp.asarray(s)))
    bound = 32 * n * EPS * max(1.0, np.linalg.norm(s))
    np.testing.assert_allclose(s @ vectors, vectors * values, rtol=0, atol=bound)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(n), rtol=0, atol=bound)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(s), rtol=0, atol=bound)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_has_no_factor_and_no_eigenvalues(bad):
    with float64():
        matrix = jnp.asarray([[1.0, bad], [bad, 1.0]])
        assert not np.isfinite(np.diagonal(loops.cholesky(matrix))).all()
        assert not np.isfinite(loops.eigh(matrix)[1]).any()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_largest_come_first_and_equal_ones_in_their_order(count):
    with float64():
        a = jnp.asarray([1, 0, 1, 1, 0], jnp.int32)
        for one, other in zip(loops.top_k(a, count), lax.top_k(a, count), strict=True):
            np.testing.assert_array_equal(one, other)


def program(x):
    """Newton's method on a system, with a loop, branches, factors, and a gather whose transpose is a sum."""

    def residual(x):
        return jnp.concatenate([x[jnp.array([0, 2])] ** 3 - 1.0, jnp.sum(x)[None] - 3.5])

    def body(carry):
        k, x = carry
        step = jax.scipy.linalg.lu_solve(jax.scipy.linalg.lu_factor(jax.jacrev(residual)(x)), residual(x))
        return k + 1, lax.cond(jnp.max(jnp.abs(step)) > 1.0, lambda x: x - 0.5 * step, lambda x: x - step, x)

    return lax.while_loop(lambda carry: carry[0] < 30, body, (0, x))[1]


def test_a_program_in_one_kernel_computes_the_same():
    x = np.array([2.0, 0.3, 1.5])
    with float64():
        kernel = one_kernel(program, x)
        assert kernel is not None
        found = np.asarray(kernel(jnp.asarray(x)))
    np.testing.assert_allclose(found, [1.0, 1.5, 1.0], rtol=64 * EPS)


def test_a_program_with_library_calls_is_left_alone():
    with float64():
        assert one_kernel(lambda x: jnp.fft.fft(x).real, np.ones(4)) is None
        assert one_kernel(jnp.sort, np.ones(4)) is None
