"""Ranges and slopes of the activations of a recognised network on a box, by zonotopes and intervals together.

```
v_i ∈ m_i + Σ_s E_is ε_s + [−r_i, r_i],   ε ∈ [−1, 1]        z = A v + c: exact but for rounding, which goes into r
φ(z) ∈ s z + [e],   z ∈ [l, u]             one slope s per activation, one new ε for the width of [e]   [SGMPV18]
```

s is the slope of the chord, whose distance from φ falls with the square of the width. [e] is found on parts of [l, u],
by the value at a point and the enclosed slope of ``φ(z) − s z``; for relu by its values at the ends and at 0.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from karush.arithmetic import interval_functions as functions
from karush.arithmetic.interval_arrays import dot
from karush.arithmetic.interval_numbers import EPS, FLUSHED, Interval, constant, dense_ok
from karush.arithmetic.interval_slopes import SLOPES
from karush.bounds.layers import RELU, SOFTPLUS, Layer, Matrix, Network

TURNED = (((0,), (0,)), ((), ()))
PLAIN = (((1,), (0,)), ((), ()))
"""dimension numbers of a matrix product"""
PIECES = 32
"""parts of the range of an activation on which its distance from a line is enclosed"""


class Slopes(NamedTuple):
    """What is known of a network on a box."""

    lo: Any
    """(activations,) least slopes of the activations"""
    hi: Any
    """(activations,) greatest slopes"""
    jacobian: Interval
    """(k, n)"""
    hessian: Interval | None
    """(n, n) of a network of one output"""


class Sums(NamedTuple):
    """Variables as sums over symbols."""

    middle: Any
    """(v,)"""
    symbols: Any
    """(v, s)"""
    radius: Any
    """(v,)"""
    range: Interval
    """(v,)"""


def larger(value: Any, count: float) -> Any:
    """Above what a sum of `count` products of numbers >= 0 was computed to be."""
    return value * (1.0 + (2.0 * count + 16.0) * EPS) + (2.0 * count + 16.0) * FLUSHED


def size(a: Interval) -> Any:
    """Largest magnitude."""
    return jnp.maximum(jnp.abs(a.lo), jnp.abs(a.hi))


def product(weights: Matrix, a: Interval) -> Interval:
    """``A a`` for a of shape (v, ...)."""
    exact = jnp.asarray(weights.middle)
    out = dot(Interval(exact, exact), a, PLAIN)
    slip = larger(jnp.asarray(weights.radius) @ size(a), exact.shape[1])
    return functions.add(out, Interval(-slip, slip))


def dense(a: Interval, shape: tuple[int, ...]) -> Interval:
    """In full shape: a slope may be one number for all."""
    return Interval(jnp.broadcast_to(a.lo, shape), jnp.broadcast_to(a.hi, shape), a.ok)


def centred(a: Interval) -> tuple[Any, Any]:
    """A middle, and a radius that covers both ends."""
    middle = 0.5 * a.lo + 0.5 * a.hi
    return middle, larger(jnp.maximum(middle - a.lo, a.hi - middle), 1.0)


def slopes_on(network: Network, low: Any, high: Any) -> Slopes:
    """Slopes of all activations on the box, and its Jacobian by the chain rule, both ways; inside a trace."""
    n = network.n
    middle, radius = centred(Interval(low, high))
    wide = network.variables
    sums = Sums(middle, jnp.eye(n, wide) * radius[:, None], jnp.zeros(n), Interval(low, high))
    inner: list[Interval] = []
    bends: list[tuple[Interval, Interval]] = []
    unit = jnp.eye(n)
    forward = Interval(unit, unit)
    for layer in network.layers:
        sums, slope, bent = passed(layer, sums)
        inner.append(slope)
        before = product(layer.weights, forward)
        bends.append((bent, before))
        rows = functions.mul(Interval(slope.lo[:, None], slope.hi[:, None]), before)
        forward = Interval(jnp.concatenate([forward.lo, rows.lo]), jnp.concatenate([forward.hi, rows.hi]))
    one, (two, outer) = product(network.weights, forward), backward(network, inner)
    lo, hi = jnp.maximum(one.lo, two.lo), jnp.minimum(one.hi, two.hi)
    ends = [jnp.concatenate(parts) for parts in ([s.lo for s in inner], [s.hi for s in inner])]
    hessian = second_order(bends, outer) if network.weights.middle.shape[0] == 1 else None
    return Slopes(ends[0], ends[1], Interval(lo, hi), hessian)


def second_order(bends: list[tuple[Interval, Interval]], outer: list[Interval]) -> Interval:
    """``Σ Z'ᵀ diag(∂f/∂y φ''(z)) Z'`` over the layers, Z' the Jacobian of z."""
    n = bends[0][1].lo.shape[1]
    whole = Interval(jnp.zeros((n, n)), jnp.zeros((n, n)))
    for (bent, rows), weight in zip(bends, outer, strict=True):
        d = functions.mul(bent, Interval(weight.lo[0], weight.hi[0]))
        scaled = functions.mul(Interval(d.lo[:, None], d.hi[:, None]), rows)
        whole = functions.add(whole, dot(scaled, rows, TURNED))
    return whole


