"""Least squares: the methods, the elimination of linear parameters, losses, weights, bounds, and bad input."""

import pickle
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import karush
from karush.core.errors import OptionError, ProblemError, TraceError
from karush.core.status import Status, Verdict
from karush.fitting.options import METHODS

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.nist_data import digits, load

pytestmark = pytest.mark.user_style
EPS = float(np.finfo(np.float64).eps)
TOL = 1e-8
TIMES = np.linspace(0.0, 4.0, 25)
NOISE = 0.05 * np.sin(7.0 * np.arange(25) ** 2)
DECAY = 2.5 * np.exp(-1.3 * TIMES) + 0.5 + NOISE
CACHE: dict = {}


def decay(x):
    """Three parameters, two of them linear."""
    return x["size"] * jnp.exp(-x["rate"] * TIMES) + x["floor"] - DECAY


START = {"size": 1.0, "rate": 0.5, "floor": 0.0}


def fitted(**options):
    """The decay's fit, once for each set of options."""
    key = tuple(sorted(options.items()))
    if key not in CACHE:
        CACHE[key] = karush.least_squares(decay, START, **options)
    return CACHE[key]


def flat_decay(x):
    return x[0] * np.exp(-x[1] * TIMES) + x[2] - DECAY


@pytest.mark.parametrize("name", ["Misra1a", "MGH10", "Bennett5", "Lanczos3", "BoxBOD"])
def test_six_certified_digits_of_nist_from_both_starts(name):
    data = load(name)
    for start in data.starts:
        result = karush.least_squares(data.residual, start)
        assert result.success
        assert digits(result.x, data.certified) >= 6.0
        assert digits(np.asarray(result.standard_errors), data.deviations) >= 6.0
        assert 2.0 * result.cost == pytest.approx(data.sum_of_squares, rel=1e-6)


def test_a_start_off_by_a_hundred_is_searched_from_and_the_notes_say_so():
    data = load("Rat42")
    result = karush.least_squares(data.residual, data.starts[0] * np.array([100.0, 100.0, 0.01]))
    assert digits(result.x, data.certified) >= 6.0
    assert any("other starts were tried" in note for note in result.notes)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("driver", ["python", "fused"])
def test_every_method_and_driver_finds_the_same_minimum(method, driver):
    result = fitted(method=method, driver=driver)
    reference = fitted()
    assert result.success
    assert result.status is Status.CONVERGED
    # tol bounds the cosine, so the step that is left is tol of a standard deviation times √(m − n).
    spread = np.sqrt(np.diagonal(reference.covariance())) * np.sqrt(22)
    assert np.all(np.abs(result.x_flat - reference.x_flat) <= TOL * spread)


def test_the_compiled_driver_takes_the_steps_of_the_python_loop():
    one, other = fitted(method="dog-leg"), fitted(method="dog-leg", driver="fused")
    assert one.iterations == other.iterations
    assert one.residual_evaluations == other.residual_evaluations
    assert one.jacobian_evaluations == other.jacobian_evaluations


def test_linear_regression_is_its_closed_form_in_one_step():
    matrix = np.stack([np.ones(25), TIMES, TIMES**2], axis=1)
    result = karush.least_squares(lambda x: matrix @ x - DECAY, np.zeros(3))
    expected = np.linalg.lstsq(matrix, DECAY)[0]
    condition = np.linalg.cond(matrix)
    assert np.max(np.abs(result.x - expected)) <= 64 * EPS * condition * np.linalg.norm(expected)
    assert result.certificate.verdict is Verdict.GLOBAL_MINIMUM
    assert result.residual_evaluations == 1


def test_eliminated_parameters_are_those_the_program_is_affine_in():
    fit = fitted().fit
    names = fit.function.door.names()
    assert [names[i] for i in fit.linear] == ["floor", "size"]
    assert "eliminated" in fitted().why_method


@pytest.mark.parametrize(
    ("model", "truth", "start", "affine"),
    [
        (lambda x, t: jnp.minimum(x[0] * t, x[1]), (1.5, 3.0), (1.0, 2.0), []),
        (lambda x, t: x[0] + jnp.maximum(x[1] * t - x[2], 0.0), (1.0, 1.0, 2.0), (0.5, 1.5, 1.5), [0]),
        (lambda x, t: x[0] * jnp.abs(t - x[1]) + x[2], (2.0, 1.3, 0.5), (1.0, 1.0, 0.0), [0, 2]),
        (lambda x, t: x[0] * jnp.power(x[1] + t, -x[2]), (2.0, 1.3, 0.5), (1.0, 1.0, 1.0), [0]),
    ],
    ids=["plateau", "broken stick", "corner", "power"],
)
def test_a_parameter_under_a_kink_is_not_taken_for_an_affine_one(model, truth, start, affine):
    """Second derivatives do not see a kink; eliminated, the broken stick ended at a hundred times the residuals."""
    t = np.linspace(0.05, 4.0, 41)
    data = np.asarray(model(np.array(truth), t), dtype=float)
    fit = karush.least_squares(lambda x: model(x, t) - data, np.array(start))
    assert fit.fit.linear.tolist() == affine
    assert np.allclose(fit.x, truth, rtol=1e-5)


