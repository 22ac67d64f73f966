"""Ball arithmetic: the ball of a program on a box holds its value at every point of the box, derivatives too."""

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np
import pytest
from flint import arb, ctx
from jax import lax

from karush.arithmetic.ball import RULES, SMOOTH_RULES, BallProgram
from karush.arithmetic.ball_numbers import Undecided, around, balls, lower, lowers, upper, uppers
from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.jaxprs.primal import primal

EPS = np.finfo(float).eps
ROUNDING = 4096 * EPS
"""relative error granted to JAX's own float64 value, whose functions are off by hundreds of ulps (log1p, erfc, ...)"""
NEARLY = 1.0 - 2.0**-20
pytestmark = pytest.mark.user_style

SMOOTH = {
    "polynomial": (lambda x: x[0] ** 3 - 2 * x[0] * x[1] + x[2] ** 2 / 3, 0.5, 1.5),
    "negative power": (lambda x: x**-3.0 + x**-2, 0.5, 1.5),
    "power": (lambda x: x[0] ** x[1] + x**1.7, 0.5, 1.5),
    "exp log": (lambda x: jnp.exp(-x) * jnp.log(x) + jnp.log1p(x) + jnp.expm1(x), 0.5, 1.5),
    "exp2": (jnp.exp2, -1.0, 1.0),
    "trigonometric": (lambda x: jnp.sin(x) * jnp.cos(x) + jnp.tan(x), -1.0, 1.0),
    "inverse trigonometric": (lambda x: jnp.arcsin(x) + jnp.arccos(x) * jnp.arctan(x), -0.5, 0.5),
    "atan2": (lambda x: jnp.arctan2(x, x[::-1]), 0.5, 1.5),
    "hyperbolic": (lambda x: jnp.sinh(x) + jnp.cosh(x) * jnp.tanh(x), -1.0, 1.0),
    "inverse hyperbolic": (lambda x: jnp.arcsinh(x) + jnp.arccosh(1.5 + x) + jnp.arctanh(x / 4), 0.0, 1.0),
    "roots": (lambda x: jnp.sqrt(x) + lax.rsqrt(x) + jnp.cbrt(x), 0.5, 1.5),
    "error function": (lambda x: special.erf(x) + special.erfc(x) * special.erfinv(x / 4), 0.1, 1.0),
    "gamma": (lambda x: special.gammaln(x) + special.digamma(x), 2.5, 4.5),
    "sigmoid": (lambda x: jax.nn.sigmoid(x) + jax.nn.softplus(x) + jax.nn.silu(x), 0.5, 1.5),
    "softmax": (lambda x: jax.nn.softmax(x * jnp.array([1.0, 2.0, 4.0])), 0.5, 0.6),
    "matrix product": (lambda x: jnp.outer(x, x) @ (jnp.outer(x, x + 1.0) @ jnp.exp(x)), 0.5, 1.5),
    "batched product": (
        lambda x: jnp.einsum("bij,bjk->bk", jnp.ones((2, 1, 3)) * x, jnp.ones((2, 3, 2)) * x[0]),
        0.5,
        1.5,
    ),
    "norm": (jnp.linalg.norm, 0.5, 1.5),
    "reductions": (lambda x: jnp.prod(x) + jnp.sum(x) * jnp.mean(x) + jnp.var(x), 0.5, 1.5),
    "cumulative": (lambda x: jnp.cumsum(x) * jnp.cumprod(x)[::-1], 0.5, 1.5),
    "indexing": (lambda x: x[jnp.array([2, 0, 0])] * x[1:].sum() + jnp.roll(x, 1), 0.5, 1.5),
    "scatter": (lambda x: jnp.zeros(4).at[jnp.array([1, 3, 1])].add(x * x).at[0].set(x[2]), 0.5, 1.5),
    "scatter mul": (lambda x: jnp.ones(4).at[jnp.array([1, 3, 2])].multiply(x, unique_indices=True), 0.5, 1.5),
    "padding": (lambda x: jnp.pad(x, (1, 2))[::2] + jnp.concatenate([x, x[:1]])[:3], 0.5, 1.5),
    "stack": (lambda x: jnp.stack([x, 2 * x]).T.reshape(2, 3), 0.5, 1.5),
    "dynamic slice": (lambda x: lax.dynamic_slice(x, (jnp.argmax(jnp.arange(2)),), (2,)) ** 2, 0.5, 1.5),
    "scan": (lambda x: lax.scan(lambda c, t: (c * t + jnp.sin(c), c), x[0], x)[0], 0.5, 1.5),
    "fori": (lambda x: lax.fori_loop(0, 4, lambda i, c: c + jnp.sin(c) / (i + 1), x), 0.5, 1.5),
    "where": (lambda x: jnp.where(x > 0.0, jnp.log(jnp.where(x > 0.0, x, 1.0)), 0.0), 0.5, 1.5),
    "abs max": (lambda x: jnp.abs(x) * jnp.maximum(x, -1.0) + jnp.clip(x, 0.1, 2.0), 0.5, 1.5),
    "cond": (lambda x: lax.cond(x[0] > 0.0, jnp.sin, jnp.cos, x), 0.5, 1.5),
    "logsumexp": (lambda x: special.logsumexp(x * jnp.array([1.0, 3.0, 9.0])), 0.5, 0.6),
    "sort": (lambda x: jnp.sort(x * jnp.array([3.0, 1.0, 9.0])) ** 2, 0.5, 0.6),
}
"""name -> function of x (3,), and the interval that its coordinates may lie in; smooth there"""


