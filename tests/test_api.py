"""The front door: one problem, stated and solved in every way a user may."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from solving import disc, hs71, prepared, rosenbrock

import karush
from karush import Problem, Status, Verdict, between, equal, linear

pytestmark = pytest.mark.user_style
EPS = np.finfo(float).eps


def test_a_problem_and_its_parts_give_the_same_answer():
    problem = hs71()
    by_problem = karush.minimize(problem)
    by_parts = karush.minimize(
        problem.objective, problem.x0, bounds=problem.bounds, constraints=list(problem.constraints)
    )
    prepared_first = karush.prepare(problem).solve()
    for other in (by_parts, prepared_first):
        np.testing.assert_array_equal(by_problem.x, other.x)
        np.testing.assert_array_equal(by_problem.y_flat, other.y_flat)


def test_a_start_beside_a_problem_replaces_the_problems_own():
    problem = rosenbrock()
    there = karush.minimize(problem, np.array([1.0, 1.0]))
    assert there.iterations == 0
    assert karush.prepare(problem, [0.5, 0.25]).problem.x0 == [0.5, 0.25]
    np.testing.assert_array_equal(problem.x0, [-1.2, 1.0])


def test_scipys_own_example_is_solved_to_scipys_answer():
    """The tutorial's Rosenbrock problem with bounds and two constraints, in SciPy's keywords where they exist."""
    bounds = scipy.optimize.Bounds([0.0, -0.5], [1.0, 2.0])
    rows = [
        linear([[1.0, 2.0], [2.0, 1.0]], lower=[-np.inf, 1.0], upper=[1.0, 1.0]),
        between(lambda x: jnp.stack([x[0] ** 2 + x[1], x[0] ** 2 - x[1]]), upper=1.0),
    ]
    result = karush.minimize(rosenbrock().objective, [0.5, 0.0], bounds=bounds, constraints=rows)
    assert result.success
    np.testing.assert_allclose(result.x, [0.41494531, 0.17010937], atol=5e-6)  # as precise as SciPy prints


@pytest.mark.parametrize("method", ["interior-point", "slsqp"])
def test_methods_agree_on_answer_and_multipliers(method):
    result = prepared(hs71).solve(method=method)
    assert result.success
    assert result.method == method
    assert result.why_method == "asked for"
    assert result.value == pytest.approx(17.0140173, abs=1e-6)
    np.testing.assert_allclose(result.multipliers["product"], -0.55229366, atol=1e-5)
    np.testing.assert_allclose(result.multipliers["norm"], 0.16146856, atol=1e-5)


def test_auto_says_what_it_took_and_why():
    result = prepared(hs71).solve()
    assert result.method == "interior-point"
    assert "4 variables" in result.why_method
    assert "2 constraint rows" in result.why_method


def value_at(limit, maximize=False):
    """A problem whose row, bound and equation are all active, as a function of their three limits."""
    row, bound, goal = limit
    sign = -1.0 if maximize else 1.0
    problem = Problem(
        lambda x: sign * ((x[0] - 3.0) ** 2 + jnp.exp(x[1]) + x[2] ** 2 + 0.3 * x[0] * x[2]),
        np.array([0.5, 0.5, 0.5]),
        bounds=([-9.0, bound, -9.0], [9.0, 9.0, 9.0]),
        constraints=[
            between(lambda x: x[0] + 0.1 * x[0] ** 3, upper=row, name="row"),
            equal(lambda x: x[2] + 0.2 * x[1], goal, name="goal"),
        ],
        maximize=maximize,
    )
    return karush.minimize(problem, tol=1e-10)


@pytest.mark.parametrize("maximize", [False, True])
def test_a_price_is_the_derivative_of_the_value_in_its_limit(maximize):
    limits = np.array([1.0, 0.25, 2.0])
    result = value_at(limits, maximize)
    assert result.success
    prices = [result.prices["row"], result.prices["bounds"][1], result.prices["goal"]]
    h = 1e-4
    for k, price in enumerate(prices):
        up, down = (value_at(limits + h * step, maximize).value for step in (np.eye(3)[k], -np.eye(3)[k]))
        # Central differences: h² times a third derivative of order 10, and the values' rounding over h.
        assert price == pytest.approx((up - down) / (2 * h), abs=1e-5)
        assert abs(price) > 0.05
    np.testing.assert_array_equal(result.prices["row"], -result.multipliers["row"])
    np.testing.assert_array_equal(result.prices["bounds"], -result.multipliers["bounds"])


def test_maximizing_f_is_minimizing_minus_f_with_the_signs_of_the_users_own_objective():
    def f(x):
        return x[0] * x[1]

    rows = dict(bounds=(0.0, None), constraints=between(lambda x: jnp.sum(x), upper=4.0, name="sum"))
    low = karush.minimize(lambda x: -f(x), np.array([1.0, 0.5]), **rows)
    for high in (
        karush.maximize(f, np.array([1.0, 0.5]), **rows),
        karush.minimize(f, np.array([1.0, 0.5]), maximize=True, **rows),
        karush.maximize(Problem(f, np.array([1.0, 0.5]), **rows)),
        karush.minimize(Problem(f, np.array([1.0, 0.5]), maximize=True, **rows)),
    ):
        assert high.success
        np.testing.assert_array_equal(high.x, low.x)
        assert high.value == -low.value
        np.testing.assert_array_equal(high.multipliers["sum"], -low.multipliers["sum"])
        assert high.prices["sum"] == pytest.approx(2.0, abs=1e-6)  # value = (limit / 2)²


class Counted:
    """A function that counts how often Python runs it: once per trace."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *arguments):
        self.calls += 1
        return self.function(*arguments)


