"""What is known of a value of a program as a function of x: its range, how it bends, and how its powers bend.

A function v >= 0 is *r-convex* where v^r is convex (r > 0), log v is convex (r = 0) or v^r is concave (r < 0), which is
``v(mid) <= M_r(v(a), v(b))`` with the power mean M_r; r-concave with the sign turned [BV04, ch. 3]. Smaller r says more
of an r-convex function, larger r of an r-concave one, and

```
v^t                 r / t                      of an r-concave v with t < 0:  r/t-convex
v + w               max(r, s) <= 1  (convex)            min(r, s) >= 1  (concave)
v w                 1 / (1/r + 1/s)            geometric means, products of log-convex functions, x² / y
log v               convex where r <= 0, concave where r >= 0
```

so that norms, log-sum-exp, geometric means and quadratic over linear follow from sums, products and powers alone.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from karush.bounds.convexity_ranges import Range

SLACK = 8.0 * 2.0**-52
"""relative error of an exponent that stands for a fraction: 1/3 written as a double means a third"""
UNKNOWN, CONVEX_PART, EVERYWHERE = 0, 1, 2
"""where a function is defined: not known, on a convex part of the box, on the whole of it"""
NONE = np.inf
"""index of r-convexity where none is known; its negative of r-concavity"""


@dataclass(frozen=True, eq=False)
class Shift:
    """The same value as ``base + c m``, or as ``base exp(c m)``: m is a maximum taken out to keep exp from overflowing.

    It holds whatever m is, so that the curvature of the base is that of the value once c is 0.
    """

    base: "Curve"
    ids: np.ndarray
    """which m belongs to each element"""
    factor: np.ndarray
    """c of each element"""
    of_exp: bool


@dataclass(frozen=True, eq=False)
class Curve:
    """A float array of the program; every array field has its shape."""

    lo: np.ndarray
    hi: np.ndarray
    convex: np.ndarray
    concave: np.ndarray
    rc: np.ndarray
    """r such that the value is r-convex"""
    rk: np.ndarray
    """r such that the value is r-concave"""
    ec: np.ndarray
    """r such that exp(value) is r-convex"""
    ek: np.ndarray
    """r such that exp(value) is r-concave"""
    size_convex: np.ndarray
    """whether |value| is convex"""
    positive: np.ndarray
    """whether the value is > 0 at every x, though its range may end at 0"""
    constant: bool = False
    defined: int = EVERYWHERE
    """where the exact function is defined, up to here; ranges are those of points where it is"""
    node: int = -1
    """number of the expression: equal numbers, equal values"""
    shift: Shift | None = None
    names: np.ndarray | None = None
    """of a maximum: the number of each element as an m of `Shift`"""
    ratio: "tuple[Curve, Curve | None] | None" = None
    """(n, d) where the value is n / d; (n, None) for n"""
    log_of: "tuple[Curve, Curve | None] | None" = None
    """(n, d) where the value is log(n / d)"""
    times_log: "tuple[Curve, Curve] | None" = None
    """(x, y) where the value is x log y, and 0 for x = 0"""
    over: "dict[int, Curve]" = field(default_factory=dict)
    """key of w -> the value as a function of z = u / w with affine u: w times it is as convex as that, if w is affine
    and positive (the perspective)"""
    scalar: int = -1
    """number of the single number that all elements are"""
    linear: tuple[int, np.ndarray] | None = None
    """(number of a vector, exact M) where the value is M times that vector"""
    multiple: tuple[int, float] = (-1, 1.0)
    """(number of an expression, sign of c) where the value is c times that expression"""
    clipped: int = -1
    """number of what was cut off at constants to give this value"""
    sorted_of: "tuple[Curve, np.ndarray] | None" = None
    """(value before sorting, place of each element in ascending order)"""

    @property
    def range(self) -> Range:
        """Both ends."""
        return self.lo, self.hi

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape."""
        return self.lo.shape

    @property
    def affine(self) -> np.ndarray:
        """Convex and concave."""
        return self.convex & self.concave

    @property
    def key(self) -> int:
        """Even, for the single number that is repeated here; odd, for an expression of several."""
        single = self.scalar if self.scalar >= 0 else self.node if self.shape == () else -1
        return 2 * single if single >= 0 else 2 * self.node + 1

    @property
    def plain(self) -> "Curve":
        """Without what is said of perspectives and shifts of it."""
        return replace(self, over={}, shift=None)

    @property
    def known(self) -> bool:
        """Whether every element bends one way only."""
        return bool(np.all(self.convex | self.concave))


FIELDS = ("lo", "hi", "convex", "concave", "rc", "rk", "ec", "ek", "size_convex", "positive")
"""fields that are moved with the elements"""


def curve(
    ends: Range,
    convex: Any = False,
    concave: Any = False,
    *,
    rc: Any = NONE,
    rk: Any = -NONE,
    ec: Any = NONE,
    ek: Any = -NONE,
    size_convex: Any = False,
    positive: Any = False,
    **more: Any,
) -> Curve:
    """A curve with everything that follows from what is given.

    A constant is r-convex and r-concave for every r; indices belong to values that are never negative.
    """
    lo, hi = (np.asarray(end, np.float64) for end in ends)
    shape = lo.shape
    if more.get("constant"):
        convex, concave, rc, rk, ec, ek = True, True, -np.inf, np.inf, -np.inf, np.inf
    flags = (convex, concave, size_convex, positive)
    convex, concave, size_convex, positive = (np.broadcast_to(flag, shape) for flag in flags)
    rc, rk, ec, ek = (np.broadcast_to(np.asarray(index, np.float64), shape) for index in (rc, rk, ec, ek))
    nonneg = lo >= 0.0
    rc, rk = np.where(nonneg, rc, NONE), np.where(nonneg, rk, -NONE)
    convex = convex | (rc <= 1.0 + SLACK) | (ec <= 0.0)
    concave = concave | (rk >= 1.0 - SLACK) | (ek >= 0.0)
    rc, rk = np.where(nonneg & convex, np.minimum(rc, 1.0), rc), np.where(nonneg & concave, np.maximum(rk, 1.0), rk)
    ec, ek = np.where(convex, np.minimum(ec, 0.0), ec), np.where(concave, np.maximum(ek, 0.0), ek)
    size_convex = size_convex | (convex & nonneg) | (concave & (hi <= 0.0)) | (convex & concave)
    positive = positive | (lo > 0.0)
    values = (lo, hi, convex, concave, rc, rk, ec, ek, size_convex, positive)
    # Operations on arrays of shape () return numbers.
    fields: dict[str, Any] = {name: np.asarray(value) for name, value in zip(FIELDS, values, strict=True)}
    return Curve(**fields, **more)


