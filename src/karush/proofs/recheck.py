"""A stored proof, checked again: nothing in the file is believed, the witness goes through the checker anew."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from karush.arithmetic.ball_numbers import Undecided
from karush.core.errors import FileError
from karush.core.precision import float64
from karush.problem.flat import FlatProblem
from karush.proofs.checker import Verified, Witness, verify
from karush.proofs.feasibility import INFEASIBLE, Covering, NearPoint
from karush.proofs.feasibility_file import KIND, Feasibility, read_feasibility, verify_feasibility
from karush.proofs.functions import Functions, RowFunctions, fingerprint
from karush.proofs.proof_file import SCHEMA, claims, digest, read_witness, statement

PARTS = ("statement", "witness", "claims")
UNCHECKED = ("schema", "digest", "source")
"""what else a proof file may hold: nothing of it is a claim"""
MOST_PRECISION = 2**20
"""bits of balls that a file may ask for: what costs hours is no proof that anybody has written"""


def read_proof(path: str | Path) -> dict[str, Any]:
    """The document of a proof file whose parts are as they were written.

    Raises
    ------
    FileError
        for a file that is missing, is no proof, or was edited; it names the part.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"the proof file {path} cannot be read: {error.strerror}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"the proof file {path} is no JSON: {error}; give one that karush prove has written") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise FileError(f"{path} has schema {found!r}; this version checks {SCHEMA!r}")
    digests = document.get("digest")
    for part in PARTS:
        if part not in document or not isinstance(digests, dict) or part not in digests:
            raise FileError(f"{path} has no {part!r}; an undecided proof holds nothing to check")
        if digest(document[part]) != digests[part]:
            raise FileError(f"{path} was edited: its {part!r} is not what was written; write the proof anew")
    more = sorted(set(document) - {*PARTS, *UNCHECKED})
    if more:
        raise FileError(
            f"{path} holds {more[0]!r}, which is no part of a proof and cannot be checked; give a file as it "
            "was written by karush prove --output or by Proof.save"
        )
    return document


def recheck(flat: FlatProblem, document: dict[str, Any], path: str | Path) -> Verified | Feasibility:
    """The theorems of a stored proof about `flat`, if the checker finds every claim of the file again.

    Raises
    ------
    FileError
        where the file speaks of another problem, is malformed, or claims more than is true; it names what.
    """
    stated, given = document["statement"], document["claims"]
    if not isinstance(stated, dict) or not isinstance(given, dict) or not isinstance(given.get("theorems"), list):
        raise FileError(f"{path} has a malformed statement or claims; write the proof anew")
    if not given["theorems"]:
        raise FileError(f"{path} claims no theorem: there is nothing to check; write the proof anew")
    if fingerprint(flat) != stated.get("fingerprint"):
        raise FileError(
            f"{path} is a proof about another problem than the one given: the traced program, the parameters or the "
            "limits differ (or the version of JAX does); prove it anew"
        )
    about_box = isinstance(document["witness"], dict) and document["witness"].get("kind") == KIND
    try:
        functions = (RowFunctions if about_box else Functions)(flat, _precision(stated["precision"]))
        witness = (read_feasibility if about_box else read_witness)(document["witness"])
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise FileError(f"the witness in {path} is malformed: {error!r}; write the proof anew") from error
    said = statement(functions, stated.get("problem"))
    wrong = sorted(key for key in {*said, *stated} if key not in said or stated.get(key) != said[key])
    if wrong:
        raise FileError(f"{path} states {wrong[0]!r} otherwise than the problem is; write the proof anew")
    try:
        with float64():
            verified, found = _verified(functions, witness)
    except Undecided as undecided:
        raise FileError(f"{path} proves nothing: {undecided}") from undecided
    except (ValueError, IndexError) as error:
        raise FileError(f"the witness in {path} does not fit the problem: {error}; write the proof anew") from error
    unknown = sorted(set(given) - set(found))
    if unknown:
        raise FileError(f"{path} claims {unknown[0]!r}, which the witness does not prove")
    missing = [theorem for theorem in given["theorems"] if theorem not in found["theorems"]]
    if missing:
        raise FileError(f"{path} claims {missing[0]!r}, which the witness does not prove")
    if INFEASIBLE in found["theorems"] and given.get("x") != found["x"]:
        raise FileError(f"{path} claims that another box is infeasible than the one that the witness covers")
    for key in found:
        if key != "theorems" and not _holds(found[key], given.get(key)):
            raise FileError(f"{path} claims an enclosure of {key!r} that is narrower than what the witness proves")
    return verified


def _verified(
    functions: Functions, witness: Witness | Covering | NearPoint
) -> tuple[Verified | Feasibility, dict[str, Any]]:
    """What the witness proves, and the claims that it supports."""
    if not isinstance(witness, Witness):
        return verify_feasibility(functions, witness)
    verified = verify(functions, witness)
    return verified, claims(verified)


def _precision(given: Any) -> int:
    """Bits of the balls, as a file gives them."""
    if isinstance(given, bool) or not isinstance(given, int) or not 1 < given <= MOST_PRECISION:
        raise ValueError(f"the precision is {given!r:.40}")
    return given


def _holds(found: dict[str, Any], given: Any) -> bool:
    """Whether the claimed intervals contain those found."""
    try:
        lower, upper = (np.array(given[end], dtype=float) for end in ("lower", "upper"))
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return False
    if lower.shape != np.shape(found["lower"]) or upper.shape != np.shape(found["upper"]):
        return False
    return bool(np.all(lower <= found["lower"]) and np.all(upper >= found["upper"]))


__all__ = ["read_proof", "recheck"]
