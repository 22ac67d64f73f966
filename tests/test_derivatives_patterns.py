"""No entry of a Jacobian or Hessian is outside its pattern, and compressed products return every entry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from karush.core.errors import ProblemError
from karush.derivatives import hessian, index_sets, jacobian
from karush.derivatives.coloring import color_columns, color_symmetric

EPS = np.finfo(float).eps
N = 12
ROUNDING = 256 * EPS
A = np.where(np.random.default_rng(0).random((N, N)) < 0.25, 1.5, 0.0)
I = np.arange(N - 1)
pytestmark = pytest.mark.user_style


@jax.custom_jvp
def rounded(x):
    return jnp.round(x)


rounded.defjvp(lambda primals, tangents: (jnp.round(primals[0]), tangents[0]))


@jax.custom_vjp
def passed_on(x):
    return jnp.floor(x)


passed_on.defvjp(lambda x: (jnp.floor(x), x), lambda x, w: (w * x,))


def loop(x):
    return lax.fori_loop(0, N - 1, lambda i, total: total + x[i] ** 2 * x[i + 1], 0.0)


def recurrence(x):
    return lax.scan(lambda s, t: (0.5 * s + t**2, s * t), 1.0, x)[1]


def turns(x):
    return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * jnp.sin(s[1])), (0, x))[1]


# name -> function of x (N,), and whether its pattern holds no entry that vanishes everywhere
FUNCTIONS = {
    "slices": (lambda x: (x[1:] - x[:-1] ** 2) ** 2, True),
    "strides": (lambda x: x[::2] * x[1::2], True),
    "gathers": (lambda x: x[I] * x[I + 1], True),
    "gather with a mask of known indices": (lambda x: jnp.where(I % 2 == 0, x[I], x[I + 1] ** 2), True),
    "vmap of an index": (lambda x: jax.vmap(lambda i: x[i] * x[i + 1])(I), True),
    "vmap of a dynamic slice": (lambda x: jax.vmap(lambda i: jnp.sum(lax.dynamic_slice(x, (i,), (2,)) ** 2))(I), True),
    "indices out of range, filled": (lambda x: x.at[np.arange(-2, N + 3)].get(mode="fill", fill_value=7.0) ** 2, True),
    "indices out of range, clipped": (lambda x: x.at[I + 5].get(mode="clip") ** 2, True),
    "scatter": (lambda x: jnp.zeros(N).at[I].set(x[1:] ** 2), True),
    "scatter that overwrites": (lambda x: (x**2).at[np.array([1, 3])].set(0.0), True),
    "scatter-add of doubles": (lambda x: x.at[np.array([0, 0, 2])].add(x[5:8] ** 2), True),
    "scatter-mul": (lambda x: x.at[np.array([0, 1])].multiply(x[5:7], unique_indices=True), True),
    "scatter out of range, dropped": (lambda x: jnp.zeros(N).at[np.array([3, N + 2])].add(x[:2], mode="drop"), True),
    "update slice": (lambda x: lax.dynamic_update_slice(x, x[:3] ** 2, (4,)), True),
    "reverse": (lambda x: x * x[::-1], True),
    "roll": (lambda x: x * jnp.roll(x, 3), True),
    "pad": (lambda x: jnp.pad(x**2, (1, 2)), True),
    "pad with holes, and less": (lambda x: lax.pad(x**2, 1.0, ((-1, 2, 1),)), True),
    "concatenate": (lambda x: jnp.concatenate([x[:3] * x[3:6], jnp.ones(2), jnp.exp(x)]), True),
    "stack": (lambda x: jnp.stack([x, jnp.sin(x), jnp.ones(N)], axis=1), True),
    "tile": (lambda x: jnp.tile(x**2, 3), True),
    "repeat": (lambda x: jnp.repeat(x**2, 2), True),
    "split": (lambda x: jnp.split(x, 3)[0] * jnp.split(x, 3)[2], True),
    "transpose": (lambda x: (x.reshape(3, 4).T ** 2) * x.reshape(4, 3), True),
    "sums over rows": (lambda x: jnp.sum(x.reshape(3, 4) ** 2, axis=1), True),
    "outer difference": (lambda x: (x[:, None] - x[None, :3]) ** 3, False),  # x[0] - x[0]
    "product with a known sparse matrix": (lambda x: jnp.sin(A @ x), True),
    "known matrix on the right": (lambda x: (x.reshape(3, 4) @ A[:4, :5]) ** 2, True),
    "product of two parts": (lambda x: x[:6].reshape(2, 3) @ x[6:].reshape(3, 2), True),
    "einsum with a batch": (lambda x: jnp.einsum("bij,bj->bi", x.reshape(2, 3, 2), x[:4].reshape(2, 2)), True),
    "convolution": (lambda x: jnp.convolve(x, np.array([1.0, -2.0, 1.0]), mode="valid") ** 2, True),
    "convolution, same size": (lambda x: jnp.convolve(x, np.array([1.0, 0.0, 1.0]), mode="same"), True),
    "convolution of two parts": (lambda x: jnp.convolve(x[:8], x[8:]), False),
    "strided grouped convolution": (
        lambda x: lax.conv_general_dilated(
            x.reshape(1, 2, 6), np.ones((4, 1, 2)), (2,), [(1, 2)], rhs_dilation=(2,), feature_group_count=2
        ),
        True,
    ),
    "convolution in two dimensions, channels last": (
        lambda x: (
            lax.conv_general_dilated(
                x.reshape(1, 3, 2, 2), np.ones((2, 2, 2, 1)), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            ** 2
        ),
        True,
    ),
    "window sums": (lambda x: lax.reduce_window(x, 0.0, lax.add, (3,), (2,), ((1, 1),)) ** 2, True),
    "cumulative sum": (lambda x: jnp.cumsum(x) ** 2, True),
    "cumulative sum along rows, reversed": (lambda x: lax.cumsum(x.reshape(3, 4), axis=1, reverse=True), True),
    "where on x": (lambda x: jnp.where(x > 0, x**2, jnp.roll(x, 1)), False),
    "sort": (lambda x: jnp.sort(x) ** 2, False),
    "max of rows": (lambda x: jnp.max(x.reshape(3, 4), axis=1), False),
    "softmax of rows": (lambda x: jax.nn.softmax(x.reshape(3, 4), axis=1), True),
    "logsumexp": (lambda x: jax.nn.logsumexp(x.reshape(3, 4), axis=1), True),
    "norms": (lambda x: jnp.linalg.norm(x.reshape(3, 4), axis=1), True),
    "jit inside": (lambda x: jax.jit(lambda y: y[1:] * y[:-1])(x), True),
    "checkpoint": (lambda x: jax.checkpoint(lambda y: jnp.sin(y[1:]) * y[:-1])(x), True),
    "cond": (lambda x: lax.cond(x[0] > 0, lambda y: y**2, lambda y: jnp.roll(y, 1), x), False),
    "switch on a known branch": (lambda x: lax.switch(1, [jnp.cumsum, jnp.sin], x), True),
    "fori_loop": (loop, True),
    "scan": (recurrence, False),
    "while_loop": (turns, True),
    "lax.map": (lambda x: lax.map(lambda t: t[0] * t[1], (x[1:], x[:-1])), True),
    "fft of rows": (lambda x: jnp.abs(jnp.fft.fft(x.reshape(3, 4), axis=1)) ** 2, False),
    "solves, a batch of two": (
        lambda x: jnp.linalg.solve(x[:8].reshape(2, 2, 2) + 9 * jnp.eye(2), x[8:].reshape(2, 2, 1)),
        True,
    ),
    "cholesky": (lambda x: jnp.linalg.cholesky(jnp.eye(3) * 9 + jnp.diag(x[:2], 1) + jnp.diag(x[:2], -1)), False),
    "tridiagonal solve": (lambda x: lax.linalg.tridiagonal_solve(x[:3], 9 + x[3:6], x[6:9], x[9:, None]), False),
    "a rule of its own, forward": (lambda x: rounded(x) * x[0], False),
    "stop_gradient": (lambda x: lax.stop_gradient(x) * jnp.roll(x, 1), True),
    "argmax as an index": (lambda x: x[jnp.argmax(x)] * x, False),
    "take_along_axis": (lambda x: jnp.take_along_axis(x.reshape(3, 4), jnp.argsort(x.reshape(3, 4)), 1), False),
    "constant": (lambda x: jnp.ones(3) + 0.0 * x[:3], True),
    "float32 inside": (lambda x: x.astype(jnp.float32).astype(jnp.float64) ** 2, True),
    "complex inside": (lambda x: jnp.real((x[1:] + 1j * x[:-1]) ** 2), True),
}
POINTS = np.random.default_rng(1).uniform(0.2, 1.2, (2, N)) * np.where(
    np.random.default_rng(2).random((2, N)) < 0.5, -1, 1
)


def scattered(matrix):
    """A BCOO matrix in full, its digits kept."""
    out = np.zeros(matrix.shape)
    out[tuple(np.asarray(matrix.indices).T)] = np.asarray(matrix.data)
    return out


def raveled(f):
    return lambda x: jnp.ravel(f(x))


def agree(sparse, dense):
    return np.max(np.abs(scattered(sparse) - dense), initial=0.0) <= ROUNDING * max(np.max(np.abs(dense), initial=0), 1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_sparse_jacobian_is_the_dense_one(name):
    f, exact = FUNCTIONS[name]
    of_f, seen = jacobian(raveled(f), sparse=True), 0
    full = jacobian(raveled(f))
    for x in POINTS:
        dense = full(x)
        assert agree(of_f(x), dense)
        seen = seen | (dense != 0)
        # What compressed products hide, the pattern itself must show.
        assert not np.any((dense != 0) & ~of_f.pattern(x).todense())
    if exact:
        np.testing.assert_array_equal(of_f.pattern(x).todense(), seen)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in {"while_loop", "float32 inside"}])
def test_the_sparse_hessian_is_the_dense_one(name):
    f, _ = FUNCTIONS[name]

    def scalar(x):
        # Weights make second derivatives of linear parts, and of none cancel.
        values = jnp.ravel(f(x))
        return jnp.sum(jnp.cos(jnp.arange(1.0, values.size + 1)) * jnp.sin(values))

    of_f, full = hessian(scalar, sparse=True), hessian(scalar)
    for x in POINTS:
        dense = full(x)
        if "rule" not in name:  # a straight-through rule has no symmetric Hessian, which star coloring needs
            assert agree(of_f(x), dense)
        assert not np.any((dense != 0) & ~of_f.pattern(x).todense())


def test_a_function_with_a_reverse_rule_alone_has_a_sparse_jacobian():
    def f(x):
        return passed_on(x) * 2.0

    x = POINTS[0]
    of_f = jacobian(f, sparse=True)
    assert of_f.pattern(x).kind == "rows"
    np.testing.assert_array_equal(scattered(of_f(x)), np.diag(2.0 * x))
    np.testing.assert_array_equal(jacobian(f)(x), np.diag(2.0 * x))


def test_an_operation_without_a_rule_is_read_as_the_worst_case_and_said():
    def f(x):
        return jax.nn.relu(lax.reduce_precision(x, 8, 23)) + lax.cumlogsumexp(x)

    x = POINTS[0]
    np.testing.assert_allclose(scattered(jacobian(f, sparse=True)(x)), jacobian(f)(x), atol=ROUNDING)

    def g(x):
        return jax.custom_derivatives.linear_call(lambda r, v: 2.0 * v, lambda r, w: 2.0 * w, (), x)

    pattern = jacobian(g, sparse=True).pattern(x)
    assert pattern.nnz == N * N
    assert [name for name, _ in pattern.assumed] == ["linear_call"]
    assert "worst case: linear_call" in str(pattern)


@pytest.mark.parametrize("n", [N, 2000])
@pytest.mark.parametrize("written", ["slices", "gathers", "vmap"])
def test_the_hessian_of_chained_rosenbrock_is_the_dense_one_to_1e12(written, n):
    i = np.arange(n - 1)

    def term(a, b):
        return 100.0 * (b - a**2) ** 2 + (1.0 - a) ** 2

    f = {
        "slices": lambda x: jnp.sum(term(x[:-1], x[1:])),
        "gathers": lambda x: jnp.sum(term(x[i], x[i + 1])),
        "vmap": lambda x: jnp.sum(jax.vmap(lambda i: term(x[i], x[i + 1]))(i)),
    }[written]
    x = np.random.default_rng(n).uniform(-2, 2, n)
    sparse = hessian(f, sparse=True)
    assert sparse.pattern(x).color_count == 3
    assert sparse.pattern(x).nnz == 3 * n - 2
    below = -400.0 * x[:-1]
    diagonal = np.concatenate([1200 * x[:-1] ** 2 - 400 * x[1:] + 2, [0]]) + np.concatenate([[0], np.full(n - 1, 200)])
    exact = np.diag(diagonal) + np.diag(below, 1) + np.diag(below, -1)
    full = hessian(f)(x) if n == N or written == "slices" else exact
    assert np.max(np.abs(scattered(sparse(x)) - full)) <= 1e-12 * np.max(np.abs(full))
    assert np.max(np.abs(exact - full)) <= 1e-12 * np.max(np.abs(full))


def test_an_arrow_takes_two_products():
    n = 50_000
    rows = np.concatenate([np.zeros(n, int), np.arange(1, n), np.arange(1, n)])
    cols = np.concatenate([np.arange(n), np.zeros(n - 1, int), np.arange(1, n)])
    order = np.lexsort((cols, rows))
    assert color_symmetric(rows[order].astype(np.int32), cols[order].astype(np.int32), n).count == 2


def test_a_matrix_too_full_to_be_kept_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(index_sets, "CAPACITY", 100)
    with pytest.raises(ProblemError, match=r"use karush.hessian\(f\).product"):
        hessian(lambda x: jnp.sum(x) ** 2, sparse=True)(np.ones(20))


@st.composite
def patterns(draw):
    k, n = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return np.array(draw(st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=k, max_size=k)))


@given(patterns())
def test_any_jacobian_is_read_off_its_products(pattern):
    rows, cols = (part.astype(np.int32) for part in np.nonzero(pattern))
    coloring = color_columns(rows, cols, pattern.shape)
    matrix = np.where(pattern, np.arange(1.0, pattern.size + 1).reshape(pattern.shape), 0.0)
    products = np.stack([matrix @ (coloring.colors == color) for color in range(coloring.count)])
    np.testing.assert_array_equal(products.ravel()[coloring.positions], matrix[rows, cols])


@given(patterns())
def test_any_hessian_is_read_off_its_products(pattern):
    n = min(pattern.shape)
    pattern = pattern[:n, :n] | pattern[:n, :n].T
    rows, cols = (part.astype(np.int32) for part in np.nonzero(pattern))
    coloring = color_symmetric(rows, cols, n)
    place = np.arange(1.0, n * n + 1).reshape(n, n)
    matrix = np.where(pattern, place + place.T, 0.0)
    products = np.stack([matrix @ (coloring.colors == color) for color in range(coloring.count)])
    np.testing.assert_array_equal(products.ravel()[coloring.positions], matrix[rows, cols])


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19), st.integers(0, 3)), min_size=1, max_size=25))
def test_the_pattern_of_a_random_program_holds_every_entry(program):
    """Each step adds f(a, b) to one entry: product, sine, square, or nothing."""

    def f(x):
        y = jnp.concatenate([x, jnp.zeros(10)])
        for a, b, kind in program:
            value = [y[a] * y[b], jnp.sin(y[a]), y[b] ** 2, 0.0 * y[a]][kind]
            y = y.at[(a + b) % 20].add(value)
        return y

    with jax.enable_x64(True):
        x = np.random.default_rng(len(program)).uniform(0.5, 1.5, 10)
        sets = jacobian(f, sparse=True).pattern(x).todense()
        with jax.disable_jit():
            slopes = np.asarray(jax.jacfwd(f)(jnp.asarray(x)))
    assert not np.any((slopes != 0) & ~sets)
