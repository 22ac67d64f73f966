"""Proofs as JSON files: the witness and the claims, to be checked again from the problem's own functions."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from flint import arb, fmpz

from karush.arithmetic.ball_numbers import lowers, uppers
from karush.core.errors import FileError
from karush.proofs.checker import Verified, Witness
from karush.proofs.functions import Functions, fingerprint
from karush.proofs.system import ActiveSet, Limit

SCHEMA = "karush-proof/2"
"""2: what is claimed of a box of x is said with its condition on the multipliers"""
ALONE = "no other KKT point whose multipliers lie in the wide box"
OUTSIDE = (
    "The theorems are about the exact real functions of the traced program, its literals read as exact doubles, and "
    "the limits as exact doubles; arithmetic done in NumPy before tracing is outside. All of the minimised objective."
)


def document(functions: Functions, witness: Witness, verified: Verified, name: str | None) -> dict[str, Any]:
    """What a proof file holds."""
    parts: dict[str, Any] = {
        "statement": statement(functions, name),
        "witness": witness_document(witness),
        "claims": claims(verified),
    }
    return {"schema": SCHEMA, **parts, "digest": {key: digest(part) for key, part in parts.items()}}


def statement(functions: Functions, name: str | None) -> dict[str, Any]:
    """What the theorems are about."""
    return {
        "about": OUTSIDE,
        "fingerprint": fingerprint(functions.flat),
        "problem": name,
        "variables": list(functions.flat.variable_names),
        "rows": list(functions.flat.row_names),
        "maximize": functions.flat.maximize,
        "precision": functions.precision,
    }


def digest(part: Any) -> str:
    """SHA-256 of one part in canonical JSON: tells a slip of the editor from a false claim, and keeps nobody out."""
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()


def claims(verified: Verified) -> dict[str, Any]:
    """The theorems and the enclosures, outward in float64, of the minimised objective."""
    value = np.array([verified.value], dtype=object)
    parts = {"x": verified.x, "rows' multipliers": verified.y, "bounds' multipliers": verified.z, "value": value}
    if verified.alone is not None:
        parts[ALONE] = verified.alone
    return {
        "theorems": list(verified.theorems),
        **{name: {"lower": lowers(part).tolist(), "upper": uppers(part).tolist()} for name, part in parts.items()},
    }


def witness_document(witness: Witness) -> dict[str, Any]:
    """The witness; exact binary numbers as ``[mantissa, exponent]`` in hexadecimal and decimal."""
    active = witness.active
    return {
        "rows": [list(limit) for limit in active.rows],
        "bounds": [list(limit) for limit in active.bounds],
        "dropped": [list(limit) for limit in active.dropped],
        "middle": [_exact_text(ball) for ball in witness.middle],
        "radius": witness.radius.tolist(),
        "wide": witness.wide.tolist(),
        "weights": None if witness.weights is None else witness.weights.tolist(),
        "exact": witness.exact,
    }


def read_witness(given: dict[str, Any]) -> Witness:
    """The witness of `witness_document`; what is no witness is a KeyError, TypeError, ValueError or OverflowError."""
    sets = [tuple(limit(*pair) for pair in given[key]) for key in ("rows", "bounds", "dropped")]
    middle = np.empty(len(given["middle"]), dtype=object)
    middle[:] = [_exact_number(text) for text in given["middle"]]
    radius, wide = (np.array(given[key], dtype=float) for key in ("radius", "wide"))
    weights = None if given["weights"] is None else np.array(given["weights"], dtype=float)
    if not all(part.ndim == 1 for part in (radius, wide, wide if weights is None else weights)):
        raise ValueError("a radius or weight is no number")
    return Witness(ActiveSet(*sets), middle, radius, wide, weights, bool(given["exact"]))


def limit(at: Any, side: Any) -> Limit:
    """A limit whose parts are read from a file."""
    if not all(isinstance(part, int) and not isinstance(part, bool) for part in (at, side)):
        raise TypeError(f"a limit is {at!r:.20}, {side!r:.20}, not two integers")
    return Limit(at, side)


def _exact_text(ball: arb) -> str:
    mantissa, exponent = ball.man_exp()
    return f"{int(mantissa):x}p{int(exponent)}"


def _exact_number(text: Any) -> arb:
    mantissa, exponent = str(text).split("p")
    return arb((fmpz(int(mantissa, 16)), fmpz(int(exponent))))


def write(given: dict[str, Any], path: Path) -> None:
    """Write a proof's document.

    Raises
    ------
    FileError
        for a proof without theorems, or a file that cannot be written.
    """
    if not given:
        raise FileError(f"there is no theorem to write to {path}: the proof is undecided")
    try:
        path.write_text(json.dumps(given, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise FileError(f"the proof file {path} cannot be written: {error.strerror}; give another path") from error


__all__ = ["ALONE", "SCHEMA", "claims", "document", "limit", "read_witness", "statement", "witness_document", "write"]
