"""The derivative of a repaired function: that of the repaired program where it is accurate, else one made accurate.

```
g = repaired f,    dg_i = sum_j (accurate df_i/dx_j) dx_j
```

The partial derivatives are a program like any other. Where those that JAX takes of the repaired program are found
inaccurate against their exact values, they are computed in other ways: with softmax and its relatives as a whole, from
inputs to outputs instead of backwards, in floats with an exponent of their own, repaired by rewrites, with twice the
digits; the first good way, or the best one, becomes the derivative rule. Functions of several outputs are also judged
by the gradient of their sum, in which derivatives may cancel that are accurate each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from karush.arithmetic.twofold import compensated, far_reaching
from karush.core.errors import TraceError
from karush.stability.compensation import LARGEST, equations
from karush.stability.contraction import product
from karush.stability.evaluate import emit
from karush.stability.jacobians import Run, backward, forward, moved, reals, ruled, twofold_matrix, with_sum
from karush.stability.kernels import with_kernels
from karush.stability.repair import Sample, Traced, repair, take_sample
from karush.stability.rows import Row
from karush.stability.terms import Graph, read

GOOD_MEAN = 1.0
"""mean bits of error of a derivative that is left as it is"""
LEAST_GAIN = 0.5
"""mean bits that a rule of its own must save"""
WORSE = 0.5
"""mean bits that a rule may cost in the partial derivatives, or in the gradient of the sum, if it helps the other"""
MOST_PARTIALS = 256
"""entries of a Jacobian up to which it is looked at: its rule computes all of them"""
LARGEST_FAR = 6 * LARGEST
"""operations of a program whose numbers have an exponent of their own, which compile faster than twofold ones"""
LARGEST_DERIVED = 2 * LARGEST
"""operations of the derivative of a repaired program up to which it is compiled at all: that of a compensated program
can be some ten times as long as the program, and take XLA minutes"""
OWN_RULE = Row("derivative with a rule of its own", "", "", "Hig02")


@dataclass(frozen=True, eq=False)
class Slope:
    """The outputs of a program that have derivatives, and the exact ones."""

    program: Traced
    real: tuple[int, ...]
    """indices of the outputs of the program's dtype"""
    sample: Sample
    """partial derivatives, then, of several outputs, the gradient of their sum"""

    @property
    def inputs(self) -> int:
        """How many arrays the program takes."""
        return len(self.program.closed.in_avals)

    @property
    def several(self) -> bool:
        """Whether there is a sum of outputs."""
        return len(self.sample.exact) > len(self.real) * self.inputs

    def errors(self, judged: Run) -> np.ndarray:
        """Mean bits of error of the partial derivatives, and of the gradient of the sum, as `judged` computes them."""
        sample, partials = self.sample, len(self.real) * self.inputs
        computed = jax.jit(jax.vmap(lambda *given: tuple(judged(*given)[: len(sample.exact)])))(*sample.columns)
        parts = (slice(None, partials), slice(partials, None))
        return np.asarray(
            [_mean(Sample(sample.columns, sample.exact[p], sample.valid[p]).apart(computed[p])) for p in parts]
        )


@dataclass(frozen=True, eq=False)
class Way:
    """A derivative rule, and what it makes of the partial derivatives and of the gradient of the sum."""

    run: Run
    judged: Run


def _mean(bits: np.ndarray) -> float:
    """Mean bits of error; none where there is no point to compare at."""
    return float(bits.mean()) if bits.size else 0.0


def accurate_slope(program: Traced, repaired: Run | None, *, plain: bool = True, seed: int = 1) -> Run | None:
    """The program with an accurate derivative; None where it has one, or its Jacobian is too large to be looked at.

    repaired
        what stands for the program; None where that was left alone.
    plain
        whether that runs in floats, and not in twofold numbers: only then it is a start for derivatives.
    """
    avals, outputs = program.closed.in_avals, program.closed.out_avals
    real = tuple(index for index, out in enumerate(outputs) if out.dtype == program.dtype)
    size = sum(int(np.prod(aval.shape)) for aval in avals)
    if not real or size * sum(int(np.prod(outputs[index].shape)) for index in real) > MOST_PARTIALS:
        return None
    original = jaxpr_as_fun(program.closed)
    run = original if repaired is None else repaired
    meaning = _traced(program, with_sum(original, real, len(avals)))
    slope = Slope(program, real, take_sample(meaning, np.random.default_rng(seed)))
    if not any(ok.any() for ok in slope.sample.valid):
        return None
    derived = with_sum(run, real, len(avals))
    # A derivative that takes too long to compile is replaced by the best there is.
    before = slope.errors(derived) if _traceable(derived, program, LARGEST_DERIVED) else np.full(2, np.inf)
    if before.max() <= GOOD_MEAN:
        return None
    plain_program = _with_rules(program, repaired if plain else None)
    cancels = before[0] <= GOOD_MEAN
    ways = _exact_ways(slope, run, plain_program) if cancels else _ways(slope, run, plain_program, seed)
    best, found = before.max() - LEAST_GAIN, None
    for way in chain(_with_kernels(slope, run), ways):
        after = slope.errors(way.judged)
        if after.max() < best and (after <= before + WORSE).all():
            best, found = after.max(), way.run
        if best <= GOOD_MEAN:
            break
    return found