def traced(function, *arguments, smooth=False, precision=128):
    with float64():
        return BallProgram(jax.make_jaxpr(function)(*arguments), smooth=smooth, precision=precision)


def derivatives(function):
    """x -> every output with its first and second derivatives, of the primal operations."""

    def flat(x):
        return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(function(x))])

    def all_of(x):
        run = primal(jax.make_jaxpr(flat)(x))
        return run(x)[0], jax.jacrev(lambda x: run(x)[0])(x), jax.jacfwd(jax.jacrev(lambda x: run(x)[0]))(x)

    return all_of


@pytest.mark.parametrize("name", SMOOTH)
def test_values_and_derivatives_at_points_of_a_box_lie_in_the_balls_of_the_box(name):
    function, low, high = SMOOTH[name]
    random = np.random.default_rng(7)
    program = traced(derivatives(function), np.zeros(3), smooth=True)
    with float64():
        compute = jax.jit(derivatives(function))
    for width in (0.0, 1e-9, 1e-3):
        middle = random.uniform(low + width, high - width, 3)
        boxes = program(around(balls(middle), balls(np.full(3, width))))
        # A hair inside the corners: in float64, middle + width may round to a number outside.
        for part in (-NEARLY, NEARLY, 0.0, random.uniform(-NEARLY, NEARLY, 3)):
            inside = middle + part * width
            exact = program(inside)
            with float64():
                floats = [np.asarray(part) for part in compute(inside)]
            for box, point, value in zip(boxes, exact, floats, strict=True):
                assert all(b.contains(p) for b, p in zip(box.flat, point.flat, strict=True))
                slack = ROUNDING * (1.0 + np.abs(value).max())
                assert np.all((value >= lowers(point) - slack) & (value <= uppers(point) + slack))


def test_a_ball_of_a_point_is_as_narrow_as_its_precision():
    for precision in (64, 128, 256):
        (value,) = traced(lambda x: jnp.exp(jnp.sin(x[0])) / 3.0, np.ones(1), precision=precision)(np.array([0.7]))
        assert value.item().rel_accuracy_bits() >= precision - 8


@pytest.mark.parametrize(
    ("function", "interval", "primitive"),
    [
        (jnp.log, (-1.0, 2.0), "log"),
        (jnp.sqrt, (-1.0, 2.0), "sqrt"),
        (lambda x: 1.0 / x, (-1.0, 2.0), "div"),
        (jnp.arcsin, (0.5, 1.5), "asin"),
        (jnp.arccosh, (0.5, 1.5), "acosh"),
        (jnp.tan, (1.0, 2.0), "tan"),
        (special.gammaln, (-0.5, 0.5), "lgamma"),
    ],
)
def test_leaving_the_domain_is_undecided_and_names_the_primitive_and_this_file(function, interval, primitive):
    middle, radius = np.mean(interval), np.diff(interval)[0] / 2
    program = traced(lambda x: function(x) + 1.0, np.ones(1))
    with pytest.raises(Undecided, match=f"'{primitive}' at .*(test_ball|unknown)"):
        program(around(balls([middle]), balls([radius])))


def test_an_untaken_branch_that_is_not_finite_does_no_harm():
    program = traced(lambda x: jnp.where(x > 0.0, jnp.log(x), x), np.ones(1))
    assert program(np.array([-1.0]))[0].item() == arb(-1)


