"""One solver on one problem in a process of its own: ``python -m benchmarks.worker PROBLEM SOLVER OUT``.

Writes the row to OUT after the cold solve and again after the warm ones: a time limit loses only what came after.
"""

import os
import sys
import time

STARTED = time.perf_counter()

# before jax is imported: its thread pools are sized then
if "BENCHMARK_CORE" in os.environ:
    os.sched_setaffinity(0, {int(os.environ["BENCHMARK_CORE"])})

import importlib
import importlib.metadata
import json
import statistics
from pathlib import Path

import jax
import numpy as np

from benchmarks import lists
from benchmarks.problem import Answer

REPEATS = 5
"""warm solves at least"""
WARM_SECONDS = 0.5
"""more repeats until the warm solves took this long in sum, at most `MOST_REPEATS`"""
MOST_REPEATS = 25


def as_row(answer: Answer) -> dict:
    """The answer as JSON can hold it; NaN stays NaN."""
    parts = {"x": answer.x, "y": answer.y, "z": answer.z}
    row = {key: None if part is None else np.asarray(part, float).tolist() for key, part in parts.items()}
    row |= {"status": answer.status, "claimed": answer.claimed, "iterations": answer.iterations}
    return row | {"evaluations": answer.evaluations} | (answer.extra() if answer.extra else {})


def warm_times(solve, x0) -> list[float]:
    """Seconds of each of some repeats of ``solve(x0)``."""
    times: list[float] = []
    while len(times) < REPEATS or (sum(times) < WARM_SECONDS and len(times) < MOST_REPEATS):
        start = time.perf_counter()
        solve(x0)
        times.append(time.perf_counter() - start)
    return times


def quartiles(times: list[float]) -> dict:
    """Median, and half the interquartile range over the median as a measure of noise."""
    low, median, high = statistics.quantiles(times, n=4)
    return {"warm": median, "warm_noise": (high - low) / (2 * median), "warm_repeats": len(times)}


def measure(name: str, solver: str, save) -> None:
    """Cold, then warm; ``save(row)`` after each. A solver's `extra_measures` add what only it has."""
    module = importlib.import_module(f"benchmarks.solvers.{solver}")
    imported = time.perf_counter() - STARTED
    problem = lists.load(name)
    row = {"problem": name, "solver": solver, "n": problem.n, "m": problem.m, "import": imported}

    start = time.perf_counter()
    if hasattr(module, "cold"):
        solve, answer = None, module.cold(problem)
    else:
        solve = module.prepare(problem)
        answer = solve(problem.x0)
    row |= {"cold": time.perf_counter() - start, **as_row(answer)}
    save(row)
    if "BENCHMARK_COLD_ONLY" in os.environ:
        return

    if solve is None:
        start = time.perf_counter()
        solve = module.prepare(problem)
        answer = solve(problem.x0)
        row |= {"prepare": time.perf_counter() - start, **as_row(answer)}
        save(row)
    row |= quartiles(warm_times(solve, problem.x0))
    save(row)
    if hasattr(module, "extra_measures"):
        row |= module.extra_measures(solve, row)
        save(row)


def main(name: str, solver: str, out: str) -> None:
    jax.config.update("jax_enable_x64", True)
    file = Path(out)

    def save(row: dict) -> None:
        half_written = file.with_suffix(".part")
        half_written.write_text(json.dumps(row))
        half_written.replace(file)

    measure(name, solver, save)


if __name__ == "__main__":
    main(*sys.argv[1:])
