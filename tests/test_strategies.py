"""What is tried when the first answer is no minimum; verdicts that units cannot change."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solving import hs71, prepared, rosenbrock, saddle

import karush
from karush import Problem, Scales, Status, Verdict, between, equal
from karush.solvers import active_newton, strategies
from karush.solvers.run import Limits

pytestmark = pytest.mark.user_style
EPS = np.finfo(float).eps


def test_an_answer_beside_a_better_point_is_left_and_the_note_says_so():
    result = prepared(saddle).solve(method="interior-point")
    assert result.success
    assert "better point" in " ".join(result.notes)
    first = prepared(saddle).parts
    value = first.evaluator.values(np.zeros(2))[0]
    assert result.value < value


def test_iterations_and_history_of_all_attempts_add_up():
    result = prepared(saddle).solve()
    assert len(result.history) == result.iterations
    numbers = [row["iteration"] for row in result.history]
    assert numbers == sorted(set(numbers))


def test_a_first_answer_that_is_a_minimum_is_not_worked_on():
    result = prepared(hs71).solve()
    assert result.notes == ()


@pytest.mark.parametrize("driver", ["python", "fused"])
def test_the_best_verdict_is_returned(driver):
    parts = prepared(hs71).parts
    search = strategies.Search(parts, 1e-8, Limits(max_iterations=2), driver)
    far = search.run(parts.flat.x0)
    assert not far.certificate.success
    search.limits = Limits()
    search.driver = "python"
    near = search.run(parts.flat.x0)
    assert search.best is near
    assert search.iterations == far.answer.iterations + near.answer.iterations


def test_newton_on_the_active_set_converges_to_rounding():
    """From an answer good to 1e-3, the KKT residual falls to some eps of the gradient."""
    parts = prepared(hs71).parts
    result = prepared(hs71).solve()
    rough = strategies.Answer(
        x=parts.flat.projected(result.x_flat * (1 + 1e-4)),
        y=result.y_flat,
        z=result.z_flat,
        status=Status.STEP_FAILED,
        message="",
        iterations=0,
        evaluations=0,
        history=(),
    )
    polished = active_newton.polish(parts.flat, parts.evaluator, parts.scales, rough, 1e-8)
    assert polished is not None
    at = parts.evaluator(polished.x, polished.y)
    assert np.max(np.abs(at.gradient + polished.y @ at.jacobian + polished.z)) <= 1e-10
    assert abs(at.rows[1] - 40.0) <= 1e-10
    assert np.all((polished.x >= 1.0) & (polished.x <= 5.0))


def test_a_time_limit_ends_all_attempts():
    """A kink where no attempt succeeds: without the limit every one of them is tried."""
    result = karush.minimize(
        lambda x: jnp.abs(x[0] - 0.3) + jnp.sqrt(jnp.abs(x[1] - 0.2)), np.array([1.0, 1.0]), time_limit=0.2
    )
    assert result.seconds <= 3.0


def disc_in(units, value_unit):
    """The disc problem with x, f and c measured in other units, and scales that say so."""
    ux, uf, uc = units[:2], value_unit, units[2]

    def f(x):
        return uf * ((x[0] / ux[0] - 2.0) ** 2 + (x[1] / ux[1] - 1.0) ** 2)

    def c(x):
        return uc * ((x[0] / ux[0]) ** 2 + (x[1] / ux[1]) ** 2)

    return Problem(
        f,
        ux * np.array([0.1, 0.2]),
        bounds=(-3.0 * ux, 3.0 * ux),
        constraints=between(c, upper=uc * 1.0, name="disc"),
        scales=Scales(x=ux, objective=uf, constraints={"disc": uc}),
    )


powers = st.integers(-40, 40).map(lambda k: 2.0**k)


@settings(max_examples=10)
@given(powers, powers)
def test_rescaling_the_objective_and_a_constraint_by_powers_of_two_changes_no_verdict(f_unit, c_unit):
    result = karush.minimize(disc_in(np.array([1.0, 1.0, c_unit]), f_unit))
    assert result.certificate.verdict is Verdict.GLOBAL_MINIMUM
    np.testing.assert_allclose(result.x, np.array([2.0, 1.0]) / np.sqrt(5.0), atol=1e-6)


@settings(max_examples=10)
@given(st.integers(-40, 40).map(lambda k: 2.0**k))
def test_rescaling_all_variables_by_a_power_of_two_changes_no_verdict(unit):
    result = karush.minimize(disc_in(np.array([unit, unit, 1.0]), 1.0))
    assert result.certificate.verdict is Verdict.GLOBAL_MINIMUM
    np.testing.assert_allclose(result.x / unit, np.array([2.0, 1.0]) / np.sqrt(5.0), atol=1e-6)


@settings(max_examples=6)
@given(powers)
def test_rescaling_changes_no_verdict_of_infeasibility(unit):
    result = karush.minimize(
        lambda x: x @ x,
        np.array([0.5, 0.2]),
        constraints=between(lambda x: unit * (x @ x), upper=-unit, name="impossible"),
        scales=Scales(constraints={"impossible": unit}),
    )
    assert result.certificate.verdict is Verdict.LOCALLY_INFEASIBLE
    assert result.certificate.violated[0][0] == "impossible"


def test_dependent_constraints_are_solved_and_named():
    result = karush.minimize(
        lambda x: x @ x,
        np.array([1.0, 2.0]),
        constraints=[
            equal(lambda x: x[0] + x[1], 1.0, name="plane"),
            equal(lambda x: 3.0 * x[0] + 3.0 * x[1], 3.0, name="again"),
        ],
    )
    assert result.success
    assert set(result.certificate.dependent) == {"plane", "again"}


def test_rosenbrock_needs_no_second_attempt_from_any_of_its_classic_starts():
    for x0 in ([-1.2, 1.0], [0.0, 0.0], [5.0, 5.0], [-3.0, -4.0]):
        result = prepared(rosenbrock).solve(x0)
        assert result.success
        assert result.notes == ()
