"""Proofs about the constraints on a box as JSON: the witness and the claims, and the check of both."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from karush.arithmetic.ball_numbers import lowers, uppers
from karush.proofs.feasibility import (
    FEASIBLE_POINT,
    INFEASIBLE,
    Covering,
    Leaf,
    NearPoint,
    Split,
    verify_covering,
    verify_point,
)
from karush.proofs.functions import Functions
from karush.proofs.proof_file import SCHEMA, digest, limit, statement

KIND = "feasibility of a box"


@dataclass(frozen=True)
class Feasibility:
    """What holds of a stored proof."""

    theorems: tuple[str, ...]
    shortfall: str = ""
    """the box that a theorem of infeasibility is about, where that is less than the bounds"""


def feasibility_document(
    functions: Functions, witness: Covering | NearPoint, box: tuple[np.ndarray, np.ndarray], name: str | None
) -> dict[str, Any]:
    """What a proof file holds; `box` (n,) holds no feasible point, or one."""
    theorem = INFEASIBLE if isinstance(witness, Covering) else FEASIBLE_POINT
    parts: dict[str, Any] = {
        "statement": statement(functions, name),
        "witness": {"kind": KIND, **_witness_document(witness)},
        "claims": {"theorems": [theorem], "x": {"lower": box[0].tolist(), "upper": box[1].tolist()}},
    }
    return {"schema": SCHEMA, **parts, "digest": {key: digest(part) for key, part in parts.items()}}


def _witness_document(witness: Covering | NearPoint) -> dict[str, Any]:
    box = {"lower": witness.lower.tolist(), "upper": witness.upper.tolist()}
    if isinstance(witness, Covering):
        nodes = [
            {"split": node.variable, "at": node.at}
            if isinstance(node, Split)
            else {"weights": [list(pair) for pair in node.weights], "mean_value": node.mean_value}
            for node in witness.nodes
        ]
        return {**box, "nodes": nodes}
    return {
        **box,
        "middle": witness.middle.tolist(),
        "held": [list(limit) for limit in witness.held],
        "directions": witness.directions.tolist(),
        "radius": witness.radius,
    }


def read_feasibility(given: dict[str, Any]) -> Covering | NearPoint:
    """The witness of a file."""
    lower, upper = (np.array(given[key], dtype=float) for key in ("lower", "upper"))
    if "nodes" in given:
        return Covering(lower, upper, tuple(_node(node) for node in given["nodes"]))
    held = tuple(limit(*pair) for pair in given["held"])
    directions = np.array(given["directions"], dtype=float).reshape(lower.size, len(held))
    return NearPoint(lower, upper, np.array(given["middle"], dtype=float), held, directions, float(given["radius"]))


def _node(given: dict[str, Any]) -> Split | Leaf:
    if "split" in given:
        return Split(int(given["split"]), float(given["at"]))
    return Leaf(tuple((int(row), float(weight)) for row, weight in given["weights"]), bool(given["mean_value"]))


def verify_feasibility(functions: Functions, witness: Covering | NearPoint) -> tuple[Feasibility, dict[str, Any]]:
    """What the witness proves, and the claims that a file may make of it.

    Raises
    ------
    Undecided
        where it proves nothing.
    """
    part = ""
    if isinstance(witness, Covering):
        verify_covering(functions, witness)
        theorem, ends = INFEASIBLE, (witness.lower, witness.upper)
        if np.any(witness.lower > functions.flat.lower) or np.any(witness.upper < functions.flat.upper):
            part = f"of the box from {witness.lower.tolist()} to {witness.upper.tolist()} alone, not of all the bounds"
    else:
        x = verify_point(functions, witness)
        theorem, ends = FEASIBLE_POINT, (lowers(x), uppers(x))
    claimed = {"theorems": [theorem], "x": {"lower": ends[0].tolist(), "upper": ends[1].tolist()}}
    return Feasibility((theorem,), part), claimed


__all__ = ["KIND", "Feasibility", "feasibility_document", "read_feasibility", "verify_feasibility"]
