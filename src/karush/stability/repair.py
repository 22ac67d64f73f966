"""One traced program made accurate: search, branches, compensated arithmetic; the choice is measured under jit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.extend.core import jaxpr_as_fun

from karush.stability.branches import branched
from karush.stability.compensation import compensated_programs
from karush.stability.evaluate import Points, emit
from karush.stability.guard import kept_defined
from karush.stability.moves import Move
from karush.stability.operations import ELEMENTWISE, FUNCTION
from karush.stability.own_rules import goes_backward_only
from karush.stability.points import is_normal, spread
from karush.stability.search import Candidate, Judge, search
from karush.stability.terms import Graph, Term, order, read
from karush.stability.truth import exact_values
from karush.stability.ulps import bits_of_error

POINTS = 256
LARGEST_SAMPLE = 1 << 12
"""numbers in all inputs, or in all outputs, of all sample points"""
LEAST_POINTS = 16
ALONE_MEAN, ALONE_TAIL = 0.35, 3.0
"""mean and 99th percentile of the bits of error up to which a program is left alone"""
GOOD_MEAN = 1.5
"""mean bits up to which no compensated arithmetic is tried: it costs ten times the time"""
LARGEST_COMPENSATED, MOST_FUNCTIONS = 100, 6
"""terms, and elementary functions among them, of a program that compensated arithmetic is tried on"""
MOST_WIDE, LARGEST_WIDE = 8, 32
"""numbers in the outputs, and terms of a program, up to which compensated arithmetic is tried in its wide form too: it
has about a hundred operations for one and is slow to trace and to compile"""
LEAST_GAIN = 0.15
"""mean bits that a change must save"""
MUCH = 0.5
"""part of the error that compensated arithmetic may leave where it does not make the program good: it is dear"""
RESCUED = 8.0
"""bits by which the largest error must fall for a change that saves less on average"""
WORSE = 0.5
"""bits by which no part of the range may become worse"""
REGIONS = 8
MOST_TRIED = 3
"""candidates that are compiled and measured"""
SECONDS = 0.8
"""of the processor's time, the longest search; most end much earlier, for want of anything left to gain"""


@dataclass(frozen=True, eq=False)
class Traced:
    """A program, and where its inputs lie."""

    closed: Any
    lows: Sequence[np.ndarray]
    highs: Sequence[np.ndarray]
    dtype: np.dtype

    def batched(self, count: int) -> Any:
        """The program over `count` points, axis 0 of every input."""
        run = jaxpr_as_fun(self.closed)
        return jax.make_jaxpr(jax.vmap(lambda *given: tuple(run(*given))))(
            *[jax.ShapeDtypeStruct((count, *v.aval.shape), v.aval.dtype) for v in self.closed.jaxpr.invars]
        )


@dataclass(frozen=True, eq=False)
class Sample:
    """Points with their exact values."""

    columns: list[np.ndarray]
    exact: list[np.ndarray]
    valid: list[np.ndarray]
    """where the exact value is finite and normal"""

    def errors(self, run: Callable[..., Any]) -> np.ndarray:
        """Bits of error of a JAX function under jit, in one row."""
        return self.apart(jax.jit(jax.vmap(lambda *given: tuple(run(*given))))(*self.columns))

    def apart(self, computed: Sequence[Any]) -> np.ndarray:
        """Bits of error of outputs at the points, in one row."""
        rows = [
            bits_of_error(np.asarray(c)[ok], e[ok])
            for c, e, ok in zip(computed, self.exact, self.valid, strict=True)
            if e.dtype.kind == "f"
        ]
        return np.concatenate(rows) if rows else np.zeros(0)


@dataclass(frozen=True, eq=False)
class Repaired:
    """What became of a program."""

    run: Callable[..., Any] | None
    """flat inputs to flat outputs; None where the program is left alone"""
    outputs: tuple[Term, ...]
    moves: tuple[Move, ...]
    graph: Graph | None
    before: float
    after: float
    compensated: bool = False
    """whether the program runs in twofold arithmetic"""
    known: bool = True
    """False if exact values could not be computed, so that nothing was measured"""


