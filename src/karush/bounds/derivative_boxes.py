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
from karush.arithmetic.interval_jet_rules import JetProgram
from karush.arithmetic.interval_numbers import Interval
from karush.bounds import norms
from karush.bounds.enclose import BATCH
from karush.bounds.layers import Network
from karush.bounds.zonotopes import slopes_on
from karush.jaxprs.function import FlatFunction

MOST_CORNERS = 4
"""inputs up to which corners are listed: 2⁴ of them"""
MOST_SECOND = 16
"""inputs up to which second derivatives of a function of several inputs are worth their cost"""


class Derivatives(NamedTuple):
    """On B boxes."""

    lo: np.ndarray
    """(B, k, n) of F'"""
    hi: np.ndarray
    axis: np.ndarray
    """(B,) the coordinate to split"""
    corners_lo: np.ndarray
    """(B, c, k, n): the second-order form at c corners, with R on each side; infinite where it says nothing"""
    corners_hi: np.ndarray


Run = Callable[[np.ndarray, np.ndarray], Derivatives]
"""ends (B, n) -> derivatives"""


def derivative(flat: FlatFunction, moving: np.ndarray, *, second: bool, network: Network | None = None) -> Run:
    """Compiled enclosure of the Jacobian (k, n), or of the Hessian (n, n), on boxes with ends (B, n).

    Coordinates that are not `moving` (n,), because the box fixes them, have the derivative 0.
    """
    n = moving.size
    curved = not second and n <= MOST_SECOND
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=n))) if n <= MOST_CORNERS else np.zeros((0, n))
    moves = moving[:, None] & moving[None, :] if second else moving

    jets = JetProgram(flat.closed_jaxpr, second=second or curved)

    def one(low: Any, high: Any) -> Any:
        box = enter(low, high)
        value, first, *rest = jets(box)
        matrix = turned(rest[0]) if second else Interval(first.lo.T, first.hi.T)
        matrix = known(value, matrix)
        spread = [jnp.full((len(signs), flat.k, n), end) for end in (-jnp.inf, jnp.inf)]
        weight = high - low
        if network is not None and not second:
            matrix = meet(matrix, slopes_on(network, box.lo, box.hi).jacobian)
        if curved:
            middle = jnp.clip(0.5 * low + 0.5 * high, low, high)
            at = jets(enter(middle, middle))
            slope = known(at[0], Interval(at[1].lo.T, at[1].hi.T))
            hessian = known(value, Interval(*[jnp.moveaxis(end, -1, 0) for end in (rest[0].lo, rest[0].hi)]))
            step = functions.sub(box, Interval(middle, middle))
            matrix = meet(matrix, mean_value(slope, hessian, step))
            if len(signs):
                corners = at_corners(slope, hessian, step, jnp.asarray(signs))
                spread = [jnp.where(jnp.asarray(moves), end, 0.0) for end in corners]
            # The coordinate along which the derivative varies most.
            varies = functions.magnitude(hessian).hi.max(axis=(0, 1)) * (high - low)
            weight = jnp.where(jnp.all(jnp.isfinite(varies)) & jnp.any(varies > 0.0), varies, weight)
        lo, hi = (jnp.where(jnp.asarray(moves), end, 0.0) for end in (matrix.lo, matrix.hi))
        if second:
            weight = weight * (1.0 + jnp.max(jnp.where(jnp.isfinite(hi - lo), hi - lo, 0.0), axis=0))
        return lo, hi, jnp.argmax(weight), *spread

    program = jax.jit(jax.vmap(one))

    def run(low: np.ndarray, high: np.ndarray) -> Derivatives:
        parts: list[list[np.ndarray]] = []
        for start in range(0, low.shape[0], BATCH):
            here = low[start : start + BATCH], high[start : start + BATCH]
            fill = ((0, BATCH - here[0].shape[0]), (0, 0))
            out = program(*[np.pad(end, fill, mode="edge") for end in here])
            parts.append([np.asarray(part)[: here[0].shape[0]] for part in out])
        return Derivatives(*[np.concatenate(column) for column in zip(*parts, strict=True)])

    return run


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


def at_corners(slope: Interval, hessian: Interval, step: Interval, signs: Any) -> tuple[Any, Any]:
    """Ends of the second-order form (c, k, n) at the corners of the box of ± the largest step around the middle."""
    middle = 0.5 * hessian.lo + 0.5 * hessian.hi
    radius = functions.sub(hessian, Interval(middle, middle))
    reach = jnp.maximum(-step.lo, step.hi)
    away = total(functions.mul(functions.magnitude(radius), Interval(reach, reach)), (2,)).hi

    def corner(sign: Any) -> Interval:
        here = reach * sign
        # The middle of the second derivatives is exact: any number serves.
        linear = total(functions.mul(Interval(middle, middle), Interval(here, here)), (2,))
        return functions.add(functions.add(slope, linear), Interval(-away, away))

    ends = jax.vmap(corner)(signs)
    finite = jnp.all(jnp.isfinite(ends.lo)) & jnp.all(jnp.isfinite(ends.hi))
    return jnp.where(finite, ends.lo, -jnp.inf), jnp.where(finite, ends.hi, jnp.inf)


def norm_bound(found: Derivatives, norm: tuple[float, float]) -> np.ndarray:
    """Upper bound (B,) of the norm of the derivative on each box."""
    plain = norms.upper(found.lo, found.hi, *norm)
    count = found.corners_lo.shape[1]
    if count == 0:
        return plain
    flat = [end.reshape((-1, *end.shape[2:])) for end in (found.corners_lo, found.corners_hi)]
    # A convex function of x on the box, but for R, is largest at a corner.
    corners = norms.upper(flat[0], flat[1], *norm).reshape((-1, count)).max(axis=1)
    return np.minimum(plain, corners)


__all__ = ["Derivatives", "Run", "derivative", "norm_bound"]
