"""How accurate expressions are under `jit`, as they are written and after `karush.stabilize`."""

import time
import jax
import numpy as np

from benchmarks.fpcore import Core, load
from karush.stability.points import draw, is_normal
from karush.stability.truth import exact_values
from karush.stability.ulps import bits_of_error

POINTS = 1000


def sample(core: Core, dtype, count: int, seed: int) -> np.ndarray:
    """Points (N, arguments) by bit pattern within the precondition."""
    rng = np.random.default_rng(seed)
    found = []
    have = 0
    for _ in range(200):
        columns = [draw(low, high, (4 * count,), dtype, rng) for low, high in core.ranges()]
        points = np.stack(columns, axis=1)
        points = points[core.allowed(points) & is_normal(points).all(axis=1)]
        found.append(points)
        have += len(points)
        if have >= count:
            break
    return np.concatenate(found)[:count]


def tracer(f, arguments: int, dtype):
    return lambda n: jax.make_jaxpr(jax.vmap(f))(*[jax.ShapeDtypeStruct((n,), dtype)] * arguments)


def truth(core: Core, points: np.ndarray) -> np.ndarray:
    columns = [np.ascontiguousarray(c) for c in points.T]
    return exact_values(tracer(core.function(), len(columns), points.dtype), columns)[0]


def measure(f, points, exact) -> np.ndarray:
    out = np.asarray(jax.jit(jax.vmap(f))(*points.T))
    return bits_of_error(out.astype(points.dtype), exact)
