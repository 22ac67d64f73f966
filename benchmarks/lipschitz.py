"""Lipschitz constants of networks on boxes: karush beside auto_LiRPA, ECLipsE, LipSDP and the product bound.

``python -m benchmarks.lipschitz`` writes benchmarks/results/lipschitz.json and lipschitz.md; ``--cells TEXT`` keeps the
cells whose name contains TEXT, ``--without NAMES`` leaves peers out, ``--resume`` keeps the rows that are there.

48 cells: four networks, tanh and relu, boxes of three radii around 0, 2-norm and max norm of the input. Weights and
biases are seeded normal numbers over the root of the fan-in. Peers that are not installed are named as absent. The
2-norm bounds of peers count for the max norm too, times the root of the number of inputs, which is free. A peer that
exceeds its time on a network gives no bound, and is not asked for others of that network and activation.
"""

import argparse
import functools
import importlib.util
import itertools
import json
import math
import platform
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import karush
from benchmarks import lipschitz_peers as peers

RESULTS = Path(__file__).parent / "results"
SIZES = ((2, 16, 16, 1), (4, 32, 32, 1), (10, 64, 64, 1), (10, 64, 64, 64, 64, 1))
RADII = (0.01, 0.1, 1.0)
NORMS = (2, math.inf)
SEED = 0
LIMIT = 30.0
"""seconds a cell may take"""
SEARCH = 22.0
"""seconds after which karush divides no more boxes"""
PEER_LIMIT = 120.0
"""seconds that one bound of a peer may take; code in C is interrupted when it returns"""
RATIO = 1.0001
"""upper / lower at which karush may stop; else it spends its default budget"""
SAME = 1e-6
"""relative difference below which two bounds are equal: what karush's search leaves, below solvers' tolerances"""
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"tanh": jnp.tanh, "relu": jax.nn.relu}


@dataclass(frozen=True)
class Cell:
    """A network, a box and a norm."""

    sizes: tuple[int, ...]
    activation: str
    radius: float
    norm: float

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))} {self.activation} r={self.radius} p={self.norm}"


