"""Other people's solvers give karush's signs, stay inside the bounds, and stop when they are told to."""

import signal
from functools import cache
from importlib.util import find_spec
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest

from karush.backends import OWN, BackendOptions, available, choose, registry, solve
from karush.core.errors import BackendMissing, OptionError
from karush.core.status import Status
from karush.derivatives import Evaluator
from karush.problem import Problem, between, equal, flatten

INSTALLED = [name for name, version in available().items() if version is not None]
SPARSE = [name for name in registry.SPARSE if name in INSTALLED]
each_backend = pytest.mark.parametrize("method", INSTALLED)
each_sparse_backend = pytest.mark.parametrize("method", SPARSE)


def fixed_and_bounded():
    """Upper bound, lower limit of a row and a fixed variable are active; one variable is free."""
    problem = Problem(
        lambda x: (x[0] - 2.0) ** 2 + x[1] ** 2 + 0.1 * x[2] * x[0],
        np.array([0.5, 0.7, 3.0]),
        bounds=(np.array([0.0, -np.inf, 3.0]), np.array([1.0, np.inf, 3.0])),
        constraints=[between(lambda x: x[0] * x[1], lower=0.5, name="product")],
    )
    return problem, [1.0, 0.5, 3.0], [-1.0], [2.2, 0.0, -0.1]


def equality():
    problem = Problem(lambda x: jnp.sum(x * x), np.array([3.0, -1.0]), constraints=[equal(lambda x: jnp.sum(x), 1.0)])
    return problem, [0.5, 0.5], [-1.0], [0.0, 0.0]


def two_sided():
    """Only the upper side of a two-sided row is active, and a row without limits never is."""
    rows = between(
        lambda x: jnp.stack([jnp.sum(x * x), x[0] ** 3]),
        lower=np.array([-1.0, -np.inf]),
        upper=np.array([2.0, np.inf]),
        name="disc",
    )
    return Problem(lambda x: -jnp.sum(x), np.array([0.1, 0.3]), constraints=[rows]), [1.0, 1.0], [0.5, 0.0], [0.0, 0.0]


def maximum():
    problem = Problem(
        lambda x: x[0] * x[1],
        np.array([1.0, 0.5]),
        constraints=[between(lambda x: jnp.sum(x), upper=4.0, name="sum")],
        bounds=(0.0, None),
        maximize=True,
    )
    return problem, [2.0, 2.0], [2.0], [0.0, 0.0]


def on_its_lower_bound():
    """x log x on [1/2, 4]: the derivative at 1/2 is 1 - log 2."""
    problem = Problem(lambda x: jnp.sum(x * jnp.log(x)), np.array([3.0]), bounds=(0.5, 4.0))
    return problem, [0.5], [], [np.log(2.0) - 1.0]


KNOWN = [fixed_and_bounded, equality, two_sided, maximum, on_its_lower_bound]


@cache
def prepared(make):
    made = make()
    flat = flatten(made[0] if isinstance(made, tuple) else made)
    return flat, Evaluator(flat.closed_jaxpr, flat.param_leaves, flat.m)


def run(make, method, **options):
    flat, evaluator = prepared(make)
    return solve(method, flat, evaluator, flat.x0, options=BackendOptions(**options))


class Recorder(Evaluator):
    """An evaluator that notes every point it is asked at."""

    def __init__(self, evaluator):
        self.__dict__.update(evaluator.__dict__)  # what is compiled stays so
        self.values_at, self.derivatives_at = [], []

    def values(self, x):
        self.values_at.append(x.copy())
        return super().values(x)

    def sparse(self, x, y, weight=1.0):
        self.derivatives_at.append((x.copy(), y.copy(), weight))
        return super().sparse(x, y, weight)


@each_backend
@pytest.mark.parametrize("make", KNOWN, ids=lambda make: make.__name__)
def test_a_backends_own_multipliers_make_its_point_stationary_in_our_signs(make, method):
    evaluator = prepared(make)[1]
    _, x, y, z = make()
    answer = run(make, method)
    there = evaluator(answer.x, answer.y)
    stationarity = there.gradient + there.jacobian.T @ answer.y + answer.z
    assert np.max(np.abs(stationarity)) <= 1e-7
    # An interior point ends at a distance from its bounds that only the last barrier parameter bounds.
    np.testing.assert_allclose(answer.x, x, atol=1e-6)
    np.testing.assert_allclose(answer.y, y, atol=1e-5)
    np.testing.assert_allclose(answer.z, z, atol=1e-5)
    assert answer.message
    assert answer.evaluations >= 1


@each_backend
@pytest.mark.parametrize("make", [fixed_and_bounded, maximum, on_its_lower_bound], ids=lambda make: make.__name__)
def test_no_point_outside_the_bounds_is_evaluated(make, method):
    flat, evaluator = prepared(make)
    recorder = Recorder(evaluator)
    answer = solve(method, flat, recorder, flat.x0 + 10.0)
    seen = np.array([*recorder.values_at, *(x for x, _, _ in recorder.derivatives_at), answer.x])
    assert np.all(seen >= flat.lower)
    assert np.all(seen <= flat.upper)


