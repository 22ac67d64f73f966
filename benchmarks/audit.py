"""`karush.audit` on the corpus of idioms: recall, precision, witnesses, decided functions, false *safe* verdicts.

`python -m benchmarks.audit [--names NAME ...] [--samples 1000000]` writes benchmarks/results/audit.{json,md}, and goes
on where it was interrupted. Labels are by rule (`benchmarks.labels`). Every finding's witness is run again under jit by
this file and held against the exact value; every function called safe is run at `--samples` points, screened in
float64, with exact values for all that come within a factor of 4 of the threshold and for some others.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.idioms import Idiom, corpus
from benchmarks.labels import Measured, label, sample
from karush import Box, audit
from karush.stability.audit_measure import Screen
from karush.stability.subject import gradient_subject, read_box, value_subject

RESULTS = Path(__file__).parent / "results"
HERE = f"{Path(__file__).resolve().parent.parent}/"
"""what is left out of the paths in the results"""
SAFE_BITS = 4.0
WITHIN = 2.0
"""bits: a factor of 4 below the threshold, from which samples get exact values"""
CHUNK = 16_384
EXACT_AT_RANDOM = 10_000
MOST_EXACT = 2_000
"""samples near the threshold that get exact values, the worst first"""


def part_of(item: Idiom) -> str:
    """What is audited of a function: gradients of those that are about gradients."""
    return "gradient" if item.kind == "gradient" else "value"


def measured(item: Idiom, samples: int) -> dict[str, Any]:
    """One row."""
    part = part_of(item)
    truth = label(item, part)
    began = time.perf_counter()
    found = audit(item.function, Box(item.lower, item.upper), gradient=part == "gradient", name=item.name)
    seconds = time.perf_counter() - began
    its = next(each for each in found.parts if each.name == part)
    subject = Measured(item, part)
    holds = [witnessed(subject, finding) for finding in its.findings]
    row = {
        "name": item.name,
        "kind": item.kind,
        "part": part,
        "label": truth.word,
        "share": truth.share,
        "verdict": its.verdict.value,
        "reason": its.reason,
        "nonfinite_found": any(not math.isfinite(each.computed) for each in its.findings),
        "silent_found": any(math.isfinite(each.computed) and each.severe for each in its.findings),
        "findings": [each.document() for each in its.findings],
        "witness_bits": [None if math.isnan(bits) else min(bits, 99.0) for bits in holds],
        "seconds": round(seconds, 2),
    }
    if its.verdict.value == "safe":
        row["false_safe"], row["sampled"] = false_safe(item, part, samples)
    return row


def witnessed(subject: Measured, finding: Any) -> float:
    """Bits lost at the witness, by this file's own reckoning; inf if not finite, NaN if the exact value is unknown."""
    leaves = [np.ravel(np.asarray(leaf)) for leaf in jax.tree.leaves(finding.witness)]
    point = np.concatenate(leaves).astype(subject.dtype)[None]
    return float(subject.lost(point, subject.run(point))[0])


