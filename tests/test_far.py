"""Floats with an exponent of their own: the primitive in the range, and no end beyond it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from karush.arithmetic.twofold import far_reaching
from karush.core.precision import float64

pytestmark = pytest.mark.user_style

EPS = 2.0**-23
AT = np.array([1e-30, -1e-3, 0.3, 1.0, 2.5, -7.0, 33.0, 85.0, -60.0, 1e10, np.inf, -np.inf, np.nan, 0.0], np.float32)
IN_RANGE = {
    "exp": jnp.exp,
    "log": jnp.log,
    "sqrt": jnp.sqrt,
    "pow": lambda x: jnp.abs(x) ** 2.3,
    "sum": lambda x: x + 1.5,
    "expm1": jnp.expm1,
    "tanh": jnp.tanh,
    "log1p": lambda x: jnp.log1p(jnp.abs(x)),
    "logistic": lambda x: 1 / (1 + jnp.exp(-x)),
    "maximum": lambda x: jnp.maximum(x, 2.0),
    "select": lambda x: jnp.where(x < 0.5, x, -x),
    "reciprocal cube": lambda x: x**-3,
    "prod": lambda x: jnp.prod(jnp.stack([x, x + 1.0])),
    "min": lambda x: jnp.min(jnp.stack([x, x * 0.5])),
}


@pytest.mark.parametrize("name", IN_RANGE)
def test_in_the_range_of_the_dtype_a_far_float_is_the_float(name):
    f = IN_RANGE[name]
    expected, got = (np.asarray(jax.jit(jax.vmap(g))(AT)) for g in (f, far_reaching(f)))
    np.testing.assert_allclose(got, expected, rtol=4 * EPS)


# (x^2 e^x)/(x^2 e^x + 1) and the like: the value is ordinary, the steps are not
BEYOND = {
    "product over product": (lambda x: (x**9 * 2) / (x**9 * 5), [1e-20, 1e30], [0.4, 0.4]),
    "exponentials": (lambda x: jnp.exp(x) / (jnp.exp(x) + 1), [200.0, 1e4], [1.0, 1.0]),
    "powers": (lambda x: jnp.abs(x) ** 2.5 / (x * x), [1e-30, 1e30], [1e-15, 1e15]),
    "root of squares": (lambda x: jnp.sqrt(jnp.sum(jnp.stack([x, x]) ** 2)) / x, [1e-30, 1e30], [2**0.5, 2**0.5]),
    "logarithm": (lambda x: jnp.log(x**4) / 4, [1e-30, 1e30], [-30 * np.log(10), 30 * np.log(10)]),
    "hyperbolic": (lambda x: jnp.sinh(x) / jnp.cosh(x), [-300.0, 300.0], [-1.0, 1.0]),
    "comparison": (lambda x: jnp.where(x**3 < x**4, x, -x), [1e-30, 1e30], [-1e-30, 1e30]),
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_step_beyond_the_range_of_the_dtype_costs_nothing(name):
    f, x, truth = BEYOND[name]
    x = np.asarray(x, np.float32)
    assert not np.allclose(jax.vmap(f)(x), truth, rtol=1e-3)
    # A power whose result is beyond is the fourth power of a rounded one.
    np.testing.assert_allclose(jax.jit(jax.vmap(far_reaching(f)))(x), truth, rtol=16 * EPS)


def test_derivatives_of_all_orders_are_far_reaching_too():
    def f(x):
        return jnp.sqrt(x * x * x * x)

    with float64():
        g = far_reaching(f)
        x = np.float64(1e-150)
        assert np.isnan(jax.grad(f)(x))
        assert np.isclose(jax.grad(g)(x), 2e-150, rtol=1e-14)
        assert np.isclose(jax.grad(jax.grad(g))(x), 2.0, rtol=1e-14)
        assert jax.vmap(jax.grad(g))(np.full(3, x)).dtype == np.float64


def test_a_power_far_beyond_the_range_keeps_its_sign_and_its_size():
    def f(x, n):
        return jnp.power(x, n)

    g = far_reaching(lambda x, n: jnp.power(x, n) / jnp.power(x, n - 1))
    x = np.array([0.8, 1.9, -1e30, -1e30], np.float32)
    n = np.array([1000.0, 2000.0, 3.0, 4.0], np.float32)
    assert not np.isfinite(f(x, n) / f(x, n - 1)).any()
    # 2000 log2(1.9) rounds by 2^-13 of its last place before the point.
    np.testing.assert_allclose(jax.jit(g)(x, n), x, rtol=2000 * EPS)
    assert np.isnan(far_reaching(f)(np.float32(-1e30), np.float32(2.5)))
