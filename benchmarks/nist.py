"""NIST nonlinear regression: 27 data sets, both starts, and starts perturbed by factors of 10 and 100.

``python -m benchmarks.nist`` writes ``results/nist.json`` and ``results/nist.md``. Every solver gets the same traced
residuals and exact Jacobians. What is counted: points at which residuals are evaluated, and Jacobians; of karush, whose
Jacobian comes in two parts, columns over n. Certificates evaluate too and are not counted, for the peers have none.

A perturbed start is start 1 with each component multiplied by 10 or 1/10 (100 or 1/100), at random. From there the
parameters count up to what leaves the model unchanged: the order of identical terms, the sign of a width, and of a
period in months sampled monthly its alias.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

import karush
from benchmarks.nist_data import MODELS, DataSet, digits, load
from benchmarks.nist_peers import PEERS, Counted, Outcome

RESULTS = Path(__file__).resolve().parent / "results"
ASKED = 6.0
"""digits"""
SEEDS = 3
FACTORS = (10, 100)
OURS = "karush"
METHODS = ("levenberg-marquardt", "dog-leg", "gauss-newton")


def canonical(name: str, b: np.ndarray) -> np.ndarray:
    """One representative of the parameters that give the same model."""
    b = np.array(b, dtype=float)
    if name.startswith("Gauss"):
        b[[4, 7]] = np.abs(b[[4, 7]])
        peaks = b[2:].reshape(2, 3)
        b[2:] = peaks[np.argsort(peaks[:, 1])].ravel()
    elif name.startswith("Lanczos"):
        terms = b.reshape(3, 2)
        b = terms[np.argsort(terms[:, 1])].ravel()
    elif name == "MGH17" and b[3] > b[4]:
        b = b[[0, 2, 1, 4, 3]]
    elif name == "Eckerle4" and b[1] < 0:
        b[:2] *= -1.0
    elif name == "ENSO":
        waves = b[3:].reshape(2, 3)
        frequency = (1.0 / waves[:, 0]) % 1.0
        mirrored = frequency > 0.5
        waves[:, 0] = 1.0 / np.where(mirrored, 1.0 - frequency, frequency)
        waves[:, 2] *= np.where(mirrored, -1.0, 1.0)
        b[3:] = waves[np.argsort(-waves[:, 0])].ravel()
    return b


def by_karush(data: DataSet, start: np.ndarray, method: str = "auto") -> tuple[Outcome, bool]:
    """The outcome, and whether karush certifies it."""
    result = karush.least_squares(data.residual, start, method=method)
    deviations = np.full(start.size, np.nan)
    if result.success:
        try:
            deviations = np.asarray(result.standard_errors)
        except karush.errors.ProblemError as error:
            sys.stderr.write(f"{data.name}: {error}\n")
    counts = result.residual_evaluations, result.jacobian_evaluations
    return Outcome(np.asarray(result.x), *counts, deviations), result.success


def record(data: DataSet, outcome: Outcome, symmetric: bool, **more: Any) -> dict[str, Any]:
    """One run as JSON."""
    found, certified = outcome.x, data.certified
    if symmetric:
        with np.errstate(all="ignore"):
            found, certified = canonical(data.name, found), canonical(data.name, certified)
    return {
        "set": data.name,
        "digits": round(digits(found, certified), 2),
        "deviation_digits": round(digits(outcome.deviations, data.deviations), 2),
        "residuals": outcome.residuals,
        "jacobians": round(float(outcome.jacobians), 2),
        **more,
    }


def run_set(data: DataSet, seeds: int) -> list[dict[str, Any]]:
    """Every solver from every start of one data set."""
    counted = Counted(data)
    rows = []
    for number, start in enumerate(data.starts, start=1):
        outcome, success = by_karush(data, start)
        rows.append(record(data, outcome, False, solver=OURS, start=number, success=success))
        for method in METHODS:
            outcome, success = by_karush(data, start, method)
            rows.append(record(data, outcome, False, solver=f"{OURS} {method}", start=number, success=success))
        for name, solve in PEERS.items():
            rows.append(record(data, solve(counted, start), False, solver=name, start=number))
    for factor in FACTORS:
        for seed in range(seeds):
            signs = np.random.default_rng([factor, seed]).choice([-1.0, 1.0], size=data.certified.size)
            start = data.starts[0] * factor**signs
            place = {"factor": factor, "seed": seed}
            outcome, success = by_karush(data, start)
            rows.append(record(data, outcome, True, solver=OURS, success=success, **place))
            for name, solve in PEERS.items():
                rows.append(record(data, solve(counted, start), True, solver=name, **place))
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The results in Markdown."""
    standard = [row for row in rows if "start" in row]
    lines = ["# NIST nonlinear regression", "", "Written by `python -m benchmarks.nist`.", ""]
    lines += [f"karush {karush.__version__}, JAX {jax.__version__}. Both starts of 27 data sets:", ""]
    lines += [
        "| solver | ≥ 6 digits | deviations ≥ 6 digits | evaluations | median | certified |",
        "|---|---|---|---|---|---|",
    ]
    for solver in dict.fromkeys(row["solver"] for row in standard):
        own = [row for row in standard if row["solver"] == solver]
        spent = [row["residuals"] + row["jacobians"] for row in own]
        right = sum(row["digits"] >= ASKED for row in own)
        sure = sum(row["deviation_digits"] >= ASKED for row in own)
        said = str(sum(row["success"] for row in own)) if "success" in own[0] else "–"
        cells = f"{right} of {len(own)} | {sure} | {sum(spent):.0f} | {np.median(spent):.1f} | {said}"
        lines.append(f"| {solver} | {cells} |")
    least = [row for row in standard if row["solver"] == OURS and row["deviation_digits"] < ASKED]
    listed = ", ".join(f"{row['set']} start {row['start']}: {row['deviation_digits']:.1f}" for row in least)
    lines += ["", "Evaluations: residuals plus Jacobians, over all runs, failed ones included."]
    lines += [f"Standard deviations of karush with fewer than 6 digits: {listed or 'none'}.", ""]
    lines += ["Start 1 with every component multiplied or divided by a factor:", ""]
    lines += ["| solver | factor 10 | factor 100 | median evaluations | certified and wrong |", "|---|---|---|---|---|"]
    moved = [row for row in rows if "factor" in row]
    for solver in dict.fromkeys(row["solver"] for row in moved):
        own = [row for row in moved if row["solver"] == solver]
        cells = []
        for factor in FACTORS:
            part = [row["digits"] >= ASKED for row in own if row["factor"] == factor]
            cells.append(f"{sum(part)} of {len(part)} ({100 * np.mean(part):.1f} %)")
        spent = np.median([row["residuals"] + row["jacobians"] for row in own])
        wrong = sum(row["success"] and row["digits"] < ASKED for row in own) if "success" in own[0] else "–"
        lines.append(f"| {solver} | {' | '.join(cells)} | {spent:.0f} | {wrong} |")
    lines += [
        "",
        "Certified and wrong: another local minimum than NIST's, which a local certificate does not exclude.",
        "",
    ]
    missed = [
        f"{r['set']} (factor {r['factor']}, seed {r['seed']})"
        for r in moved
        if r["solver"] == OURS and r["digits"] < ASKED
    ]
    lines += [
        f"karush missed: {', '.join(missed) or 'none'}.",
        "",
        "Run by run, both starts (digits, evaluations):",
        "",
    ]
    names = [OURS, *PEERS]
    lines += ["| set | start | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    for name in dict.fromkeys(row["set"] for row in standard):
        for start in (1, 2):
            cells = []
            for solver in names:
                row = next(r for r in standard if (r["set"], r["start"], r["solver"]) == (name, start, solver))
                cells.append(f"{row['digits']:.1f}, {row['residuals'] + row['jacobians']:.0f}")
            lines.append(f"| {name} | {start} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--sets", nargs="*", default=list(MODELS))
    parser.add_argument("--folder", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with jax.enable_x64(True), warnings.catch_warnings():
        # The peers warn of overflow in trial points.
        warnings.simplefilter("ignore", RuntimeWarning)
        for name in arguments.sets:
            rows += run_set(load(name), arguments.seeds)
            sys.stderr.write(f"{name} done\n")
    (arguments.folder / "nist.json").write_text(json.dumps({"runs": rows}, indent=0) + "\n", encoding="utf-8")
    (arguments.folder / "nist.md").write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
