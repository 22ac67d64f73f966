"""The benchmark's loader and its independent checker."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import lists, results
from benchmarks.checker import Derivatives, Scales, check, residuals
from benchmarks.goals import GOALS
from benchmarks.local import examine
from benchmarks.measures import by_key
from benchmarks.paths import portable
from benchmarks.problem import BenchmarkProblem

# not importorskip: importing sif2jax builds all of its problems
pytestmark = pytest.mark.skipif(importlib.util.find_spec("sif2jax") is None, reason="needs karush[bench]")
ROOT = Path(__file__).resolve().parents[1]
HS71_X = np.array([1.0, 4.742999643614262, 3.821149978954209, 1.3794082932128257])
HS71_Y = np.array([0.16146856646486, -0.55229366014835])
HS71_Z = np.array([-1.0878712139, 0.0, 0.0, 0.0])


@pytest.fixture(autouse=True)
def double_precision(strict_promotion):
    # the published problems mix ranks and dtypes
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def hs71() -> BenchmarkProblem:
    """HS71 by hand, so that the loader is judged too."""
    return BenchmarkProblem(
        name="HS71",
        objective=lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
        rows=lambda x: jnp.stack([jnp.sum(x**2) - 40.0, jnp.prod(x) - 25.0]),
        x0=np.array([1.0, 5.0, 5.0, 1.0]),
        lower=np.full(4, 1.0),
        upper=np.full(4, 5.0),
        row_lower=np.zeros(2),
        row_upper=np.array([0.0, np.inf]),
    )


def saddle() -> BenchmarkProblem:
    none = np.zeros(0)
    limits = np.array([-np.inf, -1.0]), np.array([np.inf, 1.0])
    return BenchmarkProblem("saddle", lambda x: x[0] ** 2 - x[1] ** 2, None, np.array([1.0, 0.0]), *limits, none, none)


def test_loaded_hs71_is_the_published_problem():
    loaded, stated, x = lists.load("HS71"), hs71(), jnp.array([1.5, 2.0, 3.0, 4.5])
    assert loaded.objective(x) == pytest.approx(float(stated.objective(x)))
    assert sorted(np.abs(loaded.rows(x))) == pytest.approx(sorted(np.abs(stated.rows(x))))
    assert np.array_equal(loaded.x0, stated.x0)
    assert np.array_equal(loaded.lower, stated.lower)


def test_repaired_rows_are_the_published_ones():
    """HS104's first row, 1 - 0.0588 x5 x7 - 0.1 x1 >= 0, comes with the wrong sign, its fifth without upper limit."""
    problem = lists.load("HS104")
    optimum = jnp.array([6.465114, 2.232709, 0.6673975, 0.5957564, 5.932676, 5.527235, 1.013322, 0.4006682])
    assert np.all(np.asarray(problem.rows(optimum)) >= problem.row_lower - 1e-5)
    assert problem.rows(jnp.full(8, 10.0))[0] == pytest.approx(1 - 5.88 - 1)
    assert problem.m == 6
    objective = problem.objective(optimum)
    assert problem.rows(optimum)[-1] == pytest.approx(4.2 - objective)


def test_a_bound_of_1e19_is_none():
    assert not np.any(np.isfinite(lists.load("HS6").lower))


def test_every_listed_name_is_listed_once():
    names = lists.names("hs") + lists.names("small")
    assert len(names) == len(set(names)) == 222


def test_a_kkt_point_is_verified_with_given_and_with_estimated_multipliers():
    point = Derivatives.of(hs71()).at(HS71_X)
    assert residuals(point, HS71_Y, HS71_Z).verified
    assert check(point).verified


@pytest.mark.parametrize("wrong", [-HS71_Y, HS71_Y * [1, -1], HS71_Y + np.array([0.0, 1e-5]), np.full(2, np.nan)])
def test_wrong_multipliers_are_refused(wrong):
    assert not residuals(Derivatives.of(hs71()).at(HS71_X), wrong, HS71_Z).verified


