"""Elementary functions, extremes and differences of curves, by the rules of convex analysis [BV04, ch. 3].

```
f(u) convex   where f is convex on the range of u, and u is affine, or f rises and u is convex, or f falls and u concave
```
"""

from dataclasses import replace

import numpy as np

from karush.bounds import convexity_ranges as ranges
from karush.bounds.convexity_algebra import add, joint, multiply, neg, power
from karush.bounds.convexity_curve import (
    NONE,
    UNKNOWN,
    Curve,
    Shift,
    constant,
    curve,
    free,
    power_indices,
    unknown,
    within,
)

Flags = tuple[np.ndarray, np.ndarray]
POSITIVE = frozenset({"cosh", "logistic", "erfc"})
"""functions whose values are > 0"""


def powers(a: Curve, b: Curve) -> Curve:
    """``a^b``: a number to a number, or exp(b log a)."""
    exact = b.constant and b.lo.size > 0 and bool(np.all((b.lo == b.hi) & (b.lo == b.lo.flat[0])))
    if exact:
        return power(a, float(b.lo.flat[0]))
    if b.constant and bool(np.all((b.lo == b.hi) & (a.lo > 0.0))):
        up, down = power_indices(a.rc, a.rk, b.lo)
        wide = exp(multiply(log(a), b)).range
        return curve(wide, rc=up, rk=down, defined=a.defined)
    return exp(multiply(log(a), b))


def exp(a: Curve) -> Curve:
    """``e^a``."""
    ends, _ = ranges.elementary("exp", a.range) or (a.range, False)
    if a.constant:
        return constant(ends, defined=a.defined, positive=True)
    shift = None
    if a.shift is not None and not a.shift.of_exp:
        shift = Shift(exp(a.shift.base), a.shift.ids, a.shift.factor, True)
    over = {key: exp(part) for key, part in a.over.items()}
    return curve(ends, a.convex, False, rc=a.ec, rk=a.ek, defined=a.defined, shift=shift, over=over, positive=True)


def log(a: Curve) -> Curve:
    """``log a``."""
    ends, inside = ranges.elementary("log", a.range) or (a.range, False)
    a = within(a, inside or bool(np.all(a.positive)), positive=True)
    defined = a.defined
    if a.constant:
        return constant(ends, defined=defined)
    over = {key: log(part) for key, part in a.over.items()}
    top, bottom = a.ratio if a.ratio is not None else (a, None)
    if bottom is None:
        # a log a = −a log(1/a), also where log is taken of a multiple
        over[a.key] = free(curve(ends, defined=defined), 1)
        if top is not a and top.shape == a.shape:
            over[top.key] = over[a.key]
    else:
        over |= _over_of_log(top, bottom, ends, defined)
    shift = None
    if a.shift is not None and a.shift.of_exp:
        shift = Shift(log(a.shift.base), a.shift.ids, a.shift.factor, False)
    return curve(
        ends,
        ec=a.rc,
        ek=a.rk,
        defined=defined,
        over=over,
        shift=shift,
        log_of=a.ratio if bottom is not None else (a, None),
    )


def _over_of_log(top: Curve, bottom: Curve, ends: ranges.Range, defined: int) -> dict[int, Curve]:
    """``n log(n/d)`` is convex, and ``d log(n/d)`` concave, for affine n and d."""
    value, out = curve(ends, defined=defined), {}
    if bool(np.all(bottom.affine)):
        out[top.key] = free(value, 1)
    if bool(np.all(top.affine)):
        out[bottom.key] = free(value, -1)
    return out


def _composed(region: ranges.Region, ends: ranges.Range, convex: np.ndarray, concave: np.ndarray) -> Flags:
    affine, rises, falls = convex & concave, region.rises(*ends), region.falls(*ends)
    return (
        region.convex(*ends) & (affine | (rises & convex) | (falls & concave)),
        region.concave(*ends) & (affine | (rises & concave) | (falls & convex)),
    )


def smooth(name: str, a: Curve) -> Curve:
    """A function of `convexity_ranges.REGIONS`."""
    found = ranges.elementary(name, a.range)
    if found is None:
        return unknown(a.shape)
    ends, inside = found
    defined = a.defined if inside else UNKNOWN
    if a.constant:
        return constant(ends, defined=defined)
    region = ranges.REGIONS[name]
    convex, concave = _composed(region, a.range, a.convex, a.concave)
    rc, rk = np.full(a.shape, NONE), np.full(a.shape, -NONE)
    if name == "cosh":
        # log cosh is convex, and rises with |u|.
        rc = np.where(a.size_convex, 0.0, NONE)
    if name == "logistic":
        # log of it is −log(1 + e^−u), concave and rising.
        rk = np.where(a.concave, 0.0, -NONE)
    if name == "erfc":
        rk = np.where(a.convex, 0.0, -NONE)
    return curve(
        ends,
        convex,
        concave,
        rc=rc,
        rk=rk,
        defined=defined,
        over={k: smooth(name, v) for k, v in a.over.items()},
        positive=name in POSITIVE,
    )