def test_an_undecided_choice_is_joined_or_refused():
    def function(x):
        return jnp.where(x < 0.0, -1.0, x + 2.0)

    wide = around(balls([0.0]), balls([1.0]))
    (joined,) = traced(function, np.ones(1))(wide)
    assert joined.item().contains(-1)
    assert joined.item().contains(3)
    with pytest.raises(Undecided, match="'lt' at"):
        traced(function, np.ones(1), smooth=True)(wide)


@pytest.mark.parametrize(
    "function",
    [
        jnp.abs,
        jnp.sign,
        lambda x: jnp.maximum(x, 0.0),
        jax.nn.relu,
        jnp.floor,
        jnp.cbrt,
        lambda x: jnp.clip(x, 0.0, 1.0),
        lambda x: jnp.where(x == 0.0, 0.0, x),
        lambda x: jnp.max(jnp.stack([x, -x])),
        lambda x: x.astype(int) * 1.0,
    ],
)
def test_a_kink_inside_the_box_or_at_the_very_point_is_refused_where_derivatives_are_asked_for(function):
    program = traced(lambda x: function(x[0]), np.ones(1), smooth=True)
    for radius in (0.0, 1e-20):
        with pytest.raises(Undecided):
            program(around(balls([0.0]), balls([radius])))


def test_a_comparison_of_constants_may_tie():
    assert traced(lambda x: jnp.where(jnp.ones(1) == 1.0, x, 0.0), np.ones(1), smooth=True)(np.array([2.0]))[0] == [
        arb(2)
    ]


def test_a_custom_derivative_rule_plays_no_part_in_primal_derivatives():
    @jax.custom_jvp
    def wrong(x):
        return x**3

    wrong.defjvp(lambda primals, tangents: (wrong(primals[0]), 0.0 * tangents[0]))
    with float64():
        run = primal(jax.make_jaxpr(lambda x: lax.scan(lambda c, _: (wrong(c), None), x, None, length=1)[0])(2.0))
        assert float(jax.grad(lambda x: run(x)[0])(2.0)) == 12.0


def test_stop_gradient_is_the_identity_of_primal_derivatives():
    with float64():
        run = primal(jax.make_jaxpr(lambda x: x * lax.stop_gradient(x))(3.0))
        assert float(jax.grad(lambda x: run(x)[0])(3.0)) == 6.0


def test_while_loops_run_as_long_as_their_end_is_decided():
    program = traced(lambda x: lax.while_loop(lambda c: c < 100.0, lambda c: c * 2.0, x), np.ones(()))
    assert program(np.array(1.5))[0].item() == arb(192)
    with pytest.raises(Undecided, match="loop"):
        program(around(balls(50.0), balls(1.0)))


def test_a_primitive_without_a_rule_is_named():
    with pytest.raises(TraceError, match="nextafter"):
        traced(lambda x: jnp.nextafter(x, 2.0), np.ones(1))(np.ones(1))


def test_ends_are_rounded_outward():
    with ctx.workprec(200):
        third = arb(1) / 3
        for ball in (third, -third, arb(2) ** 1100, third * arb(2) ** -1080):
            low, high = lower(ball), upper(ball)
            assert low == -np.inf or arb(low) <= ball.lower()
            assert high == np.inf or arb(high) >= ball.upper()


def test_smooth_rules_cover_the_same_primitives():
    assert SMOOTH_RULES.keys() == RULES.keys()


def test_rounding_takes_halves_to_even_or_away_from_zero_as_jax_does():
    numbers = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4, -2.6])
    for method in (lax.RoundingMethod.TO_NEAREST_EVEN, lax.RoundingMethod.AWAY_FROM_ZERO):
        (found,) = traced(lambda x, method=method: lax.round(x, method), numbers)(numbers)
        with float64():
            assert np.array_equal(lowers(found), np.asarray(lax.round(jnp.asarray(numbers), method)))


def test_integers_follow_numpy_exactly():
    def function(x):
        k = jnp.arange(5)
        order = jnp.argsort(k[::-1]) + jnp.cumsum(k) % 3 + jnp.maximum(k, 2) * (k.max() - k.min()) // 2
        return x[order % 3] * order

    (found,) = traced(function, np.ones(3))(np.array([1.0, 2.0, 4.0]))
    with float64():
        assert np.array_equal(lowers(found), np.asarray(function(jnp.array([1.0, 2.0, 4.0]))))
