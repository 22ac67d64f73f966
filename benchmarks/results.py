"""The results on disk: one JSON file per list, a row per line, merged as rows arrive."""

import json
import math
import threading
from pathlib import Path

FOLDER = Path(__file__).parent / "results"
MOST_NUMBERS = 200
"""variables up to which x and the multipliers are kept"""
DIGITS = 6
"""significant digits of measured numbers"""
VECTORS = ("x", "y", "z", "witness")
EXACT = (*VECTORS, "value")
"""not rounded"""
_lock = threading.Lock()


def read(folder: Path, which: str) -> dict:
    """``{"machine": ..., "rows": [...]}`` of the list ``which``; empty if there is none yet."""
    file = folder / f"{which}.json"
    return json.loads(file.read_text()) if file.exists() else {"machine": {}, "rows": []}


def versions(folder: Path, which: str) -> dict[tuple[str, str], str]:
    """The version that each finished (problem, solver) was measured with."""
    rows = read(folder, which)["rows"]
    return {(row["problem"], row["solver"]): row.get("version", "") for row in rows if "judge_failure" not in row}


def merge(folder: Path, which: str, rows: list[dict], machine: dict) -> None:
    """Replace the rows of the same (problem, solver), keep the others."""
    with _lock:
        folder.mkdir(parents=True, exist_ok=True)
        known = {(row["problem"], row["solver"]): row for row in read(folder, which)["rows"]}
        known |= {(row["problem"], row["solver"]): _compact(row) for row in rows}
        lines = ",\n".join(json.dumps(known[key]) for key in sorted(known))
        text = f'{{"machine": {json.dumps(machine)},\n"rows": [\n{lines}\n]}}\n'
        half_written = folder / f"{which}.part"
        half_written.write_text(text)
        half_written.replace(folder / f"{which}.json")


def _compact(row: dict) -> dict:
    row = {key: value for key, value in row.items() if key != "scales"}
    if row.get("n", 0) > MOST_NUMBERS or row.get("m", 0) > MOST_NUMBERS:
        row = {key: value for key, value in row.items() if key not in VECTORS}
    return {key: _rounded(value) if key not in EXACT else value for key, value in row.items()}


def _rounded(value):
    if isinstance(value, float) and math.isfinite(value) and value:
        return float(f"{value:.{DIGITS}g}") if not value.is_integer() else value
    return value
