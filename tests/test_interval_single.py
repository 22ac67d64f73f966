"""Intervals with float32 ends hold what intervals with float64 ends hold, as Arb computes it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb, ctx
from jax import lax

import karush
from karush.arithmetic.ball import BallProgram
from karush.arithmetic.interval import IntervalProgram
from karush.arithmetic.interval import enter as enter_double
from karush.arithmetic.interval_single import SingleProgram, enter, single
from karush.core.errors import OptionError
from karush.core.precision import float64

pytestmark = pytest.mark.user_style
SHORT = np.finfo(np.float32)
LEAST, MOST = float(SHORT.smallest_normal), float(SHORT.max)
PROGRAMS = {
    "polynomial": lambda x: 0.1 * x[0] ** 3 - x[1] * x[2] + 1 / 3,
    "functions": lambda x: jnp.tanh(x[0]) * jnp.exp(-(x[1] ** 2)) + jnp.log(1.5 + x[2] ** 2),
    "product of matrices": lambda x: jnp.array([[0.1, 0.2, 0.3], [1e-8, 7.0, 0.7]]) @ jnp.sin(x),
    "quotient": lambda x: jnp.sort(x) / (2.1 + x[::-1]),
    "loop": lambda x: lax.scan(lambda c, t: (c * 0.7 + jnp.sin(t), c), 0.1, x)[0],
    "counted loop": lambda x: lax.fori_loop(0, 4, lambda k, c: c * 0.9 + k * x[0], x[1]),
    "open loop": lambda x: lax.while_loop(lambda c: c < 5.0, lambda c: 1.3 * c + 0.1, jnp.abs(x[0]) + 0.2),
    "branch": lambda x: lax.cond(x[0] > 0.1, lambda x: x[0] * 0.1, lambda x: x[1] * x[2], x),
    "choice": lambda x: jnp.where(x > 0.1, x * 0.3, 0.1),
    "place": lambda x: jnp.take(x, jnp.argmax(x[:2])) * 0.1,
    "large and small": lambda x: jnp.stack([x[0] * 1e30 * 1e30, x[1] * 1e-30 * 1e-30, x[2] * 1e-42]),
}


def numbers():
    generator = np.random.default_rng(0)
    any_bits = generator.integers(0, 2**64, 20_000, dtype=np.uint64).view(np.float64)
    near = np.ldexp(generator.uniform(-1.0, 1.0, 20_000), generator.integers(-160, 140, 20_000))
    with np.errstate(over="ignore", under="ignore"):
        on = near.astype(np.float32).astype(np.float64)
    places = np.array([0.0, LEAST, MOST, 5e-324, 1e300, np.inf, 0.1])
    edges = np.concatenate([places, np.nextafter(places, np.inf), np.nextafter(places, 0.0)])
    numbers = np.concatenate([any_bits, near, on, np.nextafter(on, np.inf), np.nextafter(on, -np.inf), edges, -edges])
    return numbers[~np.isnan(numbers)]


def test_ends_are_the_nearest_normal_float32_on_their_side():
    v = numbers()
    low, high = (single(v, upward=upward) for upward in (False, True))
    assert low.dtype == high.dtype == np.float32
    assert np.all(low.astype(np.float64) <= v)
    assert np.all(high.astype(np.float64) >= v)
    with np.errstate(over="ignore", under="ignore"):
        near = v.astype(np.float32)
        wide, inside = near.astype(np.float64), (np.abs(v) >= LEAST) & (np.abs(v) <= MOST)
        below = np.where(wide > v, np.nextafter(near, np.float32(-np.inf)), near)
        above = np.where(wide < v, np.nextafter(near, np.float32(np.inf)), near)
    assert np.array_equal(low[inside], below[inside])
    assert np.array_equal(high[inside], above[inside])
    assert not np.any((np.abs(np.concatenate([low, high])) < LEAST) & (np.concatenate([low, high]) != 0.0))
    nothing = np.array([np.nan])
    assert single(nothing, upward=False)[0] == -np.inf
    assert single(nothing, upward=True)[0] == np.inf


def test_a_subnormal_end_of_a_box_is_held():
    tiny = np.array([1e-40, -1e-40, 0.0], np.float32)
    with float64():
        out = jax.jit(lambda lo, hi: enter(lo, hi))(jnp.asarray(tiny), jnp.asarray(tiny))
    assert np.array_equal(np.asarray(out.lo), np.array([0.0, -LEAST, 0.0], np.float32))
    assert np.array_equal(np.asarray(out.hi), np.array([LEAST, 0.0, 0.0], np.float32))


@pytest.mark.parametrize("name", PROGRAMS)
def test_float32_ends_hold_the_exact_values_and_lie_around_the_float64_ends(name):
    function = PROGRAMS[name]
    generator = np.random.default_rng(1)
    low = generator.uniform(-1.0, 1.0, (8, 3))
    high = low + np.array([0.0, 1e-9, 1e-6, 1e-4, 1e-2, 0.1, 0.3, 1.0])[:, None]
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        closed = jax.make_jaxpr(function)(jnp.zeros(3))
        program, double = SingleProgram(closed), IntervalProgram(closed)
        run = jax.vmap(lambda lo, hi: (program(enter(lo, hi))[0], double(enter_double(lo, hi))[0]))
        out, wide = jax.tree.map(np.asarray, jax.jit(run)(low, high))
    assert out.lo.dtype == out.hi.dtype == np.float32
    # A result of float32 ends is that of a wider box, up to what float64 rounds on the way.
    slack = 2.0**-40 * np.maximum(np.abs(wide.lo), np.abs(wide.hi))
    assert np.all(out.lo <= wide.lo + slack)
    assert np.all(out.hi >= wide.hi - slack)
    exact = BallProgram(closed, precision=200)
    for k in range(len(low)):
        for x in (low[k], high[k], generator.uniform(low[k], high[k])):
            (values,) = exact(x)
            ends = zip(np.ravel(out.lo[k]), np.ravel(out.hi[k]), np.ravel(values), strict=True)
            with ctx.workprec(256):
                for lo, hi, ball in ends:
                    assert lo == -math.inf or arb(float(lo)) <= ball.upper(), (name, x)
                    assert hi == math.inf or ball.lower() <= arb(float(hi)), (name, x)


def test_float32_ends_are_a_few_ulps_wider_at_a_point():
    with float64(), jax.numpy_rank_promotion("allow"):
        program = SingleProgram(jax.make_jaxpr(PROGRAMS["functions"])(jnp.zeros(3)))
        (out,) = jax.jit(lambda x: program(enter(x, x)))(np.array([0.3, -0.2, 0.7]))
    assert 0.0 < float(out.hi - out.lo) <= 32 * SHORT.eps


@pytest.mark.parametrize("large", [3.0e38, 1.0e308])
def test_a_sum_beyond_all_floats_is_held(large):
    """Were an end infinite on the wrong side, the bound would be above every value."""
    for sign in (1.0, -1.0):
        with float64():
            closed = jax.make_jaxpr(lambda x, sign=sign: sign * x[0] + sign * x[1])(jnp.zeros(2))
            at = jnp.full(2, large)
            for out in (SingleProgram(closed)(enter(at, at))[0], IntervalProgram(closed)(enter_double(at, at))[0]):
                assert out.lo < jnp.inf
                assert out.hi > -jnp.inf


def test_enclose_gives_float32_ends_around_its_float64_ends():
    box = karush.Box({"u": np.array([0.1, 0.2])}, {"u": np.array([0.3, 0.4])})

    def f(x):
        return {"a": jnp.exp(x["u"]) * 0.1, "b": x["u"].sum()}

    found, wide = karush.enclose(f, box, dtype=np.float32), karush.enclose(f, box)
    for leaf in ("a", "b"):
        assert found.lower[leaf].dtype == found.upper[leaf].dtype == np.float32
        assert np.all(found.lower[leaf].astype(np.float64) <= wide.lower[leaf])
        assert np.all(found.upper[leaf].astype(np.float64) >= wide.upper[leaf])
        assert np.allclose(found.lower[leaf], wide.lower[leaf], rtol=2 * SHORT.eps, atol=0.0)
    assert str(found).count("\n") == str(wide).count("\n") == 3
    for dtype in ("float16", "no type", None.__class__):
        with pytest.raises(OptionError, match="dtype is"):
            karush.enclose(f, box, dtype=dtype)
