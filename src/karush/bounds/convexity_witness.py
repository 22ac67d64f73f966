"""Three points that show a function not to be convex, checked in ball arithmetic.

```
f((a + b)/2) > (f(a) + f(b))/2
```
"""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from karush.arithmetic.ball import BallProgram, Undecided, balls
from karush.core.errors import TraceError
from karush.jaxprs.function import FlatFunction

SEGMENTS = 256
"""random segments tried at once"""
ROUNDS = 4
"""rounds; after the first, near the best segments"""
REACH = 8.0
"""how far from its finite end, or from 0, an unbounded side is searched at first"""
CANDIDATES = 4
"""segments checked in ball arithmetic"""
LENGTHS = 2.0 ** -np.arange(0.0, 24.0, 2.0)
"""lengths of segments along a direction of negative curvature, beside the longest that fits"""
ROUNDING = 2.0**-48
"""relative size of a violation that float64 can show"""


@dataclass(frozen=True)
class Witness:
    """``f(middle) > (f(a) + f(b)) / 2``, at points of the box, in the structure of x."""

    a: Any
    middle: Any
    b: Any
    values: tuple[float, float, float]
    """f(a), f(middle), f(b)"""
    excess: float
    """below ``f(middle) − (f(a) + f(b)) / 2``, and > 0"""
    direction: Any
    """``(b − a) / 2``"""
    curvature: float
    """above ``(f(a) − 2 f(middle) + f(b)) / ‖direction‖²``, and < 0"""


class Segments:
    """Segments of a box, and the function on them."""

    def __init__(self, flat: FlatFunction, low: np.ndarray, high: np.ndarray):
        self.flat = flat
        self.low, self.high = low, high
        self.values = jax.jit(jax.vmap(flat.scalar))
        self.found: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def excess(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Violation (B,) beside the rounding of the values; −inf where one is no number."""
        middle = 0.5 * a + 0.5 * b
        at = np.asarray(self.values(np.concatenate([a, middle, b]))).reshape(3, -1)
        with np.errstate(all="ignore"):
            size = np.abs(at).sum(axis=0) + np.finfo(float).tiny
            violation = (at[1] - 0.5 * (at[0] + at[2])) / size
        return np.where(np.isfinite(violation), violation, -np.inf)

    def random(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best of random segments, and of segments near them: a, b (k, n) and their violations."""
        draw = np.random.default_rng(seed)
        low, high = self.reach()
        n = low.size
        a = low + (high - low) * draw.random((SEGMENTS, n))
        b = low + (high - low) * draw.random((SEGMENTS, n))
        # Half of them differ in a few coordinates only.
        few = draw.random((SEGMENTS, n)) < 2.0 / n
        b = np.where((np.arange(SEGMENTS)[:, None] % 2 == 1) & ~few, a, b)
        ends, score = (a, b), self.excess(a, b)
        for turn in range(1, ROUNDS):
            best = np.argsort(-score, kind="stable")[: SEGMENTS // 16]
            ends, score = (ends[0][best], ends[1][best]), score[best]
            if score[0] > ROUNDING:
                break
            step = (high - low) * 4.0**-turn
            near = [
                np.clip(np.repeat(end, 16, axis=0) + step * draw.uniform(-1.0, 1.0, (SEGMENTS, n)), low, high)
                for end in ends
            ]
            ends = tuple(np.concatenate([end, new]) for end, new in zip(ends, near, strict=True))
            score = np.concatenate([score, self.excess(*near)])
        best = np.argsort(-score, kind="stable")[:CANDIDATES]
        return ends[0][best], ends[1][best], score[best]

    def reach(self) -> tuple[np.ndarray, np.ndarray]:
        """Finite ends to search between."""
        low = np.where(np.isfinite(self.low), self.low, np.where(np.isfinite(self.high), self.high, 0.0) - REACH)
        high = np.where(np.isfinite(self.high), self.high, np.where(np.isfinite(self.low), self.low, 0.0) + REACH)
        return low, high

    def along(self, point: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Segments with a given middle and direction that fit into the box."""
        low, high = self.reach()
        with np.errstate(all="ignore"):
            room = np.where(direction != 0.0, np.minimum(point - low, high - point) / np.abs(direction), np.inf)
        longest = float(np.min(room))
        count = 3 * SEGMENTS
        steps = np.zeros((SEGMENTS, point.size))
        if longest > 0.0:
            steps[: LENGTHS.size] = longest * LENGTHS[:, None] * direction
        a, b = np.clip(point - steps, self.low, self.high), np.clip(point + steps, self.low, self.high)
        assert a.shape[0] * 3 == count
        score = self.excess(a, b)
        best = np.argsort(-score, kind="stable")[:CANDIDATES]
        return a[best], b[best], score[best]


def checked(
    flat: FlatFunction, candidates: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[Witness | None, np.ndarray]:
    """The first candidate that ball arithmetic confirms, and its middle (n,)."""
    try:
        program = BallProgram(flat.closed_jaxpr)
    except (Undecided, TraceError):
        return None, np.zeros(flat.n)
    for a, b, score in zip(*candidates, strict=True):
        if not score > ROUNDING:
            continue
        ends = balls(a), balls(b)
        middle = (ends[0] + ends[1]) / 2
        try:
            first, between, last = (program(point)[0][0] for point in (ends[0], middle, ends[1]))
        except (Undecided, TraceError):
            continue
        gap = between - (first + last) / 2
        if not gap > 0:
            continue
        excess = float(np.nextafter(float(gap.lower()), 0.0))
        half = 0.5 * b - 0.5 * a
        length = float(half @ half)
        out = flat.door.unravel
        point = 0.5 * a + 0.5 * b
        values = float(first.mid()), float(between.mid()), float(last.mid())
        curvature = float(np.nextafter(-2.0 * excess / (length * (1.0 + 1e-12)), 0.0))
        return Witness(out(a), out(point), out(b), values, excess, out(half), curvature), point
    return None, np.zeros(flat.n)


__all__ = ["Segments", "Witness", "checked"]
