"""Jacobians of networks as sums over symbols: they hold at every point, beside its own symbols, and rounding counts."""

import functools
import math
import time

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from test_bounds_networks import network, read_layers, residual

import karush
from karush.bounds import jacobian_zonotopes as symbols
from karush.bounds import scaled_norm
from karush.bounds.layers import Matrix
from karush.bounds.network_bounds import by_layers
from karush.core.errors import OptionError
from karush.core.precision import float64

pytestmark = pytest.mark.user_style
EPS = np.finfo(float).eps
A = np.array([[0.5, -1.5, 0.25], [1.0, 0.75, -0.5]])


def squares(x):
    return jnp.sum(jnp.square(A @ x) * jnp.array([1.0, -2.0]), keepdims=True)


def mixed(x):
    return A[:1, :2] @ jax.nn.sigmoid(A @ jnp.sin(x) + 0.25)


FUNCTIONS = {
    "tanh": network((3, 8, 8, 2), "tanh"),
    "relu": network((3, 8, 8, 2), "relu"),
    "softplus": network((3, 8, 8, 2), "softplus"),
    "skip connection": residual,
    "squares": squares,
    "sine and sigmoid": mixed,
    "absolute value": lambda x: A[:1, :2] @ jnp.abs(A @ x),
}


@functools.cache
def prepared(name):
    layers = read_layers(FUNCTIONS[name], 3)
    with float64():
        return layers, symbols.reader(layers), jax.jit(jax.vmap(jax.jacobian(FUNCTIONS[name])))


def rows_on(name, low, high):
    layers, read, _ = prepared(name)
    with float64(), jax.numpy_rank_promotion("allow"), np.errstate(all="ignore"):
        return symbols.jacobian(layers, symbols.activations(layers, low, high, read))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("radius", [1e-9, 1e-3, 0.3, 2.0])
def test_the_jacobian_of_a_point_lies_beside_the_symbols_of_the_point(name, radius):
    middle = np.array([0.1, -0.2, 0.3])
    rows = rows_on(name, middle - radius, middle + radius)
    e = np.random.default_rng(1).uniform(-1.0, 1.0, (400, 3))
    e = np.concatenate([e, np.sign(e[:50])])
    with float64():
        J = np.asarray(prepared(name)[2](middle + radius * e))
    at = rows.middle + np.einsum("kns,bs->bkn", rows.symbols[..., :3], e)
    rest = np.abs(rows.symbols[..., 3:]).sum(-1) + rows.radius
    slack = 256 * EPS * np.abs(J).max() + 4 * EPS / radius * np.abs(rows.symbols[..., :3]).sum(-1).max()
    assert np.all(np.abs(J - at) <= rest + slack)


@pytest.mark.parametrize("name", ["tanh", "softplus", "sine and sigmoid"])
def test_what_the_symbols_of_x_leave_over_falls_with_the_square_of_the_width(name):
    middle = np.array([0.1, -0.2, 0.3])
    left = []
    for radius in (1e-2, 1e-3):
        rows = rows_on(name, middle - radius, middle + radius)
        left.append(float((np.abs(rows.symbols[..., 3:]).sum(-1) + rows.radius).max()))
    assert left[1] <= 0.02 * left[0]


def test_quadratic_functions_have_no_excess_but_rounding():
    rows = rows_on("squares", -np.ones(3), np.ones(3))
    assert np.all(np.abs(rows.symbols[..., 3:]).sum(-1) + rows.radius <= 1e-12)


def test_rounding_is_covered_where_weights_cancel():
    big, near = 2.0**45, 1.0 + 2.0**-40

    def f(x):
        return jnp.stack([jnp.dot(jnp.array([big, -big]), jnp.tanh(jnp.stack([x[0], near * x[0]])))])

    layers = read_layers(f, 1)
    x = 0.7
    with float64(), jax.numpy_rank_promotion("allow"):
        read = symbols.reader(layers)
        point = np.array([x])
        rows = symbols.jacobian(layers, symbols.activations(layers, point, point, read))
    with mpmath.workdps(60):
        slopes = [mpmath.mpf(c) * mpmath.sech(mpmath.mpf(c) * mpmath.mpf(x)) ** 2 for c in (1.0, near)]
        exact = mpmath.mpf(big) * (slopes[0] - slopes[1])
        off = abs(exact - mpmath.mpf(float(rows.middle[0, 0])))
    rest = float(np.abs(rows.symbols).sum() + rows.radius.sum())
    assert off <= rest
    assert off > 1e-6
    assert rest <= 1e5 * EPS * big


