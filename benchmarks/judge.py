"""Judge all solvers' answers to one problem in one process: ``python -m benchmarks.judge ROWS.json``.

Reads the rows that the workers wrote, adds what the independent checker finds, and writes them back.
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np

from benchmarks import lists
from benchmarks.checker import Derivatives, Point, Scales, check
from benchmarks.local import examine


def stated_scales(rows: list[dict]) -> Scales | None:
    """The scales that karush's certificate states: they belong to the problem, so they serve for every solver."""
    for row in rows:
        if row.get("scales"):
            stated = row["scales"]
            return Scales(np.array(stated["x"], float), float(stated["f"]), np.array(stated["rows"], float))
    return None


def judge_row(row: dict, derivatives: Derivatives, scales: Scales | None) -> dict:
    """What the checker says of one answer."""
    x = np.array(row["x"], float)
    if not np.all(np.isfinite(x)):
        return {"verified": False, "feasibility": None, "kkt": None, "value": None}
    point = derivatives.at(x)
    y, z = (None if row[key] is None else np.array(row[key], float) for key in ("y", "z"))
    found = check(point, y, z)
    told = {"value": point.value, "feasibility": found.feasibility, "kkt": found.kkt, "verified": found.verified}
    if row["claimed"] or found.verified:
        told |= _local(derivatives, point, y, z, scales, row["claimed"])
    return told


def _local(derivatives: Derivatives, point: Point, y, z, scales: Scales | None, claimed: bool) -> dict:
    scaled = check(point, y, z, scales)
    local = examine(derivatives, point, scaled, scales or Scales.ones(point.problem))
    told = {"kkt_scaled": max(scaled.kkt, scaled.feasibility), "curvature": local.curvature, "lower_by": local.lower_by}
    if local.witness is not None:
        told["witness"] = local.witness.tolist()
    return told | {"false_success": bool(claimed and local.refused)}


def main(file: str) -> None:
    jax.config.update("jax_enable_x64", True)
    rows = json.loads(Path(file).read_text())
    answered = [row for row in rows if row.get("x") is not None]
    if answered:
        derivatives = Derivatives.of(lists.load(answered[0]["problem"]))
        scales = stated_scales(rows)
        for row in answered:
            row |= judge_row(row, derivatives, scales)
    Path(file).write_text(json.dumps(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
