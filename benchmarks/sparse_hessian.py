"""Sparse Hessian of chained Rosenbrock, n = 1e5: time to prepare and to evaluate; karush, asdex, CasADi in one run.

    python -m benchmarks.sparse_hessian            # writes benchmarks/results/sparse_hessian.json and .md

Prepare: from the function to the first matrix, compilation included, imports not, each in a fresh process without a
compilation cache; CPU seconds also count the preparation of the gradient. Evaluate and gradient: shortest of the
repeats; ratio: median over pairs of calls one after another. All only count if the entries are the exact ones, to 1e-12
of the largest.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
N = 100_000
SMALL = 2000
REPEATS = 40
EXACT = 1e-12
WRITTEN = ("slices", "gathers", "vmap")
ARROW = "arrow"
TIMEOUT = 300


def exact(x):
    """Diagonal and subdiagonal of the Hessian of chained Rosenbrock."""
    diagonal = np.zeros(x.size)
    diagonal[:-1] += 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
    diagonal[1:] += 200
    return diagonal, -400 * x[:-1]


def jax_function(written, n):
    import jax
    import jax.numpy as jnp

    i = np.arange(n - 1)

    def term(a, b):
        return 100.0 * (b - a**2) ** 2 + (1.0 - a) ** 2

    return {
        "slices": lambda x: jnp.sum(term(x[:-1], x[1:])),
        "gathers": lambda x: jnp.sum(term(x[i], x[i + 1])),
        "vmap": lambda x: jnp.sum(jax.vmap(lambda i: term(x[i], x[i + 1]))(i)),
        ARROW: lambda x: jnp.sum(x[1:] ** 2 * x[0]),
    }[written]


def with_karush(written, x):
    import karush

    f = jax_function(written, x.size)
    hessian, start = karush.hessian(f, sparse=True), time.perf_counter()
    first = hessian(x)
    first.data.block_until_ready()
    prepare = time.perf_counter() - start
    rows, cols = np.asarray(first.indices).T
    slope = karush.gradient(f)
    slope(x)
    return prepare, lambda: hessian(x).data.block_until_ready(), lambda: slope(x), (rows, cols, np.asarray(first.data))


def with_asdex(written, x):
    import asdex
    import jax

    jax.config.update("jax_enable_x64", True)
    f, start = jax_function(written, x.size), time.perf_counter()
    coloring = asdex.hessian_coloring(f, x)
    hessian = jax.jit(asdex.hessian_from_coloring(f, coloring))
    first = hessian(x)
    first.data.block_until_ready()
    prepare = time.perf_counter() - start
    slope = jax.jit(jax.grad(f))
    slope(x).block_until_ready()
    rows, cols = np.asarray(first.indices).T
    return (
        prepare,
        lambda: hessian(x).data.block_until_ready(),
        lambda: slope(x).block_until_ready(),
        (rows, cols, np.asarray(first.data)),
    )


def with_casadi(written, x):
    import casadi

    start = time.perf_counter()
    v = casadi.SX.sym("x", x.size)
    if written == ARROW:
        f = casadi.sumsqr(v[1:]) * v[0]
    else:
        f = casadi.sum1(100 * (v[1:] - v[:-1] ** 2) ** 2 + (1 - v[:-1]) ** 2)
    matrix, gradient = casadi.hessian(f, v)
    hessian = casadi.Function("hessian", [v], [matrix])
    first = hessian(x)
    prepare = time.perf_counter() - start
    slope = casadi.Function("gradient", [v], [gradient])
    rows, cols = (np.asarray(part) for part in matrix.sparsity().get_triplet())
    return prepare, lambda: hessian(x), lambda: slope(x), (rows, cols, np.asarray(first.nonzeros()))


TOOLS = {"karush": with_karush, "asdex": with_asdex, "casadi": with_casadi}


def timed(evaluate, slope):
    """Shortest times of both, and the median ratio of calls one after another, which a busy machine slows alike."""
    evaluate()
    slope()
    pairs = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        evaluate()
        middle = time.perf_counter()
        slope()
        pairs.append((middle - start, time.perf_counter() - middle))
    ours, gradients = np.array(pairs).T
    return float(ours.min()), float(gradients.min()), float(np.median(ours / gradients))


def error(x, written, rows, cols, data):
    """Largest error of an entry next to the largest entry; an entry that is missing counts with its size."""
    if written == ARROW:
        diagonal, below = np.concatenate([[0.0], np.full(x.size - 1, 2 * x[0])]), None
    else:
        diagonal, below = exact(x)
    largest, off = np.max(np.abs(diagonal)), 0.0
    on = np.zeros(x.size)
    on[rows[rows == cols]] = data[rows == cols]
    worst = np.max(np.abs(on - diagonal))
    if below is not None:
        under = np.zeros(x.size - 1)
        near = rows == cols + 1
        under[cols[near]] = data[near]
        worst = max(worst, np.max(np.abs(under - below)))
        off = np.max(np.abs(data[np.abs(rows - cols) > 1]), initial=0.0)
    else:
        arm = np.zeros(x.size)
        arm[cols[(rows == 0) & (cols > 0)]] = data[(rows == 0) & (cols > 0)]
        worst = max(worst, np.max(np.abs(arm[1:] - 2 * x[1:])))
    return float(max(worst, off) / largest)


def worker(tool, written, n):
    x = np.random.default_rng(n).uniform(-2, 2, n)
    importlib.import_module("casadi" if tool == "casadi" else "jax.numpy")
    importlib.import_module(tool)
    before = time.process_time()
    prepare, evaluate, slope, entries = TOOLS[tool](written, x)
    cpu = time.process_time() - before
    seconds, gradient, ratio = timed(evaluate, slope)
    return {
        "tool": tool,
        "written": written,
        "n": n,
        "prepare": prepare,
        "cpu": cpu,
        "evaluate": seconds,
        "gradient": gradient,
        "ratio": ratio,
        "error": error(x, written, *entries),
    }


def measured(tool, written, n):
    """One row, from a process of its own."""
    package = {"casadi": "casadi", "asdex": "asdex", "karush": "karush"}[tool]
    environment = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    command = [sys.executable, "-m", "benchmarks.sparse_hessian", "--worker", tool, written, str(n)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return {"tool": tool, "written": written, "n": n, "failed": f"longer than {TIMEOUT} s"}
    if done.returncode:
        return {
            "tool": tool,
            "written": written,
            "n": n,
            "failed": f"{package}: {done.stderr.strip().splitlines()[-1]}",
        }
    return json.loads(done.stdout.strip().splitlines()[-1])


def table(rows):
    lines = [
        "| written with | n | tool | prepare, s | CPU, s | evaluate, ms | one gradient, ms | ratio | error |",
        "|---" * 9 + "|",
    ]
    for row in rows:
        start = f"| {row['written']} | {row['n']} | {row['tool']} |"
        if "failed" in row:
            lines.append(f"{start} {row['failed']} | | | | | |")
            continue
        note = "" if row["error"] <= EXACT else " **wrong**"
        lines.append(
            f"{start} {row['prepare']:.2f} | {row['cpu']:.2f} | {1e3 * row['evaluate']:.2f} "
            f"| {1e3 * row['gradient']:.2f} | {row['ratio']:.1f} | {row['error']:.0e}{note} |"
        )
    return "\n".join(lines)


def versions():
    out = {}
    for package in ("jax", "asdex", "casadi"):
        try:
            out[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            out[package] = "not installed"
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", nargs=3, metavar=("TOOL", "WRITTEN", "N"))
    arguments = parser.parse_args()
    if arguments.worker:
        tool, written, n = arguments.worker
        print(json.dumps(worker(tool, written, int(n))))
        return
    rows = []
    for written in (*WRITTEN, ARROW):
        for tool in TOOLS:
            if tool == "casadi" and written in {"gathers", "vmap"}:
                continue  # it has one way to write this function
            for n in (SMALL, N):
                rows.append(measured(tool, written, n))
                print(rows[-1], flush=True)
    found = versions()
    (RESULTS / "sparse_hessian.json").write_text(json.dumps({"versions": found, "rows": rows}, indent=1) + "\n")
    described = ", ".join(f"{package} {version}" for package, version in found.items())
    head = (
        f"# Sparse Hessians\n\nWritten by `python -m benchmarks.sparse_hessian`; {described}. Prepare: to the first "
        "matrix, in a fresh process without a compilation cache; CPU seconds include the gradient's compilation. "
        "Ratio: evaluation next to one gradient by the same tool, median over pairs of calls.\n\n"
    )
    (RESULTS / "sparse_hessian.md").write_text(head + table(rows) + "\n")


if __name__ == "__main__":
    main()
