"""The Jacobian of a recognised network on a box as a sum over symbols: what its entries owe to x, and to each other.

```
z = Z ε,        y = s z ± e,   φ'(z) = d z ± δ            one new symbol for each e, each δ
(a + α ε ± r)(b + β ε ± ρ) = a b + (a β + b α) ε ± (Σ|α| + r)(Σ|β| + ρ) ± |a| ρ ± |b| r          ε ∈ [−1, 1]
```

The rows φ'(z) ∂z/∂x carry the symbols of x through all layers, so that what moves together cancels; intervals would
add up sizes at every layer. The excess falls with the square of the box's width, which makes this the best bound of
deep networks on small boxes. Products of symbols open a symbol of their own each. Arrays are NumPy's, whose rounding is
added to the radius: sums of k products are off by at most k + 2 units of ``|A| |B|`` in any order [Rum10].
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic.interval_numbers import Interval, dense_ok
from karush.arithmetic.interval_slopes import SLOPES
from karush.bounds.activation_lines import centred, chord, dense, gathered, line, spread_out, valued
from karush.bounds.branching import Bound
from karush.bounds.derivative_boxes import MOST_CORNERS, Derivatives, norm_bound
from karush.bounds.layers import RELU, Matrix, Network
from karush.bounds.norms import EPS, upward

WORTH = 0.9
"""factor by which a sloped line has to lie closer to φ' than a constant"""
MOST_SYMBOLS = 20_000
MOST_WORK = 4e9
"""products of numbers on one box"""
WORK = 1e10
"""products of numbers on all boxes"""
MOST_BOXES = 64


class Forms(NamedTuple):
    """``middle + symbols ε ± radius``, elementwise, for the first symbols of all."""

    middle: np.ndarray
    """(..., )"""
    symbols: np.ndarray
    """(..., s)"""
    radius: np.ndarray
    """(..., ) of rounding, and of what has no symbol"""

    @property
    def spread(self) -> np.ndarray:
        """Reach of the symbols, from above."""
        return upward(np.abs(self.symbols).sum(-1), self.symbols.shape[-1])

    @property
    def size(self) -> np.ndarray:
        """Largest magnitude, from above."""
        return upward(np.abs(self.middle) + self.spread + self.radius, 3)


class Lines(NamedTuple):
    """Of activations on ranges (m,): ``φ(z) ∈ slope z + middle ± radius``, and the same of φ'."""

    value: tuple[Any, Any, Any]
    first: tuple[Any, Any, Any]
    slopes: tuple[Any, Any]
    """least and greatest φ'"""


Read = Callable[[str, np.ndarray, np.ndarray], Lines]
"""name of an activation, ends (m,) of its range -> lines"""


def cost(network: Network) -> tuple[int, float]:
    """Symbols in the end, and products of numbers on the way."""
    n = symbols = network.n
    work = 0.0
    for layer in network.layers:
        work += float(layer.size) * layer.start * (n + 1) * symbols
        symbols += layer.size * (n + 2)
    return symbols, work


def reader(network: Network) -> Read:
    """`lines_of` compiled for layers of any size that the network has."""
    most = max(layer.size for layer in network.layers)
    names = {layer.name for layer in network.layers}
    lines = {name: jax.jit(lambda lo, hi, name=name: lines_of(name, lo, hi)) for name in names}

    def read(name: str, low: np.ndarray, high: np.ndarray) -> Lines:
        fill = (0, most - low.size)
        out = lines[name](*(np.pad(end, fill, mode="edge") for end in (low, high)))
        return jax.tree.map(lambda part: np.asarray(part)[: low.size], out)

    return read


def by_symbols(network: Network, read: Read, norm: tuple[float, float]) -> Bound | None:
    """The norm of the Jacobian on boxes; None for networks that are too large."""
    symbols, work = cost(network)
    if symbols > MOST_SYMBOLS or work > MOST_WORK:
        return None

    def tighter(low: np.ndarray, high: np.ndarray, above: float, until: float) -> float:
        with np.errstate(all="ignore"):
            rows = jacobian(network, activations(network, low, high, read))
            return float(norm_bound(as_derivatives(rows, low.size), norm)[0])

    return Bound(tighter, int(np.clip(WORK / work, 1, MOST_BOXES)))


