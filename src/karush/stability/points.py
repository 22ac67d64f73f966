"""Points of a box, drawn by bit pattern: every binade gets its share, down to the least normal number."""

from typing import Any

import numpy as np

from karush.stability.ulps import from_ordinals, ordinals


def draw(low: Any, high: Any, shape: tuple[int, ...], dtype: Any, rng: np.random.Generator) -> np.ndarray:
    """Floats of `dtype` between `low` and `high`, uniform in their ordinals, subnormals left out.

    low, high broadcast to `shape`; infinite ends mean the largest finite float.
    """
    info = np.finfo(dtype)
    ends = [np.broadcast_to(np.clip(np.asarray(end, np.float64), info.min, info.max), shape) for end in (low, high)]
    first, last = (ordinals(np.ascontiguousarray(end.astype(dtype))) for end in ends)
    fraction = rng.random(shape)
    span = last.astype(np.float64) - first.astype(np.float64)
    # Beyond 2^53 the offset loses its last bits, which no binade notices; halved, so that int64 holds it.
    offset = (0.5 * fraction * (span + 1.0)).astype(np.int64)
    places = np.clip(first + offset + offset + (rng.random(shape) < 0.5), first, last)
    drawn = from_ordinals(places, dtype)
    drawn = np.clip(drawn, ends[0].astype(dtype), ends[1].astype(dtype))
    tiny = np.abs(drawn) < info.tiny
    lift = np.where(ends[1] >= info.tiny, info.tiny, np.where(ends[0] <= -info.tiny, -info.tiny, 0.0)).astype(dtype)
    return np.where(tiny, lift, drawn).astype(dtype)


WIDE = 1e6
"""length of a side up to which half of the points are spread evenly"""


def spread(low: Any, high: Any, count: int, dtype: Any, rng: np.random.Generator) -> np.ndarray:
    """`count` points (count, *shape): by bit pattern, and on sides of ordinary length every second one evenly.

    By bit pattern alone, the values from 100 to 1000 are one in eighty of [-1000, 1000]; evenly alone, none is small.
    """
    shape = (count, *np.shape(low))
    points = draw(low, high, shape, dtype, rng)
    half = np.asarray(high, np.float64) / 2.0 - np.asarray(low, np.float64) / 2.0
    length = 2.0 * np.minimum(half, WIDE)
    even = (np.asarray(low, np.float64) + rng.random(shape) * np.minimum(length, WIDE)).astype(dtype)
    odd = (np.arange(count) % 2 == 1).reshape(-1, *[1] * np.ndim(low))
    chosen = np.where(odd & (length < WIDE) & is_normal(even), even, points)
    return np.clip(chosen, np.asarray(low).astype(dtype), np.asarray(high).astype(dtype)).astype(dtype)


def is_normal(values: np.ndarray) -> np.ndarray:
    """Finite and not subnormal; zero counts as normal."""
    return np.isfinite(values) & ((np.abs(values) >= np.finfo(values.dtype).tiny) | (values == 0))


__all__ = ["draw", "is_normal", "spread"]
