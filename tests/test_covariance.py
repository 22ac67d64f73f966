"""What is said of the uncertainty of an estimate: closed forms, coverage, and refusals."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import karush
from karush.core.errors import OptionError, ProblemError
from karush.fitting import covariance as covariances

pytestmark = pytest.mark.user_style
EPS = float(np.finfo(np.float64).eps)
GRID = np.linspace(-1.0, 2.0, 20)
MATRIX = np.stack([np.ones(20), GRID, np.sin(3.0 * GRID)], axis=1)
Y = MATRIX @ np.array([1.0, -2.0, 0.5]) + 0.1 * np.cos(11.0 * np.arange(20) ** 2)


def line(x):
    return MATRIX @ x - Y


@pytest.fixture(scope="module")
def fit():
    return karush.least_squares(line, np.zeros(3))


def test_covariance_of_a_linear_regression_is_its_closed_form(fit):
    inverse = np.linalg.inv(MATRIX.T @ MATRIX)
    r = line(np.linalg.lstsq(MATRIX, Y)[0])
    expected = float(r @ r) / 17 * inverse
    assert np.allclose(fit.covariance(), expected, rtol=1e-12, atol=0)
    assert np.allclose(fit.standard_errors, np.sqrt(np.diagonal(expected)), rtol=1e-12, atol=0)
    assert fit.residual_standard_deviation == pytest.approx(np.sqrt(r @ r / 17), rel=1e-12)
    scale = np.sqrt(np.outer(np.diagonal(expected), np.diagonal(expected)))
    assert np.allclose(fit.correlation(), expected / scale, rtol=1e-11, atol=0)


def test_the_sandwich_of_a_linear_regression_is_hc1(fit):
    r = np.asarray(line(fit.x))
    inverse = np.linalg.inv(MATRIX.T @ MATRIX)
    expected = 20 / 17 * inverse @ (MATRIX.T * r**2) @ MATRIX @ inverse
    assert np.allclose(fit.covariance(robust=True), expected, rtol=1e-11, atol=0)


def test_known_variances_give_the_inverse_of_the_weighted_normal_matrix():
    weights = 1.0 + np.arange(20.0)
    result = karush.least_squares(line, np.zeros(3), weights=weights)
    expected = np.linalg.inv((MATRIX.T * weights) @ MATRIX)
    assert np.allclose(result.covariance(absolute=True), expected, rtol=1e-11, atol=0)
    lower, upper = result.confidence_intervals(0.9, absolute=True)
    width = 2.0 * scipy.stats.norm.ppf(0.95) * np.sqrt(np.diagonal(expected))
    assert np.allclose(upper - lower, width, rtol=1e-10, atol=0)


def test_confidence_intervals_are_students(fit):
    lower, upper = fit.confidence_intervals(0.95)
    width = 2.0 * scipy.stats.t.ppf(0.975, 17) * np.asarray(fit.standard_errors)
    assert np.allclose(upper - lower, width, rtol=1e-12, atol=0)


def test_intervals_cover_the_truth_as_often_as_they_say():
    truth = np.array([2.0, 1.3])
    times = np.linspace(0.0, 2.0, 30)
    generator = np.random.default_rng(5)
    trials, covered = 120, np.zeros(2)
    clean = truth[0] * np.exp(-truth[1] * times)
    # One traced problem: the data are variables fixed by their bounds no more than by params.
    matrix_free = karush.least_squares(lambda b: b[0] * jnp.exp(-b[1] * times) - clean, truth).jacobian
    for _ in range(trials):
        noise = 0.05 * generator.standard_normal(30)
        # At a small noise the fit moves by the linear part; the covariance is what is tested.
        step = np.linalg.lstsq(matrix_free, noise)[0]
        left = noise - matrix_free @ step
        variance = float(left @ left) / 28
        errors = np.sqrt(np.diagonal(covariances.classical(matrix_free, variance, ("a", "b"))))
        covered += np.abs(step) <= scipy.stats.t.ppf(0.95, 28) * errors
    # Binomial: 90 % of 120 is 108 ± 3.3; four standard deviations.
    assert np.all(np.abs(covered - 0.9 * trials) <= 4.0 * np.sqrt(trials * 0.09))


def test_ten_digits_of_the_inverse_where_the_normal_matrix_has_none():
    # Condition 1e9: JᵀJ is singular to rounding, R is not.
    tall = np.stack([np.ones(6), 1.0 + 1e-9 * np.arange(6.0)], axis=1)
    half = covariances.inverse_factor(tall, ("a", "b"))
    spread = float(np.sum((tall[:, 1] - tall[:, 1].mean()) ** 2))
    assert (half @ half.T)[1, 1] == pytest.approx(1.0 / spread, rel=1e-5)


def test_too_few_residuals_are_refused_with_the_cure():
    result = karush.least_squares(lambda x: jnp.stack([x[0] - 1.0, x[1] - 2.0]), np.zeros(2))
    assert result.success
    with pytest.raises(ProblemError, match=r"2 residuals and 2 parameters leave 0 degrees.*more observations"):
        result.covariance()


def test_parameters_that_the_data_do_not_tell_apart_are_named():
    with pytest.raises(ProblemError, match=r"rank deficient.*do not tell (a|b), (a|b) apart; fix one"):
        covariances.inverse_factor(np.stack([GRID, 2.0 * GRID], axis=1), ("a", "b"))
    with pytest.raises(ProblemError, match="do not depend on b"):
        covariances.inverse_factor(np.stack([GRID, 0.0 * GRID], axis=1), ("a", "b"))


def test_an_active_bound_is_refused_and_can_be_held():
    result = karush.least_squares(line, np.zeros(3), bounds=(None, np.array([0.5, np.inf, np.inf])))
    with pytest.raises(ProblemError, match=r"x\[0\] = 0.5 is at its bound.*hold_active=True"):
        result.covariance()
    r = np.asarray(line(result.x))
    expected = float(r @ r) / 18 * np.linalg.inv(MATRIX[:, 1:].T @ MATRIX[:, 1:])
    held = result.covariance(hold_active=True)
    assert np.allclose(held[1:, 1:], expected, rtol=1e-9, atol=0)
    assert np.all(held[0] == 0.0)
    assert "at its bound" in str(result)


def test_a_point_that_is_no_minimum_has_no_covariance():
    stopped = karush.least_squares(
        lambda x: jnp.exp(x) * jnp.ones(5) - np.arange(5.0), np.array([3.0]), callback=lambda row: True
    )
    assert not stopped.success
    with pytest.raises(ProblemError, match="no minimum"):
        stopped.covariance()


def test_a_robust_fit_uses_the_sandwich_and_is_not_moved_by_an_outlier(fit):
    wild = Y.copy()
    wild[7] += 100.0
    robust = karush.least_squares(lambda x: MATRIX @ x - wild, np.zeros(3), loss="huber", loss_scale=0.1)
    assert robust.success
    errors = np.asarray(robust.standard_errors)
    assert np.all(np.abs(robust.x - fit.x) <= 4.0 * errors)
    slope = (np.abs(robust.weighted_residual) <= 0.1).astype(float)
    influence = np.clip(robust.weighted_residual, -0.1, 0.1)
    bread = np.linalg.inv((MATRIX.T * slope) @ MATRIX)
    expected = 20 / 17 * bread @ (MATRIX.T * influence**2) @ MATRIX @ bread
    assert np.allclose(robust.covariance(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, True, "95 %"])
def test_a_level_that_is_no_probability_is_refused(fit, level):
    with pytest.raises(OptionError, match="level"):
        fit.confidence_intervals(level)


def test_the_printed_table_shows_estimates_with_their_errors(fit):
    text = str(fit)
    assert "estimates" in text
    assert f"± {float(fit.standard_errors[0]):.3g}" in text
    assert "17 degrees of freedom" in text


def test_fewer_residuals_than_parameters_have_no_covariance_even_with_known_variances():
    """A flat minimum is a minimum, so the fit succeeds."""
    found = karush.least_squares(lambda x: jnp.array([x[0] + x[1] - 1.0]), np.ones(2))
    assert found.success
    with pytest.raises(ProblemError, match="1 residuals do not tell 2 parameters apart"):
        found.covariance(absolute=True)


def test_known_variances_are_refused_where_the_sandwich_would_ignore_them(fit):
    robust = karush.least_squares(line, np.zeros(3), loss="soft_l1")
    for found, options in ((fit, {"robust": True}), (robust, {})):
        with pytest.raises(OptionError, match="absolute is True, but the sandwich"):
            found.confidence_intervals(absolute=True, **options)
