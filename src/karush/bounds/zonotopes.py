"""Ranges and slopes of the activations of a recognised network on a box, by zonotopes and intervals together.

```
v_i ∈ m_i + Σ_s E_is ε_s + [−r_i, r_i],   ε ∈ [−1, 1]        z = A v + c: exact but for rounding, which goes into r
φ(z) ∈ s z + [e],   z ∈ [l, u]             one slope s per activation, one new ε for the width of [e]   [SGMPV18]
```

``φ(z) − s z`` rises if s is the least slope of φ on [l, u], and falls if it is the greatest: [e] follows from its
values at the ends. The tighter of both is taken, and the chord for relu.
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
        y = valued(layer.name, z)
        slope = SLOPES[layer.name][0](z, y)
        lo, hi = (jnp.broadcast_to(end, jnp.shape(z.lo)) for end in (slope.lo, slope.hi))
        slope = Interval(lo, hi, slope.ok)
        chosen, rest = line(layer.name, z, slope)
        bent = SLOPES[layer.name][1](z, y)
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


def line(name: str, z: Interval, slope: Interval) -> tuple[Any, Interval]:
    """A slope s for φ, and a range of ``φ(z) − s z``."""
    at = [valued(name, Interval(end, end)) for end in (z.lo, z.hi)]

    def rest(s: Any) -> list[Interval]:
        return [
            functions.sub(f, functions.mul(Interval(s, s), Interval(e, e)))
            for f, e in zip(at, (z.lo, z.hi), strict=True)
        ]

    (low_a, high_a), (low_b, high_b) = rest(slope.lo), rest(slope.hi)
    rising, falling = Interval(low_a.lo, high_a.hi), Interval(high_b.lo, low_b.hi)
    first = rising.hi - rising.lo <= falling.hi - falling.lo
    chosen = jnp.where(first, slope.lo, slope.hi)
    return chosen, Interval(jnp.where(first, rising.lo, falling.lo), jnp.where(first, rising.hi, falling.hi))


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


__all__ = ["Slopes", "larger", "product", "slopes_on", "valued"]
