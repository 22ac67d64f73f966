"""Run times of the reductions among the stable functions beside JAX's own.

``python -m benchmarks.numerics_times`` writes benchmarks/results/numerics_times.md and .json: the smallest of some
runs of both, taken in turn in one process, float32, under jit.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush import numerics

RESULTS = Path(__file__).parent / "results"
RUNS = 25
Reduction = Callable[[Any, int], Any]
SHAPES = (((1000,), -1), ((1_000_000,), -1), ((1000, 1000), -1), ((1000, 1000), 0), ((30_000, 32), -1))


def product_sum(x: Any, axis: int) -> Any:
    return jnp.sum(x * jnp.flip(x), axis=axis)


def cosine(x: Any, axis: int) -> Any:
    y = jnp.flip(x)
    return product_sum(x, axis) / (jnp.linalg.norm(x, axis=axis) * jnp.linalg.norm(y, axis=axis))


PAIRS: dict[str, tuple[Reduction, Reduction]] = {
    "compensated_sum": (numerics.compensated_sum, lambda x, axis: jnp.sum(x, axis=axis)),
    "compensated_dot": (lambda x, axis: numerics.compensated_dot(x, jnp.flip(x), axis), product_sum),
    "norm": (numerics.norm, lambda x, axis: jnp.linalg.norm(x, axis=axis)),
    "cosine_similarity": (lambda x, axis: numerics.cosine_similarity(x, jnp.flip(x), axis), cosine),
    "variance": (numerics.variance, lambda x, axis: jnp.var(x, axis=axis)),
    "standardize": (numerics.standardize, lambda x, axis: jax.nn.standardize(x, axis=axis)),
    "softmax": (numerics.softmax, lambda x, axis: jax.nn.softmax(x, axis=axis)),
    "logsumexp": (numerics.logsumexp, lambda x, axis: jax.nn.logsumexp(x, axis=axis)),
}


def times(functions: tuple[Reduction, Reduction], x: Any, axis: int) -> list[float]:
    """Seconds of one run of each."""
    compiled = [jax.jit(lambda v, f=f: f(v, axis)).lower(x).compile() for f in functions]
    best = [np.inf, np.inf]
    for _ in range(RUNS):
        for k, run in enumerate(compiled):
            start = time.perf_counter()
            jax.block_until_ready(run(x))
            best[k] = min(best[k], time.perf_counter() - start)
    return best


def main() -> None:
    rng = np.random.default_rng(0)
    record, rows = {}, []
    for name, functions in PAIRS.items():
        cells = []
        for shape, axis in SHAPES:
            x = jnp.asarray(rng.standard_normal(shape).astype(np.float32))
            ours, theirs = times(functions, x, axis)
            record[f"{name} {shape} axis {axis}"] = {"karush_s": ours, "jax_s": theirs}
            cells.append(f"{1e6 * ours:.0f} ({ours / theirs:.1f})")
        rows.append(f"| `{name}` | " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    heads = [f"{' × '.join(map(str, shape))}{', axis 0' if axis == 0 else ''}" for shape, axis in SHAPES]
    lines = [
        "Microseconds of a run in float32 under jit (in brackets relative to JAX's own function); along the last axis "
        "unless said.",
        "",
        "| function | " + " | ".join(heads) + " |",
        "|---" * (1 + len(SHAPES)) + "|",
        *rows,
    ]
    (RESULTS / "numerics_times.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (RESULTS / "numerics_times.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
