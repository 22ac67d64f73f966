"""Smoothness constants with known answers, softmax and log-sum-exp, and the step that never rises."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.arithmetic.interval_numbers import enter
from karush.bounds.box import traced_on
from karush.bounds.shifts import FoldedJets
from karush.core.precision import float64

pytestmark = pytest.mark.user_style
EPS = np.finfo(float).eps
GENERATOR = np.random.default_rng(0)
A = GENERATOR.normal(size=(12, 6))
Y = np.sign(GENERATOR.normal(size=12))
Q = A.T @ A
NORM = np.linalg.norm(A, 2) ** 2
SIX = karush.Box(-np.ones(6), np.ones(6))
TWO = karush.Box(-2.0 * np.ones(2), 2.0 * np.ones(2))
SMOOTH = {
    "quadratic": (lambda x: 0.5 * x @ (Q @ x), SIX, NORM),
    "least squares": (lambda x: 0.5 * jnp.sum((A @ x - Y) ** 2), SIX, NORM),
    "logistic": (lambda x: jnp.sum(jnp.logaddexp(0.0, -Y * (A @ x))), SIX, NORM / 4.0),
    "softplus": (lambda x: jnp.sum(jax.nn.softplus(A @ x)), SIX, NORM / 4.0),
    "ridge": (lambda x: jnp.mean((A @ x - Y) ** 2) + 0.1 * jnp.sum(x**2), SIX, NORM / 6.0 + 0.2),
    "log-sum-exp": (jax.nn.logsumexp, TWO, 0.5),
    "log-sum-exp without a shift": (lambda x: jnp.log(jnp.sum(jnp.exp(x))), TWO, 0.5),
}


@functools.cache
def smoothness(name):
    function, box, _ = SMOOTH[name]
    return karush.lipschitz(function, box, of="gradient")


@pytest.mark.parametrize("name", SMOOTH)
def test_a_known_constant_of_the_gradient_is_bounded_within_a_tenth(name):
    true, found = SMOOTH[name][2], smoothness(name)
    assert found.lower <= true * (1.0 + 64 * EPS)
    assert true * (1.0 - 64 * EPS) <= found.upper <= 1.1 * true


def test_many_variables_need_no_halving():
    wide = np.random.default_rng(1).normal(size=(20, 30))
    found = karush.lipschitz(
        lambda x: jnp.sum(jnp.logaddexp(wide @ x, 0.0)), karush.Box(-np.ones(30), np.ones(30)), of="gradient"
    )
    assert found.boxes == 1
    assert found.upper <= np.linalg.norm(wide, 2) ** 2 / 4.0 * 1.0001


@pytest.mark.parametrize("name", ["logistic", "log-sum-exp"])
def test_a_step_of_gradient_descent_never_rises(name):
    function, box, _ = SMOOTH[name]
    step = smoothness(name).step
    low, high = box.flat()
    x = np.random.default_rng(2).uniform(low, high, (20000, low.size))
    with float64():
        both = jax.jit(jax.vmap(jax.value_and_grad(function)))
        value, slope = (np.asarray(part) for part in both(x))
        after = x - step * slope
        inside = np.all((after >= low) & (after <= high), axis=1)
        later = np.asarray(both(after)[0])
    assert inside.sum() > 1000
    assert np.all(later[inside] <= value[inside] + 64 * EPS * np.abs(value[inside]))


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_softmax_is_half_as_steep_as_its_scale(scale):
    found = karush.lipschitz(lambda x: jax.nn.softmax(scale * x), TWO)
    assert found.lower <= scale / 2.0 * (1.0 + 16 * EPS)
    assert scale / 2.0 * (1.0 - 16 * EPS) <= found.upper <= 1.05 * scale / 2.0


def manual(x):
    z = jnp.exp(x - jnp.max(x))
    return z / jnp.sum(z)


FOLDED = {
    "softmax": (jax.nn.softmax, True),
    "softmax by hand": (manual, True),
    "softmax without a shift": (lambda x: jnp.exp(x) / jnp.exp(x).sum(), False),
    "log-sum-exp of affine maps": (lambda x: jax.nn.logsumexp(A[:4, :3] @ x)[None], True),
    "its square": (lambda x: jax.nn.logsumexp(x**2, keepdims=True), True),
    "the sum of another vector": (lambda x: jnp.exp(x) / jnp.sum(jnp.exp(2.0 * x)), False),
    "the maximum of another vector": (
        lambda x: jnp.log(jnp.sum(jnp.exp(x - jnp.max(2.0 * x))))[None] + jnp.max(x),
        False,
    ),
}


@pytest.mark.parametrize("name", FOLDED)
@pytest.mark.parametrize("radius", [1e-3, 1.5])
def test_folded_programs_enclose_values_and_both_derivatives(name, radius):
    function, folded = FOLDED[name]
    middle = np.array([0.3, -0.5, 0.1])
    flat, low, high = traced_on(function, karush.Box(middle - radius, middle + radius))
    x = np.random.default_rng(3).uniform(low, high, (200, 3))
    x = np.concatenate([x, [low, high, middle]])
    with float64(), jax.numpy_rank_promotion("allow"):
        program = FoldedJets(flat.closed_jaxpr, second=True)
        names = {step.primitive for step in program.program.steps}
        found = jax.jit(lambda a, b: program(enter(a, b)))(low, high)
        true = [jax.vmap(f)(x) for f in (function, jax.jacfwd(function), jax.jacfwd(jax.jacfwd(function)))]
    if folded:
        assert names & {"softmax", "logsumexp"}
        assert "exp" not in names
    for part, value in zip(found, true, strict=True):
        inside = np.moveaxis(np.asarray(value), 1, -1)
        slack = 1024 * EPS * max(1.0, float(np.abs(inside).max()))
        assert np.all(np.asarray(part.lo) <= inside + slack)
        assert np.all(np.asarray(part.hi) >= inside - slack)
        if folded:
            assert np.all(np.isfinite(np.asarray(part.lo)))


def test_the_bound_of_the_order_is_used_for_one_layer_only():
    # Two layers: entry by entry, still bounded.
    found = karush.lipschitz(
        lambda x: jnp.sum(jnp.tanh(jnp.tanh(x))), karush.Box(-np.ones(2), np.ones(2)), of="gradient", ratio=1.2
    )
    assert 0.0 < found.lower <= found.upper < math.inf
