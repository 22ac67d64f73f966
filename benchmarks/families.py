"""Infeasible and unbounded problems through ``minimize``: ``python -m benchmarks.families [NAME ...]``.

Right means: an infeasible problem is LOCALLY_INFEASIBLE, and of the constraints named as violated at least one is, and
none is not, part of the conflict; an unbounded one is UNBOUNDED with a witness. Exit status 1 if one is not.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import karush
from benchmarks import infeasible, unbounded
from karush import Verdict


@dataclass(frozen=True)
class Answer:
    """What was said of one problem."""

    name: str
    verdict: Verdict
    said: str
    """the constraints named, or the kind of witness"""
    ok: bool


def constraint_of(row: str) -> str:
    """The constraint's name in the name of one of its rows, ``balance[3]`` or ``balance['a'][0]``."""
    return row.partition("[")[0]


def ask_infeasible(name: str, problem: Callable[[], Any], conflict: frozenset[str]) -> Answer:
    """Verdict and the constraints named."""
    certificate = karush.minimize(problem()).certificate
    named = {constraint_of(row) for row, _ in certificate.violated}
    ok = certificate.verdict is Verdict.LOCALLY_INFEASIBLE and bool(named) and named <= conflict
    return Answer(name, certificate.verdict, ", ".join(sorted(named)), ok)


def ask_unbounded(name: str, problem: Callable[[], Any]) -> Answer:
    """Verdict and the kind of witness."""
    certificate = karush.minimize(problem()).certificate
    witness = sorted(certificate.witness or {})
    return Answer(
        name, certificate.verdict, ", ".join(witness), certificate.verdict is Verdict.UNBOUNDED and bool(witness)
    )


def answers(words: list[str]):
    """Ask every problem whose name contains one of the words (all by default)."""
    for name, (problem, conflict) in infeasible.PROBLEMS.items():
        if not words or any(word in name for word in words):
            yield ask_infeasible(name, problem, conflict)
    for name, problem in unbounded.PROBLEMS.items():
        if not words or any(word in name for word in words):
            yield ask_unbounded(name, problem)


def main() -> int:
    """Print one line per problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    wrong = asked = 0
    for answer in answers(parser.parse_args().names):
        print(f"{'ok   ' if answer.ok else 'WRONG'} {answer.name:<36} {answer.verdict!s:<19} {answer.said}", flush=True)
        wrong, asked = wrong + (not answer.ok), asked + 1
    print(f"{asked} problems, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