def _with_kernels(slope: Slope, run: Run) -> Iterator[Way]:
    """`run` with the derivative of the original, softmax and its relatives in it taken as a whole."""
    program, real, count = slope.program, slope.real, slope.inputs
    graph = Graph(program.dtype)
    whole = with_kernels(graph, read(graph, program.closed)[1])
    if whole is not None:
        outputs = reals(whole, real)
        moves = lambda primals, tangents: jax.jvp(lambda *x: outputs(*x), tuple(primals), tuple(tangents))[1]  # noqa: E731
        yield Way(ruled(run, moves, real), with_sum(whole, real, count))


def _ways(slope: Slope, run: Run, plain: Run, seed: int) -> Iterator[Way]:
    """`run` with one derivative rule after the other, the cheapest first."""
    program, real, count = slope.program, slope.real, slope.inputs
    onwards, back = forward(plain, real, count), backward(plain, real, count)
    for partials in (onwards, back):
        yield _with_rule(run, partials, real, count)
    if slope.several:
        yield from _exact_ways(slope, run, plain)
    for partials in (onwards, back):
        if _traceable(far_reaching(partials), program, LARGEST_FAR):
            yield _with_rule(run, far_reaching(partials), real, count)
    meaning = _traced(program, backward(jaxpr_as_fun(program.closed), real, count))
    for start in (_traced(program, back), meaning):
        found = repair(start, seed=seed, meaning=meaning)
        if found.run is not None:
            yield _with_rule(run, found.run, real, count)
            if not found.compensated and _traceable(far_reaching(found.run), program, LARGEST_FAR):
                yield _with_rule(run, far_reaching(found.run), real, count)


def _exact_ways(slope: Slope, run: Run, plain: Run) -> Iterator[Way]:
    """Rules that make good what cancels in products with a Jacobian; one number has none."""
    program, real, count = slope.program, slope.real, slope.inputs
    if slope.several:
        for partials in (forward(plain, real, count), backward(jaxpr_as_fun(program.closed), real, count)):
            if _traceable(compensated(partials), program, LARGEST):
                yield _with_exact_products(run, partials, real, program)


def _traceable(partials: Run, program: Traced, most: int) -> bool:
    """Whether a program in another number system exists, and compiles in a few seconds."""
    try:
        return equations(jax.make_jaxpr(partials)(*program.closed.in_avals).jaxpr) <= most
    except TraceError:
        return False


def _with_rules(program: Traced, repaired: Run | None) -> Run:
    """The repaired program; the original, if it is left alone, with the derivative rules of our operations."""
    if repaired is not None:
        return repaired
    graph = Graph(program.dtype)
    return emit(read(graph, program.closed)[1])


def _traced(program: Traced, partials: Run) -> Traced:
    return Traced(jax.make_jaxpr(partials)(*program.closed.in_avals), program.lows, program.highs, program.dtype)


def _with_rule(run: Run, partials: Run, real: Sequence[int], count: int) -> Way:
    """`run` with its partial derivatives as rule."""

    def moves(primals: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        blocks = partials(*primals)
        rows = [blocks[row * count : (row + 1) * count] for row in range(len(real))]
        steps = [[moved(part, tangent) for part, tangent in zip(row, tangents, strict=True)] for row in rows]
        return [sum(step[1:], start=step[0]) for step in steps]

    def judged(*given: Any) -> tuple[Any, ...]:
        blocks = partials(*given)
        sums = [
            sum(jnp.sum(block, axis=tuple(range(jnp.ndim(block) - jnp.ndim(x)))) for block in blocks[k::count])
            for k, x in enumerate(given)
        ]
        return (*blocks, *sums)

    return Way(ruled(run, moves, real), judged)


def _with_exact_products(run: Run, partials: Run, real: Sequence[int], program: Traced) -> Way:
    """`run` with a rule of twice the digits: its Jacobian, and the products with it."""
    avals, outputs = program.closed.in_avals, program.closed.out_avals
    shapes = [outputs[index].shape for index in real]
    matrix = twofold_matrix(partials, [int(np.prod(shape)) for shape in shapes], avals)
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    widths = np.cumsum([int(np.prod(aval.shape)) for aval in avals])[:-1]

    def moves(primals: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        hi, lo = matrix(*primals)
        steps = product(hi, lo, jnp.concatenate([jnp.ravel(tangent) for tangent in tangents]))
        return [jnp.reshape(part, shape) for part, shape in zip(jnp.split(steps, ends), shapes, strict=True)]

    def judged(*given: Any) -> tuple[Any, ...]:
        hi, lo = matrix(*given)
        sums = product(hi.T, lo.T, jnp.ones(hi.shape[0], hi.dtype))
        bands = [jnp.split(band, widths, axis=1) for band in jnp.split(hi, ends)]
        blocks = [
            jnp.reshape(part, (*shape, *aval.shape))
            for shape, band in zip(shapes, bands, strict=True)
            for part, aval in zip(band, avals, strict=True)
        ]
        return (*blocks, *[jnp.reshape(s, a.shape) for s, a in zip(jnp.split(sums, widths), avals, strict=True)])

    return Way(ruled(run, moves, real), judged)


__all__ = ["OWN_RULE", "accurate_slope"]
