"""A verdict found clear by the compiled program is the verdict of the step-by-step judge; what is not clear says so."""

import copy
import pickle
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from solving import KNOWN, hs71, prepared, saddle

import karush
from benchmarks import probes
from karush import Problem, Verdict, between, equal
from karush.certificates import compiled
from karush.certificates.certificate import Certificate
from karush.certificates.compiled import Answer, clear_verdict, conditions
from karush.certificates.deferred import Deferred
from karush.certificates.projection import null_space
from karush.certificates.scaled import scaled_problem
from karush.core.precision import float64

pytestmark = pytest.mark.user_style
EPS = np.finfo(float).eps
TOL = 1e-8
VERDICTS = {compiled.LOCAL: Verdict.LOCAL_MINIMUM, compiled.GLOBAL: Verdict.GLOBAL_MINIMUM}


def box_vertex():
    """At (1, -1) both bounds push: no direction is left, first derivatives decide."""
    return Problem(lambda x: jnp.sin(x[0]) * -2.0 + jnp.exp(x[1]), np.array([0.2, 0.3]), bounds=(-1.0, 1.0))


def concave_on_a_plane():
    """A quadratic that is concave in one variable, but convex on the affine equality."""
    plane = equal(lambda x: x[0] - x[1], 0.0, name="plane")
    return Problem(lambda x: 2.0 * x[0] ** 2 - x[1] ** 2 - x[0], np.array([2.0, 1.0]), constraints=plane)


def with_params():
    return Problem(lambda x, p: jnp.sum((x - p) ** 4 + (x - p) ** 2), np.zeros(2), params=np.array([1.0, 2.0]))


def two_curves():
    """No objective: a circle and a line that cross."""
    curves = equal(lambda x: jnp.stack([x @ x, x[0] - x[1]]), np.array([2.0, 0.0]), name="curves")
    return Problem(lambda x: jnp.zeros(()), np.array([2.0, 0.5]), constraints=curves)


def many_rows():
    """A polygon of 12 sides: more rows than variables, two of them active."""
    angles = np.arange(12) * np.pi / 6.0
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Problem(
        lambda x: jnp.exp(-x[0]) - x[1],
        np.zeros(2),
        constraints=between(lambda x: normals @ x, upper=1.0, name="polygon"),
    )


def cubic_in_a_box():
    return Problem(lambda x: x[0] ** 3, np.array([1.0]), bounds=(-1.0, 1.0))


def cubic_between_rows():
    rows = between(lambda x: x[0], lower=-1.0, upper=1.0, name="between")
    return Problem(lambda x: x[0] ** 3, np.array([1.0]), constraints=rows)


CLEAR = {name: KNOWN[name][0] for name in ("rosenbrock", "hs71", "disc", "band", "logarithm", "fixed and free")}
CLEAR |= {
    "vertex": box_vertex,
    "plane": concave_on_a_plane,
    "params": with_params,
    "polygon": many_rows,
    "curves": two_curves,
}


@cache
def word(make):
    """The compiled verdict on any point of a problem, as a function (x, y, z) -> word."""
    parts = prepared(make).parts
    known = conditions(scaled_problem(parts.flat, parts.evaluator, parts.scales), parts.analysis)
    assert known is not None
    evaluator, leaves = parts.evaluator, parts.evaluator.param_leaves

    def verdict(x, y, z):
        at = evaluator.derivatives(x, jnp.concatenate([jnp.ones(1), y]), *leaves)
        return clear_verdict(
            known,
            Answer(x, y, z, *at),
            TOL,
            lambda x, w: evaluator.derivatives(x, w, *leaves),
            lambda x: evaluator.program(x, *leaves),
            tuple(leaves),
        )

    compiled_verdict = jax.jit(verdict)

    def ask(*point):
        with float64():
            return int(compiled_verdict(*point))

    return ask


@pytest.mark.parametrize("name", CLEAR)
def test_a_clear_minimum_is_found_clear_with_the_verdict_of_the_judge(name):
    solver = prepared(CLEAR[name])
    result = solver.solve(driver="fused")
    assert isinstance(result.certificate, Deferred)
    assert result.certificate.verdict is result.certificate.measured.verdict
    assert result.success


@pytest.mark.parametrize("name", CLEAR)
def test_what_is_read_later_is_what_the_judge_measures(name):
    solver = prepared(CLEAR[name])
    result = solver.solve(driver="fused")
    judged = solver.parts.judged(result.x_flat, result.y_flat, result.z_flat, TOL)
    assert [str(entry) for entry in result.certificate.entries] == [str(entry) for entry in judged.entries]
    assert result.certificate.sentence == judged.sentence
    at = solver.parts.evaluator(result.x_flat, result.y_flat)
    np.testing.assert_allclose(result.value, at.value, rtol=64 * EPS, atol=64 * EPS)
    np.testing.assert_allclose(result.rows_flat, at.rows, rtol=64 * EPS, atol=64 * EPS)


