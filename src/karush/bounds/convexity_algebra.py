"""Arithmetic and elementary functions of curves: the rules of convex analysis, one function each [BV04, ch. 3].

```
f(u) convex   where f is convex on the range of u, and u is affine, or f rises and u is convex, or f falls and u concave
w φ(u / w)    convex in (u, w) for a convex φ and affine u, w > 0: the perspective
```
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from karush.bounds import convexity_ranges as ranges
from karush.bounds.convexity_curve import (
    NONE,
    UNKNOWN,
    Curve,
    Shift,
    constant,
    curve,
    free,
    negative_part,
    power_indices,
    product_index,
    spread,
    sum_index,
    within,
)


def neg(a: Curve) -> Curve:
    """``−a``."""
    rc, rk = negative_part(a)
    shift = None
    if a.shift is not None:
        factor = a.shift.factor if a.shift.of_exp else -a.shift.factor
        shift = Shift(neg(a.shift.base), a.shift.ids, factor, a.shift.of_exp)
    flipped = a.log_of is not None and a.log_of[1] is not None
    return curve(
        ranges.neg(a.range),
        a.concave,
        a.convex,
        rc=rc,
        rk=rk,
        ec=-a.ek,
        ek=-a.ec,
        size_convex=a.size_convex,
        constant=a.constant,
        defined=a.defined,
        shift=shift,
        names=None if a.names is None else -a.names,
        over={key: neg(part) for key, part in a.over.items()},
        log_of=(a.log_of[1], a.log_of[0]) if flipped and a.log_of is not None else None,
    )


def add(a: Curve, b: Curve) -> Curve:
    """``a + b``."""
    ends = ranges.add(a.range, b.range)
    defined = min(a.defined, b.defined)
    if a.constant and b.constant:
        return constant(ends, defined=defined)
    out = curve(
        ends,
        a.convex & b.convex,
        a.concave & b.concave,
        rc=sum_index(np.stack(np.broadcast_arrays(a.rc, b.rc)), 0),
        rk=-sum_index_down(np.stack(np.broadcast_arrays(a.rk, b.rk)), 0),
        ec=product_index(a.ec, b.ec),
        ek=-product_index(-a.ek, -b.ek),
        defined=defined,
        shift=_shift_of_sum(a, b),
        over=joint(add, a, b),
        positive=_positive_sum(a, b),
    )
    return settled(out)


def _positive_sum(a: Curve, b: Curve) -> np.ndarray:
    return (a.positive & ((b.lo >= 0.0) | b.positive)) | (b.positive & (a.lo >= 0.0))


def sum_index_down(rk: Any, axis: Any = None) -> np.ndarray:
    """Minus the index of r-concavity of a sum: the smallest, if it is no smaller than 1."""
    least = np.min(rk, axis, initial=np.inf)
    return np.where(least >= 1.0 - 8.0 * ranges.EPS, -least, NONE)


def joint(function: Callable[[Curve, Curve], Curve], a: Curve, b: Curve) -> dict[int, Curve]:
    """`function` of both as functions of the same ratios; constants are functions of any."""
    out = {}
    for key in {*a.over, *b.over}:
        one, other = (x.plain if x.constant else x.over.get(key) for x in (a, b))
        if one is not None and other is not None:
            out[key] = function(one, other)
    return out


def _shift_of_sum(a: Curve, b: Curve) -> Shift | None:
    """``(base_a + c m) + (base_b + d m)``; an operand that is itself a maximum may be taken for m."""
    if all(one.shift is None and one.names is None for one in (a, b)):
        return None
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = spread(a, shape), spread(b, shape)
    known = [one.shift.ids for one in (a, b) if one.shift is not None and not one.shift.of_exp]
    known += [np.abs(one.names) for one in (a, b) if one.names is not None]
    for ids in known:
        mine, theirs = _as_shift(a, ids), _as_shift(b, ids)
        return Shift(add(mine.base, theirs.base), ids, np.asarray(mine.factor + theirs.factor), False)
    return None


def _as_shift(a: Curve, ids: np.ndarray) -> Shift:
    """a as ``base + c m``: a maximum as ``0 + 1 m``, any other value with c = 0."""
    if a.shift is not None and not a.shift.of_exp and np.array_equal(a.shift.ids, ids):
        return a.shift
    zeros = np.zeros(a.shape)
    if a.names is not None and np.array_equal(np.abs(a.names), ids):
        return Shift(constant((zeros, zeros)), ids, np.asarray(np.sign(a.names), float), False)
    return Shift(replace(a, shift=None), ids, zeros, False)


def settled(a: Curve) -> Curve:
    """With what its base says, once no maximum is left in it."""
    if a.shift is None or np.any(a.shift.factor != 0.0):
        return a
    base = a.shift.base
    return curve(
        a.range,
        a.convex | base.convex,
        a.concave | base.concave,
        rc=np.minimum(a.rc, base.rc),
        rk=np.maximum(a.rk, base.rk),
        ec=np.minimum(a.ec, base.ec),
        ek=np.maximum(a.ek, base.ek),
        defined=a.defined,
        over=a.over,
        positive=a.positive,
    )


def multiply(a: Curve, b: Curve) -> Curve:
    """``a b``."""
    if a.constant:
        a, b = b, a
    if b.constant:
        return _scaled(a, b)
    if a.node >= 0 and a.node == b.node:
        return power(a, 2.0)
    (root, sign), (other, turned) = (x.multiple if x.multiple[0] >= 0 else (x.node, 1.0) for x in (a, b))
    if root >= 0 and root == other:
        # c x · d x = c d x²
        return _multiple_of_square(a, b, sign * turned)
    ends, defined = ranges.mul(a.range, b.range), min(a.defined, b.defined)
    (rc_a, rk_a, minus_a), (rc_b, rk_b, minus_b) = _sized(a), _sized(b)
    rc, rk = product_index(rc_a, rc_b), -product_index(-rk_a, -rk_b)
    minus = minus_a ^ minus_b
    convex, concave = minus & (rk >= 1.0), minus & (rc <= 1.0)
    for w, v in ((a, b), (b, a)):
        seen = v.over.get(w.key) if w.node >= 0 else None
        if seen is not None:
            convex, concave = convex | (seen.convex & _positive(w)), concave | (seen.concave & _positive(w))
    return curve(
        ends,
        convex,
        concave,
        rc=np.where(minus, NONE, rc),
        rk=np.where(minus, -NONE, rk),
        defined=defined,
        positive=a.positive & b.positive,
        over=joint(multiply, a, b),
    )


def _multiple_of_square(a: Curve, b: Curve, sign: float) -> Curve:
    """``a b`` where b is a multiple of a, of this sign."""
    ends, square, defined = ranges.mul(a.range, b.range), power(a, 2.0), min(a.defined, b.defined)
    if sign > 0.0:
        return curve((np.maximum(ends[0], 0.0), ends[1]), rc=square.rc, rk=square.rk, defined=defined)
    return curve((ends[0], np.minimum(ends[1], 0.0)), square.concave, square.convex, defined=defined)


def _positive(w: Curve) -> np.ndarray:
    return w.affine & (w.lo >= 0.0)


def _sized(a: Curve) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of |a| where a has one sign, and whether it is the negative one."""
    rc, rk = negative_part(a)
    below = (a.hi <= 0.0) & ~(a.lo >= 0.0)
    return np.where(below, rc, a.rc), np.where(below, rk, a.rk), below


