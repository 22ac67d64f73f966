"""The formulas inside the methods: secant equation, two-loop recursion, line search, linear conjugate gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karush
from karush import methods
from karush.core.errors import OptionError, ProblemError
from karush.core.precision import float64
from karush.solvers.run import Limits
from karush.unconstrained import bfgs, drive, lbfgs, line_search
from karush.unconstrained.method import Task, first_progress, stationarity

EPS = np.finfo(np.float64).eps


def spd(n, seed, condition=100.0):
    """A symmetric positive definite matrix with eigenvalues from 1 to `condition`."""
    Q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    A = Q @ np.diag(np.geomspace(1.0, condition, n)) @ Q.T
    return 0.5 * (A + A.T)


def task(n, lower=-np.inf, upper=np.inf):
    one = np.ones(n)
    return Task(lower * one, upper * one, one, np.float64(1.0), one, 2.0 * one, np.float64(1e-8))


@given(seed=st.integers(0, 10_000))
def test_the_matrix_of_bfgs_satisfies_the_secant_equation_and_stays_positive_definite(seed):
    n, generator = 6, np.random.default_rng(seed)
    B, H = spd(n, seed), spd(n, seed + 1)
    s = generator.standard_normal(n)
    y = H @ s
    with float64():
        new = np.asarray(bfgs.updated(jnp.asarray(B), jnp.asarray(s), jnp.asarray(y)))
    # Terms of B₊ y are at most |B||y|² |s| / sᵀy in size; a dozen products round.
    size = np.linalg.norm(B, 2) * np.linalg.norm(y) ** 2 * np.linalg.norm(s) / (s @ y)
    assert np.linalg.norm(new @ y - s) <= 64 * n * EPS * size
    assert np.array_equal(new, new.T) or np.max(np.abs(new - new.T)) <= 8 * EPS * np.max(np.abs(new))
    assert np.linalg.eigvalsh(0.5 * (new + new.T))[0] > 0


def test_the_update_is_the_product_form_of_the_book():
    n = 5
    B, H, s = spd(n, 1), spd(n, 2), np.arange(1.0, n + 1)
    y = H @ s
    rho, identity = 1.0 / (y @ s), np.eye(n)
    book = (identity - rho * np.outer(s, y)) @ B @ (identity - rho * np.outer(y, s)) + rho * np.outer(s, s)
    with float64():
        new = np.asarray(bfgs.updated(jnp.asarray(B), jnp.asarray(s), jnp.asarray(y)))
    assert np.max(np.abs(new - book)) <= 1e3 * EPS * np.max(np.abs(book))


def test_the_two_loops_are_the_updates_of_bfgs_from_the_same_first_matrix():
    n, pairs = 7, 4
    generator = np.random.default_rng(3)
    H = spd(n, 5)
    s = generator.standard_normal((pairs, n))
    y = s @ H
    g = generator.standard_normal(n)
    with float64():
        B = jnp.eye(n) * (s[-1] @ y[-1] / (y[-1] @ y[-1]))
        for i in range(pairs):
            B = bfgs.updated(B, jnp.asarray(s[i]), jnp.asarray(y[i]))
        free = jnp.ones(n, dtype=bool)
        r = np.asarray(lbfgs.two_loops(jnp.asarray(s), jnp.asarray(y), jnp.asarray(g), free, 1.0))
    assert np.max(np.abs(r - np.asarray(B) @ g)) <= 1e-11 * np.max(np.abs(r))


def test_the_two_loops_leave_held_variables_at_rest_and_skip_pairs_without_curvature():
    s = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]])
    y = np.array([[2.0, 0.0, 0.0, 0.0], [0.0, -1.0, 3.0, 0.0]])
    g = np.array([2.0, 1.0, 1.0, 5.0])
    free = np.array([True, True, False, False])
    with float64():
        r = np.asarray(lbfgs.two_loops(jnp.asarray(s), jnp.asarray(y), jnp.asarray(g), jnp.asarray(free), 1.0))
    # On the free variables the second pair has sᵀy = -1 and is left out; the first is 1/2 of the identity.
    assert np.max(np.abs(r - [1.0, 0.5, 0.0, 0.0])) <= 4 * EPS


def test_lbfgs_that_forgets_nothing_ends_a_quadratic_where_bfgs_does():
    # They differ in the first matrix, which L-BFGS scales anew in each step; with one first matrix they agree, above.
    A = spd(6, 11, condition=10.0)
    prepared = karush.prepare(lambda x: 0.5 * x @ (jnp.asarray(A) @ x) - jnp.sum(x), np.zeros(6))
    exact = np.linalg.solve(A, np.ones(6))
    for method in (methods.BFGS(), methods.LBFGS(memory=50)):
        answer = drive.run(method, prepared.parts, np.zeros(6), Limits(max_iterations=200), 1e-8, "fused")
        assert answer.status is karush.Status.CONVERGED
        assert np.max(np.abs(answer.x - exact)) <= 1e-7


def searched(f, c2, alpha=1.0, n=1):
    """The end of a line search for f from zero along (1, ..., 1), and its trials."""
    with float64():
        slope = jax.value_and_grad(f)
        value, g = slope(jnp.zeros(n))
        at = first_progress(jnp.zeros(n))._replace(value=value, gradient=g)
        search = line_search.begin(task(n), at, jnp.ones(n), alpha)
        for trial in range(line_search.TRIALS + 1):
            x = line_search.point(task(n), at, search)
            value, g = slope(x)
            outcome = line_search.advance(task(n), at, search, x, value, g, c2)
            if bool(outcome.taken) or bool(outcome.failed):
                return at, float(search.alpha), float(value), np.asarray(g), bool(outcome.taken), trial + 1
            search = outcome.search
    raise AssertionError("the search did not end")


CURVES = {
    "quadratic": lambda x: jnp.sum((x - 3.0) ** 2),
    "far": lambda x: jnp.sum((x - 1e6) ** 2),
    "near": lambda x: jnp.sum((1e5 * x - 1.0) ** 2),
    "waves": lambda x: jnp.sum(-x / (1.0 + x**2) + 0.3 * jnp.sin(9.0 * x) / 9.0),
    "a wall at 2": lambda x: jnp.sum(-jnp.log(2.0 - x) - 3.0 * x),
    "steep": lambda x: jnp.sum(jnp.exp(3.0 * x) - 40.0 * x),
}


@pytest.mark.parametrize("c2", [0.1, 0.9])
@pytest.mark.parametrize("name", CURVES)
def test_the_line_search_ends_at_the_strong_wolfe_conditions(name, c2):
    at, alpha, value, g, taken, trials = searched(CURVES[name], c2)
    slope = float(at.gradient[0])
    assert taken
    assert trials <= 25
    assert value <= float(at.value) + line_search.DECREASE * alpha * slope
    assert abs(g[0]) <= c2 * abs(slope)


def test_the_line_search_finds_the_minimum_beyond_what_values_can_tell():
    # Near 0 the values agree to 1e-20 relative; the slopes do not.
    _, alpha, _, g, taken, _ = searched(lambda x: jnp.sum(1.0 + (x - 1e-10) ** 2), 0.1)
    assert taken
    assert abs(g[0]) <= 0.1 * 2e-10
    assert abs(alpha - 1e-10) <= 0.1 * 1e-10


def test_a_slope_that_holds_nothing_ends_the_search_as_failed():
    # The derivative says down, the values go up: no point satisfies the first condition.
    @jax.custom_jvp
    def f(x):
        return jnp.sum(1.0 + x)

    f.defjvp(lambda primals, tangents: (f(*primals), -jnp.sum(tangents[0])))
    *_, taken, trials = searched(f, 0.9)
    assert not taken
    assert trials <= line_search.TRIALS


def test_stationarity_is_slope_or_multiplier_times_distance():
    bounds = Task(np.array([0.0, -np.inf]), np.array([1.0, np.inf]), *task(2)[2:])
    with float64():
        error, strict = stationarity(bounds, jnp.array([0.25, 3.0]), jnp.array([4.0, 1e-3]))
        assert float(error) == 1.0
        assert float(strict) == 2.0
        assert float(stationarity(bounds, jnp.array([0.0, 3.0]), jnp.array([4.0, 0.0]))[0]) == 0.0
        assert float(stationarity(bounds, jnp.array([0.0, 3.0]), jnp.array([-4.0, 0.0]))[0]) == 4.0
        assert np.isnan(float(stationarity(bounds, jnp.array([0.5, 3.0]), jnp.array([1.0, jnp.nan]))[0]))


@pytest.mark.parametrize("n", [1, 5, 20])
def test_linear_conjugate_gradients_end_after_n_steps(n):
    A, b = spd(n, n, condition=10.0), np.random.default_rng(n).standard_normal(n)
    answer = methods.linear_cg(A, b, tol=1e-12, max_iterations=n)
    assert answer.converged
    assert answer.iterations <= n
    assert np.linalg.norm(b - A @ answer.x) <= 1e-12 * np.linalg.norm(b)


def test_linear_conjugate_gradients_take_as_many_steps_as_there_are_distinct_eigenvalues():
    answer = methods.linear_cg(np.diag([1.0, 1.0, 5.0, 5.0, 5.0, 9.0]), np.arange(1.0, 7.0))
    assert (answer.iterations, answer.converged) == (3, True)
    assert answer.residuals.size == 4


def test_linear_conjugate_gradients_take_products_of_pytrees_and_a_preconditioner():
    weights = np.array([1.0, 1e3, 1e6])

    def product(tree):
        return {"a": weights * tree["a"], "b": 2.0 * tree["b"]}

    def jacobi(tree):
        return {"a": tree["a"] / weights, "b": tree["b"] / 2.0}

    b = {"a": np.ones(3), "b": np.ones((2, 2))}
    answer = methods.linear_cg(product, b, preconditioner=jacobi)
    assert answer.iterations == 1
    assert np.max(np.abs(answer.x["a"] - 1.0 / weights)) <= EPS
    assert np.array_equal(answer.x["b"], np.full((2, 2), 0.5))


def test_the_linear_least_squares_of_the_book_by_gradient_descent_and_by_conjugate_gradients():
    generator = np.random.default_rng(0)
    A, b = generator.standard_normal((12, 4)), generator.standard_normal(12)
    exact = np.linalg.lstsq(A, b)[0]
    normal = methods.linear_cg(lambda x: A.T @ (A @ x), A.T @ b, tol=1e-12)
    assert normal.iterations <= 5
    assert np.max(np.abs(normal.x - exact)) <= 1e-10
    with jax.numpy_dtype_promotion("standard"):
        result = karush.minimize(
            lambda x: 0.5 * jnp.sum((A @ x - b) ** 2), np.zeros(4), method="gradient-descent", max_iterations=2000
        )
    assert result.success
    assert np.max(np.abs(result.x - exact)) <= 1e-6


def test_linear_conjugate_gradients_say_why_they_ended():
    indefinite = methods.linear_cg(np.diag([1.0, -1.0]), np.ones(2))
    assert not indefinite.converged
    assert "not positive definite" in indefinite.reason
    singular = methods.linear_cg(np.diag([1.0, 0.0]), np.ones(2))
    assert (singular.converged, singular.reason) == (False, indefinite.reason)
    short = methods.linear_cg(spd(8, 1), np.ones(8), max_iterations=2)
    assert (short.iterations, short.converged) == (2, False)
    assert "iteration limit" in short.reason
    broken = methods.linear_cg(lambda x: x * jnp.nan, np.ones(2))
    assert not broken.converged
    assert "not finite" in broken.reason
    generator = np.random.default_rng(5)
    stalled = methods.linear_cg(
        spd(30, 7, condition=1e6), generator.standard_normal(30), tol=1e-17, max_iterations=10**4
    )
    assert not stalled.converged
    assert "rounding" in stalled.reason


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (lambda: methods.linear_cg(np.ones((2, 3)), np.ones(2)), ProblemError, r"shape \(2, 3\).*\(2, 2\)"),
        (lambda: methods.linear_cg(np.array([[1.0, 2.0], [0.0, 1.0]]), np.ones(2)), ProblemError, "not symmetric"),
        (lambda: methods.linear_cg(np.diag([np.nan, 1.0]), np.ones(2)), ProblemError, r"A at \[0, 0\] is nan"),
        (lambda: methods.linear_cg(np.eye(2), np.array([1.0, np.inf])), ProblemError, r"b at \[1\] is inf"),
        (lambda: methods.linear_cg(np.eye(2), np.ones(2), np.full(2, np.nan)), ProblemError, "x0 at .* is nan"),
        (lambda: methods.linear_cg(lambda x: x[:1], np.ones(2)), ProblemError, "must agree"),
        (lambda: methods.linear_cg(np.eye(2), np.ones(2), tol=2.0), OptionError, "tol is 2.0"),
        (lambda: methods.linear_cg(np.eye(2), np.ones(2), max_iterations=0), OptionError, "max_iterations is 0"),
    ],
)
def test_linear_conjugate_gradients_refuse_what_they_cannot_take(action, error, words):
    with pytest.raises(error, match=words):
        action()
