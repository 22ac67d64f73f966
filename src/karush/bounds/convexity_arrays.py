"""Rules of curves for sums, extremes, products and contractions over arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from karush.arithmetic.semidefinite import semidefinite
from karush.bounds import convexity_algebra as algebra
from karush.bounds import convexity_ranges as ranges
from karush.bounds.convexity_curve import FIELDS, NONE, Curve, Shift, constant, curve, product_index, sum_index, unknown

MOST_FACTORS = 10_000_000
"""elements of a contraction of two values that is written out"""


def total(a: Curve, axes: Sequence[int]) -> Curve:
    """Sum along axes."""
    axes = tuple(axes)
    if not axes:
        return a
    ends = ranges.total(a.range, axes)
    if a.constant:
        return constant(ends, defined=a.defined)
    shift = None
    if a.shift is not None and a.shift.of_exp and _uniform(a.shift.ids, axes) and _uniform(a.shift.factor, axes):
        first = tuple(0 if axis in axes else slice(None) for axis in range(a.lo.ndim))
        shift = Shift(
            total(a.shift.base, axes), np.asarray(a.shift.ids[first]), np.asarray(a.shift.factor[first]), True
        )
    over = {key: total(part, axes) for key, part in a.over.items() if key % 2 == 0}
    positive = np.all(a.positive | (a.lo >= 0.0), axes) & np.any(a.positive, axes)
    ec, ek = _many(a.ec, axes), -_many(-a.ek, axes)
    return curve(
        ends,
        a.convex.all(axes),
        a.concave.all(axes),
        rc=sum_index(a.rc, axes),
        rk=-algebra.sum_index_down(a.rk, axes),
        ec=ec,
        ek=ek,
        defined=a.defined,
        shift=shift,
        over=over,
        positive=positive,
    )


def _uniform(a: np.ndarray, axes: tuple[int, ...]) -> bool:
    return a.size > 0 and bool(np.all(a == np.min(a, axes, keepdims=True)))


def _many(r: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """`product_index` along axes."""
    kept = [axis for axis in range(r.ndim) if axis not in axes]
    rows = r.transpose(*kept, *axes).reshape(*[r.shape[axis] for axis in kept], -1)
    if rows.shape[-1] == 0:
        return np.full(rows.shape[:-1], -np.inf)
    # All negative, or all constant or log-convex: the sum of reciprocals; a single other one among constants.
    with np.errstate(all="ignore"):
        negative = 1.0 / np.sum(1.0 / rows, -1)
    top, largest = np.max(rows, -1), np.sort(rows, -1)
    second = largest[..., -2] if rows.shape[-1] > 1 else np.full(top.shape, -np.inf)
    alone = np.isneginf(second)
    one = np.where(top < 0.0, np.where(np.isneginf(top), -np.inf, negative), np.where(top <= 0.0, 0.0, NONE))
    mixed = np.where(alone, top, one)
    if rows.shape[-1] == 2:
        return product_index(rows[..., 0], rows[..., 1])
    return mixed


def product(a: Curve, axes: Sequence[int]) -> Curve:
    """Product along axes, of values >= 0."""
    axes = tuple(axes)
    nonneg = bool(np.all(a.lo >= 0.0))
    with np.errstate(all="ignore"):
        if nonneg:
            margin = ranges.ELEMENTARY + float(a.lo.size)
            ends = ranges.outward(np.prod(a.lo, axes), np.prod(a.hi, axes), margin)
            ends = np.maximum(ends[0], 0.0), ends[1]
        else:
            size = np.prod(np.maximum(np.abs(a.lo), np.abs(a.hi)), axes) * (1.0 + a.lo.size * 2.0**-50)
            ends = np.where(np.isnan(size), -np.inf, -size), np.where(np.isnan(size), np.inf, size)
    if a.constant:
        return constant(ends, defined=a.defined)
    return curve(ends, rc=_many(a.rc, axes), rk=-_many(-a.rk, axes), defined=a.defined, positive=a.positive.all(axes))


def extreme(a: Curve, axes: Sequence[int], names: np.ndarray | None) -> Curve:
    """Maximum along axes; `names` numbers its elements."""
    axes = tuple(axes)
    ends = a.lo.max(axes), a.hi.max(axes)
    if a.constant:
        return constant(ends, defined=a.defined)
    over = {key: extreme(part, axes, None) for key, part in a.over.items() if key % 2 == 0}
    single = np.prod([a.shape[axis] for axis in axes]) == 1
    return curve(
        ends,
        a.convex.all(axes),
        a.concave.all(axes) & single,
        rc=a.rc.max(axes),
        ec=a.ec.max(axes),
        defined=a.defined,
        names=names,
        over=over,
        positive=a.positive.any(axes),
    )


def contract(a: Curve, b: Curve, numbers: Any) -> Curve:
    """``dot_general``."""
    if a.constant and not b.constant:
        return _weighted(b, a, numbers, swapped=True)
    if b.constant:
        return _weighted(a, b, numbers, swapped=False)
    (over_a, over_b), (batch_a, _) = numbers
    plain = a.lo.ndim == b.lo.ndim == 1 and not batch_a and tuple(over_a) == tuple(over_b) == (0,)
    form = _form(a, b) if plain else None
    if form is not None:
        return form
    letters, shape = einsum_letters(a.shape, b.shape, numbers)
    left, right, out, inner = letters
    size = np.prod([dict(zip(left + right, a.shape + b.shape, strict=True))[x] for x in out + inner] or [1])
    if size > MOST_FACTORS:
        return unknown(shape, defined=min(a.defined, b.defined))
    one, other = (_spread(x, own, out + inner) for x, own in ((a, left), (b, right)))
    whole = algebra.multiply(a, b) if plain else algebra.multiply(one, other)
    return total(whole, tuple(range(len(out), len(out + inner))))


def _spread(a: Curve, own: str, wanted: str) -> Curve:
    """Axes `own` put in the order `wanted`, those that are missing of length 1."""
    from_axes = [own.index(x) for x in wanted if x in own]

    def move(part: np.ndarray) -> np.ndarray:
        part = part.transpose(from_axes)
        return part.reshape([part.shape[from_axes.index(own.index(x))] if x in own else 1 for x in wanted])

    fields = [move(part) for part in (getattr(a, name) for name in FIELDS)]
    return Curve(*fields, constant=a.constant, defined=a.defined)


def _form(a: Curve, b: Curve) -> Curve | None:
    """``uᵀ M u`` of an affine vector u with an exact matrix M that is semidefinite: of the second degree in a norm."""
    for u, v in ((a, b), (b, a)):
        if v.linear is None or v.linear[0] < 0 or not bool(np.all(u.affine)):
            continue
        if v.linear[0] not in (u.node, u.multiple[0]):
            continue
        matrix = v.linear[1] if v.linear[0] == u.node else u.multiple[1] * v.linear[1]
        sign = 1 if semidefinite(matrix + matrix.T, matrix, matrix.T) else -1
        if sign < 0 and not semidefinite(-(matrix + matrix.T), -matrix, -matrix.T):
            continue
        low, high = ranges.total(ranges.mul(a.range, b.range), (0,))
        if sign > 0:
            return curve((np.maximum(low, 0.0), high), rc=0.5, defined=min(a.defined, b.defined))
        return curve((low, np.minimum(high, 0.0)), False, True, defined=min(a.defined, b.defined))
    return None


def einsum_letters(
    shape_a: tuple[int, ...], shape_b: tuple[int, ...], numbers: Any
) -> tuple[tuple[str, str, str, str], tuple[int, ...]]:
    """Letters of a, b, the result and the contracted axes; the shape of the result."""
    (over_a, over_b), (batch_a, batch_b) = numbers
    names = iter("abcdefghijklmnopqrstuvwxyz")
    left, right = [""] * len(shape_a), [""] * len(shape_b)
    inner = batch = ""
    for i, j in zip(batch_a, batch_b, strict=True):
        left[i] = right[j] = letter = next(names)
        batch += letter
    for i, j in zip(over_a, over_b, strict=True):
        left[i] = right[j] = letter = next(names)
        inner += letter
    left = [letter or next(names) for letter in left]
    right = [letter or next(names) for letter in right]
    free = [x for x in left + right if x not in batch + inner]
    sizes = dict(zip(left + right, shape_a + shape_b, strict=True))
    out = batch + "".join(free)
    return ("".join(left), "".join(right), out, inner), tuple(sizes[x] for x in out)


def _weighted(a: Curve, c: Curve, numbers: Any, *, swapped: bool) -> Curve:
    """Sums of a with constant weights c."""
    letters, _ = einsum_letters(*((c.shape, a.shape) if swapped else (a.shape, c.shape)), numbers)
    first, second, out, _ = letters
    subscripts = f"{second},{first}->{out}" if swapped else f"{first},{second}->{out}"

    def dot(part: Any, weight: Any) -> np.ndarray:
        return np.asarray(np.einsum(subscripts, np.asarray(part, float), np.asarray(weight, float)))

    may_rise, may_fall = c.hi > 0.0, c.lo < 0.0
    convex = dot(~a.convex, may_rise) + dot(~a.concave, may_fall) == 0.0
    concave = dot(~a.concave, may_rise) + dot(~a.convex, may_fall) == 0.0
    used = may_rise | may_fall
    indices = []
    for index, good in ((a.rc, a.rc <= 1.0 + 8.0 * ranges.EPS), (-a.rk, a.rk >= 1.0 - 8.0 * ranges.EPS)):
        worst = float(np.max(np.where(good, index, -np.inf), initial=-np.inf))
        clean = dot(~good, used) + dot(np.ones(a.shape), may_fall) == 0.0
        indices.append(np.where(clean, worst, NONE))
    ends = _weighted_range(a, c, dot)
    if a.constant:
        return constant(ends, defined=min(a.defined, c.defined))
    linear = None
    if c.lo.ndim == 2 and a.lo.ndim == 1 and not numbers[1][0] and bool(np.all(c.lo == c.hi)):
        contracted = (numbers[0][0] if swapped else numbers[0][1])[0]
        linear = (a.node, c.lo if contracted == 1 else c.lo.T)
    return curve(
        ends,
        convex,
        concave,
        rc=indices[0],
        rk=-indices[1],
        defined=min(a.defined, c.defined),
        linear=linear,
        positive=(ends[0] >= 0.0) & (dot(a.positive, c.lo > 0.0) > 0.0),
    )


def _weighted_range(a: Curve, c: Curve, dot: Any) -> ranges.Range:
    """``Σ c a``: ends by sign of the weights, rounding by a bound on the sizes."""
    exact = bool(np.all(c.lo == c.hi)) and bool(np.all(np.isfinite(c.lo)))
    if not exact:
        shape = dot(np.zeros(a.shape), np.zeros(c.shape)).shape
        return np.full(shape, -np.inf), np.full(shape, np.inf)
    plus, minus = np.maximum(c.lo, 0.0), np.minimum(c.lo, 0.0)
    low, high = (np.where(np.isfinite(end), end, 0.0) for end in a.range)
    open_low, open_high = np.isinf(a.lo), np.isinf(a.hi)
    slip = dot(np.maximum(np.abs(low), np.abs(high)), np.abs(c.lo)) * (a.lo.size + 4.0) * 2.0 * ranges.EPS
    # Products with 0 are exact, and sums of exact zeros too: no margin where nothing is added.
    lo = dot(low, plus) + dot(high, minus) - slip
    hi = dot(high, plus) + dot(low, minus) + slip
    lo = np.where(dot(open_low, plus > 0.0) + dot(open_high, minus < 0.0) > 0.0, -np.inf, lo)
    hi = np.where(dot(open_high, plus > 0.0) + dot(open_low, minus < 0.0) > 0.0, np.inf, hi)
    below = dot(a.lo < 0.0, plus > 0.0) + dot(a.hi > 0.0, minus < 0.0) == 0.0
    above = dot(a.hi > 0.0, plus > 0.0) + dot(a.lo < 0.0, minus < 0.0) == 0.0
    return ranges.keep_sign((lo, hi), below, above)


__all__ = ["contract", "extreme", "product", "total"]
