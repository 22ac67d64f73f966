"""Arrays of intervals inside XLA: how they are made, and how a computed end is rounded outward.

```
down(v, k) = v − (k 2⁻⁵² |v| + 4·2⁻¹⁰²²),        up(v, k) = v + (k 2⁻⁵² |v| + 4·2⁻¹⁰²²)
```

XLA offers no directed rounding, divides by multiplying, and flushes subnormals. So every computed end is moved outward
by a margin: k times 2⁻⁵² of itself, k measured per function (`karush.arithmetic.interval_margins`), and four times the
smallest normal number, more than flushing can lose. The step is branch-free. It is rounded itself, by half an ulp,
which k covers: for results rounded correctly k = `ROUNDED` is enough, and moves by one ulp [Rum10]. With
δ = k 2⁻⁵²|v| > ulp(v)/2 the next number of the grid is nearer to v ± δ than v is; and where a fused multiply-add puts
the exact t in place of v, t − δ rounds to at most t − δ + ulp(v)/2 < t. No end is ever subnormal but by the user's own
wish, and those are moved to 0 or 2⁻¹⁰²² at the door.

An interval holds a set of real numbers. Ends may be infinite: unbounded, not infinite numbers. NaN is no end: an end
that would be NaN is infinite instead. `ok` says whether the exact function is defined at every point of the box; None
stands for yes. Where it is False, the ends still hold every value that the function does have.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.arithmetic.constants import array_of
from karush.core.errors import TraceError

EPS = 2.0**-52
SMALL = 2.0**-1000
"""below it the absolute margin alone is more than four ulps"""
LEAST_NORMAL = 2.0**-1022
FLUSHED = 4.0 * LEAST_NORMAL
"""absolute margin: flushing an operand and the result loses less than twice the smallest normal number, and what
remains after the margin must be normal itself"""
ROUNDED = 0.5 * (1.0 + 2.0**-40)
"""margin of results rounded correctly: a hair above half an ulp"""
LARGEST = float(np.finfo(np.float64).max)
BEYOND_EXACT = 2.0**53
"""integers from here on may not be doubles"""


class Interval(NamedTuple):
    """Intervals ``[lo, hi]``, elementwise; `lo` and `hi` are one and the same array for exact numbers."""

    lo: Any
    hi: Any
    ok: Any = None
    """boolean array of the same shape, or None: defined everywhere"""

    @property
    def exact(self) -> bool:
        """Whether the ends are one array."""
        return self.lo is self.hi


class Truth(NamedTuple):
    """Answers that may be undecided: both fields are True where either answer is possible."""

    can_be_true: Any
    can_be_false: Any


def down(v: Any, k: float = ROUNDED) -> Any:
    """A number below every t with ``|t − v| <= (k − 1/2) 2⁻⁵² |v|``, or that v is nearest to; −inf for NaN and +inf."""
    moved = v - (jnp.abs(v) * (k * EPS) + FLUSHED)
    return jnp.where(jnp.isnan(moved), -jnp.inf, moved)


def up(v: Any, k: float = ROUNDED) -> Any:
    """A number above every t with ``|t − v| <= (k − 1/2) 2⁻⁵² |v|``, or that v is nearest to; +inf for NaN and −inf."""
    moved = v + (jnp.abs(v) * (k * EPS) + FLUSHED)
    return jnp.where(jnp.isnan(moved), jnp.inf, moved)


def two_below(v: Any) -> Any:
    """The number two ulps below v, counted on the bits; −inf for NaN and +inf."""
    bits = lax.bitcast_convert_type(v, jnp.int64)
    moved = lax.bitcast_convert_type(bits + jnp.where(v > 0.0, -2, 2), jnp.float64)
    size = jnp.abs(v)
    return jnp.where((size > SMALL) & (size < jnp.inf), moved, jnp.where(v < jnp.inf, v - FLUSHED, -jnp.inf))


def two_above(v: Any) -> Any:
    """The number two ulps above v; +inf for NaN and −inf."""
    return -two_below(-v)


def both(*flags: Any) -> Any:
    """Conjunction of `ok` flags."""
    known = [flag for flag in flags if flag is not None]
    if not known:
        return None
    out = known[0]
    for flag in known[1:]:
        out = out & flag
    return out


def dense_ok(a: Interval) -> Any:
    """`ok` as an array."""
    return jnp.ones(jnp.shape(a.lo), bool) if a.ok is None else jnp.broadcast_to(a.ok, jnp.shape(a.lo))


def each(function: Callable[..., Any], *parts: Interval) -> Interval:
    """`function` of the lower ends, of the upper ends, and of the flags: for what moves elements only."""
    ok = None
    if any(part.ok is not None for part in parts):
        ok = function(*map(dense_ok, parts))
    lo = function(*[part.lo for part in parts])
    if all(part.exact for part in parts):
        return Interval(lo, lo, ok)
    return Interval(lo, function(*[part.hi for part in parts]), ok)


def joined(a: Interval) -> Interval:
    """The same interval, both ends and the flag computed by one loop.

    XLA on the CPU compiles one loop per result, and repeats in each what they share: two ends may cost ten times the
    work of one. So the ends travel as one complex number through a division, which XLA does not repeat: by 1, which is
    exact, but which XLA cannot know. Infinite ends travel as the largest doubles; ends in the wrong order say that the
    function is not defined, and a single point where it is not becomes the whole line.
    """
    if a.exact:
        return a
    lo, hi = jnp.broadcast_arrays(jnp.clip(a.lo, -LARGEST, LARGEST), jnp.clip(a.hi, -LARGEST, LARGEST))
    if a.ok is not None:
        wide = lo < hi
        lo, hi = (
            jnp.where(a.ok, lo, jnp.where(wide, hi, LARGEST)),
            jnp.where(a.ok, hi, jnp.where(wide, lo, -LARGEST)),
        )
    # Not 1 only where lo was +inf; there the division by 1/2 leaves infinite ends, or moves them outward.
    unit = jnp.where(jnp.broadcast_to(a.lo, jnp.shape(lo)) > LARGEST, 0.5, 1.0)
    pair = lax.complex(lo, hi) / lax.complex(unit, jnp.zeros_like(unit))
    lo, hi, ok = jnp.real(pair), jnp.imag(pair), None
    if a.ok is not None:
        ok = lo <= hi
        lo, hi = jnp.minimum(lo, hi), jnp.maximum(lo, hi)
    return Interval(jnp.where(lo > -LARGEST, lo, -jnp.inf), jnp.where(hi < LARGEST, hi, jnp.inf), ok)


def hull(a: Interval, b: Interval) -> Interval:
    """Smallest interval that holds both."""
    return Interval(jnp.minimum(a.lo, b.lo), jnp.maximum(a.hi, b.hi), both(a.ok, b.ok))


def constant(value: float) -> Interval:
    """One exact double."""
    end = jnp.asarray(value, jnp.float64)
    return Interval(end, end)


def around(value: float, ulps: float = 2.0) -> Interval:
    """A mathematical constant, known to a double nearest to it."""
    return Interval(
        jnp.asarray(value - ulps * EPS * abs(value), jnp.float64),
        jnp.asarray(value + ulps * EPS * abs(value), jnp.float64),
    )


def lift(value: Any) -> Any:
    """An array of the program as a value of this number system; integers and booleans stay what they are.

    A constant that is no real number has the whole line as its interval and is not defined.
    """
    if isinstance(value, (Interval, Truth)):
        return value
    array = array_of(value)
    if array.dtype.kind in "iub":
        return jnp.asarray(array)
    if array.dtype.kind != "f":
        raise TraceError(f"a constant of the program has dtype {array.dtype}, which intervals do not hold")
    array = array.astype(np.float64)
    subnormal = (array != 0.0) & (np.abs(array) < LEAST_NORMAL)
    wild = ~np.isfinite(array)
    if not (subnormal.any() or wild.any()):
        end = jnp.asarray(array)
        return Interval(end, end)
    lo = np.where(subnormal, np.where(array < 0.0, -LEAST_NORMAL, 0.0), array)
    hi = np.where(subnormal, np.where(array > 0.0, LEAST_NORMAL, 0.0), array)
    lo, hi = np.where(wild, -np.inf, lo), np.where(wild, np.inf, hi)
    return Interval(jnp.asarray(lo), jnp.asarray(hi), jnp.asarray(~wild) if wild.any() else None)


def enter(lo: Any, hi: Any) -> Interval:
    """Intervals from ends that are numbers of run time: NaN becomes infinite, subnormal ends move outward.

    Whether a number is subnormal is read from its bits: arithmetic would take it for 0.
    """
    lo, hi = jnp.asarray(lo, jnp.float64), jnp.asarray(hi, jnp.float64)
    lo = jnp.where(_subnormal(lo) & jnp.signbit(lo), -LEAST_NORMAL, jnp.where(_subnormal(lo), 0.0, lo))
    hi = jnp.where(_subnormal(hi) & ~jnp.signbit(hi), LEAST_NORMAL, jnp.where(_subnormal(hi), 0.0, hi))
    return Interval(jnp.where(jnp.isnan(lo), -jnp.inf, lo), jnp.where(jnp.isnan(hi), jnp.inf, hi))


def _subnormal(v: Any) -> Any:
    bits = lax.bitcast_convert_type(v, jnp.uint64) & jnp.asarray(0x7FFF_FFFF_FFFF_FFFF, jnp.uint64)
    return (bits != jnp.uint64(0)) & (bits < jnp.asarray(0x0010_0000_0000_0000, jnp.uint64))


def as_truth(value: Any) -> Truth:
    """Answers, decided or not, as `Truth`."""
    return value if isinstance(value, Truth) else Truth(value, ~value)


def is_new(values: Sequence[Any]) -> bool:
    """Whether any value is of this number system; else the program's own operation is exact."""
    return any(isinstance(value, (Interval, Truth)) for value in values)


__all__ = [
    "BEYOND_EXACT",
    "EPS",
    "FLUSHED",
    "LEAST_NORMAL",
    "ROUNDED",
    "Interval",
    "Truth",
    "around",
    "as_truth",
    "both",
    "constant",
    "dense_ok",
    "down",
    "each",
    "enter",
    "hull",
    "is_new",
    "joined",
    "lift",
    "two_above",
    "two_below",
    "up",
]
