"""Intervals inside XLA hold the exact value at every point of the box, as Arb computes it."""

import math

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np
import pytest
from flint import arb, ctx
from jax import lax
from test_ball import SMOOTH

from karush.arithmetic import interval, interval_functions, interval_numbers, interval_special
from karush.arithmetic.ball import BallProgram
from karush.arithmetic.interval import Interval, IntervalProgram, enter
from karush.arithmetic.interval_calibration import error, points, truth
from karush.arithmetic.interval_margins import CORRECT, MARGINS, MEASURED, label
from karush.arithmetic.interval_points import FUNCTIONS
from karush.core.errors import PrecisionError, TraceError
from karush.core.precision import float64

pytestmark = pytest.mark.user_style
TINY = interval_numbers.LEAST_NORMAL
REFUSED: frozenset[str] = frozenset()
"""programs of the tests of ball arithmetic with a primitive that intervals have no rule for"""
ELEMENTARY = {
    **interval_functions.UNARY,
    **interval_special.UNARY,
    **{f"polygamma {m}": (lambda a, m=m: interval_special.polygamma_of(m, a)) for m in (1, 2, 3)},
}
"""name -> function of an interval"""
PROGRAMS = {name: case for name, case in SMOOTH.items() if name not in REFUSED}


def enclosed(function, lower, upper):
    """Enclosure of every output of `function` on a box, in one jit with default options, and the traced program."""
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        closed = jax.make_jaxpr(function)(jnp.asarray(lower))
        program = IntervalProgram(closed)
        outs = jax.jit(lambda lo, hi: program(enter(lo, hi)))(lower, upper)
        return jax.tree.map(np.asarray, outs), closed


def holds(out, exact):
    """Whether an interval holds every ball of an array of balls, ends and all."""
    lo, hi = np.asarray(out.lo, dtype=object), np.asarray(out.hi, dtype=object)
    with ctx.workprec(256):
        return all(
            (low == -math.inf or arb(low) <= ball.upper()) and (high == math.inf or ball.lower() <= arb(high))
            for low, high, ball in zip(lo.flat, hi.flat, exact.flat, strict=True)
        )


