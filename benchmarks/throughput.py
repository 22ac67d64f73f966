"""Boxes per second: one function of 10 variables and 50 operations, on 1e5 boxes at once.

    python -m benchmarks.throughput

karush's intervals are compiled with vmap and run beside crival (NumPy arrays of correctly rounded intervals), beside
codac (one box at a time) where it is installed, and beside the evaluation of the same function at as many points. The
same with float32 ends, whose steps are computed in float64 and rounded outward, is a row of its own.
Each is timed in turns with the others, in one process; the fastest of the turns counts.
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

from karush.arithmetic import interval_single
from karush.arithmetic.interval import IntervalProgram, enter
from karush.core.precision import float64

try:
    import ival
except ImportError:
    ival = None
try:
    import codac
except ImportError:
    codac = None

FOLDER = Path(__file__).parent / "results"
BOXES = 100_000
CODAC_BOXES = 2_000
"""codac takes one box at a time: fewer, the rate is the same"""
TURNS = 7
RADIUS = 0.05
TARGETS = {"crival": 4.0, "codac": 50.0, "points": 1.0 / 6.0}
"""asked: karush's rate at least this many times the other's"""


class Names:
    """The four functions used, in one library."""

    def __init__(self, exp: Callable, sin: Callable, cos: Callable, sqrt: Callable):
        self.exp, self.sin, self.cos, self.sqrt = exp, sin, cos, sqrt


def function(x: Any, names: Names) -> Any:
    """50 operations of a list x of 10 numbers: 19 products, 20 sums and differences, 4 quotients, 7 functions."""
    a = x[0] * x[1] + x[2] * x[3] - x[4] * x[5]
    b = names.exp(x[6] * 0.5 - x[7]) + names.sin(x[8] + x[9]) * x[0]
    c = names.sqrt(x[1] * x[1] + x[2] * x[2] + 1.0)
    d = (x[3] - x[4]) / (c + 2.0) + (x[5] + x[6]) / (x[7] * x[7] + 1.0)
    e = names.cos(x[8] * x[9]) * (a + b) - d * c
    g = names.exp(a * 0.1) / (b * b + 1.0) + names.sin(c * d)
    h = (e + g) * (x[0] - x[9]) + x[3] * x[6] * x[8]
    return h * h * 0.25 + names.sqrt(a * a + 2.0) * e / (c + 3.0) - g


def rate(run: Callable[[], Any], boxes: int, best: float) -> float:
    """Boxes per second of one run, or `best` if that was faster."""
    start = time.perf_counter()
    run()
    return max(best, boxes / (time.perf_counter() - start))


def contestants(lower: np.ndarray, upper: np.ndarray) -> dict[str, tuple[Callable[[], Any], int]]:
    """name -> what runs once over all boxes (k, 10), and how many those are."""
    names = Names(jnp.exp, jnp.sin, jnp.cos, jnp.sqrt)

    def of_array(x: Any) -> Any:
        return function([x[k] for k in range(10)], names)

    closed = jax.make_jaxpr(of_array)(lower[0])

    def on_boxes(program: IntervalProgram, entered: Callable[..., Any]) -> Callable[..., Any]:
        def one(lo: Any, hi: Any) -> tuple[Any, Any]:
            (out,) = program(entered(lo, hi))
            return out.lo, out.hi

        # Compiled for the layout of one variable after the other, as crival's arrays are.
        return jax.jit(jax.vmap(one, in_axes=1))

    boxes = on_boxes(IntervalProgram(closed), enter)
    short = on_boxes(interval_single.SingleProgram(closed), interval_single.enter)
    points = jax.jit(jax.vmap(of_array, in_axes=1))
    low, high = jnp.asarray(lower.T.copy()), jnp.asarray(upper.T.copy())
    low32, high32 = (jnp.asarray(end, jnp.float32) for end in (low, high))
    runs: dict[str, tuple[Callable[[], Any], int]] = {
        "karush": (lambda: jax.block_until_ready(boxes(low, high)), len(lower)),
        "karush, float32 ends": (lambda: jax.block_until_ready(short(low32, high32)), len(lower)),
        "points": (lambda: jax.block_until_ready(points(low)), len(lower)),
    }
    if ival is not None:
        parts = [ival.Interval(lower[:, k].copy(), upper[:, k].copy()) for k in range(10)]
        theirs = Names(ival.exp, ival.sin, ival.cos, ival.sqrt)
        runs["crival"] = (lambda: function(parts, theirs), len(lower))
    if codac is not None:
        single = Names(codac.exp, codac.sin, codac.cos, codac.sqrt)
        some = [
            [codac.Interval(lo, hi) for lo, hi in zip(a, b, strict=True)]
            for a, b in zip(lower[:CODAC_BOXES].tolist(), upper[:CODAC_BOXES].tolist(), strict=True)
        ]
        runs["codac"] = (lambda: [function(box, single) for box in some], CODAC_BOXES)
    return runs


def measure(count: int = BOXES, turns: int = TURNS) -> dict[str, float]:
    """name -> boxes per second."""
    centre = np.random.default_rng(0).uniform(-1.0, 1.0, (count, 10))
    with float64():
        runs = contestants(centre - RADIUS, centre + RADIUS)
        for run, _ in runs.values():
            run()
        rates = dict.fromkeys(runs, 0.0)
        for _ in range(turns):
            for name, (run, boxes) in runs.items():
                rates[name] = rate(run, boxes, rates[name])
    return rates


def table(rates: dict[str, float]) -> str:
    """Markdown."""
    lines = ["| | boxes per second | karush is this many times faster | asked |", "|---|---|---|---|"]
    for name, value in rates.items():
        asked = f"{TARGETS[name]:.3g}" if name in TARGETS else ""
        lines.append(f"| {name} | {value:.3g} | {rates['karush'] / value:.3g} | {asked} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write results/throughput.json and .md."""
    rates = measure()
    text = table(rates)
    print(text)
    machine = {"machine": platform.machine(), "jax": jax.__version__, "boxes": BOXES}
    (FOLDER / "throughput.json").write_text(json.dumps({"machine": machine, "rates": rates}, indent=1) + "\n")
    (FOLDER / "throughput.md").write_text(f"# Throughput of intervals\n\n{text}\n")


if __name__ == "__main__":
    main()
