"""Programs on which a proof must not be found, or must say something else: each was once proved falsely."""

import json
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb, ctx
from jax.scipy.special import erf

import karush
from karush.arithmetic.ball import BallProgram, Undecided
from karush.core.errors import FileError, ProblemError, TraceError
from karush.core.precision import float64
from karush.problem.flat import flatten
from karush.proofs.functions import Functions, fingerprint
from karush.proofs.proof import at_least, at_most
from karush.proofs.proof_file import ALONE, digest
from karush.proofs.recheck import read_proof, recheck


def test_a_jump_of_atan2_at_its_branch_cut_is_no_minimum():
    def f(x):
        return 10 * (x[0] + 1) ** 2 + 10 * x[1] ** 2 + x[1] + jnp.arctan2(x[1], x[0])

    assert karush.prove(karush.Problem(f, [-1.0, 0.0]), [-1.0, 0.0]).theorems == ()


def test_a_read_outside_an_array_is_the_fill_value_in_proofs():
    def f(x):
        return (x[0] - 1) ** 2 + x[1] ** 2 + x[1] * x.at[7].get(mode="fill", fill_value=0.0)

    assert karush.prove(karush.Problem(f, [1.0, -0.5]), [1.0, -0.5]).theorems == ()
    proof = karush.prove(karush.Problem(f, [1.0, 0.0]), [1.0, 0.0])
    assert "global minimum" in proof
    assert (proof.value.lower, proof.value.upper) == (0.0, 0.0)


def test_the_derivative_of_erf_has_the_exact_root_of_pi():
    a, h = 2 / np.sqrt(np.pi), 1e-8
    proof = karush.prove(karush.Problem(lambda x: erf(x[0]) - a * x[0] + h * x[0] ** 2, [0.0]), [0.0])
    with ctx.workprec(300):
        x = arb(0)
        for _ in range(20):
            bell = 2 / arb.pi().sqrt() * (-x * x).exp()
            x = (x - (bell - arb(a) + 2 * arb(h) * x) / (2 * arb(h) - 2 * x * bell)).mid()
        assert "strict minimum" in proof
        assert arb(proof.box.lower[0]) <= x <= arb(proof.box.upper[0])


def test_the_box_of_a_negative_entry_under_an_l1_term_is_not_reversed_and_its_bounds_hold_nothing():
    problem = karush.Problem(lambda x: (x[0] + 1 / 3) ** 2 / 7, np.zeros(1), regularization=karush.l1(0.01))
    proof = karush.prove(problem, np.array([-1 / 3 + 0.035]))
    assert proof.box.lower[0] < proof.box.upper[0]
    assert proof.multipliers["bounds"].lower[0] == proof.multipliers["bounds"].upper[0] == 0.0


def test_the_sentence_names_a_maximum_and_rounds_its_distance_up():
    problem = karush.Problem(lambda x: -((x[0] - 1) ** 2), np.ones(1), maximize=True)
    proof = karush.prove(problem, np.array([1 + 1.0449e-5]))
    assert proof.sentence == "Proved: a global maximum lies within 1.1e-05 relative of the given x."


def test_at_a_vertex_no_radius_of_uniqueness_is_claimed():
    problem = karush.Problem(lambda x: -(x[0] ** 2), np.ones(1), bounds=(-1.0, 1.0))
    assert karush.prove(problem, np.ones(1)).uniqueness_radius == 0.0


@cache
def proved():
    problem = karush.Problem(lambda x: (x[0] - 1) ** 2 + x[1] ** 2, [0.5, 0.5], bounds=(None, [1.0, 2.0]))
    flat, document = flatten(problem), karush.prove(problem, [1.0, 0.0]).document
    assert recheck(flat, document, "proof.json").theorems
    return flat, json.dumps(document)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("claims", ALONE, {"lower": [-9.0, -9.0], "upper": [9.0, 9.0]}),
        ("claims", "theorems", None),
        ("claims", "theorems", []),
        ("claims", "x", {"lower": ["low", 0.0], "upper": [{}, 0.0]}),
        ("claims", "value", {"lower": [[0.0], 0.0], "upper": [10**400]}),
        ("statement", "fingerprint", None),
        ("statement", "maximize", True),
        ("statement", "variables", ["profit", "loss"]),
        ("statement", "about", "any function"),
        ("statement", "precision", 10**9),
        ("statement", "author", "nobody"),
        ("witness", "middle", [1, None]),
        ("witness", "rows", [["first", 1]]),
        ("witness", "bounds", [[[], 1]]),
        ("witness", "radius", [float("nan"), 1.0]),
        ("witness", "weights", 1.0),
    ],
)
def test_a_claim_that_was_not_computed_is_refused_though_its_digest_fits(part, key, value):
    flat, text = proved()
    document = json.loads(text)
    document[part][key] = value
    document["digest"][part] = digest(document[part])
    with pytest.raises(FileError):
        recheck(flat, document, "proof.json")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "1" * 5000, '{"schema": "karush-proof/2", "digest": 3, "claims": {}}', "{"]
)
def test_a_file_that_is_no_proof_is_refused(tmp_path, text):
    path = tmp_path / "proof.json"
    path.write_text(text)
    with pytest.raises(FileError, match=r"proof\.json"):
        read_proof(path)


