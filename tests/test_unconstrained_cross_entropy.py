"""The cross-entropy method: samples within bounds, the same for one seed, minima of functions without slopes."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush import Status, Verdict, methods
from karush.core.precision import float64
from karush.solvers.run import Limits
from karush.unconstrained import cross_entropy, drive
from karush.unconstrained.method import task_of


def rastrigin(x):
    return jnp.sum(x**2 - 10.0 * jnp.cos(2.0 * jnp.pi * x) + 10.0)


def steps(x):
    return jnp.sum(jnp.floor(x + 0.5) ** 2)


@cache
def prepared(f, n=2, bounds=(-5.12, 5.12)):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return karush.prepare(f, np.full(n, 3.3), bounds=bounds)


def run(f, method=None, driver="fused", n=2, bounds=(-5.12, 5.12), **limits):
    door = prepared(f, n, bounds)
    limits = Limits(**{"max_iterations": 300, **limits})
    return drive.run(method or methods.CrossEntropy(), door.parts, door.parts.flat.x0, limits, 1e-8, driver)


@pytest.mark.parametrize("seed", range(5))
def test_the_valley_of_the_global_minimum_is_found(seed):
    answer = run(rastrigin, methods.CrossEntropy(seed=seed))
    assert np.max(np.abs(answer.x)) <= 0.1


def test_a_function_of_constant_pieces_is_minimised_and_is_no_success():
    result = prepared(steps, 2).solve(method="cross-entropy")
    assert result.value == 0.0
    assert not result.success
    assert result.certificate.verdict in (Verdict.STATIONARY, Verdict.UNDECIDED)


def test_the_raw_answer_is_no_success_and_the_polished_one_is_and_says_so():
    raw = run(rastrigin)
    assert raw.status is Status.STEP_FAILED
    assert raw.message == methods.CrossEntropy.end
    result = prepared(rastrigin).solve(method="cross-entropy", driver="fused")
    assert result.success
    assert result.value <= 1e-12
    assert any("polished" in note for note in result.notes)


def test_one_seed_gives_one_answer_in_both_drivers_and_another_seed_another():
    first, again = run(rastrigin, driver="python", max_iterations=5), run(rastrigin, max_iterations=5)
    other = run(rastrigin, methods.CrossEntropy(seed=1), max_iterations=5)
    assert np.array_equal(first.x, again.x)
    assert first.evaluations == again.evaluations == 5 * 100
    assert not np.array_equal(first.x, other.x)


def test_no_sample_leaves_the_bounds_and_the_start_is_among_them():
    seen = []

    def f(x):
        jax.debug.callback(lambda x: seen.append(np.array(x)), x)
        return jnp.sum((x - 2.0) ** 2)

    lower, upper = np.array([-1.0, 0.5]), np.array([1.0, np.inf])
    parts = karush.prepare(f, np.array([0.25, 7.0]), bounds=(lower, upper)).parts
    seen.clear()
    method = methods.CrossEntropy(samples=20)
    answer = drive.run(method, parts, np.array([0.25, 7.0]), Limits(max_iterations=10), 1e-8, "python")
    jax.effects_barrier()
    points = np.concatenate([np.atleast_2d(x) for x in seen])
    assert len(points) >= answer.evaluations
    assert np.all((points >= lower) & (points <= upper))
    assert any(np.array_equal(x, [0.25, 7.0]) for x in points)


@pytest.mark.user_style
def test_the_next_gaussian_is_the_smoothed_mean_and_deviation_of_the_elite():
    parts = prepared(rastrigin).parts
    task, elite = task_of(parts, 1e-8), 10
    with float64():
        state = cross_entropy._init(task, jnp.asarray(parts.flat.x0), elite)
        state, x = cross_entropy._samples(task, state, 100)
        values = jnp.stack([rastrigin(row) for row in x])
        after = cross_entropy._advance(task, state, x, values, elite)
    best = np.asarray(x)[np.argsort(np.asarray(values))[:elite]]
    alpha, beta = cross_entropy.ALPHA, cross_entropy.BETA
    mean = alpha * best.mean(axis=0) + (1.0 - alpha) * np.asarray(state.mean)
    centre = best.mean(axis=0)
    deviation = beta * np.sqrt(np.mean((best - centre) ** 2, axis=0)) + (1.0 - beta) * np.asarray(state.deviation)
    assert np.max(np.abs(np.asarray(after.mean) - mean)) <= 1e-14
    assert np.max(np.abs(np.asarray(after.deviation) - deviation)) <= 1e-14
    assert int(after.progress.iterations) == 1


def test_points_without_a_value_are_never_elite():
    answer = run(lambda x: jnp.sum(jnp.sqrt(x - 1.0)), bounds=(-4.0, 4.0))
    assert np.all(answer.x >= 1.0)
    assert np.max(answer.x) <= 1.1


def test_a_function_without_any_value_ends_as_a_failed_evaluation():
    answer = run(lambda x: jnp.sum(jnp.log(-1.0 - x**2)), methods.CrossEntropy(samples=20))
    assert answer.status is Status.EVALUATION_FAILED


def test_without_bounds_the_samples_spread_from_the_start():
    answer = run(lambda x: jnp.sum((x - 20.0) ** 2), bounds=None)
    assert np.max(np.abs(answer.x - 20.0)) <= 0.5


def test_fixed_variables_stay():
    parts = karush.prepare(lambda x: jnp.sum((x - 1.0) ** 2), np.zeros(2), bounds=([0.5, -2.0], [0.5, 2.0])).parts
    answer = drive.run(methods.CrossEntropy(), parts, np.array([0.5, 0.0]), Limits(max_iterations=100), 1e-8)
    assert answer.x[0] == 0.5
    assert abs(answer.x[1] - 1.0) <= 0.05
