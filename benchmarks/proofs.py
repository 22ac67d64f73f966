"""Solve and prove: ``python -m benchmarks.proofs --list hs``.

Per problem: karush solves it, then proves what it can about the answer. Written to ``results/proofs.json`` and, as a
table, to ``results/proofs.md``. The time of a proof is in CPU seconds, after f, c and their derivatives are compiled
for the solve, and holds everything else: tracing the derivatives for balls, the search and the check.
"""

import argparse
import json
import math
import time
from pathlib import Path
from statistics import median

import numpy as np

import karush
from benchmarks import lists, results
from benchmarks.problem import BenchmarkProblem

FILE = "proofs"
SLOW = {"HS25", "HS101", "HS102", "HS103", "HS105"}
"""compiled for seconds to minutes: last"""


def stated(problem: BenchmarkProblem) -> karush.Problem:
    """The problem as karush takes it."""
    constraints = []
    if problem.rows is not None:
        constraints = [karush.between(problem.rows, lower=problem.row_lower, upper=problem.row_upper, name="rows")]
    return karush.Problem(
        problem.objective, problem.x0, bounds=(problem.lower, problem.upper), constraints=constraints, name=problem.name
    )


def proved(name: str) -> dict:
    """The row of one problem."""
    problem = lists.load(name)
    began = time.perf_counter()
    prepared = karush.prepare(stated(problem))
    result = prepared.solve(time_limit=100.0)
    solved = time.perf_counter() - began
    began = time.process_time()
    proof = karush.prove(prepared, result)
    cpu = time.process_time() - began
    row = {
        "problem": name,
        "n": problem.n,
        "m": problem.m,
        "verdict": result.certificate.verdict.value,
        "value": result.value,
        "theorems": list(proof.theorems),
        "reason": proof.reason,
        "radius": finite(proof.radius),
        "uniqueness": finite(proof.uniqueness_radius),
        "isolated": proof.isolated,
        "distance": finite(proof.distance),
        "active": len(proof.active),
        "prepare_and_solve": round(solved, 3),
        "proof": round(cpu, 3),
        "proof_wall": round(proof.seconds, 3),
    }
    if proof.value is not None:
        row |= {"lower": proof.value.lower, "upper": proof.value.upper}
    return row


def finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None


def table(rows: list[dict]) -> str:
    """The page of results."""
    kkt = [row for row in rows if "KKT point" in row["theorems"]]
    strict = [row for row in rows if "strict minimum" in row["theorems"]]
    everywhere = [row for row in rows if "global minimum" in row["theorems"]]
    wide = [row["uniqueness"] for row in kkt if row["uniqueness"] is not None]
    lines = [
        "# Proofs",
        "",
        f"Of {len(rows)} problems of hs.txt: {len(kkt)} KKT points, {len(strict)} strict minima, "
        f"{len(everywhere)} global minima.",
        "",
        "| measure | asked | measured |",
        "|---|---|---|",
        f"| KKT point proved, alone in some neighbourhood | ≥ 100 | {sum(row['isolated'] for row in kkt)} |",
        f"| of these alone in a box of known size | | {sum(row['uniqueness'] != 0.0 for row in kkt)} |",
        f"| strict minimum proved | ≥ 99 | {len(strict)} |",
        f"| largest relative radius of inclusion | ≤ 1e-12 | {max((row['radius'] for row in kkt), default=0.0):.1e} |",
        f"| uniqueness radius, median | ≥ 1e-6 | {median(wide) if wide else 0.0:.1e} |",
        f"| CPU seconds, median and largest | ≤ 1 (median) | {median(r['proof'] for r in rows):.2f}, "
        f"{max(row['proof'] for row in rows):.2f} |",
        "",
        "| problem | n | m | verdict | proved | value, lower end | radius | unique within | distance | CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row["theorems"]:
            lines.append(
                f"| {row['problem']} | {row['n']} | {row['m']} | {row['verdict']} | {', '.join(row['theorems'])} "
                f"| {row['lower']:.12g} | {row['radius']:.0e} | {row['uniqueness'] or 0.0:.0e} | {row['distance']:.0e} "
                f"| {row['proof']:.2f} |"
            )
    lines += [
        "",
        "Undecided, or less than a strict minimum:",
        "",
        "| problem | proved | why not more |",
        "|---|---|---|",
    ]
    for row in rows:
        if "strict minimum" not in row["theorems"]:
            lines.append(f"| {row['problem']} | {', '.join(row['theorems']) or 'nothing'} | {row['reason']} |")
    return "\n".join(lines) + "\n"


def power_flows(rows: list[dict]) -> str:
    """The AC power flows of ``--list opf``."""
    lines = ["", "AC power flow (asked: 14 buses in ≤ 10 s, 118 in ≤ 5 min):", ""]
    lines += [
        "| network | n | m | proved | value, lower end | unique within | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        found = f"{row['lower']:.12g} | {row['uniqueness'] or 0.0:.0e}" if row["theorems"] else "- | -"
        lines.append(
            f"| {row['problem']} | {row['n']} | {row['m']} | {', '.join(row['theorems']) or row['reason']} | {found} "
            f"| {row['proof']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Run, and write the results; rows of other problems are kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs", description=__doc__.splitlines()[0])
    parser.add_argument("--list", default="hs", choices=lists.LISTS)
    parser.add_argument("--names", nargs="+", help="only these problems")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    file = options.results / f"{FILE}.json"
    kept = {row["problem"]: row for row in json.loads(file.read_text())["rows"]} if file.exists() else {}
    order = lists.names("hs") + lists.names("opf")
    for name in options.names or sorted(lists.names(options.list), key=lambda name: (name in SLOW, name)):
        row = proved(name)
        kept[name] = row
        print(
            json.dumps({key: row[key] for key in ("problem", "theorems", "reason", "uniqueness", "proof")}), flush=True
        )
        rows = sorted(kept.values(), key=lambda row: order.index(row["problem"]))
        file.write_text(json.dumps({"rows": rows}, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    hs = [row for row in rows if row["problem"] in lists.names("hs")]
    networks = [row for row in rows if row["problem"] in lists.POWER_FLOWS]
    (options.results / f"{FILE}.md").write_text(table(hs) + power_flows(networks), encoding="utf-8")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
