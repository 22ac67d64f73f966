"""Degrees are upper bounds, and exact on what people write."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karush.core.precision import float64
from karush.jaxprs.degree import degrees

pytestmark = pytest.mark.user_style

N = 3
A = np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]])
Q = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.0, 1.0]])


def of(rows, value=lambda x: 0.0, *params):
    with float64():
        closed = jax.make_jaxpr(lambda x, *p: (jnp.asarray(value(x, *p), float), rows(x, *p)))(jnp.ones(N), *params)
    return degrees(closed)


def scanned(x):
    return jax.lax.scan(lambda carry, a: (carry + a * a, carry), 0.0, x)


def recurrence(x):
    return jax.lax.fori_loop(0, N, lambda i, carry: carry * x[i], 1.0)


ROWS = {
    "constant": (lambda x: jnp.zeros(2) + 4.0, [0, 0]),
    "matrix times x": (lambda x: jnp.asarray(A) @ x - 1.0, [1, 1]),
    "einsum": (lambda x: jnp.einsum("ij,j->i", A, x), [1, 1]),
    "picked and stacked": (lambda x: jnp.stack([x[0], x[1] ** 2, x[0] * x[1] * x[2], jnp.sin(1.0)]), [1, 2, 3, 0]),
    "concatenated": (lambda x: jnp.concatenate([x, x * x, jnp.exp(x)]), [1] * 3 + [2] * 3 + [3] * 3),
    "slices": (lambda x: jnp.concatenate([x, x * x])[1:5:2], [1, 2]),
    "reversed": (lambda x: jnp.stack([x[0], x[1] ** 2])[::-1], [2, 1]),
    "transposed": (lambda x: jnp.stack([x, x**2]).T.reshape(-1), [1, 2] * 3),
    "sum over an axis": (lambda x: jnp.stack([x, x**2]).sum(axis=1), [1, 2]),
    "running sum": (lambda x: jnp.cumsum(jnp.stack([x[0], x[1] ** 2, x[2]])), [1, 2, 2]),
    "quotients": (lambda x: jnp.stack([x[0] / 3.0, 3.0 / x[0]]), [1, 3]),
    "where on data": (lambda x: jnp.where(jnp.arange(N) > 1, x, x**2), [2, 2, 2]),
    "where on x": (lambda x: jnp.where(x > 1, x, 2.0), [3, 3, 3]),
    "powers": (lambda x: jnp.stack([x[0] ** 0, x[0] ** 1.0, x[0] ** 2.0, x[0] ** -1]), [0, 1, 2, 3]),
    "rounded": (lambda x: x.astype(int).astype(float), [3, 3, 3]),
    "index arrays": (lambda x: x[jnp.array([2, 0])], [1, 1]),
    "segment sums": (lambda x: jax.ops.segment_sum(x, jnp.array([0, 0, 1]), 2), [1, 1]),
    "tiled": (lambda x: jnp.tile(jnp.stack([x[0], x[1] ** 2]), 2), [1, 2, 1, 2]),
    "outer product": (lambda x: jnp.outer(x, x).ravel()[:2], [2, 2]),
    "differences": (lambda x: jnp.diff(x), [1, 1]),
    "vmap": (lambda x: jax.vmap(lambda row: jnp.vdot(row, x))(jnp.asarray(A)), [1, 1]),
    "convolution": (lambda x: jnp.convolve(x, jnp.array([1.0, -1.0])), [1, 1, 1, 1]),
    "relu": (jax.nn.relu, [3, 3, 3]),
    "solve with a constant matrix": (lambda x: jnp.linalg.solve(jnp.asarray(Q), x), [1, 1, 1]),
    "solve with a matrix of x": (lambda x: jnp.linalg.solve(jnp.outer(x, x) + jnp.eye(N), x), [3, 3, 3]),
    "scan": (lambda x: jnp.stack([scanned(x)[0]]), [2]),
    "scan, stacked": (lambda x: scanned(x)[1], [2, 2, 2]),
    "loop that multiplies": (lambda x: jnp.stack([recurrence(x)]), [3]),
    "branch on data": (lambda x: jax.lax.switch(1, [lambda v: v, lambda v: v**2], x), [2, 2, 2]),
    "branch on x": (lambda x: jax.lax.cond(x[0] > 0, lambda v: v, lambda v: -v, x), [3, 3, 3]),
    "while on x": (lambda x: jax.lax.while_loop(lambda v: v.sum() < 9.0, lambda v: v + 1.0, x), [3, 3, 3]),
    "checkpoint": (jax.checkpoint(lambda x: x * x), [2, 2, 2]),
}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_its_own_degree(name):
    rows, expected = ROWS[name]
    _, found = of(rows)
    np.testing.assert_array_equal(found, expected)


VALUES = {
    "quadratic form": (lambda x: x @ jnp.asarray(Q) @ x, 2),
    "vdot": (lambda x: jnp.vdot(x, x), 2),
    "least squares": (lambda x: ((jnp.asarray(A) @ x - 1.0) ** 2).sum(), 2),
    "linear": (lambda x: jnp.dot(jnp.arange(3.0), x), 1),
    "norm": (jnp.linalg.norm, 3),
    "cubic": (lambda x: (x**3).sum(), 3),
    "product": (jnp.prod, 3),
    "product of two": (lambda x: jnp.prod(x[:2]), 2),
    "mean": (jnp.mean, 1),
    "variance": (jnp.var, 2),
}


@pytest.mark.parametrize("name", VALUES)
def test_the_value_has_its_degree(name):
    value, expected = VALUES[name]
    assert of(lambda x: jnp.zeros(0), value)[0] == expected


def test_parameters_are_constants():
    degree, rows = of(lambda x, p: p**3 * x, lambda x, p: jnp.exp(p).sum() * (x @ x), jnp.ones(N))
    assert degree == 2
    np.testing.assert_array_equal(rows, [1, 1, 1])


@st.composite
def expressions(draw, depth=3):
    """A random polynomial expression with its meaning as a function of x."""
    if depth == 0 or draw(st.booleans()):
        index = draw(st.integers(-2, N - 1))
        return (lambda x: x[index]) if index >= 0 else (lambda x: 1.5 * x[0] - x[1])
    left, right = draw(expressions(depth=depth - 1)), draw(expressions(depth=depth - 1))
    return draw(
        st.sampled_from(
            [
                lambda x: left(x) + right(x),
                lambda x: left(x) * right(x),
                lambda x: left(x) - 2.0 * right(x),
                lambda x: jnp.stack([left(x), right(x)]).sum(),
                lambda x: left(x) ** 2 / 4.0,
            ]
        )
    )


@given(expressions())
def test_differences_of_higher_order_than_the_degree_vanish(f):
    degree, _ = of(lambda x: jnp.zeros(0), f)
    if degree > 2:
        return
    with float64():
        line = [float(f(jnp.array([0.5, -1.0, 2.0]) + t * jnp.array([1.0, 0.25, -0.5]))) for t in range(degree + 2)]
    # Exact in binary as long as nothing is rounded: small integers over powers of two.
    assert np.diff(line, degree + 1) == 0.0


def test_a_program_of_thousands_of_equations_is_read_within_a_second():
    def unrolled(x):
        for k in range(1000):
            x = x + 0.5 * x[k % N] * x
        return x

    with float64():
        closed = jax.make_jaxpr(lambda x: (x.sum(), unrolled(x)))(jnp.ones(N))
    assert len(closed.jaxpr.eqns) > 4000
    start = time.process_time()
    degrees(closed)
    assert time.process_time() - start < 1.0  # measured: 0.02
