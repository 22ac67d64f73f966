"""The L1 path of a lasso against scikit-learn: ``python -m benchmarks.lasso`` writes results/lasso.json and lasso.md.

    min 1/(2m) ‖A w − b‖₂² + α ‖w‖₁        at 20 values of α from the one that gives w = 0 down to a thousandth of it

karush solves the split problem (w = u − v) with one preparation and α as a parameter; scikit-learn's coordinate descent
runs to tol 1e-15. Compared are the coefficients; which of them are exactly zero; and, as what neither knows of the
other, how far 0 is from the subdifferential.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import sklearn
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso

import karush

RESULTS = Path(__file__).parent / "results"
VALUES = 20
SMALLEST = 1e-3
"""last α over the first"""
ASKED = 1e-8


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name -> (A, b): real data, an orthogonal design, correlated columns, more columns than rows."""
    rng = np.random.default_rng(0)
    data: Any = load_diabetes()
    standard = (data.data - data.data.mean(0)) / data.data.std(0)
    out = {"diabetes": (standard, (data.target - data.target.mean()) / data.target.std())}
    orthogonal = np.linalg.qr(rng.normal(size=(60, 20)))[0] * np.sqrt(60)
    out["orthogonal 60 x 20"] = (orthogonal, orthogonal @ np.where(np.arange(20) < 5, 2.0, 0.0) + rng.normal(size=60))
    mixed = rng.normal(size=(200, 50)) @ (np.eye(50) + 0.3 * rng.normal(size=(50, 50)) / np.sqrt(50))
    out["correlated 200 x 50"] = (mixed, mixed @ np.where(np.arange(50) < 8, 1.0, 0.0) + 0.5 * rng.normal(size=200))
    wide = rng.normal(size=(60, 120))
    out["wide 60 x 120"] = (wide, wide @ np.where(np.arange(120) < 6, 1.5, 0.0) + 0.3 * rng.normal(size=60))
    large = rng.normal(size=(300, 200))
    out["large 300 x 200"] = (large, large @ np.where(np.arange(200) < 15, 1.0, 0.0) + rng.normal(size=300))
    return out


def outside_subdifferential(A: np.ndarray, b: np.ndarray, w: np.ndarray, alpha: float) -> float:
    """Distance of 0 from ∂F(w), largest coordinate, in units of α."""
    gradient = A.T @ (A @ w - b) / len(b)
    at_zero = np.maximum(np.abs(gradient) - alpha, 0.0)
    return float(np.max(np.where(w == 0.0, at_zero, np.abs(gradient + alpha * np.sign(w)))) / alpha)


def measure(A: np.ndarray, b: np.ndarray) -> dict:
    """The whole path of one case."""
    m, n = A.shape
    first = float(np.max(np.abs(A.T @ b)) / m)
    alphas = np.geomspace(first, SMALLEST * first, VALUES + 1)[1:]
    began = time.perf_counter()
    prepared = karush.prepare(
        lambda w, p: 0.5 * jnp.sum((A @ w - b) ** 2) / m,
        np.zeros(n),
        params={"alpha": float(alphas[0])},
        regularization=karush.l1(lambda p: p["alpha"]),
    )
    row: dict = {"prepare": time.perf_counter() - began, "difference": 0.0, "outside": 0.0, "outside_sklearn": 0.0}
    row |= {"zeros_differ": 0, "success": 0, "seconds": [], "seconds_sklearn": []}
    warnings.simplefilter("ignore", ConvergenceWarning)
    for alpha in map(float, alphas):
        began = time.perf_counter()
        result = prepared.solve(params={"alpha": alpha})
        row["seconds"].append(time.perf_counter() - began)
        began = time.perf_counter()
        theirs = Lasso(alpha=alpha, fit_intercept=False, tol=1e-15, max_iter=200_000).fit(A, b).coef_
        row["seconds_sklearn"].append(time.perf_counter() - began)
        row["success"] += bool(result.success)
        row["difference"] = max(row["difference"], float(np.max(np.abs(result.x - theirs))))
        row["zeros_differ"] += int(np.sum((result.x == 0) != (theirs == 0)))
        row["outside"] = max(row["outside"], outside_subdifferential(A, b, result.x, alpha))
        row["outside_sklearn"] = max(row["outside_sklearn"], outside_subdifferential(A, b, theirs, alpha))
    for key in ("seconds", "seconds_sklearn"):
        row[key] = float(np.median(row[key]))
    return row


def table(rows: dict[str, dict]) -> str:
    """The results as Markdown."""
    lines = [
        "# Lasso",
        "",
        "Written by `python -m benchmarks.lasso`: what is measured is said at the top of that file. "
        f"karush {karush.__version__}, scikit-learn {sklearn.__version__}; asked: coefficients to {ASKED:g}. Times are "
        "medians over the path, on a machine that did other work.",
        "",
        f"| case | certified, of {VALUES} | largest difference | zeros that differ | 0 outside ∂F, karush "
        "| scikit-learn | s per solve, karush | scikit-learn | prepare, s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        cells = [name, str(row["success"]), f"{row['difference']:.1e}", str(row["zeros_differ"])]
        cells += [f"{row[key]:.1e}" for key in ("outside", "outside_sklearn")]
        cells += [f"{row[key]:.3g}" for key in ("seconds", "seconds_sklearn", "prepare")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """All cases."""
    rows = {}
    for name, (A, b) in cases().items():
        rows[name] = measure(A, b)
        sys.stderr.write(f"{name}: {rows[name]}\n")
    (RESULTS / "lasso.json").write_text(json.dumps(rows, indent=1) + "\n")
    (RESULTS / "lasso.md").write_text(table(rows))


if __name__ == "__main__":
    main()
