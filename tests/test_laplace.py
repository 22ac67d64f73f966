"""The Laplace approximation is exact for normal models, and refused where there is no normal approximation."""

from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.core.errors import OptionError, SensitivityError

pytestmark = pytest.mark.user_style

EPS = float(np.finfo(float).eps)
LOG_2PI = np.log(2.0 * np.pi)
ROWS, COLUMNS, NOISE, PRIOR = 30, 6, 0.3, 2.0
RNG = np.random.default_rng(3)
A = RNG.normal(size=(ROWS, COLUMNS))
B = A @ RNG.normal(size=COLUMNS) + NOISE * RNG.normal(size=ROWS)


def negative_log_joint(w):
    """Linear regression: b = A w + noise, w ~ N(0, PRIOR²)."""
    residual = (A @ w - B) / NOISE
    normaliser = 0.5 * (ROWS + COLUMNS) * LOG_2PI + ROWS * np.log(NOISE) + COLUMNS * np.log(PRIOR)
    return 0.5 * jnp.sum(residual**2) + 0.5 * jnp.sum((w / PRIOR) ** 2) + normaliser


@cache
def linear(method):
    return karush.laplace(negative_log_joint, np.zeros(COLUMNS), method=method)


def truth():
    """Mean, covariance, and the log of the normal density of b with covariance NOISE² I + PRIOR² A Aᵀ."""
    covariance = np.linalg.inv(A.T @ A / NOISE**2 + np.eye(COLUMNS) / PRIOR**2)
    marginal = NOISE**2 * np.eye(ROWS) + PRIOR**2 * A @ A.T
    log_det = np.linalg.slogdet(marginal)[1]
    evidence = -0.5 * (B @ np.linalg.solve(marginal, B) + log_det + ROWS * LOG_2PI)
    return covariance @ A.T @ B / NOISE**2, covariance, evidence


def test_log_evidence_and_covariance_of_a_normal_linear_model_are_exact():
    mean, covariance, evidence = truth()
    found = linear("dense")
    assert abs(found.log_evidence - evidence) <= 1e-10 * abs(evidence)
    assert np.abs(found.covariance - covariance).max() <= 1e-10 * np.abs(covariance).max()
    assert np.abs(found.mean - mean).max() <= 1e-10 * np.abs(mean).max()
    assert found.log_evidence_error == 0.0


def test_products_alone_give_the_same_covariance_and_a_log_evidence_within_its_error():
    _, covariance, evidence = truth()
    found = linear("products")
    assert found.method == "products"
    direction = np.arange(1.0, COLUMNS + 1.0)
    expected = covariance @ direction
    assert np.abs(found.covariance_product(direction) - expected).max() <= 1e-9 * np.abs(expected).max()
    assert found.log_evidence_error > 0.0
    assert abs(found.log_evidence - evidence) <= 6.0 * found.log_evidence_error


@cache
def test_lanczos_steps_that_have_not_settled_show_in_the_error_and_refuse_samples():
    """Diagonal H: the probes agree to rounding on an estimate that is wrong by nats, so their spread is no error."""
    diagonal = np.geomspace(1e-3, 1.0, 200)
    posterior = karush.laplace(
        lambda x: 0.5 * jnp.sum(diagonal * (x - 1.0) ** 2), np.zeros(200), method="products", steps=8
    )
    off = posterior.log_evidence - 0.5 * (200 * LOG_2PI - np.sum(np.log(diagonal)))
    assert abs(off) > 1.0
    assert abs(off) <= posterior.log_evidence_error
    with pytest.raises(SensitivityError, match="have not settled: the last half of steps=8"):
        posterior.sample(1)


def chain():
    """A random walk of 80 steps observed with noise: H is tridiagonal."""
    data = np.sin(np.arange(80) / 7.0)
    problem = karush.Problem(
        lambda x: 0.5 * jnp.sum((x[1:] - x[:-1]) ** 2) / 0.1 + 0.5 * jnp.sum((x - data) ** 2) / 0.3, np.zeros(80)
    )
    return karush.minimize(problem)


def test_the_sparse_factorization_equals_the_dense_one():
    dense, sparse = karush.laplace(chain(), method="dense"), karush.laplace(chain(), method="sparse")
    assert sparse.method == "sparse"
    assert abs(dense.log_evidence - sparse.log_evidence) <= 1e4 * EPS * abs(dense.log_evidence)
    assert np.abs(dense.covariance - sparse.covariance).max() <= 1e4 * EPS * np.abs(dense.covariance).max()


