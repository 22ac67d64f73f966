"""Smoothness constants with known answers, and gradient descent with the step that they give.

``python -m benchmarks.smoothness`` writes benchmarks/results/smoothness.json and smoothness.md.

For each function: karush's bounds of the constant of its gradient on a box, the true constant, and 1e5 single steps of
length 1/L from random points of the box; those that leave the box are not counted. A rise is one beyond the rounding of
the two values.
"""

import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import karush
from karush.core.precision import float64

RESULTS = Path(__file__).parent / "results"
STEPS = 100_000
ROUNDING = 64 * np.finfo(float).eps
"""relative to the value: of sums of a few dozen terms"""
rng = np.random.default_rng(0)
A = rng.standard_normal((20, 10))
Y = np.sign(rng.standard_normal(20))
Q = A.T @ A
LARGEST = float(np.linalg.norm(A, 2) ** 2)
TEN = karush.Box(-np.ones(10), np.ones(10))
TWO = karush.Box(-2.0 * np.ones(2), 2.0 * np.ones(2))
CASES: dict[str, tuple[Callable[[Any], Any], karush.Box, float]] = {
    "quadratic": (lambda x: 0.5 * x @ (Q @ x), TEN, LARGEST),
    "least squares": (lambda x: 0.5 * jnp.sum((A @ x - Y) ** 2), TEN, LARGEST),
    "ridge": (lambda x: 0.5 * jnp.sum((A @ x - Y) ** 2) + 0.05 * jnp.sum(x**2), TEN, LARGEST + 0.1),
    "logistic": (lambda x: jnp.sum(jnp.logaddexp(0.0, -Y * (A @ x))), TEN, LARGEST / 4.0),
    "softplus": (lambda x: jnp.sum(jax.nn.softplus(A @ x)), TEN, LARGEST / 4.0),
    "log-sum-exp": (jax.nn.logsumexp, TWO, 0.5),
}


def run(name: str) -> dict[str, Any]:
    """One function."""
    f, box, true = CASES[name]
    start = time.perf_counter()
    found = karush.lipschitz(f, box, of="gradient")
    seconds = time.perf_counter() - start
    low, high = box.flat()
    x = rng.uniform(low, high, (STEPS, low.size))
    with float64():
        both = jax.jit(jax.vmap(jax.value_and_grad(f)))
        value, slope = (np.asarray(part) for part in both(x))
        after = x - found.step * slope
        inside = np.all((after >= low) & (after <= high), axis=1)
        later = np.asarray(both(after)[0])
    rises = int(np.sum(later[inside] > value[inside] + ROUNDING * np.abs(value[inside])))
    numbers = {"lower": found.lower, "upper": found.upper, "true": true, "boxes": found.boxes, "seconds": seconds}
    return {"function": name, **numbers, "steps": int(inside.sum()), "rises": rises}


def report(rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = [
        "# Smoothness constants",
        "",
        f"{platform.machine()}, JAX {jax.__version__}, karush {karush.__version__}; 2-norm; asked: upper / true ≤ 1.1, "
        "and no rise.",
        "",
        "| function | lower | upper | upper / true | boxes | s | steps inside the box | rises |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        numbers = [f"{row['lower']:.5g}", f"{row['upper']:.5g}", f"{row['upper'] / row['true']:.4f}"]
        rest = [str(row["boxes"]), f"{row['seconds']:.1f}", str(row["steps"]), str(row["rises"])]
        lines.append(f"| {' | '.join([row['function'], *numbers, *rest])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    rows = [run(name) for name in CASES]
    text = report(rows)
    (RESULTS / "smoothness.json").write_text(json.dumps(rows, indent=1) + "\n")
    (RESULTS / "smoothness.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
