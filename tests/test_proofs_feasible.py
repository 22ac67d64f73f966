"""Constraints on a box: infeasibility and feasible points are proved where they are true, and nowhere else."""

import json
from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.cli import main
from karush.core.errors import FileError, ProblemError
from karush.problem.flat import flatten
from karush.proofs.proof_file import digest
from karush.proofs.recheck import read_proof, recheck

pytestmark = pytest.mark.user_style

BOUNDS = ([-5.0, -4.75], [5.0, 5.25])


def circles(distance):
    """Two discs of radius 1 whose centres are `distance` apart; they touch at 2."""
    return karush.Problem(
        lambda x: x[0],
        [0.3, 0.4],
        bounds=BOUNDS,
        constraints=[
            karush.between(lambda x: x @ x, upper=1.0, name="left"),
            karush.between(lambda x: (x[0] - distance) ** 2 + x[1] ** 2, upper=1.0, name="right"),
        ],
    )


def sphere(level):
    return karush.Problem(
        lambda x: x[0],
        [1.0, 1.0],
        bounds=BOUNDS,
        constraints=[karush.equal(lambda x: x @ x + 1.0, level, name="sphere")],
    )


def lines(most):
    """x + y >= 3 and x − y >= 3 ask for x >= 3."""
    rows = karush.linear([[1.0, 1.0], [1.0, -1.0]], lower=[3.0, 3.0], name="rows")
    cap = karush.between(lambda x: x[0], upper=most, name="cap")
    return karush.Problem(lambda x: x[1], [0.0, 0.0], bounds=(-100.0, 100.0), constraints=[rows, cap])


@cache
def apart():
    return karush.feasible(circles(2.001))


@pytest.mark.parametrize("problem", [sphere(0.0), sphere(0.999), lines(2.999)])
def test_constraints_that_conflict_are_proved_to(problem):
    proof = karush.feasible(problem)
    assert proof.theorems == ("infeasible",)
    assert np.array_equal(np.broadcast_to(problem.bounds[0], 2), proof.box.lower)
    assert "no point within the bounds meets the constraints" in proof.sentence


def test_discs_that_just_miss_each_other_are_proved_to():
    assert apart().theorems == ("infeasible",)
    assert "infeasible" in str(apart())


@pytest.mark.parametrize("problem", [circles(1.5), circles(2.0), sphere(1.0), sphere(3.0), lines(3.0), lines(3.5)])
def test_a_feasible_problem_however_narrowly_so_is_never_proved_infeasible_and_its_point_is_feasible(problem):
    proof = karush.feasible(problem, time_limit=10.0)
    assert "infeasible" not in proof
    if "feasible point" in proof:
        x = (proof.box.lower + proof.box.upper) / 2
        flat = flatten(problem)
        assert np.all((proof.box.lower >= flat.lower) & (proof.box.upper <= flat.upper))
        certificate = karush.certify(problem, x)
        assert all(entry.ok for entry in certificate.entries if entry.name.startswith("feasibility"))


def test_a_square_at_most_zero_has_its_only_point_found_exactly():
    rows = [karush.between(lambda x: x[0] ** 2, upper=0.0, name="square")]
    problem = karush.Problem(lambda x: x[0], [0.7], bounds=(-1.0, 2.0), constraints=rows)
    proof = karush.feasible(problem)
    assert proof.theorems == ("feasible point",)
    assert proof.box.lower[0] == proof.box.upper[0] == 0.0


def test_where_the_only_feasible_points_are_no_binary_numbers_and_degenerate_nothing_is_claimed():
    rows = [karush.equal(lambda x: jnp.sin(x[0]) + jnp.cos(x[1]), 2.0, name="waves")]
    problem = karush.Problem(lambda x: x[0], [0.5, 0.5], bounds=(-2.0, 2.5), constraints=rows)
    proof = karush.feasible(problem, time_limit=1.0)
    assert proof.theorems == ()
    assert proof.reason


def test_a_point_on_a_curve_and_strictly_inside_the_rest_is_enclosed():
    rows = [
        karush.equal(lambda x: x["a"] ** 2 + x["b"] ** 2, 4.0, name="circle"),
        karush.between(lambda x: x["a"] * x["b"], lower=1.0, name="product"),
    ]
    problem = karush.Problem(lambda x: x["a"], {"a": 1.0, "b": 0.5}, bounds=(-5.0, 5.0), constraints=rows)
    proof = karush.feasible(problem, karush.Box({"a": 0.0, "b": 0.0}, {"a": 9.0, "b": 9.0}))
    a, b = ((proof.box.lower[key] + proof.box.upper[key]) / 2 for key in "ab")
    assert proof.theorems == ("feasible point",)
    assert proof.active == ("circle",)
    assert abs(a * a + b * b - 4.0) <= 1e-12
    assert a > 0.0
    assert a * b >= 1.0 - 1e-12