def constant(ends: Range, **more: Any) -> Curve:
    """A number that does not depend on x."""
    return curve(ends, constant=True, **more)


def unknown(shape: tuple[int, ...], *, defined: int = UNKNOWN, is_constant: bool = False) -> Curve:
    """Any real number, bent in any way."""
    wide = np.full(shape, -np.inf), np.full(shape, np.inf)
    return curve(wide, constant=is_constant, defined=defined)


def product_index(r: Any, s: Any) -> np.ndarray:
    """Index of r-convexity of a product of values >= 0: ``1 / (1/r + 1/s)`` where that is a theorem.

    ``f^p / g^q`` with f convex, g concave, p > q is a perspective of a power; ``1/(f g)`` is a geometric mean inverted.
    """
    r, s = np.broadcast_arrays(np.asarray(r, np.float64), np.asarray(s, np.float64))
    with np.errstate(all="ignore"):
        p = 1.0 / r + 1.0 / s
        met = 1.0 / p
    met = np.where(np.isneginf(r), s, np.where(np.isneginf(s), r, met))
    finite = ~np.isposinf(r) & ~np.isposinf(s)
    negative = (r < 0.0) & (s < 0.0)
    log = (r <= 0.0) & (s <= 0.0) & ((r == 0.0) | (s == 0.0))
    mixed = (np.minimum(r, s) < 0.0) & (np.maximum(r, s) > 0.0) & (p > 0.0)
    some_constant = np.isneginf(r) | np.isneginf(s)
    ok = finite & (negative | mixed | some_constant)
    return np.where(finite & log & ~some_constant, 0.0, np.where(ok, met, NONE))


def sum_index(rc: Any, axis: Any = None) -> np.ndarray:
    """Index of r-convexity of a sum: the largest, if it is no larger than 1."""
    largest = np.max(rc, axis, initial=-np.inf)
    return np.where(largest <= 1.0 + SLACK, largest, NONE)


def negative_part(a: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Indices (rc, rk) of −a where a <= 0."""
    below = a.hi <= 0.0
    return np.where(below & a.concave, 1.0, NONE), np.where(below & a.convex, 1.0, -NONE)


def mapped(a: Curve, move: Any, **more: Any) -> Curve:
    """Every field moved the same way; what belongs to whole arrays is dropped, but for shifts and divisors."""
    fields: dict[str, Any] = {name: np.asarray(move(getattr(a, name))) for name in FIELDS}
    shift = a.shift
    if shift is not None:
        ids, factor = np.asarray(move(shift.ids)), np.asarray(move(shift.factor))
        shift = Shift(mapped(shift.base, move), ids, factor, shift.of_exp)
    over = {key: mapped(part, move) for key, part in a.over.items() if key % 2 == 0}
    whole: dict[str, Any] = dict(
        constant=a.constant,
        defined=a.defined,
        shift=shift,
        names=None if a.names is None else move(a.names),
        over=over,
    )
    return Curve(**fields, **{**whole, **more})


def power_indices(rc: Any, rk: Any, t: Any) -> tuple[np.ndarray, np.ndarray]:
    """Indices of v^t."""
    with np.errstate(all="ignore"):
        return np.where(t > 0.0, rc / t, rk / t), np.where(t > 0.0, rk / t, rc / t)


def free(a: Curve, sign: int = 0) -> Curve:
    """A value for a variable of its own: affine, or for a sign convex (1) or concave (−1)."""
    return curve(a.range, sign >= 0, sign <= 0, defined=a.defined, positive=a.positive)


def within(a: Curve, inside: bool, *, positive: bool = False) -> Curve:
    """What a function of a works with that needs a >= 0, or a > 0, where a surely is so or not.

    The part of the box where a concave function is positive is convex; points outside it do not count.
    """
    if inside:
        return a
    if not bool(np.all(a.concave)):
        return replace(a, defined=UNKNOWN)
    ends = np.maximum(a.lo, 0.0), np.maximum(a.hi, 0.0)
    more = {name: getattr(a, name) for name in FIELDS if name not in ("lo", "hi", "positive")}
    kept = curve(ends, **more, positive=a.positive | positive, constant=a.constant)
    return replace(a, **{name: getattr(kept, name) for name in FIELDS}, defined=min(a.defined, CONVEX_PART))


def spread(a: Curve, shape: tuple[int, ...]) -> Curve:
    """Repeated to a shape."""
    return a if a.shape == shape else mapped(a, lambda part: np.broadcast_to(part, shape))


__all__ = ["CONVEX_PART", "EVERYWHERE", "FIELDS", "NONE", "SLACK", "UNKNOWN", "Curve", "Shift", "constant", "curve"]
__all__ += ["free", "mapped", "negative_part", "power_indices", "product_index", "spread", "sum_index", "unknown"]
__all__ += ["within"]
