"""From the best sample of a derivative-free method to the minimum beside it, where derivatives lead there."""

from dataclasses import replace

import numpy as np

from karush.backends.answer import BackendAnswer
from karush.solvers import strategies
from karush.solvers.prepared import Prepared
from karush.solvers.run import Limits
from karush.unconstrained import drive
from karush.unconstrained.lbfgs import LBFGS


def polished(parts: Prepared, found: BackendAnswer, *, tol: float, limits: Limits) -> strategies.Candidate:
    """The judged point that L-BFGS reaches from the answer `found`; that answer itself if it is judged no worse.

    The certificate, which takes derivatives, judges both.
    """
    sampled = strategies.Candidate(found, parts.judged(found.x, None, None, tol))
    if sampled.rank == 0 or found.status in strategies.ENDS:
        return sampled

    def value(x: np.ndarray) -> float:
        return parts.evaluator.values(x)[0]

    descent = drive.run(LBFGS(), parts, found.x, replace(limits, callback=None), tol)
    candidate = strategies.improve(parts, descent, tol=tol, limits=limits)
    after = candidate.answer
    better = (candidate.rank, value(after.x)) < (sampled.rank, value(found.x))
    if not better or value(after.x) > value(found.x):
        return sampled
    answer = replace(
        after,
        iterations=found.iterations + after.iterations,
        evaluations=found.evaluations + after.evaluations,
        history=found.history,
    )
    return replace(candidate, answer=answer, note="the best sample was polished by L-BFGS, which takes derivatives")