class Activation(NamedTuple):
    """A layer on a box."""

    z: Forms
    lines: Lines


def activations(network: Network, low: np.ndarray, high: np.ndarray, read: Read) -> list[Activation]:
    """Arguments and lines of all layers on the box."""
    n = network.n
    middle = 0.5 * low + 0.5 * high
    reach = upward(np.maximum(middle - low, high - middle), 1)
    blocks = [Forms(middle, np.diag(reach), np.zeros(n))]
    out, count = [], n
    for layer in network.layers:
        z = combined(layer.weights, blocks, count)
        shift = layer.shift.middle
        radius = upward(z.radius + layer.shift.radius + EPS * np.abs(z.middle + shift), 3)
        z = Forms(z.middle + shift, z.symbols, radius)
        ends = upward(z.spread + z.radius, 1)
        lines = read(layer.name, *(np.nextafter(z.middle + side * ends, side * np.inf) for side in (-1.0, 1.0)))
        out.append(Activation(z, lines))
        y, count = on_line(z, lines.value, count)
        blocks.append(y)
    return out


def jacobian(network: Network, layers: list[Activation]) -> Forms:
    """The Jacobian (k, n); the symbols of all φ' and of products come behind those of the activations."""
    n = network.n
    slopes = [Forms(np.eye(n), np.zeros((n, n, n)), np.zeros((n, n)))]
    count = n + sum(layer.size for layer in network.layers)
    for layer, (z, lines) in zip(network.layers, layers, strict=True):
        before = combined(layer.weights, slopes, count)
        d, count = on_line(z, lines.first, count)
        rows, count = product(d, before, count, own=layer is not network.layers[-1])
        slopes.append(rows)
    return combined(network.weights, slopes, count)