@pytest.mark.parametrize("driver", ["python", "fused"])
def test_other_starts_and_params_trace_and_compile_nothing_anew(driver):
    f = Counted(lambda x, p: jnp.sum((x - p["at"]) ** 2) * p["weight"])
    c = Counted(lambda x, p: x[0] + p["weight"])
    rows = between(c, upper=2.0, name="cap")
    solver = karush.prepare(f, np.zeros(2), params={"at": np.array([0.2, 0.3]), "weight": 1.5}, constraints=rows)
    solver.solve(driver=driver)
    assert (f.calls, c.calls) == (1, 1)
    compiled = solver.parts.evaluator._dense._cache_size()
    for at, weight, expected in (([0.1, -5.0], 1.0, [0.1, -5.0]), ([9.0, 1.0], 0.5, [1.5, 1.0])):
        result = solver.solve([0.3, 0.1], params={"at": np.array(at), "weight": weight}, driver=driver)
        assert result.success
        np.testing.assert_allclose(result.x, expected, atol=1e-7)
        assert result.value == pytest.approx(weight * np.sum((np.array(expected) - at) ** 2), abs=1e-6)
    assert (f.calls, c.calls) == (1, 1)
    assert solver.parts.evaluator._dense._cache_size() == compiled
    # Params stay for later solves and certificates.
    np.testing.assert_allclose(solver.solve(driver=driver).x, [1.5, 1.0], atol=1e-7)
    assert solver.certify(np.array([1.5, 1.0])).success


def test_a_result_of_earlier_params_is_not_changed_by_later_ones():
    solver = karush.prepare(lambda x, p: (x[0] - p) ** 2, np.zeros(1), params=1.0)
    first = solver.solve()
    said = str(first)
    second = solver.solve(params=5.0)
    assert first.x[0] == pytest.approx(1.0)
    assert second.x[0] == pytest.approx(5.0)
    assert str(first) == said


def test_a_warm_start_from_the_answer_needs_no_more_than_the_cold_one():
    solver = prepared(hs71)
    cold = solver.solve()
    warm = solver.solve(warm=cold)
    assert warm.success
    assert warm.iterations <= cold.iterations
    np.testing.assert_allclose(warm.x, cold.x, atol=1e-7)


def test_another_start_may_lead_to_another_minimum():
    solver = karush.prepare(lambda x: (x[0] ** 2 - 1.0) ** 2, np.array([2.0]))
    assert solver.solve().x[0] == pytest.approx(1.0)
    assert solver.solve(np.array([-2.0])).x[0] == pytest.approx(-1.0)


def test_a_result_holds_what_it_says():
    result = prepared(hs71).solve()
    flat = result.flat
    assert result.success is result.certificate.success is True
    assert result.status is Status.CONVERGED
    assert result.message
    assert result.notes == ()
    assert result.seconds > 0
    assert result.iterations >= 1
    assert result.evaluations >= result.iterations
    np.testing.assert_array_equal(result.x, result.x_flat)
    assert set(result.multipliers) == set(result.prices) == {"product", "norm", "bounds"}
    np.testing.assert_array_equal(
        np.concatenate([np.ravel(result.multipliers[name]) for name in flat.constraint_names]), result.y_flat
    )
    np.testing.assert_array_equal(result.multipliers["bounds"], result.z_flat)
    assert result.value == prepared(hs71).parts.evaluator.values(result.x_flat)[0]
    assert "LOCAL_MINIMUM" in repr(result)


def test_a_result_is_printed_with_names_and_prices():
    text = str(prepared(disc).solve())
    for word in ("LOCAL_MINIMUM", "disc", "<= 1", "price", "stationarity", "x[0]", "converged"):
        assert word in text or (word == "LOCAL_MINIMUM" and "GLOBAL_MINIMUM" in text)


def test_a_result_survives_pickling_and_copying():
    """As process pools and caches do to it."""
    result = karush.minimize(lambda x: (x["a"] - 1.0) ** 2, {"a": 0.0}, bounds=(None, 0.5))
    for again in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert str(again) == str(result)
        assert again.x == result.x
        assert again.certificate.verdict is result.certificate.verdict
        assert again.multipliers == result.multipliers


