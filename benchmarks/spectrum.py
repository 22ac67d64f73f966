"""Extreme Hessian eigenvalues of a network with 1e5 parameters, beside SciPy and matfree; and whether bounds are true.

``python -m benchmarks.spectrum`` writes benchmarks/results/spectrum.json and spectrum.md.

Two parts. Small twins of the network, several seeds: every eigenpair that karush finds by products is compared with the
eigenvalues of the dense Hessian (LAPACK, the Hessian by jax.hessian, no code of karush). Then the large network, at its
random start and after gradient descent: karush, SciPy's eigsh (ARPACK) and matfree get the same linearised product, and
a reference, eigsh at a much smaller tolerance, judges all of them.
"""

import itertools
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy
import scipy.sparse.linalg as sparse
from matfree import decomp

import karush
from karush.core.precision import float64
from karush.core.pytrees import open_door

RESULTS = Path(__file__).parent / "results"
TWINS = {"8-20-15-5": (8, 20, 15, 5), "10-12-12-9-6": (10, 12, 12, 9, 6), "12-24-20-5": (12, 24, 20, 5)}
SEEDS = (0, 1, 2)
TWIN_SAMPLES = 100
LARGE = (32, 300, 300, 10)
SAMPLES = 500
DESCENT_STEPS, RATE = 100, 0.2
"""gradient descent that makes the second large point"""
PAIRS = 3
RTOL = 1e-6
REFERENCE_TOL = 1e-10
KRYLOV = (20, 60)
"""ARPACK's basis sizes: its default for six eigenvalues, and a larger one"""


def network(sizes: tuple[int, ...], samples: int, seed: int) -> tuple[Callable[[Any], Any], list[tuple[Any, Any]]]:
    """Softmax loss of a tanh network on seeded data, and its seeded weights."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((samples, sizes[0]))
    scores = np.tanh(X @ rng.standard_normal((sizes[0], sizes[-1])))
    labels = np.argmax(scores + 0.3 * rng.standard_normal(scores.shape), axis=1)
    weights = [(rng.standard_normal((a, b)) / np.sqrt(a), np.zeros(b)) for a, b in itertools.pairwise(sizes)]

    def loss(layers: Any) -> Any:
        h = jnp.asarray(X)
        for W, b in layers[:-1]:
            h = jnp.tanh(h @ W + b)
        W, b = layers[-1]
        z = h @ W + b
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - z[jnp.arange(samples), labels])

    return loss, weights


def flattened(loss: Callable[[Any], Any], weights: Any) -> tuple[Callable[[Any], Any], np.ndarray, Any]:
    """The loss of one flat array, the weights as one, and the door between them."""
    door, x = open_door(weights, "x")
    return lambda flat: loss(door.unravel(flat)), x, door


def twin(sizes: tuple[int, ...], seed: int) -> dict[str, Any]:
    """karush's extreme eigenpairs by products against all eigenvalues of the dense Hessian."""
    loss, weights = network(sizes, TWIN_SAMPLES, seed)
    with float64():
        flat, x, _ = flattened(loss, weights)
        H = np.asarray(jax.jit(jax.hessian(flat))(x))
    truth = np.linalg.eigvalsh((H + H.T) / 2)
    rounding = 64 * np.finfo(float).eps * np.abs(truth).max() * np.sqrt(x.size)  # of the dense eigenvalues
    found = karush.curvature(loss, weights, matrix_free=True, pairs=PAIRS, rtol=RTOL)
    progress(f"twin {sizes} {seed}")
    nearest = np.abs(truth[:, None] - found.eigenvalues[None, :]).min(axis=0)
    extreme = np.concatenate((truth[:PAIRS], truth[-PAIRS:]))
    return {
        "n": x.size,
        "pairs": found.eigenvalues.size,
        "bounds_true": int(np.count_nonzero(nearest <= found.errors + rounding)),
        "largest_bound": float(np.max(found.errors / np.abs(found.eigenvalues))),
        "worst_relative": float(np.max(np.abs(found.eigenvalues - extreme) / np.abs(extreme))),
        "reach_true": bool(found.reach[0] <= truth[0] + rounding and truth[-1] <= found.reach[1] + rounding),
        "products": found.products,
    }


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    answer = work()
    return answer, time.perf_counter() - start


