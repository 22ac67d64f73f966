"""The exact active set of an answer, where zeros are to be exact: the parts of a split |x|.

An interior point leaves inactive parts at 1e-9 instead of 0. Newton's method on the active set puts them onto their
limits; the sharper point is taken only if its certificate says no less.
"""

from dataclasses import replace

from karush.solvers import active_newton
from karush.solvers.prepared import Prepared
from karush.solvers.strategies import Candidate


def sharpened(prepared: Prepared, candidate: Candidate, tol: float) -> Candidate:
    """`candidate`, or its polished neighbour if that is certified at least as well."""
    flat = prepared.flat
    if flat.n == flat.door.size or candidate.rank > 0:
        return candidate
    answer = active_newton.polish(flat, prepared.evaluator, prepared.scales, candidate.answer, tol)
    if answer is None:
        return candidate
    before = candidate.answer
    further = Candidate(answer, prepared.judged(answer.x, answer.y, answer.z, tol), candidate.note)
    if further.certificate.verdict is not candidate.certificate.verdict:
        return candidate
    total = before.evaluations + answer.evaluations
    answer = replace(answer, iterations=before.iterations, evaluations=total, history=before.history)
    return replace(further, answer=answer)
