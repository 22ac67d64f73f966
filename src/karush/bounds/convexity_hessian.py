"""Curvature of a function on a box by enclosed Hessians, with branch and bound.

```
f is convex on X  if  ∇²f(X_k) ⪰ 0 on every part X_k of X and f has two derivatives on each;  μ = min λ_min(∇²f(X_k))
λ_min(M ± R) >= λ_min(M) − ‖R‖,      λ_min(H) >= min_i (H_ii − Σ_j |H_ij|)                     [Rum10, Gershgorin]
```

Parts that meet share points, where an open choice (a kink, a jump) is open in one of them at least, and makes its
second derivative unbounded: no kink is missed between parts.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic.interval import dense_ok, enter
from karush.arithmetic.interval_jet_rules import JetProgram
from karush.jaxprs.function import FlatFunction

EPS = 2.0**-52
BATCH = 32
"""boxes evaluated at once: half of them parts, half the middles of parts"""
WIDEST = 1.0
"""first cut of an unbounded side, beyond which ends double"""
LARGEST = 1e150
"""entries of a Hessian up to which eigenvalues are bounded"""
GOOD_MODULUS = 0.9
"""share of the least curvature that was met with which a modulus is content"""

Run = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""ends (B, n) -> Hessians of the free coordinates, lower and upper (B, k, k)"""


class Search(NamedTuple):
    """What a search over parts of the box has found."""

    convex: bool
    least: float
    """below every eigenvalue of the Hessian on the box"""
    most: float
    """above every eigenvalue"""
    point: np.ndarray | None
    """(n,) where the Hessian certainly has a negative eigenvalue"""
    direction: np.ndarray | None
    """(n,) along which"""
    boxes: int


