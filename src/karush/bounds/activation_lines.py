"""Activations on ranges: their values, and lines near them.

```
φ(z) ∈ s z + [e],   z ∈ [l, u]       s the slope of the chord, [e] found on parts of [l, u]
```

On each part it is the value at a point and the enclosed slope of ``φ(z) − s z``; for relu the values at the ends and 0.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from karush.arithmetic import interval_functions as functions
from karush.arithmetic.interval_numbers import EPS, FLUSHED, Interval, dense_ok
from karush.bounds.layers import SOFTPLUS

PIECES = 32
"""parts of the range of an activation on which its distance from a line is enclosed"""


def larger(value: Any, count: float) -> Any:
    """Above what a sum of `count` products of numbers >= 0 was computed to be."""
    return value * (1.0 + (2.0 * count + 16.0) * EPS) + (2.0 * count + 16.0) * FLUSHED


def dense(a: Interval, shape: tuple[int, ...]) -> Interval:
    """In full shape: a slope may be one number for all."""
    return Interval(jnp.broadcast_to(a.lo, shape), jnp.broadcast_to(a.hi, shape), a.ok)


def centred(a: Interval) -> tuple[Any, Any]:
    """A middle, and a radius that covers both ends."""
    middle = 0.5 * a.lo + 0.5 * a.hi
    return middle, larger(jnp.maximum(middle - a.lo, a.hi - middle), 1.0)


def valued(name: str, z: Interval) -> Interval:
    """Range of an activation; softplus, ``max(z, 0) + log(1 + e^−|z|)``, rises and is taken at both ends."""
    if name != SOFTPLUS:
        return functions.UNARY[name](z)

    def at(end: Any) -> Interval:
        tail = functions.UNARY["log1p"](functions.exp(functions.neg(functions.magnitude(Interval(end, end)))))
        most = jnp.maximum(end, 0.0)
        return functions.add(Interval(most, most), tail)

    return Interval(at(z.lo).lo, at(z.hi).hi, z.ok)


def chord(z: Interval) -> tuple[Any, Interval]:
    """A slope s for relu, and the range of ``relu(z) − s z``, which is least at 0 and greatest at an end."""
    crossing = (z.lo < 0.0) & (z.hi > 0.0)
    s = jnp.where(crossing, z.hi / jnp.where(crossing, z.hi - z.lo, 1.0), jnp.where(z.lo >= 0.0, 1.0, 0.0))
    s = jnp.clip(s, 0.0, 1.0)
    most = jnp.maximum(-s * z.lo, (1.0 - s) * z.hi)
    return s, Interval(jnp.zeros_like(s), jnp.where(crossing, larger(jnp.maximum(most, 0.0), 2.0), 0.0))


class Near(NamedTuple):
    """A function on a range (m,), and at its ends, on parts of it, and at points of the parts, all in one."""

    whole: Interval
    """(m,)"""
    ends: tuple[Interval, Interval]
    parts: Interval
    """(m, PIECES)"""
    points: Interval
    """(m, PIECES)"""
    more: Interval
    """(m,) where something else is asked for"""


def gathered(z: Interval, more: Interval) -> Interval:
    """A range (m,), its ends, parts that cover it, a point of each, and one more, as one array (m, 4 + 2 PIECES).

    Elementary functions are compiled once for all: in intervals their programs are long.
    """
    share = jnp.arange(PIECES + 1) / PIECES
    low, high = z.lo[:, None], z.hi[:, None]
    cuts = jnp.clip(low * (1.0 - share) + high * share, low, high)
    cuts = cuts.at[:, 0].set(z.lo).at[:, -1].set(z.hi)
    # Neighbours share a cut: no rounding of it leaves a gap, whichever of the two comes out larger.
    lo, hi = jnp.minimum(cuts[:, :-1], cuts[:, 1:]), jnp.maximum(cuts[:, :-1], cuts[:, 1:])
    points = jnp.clip(0.5 * lo + 0.5 * hi, lo, hi)
    return Interval(
        jnp.concatenate([low, low, high, lo, points, more.lo[:, None]], axis=1),
        jnp.concatenate([high, low, high, hi, points, more.hi[:, None]], axis=1),
    )


def spread_out(a: Interval) -> Near:
    """The columns of `gathered`, or of a function of it."""
    ok = dense_ok(a)

    def columns(start: int, stop: int) -> Interval:
        return Interval(a.lo[:, start:stop], a.hi[:, start:stop], ok[:, start:stop])

    def column(k: int) -> Interval:
        return Interval(a.lo[:, k], a.hi[:, k], ok[:, k])

    parts, points = columns(3, 3 + PIECES), columns(3 + PIECES, 3 + 2 * PIECES)
    return Near(column(0), (column(1), column(2)), parts, points, column(3 + 2 * PIECES))


def line(z: Near, f: Near, slope: Near) -> tuple[Any, Interval]:
    """The slope s of the chord of f on z, for which any number serves, and a range of ``f(z) − s z``.

    On each part it is the value at a point and the slope times the way from there.
    """
    width = z.whole.hi - z.whole.lo
    rise = 0.5 * (f.ends[1].lo - f.ends[0].lo) + 0.5 * (f.ends[1].hi - f.ends[0].hi)
    s = rise / jnp.where(width > 0.0, width, 1.0)
    s = jnp.where((width > 0.0) & jnp.isfinite(s), s, 0.0)
    along = Interval(s[:, None], s[:, None])
    here = functions.sub(f.points, functions.mul(along, z.points))
    part = functions.add(here, functions.mul(functions.sub(slope.parts, along), functions.sub(z.parts, z.points)))
    ok = jnp.all(dense_ok(part), axis=1)
    lo, hi = jnp.min(part.lo, axis=1), jnp.max(part.hi, axis=1)
    return s, Interval(jnp.where(ok, lo, -jnp.inf), jnp.where(ok, hi, jnp.inf))


__all__ = ["Near", "centred", "chord", "dense", "gathered", "larger", "line", "spread_out", "valued"]
