"""Bounds mean the same however they are written, and no function of the user's is evaluated outside them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

import karush
from karush.core.pytrees import open_door
from karush.problem.bounds import read_bounds

NONE = np.inf


def read(bounds, x0=(0.0, 0.0, 0.0)):
    door, _ = open_door(x0 if isinstance(x0, dict) else np.asarray(x0, dtype=float), "x0")
    return read_bounds(bounds, door, door.names())


SAME = {
    "lower and upper": ([-1.0, 0.0, -NONE], [1.0, NONE, 2.0]),
    "arrays": (np.array([-1.0, 0.0, -NONE]), np.array([1.0, NONE, 2.0])),
    "None for no bound": ([-1, 0, None], [1, None, 2]),
    "SciPy's pairs": [(-1, 1), (0, None), (None, 2)],
    "a tuple of pairs": ((-1, 1), (0, None), (None, 2)),
    "an array of pairs": np.array([[-1.0, 1.0], [0.0, NONE], [-NONE, 2.0]]),
    "zip": "zip",
    "scipy.optimize.Bounds": scipy.optimize.Bounds([-1.0, 0.0, -NONE], [1.0, NONE, 2.0]),
}


@pytest.mark.parametrize("written", SAME)
def test_the_same_bounds_are_read_from(written):
    bounds = zip([-1, 0, None], [1, None, 2]) if written == "zip" else SAME[written]
    lower, upper = read(bounds)
    np.testing.assert_array_equal(lower, [-1.0, 0.0, -NONE])
    np.testing.assert_array_equal(upper, [1.0, NONE, 2.0])


def test_for_two_variables_a_list_of_tuples_is_pairs_and_a_tuple_of_arrays_is_lower_and_upper():
    np.testing.assert_array_equal(read([(0, 1), (2, 3)], (0, 0)), [[0.0, 2.0], [1.0, 3.0]])
    np.testing.assert_array_equal(read(([0, 1], [2, 3]), (0, 0)), [[0.0, 1.0], [2.0, 3.0]])
    np.testing.assert_array_equal(read((np.array([0, 1.0]), np.array([2, 3.0])), (0, 0)), [[0.0, 1.0], [2.0, 3.0]])


def test_for_two_variables_a_tuple_of_tuples_is_read_only_where_both_readings_agree():
    np.testing.assert_array_equal(read(((0, 1), (1, 3)), (0, 0)), [[0.0, 1.0], [1.0, 3.0]])
    with pytest.raises(karush.errors.ProblemError, match="list of tuples"):
        read(((0, None), (0, None)), (0, 0))


def test_bounds_may_be_prefixes_of_the_structure_of_x():
    x0 = {"a": np.zeros((2, 2)), "b": {"c": 0.0, "d": np.zeros(2)}}
    lower, upper = read(({"a": -1, "b": None}, {"a": np.array([1.0, 2.0]), "b": {"c": 5.0, "d": [6.0, None]}}), x0)
    np.testing.assert_array_equal(lower, [-1.0, -1.0, -1.0, -1.0, -NONE, -NONE, -NONE])
    np.testing.assert_array_equal(upper, [1.0, 2.0, 1.0, 2.0, 5.0, 6.0, NONE])
    np.testing.assert_array_equal(read((0, None), x0)[0], 0.0)


def test_a_list_of_numbers_in_bounds_stands_for_an_array_or_for_a_list_of_scalars():
    for x0 in ({"a": np.zeros(2)}, {"a": [0.0, 0.0]}, {"a": (0.0, 0.0)}):
        lower, upper = read(({"a": [1, None]}, {"a": (2.0, 3.0)}), x0)
        np.testing.assert_array_equal([lower, upper], [[1.0, -NONE], [2.0, 3.0]])
    with pytest.raises(karush.errors.ProblemError, match="lower"):
        read(({"a": [1, 2, 3]}, None), {"a": [0.0, 0.0]})


class Seen:
    """An objective that writes down, from inside the compiled program, where it was evaluated."""

    def __init__(self):
        self.points = []

    def __call__(self, x):
        jax.debug.callback(lambda x: self.points.append(np.array(x)), x)
        return self.function(x)

    @staticmethod
    def function(x):
        return jnp.sum((x - 7.0) ** 2) - 3.0 * x[0] * x[1]


# A decimal that binary cannot hold, a large bound with a small fraction, a fixed variable, a one-sided bound.
LOWER = np.array([0.1, 1e6 + 1e-3, 0.3, -NONE])
UPPER = np.array([0.7, 1e6 + 2e-3, 0.3, 1 / 3])


@pytest.mark.user_style
@pytest.mark.parametrize("driver", ["python", "fused"])
@pytest.mark.parametrize("start", [LOWER, UPPER, np.full(4, 5.0), np.full(4, -1e9)], ids=["lower", "upper", "5", "far"])
def test_no_function_is_evaluated_outside_the_bounds(start, driver):
    seen = Seen()
    start = np.where(np.isfinite(start), start, 0.0)
    near = karush.between(lambda x: x[0] + x[2], upper=0.95, name="near")
    result = karush.minimize(seen, start, bounds=(LOWER, UPPER), constraints=near, driver=driver)
    jax.effects_barrier()
    points = np.array([*seen.points, result.x])
    assert len(points) > 5
    assert np.all(points >= LOWER)
    assert np.all(points <= UPPER)
    np.testing.assert_allclose(result.x, [0.65, 1e6 + 2e-3, 0.3, 1 / 3], rtol=1e-7)


finite = st.floats(-1e9, 1e9, allow_subnormal=False)


@pytest.fixture(scope="module")
def boxed():
    """Prepared once; the property below changes nothing but the bounds' arrays."""
    return karush.prepare(lambda x: jnp.sum(jnp.cos(x) + 1e-3 * x**2), np.zeros(3), bounds=(-1.0, 1.0))


