"""A method's way to a certified answer, and what ``method="auto"`` does for problems without constraint rows.

1. The method from the start.
2. While the certificate shows a better point beside the answer (a saddle, a maximum): again from there.
3. For ``"auto"`` only, while no minimum is certified: the other ideas of `attempts`.

A small problem that is solved once starts with the interior point, whose NumPy loop needs no compilation, and goes on
with these methods where it certifies nothing (`solve_once`).

Every candidate is judged by the same certificate, and the best verdict is returned.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

import numpy as np

from karush.backends.answer import BackendAnswer
from karush.core.status import Status, Verdict
from karush.derivatives.large import DENSE_UP_TO, LargeEvaluator
from karush.solvers import strategies
from karush.solvers.prepared import Prepared, Tried
from karush.solvers.run import Limits
from karush.solvers.strategies import ESCAPES, Candidate, Search
from karush.unconstrained import drive, fused
from karush.unconstrained.lbfgs import LBFGS
from karush.unconstrained.method import Method
from karush.unconstrained.newton import Newton
from karush.unconstrained.newton_cg import NewtonCG

MOVES = (0.1, 1.0)
"""how far starts are moved, in typical sizes of the variables"""
CONTINUED = 4
"""runs that go on from where the iteration limit ended the first one, as long as the objective falls"""
INTERIOR_UP_TO = 300
"""variables up to which the interior point, whose systems are dense, is worth a second idea"""


def choose(parts: Prepared, driver: str) -> tuple[Method, str] | None:
    """The method that ``"auto"`` takes and why; None where that is the interior point, or a backend."""
    flat = parts.flat
    if flat.m:
        return None
    bounded = bool(np.any(np.isfinite(flat.lower) | np.isfinite(flat.upper)))
    limits = "bounds alone" if bounded else "no constraints"
    if isinstance(parts.evaluator, LargeEvaluator):
        size = f"{flat.n} variables and {limits}"
        if flat.n <= DENSE_UP_TO:
            return NewtonCG(), f"{size}, with a sparse Hessian: products with it are cheaper than its factors."
        return NewtonCG(), f"{size}: Newton's method by products, for no matrix of this order is formed."
    if driver == "python" and flat.n <= INTERIOR_UP_TO:
        return None
    return Newton(), f"{flat.n} variables and {limits}: the exact Hessian is small enough to be factorized."


def solve(
    parts: Prepared, method: Method, x0: np.ndarray, *, tol: float, limits: Limits, driver: str, auto: bool
) -> Candidate:
    """The best judged answer of `method` from x0 (n,), within the bounds; of further ideas too if `auto`."""
    if ("checked", method) not in parts.compiled:
        method.check(parts.flat)
        parts.compiled["checked", method] = True
    quick: BackendAnswer | Candidate | None = None
    if driver == "fused" and isinstance(method, Newton):
        quick = fused.quick(method, parts, x0, max_iterations=limits.max_iterations, tol=tol)
        if isinstance(quick, Candidate):
            return quick
    search = Search(parts, tol, limits, driver)
    _escaped(search, method, _run(search, method, x0) if quick is None else search.judge(quick))
    start = method.name.encode() + x0.tobytes(), tol, limits.max_iterations
    tried = parts.tried if driver == "fused" and auto else None
    if tried is not None and tried.start == start and not search.over:
        # The attempt that gave the best answer last time; if it gives it again, the others have nothing to add.
        _take(search, method, x0, auto, lambda number: number == tried.helped)
        # An attempt by the interior point leaves its own.
        parts.tried = tried
        if search.best.rank <= tried.rank:
            return _valued(parts, strategies.total(search))
    helped = _take(search, method, x0, auto, lambda number: True)
    if auto:
        parts.tried = Tried(start, helped, search.best.rank)
    return _valued(parts, strategies.total(search))


def _valued(parts: Prepared, candidate: Candidate) -> Candidate:
    """`candidate` with the value that its certificate has measured: to the last bit, for its unit is a power of two."""
    point = candidate.certificate.evidence.point
    if candidate.values is not None or point is None:
        return candidate
    return replace(candidate, values=(point.value * parts.scales.f, np.zeros(0)))


def _take(search: Search, method: Method, x0: np.ndarray, auto: bool, wanted: Callable[[int], bool]) -> int | None:
    """Try in turn the attempts whose number is `wanted`; the number of the one that gave the best answer."""
    polish: list[Attempt] = [strategies.polished] if search.prepared.flat.n <= DENSE_UP_TO else []
    helped = None
    # Drawn one by one: to move a start of many variables takes as long as an iteration.
    for number, attempt in enumerate(chain(polish, attempts(search.prepared, method, x0) if auto else ())):
        if search.over:
            break
        best = search.best
        if wanted(number):
            attempt(search)
        if search.best is not best:
            helped = number
    return helped


def compile_fused(parts: Prepared, method: Method, tol: float) -> None:
    """Compile the method's solve into one program; later fused solves run it."""
    x0 = parts.flat.projected(parts.flat.x0)
    if not isinstance(method, Newton) or fused.quick(method, parts, x0, max_iterations=0, tol=tol) is None:
        drive.run(method, parts, x0, Limits(max_iterations=0), tol, "fused")


