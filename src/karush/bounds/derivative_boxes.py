"""Derivatives on boxes: enclosed by the chain rule, and of second order around the middle.

```
f'(x) ∈ F'(X)                                                       chain rule
f'(x) ∈ f'(m) + H (x − m) ± R |x − m|,     F''(X) ⊆ H ± R        affine in x but for R: largest at a corner
```
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic import interval_functions as functions
from karush.arithmetic.interval import dense_ok, enter
from karush.arithmetic.interval_arrays import total
from karush.arithmetic.interval_numbers import EPS, Interval
from karush.bounds import norms
from karush.bounds.activation_lines import larger
from karush.bounds.enclose import BATCH
from karush.bounds.layers import Network
from karush.bounds.shifts import FoldedJets
from karush.bounds.zonotopes import slopes_on
from karush.jaxprs.function import FlatFunction

MOST_CORNERS = 1024
"""corners of a box times outputs up to which they are listed"""
MOST_SECOND = 16
"""inputs up to which second derivatives of a function of several inputs are worth their cost"""


class Derivatives(NamedTuple):
    """On B boxes."""

    lo: np.ndarray
    """(B, k, n) of F'"""
    hi: np.ndarray
    axis: np.ndarray
    """(B,) the coordinate to split"""
    near_lo: np.ndarray
    """(B, k, n) of ``f'(m) ± R |X − m|``; infinite where it is not known"""
    near_hi: np.ndarray
    linear: np.ndarray
    """(B, k, n, n): H times half the width of the box; empty where corners are not listed"""


Run = Callable[[np.ndarray, np.ndarray], Derivatives]
"""ends (B, n) -> derivatives"""


def derivative(flat: FlatFunction, moving: np.ndarray, *, second: bool, network: Network | None = None) -> Run:
    """Compiled enclosure of the Jacobian (k, n), or of the Hessian (n, n), on boxes with ends (B, n).

    Coordinates that are not `moving` (n,), because the box fixes them, have the derivative 0.
    """
    n = moving.size
    curved = not second and n <= MOST_SECOND
    listed = curved and 2**n * flat.k <= MOST_CORNERS
    moves = moving[:, None] & moving[None, :] if second else moving
    read = orders(flat, second=second, curved=curved, network=network)

    def one(low: Any, high: Any) -> Any:
        box = enter(low, high)
        found = read(box, jnp.clip(0.5 * low + 0.5 * high, low, high))
        matrix = found.matrix
        form = (jnp.zeros((0, n)), jnp.zeros((0, n)), jnp.zeros((0, n, n)))
        weight = high - low
        if found.hessian is not None and found.there is not None:
            step = functions.sub(box, Interval(found.middle, found.middle))
            matrix = meet(matrix, mean_value(found.there, found.hessian, step))
            if listed:
                near_lo, near_hi, linear = affine(found.there, found.hessian, step)
                still = ~jnp.asarray(moves)
                form = (
                    jnp.where(still, 0.0, near_lo),
                    jnp.where(still, 0.0, near_hi),
                    jnp.where(still[:, None], 0.0, linear),
                )
            # The coordinate along which the derivative varies most.
            varies = functions.magnitude(found.hessian).hi.max(axis=(0, 1)) * (high - low)
            weight = jnp.where(jnp.all(jnp.isfinite(varies)) & jnp.any(varies > 0.0), varies, weight)
        lo, hi = (jnp.where(jnp.asarray(moves), end, 0.0) for end in (matrix.lo, matrix.hi))
        if second:
            weight = weight * (1.0 + jnp.max(jnp.where(jnp.isfinite(hi - lo), hi - lo, 0.0), axis=0))
        return lo, hi, jnp.argmax(weight), *form

    return batched(jax.jit(jax.vmap(one)))


class Orders(NamedTuple):
    """Derivatives on one box, inside a trace."""

    matrix: Interval
    """(k, n) Jacobian, or (n, n) Hessian, on the box"""
    middle: Any
    """(n,) a point of the box"""
    there: Interval | None = None
    """(k, n) Jacobian at the middle"""
    hessian: Interval | None = None
    """(k, n, n) on the box"""


def orders(flat: FlatFunction, *, second: bool, curved: bool, network: Network | None) -> Callable[..., Orders]:
    """What to read on a box and at its middle: from the layers of a network where they say all, else step by step."""
    one_output = network is not None and not second and flat.k == 1
    # Of a network of one output the layers give the Hessian, at less cost.
    jets = FoldedJets(flat.closed_jaxpr, second=second or (curved and not one_output))

    def by_layers(box: Interval, middle: Any) -> Orders:
        assert network is not None
        found = slopes_on(network, box.lo, box.hi)
        if not curved or found.hessian is None:
            return Orders(found.jacobian, found.middle)
        hessian = Interval(found.hessian.lo[None], found.hessian.hi[None])
        return Orders(found.jacobian, found.middle, found.there, hessian)

    def by_steps(box: Interval, middle: Any) -> Orders:
        value, first, *rest = jets(box)
        if second:
            return Orders(known(value, turned(rest[0])), middle)
        matrix, layers = known(value, across(first)), None
        if network is not None:
            layers = slopes_on(network, box.lo, box.hi)
            matrix = meet(matrix, layers.jacobian)
        if not curved:
            return Orders(matrix, middle)
        at = jets(enter(middle, middle))
        if layers is not None and layers.hessian is not None:
            hessian = Interval(layers.hessian.lo[None], layers.hessian.hi[None])
        else:
            hessian = known(value, Interval(*[jnp.moveaxis(end, -1, 0) for end in (rest[0].lo, rest[0].hi)]))
        return Orders(matrix, middle, known(at[0], across(at[1])), hessian)

    # Layers see the same steps, so both need not be compiled; but a softmax or log-sum-exp is more than its steps.
    return by_layers if one_output and not jets.folds else by_steps


