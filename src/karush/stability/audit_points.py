"""Where an audit looks: points of a box by many rules, and points near the worst ones so far.

By bit pattern; evenly; at corners; with equal and nearly equal coordinates; at 0, ±1, the ends and the constants of
the program; and the sample data. Every rule has found defects that the others miss.
"""

from typing import Any

import numpy as np

from karush.jaxprs.walk import Program
from karush.stability.audit_pieces import Pieces
from karush.stability.points import draw

COUNT = 4096
"""points of one round; every round has as many, so that nothing is compiled again"""
PARENTS = 32
"""worst points that a round of search starts from"""


def constants_of(program: Program) -> np.ndarray:
    """Finite floating-point constants of a program."""
    found = {0.0, 1.0, -1.0}
    for step in program.steps:
        for slot in step.inputs:
            value = program.constants.get(slot)
            if value is not None and np.asarray(value).dtype.kind == "f" and np.size(value) <= COUNT:
                found.update(np.ravel(np.asarray(value, np.float64)).tolist())
    return np.array(sorted(item for item in found if np.isfinite(item)))


def first_round(
    lower: np.ndarray, upper: np.ndarray, samples: np.ndarray, program: Program, rng: np.random.Generator
) -> np.ndarray:
    """Points (COUNT, n) of the box."""
    n, dtype = lower.size, lower.dtype
    shape = (COUNT // 8, n)
    specials = np.concatenate([constants_of(program), -constants_of(program)])
    low, high = lower.astype(np.float64), upper.astype(np.float64)

    def even(rows: int) -> np.ndarray:
        part = rng.random((rows, n))
        return low * (1.0 - part) + high * part

    equal = np.where(
        rng.random((shape[0], 1)) < 0.5, even(shape[0])[:, :1], draw(lower[:1], upper[:1], shape, dtype, rng)[:, :1]
    )
    near = equal * (1.0 + np.exp2(-rng.uniform(0.0, 26.0, shape)) * rng.choice([-1.0, 0.0, 1.0], shape))
    corner = np.where(rng.random(shape) < 0.5, low, high)
    picked = rng.choice(specials, shape)
    at_all = rng.choice(specials, (shape[0], 1)) + np.zeros(shape)
    mixed = np.where(rng.random(shape) < 0.5, picked, even(shape[0]))
    small = (
        rng.choice([-1.0, 1.0], shape) * np.exp2(-rng.uniform(0.0, 60.0, (shape[0], 1))) * rng.uniform(0.5, 1.0, shape)
    )
    rows = [
        np.stack([low, high, 0.5 * low + 0.5 * high]),
        draw(lower, upper, shape, dtype, rng),
        even(2 * shape[0]),
        corner,
        near,
        np.where(rng.random((shape[0], 1)) < 0.5, mixed, at_all),
        np.where(rng.random((shape[0], 1)) < 0.5, small, corner * (1.0 - np.abs(small))),
    ]
    whole = [np.asarray(c, np.float64).ravel() for c in program.constants.values() if np.size(c) == n]
    rows += [np.stack(whole)] if whole else []
    rows.insert(0, samples[: COUNT // 4].astype(np.float64))
    points = np.concatenate(rows)[:COUNT]
    if len(points) < COUNT:
        points = np.concatenate([points, draw(lower, upper, (COUNT - len(points), n), dtype, rng)])
    return inside(points, lower, upper)


def near_the_worst(
    points: np.ndarray,
    scores: np.ndarray,
    sizes: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Points (COUNT, n) near those of highest score, and near those with the largest outputs, where poles are."""
    order = np.concatenate(
        [np.argsort(-scores, kind="stable")[:PARENTS], np.argsort(-sizes, kind="stable")[: PARENTS // 2]]
    )
    parents = points[rng.choice(order, COUNT)].astype(np.float64)
    n = lower.size
    relative = np.exp2(-rng.uniform(0.0, 24.0, (COUNT, 1))) * rng.normal(size=(COUNT, n))
    changed = rng.random((COUNT, n)) < np.maximum(0.4, 1.0 / n)
    moved = np.where(changed, parents * (1.0 + relative), parents)
    width = (upper.astype(np.float64) - lower.astype(np.float64)) * np.exp2(-rng.uniform(0.0, 24.0, (COUNT, 1)))
    shifted = np.where(changed, parents + width * rng.normal(size=(COUNT, n)), parents)
    swapped = np.where(changed, parents[np.arange(COUNT)[:, None], rng.integers(0, n, (COUNT, n))], parents)
    which = rng.integers(0, 3, (COUNT, 1))
    return inside(np.where(which == 0, moved, np.where(which == 1, shifted, swapped)), lower, upper)


def chosen(x: np.ndarray, v: np.ndarray, score: np.ndarray, count: int) -> np.ndarray:
    """Indices of points to confirm: the worst of every sort (NaN, infinite, zero, other), by turns."""
    first = v.reshape(len(v), -1)
    sort = np.where(
        np.isnan(first).any(axis=1),
        0,
        np.where(np.isinf(first).any(axis=1), 1, np.where((first == 0).any(axis=1), 2, 3)),
    )
    queues = []
    for which in range(4):
        rows = np.flatnonzero((sort == which) & (score > 0.0))
        rows = rows[np.argsort(-score[rows], kind="stable")]
        if rows.size:
            # The worst, and a few spread over the rest.
            queues.append(np.unique(np.concatenate([rows[: count // 3], rows[:: max(1, rows.size // (count // 3))]])))
    out: list[int] = []
    for queue in queues:
        ordered = queue[np.argsort(-score[queue], kind="stable")]
        out += ordered[: count // 2].tolist()
    return np.array(out[: 2 * count], dtype=int)


def within(pieces: Pieces, lower: np.ndarray, upper: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points (COUNT, n) of pieces: the ends of the first ones, then by bit pattern."""
    dtype = lower.dtype
    ends = np.concatenate([pieces.lo, pieces.hi])[: COUNT // 4].astype(dtype)
    rows = rng.integers(len(pieces.lo), size=COUNT - len(ends))
    return inside(
        np.concatenate([ends, draw(pieces.lo[rows], pieces.hi[rows], (len(rows), lower.size), dtype, rng)]),
        lower,
        upper,
    )


def inside(points: Any, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The nearest points of the box, in its dtype, without subnormal numbers: XLA takes them for 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        kept = np.clip(np.nan_to_num(points).astype(lower.dtype), lower, upper)
    return np.where(np.abs(kept) < np.finfo(lower.dtype).tiny, np.clip(np.zeros_like(kept), lower, upper), kept)


__all__ = ["COUNT", "chosen", "constants_of", "first_round", "near_the_worst", "within"]
