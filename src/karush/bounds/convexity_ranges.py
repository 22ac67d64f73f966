"""Ranges of the values of a program on a box, on the host: what the side conditions of the rules are read from.

```
[a] + [b] = [down(a.lo + b.lo), up(a.hi + b.hi)],        f([a]) = [down(f(a.lo), k), up(f(a.hi), k)],  f increasing
```

NumPy rounds + − × ÷ √ correctly, and its elementary functions are off by less than 4 ulps; ends move outward by one ulp
and by `ELEMENTARY` ulps [Rum10]. No compilation is needed, so that a program is read in milliseconds. Ends may be
infinite, never NaN.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import special

EPS = 2.0**-52
LEAST = 2.0**-1020
"""absolute margin, for results that underflow"""
ELEMENTARY = 16.0
"""margin of NumPy's and SciPy's elementary functions in ulps: measured against Arb, the largest error is 2.3 (erf)"""
COMPLEMENTARY = 1024.0
"""the same of erfc, whose largest error is 496"""
LARGEST_ERFC = 26.0
"""above it erfc is enclosed by 0 and its value here"""

Range = tuple[np.ndarray, np.ndarray]


def outward(lo: Any, hi: Any, ulps: float = 1.0) -> Range:
    """Ends moved outward; what is no number becomes infinite."""
    lo = np.asarray(lo) - (np.abs(lo) * (ulps * EPS) + LEAST)
    hi = np.asarray(hi) + (np.abs(hi) * (ulps * EPS) + LEAST)
    return np.where(np.isnan(lo), -np.inf, lo), np.where(np.isnan(hi), np.inf, hi)


def keep_sign(ends: Range, not_negative: Any, not_positive: Any) -> Range:
    """Ends that do not cross 0 where the exact result cannot."""
    lo, hi = ends
    return np.where(not_negative, np.maximum(lo, 0.0), lo), np.where(not_positive, np.minimum(hi, 0.0), hi)


def add(a: Range, b: Range) -> Range:
    """``a + b``; exact where one is 0."""
    zero_a, zero_b = (a[0] == 0.0) & (a[1] == 0.0), (b[0] == 0.0) & (b[1] == 0.0)
    lo, hi = outward(a[0] + b[0], a[1] + b[1])
    ends = np.where(zero_a, b[0], np.where(zero_b, a[0], lo)), np.where(zero_a, b[1], np.where(zero_b, a[1], hi))
    return keep_sign(ends, (a[0] >= 0.0) & (b[0] >= 0.0), (a[1] <= 0.0) & (b[1] <= 0.0))


def neg(a: Range) -> Range:
    """``−a``."""
    return -a[1], -a[0]


def _times(x: Any, y: Any) -> Any:
    """``x y`` of ends, where 0 times infinity is 0: an infinite end is no number."""
    return np.where((x == 0.0) | (y == 0.0), 0.0, x * y)


def mul(a: Range, b: Range) -> Range:
    """``a b``."""
    products = [_times(x, y) for x in a for y in b]
    lo, hi = outward(np.minimum.reduce(products), np.maximum.reduce(products))
    positive_a, negative_a = a[0] >= 0.0, a[1] <= 0.0
    positive_b, negative_b = b[0] >= 0.0, b[1] <= 0.0
    return keep_sign(
        (lo, hi),
        (positive_a & positive_b) | (negative_a & negative_b),
        (positive_a & negative_b) | (negative_a & positive_b),
    )


def reciprocal(a: Range) -> Range:
    """``1 / a``; unbounded where a may be 0."""
    nonzero = (a[0] > 0.0) | (a[1] < 0.0)
    lo, hi = outward(1.0 / np.where(nonzero, a[1], 1.0), 1.0 / np.where(nonzero, a[0], 1.0))
    lo, hi = keep_sign((lo, hi), a[0] > 0.0, a[1] < 0.0)
    return np.where(nonzero, lo, -np.inf), np.where(nonzero, hi, np.inf)


def magnitude(a: Range) -> Range:
    """``|a|``."""
    return np.maximum(np.maximum(a[0], -a[1]), 0.0), np.maximum(np.abs(a[0]), np.abs(a[1]))


def positive_power(a: Range, t: Any) -> Range:
    """``a^t`` for a >= 0 and exact t > 0."""
    low, high = np.maximum(a[0], 0.0), np.maximum(a[1], 0.0)
    if np.ndim(t) == 0 and t == 1.0:
        return low, high
    if np.ndim(t) == 0 and t in (0.5, 2.0):
        # The square of infinity, and its root, are exact too: NumPy rounds both correctly.
        lo, hi = outward(*((np.sqrt(low), np.sqrt(high)) if t == 0.5 else (low * low, high * high)))
    else:
        lo, hi = outward(low**t, high**t, ELEMENTARY + np.abs(t))
    return np.maximum(lo, 0.0), hi


def total(a: Range, axes: tuple[int, ...]) -> Range:
    """Sum along axes."""
    count = float(np.prod([a[0].shape[axis] for axis in axes])) + 2.0
    ends = []
    for end, sign in ((a[0], -1.0), (a[1], 1.0)):
        slip = np.sum(np.abs(end), axes) * (count * EPS) + count * LEAST
        value = np.sum(end, axes) + sign * slip
        ends.append(np.where(np.isnan(value), sign * np.inf, value))
    return keep_sign((ends[0], ends[1]), np.all(a[0] >= 0.0, axes), np.all(a[1] <= 0.0, axes))


class Region(NamedTuple):
    """Where a function of one number is convex, concave, rises and falls: each of the ends of an argument's range."""

    convex: Callable[..., Any]
    concave: Callable[..., Any]
    rises: Callable[..., Any]
    falls: Callable[..., Any]


