"""Enclosures hold every value, slopes hold every derivative, and subdivision makes them as narrow as asked."""

import math
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from test_ball import SMOOTH, derivatives
from test_interval import corners_and_inside, holds

import karush
from karush.arithmetic.ball import BallProgram
from karush.arithmetic.interval import enter
from karush.arithmetic.interval_jet_rules import JetProgram
from karush.arithmetic.interval_margins import label
from karush.core.errors import OptionError, PrecisionError, ProblemError, TraceError
from karush.core.precision import float64

pytestmark = pytest.mark.user_style
WITH_SLOPES = [
    "polynomial",
    "negative power",
    "power",
    "exp log",
    "trigonometric",
    "inverse trigonometric",
    "hyperbolic",
    "roots",
    "sigmoid",
    "norm",
    "batched product",
    "scatter",
    "scan",
    "where",
    "abs max",
]
EPS = np.finfo(float).eps


@pytest.mark.parametrize("name", WITH_SLOPES)
def test_first_and_second_slopes_on_a_box_hold_the_exact_derivatives_at_its_points(name):
    function, low, high = SMOOTH[name]
    lower = low + (high - low) * np.array([0.1, 0.3, 0.2])
    upper = lower + 0.05 * (high - low)

    def flat(x):
        return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(function(x))])

    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        program = JetProgram(jax.make_jaxpr(flat)(lower), second=True)
        outs = jax.tree.map(np.asarray, jax.jit(lambda lo, hi: program(enter(lo, hi)))(lower, upper))
        exact = BallProgram(jax.make_jaxpr(derivatives(function))(lower), precision=160)
    for x in corners_and_inside(lower, upper, 2):
        value, first, second = exact(x)
        assert holds(outs[0], value)
        assert holds(outs[1], np.moveaxis(first, -1, 0))
        assert holds(outs[2], np.moveaxis(second, (-2, -1), (0, 1)))


def test_slopes_across_a_kink_are_clarkes_and_across_a_jump_unbounded():
    with float64():
        lower, upper = jnp.array([-1.0]), jnp.array([2.0])
        for function, ends in (
            (jnp.abs, (-1.0, 1.0)),
            (lambda x: jnp.maximum(x, 0.0), (0.0, 1.0)),
            (lambda x: jnp.where(x > 0.0, x, x - 1.0), (-math.inf, math.inf)),
            (jnp.floor, (-math.inf, math.inf)),
        ):
            slope = JetProgram(jax.make_jaxpr(function)(lower))(enter(lower, upper))[1]
            found = float(slope.lo[0, 0]), float(slope.hi[0, 0])
            assert found == pytest.approx(ends, abs=4.0 * EPS)
            assert found[0] <= ends[0] <= ends[1] <= found[1]


RANGES = {
    "x (1 - x)": (lambda x: x * (1.0 - x), 0.0, 1.0, 0.0, 0.25),
    "x - x": (lambda x: x - x, -1.0, 1.0, 0.0, 0.0),
    "sin on three turns": (lambda x: jnp.sin(x), 0.0, 19.0, -1.0, 1.0),
    "monotone": (lambda x: x**3 + x, -1.0, 2.0, -2.0, 10.0),
    "x exp(-x)": (lambda x: x * jnp.exp(-x), 0.0, 4.0, 0.0, math.exp(-1.0)),
    "a kink": (lambda x: jnp.abs(x - 0.3) - 0.5 * x, 0.0, 1.0, -0.15, 0.3),
    "a jump": (lambda x: jnp.where(x > 0.3, 1.0, x), 0.0, 1.0, 0.0, 1.0),
    "a loop": (lambda x: lax.fori_loop(0, 5, lambda i, c: 0.5 * c * (3.0 - c), x), 0.5, 1.5, 0.5, 1.0),
}


@pytest.mark.parametrize("name", RANGES)
def test_the_enclosure_meets_the_true_range_within_the_slack(name):
    function, low, high, least, most = RANGES[name]
    found = karush.enclose(function, karush.Box(low, high), width=1e-2)
    if name == "a loop":
        values = np.array([float(function(jnp.asarray(x))) for x in np.linspace(low, high, 201)])
        least, most = float(values.min()) + 1e-6, float(values.max()) - 1e-6
    assert found.lower <= least
    assert most <= found.upper
    assert found.defined
    assert found.lower >= least - 2e-2
    assert found.upper <= most + 2e-2
    assert found.lower <= found.attained[0]
    assert found.attained[1] <= found.upper


