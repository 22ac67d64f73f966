"""The curvature floor of functions of many variables: it holds, and it does not depend on how the ridge is written."""

import math
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convexity_grammar import draw

import karush
from karush.bounds.convexity_problem import least_curvature
from karush.core.precision import float64
from karush.core.status import Status
from karush.jaxprs.function import trace

pytestmark = pytest.mark.user_style
EPS = 2.0**-52
MANY = 100_000
SEEDS = 200
BOXES = ((0.2, 2.0), (-1.0, 1.0), (0.0, 1.0))
A = np.random.default_rng(0).standard_normal((7, 12))
PLACES = np.random.default_rng(1).integers(-12, 12, (7, 3))


def floor_of(function, x, params=(), ends=(-np.inf, np.inf), **options):
    flat, x_flat = trace(lambda x: function(x, *params), x)
    if params:
        with float64():
            closed = jax.make_jaxpr(function)(x_flat, *params)
    else:
        closed = flat.closed_jaxpr
    bounds = np.full(x_flat.size, ends[0]), np.full(x_flat.size, ends[1])
    return least_curvature(closed, [np.asarray(p, float) for p in params], bounds, **options)


def loss(x):
    return jnp.mean(jnp.logaddexp(0.0, -(A @ x)))


def by_parts(p):
    return loss(jnp.append(p["w"], p["b"])) + 0.3 * jnp.sum(p["w"] ** 2) + jnp.vdot(2.0 * p["b"], p["b"])


RIDGES = {
    "square": (lambda x: loss(x) + 0.3 * jnp.sum(jnp.square(x)), 0.6),
    "power": (lambda x: 0.3 * jnp.sum(x**2) + jnp.sum(x**4), 0.6),
    "product": (lambda x: loss(x) + 0.3 * jnp.sum(x * x), 0.6),
    "inner product": (lambda x: loss(x) + 0.3 * x @ x, 0.6),
    "scaled inside": (lambda x: loss(x) + 0.3 * jnp.vdot(2.0 * x, x), 1.2),
    "about a point": (lambda x: loss(x) + 0.3 * jnp.sum((A[0] - 3.0 * x) ** 2), 5.4),
    "mean": (lambda x: 0.3 * jnp.mean(x[::-1] ** 2) - jnp.sum(-jnp.exp(x)), 0.05),
    "weights": (lambda x: jnp.dot(1.0 + jnp.arange(12.0), x**2), 2.0),
    "divided": (lambda x: loss(x) + jnp.sum(x.reshape(3, 4) ** 2) / 4.0, 0.5),
    "gathered": (lambda x: jnp.sum(jnp.exp(jnp.sum(x[PLACES], axis=1))) + 0.5 * x @ x, 1.0),
    "halves": (lambda x: jnp.sum(x[:5] ** 2) + 2.0 * jnp.sum(x[5:] ** 2), 2.0),
    "overlap": (lambda x: jnp.sum(x[:7] ** 2) + 2.0 * jnp.sum(x[5:] ** 2) + 0.5 * x @ x, 3.0),
    "half": (lambda x: loss(x) + jnp.sum(x[:5] ** 2), 0.0),
    "two uses": (lambda x: (lambda s: s + 0.5 * s + loss(x))(x @ x), 3.0),
}


@pytest.mark.parametrize("name", RIDGES)
def test_the_floor_is_the_ridge_however_it_is_written(name):
    function, expected = RIDGES[name]
    found = floor_of(function, np.ones(12))
    assert found is not None
    assert found <= expected
    assert found >= expected * (1.0 - 64 * EPS)


def test_every_part_of_a_pytree_counts():
    found = floor_of(by_parts, {"w": np.ones(11), "b": np.ones(())})
    assert 0.6 * (1.0 - 64 * EPS) <= found <= 0.6


NO_FLOOR = {
    "cross terms": lambda x: x @ x + jnp.sum(x[1:] * x[:-1]),
    "turned": lambda x: jnp.sum(x * x[::-1]),
    "transposed": lambda x: jnp.sum(x.reshape(2, 6) @ x.reshape(6, 2)),
    "concave part": lambda x: x @ x - jnp.sum(jnp.cosh(x)),
    "taken away": lambda x: jnp.exp(x[0]) - 0.1 * x @ x,
    "choice": lambda x: x @ x + jnp.sum(jnp.where(x > 0.0, 1.0, 0.0)),
    "filled": lambda x: x @ x + jnp.sum(x.at[np.array([40])].get(mode="fill", fill_value=jnp.nan) ** 2),
    "each its own divisor": lambda x: jnp.max(x) * jnp.sum(x**2 / x[::-1]),
    "square of a cosine": lambda x: x @ x + jnp.sum(jnp.cos(x) ** 2),
    "loop": lambda x: x @ x + jax.lax.fori_loop(0, 3, lambda _, s: jnp.sin(s), jnp.sum(x)),
}


