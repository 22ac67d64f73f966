"""Does any enclosure leave out a true value? Millions of points on hundreds of functions, value, gradient and Hessian.

    python -m benchmarks.soundness [--functions N] [--samples S] [--only TEXT]

At least half of the functions come from a seeded grammar (`benchmarks.grammar`), the rest are JAX's own functions,
losses and classical test functions. Intervals run compiled, on boxes of radius 1e-6 to 1 of the domain, on boxes of a
few ulps, and on points. The compiled float64 value of every sample is compared with the ends of its box; every sample
that lies outside, every one near an end up to `MOST_CHECKED`, and random ones are evaluated in ball arithmetic of 160
bits, exactly at that point: only that decides. Samples are random points, corners, and corners moved by an ulp. Balls
of whole boxes must hold the balls of points in them.
"""

import argparse
import json
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flint import arb, ctx

from benchmarks.grammar import HIGH, LOW, generate
from benchmarks.paths import portable
from benchmarks.soundness_library import library
from benchmarks.state import commit
from karush.arithmetic.ball import BallProgram, Undecided
from karush.arithmetic.ball_numbers import around, balls
from karush.arithmetic.interval import IntervalProgram, enter
from karush.arithmetic.interval_jet_rules import JetProgram
from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.jaxprs.primal import primal

FOLDER = Path(__file__).parent / "results"
BOXES, THIN = 48, 16
SHOWN = 90
"""characters of a refusal that are kept"""
SAMPLES = 700
PRECISION = 160
NEAR = 1e-9
"""distance to an end, relative to the size of the value, from which a sample is checked exactly"""
MOST_CHECKED, RANDOM_CHECKED = 60, 34
"""samples near an end, and random ones, that are evaluated exactly, per function and order of derivative"""
PARTS = ("value", "gradient", "Hessian", "gradient by its program")
Case = tuple[Callable[[Any], Any], int, float, float]


@dataclass
class Tally:
    """What one function, or all of them, came to."""

    points: int = 0
    compared: int = 0
    """numbers compared with the ends of an interval"""
    outside: int = 0
    """float64 values outside: suspects, each decided exactly"""
    near: int = 0
    exact: int = 0
    """numbers decided in ball arithmetic"""
    undecided: int = 0
    ball_pairs: int = 0
    unsound: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Both together."""
        for name in ("points", "compared", "outside", "near", "exact", "undecided", "ball_pairs"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.unsound += other.unsound
        self.refused += other.refused


def functions(count: int) -> dict[str, Case]:
    """At least `count` functions: the library, and as many generated ones as are needed to be half of them, or more."""
    found: dict[str, Case] = dict(library())
    for seed in range(max(count - len(found), len(found) + 5)):
        made = generate(seed)
        found[f"seed {seed}: {made.text}"] = (made.function, made.n, LOW, HIGH)
    return found


def boxes(n: int, low: float, high: float, random_: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (k, n) in [low, high]ⁿ: wide ones of many sizes, and thin ones of at most three ulps."""
    radius = 0.5 * (high - low) * 10.0 ** random_.uniform(-6.0, 0.0, (BOXES, 1))
    middle = random_.uniform(low, high, (BOXES, n))
    # Some ends are round numbers, where kinks and integers are.
    middle[::4] = np.round(4.0 * middle[::4]) / 4.0
    lower, upper = np.clip(middle - radius, low, high), np.clip(middle + radius, low, high)
    point = random_.uniform(low, high, (THIN, n))
    ulps = random_.integers(0, 4, (THIN, n))
    return np.concatenate([lower, point]), np.concatenate([upper, point + ulps * np.spacing(np.abs(point))])


def samples(lower: np.ndarray, upper: np.ndarray, count: int, random_: np.random.Generator) -> np.ndarray:
    """Points (k, count, n) of the boxes: uniform, corners, corners moved inward by an ulp."""
    shape = (lower.shape[0], count, lower.shape[1])
    x = random_.uniform(lower[:, None], upper[:, None], shape)
    corner = np.where(random_.integers(0, 2, shape) == 1, lower[:, None], upper[:, None])
    moved = np.nextafter(corner, 0.5 * (lower + upper)[:, None])
    cut = count // 10
    x[:, :cut] = corner[:, :cut]
    x[:, cut : 2 * cut] = moved[:, cut : 2 * cut]
    mixed = random_.integers(0, 2, (shape[0], cut, shape[2])) == 1
    x[:, 2 * cut : 3 * cut] = np.where(mixed, corner[:, 2 * cut : 3 * cut], x[:, 2 * cut : 3 * cut])
    return np.clip(x, lower[:, None], upper[:, None])


