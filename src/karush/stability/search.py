"""The search: programs reached by rewrites, kept where they are the most accurate at some point.

A beam search. Of all programs seen, those stay that lower the error of the best choice per point [PS+15]; besides, the
most accurate ones on average, and rewrites that change nothing yet but let others follow.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from karush.stability.evaluate import Points, cost
from karush.stability.moves import Move, Moves
from karush.stability.terms import Graph, Term, order
from karush.stability.ulps import bits_of_error

WIDTH_OF_BEAM = 7
DEPTH = 7
CLEAN_BITS = 0.05
"""mean bits of error below which a search ends: there is nothing left to gain"""


@dataclass(eq=False)
class Candidate:
    """One program and its errors."""

    outputs: tuple[Term, ...]
    errors: np.ndarray
    """bits of error at each sample (M,)"""
    moves: tuple[Move, ...] = ()
    cost: float = 0.0
    mean: float = 0.0


@dataclass(eq=False)
class Judge:
    """Errors of programs at the sample points."""

    points: Points
    exact: Sequence[np.ndarray]
    """exact outputs (N, *shape) in their dtypes"""
    valid: Sequence[np.ndarray] = field(default_factory=list)
    """where exact values are finite and normal, per output (N, *shape)"""

    def errors(self, outputs: Sequence[Term]) -> np.ndarray:
        """Bits of error at all valid samples of all outputs, in one row (M,)."""
        rows = []
        for term, exact, valid in zip(outputs, self.exact, self.valid, strict=True):
            if not term.is_float:
                continue
            values = np.broadcast_to(self.points.values(term), exact.shape)
            rows.append(bits_of_error(np.ascontiguousarray(values[valid]), np.ascontiguousarray(exact[valid])))
        return np.concatenate(rows) if rows else np.zeros(0)


def search(graph: Graph, outputs: Sequence[Term], judge: Judge, seconds: float) -> list[Candidate]:
    """The original program first, then what was found, of which the best per point are kept."""
    moves = Moves(graph)
    end = time.thread_time() + seconds
    first = candidate_of(tuple(outputs), judge, ())
    seen = {tuple(t.number for t in outputs)}
    grouped = [candidate_of(after, judge, done) for done, after in moves.in_groups(outputs)]
    pool = best_together([first, *grouped], 2 * WIDTH_OF_BEAM)
    frontier = list(dict.fromkeys([*pool, first]))
    for _ in range(DEPTH):
        fresh: list[Candidate] = []
        for state in frontier:
            for move, after in moves.of_program(state.outputs):
                key = tuple(t.number for t in after)
                if key in seen:
                    continue
                seen.add(key)
                fresh.append(candidate_of(after, judge, (*state.moves, move)))
                if time.thread_time() > end:
                    break
        if not fresh:
            break
        pool = best_together(pool + fresh, 2 * WIDTH_OF_BEAM)
        if pool[0].mean < CLEAN_BITS or time.thread_time() > end:
            break
        frontier = _next(pool, fresh)
    if first not in pool:
        pool.append(first)
    return pool


def candidate_of(outputs: tuple[Term, ...], judge: Judge, moves: tuple[Move, ...]) -> Candidate:
    """One program with its errors measured."""
    errors = judge.errors(outputs)
    return Candidate(outputs, errors, moves, cost(outputs), float(errors.mean()) if errors.size else 0.0)


def best_together(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """Greedy choice of programs whose best per point is best, the best on average first."""
    ranked = sorted(candidates, key=lambda c: (c.mean + 0.002 * c.cost, c.cost))
    chosen = [ranked[0]]
    lowest = ranked[0].errors
    errors = np.stack([c.errors for c in ranked]) if lowest.size else np.zeros((len(ranked), 0))
    while len(chosen) < count and lowest.size:
        means = np.minimum(errors, lowest).mean(axis=1)
        best = int(np.argmin(means + 1e-6 * np.arange(len(ranked))))
        if means[best] > lowest.mean() - 0.02:
            break
        chosen.append(ranked[best])
        lowest = np.minimum(lowest, errors[best])
    return chosen


def _next(pool: Sequence[Candidate], fresh: Sequence[Candidate]) -> list[Candidate]:
    """What is expanded next: the new ones of the pool, the best on average, and a few small ones that were not yet."""
    new = [c for c in pool if c in fresh]
    by_mean = sorted(fresh, key=lambda c: (c.mean, c.cost))
    by_size = sorted(fresh, key=lambda c: (sum(len(order([t])) for t in c.outputs), c.mean))
    chosen: list[Candidate] = []
    for candidate in new + by_mean[: WIDTH_OF_BEAM // 2] + by_size[: WIDTH_OF_BEAM // 2]:
        if candidate not in chosen:
            chosen.append(candidate)
    return chosen[: 2 * WIDTH_OF_BEAM]


__all__ = ["Candidate", "Judge", "best_together", "candidate_of", "search"]
