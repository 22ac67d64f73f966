"""Proofs: what is claimed is true, what cannot be decided is not claimed, and a tampered witness proves nothing."""

import json
from dataclasses import replace
from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.arithmetic.ball_numbers import Undecided, around, balls
from karush.cli import main
from karush.core.errors import FileError, OptionError
from karush.core.precision import float64
from karush.proofs.checker import Witness, verify
from karush.proofs.definite import positive_definite
from karush.proofs.functions import Functions, fingerprint
from karush.proofs.proof_file import read_witness
from karush.proofs.recheck import read_proof, recheck
from karush.proofs.system import Limit

pytestmark = pytest.mark.user_style


def hs71():
    return karush.Problem(
        lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
        [1.0, 5.0, 5.0, 1.0],
        bounds=(1.0, 5.0),
        constraints=[
            karush.between(jnp.prod, lower=25.0, name="prod"),
            karush.equal(lambda x: jnp.sum(x * x), 40.0, name="sum"),
        ],
        name="HS71",
    )


@cache
def prepared(make):
    return karush.prepare(make())


@cache
def solved(make):
    return prepared(make).solve()


@cache
def proved(make):
    return karush.prove(prepared(make), solved(make))


def quadratic():
    """Minimum at a = 1 (bound), b = (1/2, 1/2), value 3/2; convex."""
    return karush.Problem(
        lambda x: (x["a"] - 2.0) ** 2 + jnp.sum((x["b"] - 1.0) ** 2),
        {"a": 0.0, "b": np.zeros(2)},
        bounds=(None, {"a": 1.0, "b": None}),
        constraints=[karush.equal(lambda x: jnp.sum(x["b"]), 1.0, name="budget")],
    )


def largest():
    """Maximum of x y on the circle of radius 2: value 2."""
    return karush.Problem(
        lambda x: x[0] * x[1],
        [1.0, 1.5],
        maximize=True,
        constraints=[karush.equal(lambda x: x @ x, 4.0, name="circle")],
    )


def irrational():
    """min x^4 − x² / 3 near x = 1/√6."""
    return karush.Problem(lambda x: x[0] ** 4 - x[0] ** 2 / 3.0, [0.5])


def test_hs71_has_one_kkt_point_near_the_answer_and_it_is_a_strict_minimum():
    proof = proved(hs71)
    assert proof.theorems == ("KKT point", "strict minimum")
    assert proof.value.lower <= 17.014017289156303 <= proof.value.upper
    assert proof.value.width < 1e-14
    assert proof.radius < 1e-30
    assert proof.uniqueness_radius > 1e-3
    assert proof.distance < 1e-6
    assert proof.active == ("prod at its lower limit", "sum", "x[0] at its lower bound")
    assert proof.multipliers["sum"].lower == pytest.approx(solved(hs71).multipliers["sum"], rel=1e-6)


def test_a_convex_quadratic_has_its_global_minimum_proved_and_its_exact_value_enclosed():
    proof = proved(quadratic)
    assert proof.theorems == ("KKT point", "strict minimum", "global minimum")
    assert (proof.value.lower, proof.value.upper) == (1.5, 1.5)
    assert proof.box.lower["a"] == proof.box.upper["a"] == 1.0
    assert np.array_equal(proof.box.lower["b"], [0.5, 0.5])
    assert proof.multipliers["bounds"].lower["a"] == 2.0


def test_a_maximum_is_enclosed_in_the_users_own_sign():
    proof = proved(largest)
    assert "strict minimum" in proof.theorems
    assert proof.value.lower <= 2.0 <= proof.value.upper
    assert proof.multipliers["circle"].lower == pytest.approx(solved(largest).multipliers["circle"], rel=1e-6)


def test_an_irrational_minimum_lies_in_a_box_of_adjacent_numbers():
    proof = proved(irrational)
    low, high = proof.box.lower[0], proof.box.upper[0]
    assert low < high <= np.nextafter(low, 1.0)
    assert low**2 <= 1.0 / 6.0 * (1 + 4 * np.finfo(float).eps)
    assert "global minimum" not in proof.theorems


def test_any_solvers_point_is_taken_and_the_distance_is_part_of_the_theorem():
    x = np.array([1.0, 4.74299964, 3.82114998, 1.37940829]) + 1e-4
    proof = karush.prove(prepared(hs71), x)
    assert "strict minimum" in proof.theorems
    assert 0.5e-4 < proof.distance < 2e-4


