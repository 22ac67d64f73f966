"""Programs whose enclosures once left out the true value: each must hold it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from karush.arithmetic.interval import Interval, IntervalProgram, enter
from karush.arithmetic.interval_jet_rules import JetProgram
from karush.core.errors import TraceError
from karush.core.precision import float64

pytestmark = pytest.mark.user_style


def values(function, lower, upper):
    """Enclosure of the one output of `function` on a box."""
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        program = IntervalProgram(jax.make_jaxpr(function)(jnp.asarray(lower)))
        return jax.tree.map(np.asarray, jax.jit(lambda lo, hi: program(enter(lo, hi))[0])(lower, upper))


def slopes(function, lower, upper):
    """Enclosures of the output, (k,), and its first (n, k) and second (n, n, k) derivatives."""
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        program = JetProgram(jax.make_jaxpr(function)(jnp.asarray(lower)), second=True)
        return jax.tree.map(np.asarray, jax.jit(lambda lo, hi: program(enter(lo, hi)))(lower, upper))


def box(*ends):
    return np.array([end[0] for end in ends]), np.array([end[1] for end in ends])


@pytest.mark.parametrize("divisor", [1e308, -1.5e308, 2.0**1023, 3e300])
@pytest.mark.parametrize("given", ["constant", "array", "traced", "vmapped"])
def test_a_quotient_by_a_number_whose_reciprocal_is_flushed(divisor, given):
    x = np.array([1e300, -3e299, 1.0])
    exact = x / divisor
    if given == "constant":
        out = values(lambda x: x / divisor, x, x)
    elif given == "array":
        out = values(lambda x: x / np.full(3, divisor), x, x)
    else:
        whole = np.append(x, divisor)
        out = values(lambda x: x[:3] / x[3], whole, whole)
    if given == "vmapped":
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            program = IntervalProgram(jax.make_jaxpr(lambda a, b: a / b)(1.0, 1.0))
            run = jax.jit(jax.vmap(lambda a, b: program(enter(a, a), enter(b, b))[0], in_axes=(0, None)))
            out = jax.tree.map(np.asarray, run(x, divisor))
    assert np.all((out.lo <= exact) & (exact <= out.hi))
    assert np.all(out.hi - out.lo <= 8 * np.spacing(np.abs(exact)) + 1e-306)


def test_a_read_outside_an_array_is_its_fill_value_and_has_slope_zero():
    def read(fill):
        return lambda x: x.at[jnp.array([7, 1])].get(mode="fill", fill_value=fill)

    out, first, second = slopes(read(5.0), *box((1.0, 2.0), (3.0, 4.0)))
    assert (out.lo[0], out.hi[0]) == (5.0, 5.0)
    assert np.array_equal(first.lo, [[0.0, 0.0], [0.0, 1.0]])
    assert np.array_equal(first.lo, first.hi)
    assert np.all(second.lo == 0.0)
    for fill in (math.inf, math.nan, None):
        out = values(read(fill), *box((1.0, 2.0), (3.0, 4.0)))
        assert list(out.ok) == [False, True]
        assert (out.lo[0], out.hi[0]) == (-math.inf, math.inf)


@pytest.mark.parametrize("made", [lambda i: ~i, lambda i: i | 2, lambda i: i & 2, lambda i: i << 1, lambda i: i ^ 3])
def test_bits_of_an_answer_are_not_taken_for_the_answer(made):
    with pytest.raises(TraceError, match="intervals"):
        values(lambda x: made((x > 0.0).astype(int)) * 1.0, *box((1.0, 2.0)))


@pytest.mark.parametrize(
    "made",
    [
        lambda x: (x > 0.0) * 3.0,
        lambda x: (x > 0.0).astype(float),
        lambda x: (x > 0.0).astype(int) * 2.0 + 1.0,
        lambda x: x.astype(int) * 1.0,
        lambda x: jnp.floor(x),
        lambda x: jnp.where(x.astype(bool), 1.0, 0.0),
        lambda x: jnp.where(x > 0.0, 1.0, -1.0),
        lambda x: lax.select(x > 0.0, jnp.ones(1), jnp.zeros(1)),
        lambda x: lax.cond(x[0] > 0.0, lambda x: x + 3.0, jnp.sin, x),
        lambda x: jnp.argmax(jnp.array([x[0], 0.0])) * jnp.ones(1),
        lambda x: jnp.sum(x > 0.0) * jnp.ones(1),
    ],
)
def test_the_slope_across_a_jump_is_the_whole_line(made):
    lower, upper = box((-1.5, 1.5))
    out, first, second = slopes(made, lower, upper)
    rise = np.asarray(made(upper)) - np.asarray(made(lower))
    for at in (lower, upper, np.array([0.0])):
        assert out.lo[0] <= made(at)[0] <= out.hi[0]
    assert np.all(first.lo * 3.0 <= rise)
    assert np.all(rise <= first.hi * 3.0)
    assert (second.lo[0, 0, 0], second.hi[0, 0, 0]) == (-math.inf, math.inf)


def test_flags_of_a_maximum_are_reduced_along_the_right_axis():
    out, first, _ = slopes(
        lambda x: jnp.max(jnp.sqrt(jnp.outer(x, x) - 1.0), axis=0), *box((0.5, 1.5), (2.0, 3.0), (4.0, 5.0))
    )
    assert out.lo.shape == (3,)
    assert np.all(np.isinf(first.lo[0])[:1])
    exact = np.sqrt(np.array([1.0, 2.5, 4.5]) * 4.5 - 1.0)
    assert np.all((out.lo <= exact) & (exact <= out.hi))


def test_the_slope_of_a_case_that_is_not_taken_does_not_count():
    _, first, _ = slopes(lambda x: jnp.where(x > 0.0, jnp.log(x), x), *box((-2.0, -1.0), (1.0, 2.0)))
    assert (first.lo[0, 0], first.hi[0, 0]) == (1.0, 1.0)
    assert first.hi[1, 1] == pytest.approx(1.0)


def test_a_loop_that_ends_by_a_comparison_has_all_states_it_may_end_in():
    def doubled(x):
        return lax.while_loop(lambda c: c[0] < 3.0, lambda c: c * 1.5, x)

    out = values(doubled, *box((1.0, 2.0)))
    for x in np.linspace(1.0, 2.0, 50):
        y = x
        while y < 3.0:
            y *= 1.5
        assert out.lo[0] <= y <= out.hi[0]
    assert out.ok[0]
    endless = values(lambda x: lax.while_loop(lambda c: c[0] > 0.0, lambda c: c * 0.999, x), *box((1.0, 2.0)))
    assert not endless.ok[0]
    assert endless.hi[0] == math.inf


def test_integers_that_are_not_decided_are_intervals_of_integers():
    out = values(lambda x: (x.astype(int) * 3 - 1).astype(float), *box((0.5, 2.7), (-1.9, 0.5)))
    assert (list(out.lo), list(out.hi)) == ([-1.0, -4.0], [5.0, -1.0])
    out = values(lambda x: (x.astype(jnp.int8) * jnp.int8(100)).astype(float), *box((0.5, 2.7)))
    assert (out.lo[0], out.hi[0]) == (-math.inf, math.inf)
    out = values(lambda x: jnp.arange(3.0)[x.astype(int)], *box((0.5, 2.7)))
    assert (out.lo[0], out.hi[0]) == (0.0, 2.0)
    with pytest.raises(TraceError, match="integer"):
        values(lambda x: jnp.left_shift(x.astype(int), 1) * 1.0, *box((0.5, 2.7)))


def test_a_truth_value_of_a_number_that_may_be_undefined_is_open():
    out = values(lambda x: jnp.where(jnp.log(x - 5.0).astype(bool), 1.0, 2.0), *box((1.0, 2.0)))
    assert (out.lo[0], out.hi[0]) == (1.0, 2.0)


def test_the_place_of_the_largest_is_from_the_first_to_the_last_that_may_be():
    out = values(lambda x: jnp.argmax(x) * 1.0, *box((0.0, 1.0), (2.0, 3.0), (2.5, 4.0), (-1.0, 0.0)))
    assert (out.lo.item(), out.hi.item()) == pytest.approx((1.0, 2.0))


def test_an_interval_of_one_number_times_an_unbounded_one_is_no_nan():
    with float64():
        program = IntervalProgram(jax.make_jaxpr(lambda a, b: a * b)(1.0, 1.0))
        wide = Interval(jnp.array([-jnp.inf, 0.0]), jnp.array([jnp.inf, jnp.inf]))
        out = jax.tree.map(np.asarray, program(Interval(jnp.zeros(2), jnp.zeros(2)), wide)[0])
    assert not np.any(np.isnan(out.lo) | np.isnan(out.hi))
    assert np.all((out.lo <= 0.0) & (out.hi >= 0.0))
