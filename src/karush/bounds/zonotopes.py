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
from karush.arithmetic.interval_numbers import EPS, Interval, constant, dense_ok, enter
from karush.arithmetic.interval_slopes import SLOPES
from karush.bounds.activation_lines import centred, chord, dense, gathered, larger, line, spread_out, valued
from karush.bounds.layers import RELU, Layer, Matrix, Network

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
    middle: Any
    """(n,) a point of the box"""
    there: Interval
    """(k, n) the Jacobian at the middle"""
    hessian: Interval | None
    """(n, n) of a network of one output"""


class Sums(NamedTuple):
    """The variables so far, as sums over symbols and as intervals. Columns share one product: XLA compiles each."""

    sums: Any
    """(v, 1 + v): middles, and symbols, of which a variable opens one"""
    known: Interval
    """(v, 3 + 2n): range, value at the middle of the box, radius [−r, r] of the sum, Jacobian on the box, at the middle

    The radius holds rounding and what has no symbol.
    """


class Argument(NamedTuple):
    """``z = A v + c`` of a layer."""

    range: Interval
    """(m,)"""
    at: Interval
    """(m,) at the middle of the box"""
    middle: Any
    symbols: Any
    """(m, v)"""
    radius: Any
    jacobians: Interval
    """(m, 2n) on the box, and at its middle"""


class Passed(NamedTuple):
    """Derivatives of a layer's activations (m,), and the Jacobian of their arguments."""

    slope: Interval
    bent: Interval
    """of second order"""
    before: Interval
    """(m, n)"""


def size(a: Interval) -> Any:
    """Largest magnitude."""
    return jnp.maximum(jnp.abs(a.lo), jnp.abs(a.hi))


def product(weights: Matrix, a: Interval) -> Interval:
    """``A a`` for a of shape (v, ...)."""
    return with_slip(weights, a)[0]


def with_slip(weights: Matrix, a: Interval) -> tuple[Interval, Any]:
    """``A a`` for a of shape (v, ...), and how far the uncertainty of A moves it at most."""
    exact = jnp.asarray(weights.middle)
    out = dot(Interval(exact, exact), a, PLAIN)
    slip = larger(jnp.asarray(weights.radius) @ size(a), exact.shape[1])
    return functions.add(out, Interval(-slip, slip)), slip


def columns(a: Interval, start: int, stop: int | None = None) -> Interval:
    """Some columns, or one of them as a vector."""
    part = start if stop is None else slice(start, stop)
    return Interval(a.lo[:, part], a.hi[:, part])


def side_by_side(*parts: Interval) -> Interval:
    """Columns (v,) and matrices (v, ...) as one matrix."""
    flat = [[end[:, None] if end.ndim == 1 else end for end in (part.lo, part.hi)] for part in parts]
    return Interval(*(jnp.concatenate(ends, axis=1) for ends in zip(*flat, strict=True)))


def stacked(*parts: Interval) -> Interval:
    """One above the other."""
    return Interval(jnp.concatenate([part.lo for part in parts]), jnp.concatenate([part.hi for part in parts]))


def slopes_on(network: Network, low: Any, high: Any) -> Slopes:
    """Slopes of all activations on the box, and its Jacobian by the chain rule, both ways; inside a trace."""
    n = network.n
    middle, radius = centred(Interval(low, high))
    point = jnp.clip(middle, low, high)
    unit, none = Interval(jnp.eye(n), jnp.eye(n)), Interval(jnp.zeros(n), jnp.zeros(n))
    v = Sums(
        jnp.concatenate([middle[:, None], jnp.diag(radius)], axis=1),
        side_by_side(Interval(low, high), enter(point, point), none, unit, unit),
    )
    inner: list[Passed] = []
    for layer in network.layers:
        v, found = passed(layer, v)
        inner.append(found)
    ends = product(network.weights, columns(v.known, 3, 3 + 2 * n))
    one, (two, outer) = columns(ends, 0, n), backward(network, [found.slope for found in inner])
    lo, hi = jnp.maximum(one.lo, two.lo), jnp.minimum(one.hi, two.hi)
    slopes = stacked(*[found.slope for found in inner])
    hessian = second_order(inner, outer) if network.weights.middle.shape[0] == 1 else None
    return Slopes(slopes.lo, slopes.hi, Interval(lo, hi), point, columns(ends, n, 2 * n), hessian)


def by_rows(slope: Interval, rows: Interval) -> Interval:
    """``diag(slope) rows``."""
    return functions.mul(Interval(slope.lo[:, None], slope.hi[:, None]), rows)


def second_order(inner: list[Passed], outer: list[Interval]) -> Interval:
    """``Z'ᵀ diag(∂f/∂y φ''(z)) Z'`` of all activations, Z' the Jacobian of their z."""
    weight = Interval(jnp.concatenate([w.lo[0] for w in outer]), jnp.concatenate([w.hi[0] for w in outer]))
    rows = stacked(*[found.before for found in inner])
    d = functions.mul(stacked(*[found.bent for found in inner]), weight)
    return dot(by_rows(d, rows), rows, TURNED)


