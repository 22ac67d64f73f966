"""Many starts: the distinct minima, best first, the same for the same seed."""

import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush import Problem

pytestmark = pytest.mark.user_style


def wave():
    """Four minima on [-3, 3]: three inside and one at the right end."""
    return Problem(lambda x: jnp.sin(3.0 * x[0]) + 0.1 * x[0] ** 2, np.array([0.0]), bounds=(-3.0, 3.0))


@pytest.fixture(scope="module")
def found():
    return karush.multistart(wave(), starts=20, seed=0)


def test_all_minima_are_found_each_once_and_best_first(found):
    np.testing.assert_allclose([m.x[0] for m in found.minima], [-0.51221403, 1.53658988, -2.56080694, 3.0], atol=1e-6)
    values = [m.value for m in found.minima]
    assert values == sorted(values)
    assert all(m.success for m in found.minima)
    assert found.best is found.minima[0]
    assert len(found.results) == 20


def test_the_first_start_is_the_problems_own_and_the_others_lie_within_the_bounds(found):
    own = karush.minimize(wave())
    np.testing.assert_array_equal(found.results[0].x, own.x)
    assert all(r.notes == () or "projected" not in r.notes[0] for r in found.results)


def test_the_same_seed_draws_the_same_starts_and_another_seed_others(found):
    again, other = (karush.multistart(wave(), starts=3, seed=seed) for seed in (0, 1))
    values = [r.evaluations for r in found.results[:3]]
    assert [r.evaluations for r in again.results] == values
    np.testing.assert_array_equal([r.x for r in again.results], [r.x for r in found.results[:3]])
    assert [r.evaluations for r in other.results] != values or [r.value for r in other.results] != [
        r.value for r in again.results
    ]


def test_starts_may_be_given():
    result = karush.multistart(wave(), starts=[np.array([-2.5]), np.array([-0.5]), [-0.6]])
    assert len(result.results) == 3
    np.testing.assert_allclose([m.x[0] for m in result.minima], [-0.51221403, -2.56080694], atol=1e-6)
    rows = karush.multistart(wave(), starts=np.array([[-2.5], [-0.5]]))
    assert len(rows.results) == 2


def test_starts_keep_the_structure_of_x():
    result = karush.multistart(
        lambda x: (x["a"] ** 2 - 1.0) ** 2 + jnp.sum(x["b"] ** 2), {"a": 0.5, "b": np.ones(2)}, starts=4
    )
    assert {round(float(m.x["a"])) for m in result.minima} <= {-1, 1}
    assert all(set(m.x) == {"a", "b"} for m in result.minima)


def test_a_maximum_is_best_where_its_value_is_largest():
    result = karush.multistart(
        lambda x: jnp.sin(3.0 * x[0]) + 0.1 * x[0], np.array([0.0]), bounds=(-3.0, 3.0), maximize=True, starts=10
    )
    values = [m.value for m in result.minima]
    assert values == sorted(values, reverse=True)
    assert result.best.value == max(r.value for r in result.results if r.success)


def test_without_a_minimum_there_is_a_best_run_still():
    result = karush.multistart(lambda x: x[0], np.array([0.0]), starts=2)
    assert result.minima == ()
    assert not result.best.success


def test_x0_beside_a_problem_is_the_first_start():
    result = karush.multistart(wave(), np.array([-2.5]), starts=1)
    assert result.best.x[0] == pytest.approx(-2.56080694, abs=1e-6)


def test_options_reach_every_run():
    result = karush.multistart(wave(), starts=2, method="slsqp", tol=1e-6)
    assert {r.method for r in result.results} == {"slsqp"}