def derivatives(function: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, Any, Any]]:
    """x -> value (), gradient (n,) and Hessian (n, n) of the primal operations."""

    def of(x: Any) -> tuple[Any, Any, Any]:
        run = primal(jax.make_jaxpr(function)(x))

        def value(x: Any) -> Any:
            return run(x)[0]

        return value(x), jax.grad(value)(x), jax.hessian(value)(x)

    return of


class Subject:
    """One function, traced and compiled in every number system."""

    def __init__(self, case: Case):
        function, self.n, self.low, self.high = case
        self.refused: list[str] = []
        start = np.full(self.n, 0.5 * (self.low + self.high) + 0.1)
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            every = derivatives(function)
            traced = jax.make_jaxpr(every)(start)
            self.floats = jax.jit(jax.vmap(jax.vmap(every)))
            self.exact = BallProgram(traced, precision=PRECISION)
            flat = jax.make_jaxpr(lambda x: jnp.reshape(function(x), (1,)))(start)
            jets = JetProgram(flat, second=True)
            self.jets = jax.jit(jax.vmap(lambda lo, hi: jets(enter(lo, hi))))
            slopes = IntervalProgram(jax.make_jaxpr(lambda x: every(x)[1])(start))
            self.slopes = jax.jit(jax.vmap(lambda lo, hi: slopes(enter(lo, hi))[0]))

    def enclosures(self, lower: np.ndarray, upper: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Part -> ends, in the shapes of `PARTS` of the floats; parts without a rule are left out and noted."""
        out: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            try:
                found = self.jets(lower, upper)
                for name, part, shape in zip(PARTS, found, ((), (self.n,), (self.n, self.n)), strict=False):
                    out[name] = tuple(np.asarray(end).reshape((len(lower), *shape)) for end in part[:2])
            except TraceError as error:
                self.refused.append(portable(str(error))[:SHOWN])
            try:
                part = self.slopes(lower, upper)
                out[PARTS[3]] = (np.asarray(part.lo), np.asarray(part.hi))
            except TraceError as error:
                self.refused.append(portable(str(error))[:SHOWN])
        return out


def check(name: str, case: Case, count: int) -> Tally:
    """Everything about one function."""
    subject, tally = Subject(case), Tally()
    random_ = np.random.default_rng(zlib.crc32(name.encode()))
    lower, upper = boxes(subject.n, subject.low, subject.high, random_)
    x = samples(lower, upper, count, random_)
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        value, slope, bend = (np.asarray(part) for part in subject.floats(x))
    tally.points = x.shape[0] * x.shape[1]
    ends = subject.enclosures(lower, upper)
    tally.refused += [f"{name}: {text}" for text in subject.refused]
    wanted: dict[tuple[int, int], list[tuple[str, tuple[int, ...]]]] = {}
    chance = random.Random(zlib.crc32(name.encode()))
    for part, (lo, hi) in ends.items():
        numbers = {"value": value, "gradient": slope, "Hessian": bend}.get(part, slope)
        lo, hi = lo[:, None], hi[:, None]
        known = np.isfinite(numbers)
        out = known & ~((numbers >= lo) & (numbers <= hi))
        size = NEAR * (np.abs(numbers) + 1e-300)
        near = known & ~out & ((numbers - lo <= size) | (hi - numbers <= size))
        tally.compared += int(known.sum())
        tally.outside += int(out.sum())
        tally.near += int(near.sum())
        places = _some(np.argwhere(out), 4 * MOST_CHECKED, chance) + _some(np.argwhere(near), MOST_CHECKED, chance)
        places += _some(np.argwhere(known), RANDOM_CHECKED, chance)
        for box, sample, *index in places:
            wanted.setdefault((box, sample), []).append((part, tuple(index)))
    for (box, sample), asked in wanted.items():
        _decide(name, subject, x[box, sample], asked, {p: (e[0][box], e[1][box]) for p, e in ends.items()}, tally)
    _balls(name, subject, lower, upper, x, tally)
    return tally


def _some(places: np.ndarray, most: int, chance: random.Random) -> list[list[int]]:
    found = places.tolist()
    return found if len(found) <= most else chance.sample(found, most)


def _decide(name: str, subject: Subject, x: np.ndarray, asked: Any, ends: Any, tally: Tally) -> None:
    """Compare exact numbers at a point with the ends of its box."""
    try:
        exact = dict(zip(PARTS, subject.exact(x), strict=False))
    except Undecided:
        tally.undecided += len(asked)
        return
    exact[PARTS[3]] = exact["gradient"]
    with ctx.workprec(PRECISION):
        for part, index in asked:
            ball, (lo, hi) = exact[part][index], ends[part]
            tally.exact += 1
            low, high = float(lo[index]), float(hi[index])
            if (low > -np.inf and ball < arb(low)) or (high < np.inf and ball > arb(high)):
                tally.unsound.append(f"{name}: {part}{index} at {x.tolist()} is {ball.str(20)}, [{low!r}, {high!r}]")


def _balls(name: str, subject: Subject, lower: np.ndarray, upper: np.ndarray, x: np.ndarray, tally: Tally) -> None:
    """Balls of a few boxes hold the balls of points in them."""
    for box in (1, 2, 5, 7, BOXES + 1):
        middle = 0.5 * (balls(lower[box]) + balls(upper[box]))
        try:
            whole = subject.exact(around(middle, balls(upper[box]) - middle))
            inside = [subject.exact(x[box, k]) for k in (0, x.shape[1] // 10, -1)]
        except Undecided:
            tally.undecided += 1
            continue
        with ctx.workprec(PRECISION):
            for point in inside:
                for a, b in zip(whole, point, strict=True):
                    tally.ball_pairs += a.size
                    if not all(p.overlaps(q) for p, q in zip(a.flat, b.flat, strict=True)):
                        tally.unsound.append(f"{name}: ball of box {lower[box].tolist()}, {upper[box].tolist()}")


def report(tally: Tally, count: int, seconds: float, state: str) -> str:
    """Markdown."""
    rows = {
        "commit": state,
        "functions": count,
        "points": tally.points,
        "numbers compared with interval ends": tally.compared,
        "float64 values outside (each decided exactly, at most 240 per part)": tally.outside,
        "near an end": tally.near,
        "decided in ball arithmetic": tally.exact,
        "of these undecided: a kink, or not defined": tally.undecided,
        "balls of boxes against balls of points": tally.ball_pairs,
        "programs without a rule": len(tally.refused),
        "**unsound**": len(tally.unsound),
    }
    lines = [
        "# Soundness of enclosures",
        "",
        "| | |",
        "|---|---|",
        *[f"| {k} | {_shown(v)} |" for k, v in rows.items()],
    ]
    reasons = Counter(text.split(": ", 1)[1].split(" at ")[0] for text in tally.refused)
    lines += ["", f"{seconds:.0f} s.", *[f"- without a rule: {why} ({k})" for why, k in reasons.items()]]
    return "\n".join([*lines, *[f"- UNSOUND {text}" for text in tally.unsound[:50]]]) + "\n"


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    """Run over all functions, print, write results/soundness.json and .md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--functions", type=int, default=310)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--only", default="")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--last", type=int, default=10**9)
    given = parser.parse_args()
    start, whole, state = time.perf_counter(), Tally(), commit()
    chosen = [(k, v) for k, v in functions(given.functions).items() if given.only in k][given.first : given.last]
    for k, (name, case) in enumerate(chosen):
        try:
            tally = check(name, case, given.samples)
        except TraceError as error:
            tally = Tally(refused=[f"{name}: {error}"])
        whole.add(tally)
        if tally.unsound or k % 20 == 0:
            print(f"{k} {time.perf_counter() - start:.0f} s {name[:60]} {tally.unsound[:3]}", flush=True)
        jax.clear_caches()
    text = report(whole, len(chosen), time.perf_counter() - start, state)
    print(text)
    if len(chosen) >= given.functions:
        (FOLDER / "soundness.md").write_text(text)
        (FOLDER / "soundness.json").write_text(json.dumps({"commit": state, **vars(whole)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
