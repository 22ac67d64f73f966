"""Identities, refusals and invariances of the certificate."""

import jax.numpy as jnp
import numpy as np
import pytest
from certifying import ready
from scipy.optimize import fsolve

from karush.certificates import typical_scales
from karush.certificates.scaled import Scaled
from karush.certificates.second_order import null_space
from karush.certificates.witness import restore
from karush.core.status import Verdict
from karush.problem.constraints import between, equal

EPS = np.finfo(float).eps


@pytest.fixture(scope="module")
def hs71():
    case = ready(
        lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
        [1.0, 5.0, 5.0, 1.0],
        bounds=(1.0, 5.0),
        constraints=[
            between(lambda x: jnp.prod(x), lower=25.0, name="product"),
            equal(lambda x: x @ x, 40.0, name="radius"),
        ],
    )

    def equations(unknown):
        x, y = np.concatenate(([1.0], unknown[:3])), unknown[3:]
        there = case.evaluator(x, y)
        return np.concatenate(((there.gradient + y @ there.jacobian)[1:], there.rows - [25.0, 40.0]))

    root = fsolve(equations, [4.743, 3.821, 1.379, -0.5, 0.1], xtol=1e-14)
    x, y = np.concatenate(([1.0], root[:3])), root[3:]
    there = case.evaluator(x, y)
    z = np.zeros(4)
    z[0] = -(there.gradient + y @ there.jacobian)[0]
    return case, x, y, z


def names_that_fail(certificate):
    return {entry.name for entry in certificate.entries if not entry.ok}


def test_the_solution_of_hs71_with_its_multipliers_is_a_local_minimum_in_every_entry(hs71):
    case, x, y, z = hs71
    certificate = case.judge(x, y, z)
    assert certificate.verdict is Verdict.LOCAL_MINIMUM
    assert certificate.success
    assert not names_that_fail(certificate)
    assert certificate.evaluation.startswith("rounding is small: 15 digits are left")
    np.testing.assert_allclose(np.concatenate(certificate.multipliers), np.concatenate((y, z)), rtol=4 * EPS)


def test_estimated_multipliers_are_the_exact_ones(hs71):
    case, x, y, z = hs71
    certificate = case.judge(x)
    assert certificate.verdict is Verdict.LOCAL_MINIMUM
    np.testing.assert_allclose(certificate.multipliers[0], y, rtol=1e-8)
    np.testing.assert_allclose(certificate.multipliers[1], z, rtol=1e-8, atol=1e-8)


def test_stationarity_is_the_gradient_of_the_lagrangian_in_typical_sizes(hs71):
    case, x, y, z = hs71
    scales = typical_scales(case.flat, case.evaluator(case.flat.x0, np.zeros(2)))
    # At a point that no multipliers make stationary the given ones are kept.
    moved = np.clip(x + 1e-3, 1.0, 5.0)
    there = case.evaluator(moved, y)
    expected = np.max(np.abs(there.gradient + y @ there.jacobian + z) * scales.x / scales.f)
    entry = case.judge(moved, y, z, scales=scales).entries[0]
    assert entry.name == "stationarity"
    assert entry.value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("which", ["y", "z"])
def test_flipped_multipliers_are_refused_and_replaced(hs71, which):
    case, x, y, z = hs71
    certificate = case.judge(x, -y if which == "y" else y, -z if which == "z" else z)
    assert any("refused" in note for note in certificate.notes)
    np.testing.assert_allclose(certificate.multipliers[0], y, rtol=1e-8)


def test_multipliers_that_are_nan_are_refused(hs71):
    case, x, y, z = hs71
    assert any("not finite" in note for note in case.judge(x, y * np.nan, z).notes)


@pytest.mark.parametrize("distance", [1e-6, 1e-4, 1e-2])
def test_a_perturbed_point_is_refused(hs71, distance):
    case, x, y, z = hs71
    certificate = case.judge(case.flat.projected(x + distance * np.array([0.0, 1.0, 1.0, -1.0])), y, z)
    assert certificate.verdict is Verdict.NOT_STATIONARY
    assert names_that_fail(certificate)


def test_a_point_that_is_nan_is_undecided(hs71):
    case, x, y, z = hs71
    x = np.where(np.arange(4) == 2, np.nan, x)
    certificate = case.judge(x, y, z)
    assert certificate.verdict is Verdict.UNDECIDED
    assert "x[2]" in certificate.sentence


def test_a_point_outside_its_bounds_is_refused_by_name_and_evaluated_inside():
    case = ready(lambda x: jnp.sqrt(x[0]) + (x[1] - 1) ** 2, [1.0, 1.0], bounds=(0.25, 2.0))
    certificate = case.judge([0.25 - 1e-12, 1.0])
    assert certificate.verdict is Verdict.NOT_STATIONARY
    assert names_that_fail(certificate) == {"feasibility: bounds"}
    ((name, amount),) = certificate.violated
    assert name == "x[0]"
    assert amount == pytest.approx(1e-12, rel=1e-3)


def test_violated_rows_are_named_with_amounts_in_their_own_units(hs71):
    case, *_ = hs71
    x = np.array([1.0, 4.0, 4.0, 1.0])
    assert dict(case.judge(x).violated) == pytest.approx({"product": 9.0, "radius": 6.0})


def test_a_nan_is_traced_to_its_constraint():
    case = ready(
        lambda x: x[0], [1.0], constraints=[between(lambda x: jnp.log(x[0] - 0.5), lower=-5.0, name="logarithm")]
    )
    certificate = case.judge([0.25])
    assert certificate.verdict is Verdict.UNDECIDED
    assert "logarithm" in certificate.sentence