def test_scipys_result_has_scipys_fields():
    result = prepared(hs71).solve()
    theirs = result.to_scipy()
    assert isinstance(theirs, scipy.optimize.OptimizeResult)
    np.testing.assert_array_equal(theirs.x, result.x_flat)
    assert (theirs.fun, theirs.success, theirs.nit) == (result.value, True, result.iterations)
    assert 0.0 <= theirs.maxcv <= 1e-8
    assert theirs.message


def test_a_promise_of_convexity_is_recorded_as_assumed():
    def f(x):  # convex, but not by any rule that reads the program
        return jnp.sum(x**2 + 0.5 * jnp.cos(x))

    promised = karush.minimize(f, np.array([1.0, -1.0]), convex=True)
    assert promised.certificate.verdict is Verdict.GLOBAL_MINIMUM
    assert "convex" in " ".join(promised.certificate.assumed)
    unsaid = karush.minimize(f, np.array([1.0, -1.0]))
    assert unsaid.certificate.verdict is Verdict.LOCAL_MINIMUM
    assert unsaid.certificate.assumed == ()


def test_certify_agrees_with_the_solvers_own_verdict_with_and_without_its_multipliers():
    problem = hs71()
    result = karush.minimize(problem)
    given, estimated = karush.certify(problem, result.x, result.multipliers), karush.certify(problem, result.x)
    assert given.verdict is estimated.verdict is result.certificate.verdict
    np.testing.assert_allclose(estimated.multipliers[0], result.y_flat, atol=1e-5)
    assert not karush.certify(problem, np.array([1.0, 5.0, 5.0, 1.0])).success


def test_certify_of_a_maximum_takes_the_multipliers_that_maximize_gave():
    problem = Problem(
        lambda x: x[0] * x[1],
        np.array([1.0, 0.5]),
        bounds=(0.0, None),
        constraints=between(lambda x: jnp.sum(x), upper=4.0, name="sum"),
        maximize=True,
    )
    result = karush.minimize(problem)
    assert karush.certify(problem, result.x, result.multipliers).success
    flipped = {name: -np.asarray(value) for name, value in result.multipliers.items()}
    refused = karush.certify(problem, result.x, flipped)
    assert refused.multipliers[0] == pytest.approx(result.y_flat, abs=1e-6)
    assert any("refused" in note for note in refused.notes)


@pytest.mark.parametrize("matrix", [np.asarray, scipy.sparse.csc_matrix, scipy.sparse.coo_array])
def test_linear_constraints_dense_and_sparse_give_one_answer(matrix):
    A = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, -1.0]])
    rows = linear(matrix(A), lower=[3, 1], upper=[3, 1], name="A")
    result = karush.minimize(lambda x: x @ x, np.ones(3), constraints=rows)
    assert result.success
    np.testing.assert_allclose(result.x, A.T @ np.linalg.solve(A @ A.T, [3.0, 1.0]), atol=1e-7)
    np.testing.assert_allclose(A.T @ result.prices["A"], 2 * result.x, atol=1e-6)


def test_the_objective_may_be_jitted_and_called_through_any_callable():
    class Model:
        scale = 2.0

        def __call__(self, x):
            return self.scale * jnp.sum((x - 1.0) ** 2)

        def method(self, x):
            return self(x)

    for f in (Model(), Model().method, jax.jit(Model().method), jax.checkpoint(Model().method)):
        np.testing.assert_allclose(karush.minimize(f, np.zeros(2)).x, 1.0, atol=1e-9)


def test_two_prepared_problems_do_not_mix():
    one = karush.prepare(lambda x, p: (x[0] - p) ** 2, np.zeros(1), params=1.0)
    two = karush.prepare(lambda x, p: (x[0] + p) ** 2, np.zeros(1), params=1.0)
    assert one.solve().x[0] == pytest.approx(1.0)
    assert two.solve(params=3.0).x[0] == pytest.approx(-3.0)
    assert one.solve().x[0] == pytest.approx(1.0)


def test_the_start_is_not_written_to():
    start = np.array([-1.2, 1.0])
    karush.minimize(rosenbrock().objective, start, bounds=(0.0, 0.5))
    np.testing.assert_array_equal(start, [-1.2, 1.0])


@pytest.mark.parametrize("method", sorted(name for name, v in karush.api.options.registry.available().items() if v))
def test_every_installed_method_gives_the_same_certified_answer(method):
    result = prepared(disc).solve(method=method)
    assert result.status is Status.CONVERGED
    # Solvers that end at a distance from their limits leave multiplier times distance near their own tolerance.
    assert prepared(disc).certify(result.x, tol=1e-6).success
    np.testing.assert_allclose(result.x, np.array([2.0, 1.0]) / np.sqrt(5.0), atol=1e-6)
    np.testing.assert_allclose(result.multipliers["disc"], np.sqrt(5.0) - 1.0, atol=1e-5)
