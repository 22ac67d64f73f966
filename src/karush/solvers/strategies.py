"""karush's own way to an answer: the interior point, and what is tried when its first answer is no minimum.

1. The interior point from the start.
2. While the certificate shows a better point beside the answer (a saddle, a maximum, a kink): again from there.
3. Newton's method on the active set that the answer suggests.
4. The interior point again: from its answer, without scaling, with a smaller first barrier, from moved starts.
5. SciPy's SLSQP, a different algorithm, from the start.

Every candidate is judged by the same certificate, and the best verdict is returned; a verdict is never argued with.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from karush.backends import slsqp
from karush.backends.answer import BackendAnswer as Answer
from karush.backends.answer import BackendOptions
from karush.certificates import Certificate
from karush.certificates.compiled import GLOBAL, LOCAL, UNCLEAR
from karush.core.status import Status, Verdict
from karush.solvers import active_newton
from karush.solvers.drivers import Packed
from karush.solvers.prepared import Prepared, Tried
from karush.solvers.run import MU_FIRST, Limits, Watch, unpacked, watched
from karush.solvers.run import STATUS as RUN_STATUS
from karush.solvers.start import NO_OBJECTIVE, without_objective
from karush.solvers.state import Data

ESCAPES = 10
"""how often a run goes on from a better point shown by the certificate"""
MU_WARM, MU_SMALL = 1e-4, 1e-6
"""first barrier parameter near an answer; and from a start, for a second try"""
MOVES = (0.1, 1.0)
"""how far starts are moved, in typical sizes of the variables"""
SLSQP_UP_TO = 200
"""variables and rows up to which SLSQP, whose cost is cubic in Python's hands, is tried"""
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
CLEAR_VERDICTS = {LOCAL: Verdict.LOCAL_MINIMUM, GLOBAL: Verdict.GLOBAL_MINIMUM}
SETTLED = Verdict.UNDECIDED
"""From this verdict upwards a point is what it is: where KKT holds and curvature says nothing, as at x⁴ or at a kink,
another run comes back to it."""
ENDS = (Status.TIME_LIMIT, Status.INTERRUPTED, Status.STOPPED)
"""the user's own limits: nothing more is tried"""


@dataclass(frozen=True)
class Candidate:
    """An answer and its certificate."""

    answer: Answer
    certificate: Certificate
    note: str = ""
    values: tuple[float, np.ndarray] | None = None
    """f and c (m,) at the answer, where they are known already"""

    @property
    def rank(self) -> int:
        """0 for a minimum, larger for less; last of all a point where a function has no value."""
        if self.answer.status is Status.EVALUATION_FAILED:
            return len(RANK)
        return RANK[self.certificate.verdict]