def passed(layer: Layer, before: Sums) -> tuple[Sums, Interval, Interval]:
    """The variables with those of one more layer, its slopes, and its second derivatives."""
    z, z_symbols, z_middle, z_radius = sums_of(layer, before)
    if layer.name == RELU:
        y = Interval(jnp.maximum(z.lo, 0.0), jnp.maximum(z.hi, 0.0))
        slope = Interval(jnp.where(z.lo >= 0.0, 1.0, 0.0), jnp.where(z.hi <= 0.0, 0.0, 1.0))
        chosen, rest = chord(z)
        kink = (z.lo <= 0.0) & (z.hi >= 0.0)
        bent = Interval(jnp.where(kink, -jnp.inf, 0.0), jnp.where(kink, jnp.inf, 0.0))
    else:
        first, second = SLOPES[layer.name]
        wide = gathered(z)
        values = valued(layer.name, wide)
        near, value, steep = (spread_out(each) for each in (wide, values, dense(first(wide, values), wide.lo.shape)))
        y, slope = value.whole, steep.whole
        chosen, rest = line(near, value, steep)
        bent = second(z, y)
    ok = dense_ok(y) & dense_ok(slope) & jnp.isfinite(rest.lo) & jnp.isfinite(rest.hi)
    slope = Interval(jnp.where(ok, slope.lo, -jnp.inf), jnp.where(ok, slope.hi, jnp.inf))
    even = ok & dense_ok(bent)
    bent = Interval(jnp.where(even, bent.lo, -jnp.inf), jnp.where(even, bent.hi, jnp.inf))
    rest_middle, rest_radius = centred(rest)
    y_middle = chosen * z_middle + rest_middle
    y_symbols = chosen[:, None] * z_symbols
    start, m = layer.start, layer.size
    y_symbols = y_symbols.at[jnp.arange(m), start + jnp.arange(m)].set(rest_radius)
    rounding = EPS * (jnp.sum(jnp.abs(y_symbols), 1) + 2.0 * jnp.abs(chosen * z_middle) + 2.0 * jnp.abs(rest_middle))
    y_radius = larger(jnp.abs(chosen) * z_radius + rounding, y_symbols.shape[1])
    both = Interval(jnp.concatenate([before.range.lo, y.lo]), jnp.concatenate([before.range.hi, y.hi]))
    after = Sums(
        jnp.concatenate([before.middle, y_middle]),
        jnp.concatenate([before.symbols, y_symbols]),
        jnp.concatenate([before.radius, y_radius]),
        both,
    )
    return after, slope, bent