def always(lo: Any, hi: Any) -> Any:
    """Everywhere."""
    return np.ones(np.shape(lo), bool)


def never(lo: Any, hi: Any) -> Any:
    """Nowhere."""
    return np.zeros(np.shape(lo), bool)


def right(lo: Any, hi: Any) -> Any:
    """On numbers >= 0."""
    return lo >= 0.0


def left(lo: Any, hi: Any) -> Any:
    """On numbers <= 0."""
    return hi <= 0.0


def half_wave(phase: float) -> Callable[..., Any]:
    """Where the range lies in [(2k + phase) π, (2k + 1 + phase) π]; ends within rounding of a border do not."""

    def inside(lo: Any, hi: Any) -> Any:
        with np.errstate(all="ignore"):
            start, end = lo / math.pi - phase, hi / math.pi - phase
            turn = np.floor(start)
            # 0 is the only border that is a double: there the lower or upper end may touch.
            slack = 8.0 * EPS * (np.abs(start) + np.abs(end) + 1.0)
            above = (start - turn >= slack) | ((lo == 0.0) & phase.is_integer())
            below = (end <= turn + 1.0 - slack) | ((hi == 0.0) & phase.is_integer() & (end <= turn + 1.0))
            return above & below & (np.mod(turn, 2.0) == 0.0) & np.isfinite(start) & np.isfinite(end)

    return inside


REGIONS: dict[str, Region] = {
    "expm1": Region(always, never, always, never),
    "cosh": Region(always, never, right, left),
    "sinh": Region(right, left, always, never),
    "tanh": Region(left, right, always, never),
    "logistic": Region(left, right, always, never),
    "erf": Region(left, right, always, never),
    "erfc": Region(right, left, never, always),
    "atan": Region(left, right, always, never),
    "asinh": Region(left, right, always, never),
    "acosh": Region(never, always, always, never),
    "atanh": Region(right, left, always, never),
    "asin": Region(right, left, always, never),
    "acos": Region(left, right, never, always),
    "cbrt": Region(left, right, always, never),
    "sin": Region(half_wave(-1.0), half_wave(0.0), half_wave(-0.5), half_wave(0.5)),
    "cos": Region(half_wave(0.5), half_wave(-0.5), half_wave(-1.0), half_wave(0.0)),
    "tan": Region(
        lambda lo, hi: (lo >= 0.0) & half_wave(-0.5)(lo, hi) & (hi < 2.0),
        lambda lo, hi: (hi <= 0.0) & half_wave(-0.5)(lo, hi) & (lo > -2.0),
        lambda lo, hi: half_wave(-0.5)(lo, hi) & (np.abs(lo) < 2.0),
        never,
    ),
}
"""primitive -> where it bends which way"""

