"""Branch and bound of the largest norm of a derivative over a box, and a search for points where it is large."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from karush.bounds import norms
from karush.bounds.derivative_boxes import Run, norm_bound
from karush.bounds.enclose import BATCH, halved

ROUNDS = 6
"""rounds of the search for a large derivative, each of one batch"""
KEPT = 8
"""points that the next round starts from"""
SHRINK = 0.35
"""factor of the search's reach from round to round"""
Norm = tuple[float, float]
Tighter = Callable[[np.ndarray, np.ndarray, float, float], float]
"""ends (n,) of one box, a bound on it, a time of `time.monotonic` -> another bound, of any size where the time is up
or it will not be the lesser one"""


class Bound(NamedTuple):
    """A bound beside that of the enclosed derivative, which costs more."""

    tighter: Tighter
    boxes: int
    """on how many boxes it may be asked for"""


class Found(NamedTuple):
    """What a search knows."""

    lower: float
    upper: float
    point: np.ndarray
    direction: np.ndarray
    boxes: int


def search(
    run: Run,
    low: np.ndarray,
    high: np.ndarray,
    norm: Norm,
    ratio: float,
    budget: int,
    more: Sequence[Bound] = (),
    until: tuple[float, float] = (np.inf, np.inf),
) -> Found:
    """Halve the boxes with the largest bounds until ``upper <= ratio lower`` or budget or time are spent.

    `more` are other bounds, in the order in which they are asked for, the worst boxes first. `until` are times of
    `time.monotonic`, of the search and of the bounds of the whole box, which are asked for whatever the time.
    """
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        budget = 1
    best, point, direction = 0.0, np.clip(0.0, low, high), np.zeros_like(low)
    count, dropped, left = 0, 0.0, [bound.boxes for bound in more]
    boxes, above = (low[None], high[None]), np.full(1, np.inf)
    bounds, axes = np.zeros(0), np.zeros(0, int)
    kept = (np.zeros((0, low.size)), np.zeros((0, low.size)))
    while True:
        found = run(*boxes)
        fresh = np.minimum(norm_bound(found, norm), above)
        if count == 0:
            best, point, direction = climbed(run, low, high, norm)
        for place, bound in enumerate(more):
            for k in np.argsort(-fresh, kind="stable"):
                late = count > 0 and time.monotonic() > until[0]
                if left[place] < 1 or fresh[k] <= ratio * best or late:
                    break
                fresh[k] = min(fresh[k], bound.tighter(boxes[0][k], boxes[1][k], float(fresh[k]), until[count == 0]))
                left[place] -= 1
        count += boxes[0].shape[0]
        points = np.concatenate([0.5 * boxes[0] + 0.5 * boxes[1], *boxes])
        points = np.clip(np.where(np.isfinite(points), points, 0.0), low, high)
        values, shown = at_points(run, points, low, high, norm)
        top = int(np.argmax(values))
        if values[top] > best:
            best, point, direction = float(values[top]), points[top], shown[top]
        kept = (np.concatenate([kept[0], boxes[0]]), np.concatenate([kept[1], boxes[1]]))
        bounds, axes = np.concatenate([bounds, fresh]), np.concatenate([axes, found.axis])
        done = bounds <= ratio * best
        dropped = max(dropped, float(np.max(bounds[done], initial=0.0)))
        kept, bounds, axes = (kept[0][~done], kept[1][~done]), bounds[~done], axes[~done]
        room = min(BATCH // 2, (budget - count) // 2)
        if bounds.size == 0 or room < 1 or time.monotonic() > until[0]:
            break
        chosen = np.argsort(-bounds, kind="stable")[:room]
        rest = np.setdiff1d(np.arange(bounds.size), chosen)
        boxes = halved(kept[0][chosen], kept[1][chosen], axes[chosen])
        above = np.tile(bounds[chosen], 2)
        kept, bounds, axes = (kept[0][rest], kept[1][rest]), bounds[rest], axes[rest]
    upper = max(dropped, float(np.max(bounds, initial=0.0)), best)
    return Found(best, upper, point, direction, count)


def climbed(run: Run, low: np.ndarray, high: np.ndarray, norm: Norm) -> tuple[float, np.ndarray, np.ndarray]:
    """A large derivative: random points, then points around the best ones, nearer and nearer."""
    generator = np.random.default_rng(0)
    lo, hi = (np.where(np.isfinite(end), end, 0.0) for end in (low, high))
    lo, hi = np.minimum(lo, hi), np.maximum(lo, hi)
    width, reach = np.clip(hi, low, high) - np.clip(lo, low, high), 1.0
    points = np.clip(generator.uniform(size=(BATCH, low.size)) * width + lo, low, high)
    points[0] = np.clip(0.5 * lo + 0.5 * hi, low, high)
    best, point, direction = 0.0, points[0], np.zeros_like(low)
    for _ in range(ROUNDS):
        values, shown = at_points(run, points, low, high, norm)
        order = np.argsort(-values, kind="stable")[:KEPT]
        if values[order[0]] > best:
            best, point, direction = float(values[order[0]]), points[order[0]], shown[order[0]]
        reach *= SHRINK
        around = np.concatenate([point[None], points[order]])[generator.integers(KEPT + 1, size=BATCH)]
        points = np.clip(around + reach * width * generator.uniform(-1.0, 1.0, around.shape), low, high)
    return best, point, direction


def at_points(
    run: Run, points: np.ndarray, low: np.ndarray, high: np.ndarray, norm: Norm
) -> tuple[np.ndarray, np.ndarray]:
    """Lower bounds from the derivative at points, and their directions."""
    # A box of one point fixes every coordinate, so it is widened to its neighbours inside the whole box.
    below, above = np.maximum(np.nextafter(points, -np.inf), low), np.minimum(np.nextafter(points, np.inf), high)
    found = run(below, above)
    return norms.lower(found.lo, found.hi, *norm)


__all__ = ["Bound", "Found", "search"]
