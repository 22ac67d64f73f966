"""Digits left of a float64 evaluation: all where arithmetic is benign, none where cancellation has eaten them."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush import numerics
from karush.certificates.evaluation import ALL_DIGITS, Evaluated, evaluation_check
from karush.jaxprs.customized import customized

pytestmark = pytest.mark.user_style


def digits(problem: karush.Problem, x: list[float]) -> Evaluated:
    parts = karush.prepare(problem).parts
    at = parts.evaluator(np.array(x), np.zeros(parts.flat.m))
    y = np.zeros(parts.flat.m)
    return evaluation_check(parts.flat, np.array(x), y, at.value, at.gradient, at.rows, parts.scales)


def cancelling(x):
    return -(1.0 - jnp.cos(x[0])) / x[0] ** 2


def test_where_a_cancellation_leaves_nothing_the_worst_function_has_no_digits():
    found = digits(karush.Problem(cancelling, [1e-8], bounds=(1e-9, 3.0)), [1e-8])
    assert found.worst().name == "gradient of the objective"
    assert found.worst().left < 1.0
    assert not found.trustworthy(1e-8)
    assert found.sentence(1e-8).startswith("rounding dominates")


def test_the_same_function_keeps_its_digits_elsewhere():
    found = digits(karush.Problem(cancelling, [0.5], bounds=(1e-9, 3.0)), [0.5])
    assert found.trustworthy(1e-8)
    assert found.worst().left > 12.0


def test_exact_arithmetic_keeps_all_digits_of_objective_gradient_and_rows():
    problem = karush.Problem(
        lambda x: (x[0] - 1.0) ** 2, [0.5], constraints=[karush.between(lambda x: 2.0 * x, upper=3.0, name="twice")]
    )
    found = digits(problem, [0.5])
    assert [one.name for one in found.digits] == ["objective", "gradient of the Lagrangian", "twice[0]"]
    assert all(one.left == ALL_DIGITS and one.error == 0.0 for one in found.digits)


def test_a_row_that_loses_its_digits_is_named():
    problem = karush.Problem(
        lambda x: x[0] ** 2,
        [1e-9],
        constraints=[karush.between(lambda x: (jnp.exp(x[0]) - 1.0) / x[0], upper=2.0, name="slope")],
        scales=karush.Scales(constraints={"slope": 1.0}),
    )
    found = digits(problem, [1e-9])
    assert found.worst().name == "slope"
    assert 5.0 < found.worst().left < 9.0


def test_where_balls_have_no_answer_nothing_is_trusted():
    found = digits(karush.Problem(lambda x: jnp.sqrt(x[0]), [0.0], bounds=(0.0, 1.0)), [0.0])
    assert found.worst() is None
    assert not found.trustworthy(1e-8)
    assert "not checked" in found.sentence(1e-8)


def shifted(x, p):
    """(x − 1)² with x rounded to multiples of 1e-7 on the way, which no compiler undoes."""
    return ((x[0] + p) - p - 1.0) ** 2


def test_a_minimum_that_rests_on_rounded_derivatives_is_undecided_and_says_how_many_digits_are_left():
    solver = karush.prepare(karush.Problem(shifted, [0.5], params=1e9))
    at = [1.0 + 3e-8]
    certificate = solver.certify(at)
    assert certificate.verdict is karush.Verdict.UNDECIDED
    assert "rounding dominates: 6 digits are left of the gradient of the objective" in certificate.sentence
    assert certificate.evaluation in certificate.sentence
    assert solver.certify([1.0]).verdict is karush.Verdict.GLOBAL_MINIMUM
    for driver in ("python", "fused"):
        result = solver.solve(at, driver=driver)
        assert not result.success or abs(result.x[0] - 1.0) <= 1e-8


@pytest.mark.parametrize("driver", ["python", "fused"])
def test_a_gradient_that_cancellation_has_destroyed_is_never_a_success(driver):
    solver = karush.prepare(karush.Problem(cancelling, [1e-8], bounds=(1e-9, 3.0)))
    for start in (1e-9, 1e-8, 1e-6, 1e-4, 1e-2, 1.0):
        result = solver.solve([start], driver=driver)
        assert not result.success or result.certificate.evaluated.trustworthy(1e-8)


@jax.custom_jvp
def square(x):
    return x * x


@square.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    return square(x), 2.2 * x * t


def test_a_derivative_rule_that_disagrees_with_its_function_is_found_with_the_users_line():
    problem = karush.Problem(lambda x: square(x[0] - 1.0) + x[0], [0.3])
    certificate = karush.certify(problem, [1.0 - 1.0 / 2.2])
    assert not certificate.success
    assert "the derivative rule at " in certificate.evaluation
    assert "test_evaluation_digits.py" in certificate.evaluation
    assert not karush.minimize(problem).success
    proof = karush.prove(problem, [0.5])
    assert "strict minimum" in proof
    assert len(proof.findings) == 1
    assert "disagrees with its function" in str(proof)


def test_rules_of_the_library_that_agree_are_no_finding():
    problem = karush.Problem(lambda x: jax.nn.softplus(x[0]) + jax.nn.relu(x[0] + 1.0) ** 2 - x[0], [0.3])
    found = karush.certify(problem, [0.5]).evaluated
    assert found.finding == ""
    assert found.worst().left > 12.0


@jax.custom_jvp
def chosen(x, mask):
    return jnp.sum(jnp.where(mask, x * x, 0.0))


@chosen.defjvp
def _(primals, tangents):
    x, mask = primals
    return chosen(x, mask), jnp.sum(jnp.where(mask, 2.0 * x * tangents[0], 0.0))


@pytest.mark.parametrize(
    "f",
    [numerics.logsumexp, lambda x: numerics.softmax(x)[0], lambda x: chosen(x, x > 0.0)],
    ids=["kernel", "family", "rule of a mask"],
)
def test_rules_with_a_mask_among_their_arguments_are_checked_and_kernels_of_the_library_claim_nothing(f):
    problem = karush.Problem(lambda x: f(x) + x @ x, [0.3, 1.1, -0.2])
    found = digits(problem, [0.3, 1.1, -0.2])
    assert found.trustworthy(1e-8), found.sentence(1e-8)
    assert not found.finding
    claims = customized(karush.prepare(problem).parts.flat.closed_jaxpr)
    assert bool(claims) == (f.__name__ == "<lambda>" and "chosen" in f.__code__.co_names)


def test_a_stored_certificate_keeps_its_digits_and_measures_nothing_new():
    certificate = karush.minimize(karush.Problem(lambda x: (x[0] - 1.0) ** 2, [0.5])).certificate
    stored = pickle.loads(pickle.dumps(certificate))
    assert stored.evidence.flat.closed_jaxpr is None
    assert (
        stored.evaluation
        == certificate.evaluation
        == "rounding is small: 15 digits are left of the objective, the fewest"
    )


@pytest.mark.parametrize("start", [1e-8, 1e-3, 1.0])
def test_polishing_finds_the_minimum_that_float64_cannot_see(start):
    problem = karush.Problem(cancelling, [start], bounds=(1e-9, 3.0))
    result = karush.minimize(problem, polish=True)
    assert result.certificate.verdict is karush.Verdict.LOCAL_MINIMUM
    assert result.x[0] == 1e-9
    assert result.value == -0.5
    assert any("in ball arithmetic" in note for note in result.notes)


def test_a_polished_minimum_is_correct_to_rounding_and_no_verdict_is_lost():
    problem = karush.Problem(
        lambda x: (x[0] - 2.0) ** 2 + x[1], [1.0, 0.1], constraints=[karush.equal(lambda x: x @ x, 3.0, name="circle")]
    )
    plain, polished = karush.minimize(problem), karush.minimize(problem, polish=True)
    assert plain.certificate.verdict is polished.certificate.verdict is karush.Verdict.GLOBAL_MINIMUM
    proof = karush.prove(problem, polished)
    assert proof.distance <= np.finfo(float).eps
    assert all(entry.value <= 1e-14 for entry in polished.certificate.entries if entry.name == "stationarity")


def test_a_kink_is_not_polished_and_the_note_says_so():
    result = karush.minimize(lambda x: jnp.abs(x[0] - 0.3), [1.0], polish=True)
    assert any("not polished" in note for note in result.notes)
    with pytest.raises(karush.errors.OptionError, match="polish is 1"):
        karush.minimize(lambda x: x[0] ** 2, [1.0], polish=1)


@pytest.mark.parametrize("many", [False, True])
def test_a_loop_that_has_no_derivative_but_by_a_rule_leaves_digits_open_and_names_its_line(many):
    def doubled(a):
        return jax.lax.while_loop(lambda s: s < 10.0, lambda s: 2.0 * s + 1.0, a)

    def objective(x):
        return jnp.sum((x - jax.lax.stop_gradient(jax.vmap(doubled)(x) if many else doubled(x[0]))) ** 2)

    found = digits(karush.Problem(objective, [1.0, 2.0]), [1.0, 2.0])
    assert not found.digits
    assert "while loop at" in found.reason
    assert "test_evaluation_digits.py" in found.reason