@each_backend
def test_each_point_is_evaluated_once(method):
    flat, evaluator = prepared(rosenbrock)
    recorder = Recorder(evaluator)
    answer = solve(method, flat, recorder, flat.x0)
    assert not any(np.array_equal(*pair) for pair in pairwise(recorder.values_at))
    calls = [(x.tobytes(), y.tobytes(), weight) for x, y, weight in recorder.derivatives_at]
    assert all(first != second for first, second in pairwise(calls))
    points = {x.tobytes() for x, _, _ in recorder.derivatives_at} | {x.tobytes() for x in recorder.values_at}
    assert answer.evaluations >= len(points)


def rosenbrock():
    return Problem(
        lambda x: 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2, np.array([-1.2, 1.0]), bounds=(-2.0, 5.0)
    )


def log_of_a_negative():
    """The first full Newton step from 30 leads to a negative argument of the logarithm."""
    return Problem(lambda x: jnp.sum(x - jnp.log(x)), np.array([30.0]))


def undefined():
    fine = equal(lambda x: x[0] + x[1], 1.0, name="fine")
    broken = equal(lambda x: jnp.sqrt(-1.0 - x**2), 0.0, name="broken")
    return Problem(lambda x: jnp.sum(x * x), np.array([1.0, 2.0]), constraints=[fine, broken])


@each_backend
def test_a_trial_point_that_is_nan_is_stepped_back_from(method):
    answer = run(log_of_a_negative, method)
    np.testing.assert_allclose(answer.x, [1.0], atol=1e-6)


@each_backend
def test_a_start_that_is_nan_is_told_by_the_name_of_the_row(method):
    answer = run(undefined, method)
    assert answer.status is Status.EVALUATION_FAILED
    assert "constraint broken[0] is nan at x[0] = 1, x[1] = 2" in answer.message
    assert np.all(np.isfinite(answer.x))


@each_backend
def test_the_iteration_limit_is_a_status(method):
    answer = run(rosenbrock, method, max_iterations=2)
    assert answer.status is Status.ITERATION_LIMIT
    assert answer.iterations <= 3


@each_backend
def test_the_time_limit_is_a_status(method):
    answer = run(rosenbrock, method, time_limit=1e-6)
    assert answer.status is Status.TIME_LIMIT


@each_backend
@pytest.mark.parametrize("way", ["returns true", "raises StopIteration"])
def test_the_callback_stops_the_run_and_sees_every_iteration(method, way):
    rows = []

    def callback(row):
        rows.append(row)
        if len(rows) == 3 and way == "raises StopIteration":
            raise StopIteration
        return len(rows) == 3

    answer = run(rosenbrock, method, callback=callback)
    assert answer.status is Status.STOPPED
    assert len(rows) == 3
    assert tuple(rows) == answer.history
    assert all(np.isfinite(row["value"]) and row["iteration"] >= 0 for row in rows)


@each_backend
def test_the_history_has_the_value_of_the_users_own_objective(method):
    assert run(maximum, method).history[-1]["value"] == pytest.approx(4.0, rel=1e-3)


@each_backend
def test_what_a_callback_raises_reaches_the_user(method):
    def callback(row):
        raise ZeroDivisionError("the user's own")

    with pytest.raises(ZeroDivisionError, match="the user's own"):
        run(rosenbrock, method, callback=callback)


@each_backend
def test_ctrl_c_returns_the_best_point_so_far(method):
    flat, evaluator = prepared(rosenbrock)
    recorder = Recorder(evaluator)
    before = signal.getsignal(signal.SIGINT)
    rows = []

    def callback(row):
        rows.append(row)
        if len(rows) == 4:
            signal.raise_signal(signal.SIGINT)

    answer = solve(method, flat, recorder, flat.x0, options=BackendOptions(callback=callback))
    assert answer.status is Status.INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is before
    best = min(evaluator.values(x)[0] for x in recorder.values_at)
    assert evaluator.values(answer.x)[0] == best
    assert len(rows) <= 5


@each_sparse_backend
def test_a_problem_without_feasible_points_is_infeasible(method):
    def make():
        return Problem(lambda x: jnp.sum(x), np.array([1.0, 1.0]), constraints=[equal(lambda x: jnp.sum(x * x) + 1.0)])

    assert run(make, method).status is Status.INFEASIBLE


@each_sparse_backend
def test_a_problem_without_a_minimum_is_unbounded(method):
    def make():
        return Problem(lambda x: x[0] - x[1], np.array([1.0, 1.0]), bounds=(0.0, None))

    assert run(make, method).status is Status.UNBOUNDED


@pytest.mark.parametrize("method", [name for name in ("ipopt", "pounce") if name in INSTALLED])
def test_a_warm_start_takes_fewer_iterations_than_a_cold_one(method):
    flat, evaluator = prepared(fixed_and_bounded)
    cold = solve(method, flat, evaluator, flat.x0)
    warm = solve(method, flat, evaluator, cold.x, cold.y, cold.z)
    assert warm.status is Status.CONVERGED
    assert warm.iterations < cold.iterations


