"""Values against derivatives, weighted infeasibility, sizes that values confirm, walks along active rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from certifying import ready
from hypothesis import given, settings
from hypothesis import strategies as st

import karush
from karush.certificates import typical_scales
from karush.certificates.infeasibility import infeasibility
from karush.certificates.scaled import Scaled
from karush.core.status import Verdict
from karush.problem.constraints import between, equal

pytestmark = pytest.mark.user_style
TOL = 1e-8


def wrong(rule):
    """(x − 2)² summed, with ``rule(x) · t`` for its derivative along t."""

    @jax.custom_jvp
    def function(x):
        return jnp.sum((x - 2) ** 2)

    function.defjvp(lambda primals, tangents: (function(*primals), jnp.vdot(rule(*primals), *tangents)))
    return function


def of_square(x):
    return 2 * x


def right(x):
    return 2 * (x - 2)


def wrong_in_one(x):
    return 2 * x.at[1:].add(-2.0)


WRONG = {
    "a rule of another function": (dict(objective=wrong(of_square), x0=[1.0, 1.0]), [0.0, 0.0]),
    "one component of it": (dict(objective=wrong(wrong_in_one), x0=[1.0, 1.0]), [0.0, 2.0]),
    "the stiff one of two": (
        dict(objective=lambda x: 1e4 * wrong(of_square)(x[:1]) + x[1] ** 2, x0=[1.0, 1.0]),
        [0.0, 0.0],
    ),
    "at a vertex": (dict(objective=wrong(of_square), x0=[2.0], bounds=(1.0, 3.0)), [1.0]),
    "promised to be convex": (dict(objective=wrong(of_square), x0=[1.0], convex=True), [0.0]),
    "in a constraint": (
        dict(
            objective=lambda x: x[0] ** 2 + x[1],
            x0=[1.0, 1.0],
            constraints=[between(lambda x: x[1] - wrong(of_square)(x[:1]), lower=0.0, name="row")],
        ),
        [0.0, 4.0],
    ),
}


@pytest.mark.parametrize(("problem", "x"), WRONG.values(), ids=WRONG)
def test_a_wrong_derivative_is_never_success(problem, x):
    certificate = ready(**problem).judge(x)
    assert certificate.verdict is Verdict.UNDECIDED, str(certificate)
    assert "values and derivatives disagree" in certificate.sentence


def test_a_right_hand_written_derivative_is_success():
    assert ready(wrong(right), [1.0, 1.0]).judge([2.0, 2.0]).success


@pytest.fixture(scope="module")
def bowl():
    """offset + Σ k (cosh(x − c) − 1), least at c, with the parameters (offset, c, k)."""

    def value(x, p):
        return p[0] + jnp.sum(p[4:] * (jnp.cosh(x - p[1:4]) - 1))

    return ready(value, np.ones(3), params=np.arange(7.0))


@given(
    offset=st.floats(-1e3, 1e3),
    center=st.lists(st.floats(-10, 10), min_size=3, max_size=3),
    stiffness=st.lists(st.floats(1e-2, 1e4), min_size=3, max_size=3),
)
@settings(max_examples=40)
def test_right_derivatives_agree_with_values(bowl, offset, center, stiffness):
    flat = bowl.flat.with_params(np.array([offset, *center, *stiffness]))
    bowl.evaluator.set_params(flat.param_leaves)
    certificate = bowl._replace(flat=flat).judge(center)
    assert all(entry.ok for entry in certificate.entries if entry.name == "values against derivatives")
    assert certificate.success, str(certificate)


def test_a_derivative_destroyed_by_cancellation_makes_no_typical_size():
    case = ready(lambda x: -(1 - jnp.cos(x[0])) / x[0] ** 2, [1e-8], bounds=(1e-9, 3.0))
    start = case.evaluator(case.flat.x0, np.zeros(0))
    assert abs(start.gradient[0]) > 1e7
    assert typical_scales(case.flat, start, case.evaluator).f <= 0.5
    assert case.judge([1.0]).verdict is Verdict.NOT_STATIONARY


def test_outside_of_a_ball_the_walk_follows_the_sphere():
    case = ready(
        lambda x: x[0] + 0.1 * x[1] ** 2,
        [3.0, 0.5],
        constraints=[between(lambda x: x @ x, lower=1.0, name="outside")],
        bounds=([0.0, -0.5], 4.0),
    )
    certificate = case.judge([1.0, 0.0])
    assert certificate.verdict is Verdict.NOT_A_MINIMUM
    better = certificate.witness["x_flat"]
    assert better @ better >= 1.0 - 1e-12
    assert certificate.witness["value"] < 1.0


def test_a_weakly_active_bound_promises_no_decrease():
    # Multiplier a = 1e-6 on a direction of curvature h = 1e-5: a²/2h = 5e-8 > tol, but the bound is in the way.
    case = ready(
        lambda x: 0.5e-5 * (x[0] - 1) ** 2 + 1e-6 * x[0] + jnp.exp(x[1]) - x[1],
        [2.0, 0.5],
        bounds=([1.0, -1.0], 3.0),
    )
    certificate = case.judge([1.0 + 1e-6, 0.0], np.zeros(0), np.array([-1e-6, 0.0]))
    assert any(entry.note == "1 weakly active" for entry in certificate.entries)
    assert certificate.verdict is Verdict.LOCAL_MINIMUM, str(certificate)


def conflict(units=(1.0, 1.0)):
    """x = 0 and x = 1 in units of their own: least squares in the user's units is a point of its own."""
    return ready(
        lambda x: x[0] ** 2,
        [3.0],
        constraints=[
            equal(lambda x: units[0] * x[0], 0.0, name="zero"),
            equal(lambda x: units[1] * (x[0] - 1), 0.0, name="one"),
        ],
    )


