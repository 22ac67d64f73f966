"""The kernels of `karush.numerics` in walkers of real numbers: what stands for them is true, and encloses tightly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush import numerics
from karush.arithmetic.ball import BallProgram
from karush.arithmetic.interval import IntervalProgram, enter
from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.jaxprs.function import trace
from karush.jaxprs.kinks import kinks
from karush.jaxprs.meaning import KERNELS, meant, same
from karush.jaxprs.primal import primal
from karush.jaxprs.source import function_name
from karush.jaxprs.walk import called, inline

EPS = 2.0**-52
TINY = np.finfo(float).tiny
WEIGHTS = np.array([0.2, 0.5, 0.3])
FIRST_TWO = np.array([True, True, False])

# name of a kernel -> a function of a vector (3,) that calls it, and whether an ulp of the largest entry counts
CALLS = {
    "sum_of": (numerics.compensated_sum, False),
    "dot_of": (lambda x: numerics.compensated_dot(x, WEIGHTS), False),
    "norm_of": (numerics.norm, False),
    "unit_of": (numerics.unit_vector, False),
    "_cosine": (lambda x: numerics.cosine_similarity(x, WEIGHTS), False),
    "centred": (numerics.standardize, False),
    "_variance": (numerics.variance, False),
    "softmax_of": (numerics.softmax, False),
    "log_softmax_of": (numerics.log_softmax, False),
    "logsumexp_of": (numerics.logsumexp, True),
    "_weighted": (lambda x: numerics.logsumexp(x, b=2.0 * WEIGHTS), True),
    "_log_mean_exp": (numerics.log_mean_exp, True),
    "_entropy": (lambda x: numerics.entropy(x), False),
    "_kl": (lambda x: numerics.kl_divergence(x, WEIGHTS), False),
    "_cross": (lambda x: numerics.cross_entropy(x, WEIGHTS), False),
    "_binary": (lambda x: numerics.binary_cross_entropy(x, WEIGHTS), False),
    "log1p_of": (lambda x: numerics.log1p(x), False),
    "expm1_of": (lambda x: numerics.expm1(x), False),
    "sigmoid_of": (lambda x: numerics.sigmoid(x), False),
    "tanh_of": (lambda x: numerics.tanh(x), False),
    "softplus_of": (lambda x: numerics.softplus(x), False),
    "_logaddexp": (lambda x: numerics.logaddexp(x, WEIGHTS), True),
    "_logcosh": (lambda x: numerics.logcosh(x), False),
    "_log_ndtr": (lambda x: numerics.log_ndtr(x), False),
    "_sqrt1pm1": (lambda x: numerics.sqrt1pm1(x), False),
    "_cosm1": (lambda x: numerics.cosm1(x), False),
    "log1pmx_of": (lambda x: numerics.log1pmx(x), False),
    "log1mexp_of": (lambda x: numerics.log1mexp(x), False),
    "_log_sub_exp": (lambda x: numerics.log_sub_exp(2.0 + x, WEIGHTS), True),
    "_powm1": (lambda x: numerics.powm1(x, WEIGHTS), False),
    "_xlogx": (lambda x: numerics.xlogx(x), False),
    "_xlogy": (lambda x: numerics.xlogy(WEIGHTS, x), False),
    "_roots": (lambda x: numerics.quadratic_roots(WEIGHTS, x, -WEIGHTS), False),
    "_distances": (lambda x: numerics.squared_distances(x[None], WEIGHTS[None])[0, 0], False),
}
LOWEST = {"log1p_of": -0.9, "_sqrt1pm1": -0.9, "log1pmx_of": -0.9, "_log_sub_exp": -0.9}
LOWEST |= dict.fromkeys(("log1mexp_of", "_powm1", "_xlogx", "_xlogy"), 0.01)
"""of functions that are not defined everywhere"""
NAMES = [key.partition(" at ")[0] for key in KERNELS]
MASKED = [lambda x: numerics.softmax(x, where=FIRST_TWO), lambda x: numerics.logsumexp(x, where=FIRST_TWO)]
POINTS = [
    [1.0, 2.0, 3.0],
    [0.3, -0.7, 0.1],
    [2.0, 2.0, 2.0 + 2.0**-30],
    [1e-9, -3e-9, 2e-9],
    [-0.25, 30.0, 1e-200],
    [0.5, 0.5, 0.5],
]
EXTREME = ("sum_of", "dot_of", "norm_of", "unit_of", "_cosine", "softmax_of", "log_softmax_of", "softplus_of")
FAR = [[1e200, -3e200, 1e199], [1e-200, 2e-200, -5e-200], [600.0, -600.0, 1e3]]


def traced(f, x):
    """The program of f, and its value in float64, at x (n,)."""
    flat, x = trace(f, np.asarray(x))
    with float64():
        return flat, np.asarray(jax.jit(flat)(x))


def steps(program):
    """Names of the primitives of a program."""
    return [step.primitive for step in program.steps]


def test_every_kernel_is_called_below():
    assert sorted(NAMES) == sorted(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_the_meaning_of_a_kernel_encloses_its_float_value_up_to_rounding(name):
    """1400 bits against float64; a kernel is off by a few ulps, 2⁶ of them at most, and by rounding of its input."""
    f, of_input = CALLS[name]
    points = POINTS + (FAR if name in EXTREME else [])
    points += list(np.random.default_rng(5).normal(size=(6, 3)) * np.geomspace(0.01, 20.0, 6)[:, None])
    points = [np.maximum(x, LOWEST.get(name, -np.inf)) for x in points]
    flat = traced(f, points[0])[0]
    assert name in [function_name(call.jaxpr.debug_info) for call in map(called, flat.closed_jaxpr.eqns) if call]
    assert steps(inline(flat.closed_jaxpr, real=True)) != steps(inline(flat.closed_jaxpr))
    program = BallProgram(flat.closed_jaxpr, precision=1400)
    with float64():
        run = jax.jit(flat)
        for x in points:
            exact = np.array([float(ball) for ball in program(np.asarray(x))[0]])
            size = np.abs(exact) + (np.abs(x).max() if of_input else 0.0)
            assert np.all(np.abs(np.asarray(run(x)) - exact) <= 64 * EPS * size + TINY), x


@pytest.mark.parametrize("f", MASKED)
def test_entries_left_out_by_a_constant_mask_play_no_part(f):
    flat, value = traced(f, POINTS[0])
    assert "abs" not in steps(inline(flat.closed_jaxpr, real=True))
    exact = [float(ball) for ball in BallProgram(flat.closed_jaxpr)(np.array(POINTS[0]))[0]]
    assert np.allclose(value, exact, rtol=8 * EPS, atol=0.0)


TIGHT = [name for name in CALLS if name not in ("log1p_of", "expm1_of", "_sqrt1pm1", "_cosm1", "sigmoid_of")]


@pytest.mark.parametrize("name", TIGHT)
def test_a_small_box_is_enclosed_within_twice_the_range_and_holds_every_sample(name):
    f, _ = CALLS[name]
    middle, radius = np.array([1.0, 2.0, 3.0]), 0.005
    found = karush.enclose(f, karush.Box(middle - radius, middle + radius), budget=1)
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
    samples = middle + radius * np.concatenate([signs, np.random.default_rng(2).uniform(-1, 1, (500, 3))])
    with float64():
        values = np.asarray(jax.jit(jax.vmap(f))(samples))
    low, high = values.min(axis=0), values.max(axis=0)
    slack = 64 * EPS * np.maximum(np.abs(low), np.abs(high))
    assert found.defined
    assert np.all(found.lower <= low + slack)
    assert np.all(found.upper >= high - slack)
    assert np.all(np.asarray(found.upper) - np.asarray(found.lower) <= 2.0 * (high - low))


@pytest.mark.parametrize("name", ["norm_of", "logsumexp_of", "_variance", "_cross", "_weighted"])
def test_what_is_convex_on_paper_is_found_convex(name):
    f, _ = CALLS[name]
    found = karush.convexity(f, karush.Box(np.array([0.9, 1.9, 2.9]), np.array([1.1, 2.1, 3.1])))
    assert found.verdict in ("convex", "strictly convex")


def test_a_lipschitz_constant_of_the_norm_is_nearly_one():
    found = karush.lipschitz(numerics.norm, karush.Box(np.array([1.0, 2.0, 3.0]), np.array([1.1, 2.1, 3.1])))
    assert 1.0 - 4 * EPS <= found.upper < 1.02


def test_a_minimum_of_kernels_is_proved():
    goal = np.array([1.0, -2.0, 0.5])

    def f(x):
        return numerics.logsumexp(x) + numerics.variance(x) + numerics.norm(x - goal) ** 2 + numerics.softplus(x[0])

    problem = karush.Problem(f, np.zeros(3))
    proof = karush.prove(problem, karush.minimize(problem).x)
    assert "minimum" in str(proof), str(proof)


def test_walkers_of_rounded_numbers_see_the_kernel_as_it_is():
    closed = traced(numerics.norm, POINTS[0])[0].closed_jaxpr
    assert {"abs", "select_n"} <= {*steps(inline(closed))}
    assert {"square", "reduce_sum", "sqrt"} >= {*steps(inline(closed, real=True))} - {"reshape"}


def test_the_derivative_for_theorems_is_that_of_the_meaning():
    flat, _ = traced(numerics.logsumexp, POINTS[0])
    run = primal(flat.closed_jaxpr)
    with float64():
        gradient = jax.grad(lambda x: run(x)[0][0])(np.array(POINTS[0]))
        expected = jax.grad(numerics.logsumexp)(np.array(POINTS[0]))
    assert np.allclose(gradient, expected, rtol=32 * EPS, atol=0.0)


@pytest.mark.parametrize("f", [numerics.norm, numerics.softmax, numerics.standardize, numerics.variance])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_kernel_mapped_over_an_axis_keeps_its_meaning_or_is_refused(f, axis):
    """A square matrix, in which an axis taken for the other does not show in the shapes."""
    matrix = np.array([[3.0, 1.0], [4.0, 2.5]])
    flat, value = traced(lambda x: jax.vmap(f, in_axes=axis)(x), matrix)
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        try:
            (found,) = IntervalProgram(flat.closed_jaxpr)(enter(matrix.ravel(), matrix.ravel()))
        except TraceError:
            assert axis == 1
            return
    assert np.all(np.asarray(found.lo) <= value + 8 * EPS)
    assert np.all(np.asarray(found.hi) >= value - 8 * EPS)
    assert np.all(np.asarray(found.hi) - np.asarray(found.lo) <= 256 * EPS)


def test_a_program_under_the_name_of_a_kernel_is_not_taken_for_it():
    def altered(x):
        return jnp.sqrt(jnp.sum(x * x)) * 2.0

    with float64():
        (call,) = jax.make_jaxpr(numerics.norm)(np.ones(3)).eqns
        genuine = call.params["call_jaxpr"]
        forged = jax.make_jaxpr(altered)(np.ones(3))
    named = forged.jaxpr.replace(debug_info=genuine.jaxpr.debug_info)
    assert meant(genuine, lambda place: None) is not None
    assert meant(forged.replace(jaxpr=named), lambda place: None) is None


def test_programs_that_differ_in_one_constant_or_one_operand_are_not_the_same():
    with float64():
        ours, constant, operand = (
            jax.make_jaxpr(f)(1.0, 2.0)
            for f in (lambda a, b: (a - b) * 3.0, lambda a, b: (a - b) * 3.5, lambda a, b: (b - a) * 3.0)
        )
        again = jax.make_jaxpr(lambda c, d: (c - d) * 3.0)(1.0, 2.0)
    assert same(ours, again)
    assert not same(ours, constant)
    assert not same(ours, operand)


def test_a_mask_that_moves_with_x_is_read_step_by_step():
    flat, value = traced(lambda x: numerics.logsumexp(x, where=x > 1.5), POINTS[0])
    assert "abs" in steps(inline(flat.closed_jaxpr, real=True))
    assert np.allclose(value, np.log(np.exp(2.0) + np.exp(3.0)), rtol=8 * EPS)


def test_a_mask_of_integers_is_a_constant_and_one_of_rounded_numbers_is_not():
    """The sine is a rounded number: a theorem must not rest on how a comparison with it came out."""
    for mask, known in ((lambda: jnp.arange(3) < 2, True), (lambda: jnp.sin(jnp.arange(3.0)) > -0.5, False)):
        flat, _ = traced(lambda x, mask=mask: numerics.logsumexp(x, where=mask()), POINTS[0])
        assert ("abs" in steps(inline(flat.closed_jaxpr, real=True))) != known


def test_the_choices_inside_a_kernel_are_no_kinks_of_its_function():
    flat, _ = traced(lambda x: numerics.variance(x) + numerics.cross_entropy(x, WEIGHTS), POINTS[0])
    assert not [kink for kink in kinks(flat.closed_jaxpr) if kink.primitive != "stop_gradient"]
    (zero,) = kinks(traced(numerics.norm, POINTS[0])[0].closed_jaxpr)
    assert zero.primitive == "sqrt"


def test_a_step_of_a_meaning_stands_under_the_line_of_the_user():
    flat, _ = traced(lambda x: numerics.norm(x), POINTS[0])
    places = [step.place for step in inline(flat.closed_jaxpr, real=True).steps if step.primitive == "sqrt"]
    assert [(place.file, place.function) for place in places] == [(__file__, "<lambda>")]