def hessians(flat: FlatFunction, free: np.ndarray) -> Run:
    """Compiled enclosures of the Hessian in the coordinates `free` (n,) bool; unbounded where f may be undefined."""
    jets = JetProgram(flat.closed_jaxpr, second=True)
    chosen = np.flatnonzero(free)

    def one(low: Any, high: Any) -> Any:
        value, _, second = jets(enter(low, high))
        ok = dense_ok(value)[0]
        block = np.ix_(chosen, chosen)
        lo, hi = second.lo[..., 0][block], second.hi[..., 0][block]
        # Both triangles enclose the same numbers.
        lo, hi = jnp.maximum(lo, lo.T), jnp.minimum(hi, hi.T)
        return jnp.where(ok, lo, -jnp.inf), jnp.where(ok, hi, jnp.inf)

    program = jax.jit(jax.vmap(one))

    def run(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = []
        for start in range(0, low.shape[0], BATCH):
            ends = low[start : start + BATCH], high[start : start + BATCH]
            count = ends[0].shape[0]
            out = program(*(np.pad(end, ((0, BATCH - count), (0, 0)), mode="edge") for end in ends))
            parts.append([np.asarray(part)[:count] for part in out])
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    return run


def eigenvalue_bounds(lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Below and above every eigenvalue (B,) of every symmetric matrix in [lo, hi] (B, k, k)."""
    finite = np.asarray(np.isfinite(lo) & np.isfinite(hi)).all(axis=(-1, -2))
    k = lo.shape[-1]
    # Entries whose squares overflow tell nothing either.
    finite &= np.asarray(np.maximum(np.abs(lo), np.abs(hi)) <= LARGEST).all(axis=(-1, -2))
    a, b = (np.where(np.expand_dims(finite, (-1, -2)), end, 0.0) for end in (lo, hi))
    size = np.maximum(np.abs(a), np.abs(b))
    diagonal = np.arange(k)
    others = size.sum(axis=-1) - size[:, diagonal, diagonal]
    others = np.where(others > 0.0, others * (1.0 + 2.0 * k * EPS) + k * EPS * size.max(axis=(-1, -2))[:, None], 0.0)
    # Where no other entry is there, a diagonal entry is an eigenvalue, exactly.
    alone = (size * (1.0 - np.eye(k))).sum(axis=-1) == 0.0
    others = np.where(alone, 0.0, others)
    low = np.min(a[:, diagonal, diagonal] - others - np.where(alone, 0.0, EPS * size.max(axis=-1)), axis=-1)
    high = np.max(b[:, diagonal, diagonal] + others + np.where(alone, 0.0, EPS * size.max(axis=-1)), axis=-1)
    middle = 0.5 * a + 0.5 * b
    radius = np.maximum(middle - a, b - middle) * (1.0 + 4.0 * EPS)
    spread = np.minimum(radius.sum(axis=-1).max(axis=-1), np.sqrt((radius * radius).sum(axis=(-1, -2))))
    values, vectors = np.linalg.eigh(middle)
    norm = np.sqrt((middle * middle).sum(axis=(-1, -2)))
    rounding = 8.0 * (k + 4.0) ** 2 * EPS
    rest = middle - (vectors * values[:, None, :]) @ np.swapaxes(vectors, -1, -2)
    skew = np.sqrt(((np.swapaxes(vectors, -1, -2) @ vectors - np.eye(k)) ** 2).sum(axis=(-1, -2))) + rounding
    slip = np.sqrt((rest * rest).sum(axis=(-1, -2))) + (rounding + 2.0 * skew) * norm + spread * (1.0 + k * EPS)
    low, high = np.maximum(low, values[:, 0] - slip), np.minimum(high, values[:, -1] + slip)
    return np.where(finite, low, -np.inf), np.where(finite, high, np.inf)


def middles(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """A point inside each box, the middle of bounded sides."""
    with np.errstate(all="ignore"):
        middle = 0.5 * low + 0.5 * high
        right = np.maximum(2.0 * np.abs(low), WIDEST)
        left = -np.maximum(2.0 * np.abs(high), WIDEST)
    open_low, open_high = np.isinf(low), np.isinf(high)
    point = np.where(open_low & open_high, 0.0, np.where(open_high, right, np.where(open_low, left, middle)))
    return np.clip(point, low, high)


def search(run: Run, low: np.ndarray, high: np.ndarray, free: np.ndarray, budget: int, until: float = np.inf) -> Search:
    """Bisect the parts whose Hessian is not known to be semidefinite, the worst first.

    `until` is a time of `time.monotonic`.
    """
    bounded = np.isfinite(low) & np.isfinite(high)
    whole = np.where(bounded, np.where(bounded, high, 0.0) - np.where(bounded, low, 0.0), np.inf)
    parts = (low[None], high[None])
    kept = (np.zeros((0, low.size)), np.zeros((0, low.size)))
    bounds = np.zeros(0)
    count, least, most, met = 0, np.inf, -np.inf, np.inf
    while True:
        points = middles(*parts)
        lo, hi = run(np.concatenate([parts[0], points]), np.concatenate([parts[1], points]))
        finite = np.isfinite(lo) & np.isfinite(hi)
        number = parts[0].shape[0]
        count += number
        below, above = eigenvalue_bounds(lo[:number], hi[:number])
        most = max(most, float(above.max()))
        lo, hi = np.where(finite, lo, 0.0), np.where(finite, hi, 0.0)
        values, vectors = np.linalg.eigh((0.5 * lo + 0.5 * hi)[number:])
        spread = np.where(finite, hi - lo, np.inf)[number:].sum(axis=(-1, -2))
        certain = values[:, 0] < -spread - 1e3 * EPS * np.abs(values).max(axis=-1)
        if bool(np.any(certain)):
            k = int(np.argmin(np.where(certain, values[:, 0], np.inf)))
            direction = np.zeros(low.size)
            direction[free] = vectors[k][:, 0]
            return Search(False, -np.inf, np.inf, points[k], direction, count)
        met = min(met, float(np.min(np.where(np.isfinite(spread), values[:, 0], np.inf))))
        kept = (np.concatenate([kept[0], parts[0]]), np.concatenate([kept[1], parts[1]]))
        bounds = np.concatenate([bounds, below])
        least = float(bounds.min())
        if least >= max(0.0, GOOD_MODULUS * met) or count >= budget or time.monotonic() > until:
            break
        chosen = np.argsort(bounds, kind="stable")[: min(BATCH // 4, budget - count)]
        rest = np.setdiff1d(np.arange(bounds.size), chosen)
        parts = _halved(kept[0][chosen], kept[1][chosen], whole, free)
        kept, bounds = (kept[0][rest], kept[1][rest]), bounds[rest]
    return Search(least >= 0.0, least, most, None, None, count)


def _halved(low: np.ndarray, high: np.ndarray, whole: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both halves of each box along the side that is longest beside the whole box's."""
    bounded = np.isfinite(low) & np.isfinite(high)
    width = np.where(bounded, np.where(bounded, high, 0.0) - np.where(bounded, low, 0.0), np.inf)
    share = width / np.where(np.isfinite(whole) & (whole > 0.0), whole, 1.0)
    axis = np.argmax(np.where(free, share, -1.0), axis=1)
    rows = np.arange(low.shape[0])
    cut = middles(low, high)[rows, axis]
    left, right = high.copy(), low.copy()
    left[rows, axis], right[rows, axis] = cut, cut
    return np.concatenate([low, right]), np.concatenate([left, high])


__all__ = ["Search", "eigenvalue_bounds", "hessians", "middles", "search"]
