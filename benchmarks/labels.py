"""Which functions of the corpus are defective, by rule: measured on points of the box, whatever a tool says.

The exact value of a program that is undefined at a point (0/0) is its limit; of a gradient whose program is undefined
there, the one-sided derivative of the value, comparisons answered as at the point.

*nonfinite*: somewhere the exact value is finite and fits into the dtype, and the compiled one is not finite.
*silent*: on more than 1 % of the range more than half of the bits are lost beyond the conditioning. A function may be
both. *slight*: neither, but somewhere more than 4 bits are lost. *sound*: nothing of this was met.

The range is measured half evenly, half by bit pattern. Exact values are Arb's, computed for many points at once by
`karush.stability.truth`, which the audit does not use; conditioning is what half an ulp of change of each input does.
"""

from typing import Any, NamedTuple

import jax
import jax.extend.core
import numpy as np

from benchmarks.idioms import Idiom
from karush.bounds import Box
from karush.stability.audit_truth import Exact
from karush.stability.points import draw
from karush.stability.straight import straightened
from karush.stability.subject import Subject, cotangent, gradient_subject, read_box, value_subject
from karush.stability.truth import exact_values

MEASURED = 400
"""points of the range whose exact values are computed"""
LOOKED_AT = 20_000
"""points at which the compiled value is looked at for NaN and infinity"""
CHECKED = 24
"""of the strange ones, how many get an exact value"""
SHARE = 0.01
SLIGHT = 4.0


class Label(NamedTuple):
    """What is the case."""

    nonfinite: bool
    silent: bool
    slight: bool
    share: float
    """share of the range with more than half of the bits lost"""

    @property
    def word(self) -> str:
        """Both, or the worst that holds."""
        words = [name for name, holds in (("nonfinite", self.nonfinite), ("silent", self.silent)) if holds]
        return " and ".join(words) or ("slight" if self.slight else "sound")


class Measured:
    """One part (value or gradient) of one function, run and known exactly."""

    def __init__(self, item: Idiom, part: str):
        inputs, self.lower, self.upper, _ = read_box(Box(item.lower, item.upper))
        value: Subject = value_subject(item.function, inputs, item.name)
        subject = value if part == "value" else gradient_subject(item.function, value, item.name)
        self.value = Exact(straightened(value.closed, inputs.size, inputs.dtype))
        self.dtype, self.part, self.outputs = inputs.dtype, part, len(value.outputs)
        self.straight = straightened(subject.closed, inputs.size, inputs.dtype)
        flat = jax.extend.core.jaxpr_as_fun(self.straight)
        self.one = lambda x: flat(x)[0]
        raw = jax.extend.core.jaxpr_as_fun(subject.closed)
        self.compiled = jax.jit(jax.vmap(lambda x: raw(x)[0]))

    def run(self, points: np.ndarray) -> np.ndarray:
        """Compiled values (k, m)."""
        return np.asarray(self.compiled(points))

    def exact(self, points: np.ndarray) -> np.ndarray:
        """Exact values (k, m), rounded once to the dtype; NaN where they are not known or undefined."""

        def trace(count: int) -> Any:
            return jax.make_jaxpr(jax.vmap(self.one))(np.zeros((count, points.shape[1]), self.dtype))

        return exact_values(trace, [points.astype(np.float64)])[0].astype(np.float64)

    def beyond_the_program(self, x: np.ndarray) -> np.ndarray:
        """Limits (m,) where the program is undefined; of a gradient the one-sided derivatives of the value."""
        if self.part == "value":
            balls = self.value.limit(x, self.lower, self.upper)
        else:
            defined = self.value.value(x)
            if defined is None or not all(ball.is_finite() for ball in defined):
                return np.full(x.size, np.nan)
            balls = self.value.derivatives(x, cotangent(self.outputs).astype(x.dtype))
        return np.array([float(ball.mid()) if ball.is_finite() else np.nan for ball in balls])

    def change(self, points: np.ndarray, y: np.ndarray) -> np.ndarray:
        """What half an ulp of change of each input does to the exact values y, added up (k, m); inf if not known."""
        k, n = points.shape
        half = 0.5 * np.spacing(np.maximum(np.abs(points), np.finfo(self.dtype).tiny)).astype(float)
        steps = half[:, None, :] * np.concatenate([np.eye(n), -np.eye(n)])
        near = points.astype(float)[:, None, :] + steps
        moved = np.abs(self.exact(near.reshape(-1, n)).reshape(k, 2 * n, -1) - y[:, None])
        moved = np.where(np.isnan(moved), np.inf, moved)
        return np.sum(np.maximum(moved[:, :n], moved[:, n:]), axis=1)

    def lost(self, points: np.ndarray, computed: np.ndarray) -> np.ndarray:
        """Bits lost beyond the conditioning (k,), the worst output; NaN where nothing is counted; inf if not finite."""
        info = np.finfo(self.dtype)
        y = self.exact(points)
        for row in np.flatnonzero((np.isnan(y) & ~np.isfinite(computed)).any(axis=1))[:CHECKED]:
            other = self.beyond_the_program(points[row])
            y[row] = np.where(np.isnan(y[row]), other, y[row])
        counted = np.isfinite(y) & (np.abs(y) <= float(info.max))
        wild = counted & ~np.isfinite(computed)
        normal = counted & (np.abs(y) >= float(info.tiny))
        with np.errstate(all="ignore"):
            ulp = np.spacing(np.clip(np.abs(y), float(info.tiny), float(info.max)).astype(self.dtype)).astype(float)
            error = np.where(normal & np.isfinite(computed), np.abs(computed - y) / ulp, 0.0)
        bits = np.where(normal, np.log2(error + 1.0), np.where(counted, 0.0, np.nan))
        rows = np.flatnonzero((np.where(np.isnan(bits), 0.0, bits) > SLIGHT).any(axis=1))
        if rows.size:
            change = self.change(points[rows], y[rows])
            ratio = (error[rows] + 1.0) / (change / ulp[rows] + 1.0)
            bits[rows] = np.log2(ratio) * np.where(normal[rows], 1.0, np.nan)
        bits = np.where(wild, np.inf, bits)
        return np.fmax.reduce(bits, axis=1)