@pytest.mark.parametrize("method", ["dense", "sparse", "products"])
def test_the_root_of_the_covariance_squares_to_the_covariance(method):
    found = karush.laplace(chain(), method=method, steps=80)
    root = found.precision.root(np.eye(80))
    if method != "products":
        assert np.abs(root @ root.T - found.covariance).max() <= 1e-12
    else:  # each column is the symmetric root, to the accuracy of its Lanczos run
        assert np.abs(root @ root - found.covariance).max() <= 1e-8


def test_samples_have_the_mean_and_covariance_and_are_the_same_for_the_same_seed():
    found = linear("dense")
    draws = found.sample(20000, seed=1)
    assert draws.shape == (20000, COLUMNS)
    deviation = np.sqrt(np.diagonal(found.covariance))
    assert np.all(np.abs(draws.mean(axis=0) - found.mean) <= 5.0 * deviation / np.sqrt(20000))
    assert np.abs(np.cov(draws.T) - found.covariance).max() <= 0.1 * found.covariance.max()
    assert np.array_equal(draws, found.sample(20000, seed=1))


def test_mean_deviations_and_samples_have_the_structure_of_x():
    found = karush.laplace(
        lambda x: 2.0 * jnp.sum(x["a"] ** 2) + 0.5 * (x["b"] - 1.0) ** 2, {"a": np.ones(2), "b": 0.0}
    )
    assert np.allclose(found.standard_deviations["a"], 0.5, rtol=1e-12)
    assert abs(found.standard_deviations["b"] - 1.0) <= 1e-12
    assert found.sample(3)["a"].shape == (3, 2)
    assert found.sample(3)["b"].shape == (3,)
    assert "log evidence" in str(found)


def test_a_mode_on_a_bound_is_refused_by_name():
    problem = karush.Problem(
        lambda x: jnp.sum((x + 1.0) ** 2), np.array([1.0, 1.0]), bounds=(np.array([0.0, -5.0]), None)
    )
    with pytest.raises(SensitivityError, match=r"x\[0\] lower 0"):
        karush.laplace(problem)


def test_a_bound_within_three_standard_deviations_is_noted():
    problem = karush.Problem(lambda x: 0.5 * jnp.sum(x**2), np.array([1.0, 1.0]), bounds=(-2.0, None))
    found = karush.laplace(problem)
    assert "x[0] lies 2.0 standard deviations from its bound" in found.notes[0]
    assert not karush.laplace(lambda x: 0.5 * jnp.sum(x**2), np.array([1.0, 1.0])).notes


def test_variables_that_the_data_do_not_determine_are_refused():
    with pytest.raises(SensitivityError, match="not positive definite"):
        karush.laplace(lambda x: (x[0] + x[1] - 1.0) ** 2, np.array([1.0, 2.0]))


def test_a_saddle_is_refused():
    result = karush.minimize(lambda x: x[0] ** 2 + x[1] ** 4, np.array([1.0, 1.0]))
    assert not result.success
    with pytest.raises(SensitivityError, match="not a certified minimum"):
        karush.laplace(result)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "exact"}, "method is 'exact'"),
        ({"probes": 1}, "probes is 1"),
        ({"steps": 0}, "steps is 0"),
        ({"method": "sparse"}, "no sparsity pattern"),
    ],
)
def test_a_wrong_option_names_itself_its_value_and_the_cure(options, words):
    result = karush.minimize(negative_log_joint, np.zeros(COLUMNS))
    with pytest.raises(OptionError, match=words):
        karush.laplace(result, **options)
    with pytest.raises(OptionError, match="count is 0"):
        linear("dense").sample(0)


def test_a_constraint_within_three_standard_deviations_is_noted():
    """x₀ + x₁ has variance 2 and its limit at 1.4: 1.4 / √2 standard deviations."""
    near = karush.between(lambda x: x[0] + x[1], upper=1.4, name="sum")
    far = karush.between(lambda x: x[0] - x[1], upper=10.0, name="difference")
    posterior = karush.laplace(lambda x: 0.5 * jnp.sum(x**2), np.full(2, 0.3), constraints=[near, far])
    assert posterior.notes == ("sum lies 1.0 standard deviations from its limit: the posterior is cut off there",)
    assert posterior.sample(np.int64(3)).shape == (3, 2)
