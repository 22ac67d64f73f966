"""The derivative of a solution is the implicit function theorem's, or it is refused with the condition that fails."""

import re
from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.core.errors import ProblemError, SensitivityError

pytestmark = pytest.mark.user_style

EXACT = 1e-9
"""of solutions in closed form: the conditioning of these systems, below 1e3, times the rounding of their entries"""
P0 = {"target": np.array([2.0, -1.0, 0.5]), "budget": 1.5}


@cache
def plan():
    """The point of the plane Σx = budget nearest to target, with x[1] held at its bound 0."""
    problem = karush.Problem(
        lambda x, p: 0.5 * jnp.sum((x["a"] - p["target"][:2]) ** 2) + 0.5 * (x["b"] - p["target"][2]) ** 2,
        {"a": np.array([1.0, 1.0]), "b": 1.0},
        bounds=({"a": 0.0, "b": None}, None),
        constraints=[
            karush.equal(lambda x, p: jnp.sum(x["a"]) + x["b"] - p["budget"], 0.0, name="budget"),
            karush.between(lambda x, p: x["b"], upper=10.0, name="idle"),
        ],
        params=P0,
    )
    return karush.prepare(problem)


@cache
def planned():
    return karush.sensitivity(plan().solve())


def test_derivatives_of_a_projection_are_the_closed_form():
    # Free are a[0] and b: each gets its target plus half of what the budget leaves.
    s = planned()
    assert np.allclose(s.x["a"]["target"], [[0.5, 0.0, -0.5], [0.0, 0.0, 0.0]], atol=EXACT)
    assert np.allclose(s.x["b"]["target"], [-0.5, 0.0, 0.5], atol=EXACT)
    assert np.allclose(s.x["a"]["budget"], [0.5, 0.0], atol=EXACT)
    assert np.allclose(s.x["b"]["budget"], 0.5, atol=EXACT)
    assert np.allclose(s.multipliers["budget"]["target"], [0.5, 0.0, 0.5], atol=EXACT)
    assert np.allclose(s.multipliers["bounds"]["a"]["budget"], [0.0, 0.5], atol=EXACT)
    assert s.multipliers["idle"]["budget"] == 0.0
    assert s.active == ("budget", "a[1]")


def test_the_derivative_of_the_value_is_the_multiplier_times_the_derivative_of_the_constraints():
    result = plan().solve()
    value = planned().value
    # The result is exact to the tolerance of its solve, the derivative to rounding.
    assert abs(value["budget"] + result.multipliers["budget"]) <= 1e-7
    assert np.allclose(value["target"], P0["target"] - np.append(result.x["a"], result.x["b"]), atol=1e-7)


def test_products_and_transposed_products_are_the_dense_derivative():
    s, rng = planned(), np.random.default_rng(0)
    dp = {"target": rng.normal(size=3), "budget": 0.7}
    change = s.product(dp)
    dense = s.x["a"]["target"] @ dp["target"] + s.x["a"]["budget"] * dp["budget"]
    assert np.allclose(change.x["a"], dense, atol=EXACT)
    assert abs(change.value - s.value["target"] @ dp["target"] - s.value["budget"] * dp["budget"]) <= EXACT
    w = {
        "x": {"a": rng.normal(size=2), "b": 0.3},
        "multipliers": {"budget": 0.9, "bounds": {"a": rng.normal(size=2), "b": 0.1}},
    }
    back = s.transposed(**w, value=0.4)
    left = w["x"]["a"] @ change.x["a"] + 0.3 * change.x["b"] + 0.9 * change.multipliers["budget"] + 0.4 * change.value
    left += w["multipliers"]["bounds"]["a"] @ change.multipliers["bounds"]["a"]
    right = back["target"] @ dp["target"] + back["budget"] * dp["budget"]
    assert abs(left - right) <= EXACT * (1.0 + abs(left))


def test_many_parameters_take_the_adjoint_route_to_the_same_matrix():
    weights = np.linspace(0.5, 1.5, 40)
    problem = karush.Problem(
        lambda x, p: 0.5 * jnp.sum((x - jnp.array([p["w"] @ weights, 1.0])) ** 2) * (1.0 + p["w"][0] ** 2),
        np.zeros(2),
        constraints=karush.between(lambda x, p: x[0] + x[1], upper=0.5, name="cut"),
        params={"w": np.full(40, 0.05)},
    )
    s = karush.sensitivity(karush.minimize(problem))
    assert s.indices.size > 2 * s.exact.x.size + 1  # the adjoint route is taken
    forward = np.stack([s.product({"w": row}).x for row in np.eye(40)], axis=1)
    assert np.allclose(s.x["w"], forward, atol=EXACT)
    assert np.allclose(s.x["w"], np.outer([0.5, -0.5], weights), atol=EXACT)


def test_the_derivative_in_limits_is_that_of_solutions_solved_again():
    s, h = planned(), 1e-3
    moved = plan().solve(params=P0 | {"budget": P0["budget"] + h})
    again = plan().solve(params=P0)
    # c(x) = Σx − budget: the limit 0 acts as the budget does. The problem is quadratic, so differences are exact.
    difference = (moved.x["a"] - again.x["a"]) / h
    assert np.allclose(s.limits["budget"]["a"], difference, atol=1e-5)
    assert np.all(s.limits["idle"]["a"] == 0.0)


