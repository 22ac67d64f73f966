"""The interior point finds the minima, leaves what is none, and says why it ended."""

import os
import signal
import time

import jax.numpy as jnp
import numpy as np
import pytest
from solving import KNOWN, disc, prepared, rosenbrock, saddle

import karush
from karush import Status, Verdict, between, equal
from karush.solvers.run import evaluation_failure

pytestmark = pytest.mark.user_style
EPS = np.finfo(float).eps


@pytest.mark.parametrize("name", KNOWN)
def test_the_known_minimum_is_found_and_certified(name):
    make, x = KNOWN[name]
    result = prepared(make).solve(method="interior-point")
    assert result.success
    assert result.status is Status.CONVERGED
    np.testing.assert_allclose(result.x, x, atol=2e-8 * np.max(np.abs(x)))


@pytest.mark.parametrize("name", KNOWN)
def test_multipliers_make_the_lagrangian_stationary_and_have_the_sign_of_their_side(name):
    """g + Jᵀy + z = 0; λ >= 0 at an upper limit, <= 0 at a lower one, 0 away from both."""
    solver = prepared(KNOWN[name][0])
    result = solver.solve()
    flat, y, z = solver.parts.flat, result.y_flat, result.z_flat
    at = solver.parts.evaluator(result.x_flat, y)
    size = 1.0 + np.max(np.abs(at.gradient))
    assert np.max(np.abs(at.gradient + y @ at.jacobian + z)) <= 1e-7 * size
    for values, multipliers, lower, upper in (
        (at.rows, y, flat.row_lower, flat.row_upper),
        (result.x_flat, z, flat.lower, flat.upper),
    ):
        free = lower < upper
        assert np.all(multipliers[free & (values > lower + 1e-5)] >= -1e-7 * size)
        assert np.all(multipliers[free & (values < upper - 1e-5)] <= 1e-7 * size)


def test_a_saddle_is_left_although_the_gradient_never_points_away():
    result = prepared(saddle).solve()
    assert result.success
    np.testing.assert_allclose(np.abs(result.x), [0.0, np.sqrt(0.5)], atol=1e-8)


def test_a_maximum_is_left():
    result = karush.minimize(lambda x: jnp.cos(x[0]), np.array([0.0]))
    assert result.success
    assert result.value == pytest.approx(-1.0, abs=1e-12)


def test_a_saddle_on_a_sphere_is_left():
    ball = equal(lambda x: x @ x, 1.0, name="sphere")
    result = karush.minimize(lambda x: x[0] + 0.25 * x[1] ** 2, np.array([1.0, 0.0]), constraints=ball)
    assert result.success
    assert result.value == pytest.approx(-1.0, abs=1e-8)


def test_a_trial_point_that_is_not_finite_is_backed_off_from():
    result = karush.minimize(lambda x: jnp.sum(x - jnp.log(x)), np.array([30.0]))
    assert result.status is Status.CONVERGED
    assert result.evaluations > result.iterations


def test_without_a_constraint_qualification_the_point_is_found_and_not_called_a_minimum_wrongly():
    """x <= 0 written as x² <= 0: no multiplier exists."""
    result = karush.minimize(lambda x: x[0], np.array([1.0]), constraints=between(lambda x: x[0] ** 2, upper=0.0))
    assert abs(result.x[0]) <= 1e-3
    assert result.certificate.verdict is not Verdict.NOT_A_MINIMUM


def test_badly_scaled_variables_and_functions_are_solved():
    result = karush.minimize(
        lambda x: 1e6 * (x[0] * 1e4 - 1.0) ** 2 + 1e-3 * (x[1] * 1e-4 - 1.0) ** 2,
        np.array([0.0, 0.0]),
        constraints=between(lambda x: 1e5 * x[0] + 1e-5 * x[1], upper=20.0, name="mixed"),
    )
    assert result.success
    np.testing.assert_allclose(result.x, [1e-4, 1e4], rtol=1e-3)


def test_a_linear_program_ends_at_its_vertex():
    result = karush.minimize(
        lambda x: -3.0 * x[0] - 5.0 * x[1],
        np.zeros(2),
        bounds=(0.0, None),
        constraints=karush.linear([[1.0, 0.0], [0.0, 2.0], [3.0, 2.0]], upper=[4.0, 12.0, 18.0], name="capacity"),
    )
    assert result.certificate.verdict is Verdict.GLOBAL_MINIMUM
    np.testing.assert_allclose(result.x, [2.0, 6.0], rtol=1e-8)
    np.testing.assert_allclose(result.prices["capacity"], [0.0, -1.5, -1.0], atol=1e-7)


# One test per status, reached on purpose.


def test_converged():
    assert prepared(rosenbrock).solve().status is Status.CONVERGED


def test_the_iteration_limit_is_said_even_where_the_point_is_a_minimum():
    """Newton's method on the active set may finish the job: another fact than why the run ended."""
    result = prepared(rosenbrock).solve(max_iterations=3)
    assert result.status is Status.ITERATION_LIMIT
    assert "iteration limit" in result.message


