"""x keeps the structure that its start had: in the functions, in the answer, in multipliers and bounds."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karush
from karush.core.errors import ProblemError
from karush.core.precision import float64
from karush.core.pytrees import open_door, ravel_traced


class Arm(NamedTuple):
    angle: np.ndarray
    length: float


@jax.tree_util.register_dataclass
@dataclass
class Robot:
    arms: tuple
    mass: float


TREES = {
    "an array": np.array([3.0, 4.0]),
    "a matrix": np.array([[3.0, 4.0], [5.0, 6.0]]),
    "a scalar": 3.0,
    "a NumPy scalar": np.float64(3.0),
    "an array of no axes": np.array(3.0),
    "a dict of dicts": {"a": {"b": np.array([3.0])}, "c": 4.0},
    "a tuple": (np.array([3.0]), 4.0, np.array([[5.0]])),
    "a list": [np.array([3.0]), np.array([4.0, 5.0])],
    "a named tuple": Arm(np.array([3.0, 4.0]), 5.0),
    "a dataclass": Robot((Arm(np.array([3.0]), 4.0), Arm(np.array([5.0]), 6.0)), 7.0),
    "an empty leaf": {"a": np.zeros((0, 2)), "b": np.array([3.0])},
    "a leaf that is None": {"a": None, "b": np.array([3.0])},
}


def distance(x):
    return sum(jnp.sum((leaf - 1.5) ** 2) for leaf in jax.tree.leaves(x))


@pytest.mark.parametrize("kind", TREES)
def test_the_answer_has_the_structure_of_the_start_for(kind):
    x0 = TREES[kind]

    def objective(x):
        assert jax.tree.structure(x) == jax.tree.structure(x0)
        assert jax.tree.map(jnp.shape, x) == jax.tree.map(jnp.shape, x0)
        return distance(x)

    result = karush.minimize(objective, x0, bounds=(None, 2.0))
    assert jax.tree.structure(result.x) == jax.tree.structure(x0)
    assert jax.tree.structure(result.multipliers["bounds"]) == jax.tree.structure(x0)
    for leaf, like in zip(jax.tree.leaves(result.x), jax.tree.leaves(x0), strict=True):
        assert np.shape(leaf) == np.shape(like)
        np.testing.assert_allclose(leaf, 1.5, rtol=1e-8)
    assert result.success
    assert karush.certify(karush.Problem(objective, x0), result.x).success


def test_names_follow_the_structure():
    names = open_door(TREES["a dataclass"], "x0")[0].names()
    assert names == ("arms[0].angle[0]", "arms[0].length", "arms[1].angle[0]", "arms[1].length", "mass")
    assert open_door(3.0, "x0")[0].names() == ("x",)
    assert open_door([np.ones(1), np.ones((1, 1))], "x0")[0].names() == ("x[0][0]", "x[1][0,0]")
    assert open_door(TREES["an empty leaf"], "x0")[0].names() == ("b[0]",)


leaves = st.lists(st.floats(-1e300, 1e300), max_size=4).map(lambda numbers: np.array(numbers, dtype=float))
trees = st.recursive(
    leaves | st.floats(-1e300, 1e300),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(tuple) | st.dictionaries(st.text("ab"), inner, min_size=1)
    ),
    max_leaves=6,
)


@given(trees)
def test_unravel_undoes_ravel_to_the_bit(tree):
    door, flat = open_door(tree, "x0")
    assert flat.shape == (door.size,) == (len(door.names()),)
    again = door.unravel(flat)
    np.testing.assert_array_equal(door.ravel(again, "x"), flat)
    with float64():
        np.testing.assert_array_equal(ravel_traced(again), flat)


def test_a_tree_of_another_structure_or_shape_is_refused_by_the_name_of_its_leaf():
    door, _ = open_door({"a": np.ones(2), "b": 1.0}, "x0")
    with pytest.raises(ProblemError, match=r"point has structure .*'c'.*x0"):
        door.ravel({"a": np.ones(2), "c": 1.0}, "point")
    with pytest.raises(ProblemError, match=r"point at a has shape \(3,\).*\(2,\)"):
        door.ravel({"a": np.ones(3), "b": 1.0}, "point")


def test_integer_leaves_are_refused_by_name():
    with pytest.raises(ProblemError, match=r"x0 at gen\.on has dtype int.*astype"):
        karush.minimize(distance, {"gen": {"on": np.array([0, 1]), "p": np.ones(2)}})


def test_a_plain_list_of_numbers_is_a_vector():
    result = karush.minimize(lambda x: x @ x, [1.0, 2])
    assert isinstance(result.x, np.ndarray)
    assert result.x.shape == (2,)


def test_multipliers_have_the_shape_that_the_constraint_returned():
    result = karush.minimize(
        lambda x: jnp.sum(x["a"] ** 2),
        {"a": np.ones((2, 2))},
        constraints=[
            karush.equal(lambda x: x["a"] @ np.ones((2, 1)), np.array([[1.0], [2.0]]), name="rows"),
            karush.between(lambda x: x["a"][0, 0], upper=0.25, name="corner"),
        ],
    )
    assert result.multipliers["rows"].shape == (2, 1)
    assert result.multipliers["corner"].shape == ()
    assert result.multipliers["bounds"]["a"].shape == (2, 2)
    np.testing.assert_allclose(result.x["a"], [[0.25, 0.75], [1.0, 1.0]], atol=1e-7)
    np.testing.assert_allclose(result.multipliers["rows"], [[-1.5], [-2.0]], atol=1e-6)
    np.testing.assert_allclose(result.multipliers["corner"], 1.0, atol=1e-6)