def test_dependent_constraints_are_named_and_do_not_hide_a_minimum():
    pair = [
        equal(lambda x: x[0] + x[1], 1.0, name="once"),
        equal(lambda x: 2 * x[0] + 2 * x[1], 2.0, name="twice"),
        between(lambda x: x[2], lower=0.0, name="apart"),
    ]
    case = ready(lambda x: jnp.exp(x @ x) + x[2], [0.7, 0.3, 1.0], constraints=pair)
    certificate = case.judge([0.5, 0.5, 0.0])
    assert certificate.verdict is Verdict.LOCAL_MINIMUM
    assert certificate.dependent == ("once", "twice")
    assert names_that_fail(certificate) == {"independence of active gradients"}


@pytest.mark.parametrize(("cross", "verdict"), [(3.0, Verdict.LOCAL_MINIMUM), (-3.0, Verdict.NOT_A_MINIMUM)])
def test_with_weakly_active_bounds_the_curvature_is_decided_on_the_cone(cross, verdict):
    # x² + 3xy + y² is indefinite, but positive on the quadrant x, y >= 0; x² - 3xy + y² is not.
    case = ready(lambda x: x[0] ** 2 + cross * x[0] * x[1] + x[1] ** 2 + x[0] ** 5, [1.0, 1.0], bounds=(0.0, None))
    certificate = case.judge([0.0, 0.0])
    assert certificate.verdict is verdict
    assert "strict complementarity" in names_that_fail(certificate)


def test_a_better_point_is_feasible_and_better():
    case = ready(
        lambda x: jnp.sum(x**3) + 0.5 * x[0] ** 2,
        [0.5, 0.5, 0.5],
        constraints=[equal(lambda x: x @ x, 1.0, name="sphere")],
        maximize=True,
    )
    certificate = case.judge([0.0, 0.0, -1.0])
    assert certificate.verdict is Verdict.NOT_A_MINIMUM
    assert certificate.witness is not None
    value, rows = case.evaluator.values(certificate.witness["x_flat"])
    assert abs(rows[0] - 1.0) <= 64 * EPS
    assert certificate.witness["value"] == -value > -1.0


def test_a_linear_program_at_its_vertex_is_a_global_minimum_and_at_another_is_not():
    case = ready(
        lambda x: x[0] + 3 * x[1],
        [1.0, 1.0],
        bounds=(0.0, None),
        constraints=[between(lambda x: x[0] + 2 * x[1], lower=2.0)],
    )
    assert case.judge([2.0, 0.0]).verdict is Verdict.GLOBAL_MINIMUM
    assert case.judge([0.0, 1.0]).verdict is Verdict.NOT_STATIONARY


def test_a_quadratic_with_a_convex_lagrangian_is_global_and_with_an_indefinite_one_is_not():
    # The trust region problem: the Lagrangian is convex exactly where y >= -λ_min / 2.
    A = np.diag([-2.0, 1.0])
    case = ready(
        lambda x: 0.5 * x @ (A @ x) + 0.5 * x[0],
        [0.5, 0.5],
        constraints=[between(lambda x: x @ x, upper=1.0, name="ball")],
    )
    assert case.judge([-1.0, 0.0]).verdict is Verdict.GLOBAL_MINIMUM
    assert case.judge([1.0, 0.0]).verdict is Verdict.LOCAL_MINIMUM


def test_a_promise_of_convexity_is_recorded_as_assumed_and_not_believed_against_curvature():
    promised = ready(lambda x: jnp.sum(x**4), [1.0, 1.0], convex=True).judge([0.0, 0.0])
    assert promised.verdict is Verdict.GLOBAL_MINIMUM
    assert promised.assumed == ("convex",)
    broken = ready(lambda x: jnp.cos(x[0]), [1.0], convex=True).judge([0.0])
    assert broken.verdict is Verdict.NOT_A_MINIMUM
    assert not broken.assumed


def test_conflicting_constraints_are_named_with_their_amounts():
    case = ready(
        lambda x: x @ x,
        [1.0, 1.0],
        constraints=[
            between(jnp.sum, lower=2.0, name="demand"),
            between(jnp.sum, upper=0.0, name="supply"),
            between(lambda x: x[0], upper=9.0, name="idle"),
        ],
    )
    certificate = case.judge([0.5, 0.5])
    assert certificate.verdict is Verdict.LOCALLY_INFEASIBLE
    assert dict(certificate.violated) == {"demand": 1.0, "supply": 1.0}


def test_restoration_meets_a_nonlinear_constraint_to_rounding():
    case = ready(lambda x: x[0], [1.0, 1.0], constraints=[equal(lambda x: x @ x, 2.0)])
    scales = typical_scales(case.flat, case.evaluator(case.flat.x0, np.zeros(1)))
    reached = restore(Scaled(case.flat, case.evaluator, scales), np.array([1.2, 0.7]), np.full(1, 8 * EPS))
    assert reached is not None
    assert abs(reached[0] @ reached[0] - 2.0) <= 32 * EPS


def test_the_null_space_is_orthogonal_to_the_active_gradients(hs71):
    case, x, y, _ = hs71
    scales = typical_scales(case.flat, case.evaluator(case.flat.x0, np.zeros(2)))
    _, point = Scaled(case.flat, case.evaluator, scales).evaluate(x, y)
    space = null_space(point, np.array([True, True, True, False, False, False]))
    assert space.basis.shape == (4, 1)
    assert np.abs(point.jacobian @ space.basis).max() <= 64 * EPS * np.abs(point.jacobian).max()
    np.testing.assert_allclose(space.basis.T @ space.basis, np.eye(1), atol=8 * EPS)