def absolute(a: Curve) -> Curve:
    """``|a|``."""
    if bool(np.all(a.lo >= 0.0)):
        return a
    if bool(np.all(a.hi <= 0.0)):
        return neg(a)
    ends = ranges.magnitude(a.range)
    if a.constant:
        return constant(ends, defined=a.defined)
    nonneg, below = a.lo >= 0.0, a.hi <= 0.0
    rk = np.where(nonneg, a.rk, np.where(below & a.convex, 1.0, -NONE))
    rc = np.where(nonneg, a.rc, NONE)
    over = {key: absolute(part) for key, part in a.over.items()}
    positive = a.positive | (a.hi < 0.0)
    return curve(ends, a.size_convex, False, rc=rc, rk=rk, defined=a.defined, over=over, positive=positive)


def larger(a: Curve, b: Curve) -> Curve:
    """``max(a, b)``."""
    for one, other in ((a, b), (b, a)):
        if one.shape == np.broadcast_shapes(one.shape, other.shape) and bool(np.all(one.lo >= other.hi)):
            return replace(one, defined=min(one.defined, other.defined))
    ends = np.maximum(a.lo, b.lo), np.maximum(a.hi, b.hi)
    defined = min(a.defined, b.defined)
    if a.constant and b.constant:
        return constant(ends, defined=defined)
    first, second = a.lo >= b.hi, b.lo >= a.hi
    clipped = next((one.node for one, other in ((a, b), (b, a)) if other.constant and one.node >= 0), -1)
    return curve(
        ends,
        (a.convex & b.convex) | (first & a.convex) | (second & b.convex),
        (first & a.concave) | (second & b.concave),
        rc=np.maximum(a.rc, b.rc),
        ec=np.maximum(a.ec, b.ec),
        defined=defined,
        over=joint(larger, a, b),
        clipped=clipped,
        positive=a.positive | b.positive,
    )


def smaller(a: Curve, b: Curve) -> Curve:
    """``min(a, b)``."""
    for one, other in ((a, b), (b, a)):
        if one.shape == np.broadcast_shapes(one.shape, other.shape) and bool(np.all(one.hi <= other.lo)):
            return replace(one, defined=min(one.defined, other.defined))
    out = larger(neg(a), neg(b))
    turned = neg(out)
    rk = np.minimum(a.rk, b.rk)
    ek = np.minimum(a.ek, b.ek)
    clipped = next(
        (one.clipped if one.clipped >= 0 else one.node for one, other in ((a, b), (b, a)) if other.constant), -1
    )
    return curve(
        turned.range,
        turned.convex,
        turned.concave,
        rc=turned.rc,
        rk=np.maximum(turned.rk, rk),
        ec=turned.ec,
        ek=np.maximum(turned.ek, ek),
        constant=turned.constant,
        defined=turned.defined,
        over=turned.over,
        clipped=clipped,
        positive=a.positive & b.positive,
    )


def subtract(a: Curve, b: Curve) -> Curve:
    """``a − b``; of logarithms, and of what was cut off."""
    out = add(a, neg(b))
    if a.log_of is not None and b.log_of is not None and a.log_of[1] is None and b.log_of[1] is None:
        top, bottom = a.log_of[0], b.log_of[0]
        if top.shape == bottom.shape == out.shape:
            over = {**out.over, **_over_of_log(top, bottom, out.range, out.defined)}
            return replace(out, over=over, log_of=(top, bottom))
    if a.times_log is not None and b.times_log is not None and a.times_log[0].node == b.times_log[0].node >= 0:
        (x, y), (_, z) = a.times_log, b.times_log
        if x.node == y.node and bool(np.all(x.affine & z.affine)):
            # x log x − x log z, jointly convex
            return curve(out.range, True, out.concave, defined=out.defined)
    # u − clip(u) = max(u − h, 0) + min(u − l, 0), whose size max(u − h, l − u, 0) is convex for an affine u.
    for whole, part in ((a, b), (b, a)):
        if part.clipped >= 0 and part.clipped == whole.node:
            return curve(
                out.range,
                out.convex,
                out.concave,
                rc=out.rc,
                rk=out.rk,
                ec=out.ec,
                ek=out.ek,
                defined=out.defined,
                size_convex=whole.affine,
            )
    return out


__all__ = ["absolute", "exp", "larger", "log", "powers", "smaller", "smooth", "subtract"]
