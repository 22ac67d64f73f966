"""Pieces of a box: halved, counted, and written out as the floats that they hold."""

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from karush.stability.error_bounds import Format
from karush.stability.ulps import from_ordinals, ordinals

STEEP = 4.0
"""ratio of the ends from which a piece is halved at their geometric mean"""
TOWARDS_ZERO = 64.0
"""a piece from 0 is cut at this part of its length"""
FEW = 16.0
"""units of u: sides narrower than this are not halved any more"""


class Pieces(NamedTuple):
    """Sub-boxes: ends (k, n), float64."""

    lo: np.ndarray
    hi: np.ndarray

    def only(self, rows: np.ndarray) -> "Pieces":
        """Some of them."""
        return Pieces(self.lo[rows], self.hi[rows])


def narrow(pieces: Pieces, form: Format, moving: np.ndarray) -> np.ndarray:
    """Whether nothing of a piece can be halved (k,)."""
    return np.all(_narrow(pieces, form, moving), axis=1)


def _narrow(pieces: Pieces, form: Format, moving: np.ndarray) -> np.ndarray:
    lo, hi = pieces
    outer = np.maximum(np.abs(lo), np.abs(hi))
    return (hi - lo <= FEW * form.u * outer) | (outer <= form.tiny) | ~moving


def ranks(pieces: Pieces, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """First and last place of the floats in each side, of the numbering that counts no subnormal float (k, n)."""
    with np.errstate(over="ignore"):
        first, last = pieces.lo.astype(dtype), pieces.hi.astype(dtype)
    # Rounded to the nearest float, an end may lie outside.
    first = np.where(first.astype(np.float64) < pieces.lo, np.nextafter(first, dtype.type(np.inf)), first)
    last = np.where(last.astype(np.float64) > pieces.hi, np.nextafter(last, dtype.type(-np.inf)), last)
    places = [ordinals(np.ascontiguousarray(end)) for end in (first, last)]
    skipped = int(ordinals(np.array([np.finfo(dtype).tiny], dtype))[0]) - 1
    # Towards the inside: a subnormal end is replaced by 0 or by the least normal number, whichever is in the piece.
    inner = [np.where(np.abs(place) <= skipped, 0, place - np.sign(place) * skipped) for place in places]
    low = np.where((places[0] > 0) & (places[0] <= skipped), 1, inner[0])
    high = np.where((places[1] < 0) & (-places[1] <= skipped), -1, inner[1])
    return low, high


def floats_of(places: np.ndarray, dtype: Any) -> np.ndarray:
    """The floats at places of that numbering."""
    skipped = int(ordinals(np.array([np.finfo(dtype).tiny], dtype))[0]) - 1
    return from_ordinals(places + np.sign(places) * skipped, dtype)


def counts(pieces: Pieces, dtype: Any) -> np.ndarray:
    """How many points with float coordinates each piece holds (k,), as a float."""
    low, high = ranks(pieces, dtype)
    return np.prod(np.maximum(high - low + 1, 0).astype(np.float64), axis=1)


def points_of(pieces: Pieces, dtype: Any) -> np.ndarray:
    """All points (p, n) of the pieces with float coordinates."""
    low, high = ranks(pieces, dtype)
    if low.shape[1] == 1:
        places = [np.arange(a, b + 1)[:, None] for a, b in zip(low[:, 0], high[:, 0], strict=True)]
    else:
        places = [
            np.array(list(product(*[range(a, b + 1) for a, b in zip(first, last, strict=True)])), np.int64)
            for first, last in zip(low, high, strict=True)
        ]
    return floats_of(np.concatenate([part.reshape(-1, low.shape[1]) for part in places]), dtype)


def halves(pieces: Pieces, form: Format, depth: int, moving: np.ndarray) -> Pieces:
    """Both halves of each piece along the coordinate that is widest for its size."""
    lo, hi = pieces
    rows = np.arange(len(lo))
    same = lo * hi > 0.0
    with np.errstate(all="ignore"):
        inner, outer = np.minimum(np.abs(lo), np.abs(hi)), np.maximum(np.abs(lo), np.abs(hi))
        octaves = np.where(same, np.log2(outer / inner), TOWARDS_ZERO)
        # Octaves where a piece spans many, else its width: exponentials feel the one, products the other.
        wide = np.where(octaves > 1.0, octaves, hi - lo) if depth % 2 else np.maximum(octaves, hi - lo)
    wide = np.where(_narrow(pieces, form, moving), -1.0, wide)
    axis = np.argmax(wide, axis=1)
    a, b = lo[rows, axis], hi[rows, axis]
    with np.errstate(all="ignore"):
        geometric = np.sign(a) * np.sqrt(np.abs(a)) * np.sqrt(np.abs(b))
        steep = (a * b > 0.0) & (outer[rows, axis] > STEEP * inner[rows, axis])
    middle = np.where(steep, geometric, 0.5 * a + 0.5 * b)
    middle = np.where(a * b < 0.0, 0.0, middle)
    middle = np.where(
        (a == 0.0) & (b > 0.0), b / TOWARDS_ZERO, np.where((b == 0.0) & (a < 0.0), a / TOWARDS_ZERO, middle)
    )
    # Below the least normal number there is only 0.
    middle = np.where(np.abs(middle) < form.tiny, np.where(a * b < 0.0, 0.0, np.sign(a + b) * form.tiny), middle)
    middle = np.clip(middle, a, b)
    left, right = hi.copy(), lo.copy()
    left[rows, axis], right[rows, axis] = middle, middle
    return Pieces(np.concatenate([lo, right]), np.concatenate([left, hi]))


__all__ = ["Pieces", "counts", "halves", "narrow", "points_of"]
