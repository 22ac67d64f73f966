"""Write the page of results and its picture: ``python -m benchmarks.report``."""

import argparse
from pathlib import Path

from benchmarks import lists, measures, performance_profile, results
from benchmarks.goals import GOALS, OPTIMAL_COSTS
from benchmarks.measures import OURS, Rows

TITLES = {"hs": "hs.txt", "small": "small.txt", "opf": "power flow"}
SLOW_TO_COMPILE = ("HS25", "HS101", "HS102", "HS103", "HS105")
WORDS = {
    "verified": "feasibility and KKT residual <= 1e-6, absolute and unscaled, recomputed by `benchmarks/checker.py`"
    " with the better of the solver's own and least-squares multipliers",
    "success": "the solver says that it solved the problem",
    "false success": "success, but the dimensionless KKT residual exceeds 1e-6 (by the scales in karush's certificate;"
    " absolute where karush has none), or `benchmarks/local.py` found a lower feasible point nearby",
    "as good": "verified, and the objective is at most 1e-5 above the best that a peer verified",
    "warm": "the prepared problem solved again from its start; for karush with `Result` and certificate",
    "cold": "plain JAX functions to the answer in a new process with an empty compilation cache; imports excluded",
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    folder = parser.parse_args(arguments).results
    stored = {which: results.read(folder, which) for which in lists.LISTS}
    rows = {which: measures.by_key(stored[which]["rows"]) for which in lists.LISTS if stored[which]["rows"]}
    if not rows:
        raise SystemExit(f"no results in {folder.name}/: run python -m benchmarks.run first")
    performance_profile.draw({TITLES[which]: rows[which] for which in rows}, folder / "profile.png")
    machine = next(stored[which]["machine"] for which in rows)
    (folder / "README.md").write_text(page(rows, machine))


def page(rows: dict[str, Rows], machine: dict) -> str:
    parts = ["# Results", _preamble(rows, machine)]
    if any(OURS in measures.solvers(some) for some in rows.values()):
        parts += ["## Floor, goal, measured", goals_table(rows)]
    parts += ["## All solvers"]
    for which, some in rows.items():
        parts += [f"### {TITLES[which]}", solver_table(some)]
    parts += ["![performance profile](profile.png)"]
    if "hs" in rows:
        parts += ["## Slow to compile, cold seconds", slow_table(rows["hs"])]
    if "opf" in rows:
        parts += ["## Power flow", opf_table(rows["opf"])]
    parts += ["## By name", *(by_name(TITLES[which], some) for which, some in rows.items())]
    return "\n\n".join(parts) + "\n"


def _preamble(rows: dict[str, Rows], machine: dict) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("packages", {}).items())
    noise = [measures.noise(some) for some in rows.values()]
    noisy = max((value for value in noise if value is not None), default=0.0)
    words = "\n".join(f"- *{word}*: {meaning}" for word, meaning in WORDS.items())
    return (
        f"Made by `python -m benchmarks.run` and `python -m benchmarks.report` on {machine.get('date')}:"
        f" {machine.get('cpu')}, {machine.get('cores')} cores, Python {machine.get('python')}, {versions}.\n\n"
        "One process per solver and problem, one core, one thread, float64, tol 1e-8 (SLSQP: ftol 1e-12), exact"
        " derivatives. Warm times are medians of at least 5 repeats; their half interquartile range is typically"
        f" {100 * noisy:.0f} % of the median.\n\n{words}"
    )