def goldstein_price(x):
    a = 1 + (x[0] + x[1] + 1) ** 2 * (19 - 14 * x[0] + 3 * x[0] ** 2 - 14 * x[1] + 6 * x[0] * x[1] + 3 * x[1] ** 2)
    b = 30 + (2 * x[0] - 3 * x[1]) ** 2 * (
        18 - 32 * x[0] + 12 * x[0] ** 2 + 48 * x[1] - 36 * x[0] * x[1] + 27 * x[1] ** 2
    )
    return a * b


def test_subdivision_narrows_what_the_natural_form_blows_up():
    box = karush.Box.around(np.array([0.4, -0.6]), 0.1)
    natural = karush.enclose(goldstein_price, box, budget=1)
    found = karush.enclose(goldstein_price, box)
    low, high = box.flat()
    xs = np.random.default_rng(0).uniform(low, high, (2000, 2))
    with float64():
        values = np.asarray(jax.vmap(goldstein_price)(jnp.asarray(xs)))
    rounding = 100.0 * EPS * np.abs(values)
    assert np.all(found.lower <= values + rounding)
    assert np.all(values - rounding <= found.upper)
    assert found.upper - found.lower <= 1.05 * (values.max() - values.min())
    assert found.upper - found.lower <= (natural.upper - natural.lower) / 2.0
    assert natural.boxes == 1


def test_outputs_and_inputs_keep_their_structure():
    box = karush.Box({"a": 0.0, "b": np.array([1.0, 2.0])}, {"a": 1.0, "b": np.array([1.5, 2.5])})
    found = karush.enclose(lambda x: {"sum": x["a"] + jnp.sum(x["b"]), "product": x["a"] * x["b"]}, box)
    assert found.lower["sum"] == pytest.approx(3.0)
    assert found.upper["sum"] == pytest.approx(5.0)
    assert found.upper["product"] == pytest.approx([1.5, 2.5])
    assert found.label == label()


def test_a_function_that_leaves_its_domain_is_not_defined_and_the_ends_hold_the_rest():
    found = karush.enclose(jnp.log, karush.Box(-1.0, 2.0), budget=64)
    assert not found.defined
    assert found.lower == -math.inf
    assert found.upper >= math.log(2.0)
    assert "undefined" in str(found)


def test_an_unbounded_box_is_enclosed_without_subdivision():
    found = karush.enclose(lambda x: jnp.tanh(x) + 2.0, karush.Box(-math.inf, math.inf))
    assert (found.lower, found.boxes) == (pytest.approx(1.0), 1)
    assert found.upper == pytest.approx(3.0)


def test_a_primitive_with_values_but_no_slopes_is_enclosed_by_the_natural_form():
    found = karush.enclose(lambda x: jnp.prod(x), karush.Box(np.ones(3), np.array([2.0, 2.0, 3.0])))
    assert found.lower == pytest.approx(1.0)
    assert found.upper == pytest.approx(12.0)


def test_a_point_is_enclosed_within_rounding():
    found = karush.enclose(lambda x: jnp.sin(x) * 3.0, karush.Box(0.5, 0.5))
    assert found.lower < 3.0 * math.sin(0.5) < found.upper
    assert found.upper - found.lower <= 32 * EPS


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: karush.Box(1.0, 0.0), ProblemError, "lower <= upper"),
        (lambda: karush.Box(np.array([0.0, math.nan]), np.ones(2)), ProblemError, r"x\[1\]"),
        (lambda: karush.Box(np.array([0, 1]), np.array([1, 2])), ProblemError, "int"),
        (lambda: karush.Box(np.zeros(2), np.ones(3)), ProblemError, "shape"),
        (lambda: karush.Box({"a": 0.0}, [1.0]), ProblemError, "structure"),
        (lambda: karush.Box.around(0.0, -1.0), ProblemError, "radius"),
        (lambda: karush.enclose(jnp.sin, cast("karush.Box", (0.0, 1.0))), ProblemError, "karush.Box"),
        (lambda: karush.enclose(jnp.sin, karush.Box(0.0, 1.0), budget=0), OptionError, "budget"),
        (lambda: karush.enclose(jnp.sin, karush.Box(0.0, 1.0), width=-1.0), OptionError, "width"),
        (lambda: karush.enclose(lambda x: x.astype(jnp.float32), karush.Box(0.0, 1.0)), PrecisionError, "float32"),
        (lambda: karush.enclose(lambda x: lax.bessel_i1e(x), karush.Box(1.0, 2.0)), TraceError, "bessel_i1e"),
    ],
)
def test_bad_input_is_an_error_that_says_what(make, error, said):
    with pytest.raises(error, match=said):
        make()
