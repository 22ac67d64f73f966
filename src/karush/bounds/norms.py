"""Norms of matrices of intervals: an upper bound for every member, rounding included.

```
‖J‖ <= ‖M‖ + ‖R‖,   J ∈ M ± R          ‖N‖ of a matrix N >= 0 bounds every matrix with entries of at most that size
‖M‖₂ <= ‖U‖ ‖Σ‖ ‖V‖ + ‖M − U Σ Vᵀ‖_F                                              [Rum10]
```
"""

import math

import numpy as np

EPS = 2.0**-52
LEAST = 2.0**-500
"""covers what is lost where squares underflow"""
Norm = float
NORMS = (1, 2, math.inf)


def named(norm: tuple[Norm, Norm]) -> str:
    """``in the 2-norm``, or from which norm to which."""
    p, q = ("max norm" if kind == math.inf else f"{kind:g}-norm" for kind in norm)
    return f"in the {p}" if p == q else f"from the {p} to the {q}"


def upward(value: np.ndarray, count: int) -> np.ndarray:
    """Above a result of `count` roundings of numbers >= 0."""
    return value * (1.0 + (count + 8.0) * EPS) + count * LEAST


def dual(p: Norm) -> Norm:
    """q with 1/p + 1/q = 1."""
    return {1: math.inf, 2: 2, math.inf: 1}[p]


def lengths(a: np.ndarray, p: Norm, axis: int) -> np.ndarray:
    """Vector norms of numbers >= 0 along an axis; those too large to be squared are infinite."""
    if p == 1:
        return a.sum(axis=axis)
    if p == math.inf:
        return a.max(axis=axis, initial=0.0)
    return np.sqrt((a * a).sum(axis=axis))


def of_sizes(sizes: np.ndarray, p: Norm, q: Norm) -> np.ndarray:
    """Bound (B,) of the norm from p to q of all matrices (B, k, n) with entries of these sizes at most."""
    count = 2 * (sizes.shape[-1] + sizes.shape[-2]) + 8
    if p == 1:
        value = lengths(lengths(sizes, q, -2), math.inf, -1)
    elif q == math.inf:
        value = lengths(lengths(sizes, dual(p), -1), math.inf, -1)
    elif p == math.inf:
        # The vector of ones is the best for entries >= 0.
        value = lengths(lengths(sizes, 1, -1), q, -1)
    elif q == 1:
        value = lengths(lengths(sizes, 1, -2), 2, -1)
    else:
        rows, columns = sizes.sum(axis=-1).max(axis=-1), sizes.sum(axis=-2).max(axis=-1)
        frobenius = np.sqrt((sizes * sizes).sum(axis=(-1, -2)))
        value = np.minimum(np.sqrt(rows) * np.sqrt(columns), frobenius)
        count += sizes.shape[-1] * sizes.shape[-2]
    return upward(value, count)


def spectral(middle: np.ndarray) -> np.ndarray:
    """Bound (B,) of the largest singular value of each matrix (B, k, n), with the residual of its computed factors."""
    k, n = middle.shape[-2:]
    u, s, vt = np.linalg.svd(middle, full_matrices=False)
    inner = s.shape[-1]
    size = np.sqrt((middle * middle).sum(axis=(-1, -2)))
    # Products of factors with at most `inner` terms per entry, each factor of norm near 1.
    rounding = 4.0 * (k + n + 8) * inner * EPS * size

    def frobenius(a: np.ndarray) -> np.ndarray:
        return np.sqrt((a * a).sum(axis=(-1, -2)))

    residual = frobenius(middle - (u * s[:, None, :]) @ vt)
    eye = np.eye(inner)
    loss = 4.0 * (k + n + 8) * inner * EPS
    skew_u = frobenius(np.swapaxes(u, -1, -2) @ u - eye) + loss
    skew_v = frobenius(vt @ np.swapaxes(vt, -1, -2) - eye) + loss
    bound = np.sqrt(1.0 + skew_u) * np.sqrt(1.0 + skew_v) * s.max(axis=-1, initial=0.0) + residual + rounding
    return upward(bound, 16)


def upper(low: np.ndarray, high: np.ndarray, p: Norm, q: Norm) -> np.ndarray:
    """Bound (B,) of the norm from p to q of every matrix in [low, high] (B, k, n); infinite where an end is."""
    finite = np.isfinite(low).all(axis=(-1, -2)) & np.isfinite(high).all(axis=(-1, -2))
    low, high = (np.where(np.expand_dims(finite, (-1, -2)), end, 0.0) for end in (low, high))
    sizes = np.maximum(np.abs(low), np.abs(high))
    bound = of_sizes(sizes, p, q)
    if (p, q) == (2, 2) and min(low.shape[-2:]) > 1:
        middle, radius = centred(low, high)
        bound = np.minimum(bound, upward(spectral(middle) + of_sizes(radius, p, q), 1))
    return np.where(finite & np.isfinite(bound), bound, np.inf)


def centred(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle, and a radius that covers both ends."""
    middle = 0.5 * low + 0.5 * high
    return middle, upward(np.maximum(middle - low, high - middle), 1)


def lower(low: np.ndarray, high: np.ndarray, p: Norm, q: Norm) -> tuple[np.ndarray, np.ndarray]:
    """Below the norm (B,) of every matrix in [low, high], and directions (B, n) that show it."""
    finite = np.isfinite(low).all(axis=(-1, -2)) & np.isfinite(high).all(axis=(-1, -2))
    low, high = (np.where(np.expand_dims(finite, (-1, -2)), end, 0.0) for end in (low, high))
    middle, radius = centred(low, high)
    best, shown = np.full(low.shape[0], -np.inf), np.zeros((low.shape[0], low.shape[2]))
    for given in directions(middle, p):
        # Entries of size 1 at most, and one of size 1: nothing that matters underflows.
        scale = np.abs(given).max(axis=-1, keepdims=True)
        direction = given / np.where(scale > 0.0, scale, 1.0)
        image = np.abs(np.einsum("bkn,bn->bk", middle, direction))
        size = lengths(np.abs(direction), p, -1)
        slip = np.einsum("bkn,bn->bk", radius + (low.shape[2] + 8) * EPS * np.abs(middle), np.abs(direction))
        certain = np.maximum(image - upward(slip, low.shape[2]), 0.0)
        # In units of the largest, whose square might be infinite: no lower bound.
        unit = certain.max(axis=-1, keepdims=True, initial=0.0)
        length = lengths(certain / np.where(unit > 0.0, unit, 1.0), q, -1)
        ratio = unit[:, 0] * (length / np.where(size > 0.0, size, np.inf))
        ratio = ratio * (1.0 - (sum(low.shape[1:]) + 12) * EPS)
        better = (ratio > best) & finite & np.isfinite(ratio)
        best, shown = np.where(better, ratio, best), np.where(better[:, None], direction, shown)
    return np.maximum(best, 0.0), shown


def directions(middle: np.ndarray, p: Norm) -> list[np.ndarray]:
    """Directions (B, n) that stretch most for some norm: axes, the best of each row, the first singular vector."""
    count, k, n = middle.shape
    out = [np.broadcast_to(axis, (count, n)) for axis in np.eye(n)]
    for row in range(k):
        out.append(middle[:, row] if p == 2 else np.where(middle[:, row] >= 0.0, 1.0, -1.0))
    out.append(np.linalg.svd(middle, full_matrices=False)[2][:, 0])
    if p == math.inf:
        out.append(np.where(out[-1] >= 0.0, 1.0, -1.0))
    return out


__all__ = ["NORMS", "lower", "named", "upper"]
