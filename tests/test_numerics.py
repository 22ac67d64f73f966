"""Stable functions: accurate against Arb in value and gradient, finite at the ends of the float range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.numerics import CASES, DTYPES, compare, exact_at
from karush import numerics
from karush.core.errors import OptionError, ProblemError

POINTS = 50
# Largest errors in ulps of value and gradient. None: the formula subtracts numbers that the input determines no better
# (a logarithm near 0, a gradient near its zero); then what is beyond that is bounded, and the mean.
LIMITS = {
    "expm1": (2, 2),
    "exprel": (2, 2),
    "powm1": (2, 2),
    "sigmoid": (2, 3),
    "tanh": (2, 3),
    "log1p": (2, 2),
    "log1pmx": (2, 2),
    "log1mexp": (2, 2),
    "logaddexp": (2, 2),
    "log_sub_exp": (3, 2),
    "softplus": (2, 2),
    "log_sigmoid": (2, 2),
    "logcosh": (2, 2),
    "log_ndtr": (3, 4),
    "xlogx": (2, 2),
    "xlogy": (2, 2),
    "cosm1": (2, 2),
    "sinc": (2, 4),
    "sqrt1pm1": (2, 2),
    "quadratic_roots": (2, None),
    "softmax": (3, 8),
    "log_softmax": (2, 5),
    "logsumexp": (None, 5),
    "log_mean_exp": (None, 5),
    "entropy": (4, None),
    "kl_divergence": (None, None),
    "binary_cross_entropy": (2, None),
    "cross_entropy": (2, 5),
    "norm": (2, 3),
    "hypot": (2, 3),
    "unit_vector": (2, None),
    "cosine_similarity": (5, None),
    "squared_distances": (4, 2),
    "variance": (4, 3),
    "standardize": (4, None),
    "compensated_sum": (1, 0),
    "compensated_dot": (1, 0),
}
MEAN_BITS = 2.0
BITS_BEYOND = 3.0
"""beyond the conditioning, where no largest error is promised; `karush.audit` calls 4 safe"""
TINY, HUGE = np.finfo(np.float32).tiny, np.finfo(np.float32).max
EXTREMES = np.array([0.0, TINY, 1e-20, 1.0, 88.0, 1e20, HUGE, np.inf], np.float32)
UNARY = (
    numerics.expm1,
    numerics.exprel,
    numerics.sigmoid,
    numerics.tanh,
    numerics.softplus,
    numerics.log_sigmoid,
    numerics.logcosh,
    numerics.log_ndtr,
    numerics.sinc,
)
POSITIVE = (numerics.log1p, numerics.log1pmx, numerics.log1mexp, numerics.sqrt1pm1, numerics.xlogx)
VECTOR = (
    numerics.softmax,
    numerics.log_softmax,
    numerics.logsumexp,
    numerics.log_mean_exp,
    numerics.entropy,
    numerics.norm,
    numerics.unit_vector,
)


@pytest.mark.user_style
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", LIMITS)
def test_value_and_gradient_are_within_a_few_ulps_of_arb_at_bit_patterns_of_the_whole_range(name, dtype):
    case = CASES[name]
    points = case.sample(np.random.default_rng(7), dtype, POINTS)
    found = compare(case.karush, points, exact_at(case, points), case)
    for part, limit in zip(("value", "gradient"), LIMITS[name], strict=True):
        errors = found[part]
        assert errors.ulps.size > 0
        if limit is None:
            assert np.isfinite(errors.largest)
            assert errors.beyond <= BITS_BEYOND, (part, errors.beyond)
            assert errors.mean_bits <= MEAN_BITS, (part, errors.mean_bits)
        else:
            assert errors.largest <= limit, (part, errors.largest, errors.points[errors.ulps.argmax()])


@pytest.mark.parametrize("f", UNARY + POSITIVE, ids=lambda f: f.__name__)
def test_no_extreme_argument_gives_nan_in_value_or_first_two_derivatives(f):
    x = EXTREMES if f in POSITIVE else np.concatenate([-EXTREMES, EXTREMES])
    first, second = jax.grad(f), jax.grad(jax.grad(f))
    for g in (f, first, second):
        got = np.asarray(jax.jit(jax.vmap(g))(x))
        assert got.dtype == np.float32
        assert not np.isnan(got).any(), x[np.isnan(got)]


@pytest.mark.parametrize("f", VECTOR, ids=lambda f: f.__name__)
def test_no_extreme_vector_gives_nan_in_value_or_gradient(f):
    rows = np.array(
        [[1e30, -1e30, 0], [np.inf, 0, 1], [-np.inf] * 3, [0, 0, 0], [HUGE, HUGE, -HUGE], [TINY, 0, -TINY]], np.float32
    )
    weights = np.array([1.0, 0.5, 0.25], np.float32)

    def scalar(x):
        y = f(x)
        return jnp.sum(jnp.where(jnp.abs(y) < jnp.inf, y, 0.0) * (weights if y.ndim else 1.0))

    assert not np.isnan(np.asarray(jax.vmap(f)(rows))).any()
    assert not np.isnan(np.asarray(jax.jit(jax.vmap(jax.grad(scalar)))(rows))).any()


def test_softmax_of_equal_entries_is_uniform_however_large_they_are():
    for c in (0.0, 1e4, -1e4, HUGE, -HUGE, np.inf, -np.inf):
        np.testing.assert_array_equal(numerics.softmax(np.full(4, c, np.float32)), np.full(4, 0.25, np.float32))


def test_log_softmax_keeps_the_small_weight_that_log_of_softmax_absorbs():
    x = np.array([0.0, -50.0], np.float32)
    assert jax.nn.log_softmax(x)[0] == 0.0
    np.testing.assert_allclose(numerics.log_softmax(x)[0], -np.exp(-50.0), rtol=4 * 2.0**-24)
    slope = jax.grad(numerics.cross_entropy)(x, 0)
    np.testing.assert_allclose(slope, [-np.exp(-50.0), np.exp(-50.0)], rtol=4 * 2.0**-24)


def test_derivatives_at_singular_points_are_the_documented_choices():
    zero = np.zeros(3, np.float32)
    floor = np.float32(np.log(float(TINY)))
    np.testing.assert_array_equal(jax.grad(numerics.norm)(zero), zero)
    np.testing.assert_array_equal(jax.jacobian(numerics.unit_vector)(zero), np.zeros((3, 3)))
    np.testing.assert_array_equal(jax.grad(numerics.cosine_similarity)(zero, zero + 1), zero)
    np.testing.assert_array_equal(jax.jacobian(numerics.standardize)(zero + 5), np.zeros((3, 3)))
    np.testing.assert_allclose(jax.grad(numerics.xlogx)(np.float32(0)), 1 + floor, rtol=1e-6)
    assert jax.grad(lambda x: jnp.where(x > 0, numerics.xlogx(x), 0.0))(np.float32(0)) == 0.0
    assert jax.grad(numerics.hypot)(np.float32(0), np.float32(0)) == 0.0


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_axes_masks_and_weights_mean_what_they_mean_in_jax(axis, keepdims):
    rng = np.random.default_rng(1)
    x, b = rng.standard_normal((2, 3, 4, 5)).astype(np.float32)
    where = rng.random((3, 4, 5)) < 0.7
    close = dict(rtol=2e-6, atol=1e-6)
    options = dict(axis=axis, keepdims=keepdims)
    lse = jax.nn.logsumexp(x, where=where, b=np.abs(b), **options)
    np.testing.assert_allclose(numerics.logsumexp(x, where=where, b=np.abs(b), **options), lse, **close)
    np.testing.assert_allclose(
        numerics.variance(x, where=where, **options), jnp.var(x, where=where, **options), **close
    )
    np.testing.assert_allclose(numerics.norm(x, **options), np.sqrt(np.sum(x * x, **options)), **close)
    np.testing.assert_allclose(
        numerics.compensated_sum(x, where=where, **options), np.sum(x, where=where, **options), **close
    )
    np.testing.assert_allclose(numerics.compensated_dot(x, b, **options), np.sum(x * b, **options), **close)
    np.testing.assert_allclose(numerics.softmax(x, axis, where=where), jax.nn.softmax(x, axis, where=where), **close)
    mine, theirs = numerics.log_softmax(x, axis, where=where), jax.nn.log_softmax(x, axis, where=where)
    np.testing.assert_allclose(mine[where], theirs[where], **close)
    if axis is not None:
        mine = numerics.standardize(x, axis, epsilon=1e-5, where=where)
        np.testing.assert_allclose(mine[where], jax.nn.standardize(x, axis, where=where)[where], rtol=1e-4, atol=1e-5)


def test_second_derivatives_equal_those_of_the_formula():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 5))
    pairs = (
        (numerics.logsumexp, jax.nn.logsumexp),
        (lambda v: numerics.logsumexp(v, b=jnp.square(v)), lambda v: jax.nn.logsumexp(v, b=jnp.square(v))),
        (numerics.log_mean_exp, jax.nn.logsumexp),
        (lambda v: numerics.softmax(v)[0], lambda v: jax.nn.softmax(v)[0]),
        (numerics.entropy, lambda v: -jnp.sum(jax.nn.softmax(v) * jax.nn.log_softmax(v))),
        (
            lambda v: numerics.kl_divergence(v, y),
            lambda v: (
                jnp.sum(jax.nn.softmax(v) * jax.nn.log_softmax(v)) - jnp.sum(jax.nn.softmax(v) * jax.nn.log_softmax(y))
            ),
        ),
        (numerics.norm, jnp.linalg.norm),
        (numerics.variance, jnp.var),
        (lambda v: numerics.standardize(v)[0], lambda v: jax.nn.standardize(v, epsilon=0.0)[0]),
        (lambda v: numerics.cosine_similarity(v, y), lambda v: v @ y / jnp.linalg.norm(v) / jnp.linalg.norm(y)),
        (lambda v: numerics.cross_entropy(v, 2), lambda v: -jax.nn.log_softmax(v)[2]),
        (lambda v: numerics.quadratic_roots(v[0], 5.0 + v[1], v[2])[1], lambda v: _upper_root(v[0], 5.0 + v[1], v[2])),
        (lambda v: jnp.sum(numerics.sinc(v) + numerics.exprel(v)), lambda v: jnp.sum(jnp.sinc(v) + jnp.expm1(v) / v)),
        (lambda v: jnp.sum(numerics.log_ndtr(v)), lambda v: jnp.sum(jax.scipy.stats.norm.logcdf(v))),
        (lambda v: jnp.sum(numerics.xlogx(v * v)), lambda v: jnp.sum(v * v * jnp.log(v * v))),
    )
    with jax.enable_x64(True):
        for mine, formula in pairs:
            x64 = jnp.asarray(x)
            np.testing.assert_allclose(jax.hessian(mine)(x64), jax.hessian(formula)(x64), rtol=1e-10, atol=1e-10)


def _upper_root(a, b, c):
    root = jnp.sqrt(b * b - 4.0 * a * c)
    return jnp.maximum((-b - root) / (2.0 * a), (-b + root) / (2.0 * a))


def test_second_derivative_of_log_ndtr_in_the_far_tail_is_minus_one():
    got = jax.vmap(jax.grad(jax.grad(numerics.log_ndtr)))(np.array([-1e3, -1e10, -1e30, -np.inf], np.float32))
    np.testing.assert_allclose(got, [-1.0 + 1e-6, -1.0, -1.0, -1.0], rtol=4 * 2.0**-24)


def test_a_compensated_sum_survives_jit_and_products_that_could_be_fused_into_it():
    rng = np.random.default_rng(3)
    big = rng.standard_normal(1000).astype(np.float32) * np.float32(1e8)
    x = rng.permutation(np.concatenate([big, -big, np.float32([1.0, 2.0**-10])]))
    assert jax.jit(numerics.compensated_sum)(x) == 1.0 + 2.0**-10
    y = rng.standard_normal(x.size).astype(np.float32)
    exact = float(np.sum(x.astype(np.longdouble) * y.astype(np.longdouble)))
    np.testing.assert_allclose(jax.jit(numerics.compensated_dot)(x, y), exact, rtol=2 * 2.0**-24)


def test_a_dot_product_and_a_sum_are_right_to_the_last_bit_where_parts_leave_the_float_range():
    x, y = np.float32([2.0**100, 2.0**-100]), np.float32([2.0**-126, 2.0**120])
    assert numerics.compensated_dot(x, y) == np.float32(2.0**20 + 2.0**-26)
    tiny = np.float32([3.0, -3.0, 1.0]) * np.float32(2.0**-60)
    assert numerics.compensated_dot(tiny, tiny[::-1]) == np.float32(15.0 * 2.0**-120)
    assert numerics.compensated_sum(np.float32([HUGE, HUGE, -HUGE])) == HUGE
    assert numerics.compensated_sum(np.float32([np.inf, 1.0])) == np.inf
    assert numerics.compensated_dot(np.float32([np.inf, 1.0]), np.float32([1.0, 0.0])) == np.inf


def test_a_weight_too_small_for_a_float_still_counts_where_it_is_multiplied_by_its_logarithm():
    x = np.float32([0.0, -88.5])
    weight = np.exp(-88.5)
    np.testing.assert_allclose(numerics.entropy(x), 89.5 * weight, rtol=8 * 2.0**-23)
    np.testing.assert_allclose(jax.jit(jax.grad(numerics.entropy))(x)[1], 88.5 * weight, rtol=8 * 2.0**-23)


def test_the_variance_of_a_scaled_product_is_that_of_what_it_is_scaled_from():
    # Inside one jit a product may be fused into the subtraction of the mean, and then it has no rounding error to know.
    x = np.random.default_rng(4).standard_normal(100).astype(np.float32) + np.float32(300.0)
    slope = jax.jit(lambda v, c: jax.grad(numerics.variance)(c * v))(x, np.float32(0.1))
    product = np.float32(0.1) * x
    wide = product.astype(np.float64)
    np.testing.assert_allclose(slope, 2.0 * (wide - wide.mean()) / wide.size, rtol=0, atol=1e-7)


def test_integers_become_floats_narrow_floats_stay_narrow_and_complex_numbers_are_refused():
    assert numerics.softmax(np.array([1, 2, 3])).dtype == jnp.float32
    assert numerics.softplus(3).dtype == jnp.float32
    assert numerics.norm(jnp.ones(3, jnp.bfloat16)).dtype == jnp.bfloat16
    assert numerics.logaddexp(np.float32(1), 2.0).dtype == jnp.float32
    with jax.enable_x64(True):
        assert numerics.logsumexp(jnp.ones(3)).dtype == jnp.float64
        assert numerics.logsumexp(jnp.ones(3, jnp.float32)).dtype == jnp.float32
    with pytest.raises(ProblemError, match="complex64"):
        numerics.norm(np.array([1j], np.complex64))
    with pytest.raises(ProblemError, match="array of real numbers"):
        numerics.softplus("three")


def test_what_does_not_fit_is_refused_by_name():
    x = np.ones((2, 3), np.float32)
    for call, error, words in (
        (lambda: numerics.softmax(x, axis=2), OptionError, "axis 2"),
        (lambda: numerics.norm(x, axis=(0, 0)), OptionError, "twice"),
        (lambda: numerics.logsumexp(x, where=np.ones(2, bool)), OptionError, "broadcast"),
        (lambda: numerics.logsumexp(x, where=x), OptionError, "boolean"),
        (lambda: numerics.logsumexp(x, b=np.ones(4, np.float32)), OptionError, "shape of x"),
        (lambda: numerics.softmax(np.ones((2, 0), np.float32)), ProblemError, "no entry"),
        (lambda: numerics.logaddexp(x, np.ones(2, np.float32)), ProblemError, "broadcast"),
        (lambda: numerics.cross_entropy(x, np.zeros(3, np.int32)), ProblemError, "labels"),
        (lambda: numerics.squared_distances(x, np.ones((2, 4), np.float32)), ProblemError, "n, d"),
        (lambda: numerics.variance(x, ddof=-1), OptionError, "ddof"),
        (lambda: numerics.standardize(x, epsilon=-1.0), OptionError, "epsilon"),
    ):
        with pytest.raises(error, match=words):
            call()