def test_the_fingerprint_sees_arrays_captured_inside_jit():
    def fitted(data):
        return flatten(karush.Problem(lambda x: jax.jit(lambda x: jnp.sum((x - data) ** 2))(x), np.zeros(2)))

    assert fingerprint(fitted(np.array([1.0, 2.0]))) != fingerprint(fitted(np.array([1.0, 3.0])))


def test_a_part_beside_the_proof_is_refused(tmp_path):
    path = tmp_path / "proof.json"
    karush.prove(karush.Problem(lambda x: x[0] ** 2, [0.0]), [0.0]).save(path)
    assert read_proof(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "report": {"theorems": ["global minimum"]}}))
    with pytest.raises(FileError, match="report"):
        read_proof(path)


def test_a_list_of_one_number_is_a_point():
    problem = karush.Problem(lambda x: (x[0] - 1) ** 2 * jnp.sum(jnp.square(jnp.arange(3)).astype(float)), [0.0])
    assert "global minimum" in karush.prove(problem, [1.0])


@pytest.mark.parametrize(
    "chosen",
    [
        lambda tie: jnp.where(jnp.max(jnp.array([tie, False])), 1.0, 2.0),
        lambda tie: jnp.where(jnp.maximum(tie, False), 1.0, 2.0),
        lambda tie: jnp.where(jnp.minimum(tie, True), 1.0, 2.0),
        lambda tie: jnp.where(jnp.where(tie, jnp.int8(-1), jnp.int8(-1)) < 0, 1.0, 2.0),
    ],
)
def test_what_is_made_of_an_undecided_answer_holds_the_true_value(chosen):
    def f(x):
        return chosen(jnp.sin(x) <= jnp.sin(1.5 * x / 1.5))

    with float64():
        program = BallProgram(jax.make_jaxpr(f)(1.5))
    (value,) = program(np.array(1.5))
    assert value.item().contains(1)


def test_integers_that_an_undecided_answer_chooses_between_are_refused_in_every_width():
    def f(x):
        return jnp.where(jnp.sin(x) <= jnp.sin(1.5 * x / 1.5), jnp.int8(3), jnp.int8(5)).astype(float)

    with float64():
        program = BallProgram(jax.make_jaxpr(f)(1.5))
    with pytest.raises(Undecided):
        program(np.array(1.5))


@pytest.mark.parametrize("f", [jax.lax.erf, jax.lax.erfc, jax.lax.erf_inv, jax.lax.cbrt])
@pytest.mark.parametrize("looped", [False, True])
def test_derivatives_are_exact_far_below_an_ulp_of_float64(f, looped):
    """First and second derivatives against central differences in balls, of step 2^-120 and error 2^-240."""

    def objective(x):
        return jax.lax.fori_loop(0, 3, lambda i, s: f(s) * x[0], x[0]) if looped else f(x[0])

    functions = Functions(flatten(karush.Problem(objective, [0.3])), 600)
    with ctx.workprec(600):
        x, h, w = arb(0.3), arb(2) ** -120, np.array([arb(1)], dtype=object)
        ahead, behind = (functions.first(np.array([at], dtype=object), w) for at in (x + h, x - h))
        _, slope, bend = functions.second(np.array([x], dtype=object), w)
        for exact, high, low in zip(
            (slope[0, 0], bend[0, 0]), (p[0] for p in ahead), (p[0] for p in behind), strict=True
        ):
            assert abs(exact - (high - low) / (2 * h)) < arb(2) ** -200


