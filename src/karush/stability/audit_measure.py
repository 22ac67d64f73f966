"""How wrong a computed output is, beyond what half an ulp of input change does.

```
bits = log2( (|v − y| / ulp(y) + 1) / (C / ulp(y) + 1) )        v computed, y exact, C as in `audit_truth`
```

Not counted: outputs whose exact value is not finite, does not fit into the dtype, or (of the bits) is subnormal or 0.
A computed output that is not finite, where the exact one is and fits, has lost everything.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.extend.core
import numpy as np

from karush.core.precision import float64
from karush.stability.audit_truth import Exact
from karush.stability.straight import shadow
from karush.stability.subject import Subject

TOLERATED = 4.0
"""bits beyond the conditioning that count as safe"""
MOST_DIRECTIONS = 24
"""inputs up to which the screen moves each on its own; above, all at once with random signs"""
RANDOM_MOVES = 6


@dataclass(frozen=True, eq=False)
class Damage:
    """One output at one point."""

    x: np.ndarray
    output: int
    computed: float
    exact: Any
    """ball"""
    bits: float
    """beyond the conditioning; all bits of the dtype where the computed number is not finite"""
    finite: bool
    accuracy: float
    """bits of error at the exact inputs, conditioning not taken off"""


def digits(dtype: Any) -> int:
    """Bits of a number: 24 or 53."""
    return int(np.finfo(dtype).nmant) + 1


class Screen:
    """A subject compiled over many points, beside its float64 shadow."""

    def __init__(self, subject: Subject, straight: Any):
        self.dtype = subject.inputs.dtype
        flat = jax.extend.core.jaxpr_as_fun(subject.closed)
        self.compiled = jax.jit(jax.vmap(lambda x: flat(x)[0]))
        self.wide = None
        if self.dtype == np.float32:
            wide = jax.vmap(shadow(straight))
            try:
                with float64():
                    jax.eval_shape(wide, np.zeros((1, subject.inputs.size)))
            except (TypeError, ValueError):
                # A primitive tied to its dtype has no float64 form: then exact values have to do.
                pass
            else:
                self.wide = jax.jit(wide)

    def computed(self, points: np.ndarray) -> np.ndarray:
        """What the compiled program returns (k, m)."""
        return np.asarray(self.compiled(points))

    def shadowed(self, points: np.ndarray) -> np.ndarray:
        """The same in float64 (k, m); the points are float64 (k, n)."""
        assert self.wide is not None
        with float64():
            return np.asarray(self.wide(points))

    def scores(self, points: np.ndarray, computed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Bits lost (k, m) as the shadow sees them; NaN where it sees nothing."""
        if self.wide is None:
            return np.where(np.isfinite(computed), np.nan, float(digits(self.dtype)))
        x = points.astype(np.float64)
        y = self.shadowed(x)
        half = 0.5 * np.spacing(np.maximum(np.abs(points), np.finfo(self.dtype).tiny)).astype(np.float64)
        change = np.zeros_like(y)
        with np.errstate(all="ignore"):
            if points.shape[1] <= MOST_DIRECTIONS:
                for i in range(points.shape[1]):
                    step = np.zeros_like(x)
                    step[:, i] = half[:, i]
                    up, down = self.shadowed(x + step), self.shadowed(x - step)
                    change += np.fmax(np.abs(up - y), np.abs(down - y))
            else:
                for _ in range(RANDOM_MOVES):
                    signs = rng.choice([-1.0, 1.0], x.shape)
                    change = np.fmax(change, np.abs(self.shadowed(x + signs * half) - y))
            return lost(computed, y, change, self.dtype)


def lost(computed: np.ndarray, y: np.ndarray, change: np.ndarray, dtype: Any) -> np.ndarray:
    """Bits beyond the conditioning from float64 numbers; NaN where they are not counted."""
    info, most = np.finfo(dtype), float(digits(dtype))
    ulp = np.spacing(np.clip(np.abs(y), float(info.tiny), float(info.max)).astype(dtype)).astype(np.float64)
    bits = np.log2((np.abs(computed - y) / ulp + 1.0) / (change / ulp + 1.0))
    bits = np.where(np.abs(y) >= float(info.tiny), np.clip(bits, 0.0, most), np.nan)
    bits = np.where(np.isfinite(computed), bits, most)
    return np.where(np.isfinite(y) & (np.abs(y) <= float(info.max)), bits, np.nan)


def confirm(exact: Exact, x: np.ndarray, computed: np.ndarray, truth: np.ndarray) -> list[Damage]:
    """The outputs that are damaged at x, by exact values (m,), worst first."""
    dtype = computed.dtype
    info, most = np.finfo(dtype), float(digits(dtype))
    found: list[Damage] = []
    suspects: list[tuple[int, float, float]] = []
    for j, (v, y) in enumerate(zip(computed, truth, strict=True)):
        if not y.is_finite() or float(abs(y).lower()) > float(info.max):
            continue
        if not np.isfinite(v):
            found.append(Damage(x, j, float(v), y, most, False, most))
            continue
        size = float(abs(y).mid())
        if size < float(info.tiny):
            continue
        ulp = float(np.spacing(dtype.type(size)))
        error = float(abs(y - float(v)).mid()) / ulp
        if np.log2(error + 1.0) > TOLERATED:
            suspects.append((j, error, ulp))
    if suspects:
        change = exact.condition(x, truth)
        for j, error, ulp in suspects:
            bits = float(np.log2((error + 1.0) / (change[j] / ulp + 1.0)))
            if bits > TOLERATED:
                accuracy = min(float(np.log2(error + 1.0)), most)
                found.append(Damage(x, j, float(computed[j]), truth[j], min(bits, most), True, accuracy))
    return sorted(found, key=lambda damage: (damage.finite, -damage.bits))


__all__ = ["TOLERATED", "Damage", "Screen", "confirm", "digits", "lost"]