@pytest.mark.parametrize("name", ["tanh", "logistic", "sin", "exp", "erf", "square", "softplus", "cbrt", "relu", "abs"])
def test_lines_hold_on_their_ranges(name):
    generator = np.random.default_rng(2)
    low = generator.uniform(-3.0, 3.0, 40)
    high = low + 10.0 ** generator.uniform(-9.0, 0.8, 40)
    own = {"softplus": jax.nn.softplus, "relu": jax.nn.relu, "logistic": jax.nn.sigmoid, "erf": jax.scipy.special.erf}
    function = own.get(name) or getattr(jnp, name)
    with float64(), jax.numpy_rank_promotion("allow"):
        lines = symbols.lines_of(name, jnp.asarray(low), jnp.asarray(high))
        z = low + (high - low) * generator.uniform(size=(300, 40))
        values = np.asarray(function(z)), np.asarray(jax.vmap(jax.vmap(jax.grad(function)))(z))
    for value, (s, middle, radius) in zip(values, (lines.value, lines.first), strict=True):
        known = np.isfinite(radius)
        off = np.abs(value - np.asarray(s) * z - np.asarray(middle))
        slack = 32 * EPS * (np.abs(value) + np.abs(np.asarray(s) * z))
        assert np.all((off <= np.asarray(radius) + slack)[:, known])
        assert name == "cbrt" or np.all(known)


def test_symbols_are_the_best_of_the_bounds_of_a_deep_network_on_a_small_box():
    inner = network((3, 16, 16, 16, 1), "tanh")
    layers = read_layers(inner, 3)
    low, high = -0.02 * np.ones(3), 0.02 * np.ones(3)
    with float64(), jax.numpy_rank_promotion("allow"):
        of_symbols, inequality = by_layers(layers, (2, 2))
        found = of_symbols.tighter(low, high, math.inf, math.inf)
        x = np.random.default_rng(5).uniform(-0.02, 0.02, (300, 3))
        least = float(np.linalg.norm(np.asarray(jax.vmap(jax.jacobian(inner))(x))[:, 0], axis=1).max())
        assert least <= found * (1.0 + 64 * EPS)
        other = inequality.tighter(low, high, math.inf, math.inf)
        assert found - least < 0.5 * (other - least)
        # A bound that will not be the lesser one is given up, and one that is out of time is still valid.
        assert inequality.tighter(low, high, found, math.inf) == math.inf
        assert other <= inequality.tighter(low, high, math.inf, time.monotonic()) < math.inf


def test_a_time_limit_leaves_valid_bounds():
    box = karush.Box(-np.ones(2), np.ones(2))

    def f(x):
        return jnp.sin(3.0 * x[0] * x[1]) + x[0] ** 2

    short = karush.lipschitz(f, box, time_limit=1e-3, ratio=1.0)
    long = karush.lipschitz(f, box, budget=64, ratio=1.0)
    assert short.boxes < long.boxes
    assert long.lower <= short.upper < math.inf
    assert karush.enclose(f, box, time_limit=1e-3, width=0.0).boxes < karush.enclose(f, box, budget=64).boxes
    with pytest.raises(OptionError, match="time_limit is 0"):
        karush.lipschitz(f, box, time_limit=0)
    with pytest.raises(OptionError, match="time_limit is nan"):
        karush.enclose(f, box, time_limit=math.nan)


def test_the_search_for_an_inequality_ends_where_it_cannot_win():
    none = np.zeros((1, 2))
    parts = scaled_norm.Differences(1, Matrix(np.array([[1.5, 0.0]]), none), Matrix(np.array([[1.5, 1.0]]), none))
    assert scaled_norm.bound(parts, largest=False, above=2.9) == math.inf
    assert scaled_norm.bound(parts, largest=False, above=3.1) <= 3.0 * (1.0 + 2 * scaled_norm.GAP)


@pytest.mark.parametrize("norm", [(2, 2), (math.inf, 2), (1, 2)])
def test_a_derivative_whose_square_is_infinite_has_a_finite_lower_bound(norm):
    steep = 1e200
    found = karush.lipschitz(
        lambda x: steep * jnp.stack([x[0] + x[1], x[0]]), karush.Box(-np.ones(2), np.ones(2)), norm=norm
    )
    exact = steep * {2: (1.0 + math.sqrt(5.0)) / 2.0, math.inf: math.sqrt(5.0), 1: math.sqrt(2.0)}[norm[0]]
    assert exact * (1.0 - 64 * EPS) <= found.lower <= exact <= found.upper