class Search:
    """The state of one solve: the best candidate so far, iterations, evaluations and history added up."""

    def __init__(self, prepared: Prepared, tol: float, limits: Limits, driver: str):
        self.prepared, self.tol, self.limits, self.driver = prepared, tol, limits, driver
        self._best: Candidate | None = None
        self._ended = False
        """whether a run met one of the user's own limits"""
        self.iterations = self.evaluations = 0
        self.history: list[dict[str, Any]] = []

    @property
    def best(self) -> Candidate:
        """The best candidate so far; there is one from the first run on."""
        if self._best is None:
            raise RuntimeError("a search has no best candidate before its first run")
        return self._best

    def run(self, x0: np.ndarray, mu: float = MU_FIRST, note: str = "", data: Data | None = None) -> Candidate:
        """The interior point from x0 (n,), judged."""
        prepared = self.prepared
        if self.driver == "fused" and data is None:
            return self.fused(prepared.run_fused(x0, mu, self.limits.max_iterations, self.tol), note)
        answer, watch = self.watched(x0, mu, data or prepared.data(self.tol))
        candidate = self.judge(answer, note)
        unbounded = candidate.certificate.verdict is Verdict.UNBOUNDED
        if answer.status is Status.UNBOUNDED and not unbounded and watch.first_feasible is not None:
            earlier = replace(answer, x=prepared.flat.projected(watch.first_feasible), iterations=0, history=())
            return self.judge(earlier, "the run went out of bounds; this is where it first was feasible")
        return candidate

    def fused(self, packed: Packed, note: str = "") -> Candidate:
        """The answer of the compiled solve, judged."""
        prepared = self.prepared
        status = RUN_STATUS[packed.status]
        counts = packed.iterations, packed.evaluations
        answer = unpacked(prepared.flat, prepared.evaluator, prepared.units, packed.point, status, *counts, [])
        return self.judge(answer, note)

    def watched(self, x0: np.ndarray, mu: float, data: Data) -> tuple[Answer, Watch]:
        """One run of the Python loop."""
        prepared = self.prepared
        watch = Watch(prepared.flat, data, self.limits, self.iterations)
        return watched(prepared.flat, prepared.evaluator, prepared.layout, data, x0, mu=mu, watch=watch), watch

    def judge(self, answer: Answer, note: str = "") -> Candidate:
        """Certify an answer, and keep it if it is the best so far."""
        sequence = answer.x[None] if answer.status is Status.UNBOUNDED else None
        certificate = self.prepared.judged(answer.x, answer.y, answer.z, self.tol, sequence=sequence)
        self.iterations += answer.iterations
        self.evaluations += answer.evaluations
        self.history.extend(answer.history)
        self._ended = self._ended or answer.status in ENDS
        candidate = Candidate(answer, certificate, note)
        if self._best is None or candidate.rank < self._best.rank:
            self._best = candidate
        return candidate

    @property
    def over(self) -> bool:
        """Whether nothing more is to be tried."""
        late = time.perf_counter() > self.limits.deadline
        return self.best.rank <= RANK[SETTLED] or self._ended or late


def solve(prepared: Prepared, x0: np.ndarray, *, tol: float, limits: Limits, driver: str) -> Candidate:
    """The best judged answer from x0 (n,), within the bounds."""
    search = Search(prepared, tol, limits, driver)
    if driver == "fused":
        packed = prepared.run_fused(x0, MU_FIRST, limits.max_iterations, tol)
        if packed.verdict != UNCLEAR:
            return _clear(prepared, packed, tol)
        candidate = search.fused(packed)
    else:
        candidate = search.run(x0)
    start = x0.tobytes(), tol, limits.max_iterations
    tried = prepared.tried if driver == "fused" else None
    if tried is not None and tried.start == start:
        # The attempt that gave the best answer last time; if it gives it again, the others have nothing to add.
        _take(search, candidate, x0, lambda number: number == tried.helped)
        if search.best.rank <= tried.rank:
            return total(search)
    helped = _take(search, candidate, x0, lambda number: True)
    prepared.tried = Tried(start, helped, search.best.rank)
    return total(search)


def _take(search: Search, first: Candidate, x0: np.ndarray, wanted: Callable[[int], bool]) -> int | None:
    """Try in turn the attempts whose number is `wanted`, and answer the number of the one that gave the best answer."""
    helped: int | None = None
    for number, step in enumerate(_steps(search, first, x0)):
        # The first step is for an answer that is settled but open.
        if number and search.over:
            break
        best = search.best
        if wanted(number):
            step()
        if search.best is not best:
            helped = number
    return helped


def _steps(search: Search, first: Candidate, x0: np.ndarray) -> Iterator[Callable[[], Any]]:
    def follow(attempt: Callable[[Search], Candidate | None]) -> None:
        search.driver = "python"
        further = attempt(search)
        if further is not None:
            escape(search, further)

    # The sharper active set of an exact KKT point may decide what an approximate one leaves open.
    yield lambda: polished(search) if search.best.certificate.verdict is Verdict.STATIONARY else None
    yield lambda: escape(search, first)
    for attempt in attempts(search.prepared, x0):
        yield lambda attempt=attempt: follow(attempt)


def total(search: Search) -> Candidate:
    """The best candidate, with the effort of all."""
    best = search.best
    unbounded = best.certificate.verdict is Verdict.UNBOUNDED and best.answer.status not in ENDS
    status = Status.UNBOUNDED if unbounded else best.answer.status
    totals = replace(
        best.answer,
        status=status,
        iterations=search.iterations,
        evaluations=search.evaluations,
        history=tuple(search.history),
    )
    return replace(best, answer=totals)


