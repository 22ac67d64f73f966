"""Infeasible problems are called so, with the constraints that cannot be met; unbounded ones with a witness."""

import pytest

from benchmarks import infeasible, unbounded
from benchmarks.families import ask_infeasible, ask_unbounded

pytestmark = pytest.mark.user_style
INFEASIBLE_AT_LEAST, UNBOUNDED_AT_LEAST = 20, 10


@pytest.mark.parametrize("name", infeasible.PROBLEMS)
def test_infeasible_names_a_constraint_of_the_conflict(name: str):
    answer = ask_infeasible(name, *infeasible.PROBLEMS[name])
    assert answer.ok, f"{answer.verdict}, named: {answer.said or 'nothing'}"


@pytest.mark.parametrize("name", unbounded.PROBLEMS)
def test_unbounded_has_a_witness(name: str):
    answer = ask_unbounded(name, unbounded.PROBLEMS[name])
    assert answer.ok, f"{answer.verdict}, witness: {answer.said or 'none'}"


def test_families_are_large_enough():
    assert len(infeasible.PROBLEMS) >= INFEASIBLE_AT_LEAST
    assert len(unbounded.PROBLEMS) >= UNBOUNDED_AT_LEAST