def table(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def goals_table(rows: dict[str, Rows]) -> str:
    """Measured beside floor and goal, by the rows of `benchmarks.goals`."""
    body = []
    for goal in GOALS:
        if goal.which not in rows:
            continue
        some = rows[goal.which]
        measured, floor = goal.measure(some), goal.floor(some)
        met = "not measured" if measured is None else _met(goal, measured, floor)
        shown = [goal.shown.format(value) if value is not None else "–" for value in (measured, floor, goal.goal(some))]
        body.append([f"{TITLES[goal.which]}: {goal.name}", *shown, met])
    return table(["measure", "measured", "floor", "goal", ""], body)


def _met(goal, measured: float, floor: float | None) -> str:
    return "" if floor is None else ("ok" if goal.reaches(measured, floor) else "**below the floor**")


def solver_table(rows: Rows) -> str:
    """One column per solver."""
    names = measures.solvers(rows)
    total = len({problem for problem, _ in rows})
    warm, cold = measures.means(rows, "warm"), measures.means(rows, "cold")
    common = len(measures.solved_by_all(rows, names, "warm"))

    def count(condition) -> list[str]:
        return [str(len(measures.where(rows, name, condition))) for name in names]

    def milliseconds(times: dict) -> list[str]:
        return [f"{1e3 * times[name]:.3g} ms" if times[name] else "–" for name in names]

    body = [
        [f"verified, of {total}", *count(measures.verified)],
        ["verified and success", *count(measures.proved)],
        ["false success", *count(measures.false_success)],
        ["as good as the best peer", *(str(len(measures.as_good(rows, name))) for name in names)],
        [f"warm, geometric mean of the {common} that all solve", *milliseconds(warm)],
        ["cold, the same", *milliseconds(cold)],
    ]
    union = len(measures.union_of_peers(rows))
    return table(["", *names], body) + f"\n\nVerified by at least one peer: {union}." + _fused(rows)


def _fused(rows: Rows) -> str:
    ours = [row for (_, solver), row in rows.items() if solver == OURS and measures.verified(row)]

    def middle(key: str) -> float | None:
        values = sorted(row[key] for row in ours if row.get(key) is not None)
        return values[len(values) // 2] if values else None

    fused, disk, pays = middle("fused_compile"), middle("cold_disk_cache"), middle("fused_pays_after")
    if fused is None or disk is None:
        return ""
    after = "" if pays is None else f", which pays after {pays:.0f} solves"
    compiling = f"compiling the fused driver {fused:.2f} s{after}"
    return f" Medians for karush: cold with a warm disk cache {disk:.2f} s; {compiling}."


def slow_table(rows: Rows) -> str:
    names = measures.solvers(rows)

    def cell(problem: str, solver: str) -> str:
        row = rows.get((problem, solver), {})
        if row.get("cold") is None:
            return row.get("failure", "–")
        return f"{row['cold']:.1f}" + ("" if measures.verified(row) else " (not verified)")

    return table(["", *names], [[problem, *(cell(problem, name) for name in names)] for problem in SLOW_TO_COMPILE])


def opf_table(rows: Rows) -> str:
    """Costs in $/h beside pypower's."""
    names = measures.solvers(rows)

    def cell(problem: str, solver: str) -> str:
        row = rows.get((problem, solver), {})
        if row.get("value") is None:
            return row.get("failure", "–")
        verdict = f", {row['verdict']}" if row.get("verdict") else ""
        warm = f", {1e3 * row['warm']:.0f} ms" if row.get("warm") else ""
        return f"{row['value']:.6f}{verdict}{warm}" + ("" if measures.verified(row) else " (not verified)")

    problems = sorted({problem for problem, _ in rows}, key=lambda name: int(name.removeprefix("IEEE")))
    body = [[p, str(OPTIMAL_COSTS.get(p, "–")), *(cell(p, name) for name in names)] for p in problems]
    return table(["$/h", "pypower at 1e-10", *names], body)


def by_name(title: str, rows: Rows) -> str:
    """What each solver did not verify, calls solved wrongly, and karush's verified points without success."""
    lines = [f"### {title}"]
    for solver in measures.solvers(rows):
        failed = measures.where(rows, solver, lambda row: not measures.verified(row))
        lines.append(f"- {solver}, not verified ({len(failed)}): {_list(failed)}")
        false = measures.where(rows, solver, measures.false_success)
        lines.append(f"- {solver}, false success ({len(false)}): {_list(false)}")
    if OURS in measures.solvers(rows):
        lines += ["", "karush's points that are not verified, or verified without success:", "", _reasons(rows)]
    return "\n".join(lines)


def _list(names: list[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _reasons(rows: Rows) -> str:
    body = []
    for problem in sorted(measures.where(rows, OURS, lambda row: not measures.proved(row))):
        row = rows[problem, OURS]
        kkt = "–" if row.get("kkt") is None else f"{row['kkt']:.1e}"
        feasibility = "–" if row.get("feasibility") is None else f"{row['feasibility']:.1e}"
        state = "verified" if measures.verified(row) else "not verified"
        words = row.get("sentence") or row.get("failure") or ""
        facts = [row.get("status", "–"), row.get("verdict", "–"), feasibility, kkt]
        body.append([problem, state, *facts, words.replace("|", "\\|")])
    return table(["problem", "", "status", "verdict", "feasibility", "KKT", "reason"], body)


if __name__ == "__main__":
    main()