def test_an_exact_vertex_is_proved_whose_multipliers_are_no_binary_numbers():
    """HS22: x = (1, 1) and multipliers 2/3, whose rounding is wider than what the test left of the box."""
    problem = karush.Problem(
        lambda x: (x[0] - 2) ** 2 + (x[1] - 1) ** 2,
        [0.9, 1.2],
        constraints=[
            karush.between(lambda x: x[0] + x[1], upper=2.0, name="line"),
            karush.between(lambda x: x[0] ** 2 - x[1], upper=0.0, name="parabola"),
        ],
    )
    proof = karush.prove(problem, [1.0, 1.0])
    assert "global minimum" in proof
    assert proof.multipliers["line"].lower <= 2 / 3 <= proof.multipliers["line"].upper


@pytest.mark.parametrize(("value", "digits"), [(1.0001e-30, 3), (9.999e-5, 2), (0.1, 2), (123.4, 3), (1e300, 3)])
def test_printed_bounds_are_rounded_outward_and_no_further_than_their_last_digit(value, digits):
    low, high = float(at_most(value, digits)), float(at_least(value, digits))
    assert low <= value <= high
    assert high - low <= 10.0 ** (2 - digits) * value


def test_an_x_that_is_no_point_is_refused_by_the_name_of_its_entry():
    problem = karush.Problem(lambda x: x["a"] ** 2 + jnp.sum(x["b"] ** 2), {"a": 1.0, "b": np.ones(2)})
    with pytest.raises(ProblemError, match=r"x at b\[1\] is nan"):
        karush.prove(problem, {"a": 0.0, "b": np.array([0.0, np.nan])})


def test_a_loop_without_reverse_mode_is_refused_by_the_line_of_the_user():
    def objective(x):
        return jax.lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, 0.5 * c[1] + x[0] ** 2), (0, x[0]))[1]

    with pytest.raises(TraceError, match=r"while loop at .*test_false_theorems.py:\d+ in objective"):
        karush.prove(karush.Problem(objective, [0.3]), [0.0])


def test_a_while_loop_that_no_derivative_passes_through_is_no_obstacle():
    def objective(x):
        turns = jax.lax.while_loop(lambda k: k < 5, lambda k: k + 1, 0)
        return (x[0] - 1.0) ** 2 + turns

    assert "strict minimum" in karush.prove(karush.Problem(objective, [0.3]), [1.0])


@pytest.mark.parametrize(
    "asked",
    [
        lambda x: jnp.where(jnp.isfinite(jnp.log(x[0] - 1)), -5.0, 0.0),
        lambda x: jnp.where(jnp.isnan(jnp.log(x[0] - 1)), -5.0, 0.0),
        lambda x: jnp.where(jnp.isfinite(jnp.sqrt(-((x[0] - 1) ** 2))), 5.0, 0.0),
    ],
)
def test_a_jump_where_a_number_stops_being_real_is_no_minimum(asked):
    problem = karush.Problem(lambda x: (x[0] - 1) ** 2 + asked(x), [1.0])
    assert karush.prove(problem, [1.0]).theorems == ()


def test_what_is_no_number_may_be_feasible():
    """log is NaN below 0, where the row is -1."""
    row = karush.between(lambda x: jnp.where(jnp.isnan(jnp.log(x[0])), -1.0, 1.0), upper=0.0)
    problem = karush.Problem(lambda x: x[0], [0.5], bounds=(-1.0, 1.0), constraints=[row])
    assert "infeasible" not in karush.feasible(problem, time_limit=2.0)


@pytest.mark.user_style
def test_an_integer_too_large_for_its_type_is_undecided():
    """XLA saturates there, NumPy raises: neither is the real function."""
    problem = karush.Problem(lambda x: (x[0] - 1) ** 2 + 0.0 * (1e30 * x[0] + 0.5).astype(int), [1.0])
    assert karush.prove(problem, [1.0]).theorems == ()
    assert karush.certify(problem, [1.0]).verdict


def test_a_linear_solve_by_a_loop_without_derivative_is_named():
    A = np.array([[2.0, 1.0], [1.0, 3.0]])

    def f(x):
        return jnp.sum(jax.scipy.sparse.linalg.cg(lambda v: A @ v, x)[0] ** 2)

    with pytest.raises(TraceError, match="no reverse-mode derivative of the while loop"):
        karush.prove(karush.Problem(f, np.ones(2)), np.zeros(2))
