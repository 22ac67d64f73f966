"""Trust regions: the exact step, saddles, bounds, and the runs of newton, newton-cg and dog-leg."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.core.errors import OptionError
from karush.core.precision import float64
from karush.unconstrained import more_sorensen
from karush.unconstrained.dog_leg import dog_leg_step
from karush.unconstrained.faces import Box, bounded_step
from karush.unconstrained.method import Task, first_progress
from karush.unconstrained.more_sorensen import LIFTED_FROM, ON_SPHERE, exact_step, on_sphere
from karush.unconstrained.steihaug import truncated_step
from karush.unconstrained.trust_region import Trial, assess

EPS = float(np.finfo(np.float64).eps)
METHODS = ("newton", "newton-cg", "dog-leg")
START = (-1.2, 1.0, -1.2, 1.0)


def rosenbrock(x):
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@cache
def compiled(step):
    return jax.jit(step)


@cache
def prepared(name: str) -> karush.Prepared:
    """Problems shared between tests."""
    bowl = np.arange(1.0, 5.0)
    problems = {
        "rosenbrock": lambda: karush.Problem(rosenbrock, np.array(START)),
        "bounded": lambda: karush.Problem(rosenbrock, np.array(START), bounds=(-2.0, 0.5)),
        "quadratic": lambda: karush.Problem(lambda x: jnp.sum(bowl * (x - 1.0) ** 2), np.zeros(4)),
        "saddle": lambda: karush.Problem(lambda x: x[0] ** 4 - x[0] ** 2 + x[1] ** 2, np.array([0.0, 1.0])),
        "logarithm": lambda: karush.Problem(lambda x: x[0] - jnp.log(x[0]) + x[1] ** 2, np.array([20.0, 1.0])),
        "falling": lambda: karush.Problem(lambda x: x[1] ** 2 - x[0] ** 2, np.array([1.0, 1.0])),
        "no value": lambda: karush.Problem(lambda x: jnp.log(x[0]) + x[1] ** 2, np.array([-1.0, 1.0])),
    }
    return karush.prepare(problems[name]())


def matrices(case: str) -> tuple[np.ndarray, np.ndarray]:
    """g and H of a model."""
    generator = np.random.default_rng(3)
    Q, _ = np.linalg.qr(generator.standard_normal((5, 5)))
    spectrum = {"convex": (1.0, 2.0, 3.0, 5.0, 9.0)}.get(case, (-2.0, -1.0, 1.0, 3.0, 5.0))
    g = generator.standard_normal(5)
    if case == "hard":
        # No part along the eigenvector of the least eigenvalue.
        g = g - Q[:, 0] * (Q[:, 0] @ g)
    return g, (Q * np.array(spectrum)) @ Q.T


@pytest.mark.parametrize("case", ["convex", "indefinite", "hard"])
@pytest.mark.parametrize("radius", [0.1, 1.0, 100.0])
def test_the_exact_step_meets_the_conditions_of_more_and_sorensen(case, radius):
    g, H = matrices(case)
    with float64():
        p, convex = (np.asarray(part) for part in compiled(exact_step)(g, H, radius))
    assert convex == (case == "convex")
    length = np.linalg.norm(p)
    # (H + λ I) p = −g determines λ; it has to be what the conditions ask for.
    shift = -(p @ (H @ p + g)) / (p @ p)
    allowed = 1e3 * EPS * (np.linalg.norm(g) + np.linalg.norm(H) * length) + ON_SPHERE * np.linalg.norm(g)
    assert np.linalg.norm(H @ p + shift * p + g) <= allowed
    assert length <= radius * (1.0 + 2.0 * ON_SPHERE)
    assert shift >= -allowed
    assert abs(shift * (radius - length)) <= 4.0 * ON_SPHERE * radius * (abs(shift) + 1.0)
    assert np.linalg.eigvalsh(H)[0] + shift >= -1e-5


@pytest.mark.parametrize("radius", [1e-6, 0.1, 0.9])
@pytest.mark.parametrize("least", [1.0, 1e-9, -1e-3, -5.0])
def test_where_no_newton_step_fits_cholesky_factors_find_the_step_that_eigenvalues_find(least, radius, monkeypatch):
    """Of definite and of indefinite models; `radius` in lengths of a step with the shifted matrix."""
    generator = np.random.default_rng(5)
    Q, _ = np.linalg.qr(generator.standard_normal((LIFTED_FROM, LIFTED_FROM)))
    H = (Q * np.linspace(least, 30.0, LIFTED_FROM)) @ Q.T
    g = generator.standard_normal(LIFTED_FROM)
    radius = radius * np.linalg.norm(np.linalg.solve(H + max(0.0, -1.1 * least) * np.eye(g.size), g))
    with float64():
        slow, convex = (np.asarray(part) for part in compiled(on_sphere)(g, H, radius))
        monkeypatch.setattr(more_sorensen, "on_sphere", lambda g, H, radius: (jnp.full_like(g, jnp.nan), True))
        quick, says = (np.asarray(part) for part in compiled(without_eigenvalues)(g, H, radius))
    assert says == convex == (least > 0)
    # A length that is right to ON_SPHERE leaves as much of the step open, along a soft direction twice.
    assert np.linalg.norm(quick - slow) <= 4.0 * ON_SPHERE * radius


def without_eigenvalues(g, H, radius):
    return exact_step(g, H, radius)


def test_inside_the_ball_exact_step_and_dog_leg_are_newton_s_step():
    g, H = matrices("convex")
    newton = np.linalg.solve(H, -g)
    with float64():
        for step in (exact_step, dog_leg_step):
            assert np.allclose(compiled(step)(g, H, 1e3)[0], newton, rtol=1e-10)


def test_the_dog_leg_ends_on_the_sphere_and_no_higher_than_the_cauchy_point():
    g, H = matrices("convex")
    radius = 0.5 * np.linalg.norm(np.linalg.solve(H, g))
    with float64():
        p = np.asarray(compiled(dog_leg_step)(g, H, radius)[0])
    cauchy = -min(g @ g / (g @ H @ g), radius / np.linalg.norm(g)) * g
    assert np.linalg.norm(p) == pytest.approx(radius, rel=1e-12)
    assert g @ p + 0.5 * p @ H @ p <= g @ cauchy + 0.5 * cauchy @ H @ cauchy + 1e-14


def test_the_step_of_a_singular_convex_model_is_the_shortest_one():
    """Rounding makes zero eigenvalues of either sign; none of them leads anywhere."""
    a = np.arange(1.0, 201.0)
    H, g = 2e6 * np.outer(a, a), 1e6 * a
    with float64():
        p, convex = (np.asarray(part) for part in jax.jit(exact_step)(g, H, 10.0))
    shortest = -0.5 * a / (a @ a)
    assert convex
    assert np.linalg.norm(p - shortest) <= 1e-6 * np.linalg.norm(shortest)


def judged(value: float, slope: float, promised: float, before: float = 1.0, length: float = 1.0):
    """What `assess` says of a trial with `value` and `slope` beside a point with the value `before` and slope 1e-6."""
    with float64():
        lanes = jnp.asarray([-jnp.inf]), jnp.asarray([jnp.inf]), jnp.ones(1), jnp.asarray(1.0)
        task = Task(*lanes, jnp.ones(1), jnp.ones(1), jnp.asarray(1e-8))
        at = first_progress(jnp.zeros(1))._replace(
            value=jnp.asarray(before),
            gradient=jnp.full(1, 1e-6),
            strict_error=jnp.asarray(1e-6),
            evaluations=jnp.asarray(1),
        )
        trial = Trial(jnp.asarray([length]), jnp.asarray(promised), jnp.asarray(length))
        return assess(task, at, trial, jnp.asarray(value), jnp.full(1, slope), jnp.asarray(4.0))


def test_a_trial_of_astronomic_value_is_refused_and_not_taken_for_rounding():
    found = judged(value=1e30, slope=1e30, promised=0.3)
    assert not found.accepted
    assert not found.exhausted
    assert found.radius < 1.0


@pytest.mark.parametrize(
    ("rise", "slope", "accepted"),
    [(0.0, 0.9e-6, True), (1e-12, 0.9e-6, False), (1e-12, 1e-9, True), (1e-12, np.nan, False), (1e-6, 1e-9, False)],
)
def test_below_the_rounding_of_f_the_slope_decides(rise, slope, accepted):
    found = judged(value=1.0 + rise, slope=slope, promised=1e-20, length=1e-9)
    assert found.accepted == accepted
    # A step that promises no visible fall and does not flatten the slope ends the run.
    assert found.exhausted == (not accepted and np.isfinite(slope))


def test_conjugate_gradients_stop_where_the_end_of_the_run_asks_for_no_more():
    g, H = matrices("convex")
    g = 1e-8 * g
    step = jax.jit(lambda g, H, end: truncated_step(g, lambda v: H @ v, None, 1e3, True, end)[1])
    with float64():
        sharp, rough = (np.asarray(step(g, H, end)) for end in (0.0, 1e-9))
    assert np.max(np.abs(rough + g)) <= 1e-9
    assert np.linalg.norm(sharp + g) < np.linalg.norm(rough + g)


def test_the_truncated_step_goes_to_the_edge_along_negative_curvature():
    g, H = matrices("indefinite")
    with float64():
        p, Hp, convex = jax.jit(lambda g, H: truncated_step(g, lambda v: H @ v, None, 2.0))(g, H)
    assert not convex
    assert np.linalg.norm(p) == pytest.approx(2.0, rel=1e-12)
    product = np.asarray(H) @ np.asarray(p)
    np.testing.assert_allclose(Hp, product, rtol=0, atol=1e-13 * np.linalg.norm(product))


def test_a_bounded_step_stays_in_the_box_and_lowers_the_model():
    g, H = matrices("convex")
    box = Box(-np.full(5, 0.05), np.array([0.0, 0.3, 0.01, 1.0, 1.0]))

    def step(g, H):
        def on_face(slope, free, radius):
            both = free[None, :] & free[:, None]
            return exact_step(slope, jnp.where(both, H, jnp.eye(5)), radius)

        return bounded_step(g, lambda v: H @ v, box, 10.0, on_face)

    with float64():
        s, q, _ = (np.asarray(part) for part in jax.jit(step)(g, H))
    assert np.all((s >= box.lower) & (s <= box.upper))
    assert q < 0
    assert q == pytest.approx(g @ s + 0.5 * s @ H @ s, rel=1e-10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("driver", ["python", "fused"])
def test_every_method_reaches_a_certified_minimum(method, driver):
    result = prepared("rosenbrock").solve(method=method, driver=driver)
    assert result.success, result
    assert result.status is karush.Status.CONVERGED


def test_both_drivers_take_the_same_steps():
    watched = prepared("rosenbrock").solve(method="newton", driver="python")
    fused = prepared("rosenbrock").solve(method="newton", driver="fused")
    assert watched.iterations == fused.iterations
    assert np.allclose(watched.x_flat, fused.x_flat, rtol=1e-9)
    assert [row["iteration"] for row in watched.history] == list(range(1, watched.iterations + 1))


def test_newton_takes_one_step_on_a_quadratic():
    result = prepared("quadratic").solve(method="newton")
    assert result.iterations == 1
    assert result.certificate.verdict is karush.Verdict.GLOBAL_MINIMUM


def test_newton_leaves_a_saddle_along_its_negative_curvature():
    result = prepared("saddle").solve(method="newton")
    assert result.success
    assert abs(result.x_flat[0]) == pytest.approx(0.5**0.5, rel=1e-6)


def test_newton_cg_goes_on_from_the_better_point_that_the_certificate_shows():
    result = prepared("saddle").solve(method="newton-cg")
    assert result.success
    assert any("better point" in note for note in result.notes)


def test_a_trial_without_a_value_is_refused_and_the_region_shrinks():
    for method in METHODS:
        result = prepared("logarithm").solve(method=method)
        assert result.success
        assert result.x_flat[0] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("method", ["newton", "newton-cg"])
def test_bounds_hold_at_every_evaluation(method):
    seen: list[np.ndarray] = []

    def objective(x):
        jax.debug.callback(lambda x: seen.append(np.array(x)), x)
        return rosenbrock(x)

    problem = karush.Problem(objective, np.array(START[:2]), bounds=(-2.0, 0.5))
    result = karush.minimize(problem, method=method)
    jax.effects_barrier()
    assert result.success
    assert seen
    assert np.all((np.array(seen) >= -2.0) & (np.array(seen) <= 0.5))


def test_the_default_without_constraint_rows_is_newton_for_repeated_solves_and_says_why():
    repeated, once = prepared("bounded").solve(driver="fused"), prepared("bounded").solve()
    assert (repeated.method, once.method) == ("newton", "interior-point")
    for result in (repeated, once):
        assert "4 variables" in result.why_method
        assert result.success
        assert "method" in str(result)
    np.testing.assert_allclose(repeated.x_flat, once.x_flat, atol=1e-6)


def test_each_status_is_reached_on_purpose():
    ask = prepared("rosenbrock").solve
    assert ask(method="newton", max_iterations=2).status is karush.Status.ITERATION_LIMIT
    assert ask(method="newton", time_limit=1e-9).status is karush.Status.TIME_LIMIT
    assert ask(method="newton", callback=lambda row: row["iteration"] == 3).status is karush.Status.STOPPED
    assert prepared("falling").solve(method="newton").status is karush.Status.UNBOUNDED
    assert prepared("no value").solve(method="newton").status is karush.Status.EVALUATION_FAILED


def test_the_dog_leg_refuses_bounds_and_names_the_cure():
    with pytest.raises(OptionError, match="'newton'"):
        prepared("bounded").solve(method="dog-leg")