def _scaled(a: Curve, c: Curve) -> Curve:
    """``c a`` for a constant c."""
    ends, defined = ranges.mul(a.range, c.range), min(a.defined, c.defined)
    if a.constant:
        return constant(ends, defined=defined)
    up, down = c.lo >= 0.0, c.hi <= 0.0
    # A quotient of constants is known to an ulp, which `SLACK` covers where it is an exponent.
    exact = c.hi - c.lo <= 4.0 * ranges.EPS * np.abs(c.lo)
    rc, rk = negative_part(a)
    either = exact & (c.lo == 0.0)
    # e^(c u) = (e^u)^c
    with np.errstate(all="ignore"):
        grown = power_indices(a.ec, a.ek, np.where(exact & ~either, c.lo, 1.0))
    known = exact & ~either
    shift = None
    if a.shift is not None and a.shape == np.broadcast_shapes(a.shape, c.shape):
        s = a.shift
        if s.of_exp or bool(np.all(c.lo == c.hi)):
            shift = Shift(_scaled(s.base, c), s.ids, s.factor if s.of_exp else s.factor * c.lo, s.of_exp)
    multiple = (-1, 1.0)
    if c.lo.size == 1 and bool(np.all(up ^ down)):
        node, sign = a.multiple if a.multiple[0] >= 0 else (a.node, 1.0)
        multiple = node, sign if bool(np.all(up)) else -sign
    return curve(
        ends,
        (up & a.convex) | (down & a.concave) | a.affine,
        (up & a.concave) | (down & a.convex) | a.affine,
        rc=np.where(up, a.rc, np.where(down, rc, NONE)),
        rk=np.where(up, a.rk, np.where(down, rk, -NONE)),
        ec=np.where(known, grown[0], NONE),
        ek=np.where(known, grown[1], -NONE),
        size_convex=a.size_convex,
        defined=defined,
        shift=shift,
        over={key: _scaled(part, c) for key, part in a.over.items()},
        positive=a.positive & (c.lo > 0.0),
        multiple=multiple,
        ratio=(a, None) if a.ratio is None and bool(np.all(c.lo > 0.0)) else None,
    )