@pytest.mark.parametrize("name", NO_FLOOR)
def test_what_is_not_convex_by_the_rules_has_no_floor(name):
    assert floor_of(NO_FLOOR[name], np.ones(12)) is None


def test_parts_of_a_turned_vector_are_not_taken_for_parts_of_x():
    # Of x reversed, elements 0 to 4 are the last of x: x_5 and x_6 carry no square here.
    found = floor_of(lambda x: jnp.sum(x[::-1][:5] ** 2) + jnp.sum(x[:5] ** 2), np.ones(12))
    assert found == 0.0


@pytest.mark.parametrize("block", range(2))
def test_the_floor_holds_for_random_programs_on_random_segments(block):
    known = 0
    for seed in range(block * SEEDS // 2, (block + 1) * SEEDS // 2):
        drawn, _ = draw(seed, depth=1 + seed % 4)
        low, high = BOXES[seed % 3]
        weight = 0.1 * (1 + seed % 7)

        def function(x, drawn=drawn, weight=weight):
            return weight * jnp.sum((x - 1.0) ** 2) + drawn(x)

        found = floor_of(function, np.ones(3), ends=(low, high))
        if found is None:
            continue
        known += found > 0.0
        rng = np.random.default_rng(seed)
        a, b = (low + (high - low) * rng.random((120, 3)) for _ in range(2))
        with float64():
            points = np.concatenate([a, 0.5 * a + 0.5 * b, b])
            at = np.asarray(jax.vmap(lambda x, f=function, m=found: f(x) - 0.5 * m * (x @ x))(points)).reshape(3, -1)
        # Points where the function is not defined are not feasible.
        inside = np.isfinite(at).all(axis=0)
        slack = 1e-12 * (1.0 + np.abs(at).sum(axis=0))
        assert np.all((at[1] - 0.5 * (at[0] + at[2]) <= slack)[inside]), f"seed {seed}"
    assert known > SEEDS // 16


def test_a_weight_that_is_a_parameter_counts_for_its_value_alone():
    def ridge(x, weight, design):
        return weight * x @ x + jnp.sum(jnp.logaddexp(0.0, design @ x))

    given = np.ones(12), (0.25, A)
    assert abs(floor_of(ridge, *given) - 0.5) <= 64 * EPS
    assert floor_of(ridge, *given, any_values=True) is None
    assert floor_of(ridge, given[0], (-0.25, A)) is None
    assert floor_of(lambda x, design: x @ x + loss(x) + jnp.sum((design @ x) ** 2), np.ones(12), (A,), any_values=True)


def test_an_array_costs_what_a_number_costs():
    def function(x):
        return jnp.sum(jnp.sqrt(1e-3 + (x[1:] - x[:-1]) ** 2)) + 0.5 * jnp.sum((x - 2.0) ** 2)

    flat, _ = trace(function, np.zeros(MANY))
    bounds = np.full(MANY, -np.inf), np.full(MANY, np.inf)
    # No array of x's size is made for a reading that follows one range for each array.
    least_curvature(flat.closed_jaxpr, (), bounds)
    tracemalloc.start()
    found = least_curvature(flat.closed_jaxpr, (), bounds)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found >= 1.0 - 64 * EPS
    assert peak < 8 * MANY


def test_complex_numbers_leave_convexity_undecided():
    def f(x):
        return jnp.sum(jnp.real((1j * x) ** 2))

    assert karush.convexity(f, karush.Box(-np.ones(2), np.ones(2)), budget=0).verdict == "undecided"
    assert floor_of(f, np.ones(2)) is None


def test_weights_that_overflow_have_no_floor():
    found = floor_of(lambda x: 1e308 * (1e10 * jnp.sum(x * x)), np.ones(2))
    assert found is None or 0.0 <= found < math.inf


def test_random_numbers_of_a_key_leave_convexity_unknown_and_are_no_error():
    key = jax.random.key(0)

    def f(x):
        return jnp.sum((x - jax.random.normal(key, (2,))) ** 4)

    x = np.ones(2)
    assert floor_of(f, x) is None
    # A compiled solve asks the rules for the whole problem too.
    assert karush.minimize(f, x, driver="fused").status is Status.CONVERGED
