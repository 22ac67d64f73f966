"""Digits left of a float64 evaluation: all where arithmetic is benign, none where cancellation has eaten them."""

import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.certificates.evaluation import ALL_DIGITS, Evaluated, evaluation_check

pytestmark = pytest.mark.user_style


def digits(problem: karush.Problem, x: list[float]) -> Evaluated:
    parts = karush.prepare(problem).parts
    at = parts.evaluator(np.array(x), np.zeros(parts.flat.m))
    y = np.zeros(parts.flat.m)
    return evaluation_check(parts.flat, np.array(x), y, at.value, at.gradient, at.rows, parts.scales)


def cancelling(x):
    return -(1.0 - jnp.cos(x[0])) / x[0] ** 2


def test_where_a_cancellation_leaves_nothing_the_worst_function_has_no_digits():
    found = digits(karush.Problem(cancelling, [1e-8], bounds=(1e-9, 3.0)), [1e-8])
    assert found.worst().name == "gradient of the objective"
    assert found.worst().left < 1.0
    assert not found.trustworthy(1e-8)
    assert found.sentence(1e-8).startswith("rounding dominates")


def test_the_same_function_keeps_its_digits_elsewhere():
    found = digits(karush.Problem(cancelling, [0.5], bounds=(1e-9, 3.0)), [0.5])
    assert found.trustworthy(1e-8)
    assert found.worst().left > 12.0


def test_exact_arithmetic_keeps_all_digits_of_objective_gradient_and_rows():
    problem = karush.Problem(
        lambda x: (x[0] - 1.0) ** 2, [0.5], constraints=[karush.between(lambda x: 2.0 * x, upper=3.0, name="twice")]
    )
    found = digits(problem, [0.5])
    assert [one.name for one in found.digits] == ["objective", "gradient of the Lagrangian", "twice[0]"]
    assert all(one.left == ALL_DIGITS and one.error == 0.0 for one in found.digits)


def test_a_row_that_loses_its_digits_is_named():
    problem = karush.Problem(
        lambda x: x[0] ** 2,
        [1e-9],
        constraints=[karush.between(lambda x: (jnp.exp(x[0]) - 1.0) / x[0], upper=2.0, name="slope")],
        scales=karush.Scales(constraints={"slope": 1.0}),
    )
    found = digits(problem, [1e-9])
    assert found.worst().name == "slope"
    assert 5.0 < found.worst().left < 9.0


def test_where_balls_have_no_answer_nothing_is_trusted():
    found = digits(karush.Problem(lambda x: jnp.sqrt(x[0]), [0.0], bounds=(0.0, 1.0)), [0.0])
    assert found.worst() is None
    assert not found.trustworthy(1e-8)
    assert "not checked" in found.sentence(1e-8)