def batched(program: Callable[..., Any]) -> Run:
    """Any number of boxes through a program of `BATCH` boxes."""

    def run(low: np.ndarray, high: np.ndarray) -> Derivatives:
        parts: list[list[np.ndarray]] = []
        for start in range(0, low.shape[0], BATCH):
            here = low[start : start + BATCH], high[start : start + BATCH]
            fill = ((0, BATCH - here[0].shape[0]), (0, 0))
            out = program(*[np.pad(end, fill, mode="edge") for end in here])
            parts.append([np.asarray(part)[: here[0].shape[0]] for part in out])
        return Derivatives(*[np.concatenate(column) for column in zip(*parts, strict=True)])

    return run


def across(a: Interval) -> Interval:
    """Derivatives (n, k) as a Jacobian (k, n)."""
    return Interval(a.lo.T, a.hi.T)


def turned(a: Interval) -> Interval:
    """Second derivatives (n, n, 1) of one output as a matrix (n, n)."""
    return Interval(a.lo[..., 0], a.hi[..., 0])


def known(value: Interval, matrix: Interval) -> Interval:
    """The whole line where the function, or its derivative, is not defined throughout."""
    ok = jnp.all(dense_ok(value)) & jnp.all(dense_ok(matrix))
    return Interval(jnp.where(ok, matrix.lo, -jnp.inf), jnp.where(ok, matrix.hi, jnp.inf))


def meet(a: Interval, b: Interval) -> Interval:
    """What lies in both; an end of b that is no number says nothing."""
    return Interval(jnp.fmax(a.lo, b.lo), jnp.fmin(a.hi, b.hi))


def mean_value(slope: Interval, hessian: Interval, step: Interval) -> Interval:
    """``f'(m) + F''(X) (X − m)`` of slope (k, n), hessian (k, n, n) and step (n,)."""
    return functions.add(slope, total(functions.mul(hessian, Interval(step.lo[None, None], step.hi[None, None])), (2,)))


def affine(slope: Interval, hessian: Interval, step: Interval) -> tuple[Any, Any, Any]:
    """Ends (k, n) of ``f'(m) ± R |X − m|``, and ``H`` times half the width of the box (k, n, n)."""
    middle = 0.5 * hessian.lo + 0.5 * hessian.hi
    radius = functions.sub(hessian, Interval(middle, middle))
    reach = jnp.maximum(-step.lo, step.hi)
    away = total(functions.mul(functions.magnitude(radius), Interval(reach, reach)), (2,)).hi
    near = functions.add(slope, Interval(-away, away))
    # The middle of the second derivatives is exact, any number serves; times the reach it is rounded.
    linear = middle * reach
    slip = larger(EPS * jnp.sum(jnp.abs(linear), 2), 2.0 * reach.size)
    near = functions.add(near, Interval(-slip, slip))
    finite = jnp.all(jnp.isfinite(near.lo)) & jnp.all(jnp.isfinite(near.hi)) & jnp.all(jnp.isfinite(linear))
    return (
        jnp.where(finite, near.lo, -jnp.inf),
        jnp.where(finite, near.hi, jnp.inf),
        jnp.where(finite, linear, 0.0),
    )


def norm_bound(found: Derivatives, norm: tuple[float, float]) -> np.ndarray:
    """Upper bound (B,) of the norm of the derivative on each box."""
    plain = norms.upper(found.lo, found.hi, *norm)
    n, k = found.lo.shape[-1], found.lo.shape[-2]
    if found.linear.size == 0:
        return plain
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=n)))
    moved = np.einsum("bkij,cj->bcki", found.linear, signs)
    slip = norms.upward(norms.EPS * n * np.abs(found.linear).sum(-1), 2 * n)[:, None]
    spread = norms.upward(
        norms.EPS * (np.abs(moved) + np.abs(found.near_lo)[:, None] + np.abs(found.near_hi)[:, None]), 4
    )
    low = found.near_lo[:, None] + moved - slip - spread
    high = found.near_hi[:, None] + moved + slip + spread
    shape = (-1, k, n)
    # A convex function of x on the box, but for R, is largest at a corner.
    corners = norms.upper(low.reshape(shape), high.reshape(shape), *norm).reshape((len(plain), -1)).max(axis=1)
    return np.minimum(plain, corners)


__all__ = ["Derivatives", "Run", "derivative", "norm_bound"]
