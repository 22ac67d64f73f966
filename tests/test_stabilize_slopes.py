"""Derivatives of repaired functions: rules of operations, Jacobians, second derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.core.precision import float64
from karush.stability.operations import ELEMENTWISE
from karush.stability.points import draw, is_normal
from karush.stability.tangents import RULES
from karush.stability.truth import exact_values
from karush.stability.ulps import bits_of_error

pytestmark = pytest.mark.user_style

POINTS = 60
FEW_BITS = 4.0
"""a rule is a product of a few operations, each within a few ulps (`expm1` and `cosh` of XLA: 4)"""
DOMAINS = {"acosh": (1.001, 1e8), "asin": (-0.999, 0.999), "acos": (-0.999, 0.999), "atanh": (-0.999, 0.999)}
POSITIVE = (1e-8, 40.0)
PLAIN = {
    "div": lambda x, y: x / y,
    "atan2": jnp.arctan2,
    "pow": lambda x, y: jnp.exp(y * jnp.log(x)),
    "tanh": lambda x: 1 - 2 / (jnp.exp(2 * x) + 1),
    "logistic": lambda x: 1 / (1 + jnp.exp(-x)),
    "exprel": lambda x: (jnp.exp(x) - 1) / x,
}
"""the operation as mathematics writes it, for exact values of its derivative; else JAX's own"""


@pytest.mark.parametrize("name", RULES)
def test_the_derivative_rule_of_an_operation_is_accurate(name):
    operation = ELEMENTWISE[name].jax
    arity = 2 if name in ("div", "atan2", "pow") else 1
    rng = np.random.default_rng(5)
    low, high = DOMAINS.get(name, POSITIVE)
    columns = [draw(low, high, (POINTS,), np.float64, rng) for _ in range(arity)]
    places = tuple(range(arity))
    with float64(), jax.numpy_rank_promotion("allow"):
        meaning = jax.grad(PLAIN.get(name, operation), argnums=places)
        given = [jax.ShapeDtypeStruct((POINTS,), np.float64)] * arity
        exact = exact_values(lambda n: jax.make_jaxpr(jax.vmap(meaning))(*given), columns)
        computed = jax.jit(jax.vmap(jax.grad(operation, argnums=places)))(*columns)
    for one, other in zip(computed, exact, strict=True):
        good = is_normal(other)
        assert good.sum() > POINTS // 2
        assert bits_of_error(np.asarray(one)[good], other[good]).max() <= FEW_BITS


def test_a_function_of_several_outputs_gets_an_accurate_jacobian_and_finite_second_derivatives():
    def unit(x):
        return x / jnp.sqrt(jnp.sum(x * x))

    g = karush.stabilize(unit, karush.Box(np.full(3, 1e10), np.full(3, 1e30)))
    x = np.array([1e20, 2e20, 2e20], np.float32)
    u = np.array([1.0, 2.0, 2.0]) / 3.0
    exact = (np.eye(3) - np.outer(u, u)) / 3e20
    assert not np.allclose(jax.jacrev(unit)(x), exact, rtol=0.5, atol=0.0)
    for jacobian in (jax.jacrev(g), jax.jacfwd(g), jax.jit(jax.jacrev(g))):
        assert np.allclose(jacobian(x), exact, rtol=2e-6, atol=0.0)
    assert np.isfinite(jax.hessian(lambda x: g(x)[0])(x)).all()


def test_what_a_rounded_exponent_loses_is_made_good():
    # d(x^c)/dx = c x^(c-1): c - 1 rounds, and at x = 1e300 half an ulp of it is 300 ulps of the power.
    with float64():
        slope = jax.grad(lambda x: ELEMENTWISE["pow"].jax(x, 1.0 / 3.0))(1e300)
        c = 1.0 / 3.0
        # c - 1 = less + lost exactly
        less = c - 1.0
        lost = c - (less + 1.0)
        assert lost != 0.0
        assert np.isclose(slope, c * 1e300**less * np.exp(lost * np.log(1e300)), rtol=1e-15)