def test_a_flipped_bound_multiplier_is_refused_as_stationarity_and_complementarity():
    found = residuals(Derivatives.of(hs71()).at(HS71_X), HS71_Y, -HS71_Z)
    assert found.stationarity > 1
    assert found.complementarity > 1


@pytest.mark.parametrize("i", range(4))
@pytest.mark.parametrize("step", [1e-4, -1e-4])
def test_a_perturbed_point_is_refused(i, step):
    x = HS71_X.copy()
    x[i] += step
    assert not check(Derivatives.of(hs71()).at(x), HS71_Y, HS71_Z).verified


def test_nan_is_refused_wherever_it_is():
    derivatives = Derivatives.of(hs71())
    assert not check(derivatives.at(np.full(4, np.nan)), HS71_Y, HS71_Z).verified
    broken = Derivatives.of(replace(hs71(), objective=lambda x: jnp.log(-x[0])))
    assert not check(broken.at(HS71_X), HS71_Y, HS71_Z).verified
    rows = Derivatives.of(replace(hs71(), rows=lambda x: jnp.stack([jnp.log(-x[0]), x[1]])))
    assert not check(rows.at(HS71_X)).verified


def test_a_multiplier_for_a_limit_that_does_not_exist_is_refused():
    x0, lower, upper, none = np.zeros(1), np.zeros(1), np.array([np.inf]), np.zeros(0)
    problem = BenchmarkProblem("free", lambda x: -x[0], None, x0, lower, upper, none, none)
    found = residuals(Derivatives.of(problem).at(np.zeros(1)), np.zeros(0), np.ones(1))
    assert found.stationarity == 0
    assert found.dual_sign == 1


def test_a_saddle_is_verified_as_a_kkt_point_and_refused_as_a_minimum():
    problem = saddle()
    derivatives = Derivatives.of(problem)
    point = derivatives.at(np.zeros(2))
    found = check(point)
    assert found.verified
    local = examine(derivatives, point, found, Scales.ones(problem))
    assert local.refused
    assert local.lower_by > 0


def test_a_minimum_is_not_refused():
    problem = hs71()
    derivatives = Derivatives.of(problem)
    point = derivatives.at(HS71_X)
    local = examine(derivatives, point, check(point), Scales.ones(problem))
    assert not local.refused
    assert local.witness is None


def test_results_are_merged_by_problem_and_solver(tmp_path):
    row = {"problem": "A", "solver": "uno", "n": 1, "version": "1", "value": 1 / 3, "warm": 1 / 3}
    results.merge(tmp_path, "hs", [row, {**row, "solver": "ipopt"}], {})
    results.merge(tmp_path, "hs", [{**row, "version": "2"}], {})
    assert results.versions(tmp_path, "hs") == {("A", "uno"): "2", ("A", "ipopt"): "1"}
    stored = by_key(results.read(tmp_path, "hs")["rows"])["A", "uno"]
    assert stored["value"] == 1 / 3
    assert stored["warm"] == 0.333333


def test_every_goal_is_none_or_a_number_over_no_rows():
    for goal in GOALS:
        assert goal.measure({}) is None or goal.measure({}) >= 0


@pytest.mark.slow
def test_a_run_of_one_problem_writes_a_judged_row(tmp_path):
    command = [sys.executable, "-m", "benchmarks.run", "--lists", "hs", "--names", "HS21", "--solvers", "slsqp"]
    subprocess.run([*command, "--results", str(tmp_path)], cwd=ROOT, check=True, timeout=120, capture_output=True)
    (row,) = results.read(tmp_path, "hs")["rows"]
    assert row["verified"]
    assert row["value"] == pytest.approx(-99.96)
    assert row["cold"] > row["warm"] > 0


def test_texts_of_results_name_files_without_the_folders_of_the_machine():
    assert portable("'mul' at /any/where-else/3.1/cases.py:77 in <lambda>") == "'mul' at cases.py:77 in <lambda>"
    assert portable("(/a/b/one.py:1, and /c.d/two.py)") == "(one.py:1, and two.py)"
    for kept in ("x / y.pyx", "a/b.py", "f(x1 / 0.1) and 1/2", "/data/table.json"):
        assert portable(kept) == kept
