"""Widths of ranges on small boxes: karush.enclose beside the natural interval extension and the true range.

``python -m benchmarks.enclose_widths`` writes benchmarks/results/enclose.json and enclose.md.

Twenty classical functions of global optimization in two variables; boxes of radius 0.1 at the minimiser and at seeded
random places of the function's domain. The true range is found by many local searches from inside, so that true ratios
are at most those printed.
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
from scipy.optimize import minimize

import karush
from benchmarks import global_functions as named
from karush.arithmetic.interval import IntervalProgram, enter
from karush.bounds.box import traced_on
from karush.core.precision import float64

RESULTS = Path(__file__).parent / "results"
RADIUS = 0.1
PLACES = 3
"""random boxes of each function"""
STARTS = 12
"""local searches for each end of the true range"""
SEED = 0


def booth(x: Any) -> Any:
    return (x[0] + 2.0 * x[1] - 7.0) ** 2 + (2.0 * x[0] + x[1] - 5.0) ** 2


def beale(x: Any) -> Any:
    a, b = x[0], x[1]
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def matyas(x: Any) -> Any:
    return 0.26 * (x[0] ** 2 + x[1] ** 2) - 0.48 * x[0] * x[1]


def himmelblau(x: Any) -> Any:
    return (x[0] ** 2 + x[1] - 11.0) ** 2 + (x[0] + x[1] ** 2 - 7.0) ** 2


def three_hump_camel(x: Any) -> Any:
    return 2.0 * x[0] ** 2 - 1.05 * x[0] ** 4 + x[0] ** 6 / 6.0 + x[0] * x[1] + x[1] ** 2


def six_hump_camel(x: Any) -> Any:
    a, b = x[0], x[1]
    return (4.0 - 2.1 * a**2 + a**4 / 3.0) * a**2 + a * b + (4.0 * b**2 - 4.0) * b**2


def easom(x: Any) -> Any:
    return -jnp.cos(x[0]) * jnp.cos(x[1]) * jnp.exp(-((x[0] - jnp.pi) ** 2) - (x[1] - jnp.pi) ** 2)


def mccormick(x: Any) -> Any:
    return jnp.sin(x[0] + x[1]) + (x[0] - x[1]) ** 2 - 1.5 * x[0] + 2.5 * x[1] + 1.0


def branin(x: Any) -> Any:
    inner = x[1] - 5.1 / (4.0 * jnp.pi**2) * x[0] ** 2 + 5.0 / jnp.pi * x[0] - 6.0
    return inner**2 + 10.0 * (1.0 - 1.0 / (8.0 * jnp.pi)) * jnp.cos(x[0]) + 10.0


def schaffer(x: Any) -> Any:
    r = x[0] ** 2 + x[1] ** 2
    return 0.5 + (jnp.sin(x[0] ** 2 - x[1] ** 2) ** 2 - 0.5) / (1.0 + 0.001 * r) ** 2


def shubert(x: Any) -> Any:
    i = jnp.arange(1.0, 6.0)
    return jnp.sum(i * jnp.cos((i + 1.0) * x[0] + i)) * jnp.sum(i * jnp.cos((i + 1.0) * x[1] + i))


def bohachevsky(x: Any) -> Any:
    return x[0] ** 2 + 2.0 * x[1] ** 2 - 0.3 * jnp.cos(3.0 * jnp.pi * x[0]) - 0.4 * jnp.cos(4.0 * jnp.pi * x[1]) + 0.7


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], tuple[float, float], float]] = {
    "Ackley": (named.ackley, (0.0, 0.0), 5.0),
    "Rastrigin": (named.rastrigin, (0.0, 0.0), 5.12),
    "Griewank": (named.griewank, (0.0, 0.0), 10.0),
    "Rosenbrock": (named.rosenbrock, (1.0, 1.0), 2.0),
    "Levy": (named.levy, (1.0, 1.0), 10.0),
    "Styblinski-Tang": (named.styblinski_tang, (-2.903534, -2.903534), 5.0),
    "Goldstein-Price": (named.goldstein_price, (0.0, -1.0), 2.0),
    "Michalewicz": (named.michalewicz, (2.202906, 1.570796), 1.5),
    "Booth": (booth, (1.0, 3.0), 10.0),
    "Beale": (beale, (3.0, 0.5), 4.5),
    "Matyas": (matyas, (0.0, 0.0), 10.0),
    "Himmelblau": (himmelblau, (3.0, 2.0), 5.0),
    "three-hump camel": (three_hump_camel, (0.0, 0.0), 5.0),
    "six-hump camel": (six_hump_camel, (0.0898, -0.7126), 2.0),
    "Easom": (easom, (np.pi, np.pi), 3.0),
    "McCormick": (mccormick, (-0.54719, -1.54719), 2.5),
    "Branin": (branin, (np.pi, 2.275), 5.0),
    "Schaffer 2": (schaffer, (0.0, 0.0), 10.0),
    "Shubert": (shubert, (-1.425128, -0.800321), 5.0),
    "Bohachevsky": (bohachevsky, (0.0, 0.0), 10.0),
}
"""name -> function, a minimiser, half the width of the domain around it in which boxes are placed"""


def true_width(f: Callable[[Any], Any], low: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> float:
    """Greatest minus least value that local searches find."""
    with float64():
        both = jax.jit(jax.value_and_grad(f))
        ends = []
        for sign in (1.0, -1.0):

            def of(x: np.ndarray, sign: float = sign) -> tuple[float, np.ndarray]:
                value, slope = both(jnp.asarray(x))
                return sign * float(value), sign * np.nan_to_num(np.asarray(slope))

            corners = [low, high, np.array([low[0], high[1]]), np.array([high[0], low[1]])]
            starts = [*corners, *rng.uniform(low, high, (STARTS - len(corners), 2))]
            found = [
                minimize(of, x, jac=True, method="L-BFGS-B", bounds=list(zip(low, high, strict=True))) for x in starts
            ]
            ends.append(sign * min(float(one.fun) for one in found))
    return ends[1] - ends[0]


def natural_width(f: Callable[[Any], Any], box: karush.Box) -> float:
    """Width of the natural interval extension."""
    flat, low, high = traced_on(f, box)
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        (value,) = jax.jit(lambda a, b: IntervalProgram(flat.closed_jaxpr)(enter(a, b)))(low, high)
    return float(value.hi[0] - value.lo[0])


def run() -> list[dict[str, Any]]:
    """Every function on every box."""
    rng = np.random.default_rng(SEED)
    rows = []
    for name, (f, at, reach) in FUNCTIONS.items():
        places = [np.array(at), *(np.array(at) + rng.uniform(-reach, reach, (PLACES, 2)))]
        for k, middle in enumerate(places):
            box = karush.Box.around(middle, RADIUS)
            start = time.perf_counter()
            found = karush.enclose(f, box)
            seconds = time.perf_counter() - start
            true = true_width(f, *box.flat(), rng)
            rows.append(
                {
                    "function": name,
                    "place": "minimiser" if k == 0 else f"random {k}",
                    "width": float(found.upper) - float(found.lower),
                    "natural": natural_width(f, box),
                    "true": true,
                    "boxes": found.boxes,
                    "seconds": seconds,
                }
            )
    return rows


def report(rows: list[dict[str, Any]]) -> str:
    """Medians, and one line per box."""
    to_natural = np.array([row["width"] / row["natural"] for row in rows])
    to_true = np.array([row["width"] / row["true"] for row in rows])
    possible = np.array([row["true"] / row["natural"] for row in rows])
    lines = [
        "# Widths of ranges on boxes of radius 0.1",
        "",
        f"{platform.machine()}, JAX {jax.__version__}, karush {karush.__version__}; default budget; "
        f"{len(FUNCTIONS)} functions, {len(rows)} boxes; seconds with tracing and compilation, on a shared machine.",
        "",
        "| measure | asked | median | worst |",
        "|---|---|---|---|",
        f"| width / true width | ≤ 1.5 | {np.median(to_true):.4f} | {to_true.max():.4f} |",
        f"| width / width of the natural extension | ≤ 0.2 | {np.median(to_natural):.3f} | {to_natural.max():.3f} |",
        f"| true width / width of the natural extension, the least possible | – | {np.median(possible):.3f} "
        f"| {possible.max():.3f} |",
        f"| seconds | – | {np.median([row['seconds'] for row in rows]):.2f} "
        f"| {max(row['seconds'] for row in rows):.2f} |",
        "",
        "| function | box | width | true | natural | boxes |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        numbers = [f"{row[key]:.5g}" for key in ("width", "true", "natural")]
        lines.append(f"| {' | '.join([row['function'], row['place'], *numbers, str(row['boxes'])])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    rows = run()
    text = report(rows)
    (RESULTS / "enclose.json").write_text(json.dumps(rows, indent=1) + "\n")
    (RESULTS / "enclose.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
