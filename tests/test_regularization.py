"""L1 and L2 terms: the split problem has the solutions of the nonsmooth one, exact zeros included."""

from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.core.errors import ProblemError
from karush.problem.flat import flatten
from karush.problem.regularization import SplitDoor

pytestmark = pytest.mark.user_style

EPS = float(np.finfo(float).eps)
RNG = np.random.default_rng(1)
ROWS, COLUMNS = 40, 8
A = RNG.normal(size=(ROWS, COLUMNS))
B = A @ np.array([1.5, -2.0, 0.7, 0.0, 0.0, 0.0, 0.0, 0.0]) + 0.1 * RNG.normal(size=ROWS)
CENTRE = np.array([3.0, -2.0, 0.4, -0.3])


def soft(x, weight):
    """The solution of min ½(w − x)² + weight |w|."""
    return np.sign(x) * np.maximum(np.abs(x) - weight, 0.0)


def near_centre(w, p=None):
    return 0.5 * jnp.sum((w - CENTRE) ** 2)


def test_l1_of_a_sphere_is_soft_thresholding_with_exact_zeros():
    result = karush.minimize(karush.Problem(near_centre, np.ones(4), regularization=karush.l1(0.5)))
    assert result.success
    assert np.abs(result.x - soft(CENTRE, 0.5)).max() <= 16.0 * EPS
    assert result.x[2] == 0.0
    assert result.x[3] == 0.0
    assert abs(result.value - near_centre(result.x) - 0.5 * np.abs(result.x).sum()) <= 1e-12


def test_l2_of_a_sphere_shrinks_every_coordinate():
    result = karush.minimize(karush.Problem(near_centre, np.ones(4), regularization=[karush.l2(3.0)]))
    assert np.abs(result.x - CENTRE / 4.0).max() <= 1e-8
    assert result.flat.n == 4  # nothing is split


@cache
def lasso():
    problem = karush.Problem(
        lambda w, p: 0.5 * jnp.sum((A @ w - B) ** 2) / ROWS,
        np.zeros(COLUMNS),
        params={"weight": 0.1},
        regularization=karush.l1(lambda p: p["weight"]),
    )
    return karush.prepare(problem)


@pytest.mark.parametrize("weight", [0.01, 0.1, 0.5, 1.0])
def test_zero_is_in_the_subdifferential_all_along_the_path(weight):
    result = lasso().solve(params={"weight": weight})
    gradient = A.T @ (A @ result.x - B) / ROWS
    active = result.x != 0.0
    assert result.success
    assert np.abs(gradient[active] + weight * np.sign(result.x[active])).max(initial=0.0) <= 1e-12
    assert np.all(np.abs(gradient[~active]) <= weight)


def test_a_lasso_has_a_derivative_in_its_weight():
    result = lasso().solve(params={"weight": 0.1})
    active = result.x != 0.0
    expected = np.zeros(COLUMNS)
    gram = A[:, active].T @ A[:, active] / ROWS
    expected[active] = -np.linalg.solve(gram, np.sign(result.x[active]))
    found = karush.sensitivity(result)
    assert np.abs(found.x["weight"] - expected).max() <= 1e-10
    assert abs(found.value["weight"] - np.abs(result.x).sum()) <= 1e-7


def test_certify_judges_the_point_itself_not_its_parts():
    problem = karush.Problem(near_centre, np.ones(4), regularization=karush.l1(0.5))
    assert karush.certify(problem, soft(CENTRE, 0.5)).success
    assert not karush.certify(problem, soft(CENTRE, 0.5) + np.array([0.0, 0.0, 1e-3, 0.0])).success