def chained_rosenbrock():
    """100 variables, tridiagonal Hessian, 99 bidiagonal rows; the minimum is at (1, ..., 1), inside."""

    def objective(x):
        return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    rows = between(lambda x: x[1:] + x[:-1], upper=3.0, name="pairs")
    return Problem(objective, np.full(100, 0.5), bounds=(-2.0, 2.0), constraints=[rows])


@each_sparse_backend
def test_sparse_derivatives_solve_a_chain(method):
    flat, evaluator = prepared(chained_rosenbrock)
    assert evaluator.hessian_pattern[0].size == 199
    assert evaluator.jacobian_pattern[0].size == 198
    answer = solve(method, flat, evaluator, flat.x0)
    assert answer.status is Status.CONVERGED
    np.testing.assert_allclose(answer.x, np.ones(100), atol=1e-6)


def test_auto_takes_our_own_solver_for_small_problems_and_says_why():
    flat, evaluator = prepared(fixed_and_bounded)
    name, why = choose(flat, evaluator)
    assert name == OWN
    assert "3 variables and 1 constraint rows" in why


def test_auto_takes_the_first_installed_sparse_solver_for_large_problems(monkeypatch):
    flat, evaluator = prepared(fixed_and_bounded)
    monkeypatch.setattr(registry, "OWN_UP_TO", 3)
    name, why = choose(flat, evaluator)
    assert name == (SPARSE or [OWN])[0]
    assert name in why or "no sparse solver is installed" in why
    monkeypatch.setattr(registry, "find_spec", lambda package: None)
    name, why = choose(flat, evaluator)
    assert name == OWN
    assert "pip install 'karush[pounce]'" in why


def test_an_unknown_method_is_told_the_known_ones():
    flat, evaluator = prepared(equality)
    with pytest.raises(OptionError, match=r"method is 'newton-raphson'.*'auto', 'interior-point', 'pounce', 'ipopt'"):
        solve("newton-raphson", flat, evaluator, flat.x0)


@pytest.mark.parametrize("method", ["pounce", "ipopt", "uno"])
def test_a_missing_backend_is_told_its_extra(method, monkeypatch):
    flat, evaluator = prepared(equality)
    monkeypatch.setattr(registry, "find_spec", lambda package: None)
    assert available()[method] is None
    with pytest.raises(BackendMissing, match=rf"pip install 'karush\[{method}\]'"):
        solve(method, flat, evaluator, flat.x0)


@each_backend
def test_an_unknown_option_of_the_solver_is_refused(method):
    with pytest.raises(OptionError, match="no_such_option"):
        run(equality, method, backend_options={"no_such_option": 3})


@pytest.mark.parametrize(
    ("method", "own"),
    [
        ("pounce", {"max_iter": 1}),
        ("ipopt", {"max_iter": 1}),
        ("uno", {"max_iterations": 1}),
        ("slsqp", {"maxiter": 1}),
        ("trust-constr", {"maxiter": 1}),
    ],
)
def test_the_solvers_own_options_come_last(method, own):
    if method not in INSTALLED:
        pytest.skip(f"{method} is not installed")
    assert run(rosenbrock, method, backend_options=own).status is Status.ITERATION_LIMIT


def test_installed_backends_have_versions():
    assert all(find_spec(backend.package) is None or backend.version for backend in registry.BACKENDS.values())


def all_fixed(lower):
    rows = between(lambda x: x[0] * x[1], lower=lower, name="product")
    return Problem(lambda x: jnp.sum(x * x), np.ones(2), bounds=(np.array([1.0, 2.0]),) * 2, constraints=[rows])


@each_backend
@pytest.mark.parametrize(("lower", "status"), [(1.0, Status.CONVERGED), (3.0, Status.INFEASIBLE)])
def test_a_problem_without_a_free_variable_has_one_point(method, lower, status):
    flat = flatten(all_fixed(lower))
    answer = solve(method, flat, Evaluator(flat.closed_jaxpr, flat.param_leaves, flat.m), flat.x0)
    np.testing.assert_array_equal(answer.x, [1.0, 2.0])
    assert answer.status is status


@pytest.mark.parametrize("method", [name for name in ("ipopt", "pounce") if name in INSTALLED])
def test_more_equations_than_variables_are_said_to_be_so(method):
    rows = equal(lambda x: jnp.stack([x[0], x[0]]), 1.0, name="twice")
    flat = flatten(Problem(lambda x: jnp.sum(x), np.array([3.0]), constraints=[rows]))
    answer = solve(method, flat, Evaluator(flat.closed_jaxpr, flat.param_leaves, flat.m), flat.x0)
    assert answer.status is Status.STEP_FAILED
    assert "fewer free variables than equality rows" in answer.message
    np.testing.assert_array_equal(answer.x, flat.x0)
