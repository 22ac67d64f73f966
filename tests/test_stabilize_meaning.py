"""A repaired function is the same function: at infinities and ties, with the user's own derivatives, of any shape."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import karush

pytestmark = pytest.mark.user_style

INF = np.float32(np.inf)
WIDE = (-200.0, 200.0)
LAST_DIGITS = 4 * float(np.finfo(np.float32).eps)


@jax.custom_vjp
def through(x):
    return jnp.round(x)


through.defvjp(lambda x: (jnp.round(x), None), lambda _, slope: (slope,))


@jax.custom_jvp
def steep(x):
    return x * x


steep.defjvp(lambda primals, tangents: (steep(*primals), 5.0 * tangents[0]))

OWN = {
    "stop_gradient": (lambda x: lax.stop_gradient(x) * jnp.log(1 + x), lambda x: x / (1 + x)),
    "custom_jvp": (lambda x: (jnp.exp(x) - 1) + steep(x), lambda x: np.exp(x) + 5),
    "custom_vjp": (lambda x: jnp.log(1 + x) + through(10 * x), lambda x: 1 / (1 + x) + 10),
}
"""a function that is repaired, and the derivative that its user says it has"""


@pytest.mark.parametrize("name", OWN)
def test_the_derivative_that_a_user_says_is_kept(name):
    f, slope = OWN[name]
    g = karush.stabilize(f, karush.Box(1e-6, 1.0))
    assert g.changes
    x = np.float32(0.3)
    for grad in (jax.grad(g), jax.jit(jax.grad(g)), jax.grad(jax.jit(g))):
        np.testing.assert_allclose(grad(x), slope(0.3), rtol=LAST_DIGITS)


PRODUCTS = {
    "outer": lambda x: jnp.einsum("i,j->ij", jnp.exp(x) - 1, x),
    "elementwise": lambda x: jnp.einsum("i,i->i", jnp.exp(x) - 1, x),
    "inner": lambda x: jnp.dot(jnp.exp(x) - 1, x),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_vectors_are_told_apart(name):
    g = karush.stabilize(PRODUCTS[name], karush.Box(np.full(2, 1e-6), np.full(2, 1.0)))
    assert g.changes
    x = np.array([0.5, 0.75], np.float32)
    np.testing.assert_allclose(g(x), PRODUCTS[name](x), rtol=1e-6)


def test_an_array_that_is_not_used_may_have_any_shape():
    g = karush.stabilize(lambda x, y: jnp.exp(x) - 1, (karush.Box(1e-6, 1.0), karush.Box(np.zeros(3), np.ones(3))))
    assert g.changes
    assert g(np.float32(1e-5), np.zeros(3, np.float32)) == np.expm1(np.float32(1e-5))


def log_sum(x):
    return jnp.log(jnp.sum(jnp.exp(x)))


def log_mean(x):
    return jnp.log(jnp.mean(jnp.exp(x)))


def log_of_two(x):
    return jnp.log(jnp.exp(x[0]) + jnp.exp(x[1]))


@pytest.mark.parametrize("f", [log_sum, log_mean, log_of_two])
def test_infinite_logarithms_of_weights_are_right(f):
    g = karush.stabilize(f, karush.Box(np.full(2, WIDE[0]), np.full(2, WIDE[1])))
    assert g.changes
    for x, value in (((-INF, -INF), -INF), ((INF, 1.0), INF), ((INF, INF), INF)):
        assert g(np.array(x, np.float32)) == value
    assert np.isclose(g(np.array([-INF, 1.0], np.float32)), f(np.array([-INF, 1.0], np.float32)), rtol=1e-6)


TIES = {
    "softplus": (lambda x: jnp.log1p(jnp.exp(x)), WIDE, 0.0, (0.5, 0.25)),
    "log of the logistic": (lambda x: jnp.log(jax.nn.sigmoid(x)), WIDE, 0.0, (0.5, -0.25)),
    "log of an exponential plus": (lambda x: log_of_two(jnp.stack([x, 2.0 - x])), WIDE, 1.0, (0.0, 1.0)),
    "log of tanh": (
        lambda x: jnp.log(jnp.tanh(x)), (1e-3, 50.0), 0.5,
        (2 / np.sinh(1.0), -4 * np.cosh(1.0) / np.sinh(1.0) ** 2),
    ),
}  # fmt: skip
"""function, box, the point where a branch of its rewrite begins, the two derivatives there"""


@pytest.mark.parametrize("name", TIES)
def test_derivatives_where_branches_meet_are_those_of_the_function(name):
    f, ends, point, slopes = TIES[name]
    g = karush.stabilize(f, karush.Box(*ends))
    assert g.changes
    x = np.float32(point)
    found = jax.grad(g)(x), jax.grad(jax.grad(g))(x)
    np.testing.assert_allclose(found, slopes, rtol=4 * LAST_DIGITS, atol=LAST_DIGITS)


def test_the_source_of_a_branch_runs():
    g = karush.stabilize(lambda x: jnp.log1p(jnp.exp(x)), karush.Box(*WIDE))
    assert g.source is not None
    scope: dict[str, Any] = {"jnp": jnp, "jax": jax, "lax": lax}
    exec(g.source.replace("<lambda>", "f"), scope)
    for x in np.array([-30.0, 0.0, 2.0, 150.0], np.float32):
        assert scope["f"](x) == g(x)