def test_only_what_is_selected_and_can_change_sign_is_split():
    problem = karush.Problem(
        lambda x: jnp.sum((x["w"] - 1.0) ** 2) + (x["b"] + 1.0) ** 2,
        {"w": np.zeros(3), "b": 0.0},
        bounds=({"w": np.array([0.0, -1.0, -np.inf]), "b": None}, None),
        regularization=[karush.l1(0.5, of="w"), karush.l2(2.0, of=lambda x: x["b"])],
    )
    flat = flatten(problem)
    assert isinstance(flat.door, SplitDoor)
    assert flat.n == 4 + 2
    assert flat.variable_names[-1] == "w[2] (negative part)"
    result = karush.minimize(problem)
    assert np.abs(result.x["w"] - 0.75).max() <= 1e-8
    assert abs(result.x["b"] + 0.5) <= 1e-8


def test_bounds_hold_and_their_multipliers_are_of_x():
    # min ½(x − 3)² + ½|x| on [-1, 2]: at x = 2 the pull is 3 − 2 − ½ = ½.
    problem = karush.Problem(lambda x: 0.5 * (x - 3.0) ** 2, 0.0, bounds=(-1.0, 2.0), regularization=karush.l1(0.5))
    result = karush.minimize(problem)
    assert result.x == 2.0
    assert abs(result.multipliers["bounds"] - 0.5) <= 1e-7
    below = karush.Problem(lambda x: 0.5 * (x + 3.0) ** 2, 0.0, bounds=(-1.0, 2.0), regularization=karush.l1(0.5))
    result = karush.minimize(below)
    assert result.x == -1.0
    assert abs(result.multipliers["bounds"] + 1.5) <= 1e-7


def test_linear_constraints_and_maximising_see_x():
    problem = karush.Problem(
        lambda x: -0.5 * jnp.sum((x - CENTRE) ** 2),
        np.ones(4),
        constraints=karush.linear(np.ones((1, 4)), lower=0.0, upper=0.0, name="sum"),
        regularization=karush.l1(0.25),
        maximize=True,
    )
    result = karush.minimize(problem)
    assert result.success
    assert abs(result.x.sum()) <= 1e-12
    assert abs(result.value + near_centre(result.x) + 0.25 * np.abs(result.x).sum()) <= 1e-12


def test_a_warm_start_and_a_start_in_the_structure_of_x_are_taken():
    prepared = lasso()
    first = prepared.solve(params={"weight": 0.2})
    assert np.abs(prepared.solve(warm=first).x - first.x).max() <= 1e-12
    assert np.abs(prepared.solve(np.ones(COLUMNS)).x - first.x).max() <= 1e-12


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: karush.l1(-1.0), r"l1\(weight\) is -1.0; weights must be finite and at least 0"),
        (lambda: karush.l2(np.array([1.0, np.nan])), r"l2\(weight\) is nan"),
        (lambda: karush.l1(1.0, of=3), r"l1\(..., of=3\)"),
        (lambda: karush.Problem(near_centre, np.ones(4), regularization=[0.5]), r"regularization\[0\] is float 0.5"),
        (
            lambda: flatten(karush.Problem(near_centre, np.ones(4), regularization=karush.l1(1.0, of="v"))),
            r"of, in regularization\[0\] is 'v', which names no leaf; the leaves are x",
        ),
        (
            lambda: flatten(karush.Problem(near_centre, np.ones(4), regularization=karush.l1(np.ones(3)))),
            r"weight has shape \(3,\)",
        ),
        (
            lambda: flatten(
                karush.Problem(near_centre, np.ones(4), params={"a": -1.0}, regularization=karush.l1(lambda p: p["a"]))
            ),
            r"weight of l1 at params is -1.0; weights must be finite and above 0",
        ),
        (
            lambda: flatten(
                karush.Problem(near_centre, np.ones(4), regularization=karush.l2(1.0, of=lambda x: [x, x]))
            ),
            "picks the same number twice",
        ),
    ],
)
def test_a_wrong_term_names_itself_its_value_and_the_cure(make, words):
    with pytest.raises(ProblemError, match=words):
        make()


def test_params_that_make_a_weight_negative_are_refused():
    with pytest.raises(ProblemError, match=r"weight of l1 at params is -0\.1"):
        lasso().solve(params={"weight": -0.1})