@pytest.mark.parametrize(
    ("objective", "start", "bounds", "claimed"),
    [
        (lambda x: x[0] ** 2 - x[1] ** 2, [0.0, 0.0], ([-1.0, -1.0], [1.0, 1.0]), ("KKT point",)),
        (lambda x: -(x[0] ** 2), [0.0], None, ("KKT point",)),
        (lambda x: x[0] ** 3, [0.0], None, ()),
        (lambda x: x[0] ** 4, [0.0], None, ()),
        (lambda x: jnp.abs(x[0]) + x[0] ** 2, [0.0], None, ()),
        (lambda x: jnp.maximum(x[0], 0.0) - jnp.maximum(-x[0], 0.0) + x[0] ** 2, [0.0], None, ()),
        (lambda x: -(1.0 - jnp.cos(x[0])) / x[0] ** 2, [1e-8], (1e-9, 3.0), ()),
        (lambda x: x[0] ** 2, [0.5], None, ()),
        (lambda x: jnp.exp(x[0]), [-30.0], None, ()),
    ],
)
def test_saddles_maxima_kinks_and_degenerate_points_are_not_proved_to_be_minima(objective, start, bounds, claimed):
    proof = karush.prove(karush.Problem(objective, start, bounds=bounds), np.array(start))
    assert proof.theorems == claimed
    assert proof.reason
    assert ("Undecided" in proof.sentence) == (claimed == ())


def test_flipped_multipliers_are_not_proved():
    given = {name: -np.asarray(part) for name, part in solved(hs71).multipliers.items()}
    proof = karush.prove(prepared(hs71), solved(hs71).x, given)
    assert proof.theorems == ()
    assert proved(hs71).theorems == karush.prove(prepared(hs71), solved(hs71).x, solved(hs71).multipliers).theorems


def test_a_weakly_active_limit_at_an_exact_point_leaves_the_minimum_and_takes_uniqueness():
    problem = karush.Problem(lambda x: (x[0] - 1.0) ** 2 + x[1] ** 2, [0.5, 0.5], bounds=([-5.0, 0.0], [1.0, None]))
    proof = karush.prove(problem, np.array([1.0, 0.0]))
    assert proof.theorems == ("KKT point", "strict minimum", "global minimum")
    assert proof.uniqueness_radius == 0.0
    assert proof.isolated
    assert "multiplier 0" in proof.reason


def test_an_affine_row_that_the_others_imply_is_dropped_with_its_reason():
    rows = [karush.linear([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]], lower=[1.0, 2.0], upper=[1.0, 2.0], name="twice")]
    problem = karush.Problem(lambda x: jnp.sum((x - 0.25) ** 2) + x[0] ** 4, np.zeros(3), constraints=rows)
    proof = karush.prove(problem, karush.minimize(problem))
    assert "strict minimum" in proof.theorems
    assert len(proof.dropped) == 1
    assert proof.dropped[0][0].startswith("twice")


def test_params_and_fixed_variables_are_part_of_the_theorem():
    problem = karush.Problem(
        lambda x, p: (x[0] - p["a"]) ** 2 + x[1] * x[0],
        [0.0, 3.0],
        bounds=([None, 3.0], [None, 3.0]),
        params={"a": 0.1},
    )
    proof = karush.prove(problem, np.array([-1.4, 3.0]))
    assert proof.active == ("x[1] fixed",)
    assert proof.box.lower[0] <= 0.1 - 1.5 + np.spacing(1.5)
    assert proof.box.upper[0] >= 0.1 - 1.5 - np.spacing(1.5)


def honest(make=hs71) -> tuple[Functions, Witness]:
    return Functions(prepared(make).parts.flat), read_witness(proved(make).document["witness"])


def checked(functions, witness):
    with float64():
        return verify(functions, witness)


def test_the_checker_finds_the_theorems_again_from_the_witness_alone():
    functions, witness = honest()
    assert checked(functions, witness).theorems == proved(hs71).theorems