def test_the_time_limit_ends_the_run_soon():
    def slow(row):
        time.sleep(0.05)

    began = time.perf_counter()
    result = prepared(rosenbrock).solve(time_limit=0.2, callback=slow)
    assert result.status is Status.TIME_LIMIT
    assert 2 <= result.iterations <= 5
    assert time.perf_counter() - began < 2.0
    assert not result.success


def test_a_true_answer_of_the_callback_stops_with_the_best_point_so_far():
    seen = []

    def third(row):
        seen.append(row["value"])
        return len(seen) == 3

    result = prepared(rosenbrock).solve(callback=third)
    assert result.status is Status.STOPPED
    assert result.iterations == len(seen) == 3
    assert result.value == pytest.approx(min(seen), rel=16 * EPS)


def interrupt(row):
    os.kill(os.getpid(), signal.SIGINT)


def raise_interrupt(row):
    raise KeyboardInterrupt


@pytest.mark.parametrize("stop", [interrupt, raise_interrupt])
def test_ctrl_c_returns_the_best_point_so_far(stop):
    def after_four(row):
        if row["iteration"] == 4:
            stop(row)

    result = prepared(rosenbrock).solve(callback=after_four)
    assert result.status is Status.INTERRUPTED
    assert result.iterations == 4
    assert result.value == pytest.approx(min(row["value"] for row in result.history), rel=16 * EPS)
    assert not result.success


def test_a_function_that_is_not_finite_at_the_start_is_named():
    result = karush.minimize(
        lambda x: x["level"] ** 2,
        {"level": -1.0},
        constraints=between(lambda x: jnp.sqrt(x["level"]), upper=2.0, name="root"),
    )
    assert result.status is Status.EVALUATION_FAILED
    assert "root" in result.message
    assert "nan" in result.message
    assert "level = -1" in result.message
    assert result.certificate.verdict is Verdict.UNDECIDED


def test_an_objective_that_is_not_finite_at_the_start_is_named():
    result = karush.minimize(lambda x: jnp.log(x[0]), np.array([-1.0]))
    assert result.status is Status.EVALUATION_FAILED
    assert "the objective is nan at x[0] = -1" in result.message
    assert not result.success


def test_a_derivative_that_is_not_finite_is_named():
    parts = karush.prepare(lambda x: jnp.sqrt(x[0]), np.array([1.0])).parts
    said = evaluation_failure(parts.flat, parts.evaluator, np.zeros(1))
    assert said == "a derivative is not finite at x[0] = 0"


def test_no_further_progress_is_said_at_a_kink():
    result = karush.minimize(lambda x: jnp.abs(x[0] - 0.3), np.array([1.0]), time_limit=20.0)
    assert result.status in (Status.STEP_FAILED, Status.ITERATION_LIMIT, Status.CONVERGED)
    assert result.x[0] == pytest.approx(0.3, abs=1e-6)
    assert result.certificate.verdict is not Verdict.NOT_A_MINIMUM


def test_constraints_that_cannot_be_met_are_named_with_their_amounts():
    result = karush.minimize(
        lambda x: x @ x,
        np.array([0.5, 0.2]),
        constraints=[
            equal(lambda x: x[0] - x[1], 0.0, name="diagonal"),
            between(lambda x: x @ x, upper=-1.0, name="impossible"),
        ],
    )
    assert result.status is Status.INFEASIBLE
    assert result.certificate.verdict is Verdict.LOCALLY_INFEASIBLE
    assert not result.success
    ((name, amount),) = result.certificate.violated
    assert name == "impossible"
    assert amount == pytest.approx(1.0, abs=1e-6)
    assert "impossible" in str(result)


@pytest.mark.parametrize(
    "objective", [lambda x: x[0] + x[1] ** 2, lambda x: -jnp.exp(x[0]) + x[1] ** 2, lambda x: x[0] ** 3 + x[1] ** 2]
)
def test_an_objective_without_a_lower_bound_is_said_to_diverge(objective):
    result = karush.minimize(objective, np.array([-1.0, 1.0]))
    assert result.status is Status.UNBOUNDED
    assert result.certificate.verdict is Verdict.UNBOUNDED
    assert not result.success


# A user's history and notes.


def test_the_history_has_a_row_per_iteration_and_the_callback_saw_the_same():
    seen = []
    result = prepared(disc).solve(callback=seen.append)
    assert list(result.history) == seen
    assert [row["iteration"] for row in seen] == list(range(1, result.iterations + 1)) or seen[0]["iteration"] == 0
    keys = {"iteration", "value", "infeasibility", "stationarity", "barrier", "step"}
    assert all(keys <= set(row) for row in seen)
    assert seen[-1]["value"] == pytest.approx(result.value, rel=1e-12)
    assert seen[-1]["infeasibility"] <= 1e-8
    assert seen[-1]["stationarity"] <= 1e-8


def test_progress_prints_a_line_per_iteration(capsys):
    result = prepared(disc).solve(progress=True)
    assert len(capsys.readouterr().out.splitlines()) >= result.iterations