def passed(layer: Layer, v: Sums) -> tuple[Sums, Passed]:
    """The variables with those of one more layer, and its derivatives."""
    z = argument(layer, v)
    if layer.name == RELU:
        both = side_by_side(z.range, z.at)
        y = Interval(jnp.maximum(both.lo, 0.0), jnp.maximum(both.hi, 0.0))
        slopes = Interval(jnp.where(both.lo >= 0.0, 1.0, 0.0), jnp.where(both.hi <= 0.0, 0.0, 1.0))
        chosen, rest = chord(z.range)
        kink = (z.range.lo <= 0.0) & (z.range.hi >= 0.0)
        bent = Interval(jnp.where(kink, -jnp.inf, 0.0), jnp.where(kink, jnp.inf, 0.0))
        ok = jnp.ones(both.lo.shape, bool)
    else:
        first, second = SLOPES[layer.name]
        wide = gathered(z.range, z.at)
        values = valued(layer.name, wide)
        near, value, steep = (spread_out(each) for each in (wide, values, dense(first(wide, values), wide.lo.shape)))
        y, slopes = side_by_side(value.whole, value.more), side_by_side(steep.whole, steep.more)
        chosen, rest = line(near, value, steep)
        bent = second(z.range, value.whole)
        flags = [(dense_ok(value.whole), dense_ok(steep.whole)), (dense_ok(value.more), dense_ok(steep.more))]
        ok = jnp.stack([one & two for one, two in flags], axis=1)
    ok = ok & (ok[:, 0] & jnp.isfinite(rest.lo) & jnp.isfinite(rest.hi))[:, None]
    slopes, bent = known(slopes, ok), known(bent, ok[:, 0] & dense_ok(bent))
    sums, radius = on_chord(layer, z, chosen, rest)
    n = z.jacobians.lo.shape[1] // 2
    spread = Interval(*(jnp.repeat(end, n, axis=1) for end in (slopes.lo, slopes.hi)))
    rows = side_by_side(y, Interval(-radius, radius), functions.mul(spread, z.jacobians))
    before = jnp.pad(v.sums, ((0, 0), (0, layer.size)))
    after = Sums(jnp.concatenate([before, sums]), stacked(v.known, rows))
    return after, Passed(columns(slopes, 0), bent, columns(z.jacobians, 0, n))


def on_chord(layer: Layer, z: Argument, slope: Any, rest: Interval) -> tuple[Any, Any]:
    """``slope z + rest`` as middles and symbols (m, 1 + v + m), a new one for the rest, and their radius."""
    middle, spread = centred(rest)
    symbols = jnp.concatenate([slope[:, None] * z.symbols, jnp.diag(spread)], axis=1)
    rounding = EPS * (jnp.sum(jnp.abs(symbols), 1) + 2.0 * jnp.abs(slope * z.middle) + 2.0 * jnp.abs(middle))
    radius = larger(jnp.abs(slope) * z.radius + rounding, symbols.shape[1])
    return jnp.concatenate([(slope * z.middle + middle)[:, None], symbols], axis=1), jnp.where(
        jnp.isnan(radius), jnp.inf, radius
    )


def known(a: Interval, ok: Any) -> Interval:
    """The whole line where not `ok`."""
    return Interval(jnp.where(ok, a.lo, -jnp.inf), jnp.where(ok, a.hi, jnp.inf))


def argument(layer: Layer, v: Sums) -> Argument:
    """``A v + c``: its range is that of intervals and that of sums, met."""
    exact = jnp.asarray(layer.weights.middle)
    shift = Interval(
        jnp.asarray(layer.shift.middle - layer.shift.radius), jnp.asarray(layer.shift.middle + layer.shift.radius)
    )
    moved, slips = with_slip(layer.weights, v.known)
    sums, rounding = centred(dot(Interval(exact, exact), Interval(v.sums, v.sums), PLAIN))
    symbols = sums[:, 1:]
    middle, off = centred(functions.add(Interval(sums[:, 0], sums[:, 0]), shift))
    count = exact.shape[1] + sums.shape[1]
    radius = larger(jnp.sum(rounding, 1) + off + columns(moved, 2).hi + slips[:, 0], count)
    reach = larger(jnp.sum(jnp.abs(symbols), 1) + radius, count)
    around = functions.add(Interval(middle, middle), Interval(-reach, reach))
    plain, at = (functions.add(columns(moved, k), shift) for k in (0, 1))
    z = Interval(jnp.maximum(plain.lo, around.lo), jnp.minimum(plain.hi, around.hi))
    return Argument(z, at, middle, symbols, radius, columns(moved, 3, moved.lo.shape[1]))


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


__all__ = ["Slopes", "known", "product", "slopes_on"]
