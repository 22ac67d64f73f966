"""From a box to a theorem about the constraints on it: search, check, and the proof in the user's structure."""

import math
import time
from dataclasses import replace

import numpy as np
from flint import ctx

from karush.arithmetic.ball_numbers import Undecided, lowers, uppers
from karush.core.precision import float64
from karush.derivatives.evaluator import Evaluator
from karush.proofs.feasibility import FEASIBLE_POINT, INFEASIBLE, verify_covering, verify_point
from karush.proofs.feasibility_file import feasibility_document
from karush.proofs.feasibility_search import Found, search
from karush.proofs.functions import Functions
from karush.proofs.proof import Enclosure, Proof


def feasible_flat(
    functions: Functions,
    evaluator: Evaluator,
    lower: np.ndarray,
    upper: np.ndarray,
    *,
    time_limit: float | None = None,
    name: str | None = None,
) -> Proof:
    """Whether the box [lower, upper] (n,), within the bounds, holds a feasible point: either theorem, or undecided."""
    flat = functions.flat
    began = time.perf_counter()
    wild = np.flatnonzero(~(np.isfinite(lower) & np.isfinite(upper)))
    with float64(), ctx.workprec(functions.precision), np.errstate(all="ignore"):
        if wild.size:
            first = flat.variable_names[int(wild[0])]
            found = Found(reason=f"{first} has no finite bounds, and a box without end cannot be bisected; give a box")
        else:
            found = search(functions, evaluator, lower, upper, began + (math.inf if time_limit is None else time_limit))
        proof = _checked(functions, found, name)
    return replace(proof, seconds=time.perf_counter() - began, precision=functions.precision, name=name)


def _checked(functions: Functions, found: Found, name: str | None) -> Proof:
    flat = functions.flat
    try:
        if found.covering is not None:
            witness = found.covering
            verify_covering(functions, witness)
            whole = np.array_equal(witness.lower, flat.lower) and np.array_equal(witness.upper, flat.upper)
            where = "within the bounds" if whole else "of the box"
            return Proof(
                theorems=(INFEASIBLE,),
                sentence=f"Proved: no point {where} meets the constraints.",
                box=Enclosure(flat.door.unravel(witness.lower), flat.door.unravel(witness.upper)),
                document=feasibility_document(functions, witness, (witness.lower, witness.upper), name),
            )
        if found.point is not None:
            x = verify_point(functions, found.point)
            ends = lowers(x), uppers(x)
            size = np.maximum(np.minimum(*np.abs(ends)), 1.0)
            return Proof(
                theorems=(FEASIBLE_POINT,),
                sentence="Proved: a point of the box meets every constraint.",
                box=Enclosure(*map(flat.door.unravel, ends)),
                radius=float(np.max((ends[1] - ends[0]) / size, initial=0.0)),
                active=tuple(flat.row_names[limit.at] for limit in found.point.held),
                document=feasibility_document(functions, found.point, ends, name),
            )
    except Undecided as undecided:
        found = Found(reason=str(undecided))
    return Proof(theorems=(), sentence=f"Undecided: {found.reason}.", reason=found.reason)


__all__ = ["feasible_flat"]