def solve_once(parts: Prepared, x0: np.ndarray, *, tol: float, limits: Limits) -> Candidate:
    """The best judged answer of the interior point and, where that settles nothing, of Newton's method and others."""
    first = strategies.solve(parts, x0, tol=tol, limits=limits, driver="python")
    if parts.flat.m or isinstance(parts.evaluator, LargeEvaluator):
        return first
    if first.rank <= strategies.RANK[strategies.SETTLED] or first.answer.status in strategies.ENDS:
        return first
    search = Search(parts, tol, limits, "python")
    search.judge(first.answer, first.note)
    newton = Newton()
    for attempt in (_by(newton, x0, "Newton's method after the interior point"), *_others(parts, newton, x0)):
        if search.over:
            break
        attempt(search)
    return strategies.total(search)


Attempt = Callable[[Search], object]
WORDS = {"newton": "Newton's method", "newton-cg": "Newton's method by conjugate gradients", "l-bfgs": "L-BFGS"}


def attempts(parts: Prepared, first: Method, x0: np.ndarray) -> Iterator[Attempt]:
    """What is tried in turn, each a different idea."""
    yield lambda search: _continued(search, first)
    if parts.flat.n <= INTERIOR_UP_TO:
        yield lambda search: _interior_point(search, x0)
    yield from _others(parts, first, x0)


def _others(parts: Prepared, first: Method, x0: np.ndarray) -> Iterator[Attempt]:
    others: list[Method] = [LBFGS(), NewtonCG(), *([Newton()] if parts.flat.n <= INTERIOR_UP_TO else [])]
    for other in others:
        if other != first:
            yield _by(other, x0, f"{WORDS[other.name]} after {WORDS[first.name]}")
            yield lambda search: _by(first, search.best.answer.x, f"{WORDS[first.name]} from there")(search)
    generator = np.random.default_rng(0)
    for distance in MOVES:
        moved = parts.flat.projected(x0 + distance * parts.scales.x * generator.standard_normal(x0.size))
        yield _by(first, moved, f"{WORDS[first.name]} from a moved start")


def _by(method: Method, x0: np.ndarray, note: str) -> Attempt:
    return lambda search: _escaped(search, method, _run(search, method, x0, note))


def _run(search: Search, method: Method, x0: np.ndarray, note: str = "") -> Candidate:
    answer = drive.run(method, search.prepared, x0, search.limits, search.tol, search.driver)
    shifted = tuple({**row, "iteration": row["iteration"] + search.iterations} for row in answer.history)
    return search.judge(replace(answer, history=shifted), note)


def _escaped(search: Search, method: Method, candidate: Candidate) -> Candidate:
    """Go on from the better points that the certificate shows."""
    for _ in range(ESCAPES):
        witness = candidate.certificate.witness
        if candidate.certificate.verdict is not Verdict.NOT_A_MINIMUM or witness is None or search.over:
            break
        x = search.prepared.flat.projected(witness["x_flat"])
        candidate = _run(search, method, x, "went on from a better point beside a stationary one")
    return candidate


def _continued(search: Search, method: Method) -> None:
    """Go on where the iteration limit, and nothing else, ended the first run."""
    answer, value = search.best.answer, np.inf
    for _ in range(CONTINUED):
        before, value = value, search.prepared.evaluator.values(answer.x)[0]
        if answer.status is not Status.ITERATION_LIMIT or not value < before or search.over:
            return
        note = "went on from where the iteration limit ended the first run"
        answer = _escaped(search, method, _run(search, method, answer.x, note)).answer


def _interior_point(search: Search, x0: np.ndarray) -> None:
    """karush's interior point with all that it tries; its best answer is judged again with the others."""
    limits = replace(search.limits, callback=None)
    found = strategies.solve(search.prepared, x0, tol=search.tol, limits=limits, driver="python")
    if found.rank < search.best.rank or found.answer.status is Status.UNBOUNDED:
        search.judge(replace(found.answer, history=()), "by the interior point, after Newton's method")
