"""Which programs are smooth, where the others are not, and how far a point is from there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karush
from karush.core.precision import float64
from karush.jaxprs.kinks import kinks
from karush.jaxprs.margins import PROBES, kink_margins

X = np.array([0.3, 1.3, -2.4])
EPS = np.finfo(float).eps


def traced(f, x=X):
    with float64():
        return jax.make_jaxpr(lambda x: (f(x), jnp.zeros(0)))(jnp.asarray(x))


def found(f, x=X):
    return {kink.primitive for kink in kinks(traced(f, x))}


def margin(f, x=X, scale=None):
    """Smallest margin; infinite without kinks."""
    x = np.asarray(x, float)
    closed = traced(f, x)
    with float64():
        scale = np.ones(x.size) if scale is None else scale
        return float(np.min(jax.jit(kink_margins(closed))(x, scale=np.asarray(scale)), initial=np.inf))


def fold(x, body, start=0.0):
    return jax.lax.scan(lambda carry, a: (body(carry, a), None), start, x)[0]


def counted(x):
    return jax.lax.fori_loop(0, 3, lambda i, total: total + x[i] ** 2, 0.0)


@jax.checkpoint
def remembered(x):
    return jnp.sum(jnp.sin(x) * x)


SMOOTH = {
    "polynomial": lambda x: (x**3).sum() + x[0] * x[1] - x[2] / 3,
    "integer indices": lambda x: x[jnp.array([0, -1, 1])].sum(),
    "where on a constant": lambda x: jnp.where(jnp.arange(3) > 1, x, x**2).sum(),
    "softplus": lambda x: jax.nn.softplus(x).sum(),
    "logaddexp": lambda x: jnp.logaddexp(x[0], x[1]),
    "sinc": lambda x: jnp.sinc(x).sum(),
    "silu": lambda x: jax.nn.silu(x).sum(),
    "square of abs": lambda x: (jnp.abs(x) ** 2).sum(),
    "scan": lambda x: fold(x, lambda carry, a: carry * 0.5 + jnp.tanh(a)),
    "fori_loop": counted,
    "checkpoint": remembered,
    "segment_sum": lambda x: jax.ops.segment_sum(x**2, jnp.array([0, 0, 1]), 2)[0],
    "vmap": lambda x: jax.vmap(lambda a: jnp.exp(-a * a))(x).sum(),
    "solve": lambda x: jnp.linalg.solve(jnp.outer(x, x) + jnp.eye(3), x).sum(),
    "slogdet": lambda x: jnp.linalg.slogdet(jnp.outer(x, x) + jnp.eye(3))[1],
    "while over a counter": lambda x: jax.lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * x[0]), (0, x))[
        1
    ].sum(),
    "abs of what has a sign": lambda x: jnp.abs(jnp.exp(x)).sum() + jnp.abs(jnp.sum(x * x) + 1.0),
    "unused abs": lambda x: (jnp.abs(x), x.sum())[1],
    "clip of data": lambda x: (jnp.clip(jnp.arange(3.0), 0.5, 1.5) * x).sum(),
    "power at least 2": lambda x: (x**2.5).sum() + (x**-2.0).sum(),
    "interpolation in time": lambda x: jnp.interp(0.4, jnp.arange(3.0), x),
}

KINKED = {
    "abs": (lambda x: jnp.abs(x).sum(), {"abs"}),
    "relu": (lambda x: jax.nn.relu(x).sum(), {"max"}),
    "hinge": (lambda x: jnp.maximum(0.0, 1.0 - x).sum(), {"max"}),
    "clip": (lambda x: jnp.clip(x, -1.0, 1.0).sum(), {"max", "min"}),
    "where": (lambda x: jnp.where(x > 0, x, x**2).sum(), {"gt"}),
    "sort": (lambda x: jnp.sort(x)[0], {"sort"}),
    "median": (lambda x: jnp.median(x), {"sort", "ne"}),
    "maximum of entries": (lambda x: jnp.max(x), {"reduce_max"}),
    "argmax": (lambda x: x[jnp.argmax(x)] ** 2, {"argmax"}),
    "floor": (lambda x: jnp.floor(x).sum(), {"floor"}),
    "integer part": (lambda x: x.astype(int).sum() * 1.0, {"convert_element_type"}),
    "remainder": (lambda x: (x % 1.0).sum(), {"rem", "ne", "lt"}),
    "sign": (lambda x: (jnp.sign(x) * x).sum(), {"sign"}),
    "norm": (lambda x: jnp.linalg.norm(x), {"sqrt"}),
    "hypot": (lambda x: jnp.hypot(x[0], x[1]), {"hypot"}),
    "root": (lambda x: jnp.cbrt(x).sum(), {"cbrt"}),
    "power": (lambda x: (jnp.exp(x) ** 1.5).sum(), {"pow"}),
    "cummax": (lambda x: jax.lax.cummax(x).sum(), {"cummax"}),
    "angle": (lambda x: jnp.arctan2(x[0], x[1]), {"atan2"}),
    "abs in scan": (lambda x: fold(x, lambda carry, a: carry + jnp.abs(a)), {"abs"}),
    "abs in a branch": (lambda x: jax.lax.cond(True, jnp.sum, lambda v: jnp.abs(v).sum(), x), {"abs"}),
    "cond": (lambda x: jax.lax.cond(x[0] > 0, jnp.sum, jnp.prod, x), {"gt"}),
    "while": (lambda x: jax.lax.while_loop(lambda v: v.sum() < 9, lambda v: v + 1.0, x).sum(), {"while"}),
    "largest eigenvalue": (lambda x: jnp.linalg.eigvalsh(jnp.diag(x))[-1], {"eigh"}),
    "nuclear norm": (lambda x: jnp.linalg.svd(jnp.outer(x, x), compute_uv=False).sum(), {"svd"}),
    "Huber": (lambda x: jnp.where(jnp.abs(x) < 1, x**2 / 2, jnp.abs(x) - 0.5).sum(), {"abs", "lt"}),
    "picked by a sort of x": (lambda x: x[jnp.argsort(x)][0], {"sort"}),
}


@pytest.mark.user_style
@pytest.mark.parametrize("name", SMOOTH)
def test_a_smooth_program_has_no_kinks(name):
    assert kinks(traced(SMOOTH[name])) == ()


@pytest.mark.user_style
@pytest.mark.parametrize("name", KINKED)
def test_a_program_with_a_switch_lists_it(name):
    f, expected = KINKED[name]
    assert found(f) == expected


@pytest.mark.user_style
@pytest.mark.parametrize("name", sorted(set(KINKED) - {"while", "nuclear norm"}))
def test_a_margin_is_positive_away_from_the_switch(name):
    assert margin(KINKED[name][0]) > 0.01


ON_THE_SURFACE = {
    "abs": [0.0, 1, 2],
    "relu": [1.0, 0, 2],
    "hinge": [0.0, 1, 2],
    "clip": [0.0, -1, 0],
    "where": [1.0, 1, 0],
    "sort": [2.0, 1, 2],
    "median": [2.0, 1, 2],
    "maximum of entries": [2.0, 1, 2],
    "argmax": [2.0, 1, 2],
    "floor": [0.5, 3, 0.5],
    "integer part": [0.5, 3, 0.5],
    "remainder": [0.5, 3, 0.5],
    "sign": [0.0, 1, 2],
    "norm": [0.0, 0, 0],
    "hypot": [0.0, 0, 1],
    "root": [0.0, 1, 1],
    "cummax": [1.0, 1, 2],
    "angle": [0.0, -1, 1],
    "abs in scan": [1.0, 0, 1],
    "cond": [0.0, 1, 2],
    "while": [1.0, 2, 3],
    "largest eigenvalue": [1.0, 2, 2],
    "nuclear norm": [1.0, 2, 3],
    "Huber": [1.0, 2, 3],
}


@pytest.mark.user_style
@pytest.mark.parametrize("name", ON_THE_SURFACE)
def test_the_margin_on_the_switching_surface_is_zero(name):
    # The spectra come out of an iteration, whose error is a few eps of the norm.
    allowed = 100 * EPS if name in ("largest eigenvalue", "nuclear norm") else 0.0
    assert margin(KINKED[name][0], ON_THE_SURFACE[name]) <= allowed


@pytest.mark.user_style
@pytest.mark.parametrize(
    "f",
    [
        jax.nn.logsumexp,
        lambda x: jax.nn.softmax(x)[0],
        lambda x: jax.nn.log_softmax(x)[0],
        lambda x: fold(jnp.stack([x, 2 * x]), lambda carry, row: carry + jax.nn.logsumexp(row)),
    ],
)
def test_a_shift_that_cancels_is_no_kink_even_where_two_entries_tie(f):
    assert margin(f, [1.0, 1.0, 0.0], np.full(3, 1e6)) == np.inf


@pytest.mark.user_style
@pytest.mark.parametrize(
    "f",
    [
        lambda x: (jax.lax.stop_gradient(x) * x).sum(),
        lambda x: ((x - jax.lax.stop_gradient(x)) ** 2).sum(),
        lambda x: 2.0**-40 * (jax.lax.stop_gradient(x) * x).sum(),
        lambda x: jax.lax.stop_gradient(jnp.max(x)) + x.sum(),
    ],
)
def test_derivatives_that_stop_at_a_value_which_matters_are_never_trusted(f):
    assert margin(f) == 0.0


def test_margins_obey_strict_promotion():
    assert margin(lambda x: jnp.sum(jnp.maximum(x, 0.5))) == pytest.approx(0.2)


def jitted(f, *params):
    """Margins of ``f(x, *params)`` as a compiled function of x, scale and the parameters."""
    with float64():
        closed = jax.make_jaxpr(lambda x, *params: (f(x, *params), jnp.zeros(0)))(*map(jnp.asarray, params))
        compiled = jax.jit(lambda x, scale, *params: jnp.min(kink_margins(closed)(x, *params, scale=scale)))

    def measure(*arguments):
        with float64():
            return float(compiled(*arguments))

    return measure


PLANE = jitted(lambda x, normal, offset: jnp.abs(jnp.vdot(normal, x) - offset), np.ones(4), np.ones(4), 1.0)


@given(st.lists(st.floats(-4, 4), min_size=4, max_size=4), st.floats(-3, 3))
def test_the_margin_of_a_plane_is_the_scaled_distance_to_it(normal, offset):
    normal, scale, x = np.array(normal), np.array([1.0, 2.0, 0.5, 8.0]), np.array([1.0, -2.0, 3.0, 0.25])
    reach = np.linalg.norm(scale * normal)
    if reach < 1e-3:
        return
    expected = abs(normal @ x - offset) / reach
    rounding = 16 * EPS * (np.abs(normal) @ np.abs(x) + abs(offset)) / reach
    assert PLANE(x, scale, normal, offset) == pytest.approx(expected, rel=1e-12, abs=rounding)


PARABOLA = jitted(lambda x, size, factor: jnp.sum(jnp.abs(factor * (x / size) * (1.0 + x / size))), X, 1.0, 1.0)


@given(st.integers(-40, 40), st.integers(-40, 40))
def test_rescaling_x_or_the_switching_function_by_powers_of_two_leaves_margins_as_they_are(of_x, of_phi):
    size, factor = 2.0**of_x, 2.0**of_phi
    assert PARABOLA(size * X, np.full(3, size), size, factor) == PARABOLA(X, np.ones(3), 1.0, 1.0)


def test_margins_in_many_variables_are_estimated_within_a_factor_of_four():
    x = np.linspace(1, 2, 5 * PROBES)
    exact = (np.sum(x**2) - 3.0) / np.linalg.norm(2 * x)
    assert exact / 4 < margin(lambda x: jnp.abs(jnp.sum(x * x) - 3.0), x) < 4 * exact


@pytest.mark.user_style
def test_a_branch_that_is_not_taken_is_infinitely_far():
    def f(x):
        return jax.lax.cond(x[0] > 0, lambda v: jnp.sum(v), lambda v: jnp.sum(jnp.abs(v)), x)

    assert margin(f, [1.0, 0.0, 0.0]) == 1.0  # the distance to x[0] = 0, not that of |x[1]|
    assert margin(f, [-1.0, 0.0, 0.0]) == 0.0


def test_nan_leaves_no_margin():
    assert margin(lambda x: jnp.sum(jnp.abs(jnp.log(x))), [-1.0, 1.0, 2.0]) == 0.0


@pytest.mark.user_style
@pytest.mark.parametrize("asks", [jnp.isnan, lambda a: ~jnp.isfinite(a), lambda a: ~(a <= a)])
@pytest.mark.parametrize("edge", [lambda v: jnp.log(v - 1), lambda v: (v - 1) ** 2.5])
def test_the_margin_is_zero_at_and_beside_the_place_where_a_number_stops_being_finite(asks, edge):
    def f(x):
        return (x[0] - 1) ** 2 + jnp.where(asks(edge(x[0])), -5.0, 0.0)

    for aside in (0.0, 1e-12, 1e-7):
        assert margin(f, [1.0 + aside]) == 0.0
        assert not karush.certify(karush.Problem(f, [1.0]), [1.0 + aside]).success
    assert margin(f, [1.01]) > 0.001


@pytest.mark.user_style
def test_missing_data_are_no_kink():
    data = np.array([0.0, np.nan, 2.0])
    problem = karush.Problem(lambda x: jnp.nansum((data - x[0]) ** 2), [0.5])
    assert margin(problem.objective, [1.0]) == np.inf
    assert karush.certify(problem, [1.0]).success


def test_parameters_are_no_variables():
    with float64():
        closed = jax.make_jaxpr(lambda x, p: (jnp.sum(x * jnp.abs(p)), jnp.zeros(0)))(jnp.zeros(2), jnp.zeros(2))
    assert kinks(closed) == ()
