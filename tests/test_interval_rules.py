"""Enclosed values, gradients and Hessians hold the exact ones, as Arb computes them, primitive by primitive."""

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np
import pytest
from flint import ctx
from jax import lax
from test_ball import derivatives
from test_interval import corners_and_inside, holds

from karush.arithmetic.ball import BallProgram
from karush.arithmetic.interval import IntervalProgram, enter
from karush.arithmetic.interval_jet_rules import JetProgram
from karush.core.precision import float64

pytestmark = pytest.mark.user_style

KERNEL = np.array([[[0.5, -1.0]]])
CASES = {
    "acosh": (lambda x: jnp.arccosh(x + 1.2), 0.0, 1.0),
    "atanh": (lambda x: jnp.arctanh(x), -0.5, 0.5),
    "erf_inv": (special.erfinv, -0.8, 0.8),
    "lgamma": (special.gammaln, 0.5, 4.5),
    "digamma": (special.digamma, 0.5, 4.5),
    "trigamma": (lambda x: special.polygamma(1, x), 1.5, 4.5),
    "atan2, right": (lambda x: jnp.arctan2(x[0] * x[1], x[1] + 2.0), -1.0, 1.0),
    "atan2, left": (lambda x: jnp.arctan2(1.5 + x[0], x[1] - x[2]), -1.0, 1.0),
    "atan2, below": (lambda x: jnp.arctan2(-1.5 + x[0], x[1] * x[2]), -1.0, 1.0),
    "rem": (lambda x: jnp.fmod(x * x, x[0] * 0.2 + 5.0), 0.5, 1.5),
    "mod": (lambda x: jnp.mod(x, 3.0) ** 2, 0.2, 1.5),
    "reduce_prod": (lambda x: jnp.prod(jnp.outer(x, x + 1.0), axis=0), -1.0, 1.0),
    "cumprod": (lambda x: jnp.cumprod(x)[::-1], -1.0, 1.0),
    "cumprod, reverse": (lambda x: lax.cumprod(x * x[0], reverse=True), -1.0, 1.0),
    "cumlogsumexp": (lambda x: lax.cumlogsumexp(x * x), -1.0, 1.0),
    "cummax": (lambda x: lax.cummax(x * jnp.array([1.0, 3.0, 2.0])), 0.5, 0.9),
    "sort": (lambda x: jnp.sort(x * jnp.array([3.0, 1.0, 9.0])) ** 2, 0.5, 0.6),
    "convolve": (lambda x: jnp.convolve(x, x[:2]), -1.0, 1.0),
    "convolution": (lambda x: lax.conv_general_dilated(x.reshape(1, 1, 3) ** 2, KERNEL, (1,), "SAME"), -1.0, 1.0),
    "scatter-sub": (lambda x: jnp.zeros(4).at[jnp.array([1, 3, 1])].subtract(x * x), -1.0, 1.0),
    "top_k": (lambda x: lax.top_k(x * jnp.array([3.0, 1.0, 9.0]), 2)[0] ** 2, 0.5, 0.6),
    "cond": (lambda x: lax.cond(x[0] > 0.0, jnp.sin, jnp.cos, x), 0.2, 1.0),
    "scan": (lambda x: lax.scan(lambda c, t: (c * t + jnp.cos(c), c), x[0], x)[1], 0.2, 1.0),
}
"""name -> function of x (3,), and the interval that its coordinates may lie in; smooth there"""


@pytest.mark.parametrize("name", CASES)
def test_values_gradients_and_hessians_of_points_lie_in_the_enclosures_of_the_box(name):
    function, low, high = CASES[name]
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        jets = JetProgram(jax.make_jaxpr(lambda x: jnp.ravel(function(x)))(np.full(3, low)), second=True)
        run = jax.jit(lambda lo, hi: jets(enter(lo, hi)))
        exact = BallProgram(jax.make_jaxpr(derivatives(function))(np.full(3, 0.5 * (low + high))), precision=160)
        for width in (0.0, 1e-3, 0.1):
            lower = low + (high - low) * np.array([0.1, 0.3, 0.2])
            upper = lower + width * (high - low)
            value, first, second = jax.tree.map(np.asarray, run(lower, upper))
            for x in corners_and_inside(lower, upper, 4):
                values, slopes, bends = exact(x)
                assert value.ok is None or np.all(value.ok)
                assert holds(value, values)
                assert holds(first, np.moveaxis(slopes, -1, 0))
                assert holds(second, np.moveaxis(bends, (-2, -1), (0, 1)))
            if width == 0.0:
                with ctx.workprec(53):
                    size = 1.0 + np.abs(np.array([float(ball.mid()) for ball in bends.flat])).max()
                assert np.max(second.hi - second.lo) <= 1e-9 * size


def test_a_loop_that_counts_has_the_derivatives_of_its_turns():
    def counted(x):
        return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, jnp.sin(c[1] * x)), (0, x))[1]

    x = np.array([0.5, 0.7, 0.9])
    with float64(), jax.numpy_dtype_promotion("standard"):
        jets = [JetProgram(jax.make_jaxpr(f)(x)) for f in (counted, lambda x: jnp.sin(jnp.sin(jnp.sin(x * x) * x) * x))]
        (value, first), (other, slope) = [jax.jit(lambda lo, hi, p=p: p(enter(lo, hi)))(x, x) for p in jets]
    np.testing.assert_allclose(value.lo, other.lo, rtol=1e-14)
    np.testing.assert_allclose(first.hi, slope.hi, rtol=1e-13, atol=1e-300)


def test_a_box_around_the_branch_cut_of_atan2_has_every_angle_and_any_slope():
    with float64(), jax.numpy_dtype_promotion("standard"):
        jets = JetProgram(jax.make_jaxpr(lambda x: jnp.arctan2(x[0], x[1])[None])(np.zeros(2)))
        run = jax.jit(lambda lo, hi: jets(enter(lo, hi)))
        for lower, upper in (([-0.1, -2.0], [0.1, -1.0]), ([0.0, -2.0], [0.0, -1.0]), ([-1.0, -1.0], [1.0, 1.0])):
            value, first = jax.tree.map(np.asarray, run(np.array(lower), np.array(upper)))
            assert value.hi[0] >= np.pi
            assert np.all(np.isinf(first.lo))
        value, _ = jax.tree.map(np.asarray, run(np.array([-0.1, -2.0]), np.array([0.1, -1.0])))
        assert value.lo[0] <= -np.pi


def test_orders_and_places_of_the_best_hold_what_jax_finds():
    lower, upper = np.array([1.0, 2.0, -1.0]), np.array([2.5, 3.0, 1.2])
    cases = (
        lambda x: lax.top_k(x, 2)[0],
        lambda x: lax.top_k(x, 2)[1] * 1.0,
        lambda x: jnp.argmin(x)[None] * 1.0,
        lambda x: lax.sort((x, x * x), num_keys=1)[1],
        lambda x: lax.reduce_precision(x, 8, 7),
        lambda x: jnp.fmod(x, 0.7),
        lambda x: jnp.floor_divide(x, 0.7),
    )
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for function in cases:
            program = IntervalProgram(jax.make_jaxpr(function)(lower))
            value = jax.jit(lambda lo, hi, program=program: program(enter(lo, hi))[0])(lower, upper)
            for x in corners_and_inside(lower, upper, 20):
                found = np.asarray(function(x))
                slack = 4.0 * np.spacing(np.abs(found))
                assert np.all((np.asarray(value.lo) <= found + slack) & (found - slack <= np.asarray(value.hi)))
