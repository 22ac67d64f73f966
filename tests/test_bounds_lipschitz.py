"""Lipschitz constants lie between their bounds, and the witness shows the lower one."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.bounds import norms
from karush.core.errors import OptionError, ProblemError, TraceError
from karush.core.precision import float64

pytestmark = pytest.mark.user_style
EPS = np.finfo(float).eps
GENERATOR = np.random.default_rng(0)
A = GENERATOR.normal(size=(5, 3))
CUBE = karush.Box(-np.ones(3), np.ones(3))
PAIRS = [(p, q) for p in norms.NORMS for q in norms.NORMS]

KNOWN = {
    "|x|": (jnp.abs, karush.Box(-1.0, 1.0), "function", 1.0),
    "x^2": (lambda x: x * x, karush.Box(-1.0, 1.0), "function", 2.0),
    "linear": (lambda x: A @ x, CUBE, "function", np.linalg.norm(A, 2)),
    "quadratic": (lambda x: 0.5 * jnp.sum((A @ x) ** 2), CUBE, "gradient", np.linalg.norm(A, 2) ** 2),
    "logistic": (lambda x: jnp.sum(jnp.logaddexp(A @ x, 0.0)), CUBE, "gradient", np.linalg.norm(A, 2) ** 2 / 4.0),
    "softplus": (lambda x: jnp.logaddexp(x, 0.0), karush.Box(-2.0, 2.0), "gradient", 0.25),
    "tanh": (lambda x: jnp.tanh(x), karush.Box(-1.0, 2.0), "function", 1.0),
    "a fixed coordinate": (
        lambda x: x[0] + 100.0 * x[1],
        karush.Box(np.array([0.0, 1.0]), np.array([1.0, 1.0])),
        "function",
        1.0,
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_constant_lies_between_bounds_that_are_within_a_tenth(name):
    function, box, of, true = KNOWN[name]
    found = karush.lipschitz(function, box, of=of)
    assert found.lower <= true * (1.0 + 8 * EPS)
    assert true * (1.0 - 8 * EPS) <= found.upper
    assert found.upper <= 1.1 * true
    assert found.lower >= true / 1.1


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_matrix_norms_are_bounded_above_and_below_in_every_pair_of_norms(p, q):
    matrices = np.random.default_rng(3).normal(size=(20, 4, 3))
    above, (below, shown) = norms.upper(matrices, matrices, p, q), norms.lower(matrices, matrices, p, q)
    xs = np.random.default_rng(4).normal(size=(2000, 3))
    xs = np.concatenate([xs, np.sign(xs), np.eye(3)])
    stretch = np.linalg.norm(np.einsum("bkn,mn->bmk", matrices, xs), q, axis=-1) / np.linalg.norm(xs, p, axis=-1)
    assert np.all(stretch.max(axis=1) <= above)
    image = np.linalg.norm(np.einsum("bkn,bn->bk", matrices, shown), q, axis=-1)
    assert np.all(below <= image / np.linalg.norm(shown, p, axis=-1))
    assert np.all(below > 0.5 * stretch.max(axis=1))
    if (p, q) == (2, 2):
        exact = np.linalg.norm(matrices, 2, axis=(1, 2))
        assert np.allclose(above, exact, rtol=1e-11)
        assert np.allclose(below, exact, rtol=1e-11)


@pytest.mark.parametrize("norm", [(2, 2), (math.inf, math.inf), (1, 2)])
def test_no_pair_of_points_of_a_network_is_stretched_beyond_the_upper_bound(norm):
    generator = np.random.default_rng(1)
    first, second = generator.normal(size=(8, 2)), generator.normal(size=(2, 8))

    def network(x):
        return second @ jax.nn.relu(first @ x)

    found = karush.lipschitz(network, karush.Box(-np.ones(2), np.ones(2)), norm=norm, budget=256)
    x, y = generator.uniform(-1.0, 1.0, (2, 4000, 2))
    y = x + 10.0 ** generator.uniform(-4.0, 0.0, (4000, 1)) * (y - x)
    with float64():
        change = np.asarray(jax.vmap(network)(x)) - np.asarray(jax.vmap(network)(y))
    stretch = np.linalg.norm(change, norm[1], axis=1) / np.linalg.norm(x - y, norm[0], axis=1)
    assert stretch.max() <= found.upper * (1.0 + 1e-10)
    assert found.lower <= found.upper
    # The witness: the derivative at the point, along the direction.
    with float64():
        _, image = jax.jvp(network, (jnp.asarray(found.point),), (jnp.asarray(found.direction),))
    shown = np.linalg.norm(np.asarray(image), norm[1]) / np.linalg.norm(found.direction, norm[0])
    assert shown >= found.lower * (1.0 - 1e-10)


def test_a_jump_a_pole_and_a_kinked_gradient_have_no_finite_bound():
    box = karush.Box(-1.0, 1.0)
    for function in (jnp.floor, lambda x: 1.0 / x, lambda x: jnp.where(x > 0.0, 1.0, x), jnp.cbrt):
        assert karush.lipschitz(function, box, budget=32).upper == math.inf
    assert karush.lipschitz(jnp.abs, box, of="gradient", budget=32).upper == math.inf


def test_the_step_of_the_gradient_never_raises_the_function():
    function, box, of, _ = KNOWN["logistic"]
    step = karush.lipschitz(function, box, of=of).step
    x = np.random.default_rng(5).uniform(-1.0, 1.0, (20000, 3))
    with float64():
        value, slope = (np.asarray(part) for part in jax.vmap(jax.value_and_grad(function))(x))
        after = x - step * slope
        inside = np.all(np.abs(after) <= 1.0, axis=1)
        later = np.asarray(jax.vmap(function)(after))
    assert inside.sum() > 1000
    assert np.all(later[inside] <= value[inside])


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"norm": (2, 3)}, OptionError, "norm"),
        ({"of": "hessian"}, OptionError, "'gradient'"),
        ({"budget": 0}, OptionError, "budget"),
        ({"ratio": 0.5}, OptionError, "ratio"),
        ({"of": "gradient"}, TraceError, "one number"),
    ],
)
def test_bad_input_is_an_error_that_says_what(options, error, said):
    with pytest.raises(error, match=said):
        karush.lipschitz(lambda x: A @ x, CUBE, **options)
    with pytest.raises(ProblemError, match="of='gradient'"):
        karush.lipschitz(jnp.sin, karush.Box(0.0, 1.0)).step  # noqa: B018


@pytest.mark.parametrize("of", ["enclose", "lipschitz", "convexity", "prove"])
@pytest.mark.parametrize("kind", [jax.random.key, jax.random.PRNGKey])
def test_a_key_of_random_numbers_in_the_function_is_named(of, kind):
    key = kind(0)

    def f(x):
        return jnp.sum(x**2) + jax.random.normal(key, ()) * x[0]

    subject = karush.Problem(f, np.zeros(2)) if of == "prove" else f
    place = np.zeros(2) if of == "prove" else karush.Box(np.zeros(2), np.ones(2))
    with pytest.raises(TraceError, match="random"):
        getattr(karush, of)(subject, place)


def test_a_bound_is_told_in_words():
    box = karush.Box(np.zeros(2), np.ones(2))
    one = karush.lipschitz(lambda x: 2.0 * jnp.sum(x), box, norm=(2.0, 2.0))
    two = karush.lipschitz(lambda x: 2.0 * x, box, norm=(2, math.inf))
    assert "in the 2-norm: " in str(one)
    assert str(one).endswith("1 box)")
    assert "from the 2-norm to the max norm: " in str(two)
