"""Where the operations that only move elements take them from: positions in place of values, in NumPy.

Each function is what the operation does to arrays of positions; -1 is an element that depends on nothing.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from karush.jaxprs.walk import Step

NOWHERE = -1


def _broadcast_in_dim(step: Step, x: np.ndarray, *shape: np.ndarray) -> np.ndarray:
    target = step.out_avals[0].shape
    along = [1] * len(target)
    for size, dimension in zip(x.shape, step.params["broadcast_dimensions"], strict=True):
        along[dimension] = size
    return np.broadcast_to(x.reshape(along), target)


def _reshape(step: Step, x: np.ndarray, *shape: np.ndarray) -> np.ndarray:
    dimensions = step.params.get("dimensions")
    x = x if dimensions is None or step.primitive != "reshape" else np.transpose(x, dimensions)
    return x.reshape(step.out_avals[0].shape)


def _slice(step: Step, x: np.ndarray) -> np.ndarray:
    starts, limits = step.params["start_indices"], step.params["limit_indices"]
    strides = step.params["strides"] or (1,) * x.ndim
    return x[tuple(map(slice, starts, limits, strides))]


def _pad(step: Step, x: np.ndarray, padding: np.ndarray) -> np.ndarray:
    out = np.full(step.out_avals[0].shape, int(padding.ravel()[0]))
    sources, targets = [], []
    for size, length, (low, _, interior) in zip(x.shape, out.shape, step.params["padding_config"], strict=True):
        places = low + np.arange(size) * (interior + 1)
        inside = (places >= 0) & (places < length)
        sources.append(np.flatnonzero(inside))
        targets.append(places[inside])
    out[np.ix_(*targets)] = x[np.ix_(*sources)]
    return out


def _split(step: Step, x: np.ndarray) -> list[np.ndarray]:
    return np.split(x, np.cumsum(step.params["sizes"])[:-1], axis=step.params["axis"])


MOVES: dict[str, Callable[..., Any]] = {
    "broadcast_in_dim": _broadcast_in_dim,
    "concatenate": lambda step, *parts: np.concatenate(parts, axis=step.params["dimension"]),
    "expand_dims": _reshape,
    "pad": _pad,
    "reshape": _reshape,
    "rev": lambda step, x: np.flip(x, step.params["dimensions"]),
    "slice": _slice,
    "split": _split,
    "squeeze": _reshape,
    "stack": lambda step, *parts: np.stack(parts, axis=step.params["axis"]),
    "tile": lambda step, x: np.tile(x, step.params["reps"]),
    "transpose": lambda step, x: np.transpose(x, step.params["permutation"]),
    "unstack": lambda step, x: [np.take(x, i, axis=step.params["axis"]) for i in range(len(step.out_avals))],
}


__all__ = ["MOVES", "NOWHERE"]
