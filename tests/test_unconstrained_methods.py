"""The line-search methods: each reaches the minima it should, says why it ended, and never leaves the bounds."""

from functools import cache
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush import Status, Verdict, methods
from karush.core.errors import OptionError
from karush.solvers.run import Limits
from karush.unconstrained import drive

TOL = 1e-8
QUADRATIC = np.diag([1.0, 4.0, 9.0])


def quadratic(x):
    return 0.5 * x @ (jnp.asarray(QUADRATIC) @ x) - jnp.sum(x)


def rosenbrock(x):
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


def badly_scaled(x):
    """Brown's badly scaled function: the minimum at (1e6, 2e-6)."""
    return (x[0] - 1e6) ** 2 + (x[1] - 2e-6) ** 2 + (x[0] * x[1] - 2.0) ** 2


def plain_scaled(x):
    """Curvatures 1e8 and 1e-4, sizes 1e-3 and 1e3."""
    return 1e8 * (x[0] - 1e-3) ** 2 + 1e-4 * (x[1] - 1e3) ** 2 + (1e3 * x[0] - 1e-3 * x[1]) ** 4


PROBLEMS = {
    "quadratic": (quadratic, [3.0, -2.0, 1.0], [1.0, 0.25, 1.0 / 9.0]),
    "rosenbrock": (rosenbrock, [-1.2, 1.0], [1.0, 1.0]),
    "badly scaled": (plain_scaled, [2e-3, 5e2], [1e-3, 1e3]),
    "Brown": (badly_scaled, [1.0, 1.0], [1e6, 2e-6]),
}
FAST = (methods.NonlinearCG(), methods.BFGS(), methods.LBFGS())
CONJUGATE = tuple(methods.NonlinearCG(beta=beta) for beta in ("hager-zhang", "polak-ribiere", "fletcher-reeves"))


@cache
def prepared(function, start, **more):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return karush.prepare(function, np.array(start), **more)


def bounded(function, start, lower, upper):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return karush.prepare(function, np.array(start), bounds=(np.array(lower), np.array(upper)))


def run(method, function, start, driver="fused", **limits):
    parts = prepared(function, tuple(start)).parts
    return drive.run(method, parts, np.array(start), Limits(**{"max_iterations": 1000, **limits}), TOL, driver)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("method", FAST, ids=lambda m: m.name)
def test_the_minimum_is_reached_and_certified(method, name):
    function, start, minimum = PROBLEMS[name]
    answer = run(method, function, start)
    parts = prepared(function, tuple(start)).parts
    assert answer.status is Status.CONVERGED
    certificate = parts.judged(answer.x, answer.y, answer.z, TOL)
    assert certificate.success, str(certificate)
    # The verdict's decrease promised by a Newton step, <= tol in units of f, bounds the distance to √tol.
    assert np.all(np.abs(answer.x - minimum) <= np.sqrt(TOL) * np.maximum(np.abs(minimum), parts.scales.x))


def test_gradient_descent_reaches_the_minimum_of_a_quadratic_with_every_kind_of_step():
    function, start, minimum = PROBLEMS["quadratic"]
    for step in ("backtracking", "exact", 2.0 / (1.0 + 9.0)):
        answer = run(methods.GradientDescent(step=step), function, start)
        assert answer.status is Status.CONVERGED
        assert np.max(np.abs(answer.x - minimum)) <= 10 * TOL


def test_a_fixed_step_of_gradient_descent_is_the_formula_and_contracts_as_theory_says():
    # With α = 2 / (λ_min + λ_max) every step contracts by (κ − 1) / (κ + 1) at least.
    function, start, minimum = PROBLEMS["quadratic"]
    alpha, rate = 0.2, (9.0 - 1.0) / (9.0 + 1.0)
    steps = 7
    x = np.array(start)
    for _ in range(steps):
        x = x - alpha * (QUADRATIC @ x - 1.0)
    answer = run(methods.GradientDescent(step=alpha), function, start, max_iterations=steps)
    assert answer.iterations == steps
    assert answer.status is Status.ITERATION_LIMIT
    assert np.max(np.abs(answer.x - x)) <= 1e-14
    gap = np.linalg.norm(np.array(start) - minimum)
    assert np.linalg.norm(answer.x - minimum) <= rate**steps * gap * (1.0 + 1e-12)