def corners_and_inside(lower, upper, count, seed=0):
    generator = np.random.default_rng(seed)
    mask = generator.integers(0, 2, (count // 2, lower.size))
    return [lower, upper, *np.where(mask, lower, upper), *generator.uniform(lower, upper, (count, lower.size))]


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("width", [0.0, 1e-9, 0.1])
def test_the_enclosure_of_a_program_holds_the_exact_value_at_points_of_the_box(name, width):
    function, low, high = PROGRAMS[name]
    lower = low + (high - low) * np.array([0.1, 0.3, 0.2])
    upper = lower + width * (high - low)
    outs, closed = enclosed(function, lower, upper)
    exact = BallProgram(closed, precision=160)
    for x in corners_and_inside(lower, upper, 6):
        for out, value in zip(outs, exact(x), strict=True):
            assert out.ok is None or np.all(out.ok)
            assert holds(out, value), (name, x)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_encloses_its_values_in_a_users_own_jit_and_one_at_a_time(name):
    x = np.sort(points(name, 400, seed=5))
    lower, upper = x[:-1], x[1:]
    rule = ELEMENTARY[name]
    with float64():
        wide = jax.jit(lambda lo, hi: rule(Interval(lo, hi)))(lower, upper)
        thin = jax.jit(lambda x: lax.map(lambda x: rule(Interval(x, x)), x))(x)
    with ctx.workprec(128):
        exact = np.array([truth(name, at) for at in x.tolist()], dtype=object)
    finite = np.array([ball.is_finite() for ball in exact])
    for out, values, known in ((thin, exact, finite), (wide, exact[:-1], finite[:-1]), (wide, exact[1:], finite[1:])):
        assert holds(Interval(np.asarray(out.lo)[known], np.asarray(out.hi)[known]), values[known]), name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_margin_of_a_function_is_twice_its_error_on_this_machine(name):
    if label() != "calibrated":
        pytest.skip("this build was not calibrated")
    measured, place = error(name, points(name, 3000, seed=11))
    assert measured <= MEASURED[name], place
    # What is rounded correctly is at most half an ulp off: there the margin is that, and no more.
    assert (measured <= 0.5) if name in CORRECT else (2.0 * MEASURED[name] <= MARGINS[name])


def test_what_the_simplifier_does_to_real_programs_leaves_enclosures_sound():
    third = 3.0
    functions = {
        "division by a constant": lambda x: x / third / 7.0,
        "sums of constants": lambda x: (x + 1e16) - 1e16,
        "log of exp": lambda x: jnp.log(jnp.exp(x)),
        "product of exps": lambda x: jnp.exp(x) * jnp.exp(300.0 * x) * jnp.exp(-x),
        "root of a square": lambda x: jnp.sqrt(x * x),
        "one plus minus one": lambda x: (1.0 + x) - 1.0,
        "product minus itself": lambda x: x * 0.1 - (x * 0.1) * (1.0 + 1e-16),
    }
    x = np.random.default_rng(3).uniform(0.5, 2.0, 2000)
    for name, function in functions.items():
        outs, closed = enclosed(function, x, x)
        assert holds(outs[0], BallProgram(closed, precision=160)(x)[0]), name


def test_flushed_subnormals_are_inside():
    x = np.array([TINY, 1.5 * TINY, 1e-160, 3e-155, 1e-300, 5e-324, 1e-310, -1e-310])
    for function in (lambda x: x * x, lambda x: x - 0.75 * x, lambda x: (x / 4.0) * 1e300, lambda x: x * 1e-10 + x):
        outs, closed = enclosed(function, x, x)
        assert holds(outs[0], BallProgram(closed, precision=1200)(x)[0])
    outs, closed = enclosed(lambda x: (x + 1e-310) * 1e305, x, x)
    assert holds(outs[0], BallProgram(closed, precision=1200)(x)[0])


@pytest.mark.parametrize(
    ("function", "low", "high", "lo", "hi"),
    [
        (jnp.log, -1.0, 2.0, -math.inf, math.log(2.0)),
        (jnp.sqrt, -1.0, 4.0, 0.0, 2.0),
        (lambda x: 1.0 / x, -1.0, 1.0, -math.inf, math.inf),
        (jnp.tan, 1.0, 2.0, -math.inf, math.inf),
        (jnp.arcsin, 0.5, 1.5, math.asin(0.5), math.pi / 2),
        (jnp.log1p, -2.0, 0.0, -math.inf, 0.0),
        (lambda x: x**0.5, -1.0, 1.0, -math.inf, math.inf),
        (jnp.arctanh, 0.0, 1.0, -math.inf, math.inf),
    ],
)
def test_a_box_that_leaves_the_domain_has_its_whole_range_and_is_not_defined(function, low, high, lo, hi):
    (out,), _ = enclosed(function, np.array([low]), np.array([high]))
    assert not out.ok[0]
    assert out.lo[0] <= lo
    assert out.hi[0] >= hi
    assert out.lo[0] == pytest.approx(lo, abs=1e-12)
    assert out.hi[0] == pytest.approx(hi, abs=1e-12)


def test_unbounded_boxes_and_overflow_have_unbounded_enclosures():
    unbounded = np.array([-math.inf]), np.array([math.inf])
    for function, lo, hi in ((jnp.exp, 0.0, math.inf), (jnp.tanh, -1.0, 1.0), (jnp.sin, -1.0, 1.0)):
        (out,), _ = enclosed(function, *unbounded)
        assert (out.lo[0], out.hi[0]) == (lo, hi)
        assert out.ok is None or out.ok[0]
    (out,), _ = enclosed(lambda x: jnp.exp(x) - jnp.exp(x), np.array([700.0]), np.array([800.0]))
    assert (out.lo[0], out.hi[0]) == (-math.inf, math.inf)


def test_a_nan_end_is_no_end():
    (out,), _ = enclosed(lambda x: x + 1.0, np.array([math.nan]), np.array([1.0]))
    assert out.lo[0] == -math.inf
    assert out.hi[0] >= 2.0


def test_undecided_choices_are_joined_and_decided_ones_are_not():
    step = lambda x: jnp.where(x > 0.0, 1.0 + x, -1.0)  # noqa: E731
    (out,), _ = enclosed(step, np.array([-1.0, 1.0, -2.0]), np.array([1.0, 2.0, -1.0]))
    assert out.lo[0] == -1.0
    assert 2.0 <= out.hi[0] <= 2.0 + 1e-15
    assert out.lo[1] == pytest.approx(2.0)
    assert out.hi[1] == pytest.approx(3.0)
    assert out.lo[2] == out.hi[2] == -1.0
    (out,), _ = enclosed(lambda x: lax.cond(x[0] > 0.0, jnp.sin, jnp.cos, x), np.array([-0.1]), np.array([0.1]))
    assert out.lo[0] <= 0.0
    assert out.hi[0] == 1.0


def test_vmap_over_boxes_equals_one_box_at_a_time():
    def function(x):
        return jnp.sum(jnp.tanh(x) * x[0]) + special.logsumexp(x)

    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        program = IntervalProgram(jax.make_jaxpr(function)(jnp.zeros(3)))

        def run(lo, hi):
            return program(enter(lo, hi))[0][:2]

        centre = np.random.default_rng(0).normal(size=(50, 3))
        many = jax.jit(jax.vmap(run))(centre - 0.1, centre + 0.1)
        one = [jax.jit(run)(c - 0.1, c + 0.1) for c in centre]
    # The two programs are compiled differently; both enclose, and differ by rounding only.
    np.testing.assert_allclose(np.stack(many, 1), np.array(one), rtol=2000 * interval_numbers.EPS)


@pytest.mark.parametrize(
    ("function", "primitive"),
    [(special.i0e, "bessel_i0e"), (lambda x: jnp.nextafter(x, x + 1.0), "nextafter")],
)
def test_a_primitive_without_a_rule_is_an_error_with_its_name_and_line(function, primitive):
    with pytest.raises(TraceError, match=primitive) as caught:
        enclosed(function, np.array([0.5]), np.array([0.6]))
    assert "test_interval.py" in str(caught.value) or primitive != "nextafter"


def _broken(name):
    """A rule table entry that is wrong in a way a hand might have written it."""
    table = {
        "add": lambda a, b: Interval(a.lo + b.lo, a.hi + b.hi),
        "sub": lambda a, b: Interval(a.lo - b.lo, a.hi - b.hi),
        "mul": lambda a, b: Interval(a.lo * b.lo, a.hi * b.hi),
        "div": lambda a, b: Interval(a.lo / b.hi, a.hi / b.lo),
        "exp": lambda a: Interval(jnp.exp(a.lo), jnp.exp(a.hi)),
        "log": lambda a: Interval(jnp.log(a.lo), jnp.log(a.hi)),
        "sin": lambda a: Interval(jnp.minimum(jnp.sin(a.lo), jnp.sin(a.hi)), jnp.maximum(jnp.sin(a.lo), jnp.sin(a.hi))),
        "cos": lambda a: Interval(jnp.cos(a.lo), jnp.cos(a.hi)),
        "tanh": lambda a: Interval(jnp.tanh(a.lo), jnp.tanh(a.hi)),
        "sqrt": lambda a: Interval(jnp.sqrt(a.lo), jnp.sqrt(a.hi)),
        "abs": lambda a: Interval(jnp.abs(a.lo), jnp.abs(a.hi)),
        "neg": lambda a: Interval(-a.lo, -a.hi),
        "square": lambda a: Interval(a.lo * a.lo, a.hi * a.hi),
    }
    return table[name]


PROBES = {
    "add": lambda x: x + 0.1,
    "sub": lambda x: x - x[::-1],
    "mul": lambda x: x * x[::-1],
    "div": lambda x: x / (x[::-1] + 10.0),
    "exp": jnp.exp,
    "log": lambda x: jnp.log(x + 4.0),
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tanh": jnp.tanh,
    "sqrt": lambda x: jnp.sqrt(x + 4.0),
    "abs": jnp.abs,
    "neg": jnp.negative,
    "square": jnp.square,
}


@pytest.mark.parametrize("name", PROBES)
def test_a_broken_rule_is_caught(name, monkeypatch):
    generator = np.random.default_rng(1)
    centre = generator.uniform(-3.0, 3.0, 200)
    boxes = [(centre - r, centre + r) for r in (0.0, 1e-3, 1.0)]
    function = PROBES[name]

    def violated():
        for lower, upper in boxes:
            (out,), closed = enclosed(function, lower, upper)
            exact = BallProgram(closed, precision=128)
            inside = [lower, upper, *generator.uniform(lower, upper, (6, lower.size))]
            if not all(holds(out, exact(x)[0]) for x in inside):
                return True
        return False

    assert not violated()
    wrong = _broken(name)
    monkeypatch.setitem(interval.PROGRAM_RULES, name, interval.guarded(lambda step, *operands: (wrong(*operands),)))
    assert violated()


def test_across_kinks_and_jumps_every_value_is_held():
    kinked = (jnp.abs, jnp.sign, jnp.floor, jnp.ceil, jnp.round, jnp.sort, jax.nn.relu, jnp.max, jnp.cumsum)
    lower, upper = np.array([-0.6, -0.2, 0.3]), np.array([0.2, 0.9, 1.7])
    for function in kinked:
        outs, _ = enclosed(function, lower, upper)
        for x in corners_and_inside(lower, upper, 8):
            with float64():
                value = np.asarray(function(jnp.asarray(x)))
            slack = 4.0 * interval_numbers.EPS * np.abs(value)
            assert np.all(outs[0].lo <= value + slack), function
            assert np.all(value - slack <= outs[0].hi), function


def test_constants_that_are_no_normal_numbers_are_held():
    with float64():
        lifted = jax.tree.map(np.asarray, interval_numbers.lift(np.array([1e-310, -1e-310, math.inf, 0.5])))
    assert np.array_equal(lifted.lo, [0.0, -TINY, -math.inf, 0.5])
    assert np.array_equal(lifted.hi, [TINY, 0.0, math.inf, 0.5])
    assert list(lifted.ok) == [True, True, False, True]


def test_single_precision_is_refused():
    with float64():
        program = IntervalProgram(jax.make_jaxpr(jnp.sin)(jnp.zeros(2)))
    with pytest.raises(PrecisionError, match="float64"):
        program(Interval(np.zeros(2), np.ones(2)))