def valued(name: str, z: Interval) -> Interval:
    """Range of an activation; softplus, ``max(z, 0) + log(1 + e^−|z|)``, rises and is taken at both ends."""
    if name != SOFTPLUS:
        return functions.UNARY[name](z)

    def at(end: Any) -> Interval:
        tail = functions.UNARY["log1p"](functions.exp(functions.neg(functions.magnitude(Interval(end, end)))))
        most = jnp.maximum(end, 0.0)
        return functions.add(Interval(most, most), tail)

    return Interval(at(z.lo).lo, at(z.hi).hi, z.ok)


def sums_of(layer: Layer, v: Sums) -> tuple[Interval, Any, Any, Any]:
    """Range, symbols, middle and radius of ``z = A v + c``."""
    exact = jnp.asarray(layer.weights.middle)
    known = Interval(exact, exact)
    shift = Interval(
        jnp.asarray(layer.shift.middle - layer.shift.radius), jnp.asarray(layer.shift.middle + layer.shift.radius)
    )
    plain = functions.add(product(layer.weights, v.range), shift)
    symbols, slip = centred(dot(known, Interval(v.symbols, v.symbols), PLAIN))
    middle, moved = centred(functions.add(dot(known, Interval(v.middle, v.middle), PLAIN), shift))
    count = exact.shape[1] + symbols.shape[1]
    uncertain = jnp.abs(exact) @ v.radius + jnp.asarray(layer.weights.radius) @ size(v.range)
    radius = larger(jnp.sum(slip, 1) + moved + uncertain, count)
    reach = larger(jnp.sum(jnp.abs(symbols), 1) + radius, count)
    around = functions.add(Interval(middle, middle), Interval(-reach, reach))
    z = Interval(jnp.maximum(plain.lo, around.lo), jnp.minimum(plain.hi, around.hi))
    return z, symbols, middle, radius


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


def gathered(z: Interval) -> Interval:
    """A range (m,), its ends, parts that cover it, and a point of each, as one array (m, 3 + 2 PIECES).

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
        jnp.concatenate([low, low, high, lo, points], axis=1), jnp.concatenate([high, low, high, hi, points], axis=1)
    )


def spread_out(a: Interval) -> Near:
    """The columns of `gathered`, or of a function of it."""
    ok = dense_ok(a)

    def columns(start: int, stop: int) -> Interval:
        return Interval(a.lo[:, start:stop], a.hi[:, start:stop], ok[:, start:stop])

    def column(k: int) -> Interval:
        return Interval(a.lo[:, k], a.hi[:, k], ok[:, k])

    return Near(column(0), (column(1), column(2)), columns(3, 3 + PIECES), columns(3 + PIECES, 3 + 2 * PIECES))


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


def backward(network: Network, slopes: list[Interval]) -> tuple[Interval, list[Interval]]:
    """The Jacobian from the output to the input, and the derivatives in the activations of each layer (k, m)."""
    outer: list[Interval] = []
    lo = jnp.asarray(network.weights.middle - network.weights.radius)
    hi = jnp.asarray(network.weights.middle + network.weights.radius)
    row = functions.add(Interval(lo, hi), constant(0.0))
    for layer, slope in zip(reversed(network.layers), reversed(slopes), strict=True):
        start, end = layer.start, layer.start + layer.size
        outer.append(Interval(row.lo[:, start:end], row.hi[:, start:end]))
        here = functions.mul(outer[-1], Interval(slope.lo, slope.hi))
        exact = jnp.asarray(layer.weights.middle)
        moved = dot(here, Interval(exact, exact), PLAIN)
        slip = larger(size(here) @ jnp.asarray(layer.weights.radius), layer.size)
        moved = functions.add(moved, Interval(-slip, slip))
        row = functions.add(Interval(row.lo[:, :start], row.hi[:, :start]), moved)
    return row, outer[::-1]


__all__ = ["Near", "Slopes", "centred", "chord", "dense", "gathered", "larger", "line", "product", "slopes_on"]
__all__ += ["spread_out", "valued"]