def test_a_box_without_end_is_undecided_and_a_box_that_is_none_is_refused():
    rows = [karush.equal(lambda x: x[0] ** 2 + 1.0, 0.0, name="row")]
    problem = karush.Problem(lambda x: x[0], [1.0], constraints=rows)
    assert "x[0] has no finite bounds" in karush.feasible(problem).reason
    assert "infeasible" in karush.feasible(problem, karush.Box(np.array([-9.0]), np.array([9.0])))
    with pytest.raises(ProblemError, match="give a karush"):
        karush.feasible(problem, (0.0, 1.0))
    with pytest.raises(ProblemError, match=r"no common value of x\[0\]"):
        karush.feasible(circles(1.0), karush.Box(np.array([6.0, 0.0]), np.array([7.0, 1.0])))


def test_an_objective_that_leaves_its_domain_or_has_kinks_plays_no_part():
    rows = [karush.equal(lambda x: x[0] ** 2 + jnp.abs(x[0]), -0.5, name="row")]
    problem = karush.Problem(lambda x: jnp.log(x[0]) + jnp.abs(x[0]), [0.5], bounds=(-2.0, 3.0), constraints=rows)
    proof = karush.feasible(problem)
    assert proof.theorems == ("infeasible",)
    assert recheck(flatten(problem), json.loads(json.dumps(proof.document)), "proof.json").theorems == ("infeasible",)


def edited(proof, how):
    document = json.loads(json.dumps(proof.document))
    how(document["witness"], document["claims"])
    document["digest"] |= {part: digest(document[part]) for part in ("witness", "claims")}
    return document


@pytest.mark.parametrize(
    "how",
    [
        lambda witness, claims: witness["nodes"].pop(),
        lambda witness, claims: witness["nodes"].append(witness["nodes"][-1]),
        lambda witness, claims: witness["nodes"].__setitem__(0, {"split": 0, "at": 99.0}),
        lambda witness, claims: witness["nodes"].__setitem__(-1, {"weights": [[0, float("nan")]], "mean_value": True}),
        lambda witness, claims: witness["nodes"].__setitem__(-1, {"weights": [], "mean_value": False}),
        lambda witness, claims: witness["lower"].__setitem__(0, float("-inf")),
        lambda witness, claims: claims["x"]["lower"].__setitem__(0, -1e9),
        lambda witness, claims: claims["theorems"].append("feasible point"),
    ],
)
def test_an_edited_proof_of_infeasibility_is_refused(how):
    flat = flatten(circles(2.001))
    assert recheck(flat, json.loads(json.dumps(apart().document)), "proof.json").theorems == ("infeasible",)
    with pytest.raises(FileError):
        recheck(flat, edited(apart(), how), "proof.json")


def test_the_witness_of_one_problem_proves_nothing_about_another(tmp_path):
    path = tmp_path / "proof.json"
    apart().save(path)
    with pytest.raises(FileError, match="another problem"):
        recheck(flatten(circles(1.999)), read_proof(path), path)


def test_a_proof_about_a_part_of_the_bounds_says_so_when_it_is_checked():
    problem = circles(1.5)
    proof = karush.feasible(problem, karush.Box(np.array([2.0, 2.0]), np.array([3.0, 3.0])))
    assert proof.theorems == ("infeasible",)
    assert "no point of the box" in proof.sentence
    checked = recheck(flatten(problem), json.loads(json.dumps(proof.document)), "proof.json")
    assert "[2.0, 2.0] to [3.0, 3.0] alone" in checked.shortfall
    assert recheck(flatten(circles(2.001)), json.loads(json.dumps(apart().document)), "proof.json").shortfall == ""


MODEL = """
import karush
problem = karush.Problem(lambda x: x[0], [1.0, 1.0], bounds=(-5.0, 5.0),
                         constraints=[karush.equal(lambda x: x @ x + 1.0, 0.0, name="sphere")])
"""


def test_karush_prove_proves_that_constraints_conflict_and_karush_check_finds_it_true(tmp_path, capsys):
    (tmp_path / "model.py").write_text(MODEL)
    model, proof = str(tmp_path / "model.py"), str(tmp_path / "proof.json")
    assert main(["prove", model, "--output", proof]) == 1
    assert "no point within the bounds meets the constraints" in capsys.readouterr().out
    assert main(["check", proof]) == 0
    assert "Checked: infeasible" in capsys.readouterr().out
