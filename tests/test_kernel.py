"""Small linear algebra as loops is the linear algebra, and a program in one kernel is the same program."""

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Literal, jaxpr_as_fun

from karush.core.precision import float64
from karush.jaxprs import loops
from karush.jaxprs.hidden import hidden
from karush.jaxprs.kernel import one_kernel
from karush.jaxprs.lean import lean

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


def test_a_product_of_nothing_is_part_of_a_kernel():
    with float64():
        assert one_kernel(lambda x: x + x[:0] @ jnp.ones((0, 3)), np.ones(3)) is not None


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_an_outer_product_is_part_of_a_kernel_where_users_forbid_promotion(shape):
    y = np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)
    with float64(), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        kernel = one_kernel(lambda x: lax.dot_general(x, y, (((), ()), ((), ()))), np.arange(3.0))
        assert kernel is not None
        np.testing.assert_array_equal(kernel(np.arange(3.0)), np.tensordot(np.arange(3.0), y, 0))


def test_a_program_with_library_calls_is_left_alone():
    with float64():
        assert one_kernel(lambda x: jnp.fft.fft(x).real, np.ones(4)) is None
        assert one_kernel(jnp.sort, np.ones(4)) is None


def test_what_loops_carry_and_count_by_is_read_from_memory():
    """A lone constant is a buffer that XLA sets up at every call."""

    def function(x: jax.Array) -> jax.Array:
        count, total = lax.while_loop(lambda c: c[0] < 7, lambda c: (c[0] + 1, c[1] + x), (2, jnp.zeros(3)))
        return jnp.where(lax.cond(x[0] > 1, lambda: True, lambda: False), total, count * total)

    with float64():
        closed = jax.make_jaxpr(function)(np.ones(3))
        program = hidden(closed)
        (loop,) = [equation for equation in program.eqns if equation.primitive.name == "while"]
        counting = [atom for atom in loop.invars if atom.aval.dtype.kind == "i"]
        assert counting
        assert not any(isinstance(atom, Literal) for atom in counting)
        for x in (np.ones(3), np.arange(2.0, 5.0), np.full(3, np.nan)):
            np.testing.assert_array_equal(*[jaxpr_as_fun(one)(x)[0] for one in (closed, program)])


NOT_DEFINITE = {n: np.diag(np.r_[np.ones(n - 1), -1.0]) for n in (3, 6)}
CORNERS = {
    "derivative of a clipped gather": (
        lambda x: jax.grad(lambda x: jnp.sum(jnp.take(x, np.array([0, 7, 2]), mode="clip") ** 2))(x),
        np.arange(1.0, 6.0),
    ),
    "clipped sum": (lambda x: jnp.zeros(3).at[np.array([0, 9, -9])].add(x, mode="clip"), np.arange(1.0, 4.0)),
    "negative and dropped places": (
        lambda x: jax.grad(lambda x: jnp.sum(x[np.array([0, -1, -7, 9])] ** 2))(x),
        np.arange(1.0, 6.0),
    ),
    "counts": (lambda x: jnp.zeros(3, int).at[jnp.round(x).astype(int)].add(1) * x, np.arange(1.0, 4.0)),
    "part of a row": (
        lambda x: lax.scatter_add(
            jnp.zeros((3, 4)), jnp.array([[0], [2]]), x[:, None], lax.ScatterDimensionNumbers((1,), (0,), (0,))
        ),
        np.arange(1.0, 3.0),
    ),
    "largest of NaN": (lambda x: lax.top_k(x, 2)[0], np.array([np.nan, 1.0, 2.0, np.nan])),
    "no factor": (lambda x: jnp.linalg.cholesky(x), NOT_DEFINITE[3]),
    "no factor of more": (lambda x: jnp.linalg.cholesky(x), NOT_DEFINITE[6]),
    "infinite solution": (
        lambda x: jax.scipy.linalg.solve_triangular(x, jnp.ones(5), lower=True),
        np.tril(np.ones((5, 5))) - np.diag(np.eye(5)[2]),
    ),
    "singular": (lambda x: jnp.linalg.det(x), np.ones((5, 5))),
    "vectors of NaN": (lambda x: jnp.linalg.eigh(x)[1], np.full((5, 5), np.nan)),
    "lower triangle": (lambda x: lax.linalg.eigh(jnp.tril(x), symmetrize_input=False)[1], square(5)),
    "upper triangle": (lambda x: lax.linalg.eigh(jnp.triu(x), lower=False, symmetrize_input=False)[1], square(5)),
    "tiny entries": (lambda x: jnp.linalg.eigvalsh(x) * 2.0**700, square(5) * 2.0**-700),
    "huge entries": (lambda x: jnp.linalg.eigvalsh(x) * 2.0**-700, square(5) * 2.0**700),
    "equal eigenvalues": (lambda x: jnp.linalg.eigvalsh(x), np.eye(16) + np.ones((16, 16))),
    "products of bytes": (
        lambda x: lax.dot(x.astype(jnp.int8), x.astype(jnp.int8), preferred_element_type=jnp.int32).astype(float),
        np.arange(10.0, 13.0),
    ),
    "product of nothing": (lambda x: x + x[:0] @ jnp.ones((0, 3)), np.arange(3.0)),
    "a loop for each": (
        lambda x: jax.vmap(lambda a: lax.while_loop(lambda s: s < 10, lambda s: s * 2 + 1, a))(x),
        np.array([1.0, 7.0, 3.0]),
    ),
    "function of a place": (lambda x: x.at[np.array([0, 2])].apply(jnp.sin), np.arange(1.0, 4.0)),
    "complex factor": (lambda x: jnp.linalg.cholesky(x).imag, np.array([[2.0, 1.0j], [-1.0j, 3.0]])),
    "complex argument": (lambda x: jnp.real(x) * jnp.imag(x), np.array([2.0 + 1.0j, 3.0 - 2.0j])),
    "random": (lambda x: x + jax.random.normal(KEY, (3,)), np.arange(3.0)),
    "argument that vanishes": (lambda x: (0 * x.astype(int)).astype(float) + 1.0, np.arange(3.0)),
    "loop that never runs": (lambda x: lax.fori_loop(0, 0, lambda k, c: c + x[0], 1.0), np.arange(3.0)),
}
KEY = jax.random.key(0)


@pytest.mark.parametrize("name", CORNERS)
def test_a_corner_case_is_what_the_plain_program_says_or_is_left_alone(name):
    function, x = CORNERS[name]
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        plain = np.abs(np.asarray(jax.jit(function)(jnp.asarray(x))))
        for compiled in (one_kernel(function, jnp.asarray(x)), jax.jit(lean(function, jnp.asarray(x)))):
            if compiled is not None:
                # Eigenvectors up to their sign.
                found = np.abs(np.asarray(compiled(jnp.asarray(x))))
                np.testing.assert_allclose(found, plain, rtol=2.0**14 * EPS, atol=2.0**10 * EPS)
