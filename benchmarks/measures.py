"""Counts and geometric means over the rows of a run."""

import math
import statistics
from collections.abc import Iterable

OURS = "karush"
WITHOUT_HESSIAN = ("slsqp",)
"""peers that need no second derivatives, so that their cold times measure another thing"""
AS_GOOD = 1e-5
"""how far an objective may lie above the best peer's, relative to max(1, |best|)"""

Rows = dict[tuple[str, str], dict]
"""(problem, solver) -> row"""


def by_key(rows: Iterable[dict]) -> Rows:
    return {(row["problem"], row["solver"]): row for row in rows}


def solvers(rows: Rows) -> list[str]:
    """karush first, then the peers by name."""
    names = {solver for _, solver in rows}
    return [OURS] * (OURS in names) + sorted(names - {OURS})


def peers(rows: Rows) -> list[str]:
    return [solver for solver in solvers(rows) if solver != OURS]


def where(rows: Rows, solver: str, condition) -> list[str]:
    """Problems whose row by `solver` meets the condition."""
    return [problem for (problem, who), row in rows.items() if who == solver and condition(row)]


def verified(row: dict) -> bool:
    return bool(row.get("verified"))


def proved(row: dict) -> bool:
    """verified, and the solver says so itself"""
    return verified(row) and bool(row.get("claimed"))


def false_success(row: dict) -> bool:
    return bool(row.get("claimed")) and bool(row.get("false_success", not verified(row)))


def union_of_peers(rows: Rows) -> set[str]:
    return {problem for solver in peers(rows) for problem in where(rows, solver, verified)}


def as_good(rows: Rows, solver: str) -> list[str]:
    """Problems where the solver's verified objective is as good as the best that a peer verified."""
    best: dict[str, float] = {}
    for peer in peers(rows):
        for problem in where(rows, peer, verified):
            best[problem] = min(best.get(problem, math.inf), rows[problem, peer]["value"])

    def good(row: dict) -> bool:
        reference = best.get(row["problem"])
        if reference is None or not verified(row):
            return False
        return row["value"] <= reference + AS_GOOD * max(1.0, abs(reference))

    return where(rows, solver, good)


def solved_by_all(rows: Rows, which: Iterable[str], key: str) -> list[str]:
    """Problems that every solver of `which` verifies, with the time `key` measured."""
    which = list(which)
    problems = sorted({problem for problem, _ in rows})
    missing: dict = {}
    good = [rows.get((problem, solver), missing) for problem in problems for solver in which]
    fine = [verified(row) and bool(row.get(key)) for row in good]
    width = len(which)
    return [problem for i, problem in enumerate(problems) if all(fine[i * width : (i + 1) * width])]


def geometric_mean(rows: Rows, solver: str, problems: Iterable[str], key: str) -> float | None:
    """exp(mean(log t)) of the times `key`, or None over no problem."""
    times = [rows[problem, solver][key] for problem in problems]
    return statistics.geometric_mean(times) if times else None


def means(rows: Rows, key: str) -> dict[str, float | None]:
    """Geometric mean of `key` by solver over the problems that all of them solve."""
    common = solved_by_all(rows, solvers(rows), key)
    return {solver: geometric_mean(rows, solver, common, key) for solver in solvers(rows)}


def ratio(rows: Rows, key: str, rivals: Iterable[str]) -> float | None:
    """karush's mean over the fastest rival's, on the problems that all solvers of the run solve."""
    times = means(rows, key)
    fastest = [times[rival] for rival in rivals if times.get(rival)]
    ours = times.get(OURS)
    return ours / min(fastest) if ours and fastest else None


def noise(rows: Rows) -> float | None:
    """Median over all rows of half the interquartile range of the warm times, relative to their median."""
    found = [row["warm_noise"] for row in rows.values() if row.get("warm_noise") is not None]
    return statistics.median(found) if found else None
