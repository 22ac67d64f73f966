"""Newton–CG with a million variables beside SciPy's trust-ncg: ``python -m benchmarks.newton_cg``.

Both get the same objective in JAX, float64, exact gradients and Hessian products compiled beforehand. SciPy's tolerance
is on ‖∇f‖₂, karush's its own default. An answer is verified if ``max |∇f| <= 1e-6``, absolute and unscaled. Each solver
runs in a process of its own; the second of two solves is timed. karush's time includes its certificate. Both solve by
products alone; the certificate of karush may use a structure that it has found in the plain function, and says so.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

import karush

RESULTS = Path(__file__).parent / "results" / "newton_cg.json"
VERIFIED = 1e-6
START = (1.3, 0.7, 0.8, 1.9, 1.2)
SAMPLES, PER_SAMPLE, RIDGE = 20_000, 20, 1e-4
"""of the logistic regression: samples, nonzero features of each, weight of ½ ‖w‖²"""
TOLERANCE = 1e-6
"""of SciPy, on ‖∇f‖₂"""
LIMIT = 1500.0
"""seconds for one solver on one problem, both solves"""


def rosenbrock(n: int) -> tuple[Callable, np.ndarray]:
    """Chained Rosenbrock function from the tiled start."""

    def objective(x):
        return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    return objective, np.resize(START, n)


def logistic(n: int) -> tuple[Callable, np.ndarray]:
    """Mean logistic loss of a sparse synthetic design with n features, and a ridge."""
    generator = np.random.default_rng(0)
    places = generator.integers(0, n, (SAMPLES, PER_SAMPLE))
    design = generator.standard_normal((SAMPLES, PER_SAMPLE))
    truth = generator.standard_normal(n)
    chance = 1.0 / (1.0 + np.exp(-np.sum(design * truth[places], axis=1)))
    labels = np.where(generator.random(SAMPLES) < chance, 1.0, -1.0)

    def objective(w):
        margins = labels * jnp.sum(design * w[places], axis=1)
        return jnp.mean(jnp.logaddexp(0.0, -margins)) + 0.5 * RIDGE * jnp.vdot(w, w)

    return objective, np.zeros(n)


PROBLEMS = {"chained Rosenbrock": rosenbrock, "logistic regression": logistic}


def by_karush(objective: Callable, x0: np.ndarray) -> dict:
    began = time.perf_counter()
    prepared = karush.prepare(karush.Problem(objective, x0))
    first = prepared.solve(driver="fused")
    cold = time.perf_counter() - began
    began = time.perf_counter()
    found = prepared.solve(driver="fused")
    warm = time.perf_counter() - began
    return {
        "cold": cold,
        "warm": warm,
        "iterations": first.iterations,
        "value": found.value,
        "x": found.x_flat,
        "says": f"{found.certificate.verdict} ({found.method}; {_how(found.certificate)})",
        "entries": [str(entry) + (f" ({entry.note})" if entry.note else "") for entry in found.certificate.entries],
    }


def _how(certificate: karush.Certificate) -> str:
    """How the least curvature was found."""
    return next((entry.note for entry in certificate.entries if entry.name == "least curvature"), "no curvature")


def by_scipy(objective: Callable, x0: np.ndarray) -> dict:
    first = jax.jit(jax.value_and_grad(objective))
    product = jax.jit(lambda x, v: jax.jvp(jax.grad(objective), (x,), (v,))[1])

    def value_and_gradient(x):
        value, gradient = first(x)
        return float(value), np.asarray(gradient)

    def solve():
        return scipy.optimize.minimize(
            value_and_gradient,
            x0,
            jac=True,
            hessp=lambda x, v: np.asarray(product(x, v)),
            method="trust-ncg",
            options={"gtol": TOLERANCE, "maxiter": 5000},
        )

    began = time.perf_counter()
    solve()
    cold = time.perf_counter() - began
    began = time.perf_counter()
    found = solve()
    warm = time.perf_counter() - began
    says = "success" if found.success else "failure"
    return {"cold": cold, "warm": warm, "iterations": found.nit, "value": found.fun, "x": found.x, "says": says}


SOLVERS = {"karush": by_karush, "SciPy trust-ncg": by_scipy}


def one(problem: str, solver: str, n: int) -> dict:
    """One solver on one problem, within this process."""
    objective, x0 = PROBLEMS[problem](n)
    row = SOLVERS[solver](objective, x0)
    slope = float(np.max(np.abs(jax.grad(objective)(jnp.asarray(row.pop("x"))))))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"problem": problem, "solver": solver, "n": n, "slope": slope, "verified": slope <= VERIFIED, **row} | {
        "memory": memory
    }


def run(n: int, out: Path) -> None:
    """All, one after the other; JSON and the table."""
    rows = []
    for problem in PROBLEMS:
        for solver in SOLVERS:
            command = [sys.executable, "-m", "benchmarks.newton_cg", "--one", problem, solver, "--n", str(n)]
            try:
                answer = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)
                rows.append(json.loads(answer.stdout.splitlines()[-1]))
            except subprocess.TimeoutExpired:
                rows.append({"problem": problem, "solver": solver, "n": n, "verified": False, "says": "out of time"})
            sys.stdout.write(json.dumps(rows[-1])[:400] + "\n")
            out.write_text(json.dumps(rows, indent=1) + "\n")
            out.with_suffix(".md").write_text(table(rows))


def table(rows: list[dict]) -> str:
    """Markdown."""
    lines = [
        f"# Newton–CG with {rows[0]['n']} variables\n",
        "| problem | solver | verified | max abs gradient | warm, s | cold, s | iterations | says | memory, GB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        numbers = [f"{row.get(key, float('nan')):.3g}" for key in ("slope", "warm", "cold")]
        yes = "yes" if row["verified"] else "no"
        tail = [str(row.get("iterations", "")), row["says"], f"{row.get('memory', float('nan')):.1f}"]
        lines.append("| " + " | ".join([row["problem"], row["solver"], yes, *numbers, *tail]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--one", nargs=2, metavar=("PROBLEM", "SOLVER"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    if arguments.one:
        sys.stdout.write(json.dumps(one(*arguments.one, arguments.n)) + "\n")
    else:
        run(arguments.n, arguments.out)