@pytest.mark.parametrize("make", [saddle, hs71, KNOWN["disc"][0], box_vertex, concave_on_a_plane, many_rows])
def test_no_point_is_found_clear_that_the_judge_does_not_call_a_minimum(make):
    """Beside the answer at all distances, and far from it, with its multipliers and with none."""
    solver = prepared(make)
    flat = solver.parts.flat
    answer = solver.solve(driver="fused")
    generator = np.random.default_rng(1)
    words = []
    for distance in 10.0 ** np.arange(-12, 1):
        for given in (1.0, 0.0):
            x = flat.projected(answer.x_flat + distance * generator.standard_normal(flat.n))
            found = word(make)(x, given * answer.y_flat, given * answer.z_flat)
            words.append(found)
            if found != compiled.UNCLEAR:
                judged = solver.parts.judged(x, given * answer.y_flat, given * answer.z_flat, TOL)
                assert judged.verdict is VERDICTS[found]
    assert compiled.UNCLEAR in words


@pytest.mark.parametrize("make", [cubic_in_a_box, cubic_between_rows])
def test_the_multiplier_of_a_distant_limit_makes_no_minimum_of_an_inflection(make):
    """x³ falls through 0: there |∇f| = 3x² is small enough to pass for a multiplier of the limit at −1."""
    parts = prepared(make).parts
    for x in (2.0**-15, 2.0**-16):
        multipliers = np.array([-3.0 * x**2])
        y, z = (np.zeros(0), multipliers) if parts.flat.m == 0 else (multipliers, np.zeros(1))
        assert not parts.judged(np.array([x]), y, z, TOL).success
        assert word(make)(np.array([x]), y, z) == compiled.UNCLEAR


def test_a_saddle_is_never_clear():
    flat = prepared(saddle).parts.flat
    assert word(saddle)(np.zeros(flat.n), np.zeros(0), np.zeros(flat.n)) == compiled.UNCLEAR


def test_a_point_that_is_not_finite_is_never_clear():
    n, m = prepared(hs71).parts.flat.n, prepared(hs71).parts.flat.m
    assert word(hs71)(np.full(n, np.nan), np.zeros(m), np.zeros(n)) == compiled.UNCLEAR


SOME_PROBES = [probe for probe in probes.PROBES if probe.is_minimum is not None][::6]


@pytest.mark.parametrize("probe", SOME_PROBES, ids=lambda probe: probe.name)
def test_no_probe_has_a_clear_verdict_that_contradicts_its_truth(probe):
    solver = karush.prepare(probe.problem())
    result = solver.solve(driver="fused")
    if isinstance(result.certificate, Deferred):
        assert result.certificate.verdict is result.certificate.measured.verdict
        assert probe.is_minimum(result.x)


def test_a_certificate_read_after_new_parameters_is_of_the_old_ones():
    solver = prepared(with_params)
    first = solver.solve(driver="fused", params=np.array([1.0, 2.0]))
    second = solver.solve(driver="fused", params=np.array([3.0, 4.0]))
    np.testing.assert_allclose(second.x, [3.0, 4.0], atol=1e-7)
    assert all(entry.ok for entry in first.certificate.entries)
    assert first.certificate.measured.verdict is first.certificate.verdict


def test_a_deferred_certificate_is_copied_and_pickled_with_its_numbers():
    certificate = prepared(hs71).solve(driver="fused").certificate
    for other in (pickle.loads(pickle.dumps(certificate)), copy.deepcopy(certificate)):
        assert type(other) is Certificate
        assert str(other) == str(certificate)


@pytest.mark.parametrize("active", [[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 0, 0, 1], [0, 1, 0, 1, 0]])
def test_the_projector_removes_the_gradients_of_the_active_limits_and_nothing_else(active):
    """P A = 0, P² = P, trace P = dimension; rounding is eps ‖K⁻¹‖ <= 100 eps for these rows."""
    jacobian = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0]])
    flags = np.array(active, dtype=bool)
    with float64():
        space = null_space(jnp.asarray(jacobian), jnp.asarray(flags), np.ones(5, bool))
        projector = np.asarray(space.projector)
        held = np.concatenate([jacobian, np.eye(3)])[flags]
        assert bool(space.clear)
    np.testing.assert_allclose(projector @ held.T, 0.0, atol=1e3 * EPS)
    np.testing.assert_allclose(projector @ projector, projector, atol=1e3 * EPS)
    np.testing.assert_allclose(np.trace(projector), 3 - sum(active), atol=1e3 * EPS)
    assert int(space.dimension) == 3 - sum(active)


def test_dependent_gradients_are_not_clear():
    with float64():
        rows = jnp.asarray([[1.0, 2.0], [2.0, 4.0]])
        assert not bool(null_space(rows, jnp.asarray([True, True, False, False]), np.ones(4, bool)).clear)
    result = prepared(KNOWN["dependent"][0]).solve(driver="fused")
    assert result.success
