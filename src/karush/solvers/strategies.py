"""karush's own way to an answer: the interior point, and what is tried when its first answer is no minimum.

1. The interior point from the start.
2. While the certificate shows a better point beside the answer (a saddle, a maximum, a kink): again from there.
3. Where the answer is not certified: Newton's method on the active set that the answer suggests.
4. The interior point again, with other first parameters and from moved starts.
5. SciPy's SLSQP, a different algorithm, from the best point so far and from the start.

Every candidate is judged by the same certificate, and the best verdict is returned; a verdict is never argued with.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from karush.certificates import Certificate
from karush.core.status import Status, Verdict
from karush.solvers import active_newton
from karush.solvers.prepared import Prepared
from karush.solvers.run import MU_FIRST, Answer, Limits, unpacked, watched
from karush.solvers.run import STATUS as RUN_STATUS

ESCAPES = 10
"""how often the run goes on from a better point shown by the certificate"""
MU_WARM = 1e-4
"""first barrier parameter near an answer"""
RANK = {
    Verdict.GLOBAL_MINIMUM: 0,
    Verdict.LOCAL_MINIMUM: 0,
    Verdict.UNBOUNDED: 1,
    Verdict.STATIONARY: 2,
    Verdict.UNDECIDED: 3,
    Verdict.NOT_A_MINIMUM: 4,
    Verdict.LOCALLY_INFEASIBLE: 5,
    Verdict.NOT_STATIONARY: 6,
}
ENDS = (Status.TIME_LIMIT, Status.INTERRUPTED, Status.STOPPED)
"""the user's own limits: nothing more is tried"""


@dataclass(frozen=True)
class Candidate:
    """An answer and its certificate."""

    answer: Answer
    certificate: Certificate
    note: str = ""


class Search:
    """The state of one solve: candidates so far, iterations and history added up."""

    def __init__(self, prepared: Prepared, tol: float, limits: Limits, driver: str):
        self.prepared, self.tol, self.limits, self.driver = prepared, tol, limits, driver
        self.best: Candidate | None = None
        self.iterations = self.evaluations = 0
        self.history: list[dict] = []

    def run(self, x0: np.ndarray, mu: float = MU_FIRST, note: str = "", **changes: object) -> Candidate:
        """The interior point from x0 (n,), judged."""
        prepared = self.prepared
        data = prepared.data(self.tol)._replace(**changes) if changes else None
        if self.driver == "fused" and data is None:
            packed = prepared.run_fused(x0, mu, self.limits.max_iterations, self.tol)
            status, iterations, evaluations = (int(count) for count in packed[-3:])
            answer = unpacked(
                prepared.flat, prepared.evaluator, prepared.units, packed, RUN_STATUS[status], iterations, evaluations, []
            )
        else:
            data = data or prepared.data(self.tol)
            answer = watched(
                prepared.flat, prepared.evaluator, prepared.layout, data, x0, limits=self.limits, mu=mu, offset=self.iterations
            )
        return self.judge(answer, note)

    def judge(self, answer: Answer, note: str = "") -> Candidate:
        """Certify an answer, and keep it if it is the best so far."""
        sequence = None
        if answer.status is Status.UNBOUNDED:
            sequence = answer.x[None]
        certificate = self.prepared.judged(answer.x, answer.y, answer.z, self.tol, sequence=sequence)
        self.iterations += answer.iterations
        self.evaluations += answer.evaluations
        self.history.extend(answer.history)
        candidate = Candidate(answer, certificate, note)
        if self.best is None or self._better(candidate, self.best):
            self.best = candidate
        return candidate

    def _better(self, new: Candidate, old: Candidate) -> bool:
        ranks = RANK[new.certificate.verdict], RANK[old.certificate.verdict]
        return ranks[0] < ranks[1]

    @property
    def over(self) -> bool:
        """Whether nothing more is to be tried."""
        assert self.best is not None
        verdict, status = self.best.certificate.verdict, self.best.answer.status
        late = time.perf_counter() > self.limits.deadline
        return RANK[verdict] <= RANK[Verdict.UNBOUNDED] or status in ENDS or late


def solve(prepared: Prepared, x0: np.ndarray, *, tol: float, limits: Limits, driver: str) -> Candidate:
    """The best judged answer from x0 (n,), within the bounds."""
    search = Search(prepared, tol, limits, driver)
    first = search.run(x0)
    if not search.over:
        _continue(search, x0, first)
    best = search.best
    assert best is not None
    totals = replace(
        best.answer,
        iterations=search.iterations,
        evaluations=search.evaluations,
        history=tuple(search.history),
    )
    return replace(best, answer=totals)


def _continue(search: Search, x0: np.ndarray, first: Candidate) -> None:
    _escape(search, first)
    if search.over:
        return
    search.driver = "python"
    for candidate in _alternatives(search, x0):
        if not search.over:
            _escape(search, candidate)
        if search.over:
            return


def _escape(search: Search, candidate: Candidate) -> None:
    """Go on from the better points that the certificate shows."""
    for _ in range(ESCAPES):
        witness = candidate.certificate.witness
        if candidate.certificate.verdict is not Verdict.NOT_A_MINIMUM or witness is None or search.over:
            return
        candidate = search.run(witness["x_flat"], MU_WARM, "went on from a better point beside a stationary one")


def _alternatives(search: Search, x0: np.ndarray) -> Iterator[Candidate]:
    """Further candidates, each from a different idea."""
    prepared = search.prepared
    assert search.best is not None
    polished = active_newton.polish(prepared.flat, prepared.evaluator, prepared.scales, search.best.answer, search.tol)
    if polished is not None:
        yield search.judge(polished, "polished by Newton's method on the active set")
    yield search.run(search.best.answer.x, MU_WARM, "interior point again from its answer")
    yield search.run(x0, 1e-3, "interior point with a smaller first barrier")
    generator = np.random.default_rng(0)
    spread = np.maximum(prepared.scales.x, 1e-3) * 0.1
    for _ in range(2):
        moved = prepared.flat.projected(x0 + spread * generator.standard_normal(x0.size))
        yield search.run(moved, MU_FIRST, "interior point from a moved start")
