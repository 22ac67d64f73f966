"""Bits of error of twofold arithmetic on the FPBench expressions, and what it costs.

``python -m benchmarks.twofold [POINTS]`` writes benchmarks/results/twofold.md and .json. Points are drawn by bit
pattern within the precondition; only those whose exact answer is finite and normal count. Every value is computed under
`jit` in the dtype of the column; nothing is computed in a wider one.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.fpcore import Core, load
from karush.arithmetic.twofold import compensated
from karush.core.precision import float64
from karush.stability.points import draw, is_normal
from karush.stability.truth import exact_values
from karush.stability.ulps import bits_of_error

RESULTS = Path(__file__).parent / "results"
POINTS = 1000
SEED = 7
REPEATS = 20
MOST_DRAWS = 100
"""batches drawn until enough points satisfy the precondition"""
BAD = 1.0
"""mean bits of error from which an expression is listed"""


def sample(core: Core, dtype: Any, count: int) -> list[np.ndarray]:
    """At most `count` points by bit pattern within the precondition, one column per argument."""
    rng = np.random.default_rng(SEED)
    found: list[np.ndarray] = []
    for _ in range(MOST_DRAWS):
        points = np.stack([draw(low, high, (4 * count,), dtype, rng) for low, high in core.ranges()], axis=1)
        found.append(points[core.allowed(points) & is_normal(points).all(axis=1)])
        if sum(map(len, found)) >= count:
            break
    return [np.ascontiguousarray(column) for column in np.concatenate(found)[:count].T]


def measured(core: Core, dtype: Any, count: int) -> dict[str, Any] | None:
    """Mean bits of error as written and twofold, and the ratio of their times; None without a usable point."""
    columns = sample(core, dtype, count)
    if len(columns[0]) == 0:
        return None
    function = core.function()

    def trace(n: int) -> Any:
        return jax.make_jaxpr(jax.vmap(function))(*[jax.ShapeDtypeStruct((n,), dtype)] * len(columns))

    exact = exact_values(trace, columns)[0]
    usable = is_normal(exact)
    if not usable.any():
        return None
    given = [jnp.asarray(c) for c in columns]
    out: dict[str, Any] = {"name": core.name, "file": core.file, "points": int(usable.sum())}
    runs = {"plain": jax.jit(jax.vmap(function)), "twofold": jax.jit(jax.vmap(compensated(function)))}
    for label, run in runs.items():
        start = time.perf_counter()
        value = np.asarray(run(*given))
        out[f"{label} compile"] = time.perf_counter() - start
        errors = bits_of_error(value.astype(dtype), exact)[usable]
        out[label] = float(errors.mean())
        out[f"{label} worst"] = float(errors.max())
    times = {label: [] for label in runs}
    for _ in range(REPEATS):
        for label, run in runs.items():
            start = time.perf_counter()
            jax.block_until_ready(run(*given))
            times[label].append(time.perf_counter() - start)
    out["time ratio"] = min(times["twofold"]) / min(times["plain"])
    return out


def table(rows: dict[str, list[dict[str, Any]]]) -> str:
    """The results in Markdown."""
    lines = [
        "| | expressions | plain | twofold | twofold below 1 bit | worse by > 0.5 bit | time ratio, median |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, results in rows.items():
        for name, chosen in (("all", results), ("hamming-ch3", [r for r in results if r["file"] == "hamming-ch3"])):
            if not chosen:
                continue
            plain, twofold = (statistics.mean(r[key] for r in chosen) for key in ("plain", "twofold"))
            good = sum(r["twofold"] < BAD for r in chosen)
            worse = sum(r["twofold"] > r["plain"] + 0.5 for r in chosen)
            ratio = statistics.median(r["time ratio"] for r in chosen)
            lines.append(
                f"| {label}, {name} | {len(chosen)} | {plain:.2f} | {twofold:.2f} | {good} | {worse} | {ratio:.1f} |"
            )
    lines += ["", f"Expressions of {BAD:g} bit or more after twofold evaluation:", ""]
    lines += ["| | expression | plain | twofold |", "|---|---|---|---|"]
    for label, results in rows.items():
        for r in sorted(results, key=lambda r: -r["twofold"]):
            if r["twofold"] >= BAD:
                lines.append(f"| {label} | {r['file']}: {r['name']} | {r['plain']:.1f} | {r['twofold']:.1f} |")
    return "\n".join(lines) + "\n"


def main(count: int) -> None:
    """Measure all and write."""
    rows: dict[str, list[dict[str, Any]]] = {"float64": [], "float32": []}
    for core in load():
        with float64():
            wide = measured(core, np.float64, count)
        narrow = measured(core, np.float32, count)
        for label, result in (("float64", wide), ("float32", narrow)):
            if result is not None:
                rows[label].append(result)
                print(f"{label} {core.file}: {core.name}: {result['plain']:.2f} -> {result['twofold']:.2f}", flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "twofold.json").write_text(json.dumps(rows, indent=1) + "\n")
    text = f"# Twofold arithmetic on FPBench\n\n{count} points, mean bits of error under `jit`.\n\n{table(rows)}"
    (RESULTS / "twofold.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else POINTS)
