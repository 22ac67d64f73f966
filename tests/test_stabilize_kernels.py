"""Softmax and its relatives recognised in programs, and the products with their Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.stability.contrasts import COVARIANCE, MEAN, TRANSPOSED, WEIGHTS, contrast
from karush.stability.kernels import with_kernels
from karush.stability.terms import Graph, read

pytestmark = pytest.mark.user_style

EPS = float(np.finfo(np.float32).eps)
FEW = 8.0
"""ulps of a product of a few operations, each within one or two"""


def exactly(x, v, kind):
    """The product in long double, from numbers that are exact in float32."""
    z = x.astype(np.longdouble) - x.max()
    w = np.exp(z)
    v = v.astype(np.longdouble)
    if kind == WEIGHTS:
        # sum_k (c_j w_k - w_j c_k), which is right to the last digits where it is not small
        pairs = v[:, None] * w[None, :] - w[:, None] * v[None, :]
        return pairs.sum(axis=1) / w.sum()
    differences = ((v[:, None] - v[None, :]) * w[None, :]).sum(axis=1) / w.sum()
    return differences if kind == MEAN else w / w.sum() * differences


@pytest.mark.parametrize("kind", [MEAN, WEIGHTS, COVARIANCE])
def test_products_with_the_jacobians_of_softmax_are_accurate(kind):
    rng = np.random.default_rng(3)
    run = jax.jit(lambda x, v: contrast(x, v, kind))
    for spread in (0.01, 1.0, 10.0, 30.0):
        for v in (rng.normal(size=6), np.eye(6)[2], np.abs(rng.normal(size=6)) + 1.0):
            x = (spread * rng.normal(size=6)).astype(np.float32)
            x[2] = x.max() + spread
            v = v.astype(np.float32)
            exact = exactly(x, v, kind)
            error = np.abs(np.asarray(run(x, v), np.longdouble) - exact)
            # Relative to the result, and to what half an ulp of change of the inputs makes of it.
            p = np.exp(x.astype(np.longdouble) - x.max())
            p /= p.sum()
            moved = EPS * p * np.abs(v).max() * (1.0 + np.abs(x).max()) if kind != MEAN else EPS * np.abs(v).max()
            # What is smaller than the smallest normal number XLA rounds to 0.
            tiny = np.finfo(np.float32).tiny
            assert (error <= FEW * EPS * np.abs(exact) + FEW * moved + tiny).all(), (spread, v)


def test_equal_weights_leave_the_differences_of_the_inputs():
    x = np.array([3e-20, -1e-20, 2e-25, 1e-30], np.float32)
    ones = np.ones(4, np.float32)
    # 1 - n p_j = (sum_k d_k - n d_j)/n to first order in x.
    wide = x.astype(np.float64)
    got = jax.jit(lambda x: contrast(x, ones, WEIGHTS))(x)
    np.testing.assert_allclose(got, (wide.sum() - 4 * wide) / 4, rtol=FEW * EPS)
    assert (np.asarray(contrast(np.full(4, 0.3, np.float32), ones, WEIGHTS)) == 0.0).all()
    assert (np.asarray(contrast(x, 0.1 * ones, COVARIANCE)) == 0.0).all()


@pytest.mark.parametrize("kind", [MEAN, WEIGHTS, COVARIANCE])
def test_a_product_transposes_moves_and_maps(kind):
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=(2, 3, 4)).astype(np.float32)
    run = lambda x, v: contrast(x, v, kind)  # noqa: E731
    matrix = jax.jacfwd(run, argnums=1)(x[0], v[0])
    back = jax.jacfwd(lambda v: contrast(x[0], v, TRANSPOSED[kind]))(v[0])
    np.testing.assert_allclose(matrix, back.T, atol=FEW * EPS)
    np.testing.assert_allclose(jax.jacrev(run, argnums=1)(x[0], v[0]), matrix, atol=FEW * EPS)
    np.testing.assert_allclose(
        jax.vmap(run, (None, 0))(x[0], v), jnp.stack([run(x[0], one) for one in v]), atol=FEW * EPS
    )

    def plain(x, v):
        p = jax.nn.softmax(x)
        return v - p * jnp.sum(v) if kind == WEIGHTS else (1.0 if kind == MEAN else p) * (v - jnp.sum(p * v))

    for argnum in (0, 1):
        np.testing.assert_allclose(
            jax.jacfwd(run, argnums=argnum)(x[0], v[0]), jax.jacfwd(plain, argnums=argnum)(x[0], v[0]), atol=2e-6
        )


def recognised(f, *shapes):
    """The function of the kernels found in f, or None."""
    closed = jax.make_jaxpr(f)(*[jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes])
    graph = Graph(np.dtype(np.float32))
    return with_kernels(graph, read(graph, closed)[1])


def entropy_along_rows(x):
    p = jax.nn.softmax(x, axis=1)
    return -jnp.sum(p * jnp.log(p), axis=1)


def divergence_along_columns(x):
    p, q = jax.nn.softmax(x, axis=0), jax.nn.softmax(x[::-1] * 0.5, axis=0)
    return jnp.sum(p * jnp.log(p / q), axis=0)


KNOWN = {
    "quotient along columns": lambda x: jnp.exp(x) / jnp.sum(jnp.exp(x), axis=0),
    "quotient along rows": lambda x: jnp.exp(x) / jnp.sum(jnp.exp(x), axis=1, keepdims=True),
    "library": lambda x: jax.nn.softmax(x, axis=0),
    "logarithm": lambda x: jnp.log(jax.nn.softmax(x / 0.5, axis=1)),
    "difference": lambda x: x - jnp.log(jnp.sum(jnp.exp(x), axis=1, keepdims=True)),
    "library logarithm": lambda x: jax.nn.log_softmax(x, axis=0),
    "log of a sum": lambda x: jnp.log(jnp.sum(jnp.exp(2.0 * x), axis=1)),
    "library log of a sum": lambda x: jax.nn.logsumexp(x, axis=0),
    "entropy": entropy_along_rows,
    "divergence": divergence_along_columns,
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_recognised_is_the_same_function(name):
    f = KNOWN[name]
    run = recognised(f, (3, 3))
    assert run is not None
    x = np.random.default_rng(2).normal(size=(3, 3)).astype(np.float32)
    weights = np.arange(1.0, 10.0, dtype=np.float32).reshape(3, 3)[tuple(slice(n) for n in jnp.shape(f(x)))]
    np.testing.assert_allclose(run(x)[0], f(x), rtol=1e-5, atol=1e-6)
    slopes = [jax.grad(lambda x, g=g: jnp.sum(weights * g(x)))(x) for g in (lambda x: run(x)[0], f)]
    np.testing.assert_allclose(*slopes, rtol=2e-5, atol=1e-5)


OTHERS = {
    "sum of others": lambda x: jnp.exp(x) / jnp.sum(jnp.exp(x[:, ::-1] * 1.5), axis=1, keepdims=True),
    "across": lambda x: jnp.exp(x) / jnp.sum(jnp.exp(x), axis=1),
    "all": lambda x: jnp.exp(x) / jnp.sum(jnp.exp(x)),
    "difference across": lambda x: 2.0 * x - jnp.sum(jnp.exp(x), axis=0),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_only_looks_like_a_softmax_is_left_alone(name):
    assert recognised(OTHERS[name], (3, 3)) is None


def test_a_shift_that_differs_along_the_axis_stays():
    run = recognised(lambda x: jax.nn.softmax(x - jnp.arange(3.0, dtype=np.float32)), (3,))
    x = np.array([0.1, 0.5, -0.2], np.float32)
    assert run is not None
    np.testing.assert_allclose(run(x)[0], jax.nn.softmax(x - np.arange(3.0, dtype=np.float32)), rtol=1e-6)


def test_the_gradient_of_summed_log_probabilities_of_small_logits_is_right():
    def log_probabilities(x):
        return jnp.log(jnp.exp(x) / jnp.sum(jnp.exp(x)))

    g = karush.stabilize(log_probabilities, karush.Box(np.full(3, -50.0), np.full(3, 50.0)))
    x = np.array([1e-20, -3e-18, 2e-19], np.float32)
    exact = (x.astype(np.float64).sum() - 3 * x.astype(np.float64)) / 3 * 1.0
    for slope in (jax.grad(lambda x: jnp.sum(g(x))), jax.jit(jax.grad(lambda x: jnp.sum(g(x))))):
        np.testing.assert_allclose(slope(x), exact, rtol=FEW * EPS)
    assert np.isfinite(jax.hessian(lambda x: g(x)[0])(x)).all()