def slope_ranges(layers: list[Activation]) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest slopes of all activations."""
    least, most = (np.concatenate([lines.slopes[side] for _, lines in layers]) for side in (0, 1))
    return least, most


def combined(weights: Matrix, blocks: list[Forms], count: int) -> Forms:
    """``A v`` for the variables v in blocks."""
    m, tail = weights.middle.shape[0], blocks[0].middle.shape[1:]
    middle, symbols, radius = np.zeros((m, *tail)), np.zeros((m, *tail, count)), np.zeros((m, *tail))
    start = 0
    for block in blocks:
        end = start + block.middle.shape[0]
        A, slip = weights.middle[:, start:end], weights.radius[:, start:end]
        start = end
        radius += slip @ block.size
        used = np.flatnonzero(np.any(A != 0.0, axis=0))
        if not used.size:
            continue
        A, parts = A[:, used], Forms(*(part[used] for part in block))
        s = parts.symbols.shape[-1]
        middle += (A @ parts.middle.reshape(used.size, -1)).reshape(m, *tail)
        symbols[..., :s] += (A @ parts.symbols.reshape(used.size, -1)).reshape(m, *tail, s)
        sizes = np.abs(A)
        flat = [part.reshape(used.size, -1) for part in (parts.size, parts.radius)]
        # Sums of products, and of blocks.
        rounding = (used.size + 2 * len(blocks) + 2) * EPS * (sizes @ flat[0])
        radius += (sizes @ flat[1] + rounding).reshape(m, *tail)
    return Forms(middle, symbols, upward(radius, 2 * weights.middle.shape[1] + 8))


def on_line(z: Forms, line: tuple[np.ndarray, np.ndarray, np.ndarray], count: int) -> tuple[Forms, int]:
    """``s z + middle ± r`` of z (m,), with a symbol for each r; how many symbols there are then."""
    s, middle, r = line
    m = s.size
    symbols = np.zeros((m, count + m))
    symbols[:, : z.symbols.shape[1]] = s[:, None] * z.symbols
    symbols[np.arange(m), count + np.arange(m)] = r
    whole = np.abs(s) * (z.spread + 2.0 * np.abs(z.middle)) + 2.0 * np.abs(middle)
    radius = upward(np.abs(s) * z.radius + 2.0 * EPS * whole, 6)
    return Forms(s * z.middle + middle, symbols, radius), count + m


def product(d: Forms, g: Forms, count: int, *, own: bool) -> tuple[Forms, int]:
    """``d g`` of d (m,) and g (m, n), with `own` symbols for the products of symbols, or none."""
    m, n = g.middle.shape
    new = m * n if own else 0
    symbols = np.zeros((m, n, count + new))
    symbols[..., : g.symbols.shape[-1]] = d.middle[:, None, None] * g.symbols
    symbols[..., : d.symbols.shape[-1]] += g.middle[:, :, None] * d.symbols[:, None]
    d_reach, g_reach = upward(d.spread + d.radius, 1)[:, None], upward(g.spread + g.radius, 1)
    d_size, g_size = np.abs(d.middle)[:, None], np.abs(g.middle)
    bent = upward(d_reach * g_reach, 2)
    rest = d_size * g.radius + g_size * d.radius[:, None]
    rounding = 4.0 * EPS * (d_size * (g_size + g_reach) + g_size * d_reach)
    radius = upward(rest + rounding, 8)
    if own:
        places = count + np.arange(m * n).reshape(m, n)
        np.put_along_axis(symbols, places[..., None], bent[..., None], axis=-1)
    else:
        radius = upward(radius + bent, 1)
    return Forms(d.middle[:, None] * g.middle, symbols, radius), count + new


def as_derivatives(rows: Forms, n: int) -> Derivatives:
    """One box's Jacobian, the symbols of x apart from the others where corners can be listed."""
    k, c = rows.middle.shape[0], rows.middle
    reach = upward(rows.spread + rows.radius + EPS * np.abs(c), 4)
    hull = (c - reach)[None], (c + reach)[None]
    if 2**n * k > MOST_CORNERS:
        empty = np.zeros((1, 0, n))
        return Derivatives(*hull, np.zeros(1, int), empty, empty, np.zeros((1, 0, n, n)))
    rest = Forms(c, rows.symbols[..., n:], rows.radius)
    reach = upward(rest.spread + rest.radius + EPS * np.abs(c), 4)
    return Derivatives(*hull, np.zeros(1, int), (c - reach)[None], (c + reach)[None], rows.symbols[None, ..., :n])


def lines_of(name: str, low: Any, high: Any) -> Lines:
    """`Lines` of an activation on [low, high] (m,), NaN where it may be undefined; inside a trace."""
    z = Interval(low, high)
    if name == RELU:
        s, rest = chord(z)
        steps = Interval(jnp.where(low >= 0.0, 1.0, 0.0), jnp.where(high <= 0.0, 0.0, 1.0))
        return Lines((s, *centred(rest)), (jnp.zeros_like(s), *centred(steps)), (steps.lo, steps.hi))
    first, second = SLOPES[name]
    wide = gathered(z, z)
    values = valued(name, wide)
    slopes, bends = (dense(rule(wide, values), wide.lo.shape) for rule in (first, second))
    near, value, slope, bent = (spread_out(each) for each in (wide, values, slopes, bends))
    whole = slope.whole
    s, around = line(near, value, slope)
    t, rest = line(near, slope, bent)
    # Where a line is no better, or φ' has a jump, a constant opens no path for the symbols of z.
    sloped = rest.hi - rest.lo <= WORTH * (whole.hi - whole.lo)
    rest = Interval(jnp.where(sloped, rest.lo, whole.lo), jnp.where(sloped, rest.hi, whole.hi))
    ok = dense_ok(value.whole) & dense_ok(whole)
    lines = Lines((s, *centred(around)), (jnp.where(sloped, t, 0.0), *centred(rest)), (whole.lo, whole.hi))
    return jax.tree.map(lambda part: jnp.where(ok, part, jnp.nan), lines)


__all__ = ["Read", "activations", "by_symbols", "reader", "slope_ranges"]