def test_the_exact_step_is_that_of_the_formula():
    function, start, _ = PROBLEMS["quadratic"]
    g = QUADRATIC @ start - 1.0
    answer = run(methods.GradientDescent(step="exact"), function, start, max_iterations=1)
    assert np.max(np.abs(answer.x - (start - (g @ g) / (g @ QUADRATIC @ g) * g))) <= 1e-13


@pytest.mark.parametrize("method", CONJUGATE, ids=lambda m: m.beta)
def test_every_formula_of_nonlinear_conjugate_gradients_minimises(method):
    for name in ("quadratic", "rosenbrock"):
        function, start, minimum = PROBLEMS[name]
        answer = run(method, function, start)
        assert answer.status is Status.CONVERGED
        assert np.max(np.abs(answer.x - minimum)) <= 1e-6


@pytest.mark.parametrize("method", [methods.GradientDescent(), *FAST], ids=lambda m: m.name)
def test_both_drivers_of_the_step_end_at_the_same_point(method):
    function, start, _ = PROBLEMS["rosenbrock"]
    watched = run(method, function, start, "python", max_iterations=20)
    fused = run(method, function, start, "fused", max_iterations=20)
    assert (watched.iterations, watched.evaluations, watched.status) == (
        fused.iterations,
        fused.evaluations,
        fused.status,
    )
    # Compiled apart, the same operations may be contracted otherwise; twenty steps multiply the last place.
    assert np.max(np.abs(watched.x - fused.x)) <= 1e-8
    assert len(watched.history) == watched.iterations


@pytest.mark.parametrize("method", [methods.GradientDescent(), *FAST], ids=lambda m: m.name)
def test_values_fall_along_the_history(method):
    function, start, _ = PROBLEMS["rosenbrock"]
    values = [row["value"] for row in run(method, function, start, "python", max_iterations=30).history]
    assert all(later <= earlier for earlier, later in pairwise(values))


def where_the_logarithm_ends(x):
    return jnp.sum(x - jnp.log(x))


@pytest.mark.parametrize("method", [methods.GradientDescent(), *FAST], ids=lambda m: m.name)
def test_a_trial_point_without_a_value_is_backed_off_from(method):
    # From 30 the first direction leads below zero before long.
    answer = run(method, where_the_logarithm_ends, (30.0, 1e-3))
    assert np.all(np.isfinite(answer.x))
    assert answer.status is Status.CONVERGED
    assert np.max(np.abs(answer.x - 1.0)) <= 1e-6


def no_number_at_the_start(x):
    return jnp.sum(jnp.sqrt(x - 1.0))


def down_for_ever(x):
    return -jnp.sum(x**3)


def kink(x):
    return jnp.abs(x[0] - 0.3) + jnp.abs(x[1] - 0.7)


@pytest.mark.parametrize("method", [methods.GradientDescent(), *FAST], ids=lambda m: m.name)
def test_every_status_is_reached_on_purpose(method):
    assert run(method, no_number_at_the_start, (0.0, 2.0)).status is Status.EVALUATION_FAILED
    assert run(method, down_for_ever, (1.0, 2.0)).status is Status.UNBOUNDED
    assert run(method, kink, (1.0, 1.0)).status is Status.STEP_FAILED
    function, start, _ = PROBLEMS["rosenbrock"]
    assert run(method, function, start, max_iterations=2).status is Status.ITERATION_LIMIT
    assert run(method, function, start, "python", deadline=0.0).status is Status.TIME_LIMIT
    assert run(method, function, start, "python", callback=lambda row: True).status is Status.STOPPED

    def interrupt(row):
        raise KeyboardInterrupt

    assert run(method, function, start, "python", callback=interrupt).status is Status.INTERRUPTED


def test_a_fixed_step_that_is_too_long_ends_where_there_is_no_number():
    answer = run(methods.GradientDescent(step=10.0), rosenbrock, (-1.2, 1.0))
    assert answer.status in (Status.EVALUATION_FAILED, Status.UNBOUNDED)
    assert np.all(np.isfinite(answer.x))


def watched_within_bounds(seen):
    """A quadratic with its minimum outside the box, that notes every point at which it is evaluated."""

    def f(x):
        jax.debug.callback(lambda x: seen.append(np.array(x)), x)
        return jnp.sum(jnp.array([1.0, 10.0, 100.0]) * (x - jnp.array([2.0, -3.0, 0.25])) ** 2) + x[0] * x[1]

    return f


