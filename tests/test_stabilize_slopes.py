"""Derivatives of repaired functions: rules of operations, Jacobians, second derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.core.precision import float64
from karush.stability import slopes
from karush.stability.compensation import equations
from karush.stability.contraction import product
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


def sum_errors(g, f, low, high, count, dtype=np.float32):
    """Mean bits of error of the gradient of the sum of g's outputs, against that of f."""
    rng = np.random.default_rng(11)
    x = draw(np.full(count, low), np.full(count, high), (POINTS, count), dtype, rng)
    given = jax.ShapeDtypeStruct((POINTS, count), dtype)
    slope = jax.grad(lambda x: jnp.sum(f(x)))
    exact = exact_values(lambda n: jax.make_jaxpr(jax.vmap(slope))(given), [x])[0]
    computed = np.asarray(jax.jit(jax.vmap(jax.grad(lambda x: jnp.sum(g(x)))))(x))
    good = is_normal(exact)
    assert good.mean() > 0.5
    return bits_of_error(computed[good], exact[good]).mean()


def test_what_cancels_in_the_sum_of_outputs_is_right_in_its_gradient():
    def centred_shares(x):
        e = jnp.exp(x - jnp.max(x))
        return e / jnp.sum(e)

    g = karush.stabilize(centred_shares, karush.Box(np.full(2, 1.0), np.full(2, 3.0)))
    # The sum is 1 and its gradient 0, made of numbers of ordinary size.
    assert sum_errors(centred_shares, centred_shares, 1.0, 3.0, 2) > 2.0
    assert sum_errors(g, centred_shares, 1.0, 3.0, 2) <= 1.0
    x = np.array([2.5, 1.25], np.float32)

    def weighted(x):
        return g(x)[0] - 2 * g(x)[1]

    # y = p0 - 2 p1 = 3 p0 - 2, p0 a sigmoid of x0 - x1.
    p = 1 / (1 + np.exp(-1.25))
    slope, bend = 3 * p * (1 - p), 3 * p * (1 - p) * (1 - 2 * p)
    back, ahead, twice = jax.jit(lambda x: (jax.grad(weighted)(x), jax.jacfwd(weighted)(x), jax.hessian(weighted)(x)))(
        x
    )
    np.testing.assert_allclose(back, [slope, -slope], rtol=1e-6)
    np.testing.assert_allclose(ahead, [slope, -slope], rtol=1e-6)
    np.testing.assert_allclose(twice, bend * np.array([[1.0, -1.0], [-1.0, 1.0]]), rtol=1e-5)
    assert back.dtype == ahead.dtype == twice.dtype == np.float32


def test_a_derivative_whose_steps_leave_the_range_is_finite_and_accurate():
    def second_difference(x):
        return jnp.sum(1 / (x + 1) - 2 / x + 1 / (x - 1))

    # 2/(x^3 - x) has the slope -2 (3 x^2 - 1)/(x^3 - x)^2, whose numerator and denominator overflow before it vanishes.
    ends = -1e150, 1e150
    with float64():
        g = karush.stabilize(second_difference, karush.Box(*(np.full(1, end) for end in ends)))
        assert sum_errors(g, second_difference, *ends, 1, np.float64) <= 1.0


def test_a_derivative_too_long_to_compile_is_not_compiled_but_replaced(monkeypatch):
    """That of a compensated program may hold ten times its operations; of a geometric mean 32,000."""
    compiled = []
    measured = slopes.Slope.errors

    def errors(slope, judged):
        compiled.append(equations(jax.make_jaxpr(judged)(*slope.program.closed.in_avals).jaxpr))
        return measured(slope, judged)

    monkeypatch.setattr(slopes, "LARGEST_DERIVED", 0)
    monkeypatch.setattr(slopes.Slope, "errors", errors)
    g = karush.stabilize(lambda x: jnp.log(1.0 + x), karush.Box(1e-12, 1.0))
    assert slopes.OWN_RULE.name in {change.row for change in g.changes}
    assert len(compiled) == 1
    assert jax.grad(g)(np.float32(1e-9)) == np.float32(1.0)


def test_the_accurate_product_is_linear_and_its_own_transpose():
    rng = np.random.default_rng(2)
    hi = rng.standard_normal((2, 3)).astype(np.float32)
    lo, v, w = hi * np.float32(2.0**-30), np.ones(3, np.float32), np.ones(2, np.float32)
    ahead, back = jax.linearize(lambda v: product(hi, lo, v), v)[1], jax.vjp(lambda v: product(hi, lo, v), v)[1]
    np.testing.assert_allclose(jax.vmap(ahead)(np.eye(3, dtype=np.float32)).T, hi, rtol=2.0**-23)
    np.testing.assert_allclose(back(w)[0], hi.T @ w, rtol=1e-6)
    # 1 - 1 + 2^-40: the lower parts decide.
    hi = np.array([[1.0, -1.0]], np.float32)
    lo = np.array([[2.0**-30, 0.0]], np.float32)
    assert product(hi, lo, np.ones(2, np.float32))[0] == np.float32(2.0**-30)
    assert product(hi, lo * 2.0**-30, np.ones(2, np.float32))[0] == 0.0
    # The sum of sizes overflows, that of the terms does not.
    large = np.array([[2e38, -1.9e38, 1e38, -1e38]], np.float32)
    np.testing.assert_allclose(product(large, 0 * large, np.ones(4, np.float32)), [1e37], rtol=1e-6)
