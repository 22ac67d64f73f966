"""The exact value of a straight program at one point, for an audit: balls at rising precision, limits, differences.

```
y = F(x) in real arithmetic, literals as rounded to the user's dtype, x the very floats
C_j = Σ_i max_± |F_j(x ± ulp(x_i)/2 e_i) − F_j(x)|        what half an ulp of input change does
```

Where the program itself is undefined (0/0, 0·∞) the value is its limit, if it has one. Where the program of a gradient
is undefined, it is the one-sided derivative of the value program with all comparisons answered as at x.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flint import arb, ctx

from karush.arithmetic.ball import RULES, Undecided, folded
from karush.arithmetic.ball_logic import COMPARISONS
from karush.arithmetic.ball_numbers import lift
from karush.jaxprs.walk import Program, Rule, Step, inline, interpret
from karush.stability.straight import typed

PRECISIONS = (160, 640, 2560)
"""bits tried one after the other; ``1 − cos x`` at the least float32 cancels 250 of them, at the least float64 2050"""
KNOWN_BITS = 64
"""relative accuracy that makes a ball a number"""
NOTHING = -1200
"""a ball within 2 to this power is 0 for every float"""
LIMIT_PRECISION = 1600
LIMIT_STEPS = (-200, -260)
"""exponents of the distances at which a limit is looked for; two, so that a slow divergence is seen"""
LIMIT_AGREES = -50
"""relative agreement of the values around a limit, as a power of two"""
LARGEST = 2.0**1023
"""values around a limit beyond this are taken for infinite"""
DIRECTIONS = 4
DIFFERENCE = -500
"""exponent of the distance of a difference quotient: its truncation is below anything seen"""
STEEP = 200
"""exponent of a difference quotient that stands for an infinite derivative: of a square root it is 2^250"""


class Exact:
    """The straight program of one subject in ball arithmetic."""

    def __init__(self, straight: Any):
        self.program: Program = typed(inline(straight))
        self.folded: dict[int, Program] = {}

    def at_precision(self, precision: int) -> Program:
        """The program with what depends on no input computed."""
        if precision not in self.folded:
            with ctx.workprec(precision):
                self.folded[precision] = folded(self.program, RULES)
        return self.folded[precision]

    def balls(self, x: Any, precision: int, rules: Mapping[str, Rule] = RULES) -> np.ndarray | None:
        """Enclosures (m,) at x, floats or balls (n,); None where balls cannot tell what the program does."""
        with ctx.workprec(precision):
            try:
                return interpret(self.at_precision(precision), [lift(x)], rules, lift=lift)[0]
            except Undecided:
                return None

    def value(self, x: Any) -> np.ndarray | None:
        """Numbers (m,): balls of relative radius below 2^-64; NaN where there is no number; None: nothing known."""
        found: np.ndarray | None = None
        for precision in PRECISIONS:
            found = self.balls(x, precision)
            if found is not None and all(map(settled, found)):
                return found
        return None if found is None else np.array([b if settled(b) else arb.nan() for b in found], dtype=object)

    def limit(self, x: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """The limits (m,) of the values around x within the box; NaN where there is none."""
        rng = np.random.default_rng(0)
        rows: list[np.ndarray] = []
        with ctx.workprec(LIMIT_PRECISION):
            for exponent in LIMIT_STEPS:
                for k in range(DIRECTIONS):
                    signs = np.where(rng.random(x.size) < 0.5, -1, 1) if k > 1 else np.full(x.size, 1 - 2 * k)
                    signs = np.where(x <= lower, 1, np.where(x >= upper, -1, signs))
                    step = [arb(2) ** exponent * (1 + abs(arb(float(v)))) for v in x]
                    near = np.array(
                        [arb(float(v)) + int(s) * h for v, s, h in zip(x, signs, step, strict=True)], object
                    )
                    row = self.balls(near, LIMIT_PRECISION)
                    if row is None:
                        return np.array([arb.nan()] * self.count(), dtype=object)
                    rows.append(row)
            return np.array([_agreed(column) for column in zip(*rows, strict=True)], dtype=object)

    def count(self) -> int:
        """m."""
        return int(np.prod(self.program.steps[-1].out_avals[0].shape)) if self.program.steps else 0

    def condition(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """What half an ulp of change of each input does to each output, added up (m,): floats, inf if unknown."""
        total = np.zeros(len(y))
        for i in range(x.size):
            half = half_ulp(x[i])
            moved = np.zeros(len(y))
            for sign in (-1, 1):
                near = lift(x).copy()
                with ctx.workprec(PRECISIONS[0]):
                    near[i] = near[i] + sign * half
                values = self.value(near)
                if values is None:
                    return np.full(len(y), np.inf)
                moved = np.fmax(moved, [_gap(a, b) for a, b in zip(values, y, strict=True)])
            total += moved
        return total

    def derivatives(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """One-sided derivatives (n,) of ``weights · F`` at x, comparisons answered as at x; NaN where there is none."""
        nothing = np.array([arb.nan()] * x.size, dtype=object)
        answers: list[np.ndarray] = []
        middle = self.balls(x, LIMIT_PRECISION, recording(answers))
        if middle is None or any((np.asarray(answer) < 0).any() for answer in answers):
            return nothing
        out = nothing.copy()
        with ctx.workprec(LIMIT_PRECISION):
            w = lift(weights)
            for i in range(x.size):
                h = arb(2) ** DIFFERENCE * (1 + abs(arb(float(x[i]))))
                quotients = []
                for sign in (-1, 1):
                    near = lift(x).copy()
                    near[i] = near[i] + sign * h
                    row = self.balls(near, LIMIT_PRECISION, replaying(iter(answers)))
                    if row is not None:
                        quotients.append(((row - middle) * w).sum() / (sign * h))
                good = [q for q in quotients if q.is_finite() and bool(abs(q) < arb(2) ** STEEP)]
                if good and len(good) == len(quotients):
                    out[i] = good[-1]
        return out


def settled(ball: arb) -> bool:
    """Whether a ball is one number for every float."""
    if not ball.is_finite():
        return False
    return bool(ball.is_zero() or ball.rel_accuracy_bits() >= KNOWN_BITS or abs(ball) < arb(2) ** NOTHING)


def half_ulp(number: Any) -> arb:
    """Half the distance to the next float, of the least normal number for what lies below it."""
    info = np.finfo(number.dtype)
    return arb(float(np.spacing(np.maximum(np.abs(number), info.tiny)))) / 2


def _gap(a: arb, b: arb) -> float:
    gap = abs(a - b)
    return float(gap.upper()) if gap.is_finite() else np.inf


def _agreed(column: Sequence[arb]) -> arb:
    """The common value of all; NaN if they differ."""
    if not all(ball.is_finite() for ball in column):
        return arb.nan()
    first, size = column[-1], max(float(abs(ball).upper()) for ball in column)
    if size < 2.0 ** (LIMIT_STEPS[0] // 2):
        return arb(0)
    if size > LARGEST:
        return arb.nan()
    bound = size * 2.0**LIMIT_AGREES
    return first.mid() if all(bool(abs(ball - first) < bound) for ball in column) else arb.nan()


def recording(answers: list[np.ndarray]) -> dict[str, Rule]:
    """Rules that write down every answer of a comparison."""

    def recorded(rule: Rule) -> Rule:
        def run(step: Step, *values: Any) -> Sequence[Any]:
            out = rule(step, *values)
            answers.append(out[0])
            return out

        return run

    return {**RULES, **{name: recorded(RULES[name]) for name in COMPARISONS}}


def replaying(answers: Any) -> dict[str, Rule]:
    """Rules that give the answers written down, one after the other."""
    return {**RULES, **dict.fromkeys(COMPARISONS, lambda step, *values: (next(answers),))}


__all__ = ["Exact", "half_ulp", "settled"]