_WAVES = {"sin", "cos"}
_INCREASING: dict[str, tuple[Callable[..., Any], tuple[float, float], tuple[float, float]]] = {
    "exp": (np.exp, (-math.inf, math.inf), (0.0, math.inf)),
    "expm1": (np.expm1, (-math.inf, math.inf), (-1.0, math.inf)),
    "log": (np.log, (0.0, math.inf), (-math.inf, math.inf)),
    "sinh": (np.sinh, (-math.inf, math.inf), (-math.inf, math.inf)),
    "tanh": (np.tanh, (-math.inf, math.inf), (-1.0, 1.0)),
    "logistic": (special.expit, (-math.inf, math.inf), (0.0, 1.0)),
    "erf": (special.erf, (-math.inf, math.inf), (-1.0, 1.0)),
    "atan": (np.arctan, (-math.inf, math.inf), (-2.0, 2.0)),
    "asinh": (np.arcsinh, (-math.inf, math.inf), (-math.inf, math.inf)),
    "acosh": (np.arccosh, (1.0, math.inf), (0.0, math.inf)),
    "atanh": (np.arctanh, (-1.0, 1.0), (-math.inf, math.inf)),
    "asin": (np.arcsin, (-1.0, 1.0), (-2.0, 2.0)),
    "cbrt": (np.cbrt, (-math.inf, math.inf), (-math.inf, math.inf)),
    "floor": (np.floor, (-math.inf, math.inf), (-math.inf, math.inf)),
    "ceil": (np.ceil, (-math.inf, math.inf), (-math.inf, math.inf)),
    "sign": (np.sign, (-math.inf, math.inf), (-1.0, 1.0)),
}
_OPEN = {"log", "atanh"}
"""undefined at the ends of their domain"""


def elementary(name: str, a: Range) -> tuple[Range, bool] | None:
    """Range of a function of one number, and whether it is certainly defined; None for one that is not known."""
    if name in _WAVES:
        return (np.full(a[0].shape, -1.0), np.full(a[0].shape, 1.0)), True
    if name == "cosh":
        size = magnitude(a)
        lo, hi = outward(np.cosh(size[0]), np.cosh(size[1]), ELEMENTARY)
        return (np.maximum(lo, 1.0), hi), True
    if name == "erfc":
        lo, hi = outward(
            np.where(a[1] > LARGEST_ERFC, 0.0, special.erfc(a[1])),
            special.erfc(np.minimum(a[0], LARGEST_ERFC)),
            COMPLEMENTARY,
        )
        return (np.clip(lo, 0.0, 2.0), np.clip(hi, 0.0, 2.0)), True
    if name == "acos":
        (lo, hi), defined = elementary("asin", a) or ((a[0], a[1]), False)
        # arccos = π/2 − arcsin, and 1.5 < π/2 < 1.6.
        return (np.clip(1.5 - hi, 0.0, 4.0), np.clip(1.6 - lo, 0.0, 4.0)), defined
    if name == "tan":
        tame = REGIONS["tan"].rises(*a)
        lo, hi = outward(np.tan(a[0]), np.tan(a[1]), ELEMENTARY)
        lo, hi = keep_sign((lo, hi), tame & (a[0] >= 0.0), tame & (a[1] <= 0.0))
        return (np.where(tame, lo, -np.inf), np.where(tame, hi, np.inf)), bool(np.all(tame))
    if name not in _INCREASING:
        return None
    point, domain, bounds = _INCREASING[name]
    if name in _OPEN:
        inside = (a[0] > domain[0]) & (a[1] < domain[1] if domain[1] < math.inf else True)
    else:
        inside = (a[0] >= domain[0]) & (a[1] <= domain[1])
    clipped = np.clip(a[0], *domain), np.clip(a[1], *domain)
    lo, hi = outward(point(clipped[0]), point(clipped[1]), ELEMENTARY)
    lo, hi = np.clip(lo, *bounds), np.clip(hi, *bounds)
    if point(np.float64(0.0)) == 0.0:
        lo, hi = keep_sign((lo, hi), a[0] >= 0.0, a[1] <= 0.0)
    if name == "log":
        lo, hi = keep_sign((lo, hi), a[0] >= 1.0, a[1] <= 1.0)
    return (lo, hi), bool(np.all(inside))


__all__ = ["EPS", "REGIONS", "Range", "Region", "add", "elementary", "keep_sign", "magnitude", "mul", "neg"]
__all__ += ["outward", "positive_power", "reciprocal", "total"]