def sample(lower: np.ndarray, upper: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Points (count, n) of the range: half evenly, half by bit pattern."""
    half = count // 2
    part = rng.random((half, lower.size))
    even = (lower.astype(float) * (1.0 - part) + upper.astype(float) * part).astype(lower.dtype)
    even = np.where(np.abs(even) < np.finfo(lower.dtype).tiny, 0.0, np.clip(even, lower, upper)).astype(lower.dtype)
    return np.concatenate([even, draw(lower, upper, (count - half, lower.size), lower.dtype, rng)])


def corners(lower: np.ndarray, upper: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Corners, points of equal coordinates, and 0 where it lies in the box."""
    shape = (count // 2, lower.size)
    corner = np.where(rng.random(shape) < 0.5, lower, upper)
    part = rng.random((count // 2, 1))
    equal = lower.astype(float) * (1.0 - part) + upper.astype(float) * part
    zero = np.clip(np.zeros((1, lower.size)), lower, upper)
    some = np.where(rng.random(shape) < 0.5, np.clip(0.0, lower, upper), corner)
    return np.concatenate([corner, equal, zero, some]).astype(lower.dtype)


def label(item: Idiom, part: str, seed: int = 1) -> Label:
    """The label of one function's value or gradient."""
    rng = np.random.default_rng(seed)
    subject = Measured(item, part)
    most = float(np.finfo(subject.dtype).nmant + 1)
    points = sample(subject.lower, subject.upper, MEASURED, rng)
    bits = subject.lost(points, subject.run(points))
    share = float(np.mean(np.where(np.isnan(bits), 0.0, bits) > most / 2.0))
    nonfinite, slight = bool(np.isinf(bits).any()), bool(np.any(bits > SLIGHT))
    if not nonfinite:
        more = np.concatenate(
            [corners(subject.lower, subject.upper, 400, rng), sample(subject.lower, subject.upper, LOOKED_AT, rng)]
        )
        computed = subject.run(more)
        strange = np.flatnonzero(~np.isfinite(computed).all(axis=1))[:CHECKED]
        if strange.size:
            nonfinite = bool(np.isinf(subject.lost(more[strange], computed[strange])).any())
    finite = np.where(np.isinf(bits), 0.0, np.where(np.isnan(bits), 0.0, bits))
    silent = bool(np.mean(finite > most / 2.0) > SHARE)
    return Label(nonfinite, silent, slight, share)


__all__ = ["Label", "Measured", "label", "sample"]