def weights(sizes: tuple[int, ...]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Seeded normal weights and biases."""
    rng = np.random.default_rng(SEED)
    W = [rng.standard_normal((b, a)) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]
    return W, [rng.standard_normal(b) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]


def network(sizes: tuple[int, ...], activation: str) -> Callable[[Any], Any]:
    """The network as a plain JAX function of one array."""
    W, b = weights(sizes)
    act = ACTIVATIONS[activation]

    def f(x: Any) -> Any:
        for A, c in zip(W[:-1], b[:-1], strict=True):
            x = act(A @ x + c)
        return (W[-1] @ x + b[-1])[0]

    return f


def measured(cell: Cell) -> dict[str, Any]:
    """karush on one cell, tracing and compilation included."""
    n = cell.sizes[0]
    start, used = time.perf_counter(), time.process_time()
    box = karush.Box.around(np.zeros(n), cell.radius)
    f, norm = network(cell.sizes, cell.activation), (cell.norm, cell.norm)
    found = karush.lipschitz(f, box, norm=norm, ratio=RATIO, time_limit=SEARCH)
    out = {"lower": found.lower, "upper": found.upper, "boxes": found.boxes, "label": found.label}
    return out | {"seconds": time.perf_counter() - start, "cpu": time.process_time() - used}


def in_time(run: Callable[[], float]) -> float | None:
    """What `run` returns, or None after `PEER_LIMIT`."""

    def stop(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, PEER_LIMIT)
    try:
        return run()
    except TimeoutError:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def beside(cell: Cell, table: dict[Any, dict[str, Any]], without: tuple[str, ...]) -> dict[str, Any]:
    """Bounds of the peers on one cell: those of the 2-norm are computed once per box, or once per network."""
    W, b = weights(cell.sizes)
    out: dict[str, Any] = {}
    for name, peer in peers.PEERS.items():
        if name in without or any(importlib.util.find_spec(module) is None for module in peer.needs):
            continue
        local = (cell.activation, cell.radius) if peer.local else ()
        key = (name, cell.sizes, *local, cell.norm if peer.both_norms else 2)
        if key not in table:
            late = (name, cell.sizes, cell.activation)
            start = time.perf_counter()
            run = functools.partial(peer.bound, W, b, cell.activation, cell.radius, key[-1])
            value = None if late in table else in_time(run)
            if value is None:
                table[late] = {}
            table[key] = {"upper": math.nan if value is None else value, "seconds": time.perf_counter() - start}
        factor = 1.0 if peer.both_norms or cell.norm == 2 else math.sqrt(cell.sizes[0])
        out[name] = {"upper": table[key]["upper"] * factor, "seconds": table[key]["seconds"]}
    return out


def run(chosen: str, without: tuple[str, ...], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All cells whose name contains `chosen`, behind those that are in `rows`; each is written down at once."""
    table: dict[Any, dict[str, Any]] = {}
    known = {row["cell"] for row in rows}
    for sizes, activation, radius, norm in itertools.product(SIZES, ACTIVATIONS, RADII, NORMS):
        cell = Cell(sizes, activation, radius, norm)
        if chosen not in cell.name or cell.name in known:
            continue
        row = {"cell": cell.name, "inputs": sizes[0], "activation": activation, "karush": measured(cell)}
        row["peers"] = beside(cell, table, without)
        rows.append(row)
        (RESULTS / "lipschitz.json").write_text(json.dumps(rows, indent=1) + "\n")
        ours, best = row["karush"], best_of(row)
        print(f"{cell.name}: {ours['lower']:.4g} <= {ours['upper']:.4g}, {ours['seconds']:.1f} s, peers {best:.4g}")
    return rows


def best_of(row: dict[str, Any]) -> float:
    """The smallest bound of the peers; NaN is no bound."""
    return min((peer["upper"] for peer in row["peers"].values() if peer["upper"] > 0.0), default=math.inf)


def report(rows: list[dict[str, Any]]) -> str:
    """The table, and what was asked beside what was measured."""
    names = [name for name in peers.PEERS if any(name in row["peers"] for row in rows)]
    absent = [name for name in peers.PEERS if name not in names]
    wins = sum(row["karush"]["upper"] <= best_of(row) * (1.0 + SAME) for row in rows)
    slow, busy = (max(row["karush"][kind] for row in rows) for kind in ("seconds", "cpu"))

    def worst(activation: str) -> float:
        of = [row["karush"] for row in rows if row["inputs"] == 2 and row["activation"] == activation]
        return max((one["upper"] / one["lower"] for one in of), default=math.nan)

    unsound = sum(row["karush"]["lower"] > peer["upper"] for row in rows for peer in row["peers"].values())
    lines = [
        "# Lipschitz constants of networks",
        "",
        f"{platform.machine()}, JAX {jax.__version__}, karush {karush.__version__}; times with tracing and "
        "compilation, on a shared machine.",
        f"Not installed or left out: {', '.join(absent) or 'none'}. nan: no bound found, or none within "
        f"{PEER_LIMIT:.0f} s.",
        "",
        "| measure | asked | measured |",
        "|---|---|---|",
        f"| upper bound at most the smallest of the peers | ≥ 90 % of the cells | {wins} of {len(rows)} |",
        f"| slowest cell | ≤ {LIMIT:.0f} s | {slow:.1f} s, at most {busy:.1f} s of processor time |",
        f"| upper / lower, two inputs, tanh | ≤ 1.05 | {worst('tanh'):.3f} |",
        f"| upper / lower, two inputs, relu | ≤ 1.5 | {worst('relu'):.3f} |",
        f"| bounds of peers below karush's lower bound | – | {unsound} |",
        "",
        f"| cell | lower | karush | s | CPU s | {' | '.join(names)} |",
        "|---|---|---|---|---|" + "---|" * len(names),
    ]
    for row in rows:
        ours = row["karush"]
        cells = [f"{row['peers'][name]['upper']:.4g}" if name in row["peers"] else "–" for name in names]
        mine = [f"{ours['lower']:.4g}", f"{ours['upper']:.4g}", f"{ours['seconds']:.1f}", f"{ours['cpu']:.1f}"]
        lines.append(f"| {' | '.join([row['cell'], *mine, *cells])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cells", default="", help="text that a cell's name contains")
    parser.add_argument("--without", default="", help="peers that are left out, with commas between them")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    given = parser.parse_args()
    there = RESULTS / "lipschitz.json"
    before = json.loads(there.read_text()) if given.resume and there.exists() else []
    rows = run(given.cells, tuple(given.without.split(",")), before)
    text = report(rows)
    (RESULTS / "lipschitz.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