def _clear(prepared: Prepared, packed: Packed, tol: float) -> Candidate:
    """The answer of a compiled solve that has its verdict already."""
    answer = Answer(
        x=packed.x,
        y=packed.y,
        z=packed.z,
        status=RUN_STATUS[packed.status],
        message="",
        iterations=packed.iterations,
        evaluations=packed.evaluations,
    )
    certificate = prepared.deferred(CLEAR_VERDICTS[packed.verdict], packed.x, packed.y, packed.z, tol)
    return Candidate(answer, certificate, values=(packed.value, packed.rows))


def improve(prepared: Prepared, answer: Answer, *, tol: float, limits: Limits) -> Candidate:
    """A backend's answer judged, and polished where it is not certified."""
    search = Search(prepared, tol, limits, "python")
    search.judge(answer)
    if not search.over:
        polished(search)
    return search.best


def escape(search: Search, candidate: Candidate) -> None:
    """Go on from the better points that the certificate shows."""
    for _ in range(ESCAPES):
        witness = candidate.certificate.witness
        if candidate.certificate.verdict is not Verdict.NOT_A_MINIMUM or witness is None or search.over:
            return
        candidate = search.run(witness["x_flat"], MU_WARM, "went on from a better point beside a stationary one")


def attempts(prepared: Prepared, x0: np.ndarray) -> Iterator[Callable[[Search], Candidate | None]]:
    """What is tried in turn, each a different idea."""
    yield polished
    yield lambda s: feasible_first(s, x0)
    yield lambda s: s.run(s.best.answer.x, MU_WARM, "interior point again from its answer")
    yield lambda s: s.run(x0, MU_FIRST, "interior point without scaling", prepared.unscaled(s.tol))
    yield lambda s: s.run(x0, MU_SMALL, "interior point with a smaller first barrier")
    if x0.size + prepared.flat.m <= SLSQP_UP_TO:
        yield lambda s: other_algorithm(s, x0)
    generator = np.random.default_rng(0)
    for distance in MOVES:
        move = distance * prepared.scales.x * generator.standard_normal(x0.size)
        moved = prepared.flat.projected(x0 + move)
        yield lambda s, moved=moved: s.run(moved, MU_FIRST, "interior point from a moved start")


def polished(search: Search) -> Candidate | None:
    """Newton's method on the active set, from the best answer so far."""
    prepared = search.prepared
    answer = active_newton.polish(prepared.flat, prepared.evaluator, prepared.scales, search.best.answer, search.tol)
    return None if answer is None else search.judge(answer, "polished by Newton's method on the active set")


def feasible_first(search: Search, x0: np.ndarray) -> Candidate | None:
    """A feasible point without regard to the objective, which may have led astray, and the minimum from there.

    Where the best answer so far is feasible there is nothing to do.
    """
    if not search.best.certificate.violated:
        return None
    prepared = search.prepared
    data = without_objective(prepared.data(search.tol))
    answer, _ = search.watched(x0, MU_FIRST, data)
    answer = replace(answer, y=answer.y / NO_OBJECTIVE, z=answer.z / NO_OBJECTIVE)
    note = "the constraints alone, after a run that they did not stop"
    if answer.status is Status.INFEASIBLE:
        return search.judge(answer, note)
    return search.run(answer.x, MU_WARM, "interior point from a feasible point")


def other_algorithm(search: Search, x0: np.ndarray) -> Candidate | None:
    """SLSQP from the start, and Newton's method on its active set."""
    prepared, limits = search.prepared, search.limits
    left = limits.deadline - time.perf_counter()
    options = BackendOptions(
        tol=search.tol,
        max_iterations=limits.max_iterations,
        time_limit=left if np.isfinite(left) else None,
        callback=limits.callback,
    )
    answer = slsqp.solve(prepared.flat, prepared.evaluator, x0, None, None, options)
    candidate = search.judge(answer, "by SciPy's SLSQP, after the interior point")
    if search.over:
        return candidate
    again = active_newton.polish(prepared.flat, prepared.evaluator, prepared.scales, answer, search.tol)
    return candidate if again is None else search.judge(again, "by SciPy's SLSQP and Newton's method on its active set")
