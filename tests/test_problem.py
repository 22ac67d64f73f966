"""A problem is laid out flat as its user stated it: order, names, limits, signs."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from karush import Problem, Scales, between, equal, l1, linear
from karush.core.errors import ProblemError
from karush.derivatives import Evaluator
from karush.problem import flatten

X0 = {"gen": {"p": np.array([1.0, 2.0])}, "angle": np.array([[0.1, 0.2, 0.3]]), "slack": 0.5}


def total(x):
    return jnp.sum(x["gen"]["p"]) + jnp.sum(x["angle"]) + x["slack"]


def values(flat, x=None):
    evaluator = Evaluator(flat.closed_jaxpr, flat.param_leaves, flat.m)
    return evaluator.values(flat.x0 if x is None else x)


def test_variables_are_laid_out_leaf_by_leaf_and_named_by_their_path():
    flat = flatten(Problem(total, X0))
    assert flat.variable_names == ("angle[0,0]", "angle[0,1]", "angle[0,2]", "gen.p[0]", "gen.p[1]", "slack")
    np.testing.assert_array_equal(flat.x0, [0.1, 0.2, 0.3, 1.0, 2.0, 0.5])
    np.testing.assert_array_equal(flat.lower, -np.inf)
    np.testing.assert_array_equal(flat.upper, np.inf)
    assert values(flat)[0] == pytest.approx(4.1, abs=4 * np.finfo(float).eps)


def test_rows_are_laid_out_constraint_by_constraint_and_named_by_their_index():
    flat = flatten(
        Problem(
            total,
            X0,
            constraints=[
                equal(lambda x: x["gen"]["p"] * 2.0, np.array([3.0, 4.0]), name="balance"),
                between(lambda x: x["angle"], lower=-1.0, upper=np.array([[1.0, 2.0, np.inf]]), name="flow"),
                between(lambda x: x["slack"], upper=9.0),
            ],
        )
    )
    assert flat.row_names == ("balance[0]", "balance[1]", "flow[0,0]", "flow[0,1]", "flow[0,2]", "constraint 2")
    assert flat.constraint_names == ("balance", "flow", "constraint 2")
    np.testing.assert_array_equal(flat.row_owner, [0, 0, 1, 1, 1, 2])
    np.testing.assert_array_equal(flat.row_lower, [3.0, 4.0, -1.0, -1.0, -1.0, -np.inf])
    np.testing.assert_array_equal(flat.row_upper, [3.0, 4.0, 1.0, 2.0, np.inf, 9.0])
    np.testing.assert_array_equal(values(flat)[1], [2.0, 4.0, 0.1, 0.2, 0.3, 0.5])


def test_a_maximum_is_the_minimum_of_minus_the_objective():
    flat = flatten(Problem(total, X0, maximize=True))
    assert flat.maximize
    assert values(flat)[0] == -values(flatten(Problem(total, X0)))[0]


def test_a_constraint_may_return_a_pytree_of_rows():
    rows = between(lambda x: {"b": x[:2], "a": x[2]}, upper=1.0, name="both")
    flat = flatten(Problem(jnp.sum, np.array([1.0, 2.0, 3.0]), constraints=rows))
    assert flat.m == 3
    np.testing.assert_array_equal(values(flat)[1], [3.0, 1.0, 2.0])


def test_a_constraint_may_have_no_rows_or_a_constant_row():
    rows = [equal(lambda x: x[:0], name="none"), between(lambda x: 1, upper=2, name="constant")]
    flat = flatten(Problem(jnp.sum, np.ones(2), constraints=rows))
    assert flat.row_names == ("constant",)
    np.testing.assert_array_equal(values(flat)[1], [1.0])


entries = st.floats(-1e6, 1e6, allow_subnormal=False)


@settings(max_examples=25)
@given(st.lists(st.lists(entries, min_size=3, max_size=3), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_linear_rows_are_A_x_dense_or_sparse_with_columns_in_the_order_of_the_leaves(rows, random):
    A = np.array(rows)
    A[np.array([[random.random() < 0.3 for _ in row] for row in rows])] = 0.0
    x0 = {"u": np.array([1.0, -2.0]), "v": 0.25}
    flat = [np.array([1.0, -2.0, 0.25]) @ row for row in A]
    rounding = 4 * np.finfo(float).eps * (np.abs(A) @ np.array([1.0, 2.0, 0.25])) + np.finfo(float).tiny
    for matrix in (A, scipy.sparse.csr_matrix(A), scipy.sparse.coo_array(A)):
        stated = Problem(lambda x: x["v"] * 1.0, x0, constraints=linear(matrix, upper=0.0, name="A"))
        assert np.all(np.abs(values(flatten(stated))[1] - flat) <= rounding)


def test_repeated_entries_of_a_sparse_matrix_add_up():
    A = scipy.sparse.coo_matrix((np.array([1.0, 2.0]), ([0, 0], [1, 1])), shape=(1, 2))
    flat = flatten(Problem(jnp.sum, np.array([5.0, 7.0]), constraints=linear(A, upper=0.0)))
    np.testing.assert_array_equal(values(flat)[1], [21.0])


def test_a_row_of_numbers_is_one_linear_constraint():
    flat = flatten(Problem(jnp.sum, np.array([5.0, 7.0]), constraints=linear([1, 2], lower=[0], upper=3)))
    assert flat.m == 1
    np.testing.assert_array_equal(values(flat)[1], [19.0])


def test_one_constraint_needs_no_list():
    one = equal(jnp.sum, 1.0, name="sum")
    given_alone, given_listed = (Problem(jnp.sum, np.ones(2), constraints=c) for c in (one, [one]))
    assert given_alone.constraints == given_listed.constraints == (one,)
    assert Problem(jnp.sum, np.ones(2), constraints=None).constraints == ()


@pytest.mark.user_style
def test_params_go_to_every_function_as_its_second_argument():
    problem = Problem(
        lambda x, p: p["k"] * jnp.sum(x),
        np.ones(2),
        params={"k": 3, "at": np.array([1.0, 5.0])},
        constraints=[equal(lambda x, p: x - p["at"]), linear(np.eye(2), upper=1.0)],
    )
    flat = flatten(problem)
    value, rows = values(flat)
    assert value == 6.0
    np.testing.assert_array_equal(rows, [0.0, -4.0, 1.0, 1.0])
    other = values(flat.with_params({"k": 4, "at": np.zeros(2)}))
    assert other[0] == 8.0
    np.testing.assert_array_equal(other[1], [1.0, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"objective": lambda x, p: p * x[0]}, r"the objective has the signature \(x, p\).*give params"),
        ({"constraints": [equal(lambda x, p: x - p, 0.0, name="a")]}, "constraint 'a' has the signature"),
        ({"params": 1.0}, "called f\\(x, params\\)"),
        ({"regularization": l1(lambda p: p)}, "the weight of l1 is a function of params, and there are none"),
    ],
)
def test_functions_of_params_without_params_are_refused_with_the_cure(arguments, word):
    objective = arguments.pop("objective", lambda x: x[0] ** 2)
    with pytest.raises(ProblemError, match=word):
        flatten(Problem(objective, np.ones(2), **arguments))


def test_scales_reach_every_variable_and_every_row():
    rows = [equal(lambda x: x, name="a"), equal(jnp.sum, name="b"), equal(jnp.sum, name="c")]
    scales = Scales(x=np.array([2.0, 4.0]), objective=8.0, constraints={"a": 16.0, "c": 32.0})
    flat = flatten(Problem(jnp.sum, np.ones(2), constraints=rows, scales=scales))
    np.testing.assert_array_equal(flat.x_scale, [2.0, 4.0])
    assert flat.f_scale == 8.0
    np.testing.assert_array_equal(flat.row_scale, [16.0, 16.0, 0.0, 32.0])


def test_the_promise_of_convexity_is_kept_as_a_promise():
    assert flatten(Problem(jnp.sum, np.ones(2), convex=True)).promises == {"convex"}
    assert flatten(Problem(jnp.sum, np.ones(2))).promises == frozenset()


def test_a_problem_is_traced_once():
    traces = []

    def objective(x):
        traces.append("f")
        return jnp.sum(x**2)

    def rows(x):
        traces.append("c")
        return x

    flatten(Problem(objective, np.ones(2), constraints=[equal(rows)]))
    assert traces == ["f", "c"]
