"""Sparse derivatives are the dense ones, and no entry is missed."""

import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush import Problem, between, equal
from karush.derivatives import Evaluator, evaluator
from karush.problem import flatten

EPS = np.finfo(float).eps
N = 80


def chained(n=N):
    """A chain: each term couples neighbours, one row couples the ends."""
    return Problem(
        lambda x: jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2),
        np.linspace(-1.0, 1.0, n),
        constraints=[
            between(lambda x: x[1:] * jnp.sin(x[:-1]), upper=1.0, name="steps"),
            equal(lambda x: x[0] * x[-1], 0.5, name="ends"),
        ],
    )


def made(problem):
    flat = flatten(problem)
    return Evaluator(flat.closed_jaxpr, flat.param_leaves, flat.m)


@pytest.fixture(scope="module")
def pair():
    """The same problem with and without patterns."""
    sparse = made(chained())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluator, "SPARSE_FROM", N + 1)
        dense = made(chained())
    assert sparse.pattern is not None
    assert dense.pattern is None
    return sparse, dense


@pytest.mark.parametrize("seed", range(3))
def test_sparse_and_dense_derivatives_agree(pair, seed):
    generator = np.random.default_rng(seed)
    x, y = generator.standard_normal(N), generator.standard_normal(N)
    sparse, dense = (evaluate(x, y, 0.7) for evaluate in pair)
    for one, other in zip(sparse, dense, strict=True):
        size = np.max(np.abs(other))
        assert np.max(np.abs(one - other)) <= 64 * EPS * size


def test_the_entries_of_the_patterns_fill_the_matrices(pair):
    sparse, dense = pair
    x, y = np.cos(np.arange(N)), np.sin(np.arange(N))
    entries, full = sparse.sparse(x, y, 1.0), dense(x, y, 1.0)
    jacobian, hessian = np.zeros((N, N)), np.zeros((N, N))
    jacobian[sparse.jacobian_pattern] = entries.jacobian_data
    hessian[sparse.hessian_pattern] = entries.hessian_data
    np.testing.assert_allclose(jacobian, full.jacobian, atol=64 * EPS * np.max(np.abs(full.jacobian)))
    lower = np.tril(full.hessian)
    np.testing.assert_allclose(hessian, lower, atol=64 * EPS * np.max(np.abs(lower)))


def test_the_pattern_grows_with_the_entries_and_not_with_their_square(pair):
    sparse, _ = pair
    assert sparse.jacobian_pattern[0].size == 2 * (N - 1) + 2
    assert sparse.hessian_pattern[0].size == N + (N - 1) + 1


def test_an_entry_that_is_zero_at_the_start_is_in_the_pattern():
    """d²/dx dy of x² y² is 4xy: zero at the origin, where a probe would miss it."""
    evaluate = made(Problem(lambda x: x[0] ** 2 * x[1] ** 2 + jnp.sum(x**2), np.zeros(N)))
    assert evaluate.pattern is not None
    assert (1, 0) in set(zip(*evaluate.hessian_pattern, strict=True))


def test_a_full_hessian_is_left_dense():
    evaluate = made(Problem(lambda x: jnp.sum(x) ** 2, np.ones(N)))
    assert evaluate.pattern is None
    np.testing.assert_array_equal(evaluate(np.ones(N), np.zeros(0)).hessian, np.full((N, N), 2.0))


def test_what_the_detector_cannot_read_is_left_dense():
    def f(x):
        return jnp.sum(jnp.abs(jnp.fft.fft(x)) ** 2) / N

    evaluate = made(Problem(f, np.ones(N)))
    assert evaluate.pattern is None
    x = np.cos(np.arange(N))
    np.testing.assert_allclose(evaluate(x, np.zeros(0)).gradient, 2 * x, atol=1e-12)


def test_rows_without_entries_are_evaluated_too():
    evaluate = made(
        Problem(lambda x: jnp.sum(x**2), np.ones(N), constraints=[between(lambda x: jnp.ones(2), upper=2.0)])
    )
    at = evaluate(np.ones(N), np.ones(2))
    np.testing.assert_array_equal(at.rows, 1.0)
    np.testing.assert_array_equal(at.jacobian, np.zeros((2, N)))
    assert evaluate.sparse(np.ones(N), np.ones(2)).jacobian_data.size == evaluate.jacobian_pattern[0].size


def test_an_entry_that_is_zero_for_the_first_parameters_is_not_missed_for_the_next():
    """At 0 the chain with p = 5 is a saddle: its Hessian is 1 on the diagonal and 5 beside it."""
    n = 200

    def chain(x, p):
        return jnp.sum(x**4 / 4 + x**2 / 2) + jnp.sum(p * x[:-1] * x[1:])

    prepared = karush.prepare(Problem(chain, np.full(n, 0.5), params=np.zeros(n - 1)))
    prepared.solve()
    prepared.parts.set_params(np.full(n - 1, 5.0))
    beside = np.diag(np.full(n - 1, 5.0), 1)
    hessian = np.asarray(prepared.parts.evaluator(np.zeros(n), np.zeros(0)).hessian)
    np.testing.assert_allclose(hessian, np.eye(n) + beside + beside.T, rtol=8 * EPS)
    assert prepared.certify(np.zeros(n)).verdict is karush.Verdict.NOT_A_MINIMUM
