"""Programs in twofold arithmetic: what cancels survives, structure and dtype stay, derivatives too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb, ctx

from karush.arithmetic.twofold import TwofoldProgram, compensated
from karush.core.errors import TraceError
from karush.core.precision import float64

TRUTH_BITS = 3000
"""precision of the exact values: 1 - cos x of the least x cancels 2100 bits in float64"""


EPS = float(np.finfo(np.float32).eps)


def exact(truth, x):
    with ctx.workprec(TRUTH_BITS):
        return np.array([float(truth(arb(float(value))).mid()) for value in x])


def magnitudes(low, high, count=200, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.choice([-1.0, 1.0], count) * np.exp2(rng.uniform(low, high, count))).astype(np.float32)


CANCELLING = {
    "1 - cos x": (lambda x: 1 - jnp.cos(x), lambda x: 1 - x.cos(), magnitudes(-60, 2)),
    "exp x - 1": (lambda x: jnp.exp(x) - 1, lambda x: x.exp() - 1, magnitudes(-120, 6)),
    "sqrt(1 + x) - 1": (lambda x: jnp.sqrt(1 + x) - 1, lambda x: (1 + x).sqrt() - 1, magnitudes(-100, -0.1)),
    "log(1 + x)": (lambda x: jnp.log(1 + x), lambda x: (1 + x).log(), magnitudes(-120, -0.1)),
    "x - sin x": (lambda x: x - jnp.sin(x), lambda x: x - x.sin(), magnitudes(-35, 3)),
    "x - tan x": (lambda x: x - jnp.tan(x), lambda x: x - x.tan(), magnitudes(-35, 0.5)),
    "1 - tanh x": (lambda x: 1 - jnp.tanh(x), lambda x: 1 - x.tanh(), np.abs(magnitudes(-20, 5))),
    "acos(1 - x)": (lambda x: jnp.arccos(1 - x), lambda x: (1 - x).acos(), np.abs(magnitudes(-90, 0.9))),
    "(1 + x)^5 - 1": (lambda x: (1 + x) ** 5 - 1, lambda x: (1 + x) ** 5 - 1, magnitudes(-120, 3)),
    "x² - (x + 1)(x - 1)": (
        lambda x: x * x - (x + 1) * (x - 1),
        lambda x: x * x - (x + 1) * (x - 1),
        magnitudes(-8, 10),
    ),
}


@pytest.mark.parametrize("name", CANCELLING)
def test_what_cancels_survives_for_every_magnitude(name):
    f, truth, x = CANCELLING[name]
    result = np.asarray(jax.vmap(compensated(f))(x))
    assert result.dtype == np.float32
    # Half an ulp of rounding, and what 2p digits leave of a remainder of size 2^-p: measured at most 2.8.
    np.testing.assert_allclose(result, exact(truth, x), rtol=4 * EPS)


BEYOND = {
    "(1 - cos x)/x²": (lambda x: (1 - jnp.cos(x)) / x**2, lambda x: (1 - x.cos()) / x**2, magnitudes(-126, 3)),
    "exp x - 2 + exp -x over x²": (
        lambda x: (jnp.exp(x) - 2 + jnp.exp(-x)) / (x * x),
        lambda x: (x.exp() - 2 + (-x).exp()) / (x * x),
        magnitudes(-120, 6.4),
    ),
    "exp x over exp x + 1": (
        lambda x: jnp.exp(x) / (jnp.exp(x) + 1),
        lambda x: x.exp() / (x.exp() + 1),
        np.abs(magnitudes(-20, 11)),
    ),
    "sqrt(x² + 1)/x": (lambda x: jnp.sqrt(x * x + 1) / x, lambda x: (x * x + 1).sqrt() / x, magnitudes(-120, 120)),
}


@pytest.mark.parametrize("name", BEYOND)
def test_wide_numbers_neither_overflow_nor_vanish_on_the_way(name):
    f, truth, x = BEYOND[name]
    result = np.asarray(jax.vmap(compensated(f, wide=True))(x))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, exact(truth, x), rtol=EPS)


def test_a_constant_is_not_folded_into_a_neighbouring_sum():
    tiny = np.float32(1e-20)
    function = compensated(lambda x: ((x + 3.0) - 3.0) / 3.0)
    assert float(function(tiny)) == pytest.approx(float(tiny) / 3, rel=EPS)
    assert float(jax.jit(lambda x: function(x) * 1.0)(tiny)) == pytest.approx(float(tiny) / 3, rel=EPS)


def test_sums_and_products_of_arrays_are_compensated():
    rng = np.random.default_rng(1)
    large = (rng.standard_normal(60) * np.exp2(rng.uniform(0, 20, 60))).astype(np.float32)
    small = rng.standard_normal(60).astype(np.float32)
    x = np.concatenate([large, small, -large])[rng.permutation(180)]
    y = rng.standard_normal(180).astype(np.float32)
    # Of the exact sum of sizes, 2^-2p; the result is one rounding away from the truth.
    total = np.sum(x.astype(np.float64))
    assert float(compensated(jnp.sum)(x)) == pytest.approx(
        float(total), rel=EPS, abs=float(EPS**2 * np.abs(x).sum() * 16)
    )
    dot = np.dot(x.astype(np.float64), y.astype(np.float64))
    assert float(compensated(jnp.dot)(x, y)) == pytest.approx(
        float(dot), rel=EPS, abs=float(EPS**2 * np.abs(x * y).sum() * 16)
    )
    running = np.asarray(compensated(jnp.cumsum)(x))
    np.testing.assert_allclose(running, np.cumsum(x.astype(np.float64)), rtol=EPS, atol=EPS**2 * np.abs(x).sum() * 16)
    shifted = (1e4 + small).astype(np.float32)
    assert float(compensated(jnp.var)(shifted)) == pytest.approx(float(np.var(shifted.astype(np.float64))), rel=EPS)


def structured(tree):
    """Something of everything: loops, branches, sorting, integers, gathers."""
    x, k = tree["x"], tree["k"]
    loop = jax.lax.fori_loop(0, 3, lambda i, c: c * x[0] + i, x[1])
    carry, rows = jax.lax.scan(lambda c, t: (c * t + 1, c), x[0], x)
    best = jnp.argmax(x)
    branch = jax.lax.cond(x[0] > 1, lambda v: v * 2, lambda v: v / 2, x[2])
    ended = jax.lax.while_loop(lambda c: c < 50, lambda c: c * 2, x[0])
    parts = jnp.where(x > 1, jnp.floor(x), jnp.round(x)), jnp.sort(x), x[k], jnp.maximum(x, 1.5), jnp.sign(-x)
    return {
        "sum": loop + carry + branch + ended,
        "rows": rows,
        "parts": parts,
        "best": best,
        "at": jnp.asarray(x).at[k].add(1.0),
    }


@pytest.mark.parametrize("wide", [False, True])
def test_structure_dtype_and_integers_are_those_of_the_program(wide):
    tree = {"x": np.array([1.25, 0.5, 3.0, 2.5], np.float32), "k": np.array([2, 0], np.int32)}
    if wide:
        expected, got = (run(tree["x"]) for run in (loops, compensated(loops, wide=True)))
    else:
        expected, got = (run(tree) for run in (structured, compensated(structured)))
    assert jax.tree_util.tree_structure(expected) == jax.tree_util.tree_structure(got)
    for a, b in zip(jax.tree_util.tree_leaves(expected), jax.tree_util.tree_leaves(got), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-6)


def loops(x):
    """What wide numbers pass through: loops, branches, moves."""
    carry, rows = jax.lax.scan(lambda c, t: (c * t + 1, c), x[0], x)
    branch = jax.lax.cond(x[0] > 1, lambda v: v * 2, lambda v: v + 1, x[2])
    return carry + branch + jnp.sum(x[::-1] * x), rows, jnp.where(x > 1, x, 1.0), jnp.max(x), jnp.concatenate([x, x])


def cosine_quotient(x):
    return (1 - jnp.cos(x)) / x**2


def test_derivatives_are_compensated_forwards_and_backwards_and_twice():
    with float64():
        f = compensated(lambda x: jnp.exp(x) - 1 - jnp.sin(x) * x)
        g = compensated(lambda v: jnp.sum(jnp.sqrt(1 + v) - 1))
        x = jnp.asarray(1e-3)
        slope = np.exp(1e-3) - np.sin(1e-3) - 1e-3 * np.cos(1e-3)
        assert float(jax.grad(f)(x)) == pytest.approx(slope, rel=1e-15)
        assert float(jax.jvp(f, (x,), (jnp.ones_like(x),))[1]) == pytest.approx(slope, rel=1e-15)
        bend = np.exp(1e-3) - 2 * np.cos(1e-3) + 1e-3 * np.sin(1e-3)
        assert float(jax.grad(jax.grad(f))(x)) == pytest.approx(bend, rel=1e-12)
        v = jnp.array([1e-9, 0.5, 3.0])
        np.testing.assert_allclose(jax.grad(g)(v), 0.5 / np.sqrt(1 + np.asarray(v)), rtol=1e-15)
        np.testing.assert_allclose(jax.jacfwd(g)(v), jax.jacrev(g)(v), rtol=1e-15)


def test_wide_gradients_survive_second_order_cancellation():
    # The slope is -x/12 + x³/180 - ...; plain float32 answers 1e4 at 1e-4.
    x = np.array([1e-4, 1e-2, 0.5], np.float32)
    wide = x.astype(np.float64)
    slope = np.asarray(jax.vmap(jax.grad(compensated(cosine_quotient, wide=True)))(x))
    # With x² = 1e-8 = 2^-27 lost to cancellation, 48 - 27 digits are left, less the slack of a few operations.
    series = -wide / 12 + wide**3 / 180 - wide**5 / 6720
    np.testing.assert_allclose(slope, series, rtol=2.0**-15)


def test_an_operation_of_plain_accuracy_is_named():
    with float64():
        program = TwofoldProgram(jax.make_jaxpr(lambda x: jax.lax.lgamma(x) + jnp.exp(x))(1.5))
    assert [step.primitive for step in program.plain] == ["lgamma"]


def test_half_precision_and_unknown_primitives_are_refused_by_name():
    with pytest.raises(TraceError, match="float16"):
        compensated(lambda x: x.astype(jnp.float16) * 2)(np.float32(1.0))
    with pytest.raises(TraceError, match="fft"):
        compensated(lambda x: jnp.abs(jnp.fft.fft(x)))(np.ones(4, np.float32))


def test_integers_enter_with_all_their_digits():
    # 2^24 + 1 is no float32.
    k = np.int32(2**24 + 1)
    assert float(compensated(lambda n: n.astype(jnp.float32) - 2.0**24)(k)) == 1.0


def test_wide_odd_functions_keep_arguments_below_the_range():
    wide = compensated(lambda x: jnp.log(jnp.tanh(x * x)) - jnp.log(jnp.arcsin(x * x * x)), wide=True)
    assert abs(float(wide(jnp.float32(1e-25))) + np.log(1e-25)) <= 1e-5