def test_weights_count_as_repeated_observations():
    weights = np.where(np.arange(25) % 3 == 0, 2.0, 1.0)
    repeated = np.repeat(np.arange(25), weights.astype(int))
    one = karush.least_squares(decay, START, weights=weights)
    other = karush.least_squares(lambda x: decay(x)[repeated], START)
    assert one.cost == pytest.approx(other.cost, rel=1e-12)
    assert np.allclose(one.x_flat, other.x_flat, rtol=1e-7, atol=0)


def test_a_zero_weight_leaves_an_observation_out():
    weights = np.ones(25)
    weights[4] = 0.0
    keep = np.flatnonzero(weights)
    one = karush.least_squares(decay, START, weights=weights)
    other = karush.least_squares(lambda x: decay(x)[keep], START)
    assert one.degrees_of_freedom == other.degrees_of_freedom == 21
    assert np.allclose(one.covariance(), other.covariance(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("loss", ["huber", "soft_l1", "cauchy", "arctan"])
def test_losses_are_scipys(loss):
    scale = 0.04
    ours = fitted(loss=loss, loss_scale=scale)
    theirs = scipy.optimize.least_squares(
        flat_decay, [2.5, 1.3, 0.5], loss=loss, f_scale=scale, xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    at_ours = scipy.optimize.least_squares(flat_decay, _flat(ours), loss=loss, f_scale=scale, max_nfev=1)
    assert ours.cost == pytest.approx(at_ours.cost, rel=64 * EPS) or at_ours.cost <= ours.cost
    assert ours.success
    assert ours.cost <= theirs.cost * (1.0 + 64 * EPS)


def _flat(result):
    return [result.x[name] for name in ("size", "rate", "floor")]


def test_an_active_bound_holds_its_parameter_and_the_others_fit():
    result = karush.least_squares(decay, START, bounds=(None, {"size": None, "rate": 1.0, "floor": None}))
    held = karush.least_squares(lambda x: decay({**x, "rate": 1.0}), {"size": 1.0, "floor": 0.0})
    assert result.success
    assert result.x["rate"] == pytest.approx(1.0, abs=1e-12)
    assert result.cost == pytest.approx(held.cost, rel=1e-10)
    # Moving the bound up, towards the free minimum, lowers the cost: the price is negative.
    assert result.prices["bounds"]["rate"] < 0


def test_bounds_that_are_not_active_change_nothing():
    result = karush.least_squares(decay, START, bounds=(0.0, 10.0))
    assert result.cost == pytest.approx(fitted().cost, rel=1e-12)


def test_a_sparse_jacobian_equals_the_dense_one():
    def chain(x):
        return jnp.concatenate([10.0 * (x[1:] - x[:-1] ** 2), 1.0 - x[:-1], 0.1 * jnp.sin(x)])

    start = np.tile([1.3, 0.7, 0.8], 8)
    sparse = karush.least_squares(chain, start, sparse=True)
    dense = karush.least_squares(chain, start, sparse=False)
    assert sparse.success
    assert sparse.cost == pytest.approx(dense.cost, rel=1e-12)
    there = karush.least_squares(chain, sparse.x, sparse=False).jacobian
    assert np.max(np.abs(sparse.jacobian.toarray() - there)) <= 1e-6 * np.max(np.abs(there))
    assert np.allclose(sparse.covariance(), dense.covariance(), rtol=1e-5, atol=1e-12)

    def interrupt(row):
        if row["iteration"] == 2:
            raise KeyboardInterrupt

    stopped = karush.least_squares(chain, start, sparse=True, callback=interrupt)
    assert stopped.status is karush.Status.INTERRUPTED
    assert sparse.cost < stopped.cost < 0.5 * float(np.sum(chain(start) ** 2))


def test_large_residuals_are_solved_with_the_exact_second_order_term():
    # Gauss–Newton diverges here: its linear factor is |λ| = 4 > 1, as the residual's curvature outweighs JᵀJ.
    result = karush.least_squares(lambda x: jnp.stack([x[0] + 1.0, 0.45 * x[0] ** 2 + x[0] - 1.0]), [1.0])
    assert result.success
    assert abs(float(jnp.dot(result.jacobian[:, 0], result.weighted_residual))) <= 1e-8


def test_a_fit_of_pytrees_and_params_returns_them():
    def residual(x, data):
        return {"a": x["rate"] * data["t"] - data["y"], "b": x["rate"][None] - 2.0}

    data = {"t": np.array([1.0, 2.0]), "y": np.array([2.0, 4.0])}
    result = karush.least_squares(residual, {"rate": 1.0}, params=data, weights={"a": 4.0, "b": None})
    assert result.x["rate"] == pytest.approx(2.0, abs=1e-14)
    assert set(result.residual) == {"a", "b"}
    assert result.residual["a"].shape == (2,)


def test_progress_callback_and_limits():
    seen = []
    stopped = karush.least_squares(decay, START, callback=lambda row: seen.append(row) or len(seen) == 2)
    assert stopped.status is Status.STOPPED
    assert [row["iteration"] for row in seen] == [1, 2]
    limited = karush.least_squares(decay, START, method="levenberg-marquardt", max_iterations=1)
    assert limited.status in (Status.ITERATION_LIMIT, Status.CONVERGED)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"residual": lambda x: jnp.sum(x["rate"] ** 2)}, TraceError, ["shape ()", "sum of squares"]),
        ({"x0": {"size": 1.0, "rate": np.nan, "floor": 0.0}}, ProblemError, ["x0", "rate", "nan", "finite"]),
        ({"loss": "hubert"}, OptionError, ["loss", "hubert", "huber"]),
        ({"loss_scale": -1.0}, OptionError, ["loss_scale", "-1.0", "positive"]),
        ({"method": "newton"}, OptionError, ["method", "newton", "levenberg-marquardt"]),
        ({"weights": -np.ones(25)}, ProblemError, ["weights", "-1.0", ">= 0"]),
        ({"weights": np.ones(7)}, ProblemError, ["weights", "(7,)", "25"]),
        ({"weights": np.zeros(25)}, ProblemError, ["weights", "all zero"]),
        ({"tollerance": 1e-3}, OptionError, ["tollerance", "tol"]),
        ({"driver": "fused", "progress": True}, OptionError, ["fused", "progress"]),
        ({"sparse": True, "method": "dog-leg"}, OptionError, ["dog-leg", "sparse"]),
        ({"residual": 3.0}, ProblemError, ["residual", "float"]),
    ],
)
def test_bad_input_is_named_with_its_value_and_the_cure(arguments, error, words):
    given = {"residual": decay, "x0": START, **arguments}
    with pytest.raises(error) as caught:
        karush.least_squares(given.pop("residual"), given.pop("x0"), **given)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_residuals_that_are_nowhere_finite_are_no_success():
    result = karush.least_squares(lambda x: jnp.log(-jnp.sum(x**2) - 1.0) * jnp.ones(4), np.array([1.0, 2.0]))
    assert result.status is Status.EVALUATION_FAILED
    assert not result.success