TAMPERED = {
    "a point beside": lambda w: replace(w, middle=w.middle + 1e-10),
    "a radius too small": lambda w: replace(w, radius=w.radius * 1e-30, wide=w.wide),
    "a wide box too wide": lambda w: replace(w, wide=w.wide * 1e3),
    "a negative radius": lambda w: replace(w, radius=-w.radius),
    "NaN": lambda w: replace(w, radius=w.radius * np.nan),
    "an upper limit for a lower": lambda w: replace(w, active=replace(w.active, rows=(Limit(0, 1), Limit(1, 0)))),
    "a bound left out": lambda w: replace(
        w,
        active=replace(w.active, bounds=()),
        middle=np.append(1 + 0 * w.middle[:1], w.middle),
        radius=np.append(w.radius[:1], w.radius),
        wide=np.append(w.wide[:1], w.wide),
    ),
    "a row left out": lambda w: replace(
        w,
        active=replace(w.active, rows=(Limit(1, 0),)),
        middle=np.delete(w.middle, 3),
        radius=np.delete(w.radius, 3),
        wide=np.delete(w.wide, 3),
        weights=w.weights[1:],
    ),
    "a row dropped": lambda w: replace(
        w,
        active=replace(w.active, rows=(Limit(1, 0),), dropped=(Limit(0, -1),)),
        middle=np.delete(w.middle, 3),
        radius=np.delete(w.radius, 3),
        wide=np.delete(w.wide, 3),
        weights=w.weights[1:],
    ),
    "an inequality as an equality": lambda w: replace(w, active=replace(w.active, rows=(Limit(0, 0), Limit(1, 0)))),
    "a row twice": lambda w: replace(w, active=replace(w.active, dropped=(Limit(0, -1),))),
    "a row that there is not": lambda w: replace(w, active=replace(w.active, rows=(Limit(0, -1), Limit(-1, 0)))),
    "a bound that there is not": lambda w: replace(w, active=replace(w.active, bounds=(Limit(-4, -1),))),
    "exactness": lambda w: replace(w, exact=True),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_witness_proves_nothing(how):
    functions, witness = honest()
    with pytest.raises(Undecided):
        checked(functions, TAMPERED[how](witness))


def test_without_weights_no_strict_minimum_is_claimed():
    functions, witness = honest()
    for weights in (None, -witness.weights, 0.0 * witness.weights - 1e9):
        assert "strict minimum" not in checked(functions, replace(witness, weights=weights)).theorems


def test_a_stored_proof_is_checked_again_and_an_edited_one_refused(tmp_path):
    path = tmp_path / "proof.json"
    proved(hs71).save(path)
    flat = prepared(hs71).parts.flat
    assert recheck(flat, read_proof(path), path).theorems == proved(hs71).theorems
    with pytest.raises(FileError, match="another problem"):
        recheck(prepared(largest).parts.flat, read_proof(path), path)
    text = path.read_text()
    for old, new, said in (
        ('"strict minimum"', '"global minimum"', "'claims'"),
        ('"sum"', '"cum"', "'statement'"),
        ('"exact": false', '"exact": true', "'witness'"),
        ("karush-proof/2", "karush-proof/0", "schema"),
        ('"claims"', '"other"', "'claims'"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(FileError, match=said):
            read_proof(path)


def test_a_claim_that_was_edited_with_its_digest_is_refused_by_the_checker():
    document = json.loads(json.dumps(proved(hs71).document))
    flat = prepared(hs71).parts.flat
    document["claims"]["theorems"].append("global minimum")
    with pytest.raises(FileError, match="'global minimum', which the witness does not prove"):
        recheck(flat, document, "edited.json")
    document = json.loads(json.dumps(proved(hs71).document))
    document["claims"]["value"]["upper"] = document["claims"]["value"]["lower"]
    with pytest.raises(FileError, match="'value'"):
        recheck(flat, document, "edited.json")


def test_the_fingerprint_names_program_limits_and_parameters():
    flat = prepared(hs71).parts.flat
    assert fingerprint(flat) == fingerprint(karush.prepare(hs71()).parts.flat)
    assert fingerprint(flat) != fingerprint(replace(flat, lower=flat.lower + 1.0))


def test_precision_is_bits_and_more_of_them_narrow_the_box():
    with pytest.raises(OptionError, match="precision"):
        karush.prove(prepared(hs71), solved(hs71), precision=10)
    fine = karush.prove(prepared(hs71), solved(hs71), precision=256)
    assert fine.radius < proved(hs71).radius


MODEL = """
import jax.numpy as jnp, karush
problem = karush.Problem(lambda x: jnp.exp(x[0]) - 2.0 * x[0], [0.0], name="log 2")
def saddle():
    return karush.Problem(lambda x: x[0] ** 2 - x[1] ** 2, [0.0, 0.0], bounds=([-1.0, -1.0], [1.0, 1.0]))
"""


def test_karush_prove_writes_a_proof_that_karush_check_finds_true(tmp_path, capsys):
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "origin.json").write_text('{"x": [0.0, 0.0]}')
    model, proof = str(tmp_path / "model.py"), str(tmp_path / "proof.json")
    assert main(["prove", model, "--output", proof]) == 0
    assert "strict minimum" in capsys.readouterr().out
    assert main(["check", proof]) == 0
    assert "Checked: KKT point, strict minimum" in capsys.readouterr().out
    assert main(["check", proof, "--file", f"{model}:saddle"]) == 2
    assert "another problem" in capsys.readouterr().err
    assert main(["prove", f"{model}:saddle", "--at", str(tmp_path / "origin.json"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["report"]["theorems"] == ["KKT point"]


@pytest.mark.parametrize("n", [3, 60])
def test_definiteness_is_told_from_indefiniteness_by_elimination_and_by_congruence(n):
    random = np.random.default_rng(n)
    A = random.standard_normal((n, n))
    S = A @ A.T + np.eye(n)
    S = (S + S.T) / 2
    assert positive_definite(balls(S))
    least = np.linalg.eigvalsh(S)[0]
    assert not positive_definite(balls(S - 1.01 * least * np.eye(n)))
    assert not positive_definite(around(balls(S), balls(np.full((n, n), 2.0 * least))))