def eigsh(product: Callable[[Any], Any], n: int, tol: float, basis: int) -> tuple[np.ndarray, int]:
    """ARPACK's extreme eigenvalues, ascending, and the products it took."""
    count = 0

    def matvec(v: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        return np.asarray(product(v.ravel()))

    operator = sparse.LinearOperator((n, n), matvec=matvec, dtype=np.dtype(np.float64))
    start = np.random.default_rng(0).standard_normal(n)
    values: Any = sparse.eigsh(
        operator, k=2 * PAIRS, which="BE", tol=tol, ncv=basis, v0=start, maxiter=10_000, return_eigenvectors=False
    )
    return np.sort(values), count


def by_matfree(product: Callable[[Any], Any], n: int, steps: int) -> np.ndarray:
    """Ritz values of matfree's Lanczos with full reorthogonalisation, `steps` products in one compiled loop."""
    tridiagonal = decomp.tridiag_sym(steps, reortho="full", materialize=True)
    start = jnp.asarray(np.random.default_rng(0).standard_normal(n))
    small = np.asarray(jax.jit(lambda v: tridiagonal(product, v).J_small)(start))
    values = np.linalg.eigvalsh(small)
    return np.concatenate((values[:PAIRS], values[-PAIRS:]))


def large(loss: Callable[[Any], Any], weights: Any) -> dict[str, Any]:
    """All solvers at one point of the large network."""
    found, seconds = timed(lambda: karush.curvature(loss, weights, pairs=PAIRS, rtol=RTOL))
    progress(f"karush {seconds:.1f} s")
    rows: dict[str, Any] = {"karush.curvature, all of it": _row(found.eigenvalues, found.products, seconds)}
    with float64():
        flat, x, _ = flattened(loss, weights)
        linear = jax.jit(lambda x: jax.linearize(jax.grad(flat), x)[1])(x)
        apply = jax.jit(lambda linear, v: linear(v))
        apply(linear, x).block_until_ready()
        _, one = min((timed(lambda: apply(linear, x).block_until_ready()) for _ in range(10)), key=lambda pair: pair[1])
        for basis in KRYLOV:
            (values, count), seconds = timed(lambda basis=basis: eigsh(lambda v: apply(linear, v), x.size, RTOL, basis))
            rows[f"SciPy eigsh, {basis} vectors"] = _row(values, count, seconds)
            progress(f"eigsh {seconds:.1f} s")
        steps = found.products
        values, seconds = timed(lambda: by_matfree(linear, x.size, steps))
        rows["matfree tridiag_sym, told the number of products"] = _row(values, steps, seconds)
        reference, _ = eigsh(lambda v: apply(linear, v), x.size, REFERENCE_TOL, max(KRYLOV))
    for row in rows.values():
        row["worst_relative"] = float(np.max(np.abs(np.array(row["values"]) - reference) / np.abs(reference)))
    return {
        "n": x.size,
        "gradient_norm": found.gradient_norm,
        "reference": reference.tolist(),
        "errors": found.errors.tolist(),
        "bounds_true": int(np.count_nonzero(np.abs(found.eigenvalues - reference) <= found.errors)),
        "reach": list(found.reach),
        "product_seconds": one,
        "rows": rows,
    }


def _row(values: np.ndarray, products: int, seconds: float) -> dict[str, Any]:
    return {"values": np.asarray(values).tolist(), "products": products, "seconds": seconds}


def descended(loss: Callable[[Any], Any], weights: Any) -> Any:
    """Weights after gradient descent."""
    with float64():
        flat, x, door = flattened(loss, weights)
        gradient = jax.jit(jax.grad(flat))
        for _ in range(DESCENT_STEPS):
            x = x - RATE * np.asarray(gradient(x))
    return door.unravel(x)


def report(results: dict[str, Any]) -> str:
    twins = results["twins"]
    pairs, true = sum(t["pairs"] for t in twins), sum(t["bounds_true"] for t in twins)
    lines = [
        "# Extreme Hessian eigenvalues",
        "",
        results["machine"],
        "",
        "## Small twins against dense eigenvalues",
        "",
        f"{len(twins)} networks of {min(t['n'] for t in twins)} to {max(t['n'] for t in twins)} parameters, "
        f"{pairs} eigenpairs by products: the bound holds for {true} of {pairs}; largest relative error "
        f"{max(t['worst_relative'] for t in twins):.1e}, largest bound {max(t['largest_bound'] for t in twins):.1e}; "
        f"the stated reach holds for {sum(t['reach_true'] for t in twins)} of {len(twins)}.",
    ]
    for name, point in results["large"].items():
        lines += [
            "",
            f"## {point['n']} parameters, {name}",
            "",
            f"Gradient norm {point['gradient_norm']:.3g}; one product {1e3 * point['product_seconds']:.1f} ms. "
            f"karush's bounds hold for {point['bounds_true']} of {len(point['errors'])}, against eigsh at "
            f"{REFERENCE_TOL:g}.",
            "",
            "| | least | largest | largest relative error | products | seconds |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {solver} | {row['values'][0]:.8f} | {row['values'][-1]:.8f} | {row['worst_relative']:.1e} "
            f"| {row['products']} | {row['seconds']:.1f} |"
            for solver, row in point["rows"].items()
        ]
    lines += [
        "",
        "karush's line includes compilation, the gradient, the check of every residual by another program, and the "
        "verdict; its products include those that resolve the gradient. matfree's includes its compilation.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    loss, weights = network(LARGE, SAMPLES, 0)
    results = {
        "machine": f"{platform.machine()}, JAX {jax.__version__}, SciPy {scipy.__version__}, matfree "
        f"{version('matfree')}, karush {karush.__version__}; times on a shared machine",
        "twins": [twin(sizes, seed) for sizes in TWINS.values() for seed in SEEDS],
        "large": {
            "random weights": large(loss, weights),
            f"after {DESCENT_STEPS} steps of gradient descent": large(loss, descended(loss, weights)),
        },
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "spectrum.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = report(results)
    (RESULTS / "spectrum.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