def test_maximising_turns_multipliers_and_value_but_not_the_solution():
    parts = {
        "constraints": karush.between(lambda x, p: x @ x, upper=1.0, name="disc"),
        "params": {"c": np.array([3.0, 4.0])},
    }
    low = karush.sensitivity(karush.minimize(karush.Problem(lambda x, p: -(p["c"] @ x), np.array([0.1, 0.2]), **parts)))
    high = karush.sensitivity(karush.maximize(karush.Problem(lambda x, p: p["c"] @ x, np.array([0.1, 0.2]), **parts)))
    # x = c/|c|, value |c|
    assert np.allclose(high.value["c"], [0.6, 0.8], atol=EXACT)
    assert np.allclose(high.x["c"], (np.eye(2) - np.outer([0.6, 0.8], [0.6, 0.8])) / 5.0, atol=EXACT)
    assert np.allclose(high.x["c"], low.x["c"], atol=EXACT)
    assert np.allclose(high.multipliers["disc"]["c"], -low.multipliers["disc"]["c"], atol=EXACT)


def test_a_selector_or_a_name_picks_params_and_integers_are_refused():
    problem = karush.Problem(
        lambda x, p: (x - p["table"][p["row"]]) ** 2,
        0.0,
        params={"table": np.array([1.0, 2.0, 3.0]), "row": np.array(1)},
    )
    result = karush.minimize(problem)
    assert np.allclose(karush.sensitivity(result, "table").x, [0.0, 1.0, 0.0], atol=EXACT)
    assert np.allclose(karush.sensitivity(result, lambda p: p["table"][1]).x, 1.0, atol=EXACT)
    with pytest.raises(ProblemError, match=r"params at row is int64.*pick the others"):
        karush.sensitivity(result)
    with pytest.raises(ProblemError, match=r"'rows', which names no leaf; the leaves are row, table"):
        karush.sensitivity(result, "rows")
    with pytest.raises(ProblemError, match="picks what does not exist"):
        karush.sensitivity(result, lambda p: p["tables"])


def test_a_problem_without_params_has_derivatives_in_its_limits_only():
    problem = karush.Problem(
        lambda x: x @ x, np.ones(2), constraints=karush.linear(np.ones((1, 2)), lower=1.0, name="sum")
    )
    s = karush.sensitivity(karush.minimize(problem))
    assert np.allclose(s.limits["sum"], [[0.5], [0.5]], atol=EXACT)
    with pytest.raises(ProblemError, match="params is None"):
        _ = s.x
    with pytest.raises(ProblemError, match="params is 'p', but the problem has none"):
        karush.sensitivity(karush.minimize(problem), "p")
    with pytest.raises(ProblemError, match="give what karush"):
        karush.sensitivity(problem)  # type: ignore[arg-type]


def refused(objective, x0, words, **rest):
    result = karush.minimize(karush.Problem(objective, x0, params={"p": 0.0}, **rest))
    with pytest.raises(SensitivityError) as caught:
        karush.sensitivity(result)
    return re.search(words, str(caught.value))


def test_what_is_no_certified_minimum_is_refused():
    assert refused(lambda x, p: (x[0] - p["p"]) ** 2 + x[1] ** 4, np.ones(2), "verdict on result is STATIONARY")


def test_dependent_constraints_are_named():
    rows = [
        karush.equal(lambda x, p: x[0] + x[1], 1.0, name="one"),
        karush.equal(lambda x, p: x[0] + x[1], 1.0, name="two"),
    ]
    assert refused(lambda x, p: x @ x + p["p"] * x[0], np.ones(2), "LICQ fails.*among one, two", constraints=rows)


def test_a_weakly_active_limit_is_named():
    assert refused(
        lambda x, p: (x[0] - p["p"]) ** 2 + (x[1] - 1.0) ** 2,
        np.ones(2),
        r"strict complementarity fails: x\[0\]",
        bounds=(0.0, None),
    )


def test_a_kink_in_params_alone_is_seen():
    assert refused(lambda x, p: (x - jnp.abs(p["p"])) ** 2, 1.0, "lies on a kink, .* abs at")


def test_bad_tangents_and_cotangents_say_what_is_wrong():
    s = planned()
    with pytest.raises(ProblemError, match="dp has structure"):
        s.product({"target": np.zeros(3)})
    with pytest.raises(ProblemError, match=r"dp has a leaf of shape \(2,\), where the params have \(3,\)"):
        s.product({"target": np.zeros(2), "budget": 0.0})
    with pytest.raises(ProblemError, match="multipliers names 'bugdet'"):
        s.transposed(multipliers={"bugdet": 1.0})


def test_an_estimate_has_a_derivative_in_its_data():
    """Linear regression: x = (AᵀWA)⁻¹ AᵀW b."""
    matrix = np.stack([np.ones(12), np.linspace(-1.0, 2.0, 12)], axis=1)
    weights = np.linspace(1.0, 3.0, 12)
    data = np.cos(np.arange(12.0))
    fit = karush.least_squares(lambda x, p: matrix @ x - p["data"], np.zeros(2), params={"data": data}, weights=weights)
    expected = np.linalg.solve(matrix.T * weights @ matrix, matrix.T * weights)
    assert np.allclose(karush.sensitivity(fit).x["data"], expected, rtol=0, atol=1e-13)