@pytest.mark.parametrize("units", [(1.0, 1.0), (4.0, 1.0), (1.0, 16.0)])
def test_least_squares_in_the_users_units_is_locally_infeasible(units):
    x = units[1] ** 2 / (units[0] ** 2 + units[1] ** 2)
    assert conflict(units).judge([x]).verdict is Verdict.LOCALLY_INFEASIBLE


def test_the_weights_of_the_given_multipliers_count_with_the_signs_of_the_violations():
    case = conflict()
    x, weight = 0.2, 3.0
    assert case.judge([x]).verdict is Verdict.LOCALLY_INFEASIBLE  # sums of amounts are flat between 0 and 1
    assert case.judge([x], np.array([weight, -weight])).verdict is Verdict.LOCALLY_INFEASIBLE
    assert case.judge([-0.2], np.array([weight, weight])).verdict is Verdict.NOT_STATIONARY


def test_a_point_a_rounding_inside_its_bound_is_held_by_it():
    case = ready(
        lambda x: x[0],
        [1.0],
        constraints=[between(lambda x: jnp.exp(x[0]), upper=-1.0, name="row")],
        bounds=(-3.0, 3.0),
    )
    assert case.judge([-3.0 + 6e-10]).verdict is Verdict.LOCALLY_INFEASIBLE
    assert case.judge([-2.9]).verdict is Verdict.NOT_STATIONARY


def test_a_satisfied_equation_may_hold_a_violated_one():
    case = ready(
        lambda x: x @ x,
        [1.0, 1.0],
        constraints=[
            equal(lambda x: x[0] + x[1], 0.0, name="line"),
            between(lambda x: x[0] + x[1], lower=1.0, name="far"),
        ],
    )
    certificate = case.judge([0.5, -0.5])
    assert certificate.verdict is Verdict.LOCALLY_INFEASIBLE
    assert [name for name, _ in certificate.violated] == ["far"]


def test_a_slow_approach_is_not_infeasible():
    # exp(x) = 0 is met at −∞ only; x² = 0 at 0: no point on the way is stationary for the infeasibility.
    for function, points in ((lambda x: jnp.exp(x[0]), (-5.0, -15.0)), (lambda x: x[0] ** 2, (1e-1, 1e-3))):
        case = ready(lambda x: x[0], [1.0], constraints=[equal(function, 0.0, name="row")])
        for x in points:
            assert case.judge([x]).verdict is Verdict.NOT_STATIONARY


@pytest.mark.parametrize("y", [None, np.array([1.0]), np.array([-1.0])])
def test_a_maximum_of_the_infeasibility_is_no_minimum_of_it(y):
    case = ready(lambda x: x[0], [1.0], constraints=[equal(lambda x: jnp.sin(x[0]), 0.5, name="row")])
    x = np.array([-np.pi / 2 + np.pi * 2])
    case_scales = typical_scales(case.flat, case.evaluator(case.flat.x0, np.zeros(1)))
    scaled = Scaled(case.flat, case.evaluator, case_scales)
    _, point = scaled.evaluate(x, np.zeros(1))
    found = infeasibility(scaled, x, point, y, TOL)
    assert found.measure <= found.bound
    assert not found.minimum


@pytest.mark.parametrize("reach", [1e8, 1e10, 1e12])
def test_a_slope_that_vanishes_at_infinity_is_no_stationary_point(reach):
    curve = karush.Problem(
        lambda x: -x[0], np.ones(2), constraints=[karush.equal(lambda x: x[1] - x[0] ** 2, name="parabola")]
    )
    verdict = karush.certify(curve, np.array([reach, reach**2])).verdict
    assert verdict in (Verdict.NOT_STATIONARY, Verdict.UNBOUNDED)


def test_every_feasible_point_of_a_constant_objective_is_a_global_minimum():
    circle = karush.Problem(
        lambda x: 0.0 * x[0], np.array([2.0, 0.0]), constraints=[equal(lambda x: x @ x, 1.0, name="circle")]
    )
    assert karush.certify(circle, np.array([0.6, 0.8])).verdict is Verdict.GLOBAL_MINIMUM
    assert karush.certify(circle, np.array([0.6, 0.9])).verdict is not Verdict.GLOBAL_MINIMUM