def take_sample(program: Traced, rng: np.random.Generator) -> Sample:
    """Points of the box by bit pattern, and the exact outputs there."""
    numbers = [low.shape for low in program.lows], [out.shape for out in program.closed.out_avals]
    size = max(sum(int(np.prod(shape)) for shape in shapes) for shapes in numbers)
    count = int(np.clip(LARGEST_SAMPLE // max(size, 1), LEAST_POINTS, POINTS))
    columns = [
        spread(low, high, count, program.dtype, rng) for low, high in zip(program.lows, program.highs, strict=True)
    ]
    exact = exact_values(program.batched, columns)
    valid = [is_normal(e) if e.dtype.kind == "f" else np.ones(e.shape, bool) for e in exact]
    return Sample(columns, exact, valid)


def repair(program: Traced, *, seed: int = 0, meaning: Traced | None = None) -> Repaired:
    """The program made accurate on its box, or left alone; its exact values are those of `meaning`, if given."""
    rng = np.random.default_rng(seed)
    learn, check = (take_sample(program if meaning is None else meaning, rng) for _ in range(2))
    original = jaxpr_as_fun(program.closed)
    if not any(ok.any() for ok, e in zip(check.valid, check.exact, strict=True) if e.dtype.kind == "f"):
        return Repaired(None, (), (), None, float("nan"), float("nan"), known=False)
    before = check.errors(original)
    alone = Repaired(None, (), (), None, float(before.mean()), float(before.mean()))
    if before.mean() <= ALONE_MEAN and np.quantile(before, 0.99) <= ALONE_TAIL:
        return alone
    graph = Graph(program.dtype)
    inputs, outputs = read(graph, program.closed)
    judge = Judge(Points(learn.columns), learn.exact, learn.valid)
    pool = search(graph, outputs, judge, SECONDS)
    found = _by_merit(graph, pool, judge, inputs)
    ends = program.lows, program.highs
    found = [replace(c, outputs=kept_defined(graph, outputs, c.outputs, c.moves, *ends)) for c in found[:MOST_TRIED]]
    best = _first_good(found, check, before)
    lost = alone.before if best is None else best.after
    lanes_lost = best is None and np.quantile(before, 0.99) > RESCUED
    # Derivatives of compensated programs are taken forwards.
    if (lost > GOOD_MEAN or lanes_lost) and _is_small(outputs) and not goes_backward_only(program.closed):
        best = _with_twice_the_digits(program, found[0], best, check, before)
    return alone if best is None else replace(best, graph=graph)


def _is_small(outputs: Sequence[Term]) -> bool:
    """Whether tracing the program in compensated arithmetic takes less than a second or so."""
    terms = order(outputs)
    functions = [t for t in terms if t.op in ELEMENTWISE and ELEMENTWISE[t.op].cost >= FUNCTION]
    return len(terms) <= LARGEST_COMPENSATED and len(functions) <= MOST_FUNCTIONS


def _with_twice_the_digits(
    program: Traced, found: Candidate, best: Repaired | None, check: Sample, before: np.ndarray
) -> Repaired | None:
    """The better of `best` and the compensated programs: of the original, and of the most accurate rewritten one."""
    programs: list[Callable[..., Any]] = [jaxpr_as_fun(program.closed)]
    rewrites: list[tuple[Move, ...]] = [()]
    if found.moves:
        programs.append(emit(found.outputs))
        rewrites.append(found.moves)
    wide_too = (
        sum(int(np.prod(out.shape)) for out in program.closed.out_avals) <= MOST_WIDE
        and max(len(order(found.outputs)), len(program.closed.jaxpr.eqns)) <= LARGEST_WIDE
    )
    for index, run in compensated_programs(programs, program.closed.in_avals, wide_too=wide_too):
        after = check.errors(run)
        lost = before.mean() if best is None else best.after
        limit = min(lost - LEAST_GAIN, max(GOOD_MEAN, MUCH * before.mean()))
        if after.mean() < limit and not _worse_somewhere(check, before, after):
            best = Repaired(run, (), rewrites[index], None, float(before.mean()), float(after.mean()), compensated=True)
            if best.after <= GOOD_MEAN:
                break
    return best


def _by_merit(graph: Graph, pool: Sequence[Candidate], judge: Judge, inputs: Sequence[Term]) -> list[Candidate]:
    """Candidates and their best combination, the most accurate first, of equals the cheapest."""
    both = branched(graph, pool, judge, inputs)
    every = [*pool, both] if both is not None else list(pool)
    return sorted(every, key=lambda c: (round(c.mean / 0.08), c.cost))


def _first_good(found: Sequence[Candidate], check: Sample, before: np.ndarray) -> Repaired | None:
    """The first candidate that is better on fresh points, under jit, and worse nowhere."""
    for candidate in found:
        if not candidate.moves:
            continue
        run = emit(candidate.outputs)
        after = check.errors(run)
        gain = before.mean() - after.mean()
        rescued = gain >= 0.0 and after.max() <= before.max() - RESCUED
        if (gain >= LEAST_GAIN or rescued) and not _worse_somewhere(check, before, after):
            return Repaired(run, candidate.outputs, candidate.moves, None, float(before.mean()), float(after.mean()))
    return None


def _worse_somewhere(sample: Sample, before: np.ndarray, after: np.ndarray) -> bool:
    """Whether the mean error rises by more than `WORSE` bits on some slab of the box."""
    lanes = np.concatenate(
        [
            np.broadcast_to(np.arange(len(ok)).reshape(-1, *[1] * (ok.ndim - 1)), ok.shape)[ok]
            for ok, e in zip(sample.valid, sample.exact, strict=True)
            if e.dtype.kind == "f"
        ]
    )
    for column in sample.columns:
        if column.ndim != 1:
            continue
        rank = np.argsort(np.argsort(column))[lanes]
        for region in range(REGIONS):
            inside = rank * REGIONS // len(column) == region
            if inside.any() and after[inside].mean() > before[inside].mean() + WORSE:
                return True
    return False


__all__ = ["Repaired", "Traced", "repair"]