def false_safe(item: Idiom, part: str, samples: int) -> tuple[int, int]:
    """Samples of a function called safe that are not, and samples."""
    inputs, lower, upper, _ = read_box(Box(item.lower, item.upper))
    value = value_subject(item.function, inputs, item.name)
    subject = Measured(item, part)
    screen = Screen(value if part == "value" else gradient_subject(item.function, value, item.name), subject.straight)
    rng = np.random.default_rng(7)
    near_x: list[np.ndarray] = []
    near_bits: list[np.ndarray] = []
    wrong = count = 0
    while count < samples:
        points = sample(lower, upper, CHUNK, rng)
        computed = screen.computed(points)
        bits = np.nanmax(np.nan_to_num(screen.scores(points, computed, rng), nan=-1.0), axis=1)
        close = bits > SAFE_BITS - WITHIN
        near_x.append(points[close])
        near_bits.append(bits[close])
        count += CHUNK
    points, bits = np.concatenate(near_x), np.concatenate(near_bits)
    chosen = points[np.argsort(-bits)[:MOST_EXACT]]
    some = sample(lower, upper, max(1, EXACT_AT_RANDOM * samples // 1_000_000), rng)
    for block in np.array_split(np.concatenate([chosen, some]), 8):
        if len(block):
            lost = subject.lost(block, subject.run(block))
            wrong += int(np.sum(np.where(np.isnan(lost), 0.0, lost) > SAFE_BITS))
    return wrong, count


def share(part: int, whole: int) -> str:
    """``45 of 50 (90.0 %)``."""
    return f"{part} of {whole} ({100.0 * part / whole:.1f} %)" if whole else "none"


def quiet(row: dict[str, Any]) -> bool:
    """Whether a finding is of a kind that loses digits silently, though its worst witness may be NaN."""
    silent = ("cancellation", "absorption", "underflow to zero", "amplified rounding", "inaccurate function")
    return any(each["kind"] in silent and each["severity"] == "error" for each in row["findings"])


def table(rows: list[dict[str, Any]]) -> str:
    """The Markdown page."""
    nonfinite = [row for row in rows if "nonfinite" in row["label"]]
    silent = [row for row in rows if "silent" in row["label"]]
    unsafe = [row for row in rows if row["verdict"] == "unsafe"]
    safe = [row for row in rows if row["verdict"] == "safe"]
    bits = [bits for row in rows for bits in row["witness_bits"]]
    true = [row for row in unsafe if any(b is not None and b > SAFE_BITS for b in row["witness_bits"])]
    strict = [row for row in unsafe if row["label"] != "sound"]
    holds = sum(b is not None and b > SAFE_BITS for b in bits)
    false = [row["name"] for row in safe if row["false_safe"]]
    sampled = min((row["sampled"] for row in safe), default=0)
    decided = sum(row["verdict"] != "unknown" for row in rows)
    found_nonfinite = sum(row["nonfinite_found"] for row in nonfinite)
    found_silent = sum(row["silent_found"] or quiet(row) for row in silent)
    kinds = {kind: sum(row["kind"] == kind for row in rows) for kind in ("idiom", "control", "gradient", "grammar")}
    seconds = np.median([row["seconds"] for row in rows])
    lines = [
        "# Audit of the corpus",
        "",
        f"{len(rows)} functions in float32, x64 off: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items()) + ".",
        "",
        "| measure | asked | measured |",
        "|---|---|---|",
        f"| recall, NaN or infinity (*unknown* is a miss) | >= 99 % | {share(found_nonfinite, len(nonfinite))} |",
        f"| recall, silent loss (*unknown* is a miss) | >= 95 % | {share(found_silent, len(silent))} |",
        f"| precision: functions called unsafe with a witness that holds | >= 95 % | {share(len(true), len(unsafe))} |",
        f"| of them, defective by the label of the sampled range | | {share(len(strict), len(unsafe))} |",
        f"| witnesses that reproduce under `jit` | >= 95 % | {share(holds, len(bits))} |",
        f"| functions decided | >= 85 % | {share(decided, len(rows))} |",
        f"| false *safe* of {len(safe)}, {sampled} samples each | 0 | {len(false)} {' '.join(false)} |",
        f"| median seconds per audit | | {seconds:.1f} |",
        "",
        "## Missed",
        "",
        *[f"- {r['name']}: not finite; {r['verdict']}, {r['reason']}" for r in nonfinite if not r["nonfinite_found"]],
        *[
            f"- {r['name']}: silent; {r['verdict']}, {r['reason']}"
            for r in silent
            if not (r["silent_found"] or quiet(r))
        ],
        "",
        "## Every function",
        "",
        "| function | kind | label | share of the range lost | verdict | findings |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        kinds_found = sorted({f"{each['kind']} ({each['bits']:.0f})" for each in row["findings"]})
        lines.append(
            f"| {row['name']} | {row['kind']} | {row['label']} | {100.0 * row['share']:.0f} % | {row['verdict']} "
            f"| {', '.join(kinds_found)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", nargs="*")
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--fresh", action="store_true", help="forget earlier rows")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    store = options.results / "audit.json"
    rows: dict[str, Any] = {}
    if store.exists() and not options.fresh:
        rows = {row["name"]: row for row in json.loads(store.read_text())}
    items = corpus()
    for item in items:
        wanted = not options.names or item.name in options.names
        if wanted and (item.name not in rows or options.names):
            rows[item.name] = measured(item, options.samples)
            text = json.dumps([rows[each.name] for each in items if each.name in rows], indent=0)
            store.write_text(text.replace(HERE, "") + "\n")
            print(item.name, rows[item.name]["label"], "|", rows[item.name]["verdict"], flush=True)
    ordered = [rows[each.name] for each in items if each.name in rows]
    (options.results / "audit.md").write_text(table(ordered))


if __name__ == "__main__":
    main()