@given(st.lists(st.tuples(finite, finite, finite), min_size=3, max_size=3))
def test_a_projected_start_is_within_the_bounds_and_nearest(boxed, triples):
    a, b, x = np.array(triples).T
    lower, upper = np.minimum(a, b), np.maximum(a, b)
    projected = replace(boxed.parts.flat, lower=lower, upper=upper).projected(x)
    assert np.all((lower <= projected) & (projected <= upper))
    inside = (lower <= x) & (x <= upper)
    np.testing.assert_array_equal(projected[inside], x[inside])


def test_a_projected_start_is_told_by_name():
    result = karush.minimize(
        lambda x: x["a"] ** 2 + jnp.sum(x["b"] ** 2),
        {"a": 5.0, "b": np.array([0.5, -3.0])},
        bounds=({"a": None, "b": -1.0}, {"a": 2.0, "b": 1.0}),
    )
    (note,) = result.notes
    assert "a from 5 to 2" in note
    assert "b[1] from -3 to -1" in note
    assert "b[0]" not in note
    assert note in str(result).replace("\n           ", " ")


def test_a_start_within_the_bounds_is_not_remarked_upon():
    assert karush.minimize(lambda x: jnp.sum(x**2), np.array([1.0]), bounds=(0.5, 2.0)).notes == ()


def test_fixed_variables_stay_and_their_multiplier_balances_the_gradient():
    result = karush.minimize(lambda x: (x[0] - 1.0) ** 2 + x[0] * x[1], np.array([0.0, 3.0]), bounds=([-9, 3], [9, 3]))
    assert result.x[1] == 3.0
    assert result.x[0] == pytest.approx(-0.5, abs=1e-7)
    assert result.multipliers["bounds"][1] == pytest.approx(0.5, abs=1e-7)  # g + z = 0 with g = x[0]


def test_where_all_variables_are_fixed_the_point_is_the_minimum():
    result = karush.minimize(lambda x: jnp.sum(x**3), np.array([1.0, -2.0]), bounds=([1.0, -2.0], [1.0, -2.0]))
    assert result.success
    np.testing.assert_array_equal(result.x, [1.0, -2.0])


def test_bounds_are_not_relaxed():
    """The minimum lies on both bounds, and the answer on their inner side."""
    result = karush.minimize(lambda x: x[0] - x[1], np.array([0.5, 0.5]), bounds=(0.1, 0.9))
    assert 0.1 <= result.x[0] <= 0.1 + 1e-8
    assert 0.9 - 1e-8 <= result.x[1] <= 0.9
