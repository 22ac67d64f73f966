"""Layers are read from the program as they are, and every bound built on them holds at samples."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.bounds import scaled_norm
from karush.bounds.box import traced_on
from karush.bounds.layers import Matrix, recognised
from karush.bounds.network_bounds import by_layers
from karush.bounds.zonotopes import slopes_on
from karush.core.precision import float64

pytestmark = pytest.mark.user_style
EPS = np.finfo(float).eps
ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "softplus": jax.nn.softplus}


@functools.cache
def weights(sizes, seed=0):
    generator = np.random.default_rng(seed)
    W = [generator.normal(size=(b, a)) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]
    return W, [generator.normal(size=b) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]


def network(sizes, activation, seed=0):
    W, b = weights(sizes, seed)

    def f(x):
        for A, c in zip(W[:-1], b[:-1], strict=True):
            x = ACTIVATIONS[activation](A @ x + c)
        return W[-1] @ x + b[-1]

    return f


def residual(x):
    """A network with a skip connection, a concatenation and a scaled input."""
    W, b = weights((3, 3, 3, 2))
    h = jnp.tanh(W[0] @ (2.0 * x) + b[0])
    h = jnp.minimum(W[1] @ h, 1.0) + x
    return W[2] @ h + jnp.concatenate([h[:1], -x[1:2]])


def read(function, n):
    flat, _, _ = traced_on(function, karush.Box(-np.ones(n), np.ones(n)))
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return recognised(flat.closed_jaxpr)


def read_layers(function, n):
    layers = read(function, n)
    assert layers is not None
    return layers


@functools.cache
def small(activation):
    """A recognised network, its slopes on boxes as a compiled program, and its Jacobian."""
    f = network((3, 8, 8, 2), activation)
    layers = read_layers(f, 3)
    return f, layers, jax.jit(lambda low, high: slopes_on(layers, low, high)), jax.jit(jax.vmap(jax.jacobian(f)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_layers_are_the_weights_of_the_network(activation):
    W, b = weights((3, 8, 8, 2))
    layers = small(activation)[1]
    assert [layer.name for layer in layers.layers] == [activation] * 2
    for k, layer in enumerate(layers.layers):
        own = layer.weights.middle[:, -W[k].shape[1] :]
        assert np.all(np.abs(own - W[k]) <= layer.weights.radius[:, -W[k].shape[1] :])
        assert np.all(layer.weights.middle[:, : -W[k].shape[1]] == 0.0)
        assert np.all(np.abs(layer.shift.middle - b[k]) <= layer.shift.radius + EPS * np.abs(b[k]))
        assert layer.weights.radius.max() <= 64 * EPS


def test_a_skip_connection_is_read_and_reproduces_the_function():
    layers = read_layers(residual, 3)
    x = np.random.default_rng(0).uniform(-1.0, 1.0, 3)
    v = x
    for layer in layers.layers:
        z = layer.weights.middle @ v + layer.shift.middle
        v = np.concatenate([v, np.tanh(z) if layer.name == "tanh" else np.maximum(z, 0.0)])
    with float64():
        slope = np.asarray(jax.jacobian(residual)(x))
        # The Jacobian by the layers, whose offsets of the output play no part.
        inner = np.eye(3)
        for layer in layers.layers:
            here = v[layer.start : layer.start + layer.size]
            slopes = 1.0 - here**2 if layer.name == "tanh" else (here > 0.0).astype(float)
            inner = np.concatenate([inner, slopes[:, None] * (layer.weights.middle @ inner)])
    assert np.allclose(layers.weights.middle @ inner, slope, rtol=0.0, atol=256 * EPS)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[0] * x[1],
        lambda x: jnp.tanh(x) / x,
        lambda x: jnp.where(x > 0.5, x, 0.0),
        lambda x: 2.0 * x,
        jnp.sort,
    ],
    ids=["product", "quotient", "choice", "affine", "sort"],
)
def test_other_programs_are_not_taken_for_layers(function):
    assert read(function, 2) is None


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("radius", [1e-3, 1.0])
def test_the_jacobian_by_layers_holds_every_jacobian(activation, radius):
    _, _, slopes, jacobian = small(activation)
    middle = np.array([0.1, -0.2, 0.3])
    with float64():
        found = slopes(middle - radius, middle + radius)
        x = middle + radius * np.random.default_rng(1).uniform(-1.0, 1.0, (500, 3))
        x = np.concatenate([x, middle + radius * np.array(list(itertools.product((-1.0, 1.0), repeat=3)))])
        J = np.asarray(jacobian(x))
        at_middle = np.asarray(jacobian(found.middle[None]))[0]
    slack = 256 * EPS * np.abs(J).max()
    assert np.all(np.abs(np.asarray(found.middle) - middle) <= radius)
    assert np.all(np.asarray(found.there.lo) <= at_middle + slack)
    assert np.all(np.asarray(found.there.hi) >= at_middle - slack)
    # Each of two layers adds up products of 8, with a margin for each.
    assert np.max(np.asarray(found.there.hi) - np.asarray(found.there.lo)) <= 16 * slack
    assert np.all(np.asarray(found.jacobian.lo) <= J + slack)
    assert np.all(np.asarray(found.jacobian.hi) >= J - slack)
    assert np.all(np.asarray(found.lo) >= -EPS)
    assert np.all(np.asarray(found.hi) <= 1.0 + 16 * EPS)


@pytest.mark.parametrize("activation", ["tanh", "softplus"])
@pytest.mark.parametrize("radius", [1e-3, 0.5])
def test_the_hessian_by_layers_holds_every_hessian(activation, radius):
    inner = network((3, 8, 8, 1), activation)
    layers, middle = read_layers(inner, 3), np.array([0.1, -0.2, 0.3])
    with float64(), jax.numpy_rank_promotion("allow"):
        found = jax.jit(lambda low, high: slopes_on(layers, low, high).hessian)(middle - radius, middle + radius)
        x = middle + radius * np.random.default_rng(1).uniform(-1.0, 1.0, (300, 3))
        H = np.asarray(jax.jit(jax.vmap(jax.hessian(lambda x: inner(x)[0])))(x))
    slack = 256 * EPS * np.abs(H).max()
    assert np.all(np.asarray(found.lo) <= H + slack)
    assert np.all(np.asarray(found.hi) >= H - slack)
    if radius < 1e-2:
        assert np.max(np.asarray(found.hi) - np.asarray(found.lo)) <= 0.1 * np.abs(H).max()


def test_a_kink_of_relu_leaves_no_hessian():
    layers = read_layers(network((3, 8, 8, 1), "relu"), 3)
    with float64(), jax.numpy_rank_promotion("allow"):
        low, high = -np.ones(3), np.ones(3)
        found = jax.jit(lambda low, high: slopes_on(layers, low, high).hessian)(low, high)
        assert np.all(np.isinf(np.asarray(found.hi)))


@pytest.mark.parametrize(
    ("activation", "p", "q"),
    [
        *itertools.product(["tanh"], [1, 2, math.inf], [1, 2, math.inf]),
        ("relu", 2, 2),
        ("softplus", math.inf, math.inf),
    ],
)
def test_the_matrix_inequality_bounds_every_stretch(activation, p, q):
    _, layers, _, jacobian = small(activation)
    with float64(), jax.numpy_rank_promotion("allow"):
        inequality = by_layers(layers, (p, q))[-1]
        bound = inequality.tighter(-0.5 * np.ones(3), 0.5 * np.ones(3), math.inf, math.inf)
        J = np.asarray(jacobian(np.random.default_rng(2).uniform(-0.5, 0.5, (300, 3))))
    d = np.random.default_rng(3).normal(size=(300, 3))
    d = np.concatenate([d, np.sign(d), np.eye(3)])
    stretch = np.linalg.norm(np.einsum("bkn,mn->bmk", J, d), q, axis=-1) / np.linalg.norm(d, p, axis=-1)
    assert stretch.max() <= bound * (1.0 + 64 * EPS)
    # Finite, and no worse than the product of the norms of the weights and the conversion of norms.
    W, _ = weights((3, 8, 8, 2))
    assert bound <= math.prod(np.linalg.norm(A, 2) for A in W) * math.sqrt(3.0) * math.sqrt(2.0)


def test_one_uncertain_slope_has_the_bound_of_its_formula():
    # dz = 1.5 dx, w² <= dz², df = 1.5 dx + w: at most 3 |dx|.
    none = np.zeros((1, 2))
    parts = scaled_norm.Differences(1, Matrix(np.array([[1.5, 0.0]]), none), Matrix(np.array([[1.5, 1.0]]), none))
    bound = scaled_norm.bound(parts, largest=False)
    assert 3.0 * (1.0 - 4 * EPS) <= bound <= 3.0 * (1.0 + 2 * scaled_norm.GAP)


def test_a_matrix_that_is_not_positive_semidefinite_is_never_verified():
    generator = np.random.default_rng(4)
    Z, O, t = np.zeros((4, 6)), np.zeros((1, 6)), np.zeros(4)
    parts = scaled_norm.Differences(2, Matrix(Z, Z), Matrix(O, O))
    for _ in range(50):
        Z = np.triu(generator.normal(size=(4, 6)), 0)
        Z[:, 2:] = np.tril(Z[:, 2:], -1)
        O = generator.normal(size=(1, 6))
        q, t = generator.uniform(0.0, 30.0, 2), generator.uniform(0.0, 30.0, 4)
        parts = scaled_norm.Differences(2, Matrix(Z, np.zeros_like(Z)), Matrix(O, np.zeros_like(O)))
        least = np.linalg.eigvalsh(scaled_norm.matrix_of(Z, O, q, t))[0]
        said = scaled_norm.verified(parts, q, t)
        assert not (said and least < -1e-10)
        assert said or least < 1e-6
    assert not scaled_norm.verified(parts, np.array([np.nan, 1.0]), t)
    # What is uncertain must be covered: a radius as large as the least eigenvalue allows no proof.
    wide = scaled_norm.Differences(2, Matrix(Z, np.full_like(Z, 10.0)), Matrix(O, np.zeros_like(O)))
    assert not scaled_norm.verified(wide, np.full(2, 30.0), np.full(4, 30.0))


@pytest.mark.parametrize(("activation", "most"), [("tanh", 1.05), ("relu", 1.5)])
def test_two_inputs_are_decided_by_halving(activation, most):
    inner = network((2, 8, 8, 1), activation)
    found = karush.lipschitz(lambda x: inner(x)[0], karush.Box(-np.ones(2), np.ones(2)))
    assert 0.0 < found.lower <= found.upper <= most * found.lower


def test_no_sample_of_many_inputs_exceeds_the_bound_of_the_layers():
    inner = network((8, 16, 16, 1), "relu")
    found = karush.lipschitz(lambda x: inner(x)[0], karush.Box(-np.ones(8), np.ones(8)), norm=(math.inf, math.inf))
    with float64():
        x = np.random.default_rng(5).uniform(-1.0, 1.0, (2000, 8))
        slopes = np.abs(np.asarray(jax.vmap(jax.jacobian(inner))(x))).sum(axis=(1, 2))
    assert slopes.max() <= found.upper
    W, _ = weights((8, 16, 16, 1))
    assert found.upper < 0.5 * math.prod(np.linalg.norm(A, math.inf) for A in W)