@pytest.mark.parametrize("method", [methods.GradientDescent(), methods.LBFGS(memory=5)], ids=lambda m: m.name)
def test_no_evaluation_leaves_the_bounds_and_the_minimum_on_them_is_found(method):
    seen = []
    lower, upper = np.array([-1.0, -1.0, -1.0]), np.array([1.0, np.inf, 1.0])
    parts = bounded(watched_within_bounds(seen), [0.0, 0.5, 0.9], lower, upper).parts
    answer = drive.run(method, parts, np.array([0.0, 0.5, 0.9]), Limits(max_iterations=500), TOL, "python")
    jax.effects_barrier()
    assert len(seen) >= answer.evaluations
    assert all(np.all((x >= lower) & (x <= upper)) for x in seen)
    assert answer.status is Status.CONVERGED
    assert np.max(np.abs(answer.x - [1.0, -1.0, 0.25])) <= 1e-7
    certificate = parts.judged(answer.x, answer.y, answer.z, TOL)
    assert certificate.verdict in (Verdict.LOCAL_MINIMUM, Verdict.GLOBAL_MINIMUM)
    assert answer.z[0] > 0 > answer.z[1]


@pytest.mark.parametrize("method", [methods.GradientDescent(), methods.LBFGS()], ids=lambda m: m.name)
def test_the_run_ends_where_the_certificate_agrees(method):
    # The measure that ends a run is the certificate's stationarity or complementarity, so both say the same.
    parts = bounded(rosenbrock, [-1.2, 1.0], [-2.0, -2.0], [0.5, 2.0]).parts
    answer = drive.run(method, parts, np.array([-1.2, 1.0]), Limits(max_iterations=3000), TOL, "fused")
    assert answer.status is Status.CONVERGED
    assert parts.judged(answer.x, answer.y, answer.z, TOL).success


@pytest.mark.parametrize("method", [methods.BFGS(), methods.NonlinearCG()], ids=lambda m: m.name)
def test_a_method_without_bounds_refuses_them_and_names_the_cure(method):
    prepared_problem = bounded(rosenbrock, [-1.2, 1.0], [-2.0, -2.0], [0.5, 2.0])
    with pytest.raises(OptionError, match=r"x\[0\] has some; use method='l-bfgs'"):
        prepared_problem.solve(method=method)


@pytest.mark.parametrize("name", ["gradient-descent", "nonlinear-cg", "bfgs", "l-bfgs", "cross-entropy"])
def test_constraint_rows_are_refused_with_the_cure(name):
    with jax.numpy_dtype_promotion("standard"):
        problem = karush.Problem(
            rosenbrock, np.zeros(2), constraints=karush.equal(lambda x: x[0] + x[1], 1.0, name="plane")
        )
        with pytest.raises(OptionError, match=r"'plane' first.*method='interior-point'"):
            karush.minimize(problem, method=name)


def test_a_bad_option_of_a_method_is_refused_with_its_value():
    for make, words in (
        (lambda: methods.GradientDescent(step=-1.0), "step is -1.0"),
        (lambda: methods.GradientDescent(step="newton"), "step is 'newton'"),
        (lambda: methods.NonlinearCG(beta="best"), "beta is 'best'"),
        (lambda: methods.LBFGS(memory=0), "memory is 0"),
        (lambda: methods.CrossEntropy(samples=1), "samples is 1"),
        (lambda: methods.CrossEntropy(elite=1.0), "elite is 1.0"),
        (lambda: methods.CrossEntropy(seed=0.5), "seed is 0.5"),
        (lambda: karush.prepare(rosenbrock, np.zeros(2)).solve(method="nelder-mead"), "'l-bfgs'"),
    ):
        with pytest.raises(OptionError, match=words):
            make()


def test_a_name_and_an_instance_mean_the_same_through_the_front_door():
    door = prepared(rosenbrock, (-1.2, 1.0))
    by_name, by_instance = door.solve(method="l-bfgs"), door.solve(method=methods.LBFGS())
    assert by_name.success
    assert by_name.method == by_instance.method == "l-bfgs"
    assert np.array_equal(by_name.x, by_instance.x)


def test_maximize_climbs():
    with jax.numpy_dtype_promotion("standard"):
        result = karush.maximize(lambda x: -rosenbrock(x), np.array([-1.2, 1.0]), method="bfgs")
    assert result.success
    values = [row["value"] for row in result.history]
    assert values == sorted(values)