def power(a: Curve, t: float) -> Curve:
    """``a^t`` for a number t written in the program."""
    if t == 1.0:
        return a
    one = np.ones(a.shape)
    if t == 0.0:
        return constant((one, one), defined=a.defined)
    whole, even = float(t).is_integer(), t % 2.0 == 0.0
    if not whole:
        a = within(a, bool(np.all(a.lo >= 0.0 if t > 0.0 else a.positive)), positive=t < 0.0)
    defined = a.defined
    size = ranges.magnitude(a.range)
    base = size if even else (np.maximum(a.lo, 0.0), np.maximum(a.hi, 0.0))
    ends = ranges.positive_power(base, abs(t))
    below = a.hi <= 0.0
    rc_n, rk_n = negative_part(a)
    if whole and not even:
        low = ranges.neg(ranges.positive_power((np.maximum(-a.hi, 0.0), np.maximum(-a.lo, 0.0)), abs(t)))
        ends = np.where(a.lo >= 0.0, ends[0], low[0]), np.where(below, low[1], ends[1])
    if t < 0.0:
        if not bool(np.all(a.positive | (a.hi < 0.0))):
            defined = UNKNOWN
        # Of a value that is positive without a bound, the power is unbounded above only.
        ends = ranges.reciprocal(ends)
        ends = np.where(a.positive, np.maximum(ends[0], 0.0), ends[0]), ends[1]
    if a.constant:
        return constant(ends, defined=defined)
    nonneg = a.lo >= 0.0
    # Where a changes its sign, |a|^t with an even t >= 2 is a power of |a|.
    rc = np.where(nonneg, a.rc, np.where(below, rc_n, np.where(a.size_convex, 1.0, NONE)))
    rk = np.where(nonneg, a.rk, np.where(below, rk_n, -NONE))
    up, down = power_indices(rc, rk, np.asarray(t))
    over = {key: power(part, t) for key, part in a.over.items()}
    positive = a.positive | (even & (a.hi < 0.0))
    if even:
        return curve(ends, rc=up, rk=down, defined=defined, over=over, positive=positive)
    minus = below & ~nonneg
    mixed = ~nonneg & ~below
    up, down = np.where(mixed, NONE, up), np.where(mixed, -NONE, down)
    return curve(
        ends,
        minus & (down >= 1.0),
        minus & (up <= 1.0),
        rc=np.where(minus, NONE, up),
        rk=np.where(minus, -NONE, down),
        defined=defined,
        over=over,
        positive=positive,
    )


def divide(a: Curve, b: Curve) -> Curve:
    """``a / b``."""
    if b.constant:
        return multiply(a, power(b, -1.0))
    out = multiply(a, power(b, -1.0))
    over = dict(out.over)
    if bool(np.all(b.positive & np.broadcast_to(a.affine, out.shape))):
        over[b.key] = free(out)
    return replace(out, over=over, ratio=(a, b))


__all__ = ["add", "divide", "joint", "multiply", "neg", "power", "sum_index_down"]
