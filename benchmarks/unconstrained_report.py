"""The table of `unconstrained`: verified answers, false claims, warm times."""

import json
import statistics
from pathlib import Path

OURS = "karush"
KINDS = ("unconstrained", "bounded")


def read(path: Path) -> dict[tuple[str, str], dict]:
    """(problem, solver) -> row."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {(row["problem"], row["solver"]): row for row in map(json.loads, lines)}


def write(path: Path, listed: dict[str, dict]) -> None:
    """Markdown beside the rows, and a summary as JSON."""
    rows = read(path)
    parts = ["# Unconstrained and bounded CUTEst problems\n", *(_part(rows, listed, kind) for kind in KINDS)]
    parts.append(_lists(rows, listed))
    path.with_suffix(".md").write_text("\n".join(parts))
    path.with_suffix(".json").write_text(json.dumps(summary(rows, listed), indent=1) + "\n")


def of_kind(rows: dict[tuple[str, str], dict], listed: dict[str, dict], kind: str) -> list[str]:
    """Problems of the kind that were run."""
    run = {problem for problem, _ in rows}
    return [name for name, row in listed.items() if row["kind"] == kind and name in run]


def solvers(rows: dict[tuple[str, str], dict], names: list[str]) -> list[str]:
    """karush first."""
    found = dict.fromkeys(solver for problem, solver in rows if problem in set(names) and solver != "none")
    return sorted(found, key=lambda solver: (solver != OURS, solver))


def verified(rows: dict[tuple[str, str], dict], names: list[str], solver: str) -> set[str]:
    return {name for name in names if rows.get((name, solver), {}).get("verified")}


def false_claims(rows: dict[tuple[str, str], dict], names: list[str], solver: str) -> list[str]:
    """Problems where the solver says success and the checker does not."""
    mine = ((name, rows.get((name, solver), {})) for name in names)
    return [name for name, row in mine if row.get("claimed") and not row.get("verified")]


def proved(rows: dict[tuple[str, str], dict], names: list[str]) -> dict[str, dict]:
    """Of karush's successes that the checker does not verify, those with a proved minimum, and how far off it lies."""
    mine = {name: rows[name, OURS] for name in false_claims(rows, names, OURS)}
    wanted = ("kkt", "rounding", "proved", "distance")
    return {
        name: {key: row[key] for key in wanted}
        for name, row in mine.items()
        if "strict minimum" in row.get("proved", ())
    }


def warm_means(rows: dict[tuple[str, str], dict], names: list[str]) -> tuple[int, dict[str, float]]:
    """Number of problems that all solve, and the geometric means of their warm times."""
    who = solvers(rows, names)
    good = set(names).intersection(*(verified(rows, names, solver) for solver in who))
    common = [name for name in names if name in good and all(rows[name, solver].get("warm") for solver in who)]
    if not common:
        return 0, {}
    means = {solver: statistics.geometric_mean(rows[name, solver]["warm"] for name in common) for solver in who}
    return len(common), means


def summary(rows: dict[tuple[str, str], dict], listed: dict[str, dict]) -> dict:
    """The numbers of the table."""
    answer: dict = {}
    for kind in KINDS:
        names = of_kind(rows, listed, kind)
        who = solvers(rows, names)
        union = set().union(*(verified(rows, names, solver) for solver in who if solver != OURS))
        count, means = warm_means(rows, names)
        answer[kind] = {
            "problems": len(names),
            "verified": {solver: len(verified(rows, names, solver)) for solver in who},
            "union of peers": len(union),
            "verified by a peer, not by karush": sorted(union - verified(rows, names, OURS)),
            "success not verified": {solver: false_claims(rows, names, solver) for solver in who},
            "success not verified, but a minimum proved": proved(rows, names),
            "solved by all": count,
            "warm, geometric mean in ms": {solver: round(1e3 * mean, 4) for solver, mean in means.items()},
        }
    return answer


def _part(rows: dict[tuple[str, str], dict], listed: dict[str, dict], kind: str) -> str:
    names = of_kind(rows, listed, kind)
    found = summary(rows, listed)[kind]
    lines = [f"## {kind}: {len(names)} problems\n"]
    warm = found["warm, geometric mean in ms"]
    title = f"warm, ms ({found['solved by all']} problems that all solve)"
    lines += [f"| solver | verified | success not verified | {title} |", "|---|---|---|---|"]
    for solver in solvers(rows, names):
        false = len(found["success not verified"][solver])
        lines.append(f"| {solver} | {found['verified'][solver]} | {false} | {warm.get(solver, float('nan')):.3f} |")
    lines.append(f"| union of the others | {found['union of peers']} | | |")
    peers = [mean for solver, mean in warm.items() if solver != OURS]
    if peers and OURS in warm:
        lines.append(f"\nFastest other over karush, warm: {min(peers) / warm[OURS]:.2f}.")
    return "\n".join(lines) + "\n"


def _lists(rows: dict[tuple[str, str], dict], listed: dict[str, dict]) -> str:
    lines = ["## Names\n"]
    for kind, found in summary(rows, listed).items():
        for name, row in found["success not verified, but a minimum proved"].items():
            lines.append(
                f"- {kind}, {name}: proved in ball arithmetic that a strict local minimum lies within "
                f"{row['distance']:.1e} relative of the answer; max |gradient| {row['kkt']:.1e}, of which rounding "
                f"of x alone may bring {row['rounding']:.1e}"
            )
        missed = found["verified by a peer, not by karush"]
        lines.append(f"- {kind}, verified by another and not by karush: {', '.join(missed) or 'none'}")
        for solver, names in found["success not verified"].items():
            lines.append(f"- {kind}, success not verified, {solver}: {', '.join(names) or 'none'}")
    silent = sorted(problem for problem, solver in rows if solver == "none")
    lines.append(f"- no answer within the time limit: {', '.join(silent) or 'none'}")
    return "\n".join(lines) + "\n"