def test_a_wild_observation_is_no_doubt_where_the_loss_bounds_it():
    wild = np.where(np.arange(25) == 7, 40.0, 0.0)
    robust = karush.least_squares(lambda x: decay(x) - wild, START, loss="huber", loss_scale=0.05)
    assert robust.success
    assert not any("in doubt" in note for note in robust.notes)


def test_the_search_for_other_starts_ends_at_the_time_limit():
    """One round of the search takes many times the limit."""
    times = np.linspace(0.0, 1.0, 20_000)
    data = np.sin(40.0 * times)

    def residual(x):
        return x[0] * jnp.exp(-x[1] * times) * jnp.cos(x[2] * times) - data

    limit = 3.0
    fit = karush.least_squares(residual, np.array([1.0, 1.0, 3.0]), time_limit=limit)
    assert fit.seconds < 3.0 * limit
    assert fit.status is Status.TIME_LIMIT or "until time limit" in fit.notes[0]


def test_weights_are_a_pytree_of_arrays_of_any_lengths():
    def both(x):
        return {"first": x[0] * TIMES - 1.0, "others": (x[1] * TIMES[:3] - 2.0,)}

    def tupled(x):
        return x[0] * TIMES - 1.0, x[1] * TIMES[:3] - 2.0

    first, second = np.linspace(1.0, 2.0, 25), np.array([1.0, 2.0, 3.0])
    one = karush.least_squares(both, np.ones(2), weights={"first": first, "others": (second,)})
    other = karush.least_squares(tupled, np.ones(2), weights=(first, second))
    assert np.array_equal(one.fit.root_weights, np.sqrt(np.concatenate([first, second])))
    assert np.array_equal(one.fit.root_weights, other.fit.root_weights)


def test_a_residual_without_numbers_is_refused():
    with pytest.raises(ProblemError, match="residual returned no numbers"):
        karush.least_squares(lambda x: x[:0], np.ones(2))


def test_a_stored_fit_keeps_its_numbers():
    fit = fitted()
    again = pickle.loads(pickle.dumps(fit))
    assert np.array_equal(again.covariance(), fit.covariance())
    assert np.array_equal(again.residual, fit.residual)
    assert str(again) == str(fit)
