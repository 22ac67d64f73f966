"""`feasible`: theorems about the constraints on a box."""

from dataclasses import replace

import numpy as np

from karush.api.prepared import Prepared
from karush.api.prove import require_sensible
from karush.arithmetic.ball import DEFAULT_PRECISION
from karush.bounds.box import Box
from karush.core.errors import ProblemError
from karush.problem.flat import FlatProblem
from karush.problem.problem import Problem
from karush.proofs.feasible import feasible_flat
from karush.proofs.functions import RowFunctions
from karush.proofs.proof import Proof

SECONDS = 60.0
"""time that a search takes at most if nobody says otherwise"""


def feasible(
    problem: Problem | Prepared,
    box: Box | None = None,
    *,
    precision: int = DEFAULT_PRECISION,
    time_limit: float | None = SECONDS,
) -> Proof:
    """Prove that a box holds no feasible point, or that it holds one: ``l <= c(x) <= u``, x in the box and the bounds.

    Parameters
    ----------
    problem
        The problem, or a prepared one, which saves tracing and compiling. Its objective plays no part.
    box
        `karush.Box` in the structure of x0; the part within the bounds is searched. None: the bounds, all finite.
    precision
        Bits of the balls, at least 64.
    time_limit
        Seconds for the search; None for no limit.

    Returns
    -------
    Proof
        With the theorem "infeasible", ``Proof.box`` the box; or "feasible point", ``Proof.box`` a small box that holds
        one; or none, and the reason.

    Raises
    ------
    ProblemError, OptionError, TraceError
        for bad input, or a primitive that ball arithmetic has no rule for.

    Notes
    -----
    Branch and bound in ball arithmetic, with weights by linear programming; what was found is checked again by
    `karush.proofs.feasibility`. Float64 and balls, by a local switch.
    """
    require_sensible(precision, time_limit)
    prepared = problem if isinstance(problem, Prepared) else None
    stated = prepared.problem if prepared is not None else problem
    if not isinstance(stated, Problem):
        raise ProblemError(f"problem is {type(stated).__name__} {stated!r:.60}; give a karush.Problem")
    if prepared is None or stated.regularization:
        # A term of the objective would split the variables; the constraints do not know it.
        prepared = Prepared(replace(stated, regularization=()))
    flat = prepared.parts.flat
    lower, upper = _searched(flat, box)
    return feasible_flat(
        RowFunctions(flat, precision),
        prepared.parts.evaluator,
        lower,
        upper,
        time_limit=time_limit,
        name=stated.name,
    )


def _searched(flat: FlatProblem, box: Box | None) -> tuple[np.ndarray, np.ndarray]:
    """The part of `box` within the bounds, as two arrays (n,)."""
    if box is None:
        return flat.lower, flat.upper
    if not isinstance(box, Box):
        raise ProblemError(f"box is {type(box).__name__} {box!r:.60}; give a karush.Box(lower, upper)")
    lower = np.maximum(flat.lower, flat.door.ravel(box.lower, "box.lower"))
    upper = np.minimum(flat.upper, flat.door.ravel(box.upper, "box.upper"))
    apart = np.flatnonzero(lower > upper)
    if apart.size:
        i = int(apart[0])
        raise ProblemError(
            f"box and bounds have no common value of {flat.variable_names[i]}: the larger lower end is {lower[i]}, "
            f"the smaller upper end {upper[i]}; give a box that meets the bounds"
        )
    return lower, upper


__all__ = ["feasible"]
