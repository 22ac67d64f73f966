"""All solvers on one problem: ``python -m benchmarks.unconstrained_worker NAME``; prints rows of JSON."""

import os
import sys

# before jax is imported: its thread pools are sized then
if "BENCHMARK_CORE" in os.environ:
    os.sched_setaffinity(0, {int(os.environ["BENCHMARK_CORE"])})

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import scipy.optimize

import karush
from benchmarks import cutest
from benchmarks.checker import Derivatives, check
from benchmarks.problem import Answer, BenchmarkProblem

REPEATS = 25
"""warm rounds at most; each runs every solver once, in turn"""
WARM_SECONDS = 1.0
"""fewer rounds, but FEWEST, once all solvers together took this long"""
FEWEST = 3
SLOW = 2.0
"""seconds of a cold solve from which a solver gets no warm rounds beyond the first"""
LIMIT = 20.0
"""seconds after which a peer's callback ends its run"""
GTOL = 1e-8
"""tolerance of every peer on its gradient"""
MOST_ITERATIONS = 3000


@dataclass(frozen=True)
class Compiled:
    """The same derivatives for all peers, as NumPy arrays; compiled before anything is timed."""

    problem: BenchmarkProblem

    def __post_init__(self) -> None:
        f = self.problem.objective
        object.__setattr__(self, "first", jax.jit(jax.value_and_grad(f)))
        object.__setattr__(self, "second", jax.jit(jax.hessian(f)))
        object.__setattr__(self, "product", jax.jit(lambda x, v: jax.jvp(jax.grad(f), (x,), (v,))[1]))

    def value_and_gradient(self, x):
        value, gradient = self.first(x)
        return float(value), np.asarray(gradient)


def scipy_solver(derivatives: Compiled, method: str) -> Callable[[], Answer]:
    """SciPy's `method` with exact derivatives."""
    problem = derivatives.problem
    options: dict = {"maxiter": MOST_ITERATIONS, "gtol": GTOL}
    more: dict = {}
    if method == "L-BFGS-B":
        options |= {"ftol": 0.0, "maxfun": 10 * MOST_ITERATIONS, "maxls": 50}
        more["bounds"] = scipy.optimize.Bounds(problem.lower, problem.upper)
    elif method == "trust-exact":
        more["hess"] = lambda x: np.asarray(derivatives.second(x))
    else:
        more["hessp"] = lambda x, v: np.asarray(derivatives.product(x, v))

    def solve() -> Answer:
        end = time.perf_counter() + LIMIT

        def watch(intermediate_result) -> None:
            if time.perf_counter() > end:
                raise StopIteration

        found = scipy.optimize.minimize(
            derivatives.value_and_gradient,
            problem.x0,
            jac=True,
            method=method,
            options=options,
            callback=watch,
            **more,
        )
        return Answer(found.x, str(found.message), bool(found.success), evaluations=int(found.nfev))

    return solve


def optimistix_solver(problem: BenchmarkProblem) -> Callable[[], Answer]:
    """Optimistix's BFGS, compiled whole."""
    solver = optimistix.BFGS(rtol=GTOL, atol=GTOL)

    @jax.jit
    def run(x0):
        found = optimistix.minimise(
            lambda x, _: problem.objective(x), solver, x0, max_steps=MOST_ITERATIONS, throw=False
        )
        return found.value, found.result == optimistix.RESULTS.successful, found.stats["num_steps"]

    def solve() -> Answer:
        x, success, steps = run(jnp.asarray(problem.x0))
        return Answer(np.asarray(x), "successful" if success else "failed", bool(success), iterations=int(steps))

    return solve


def karush_solver(problem: BenchmarkProblem) -> Callable[[], Answer]:
    """karush with its defaults, prepared once, certificate included."""
    prepared = karush.prepare(
        karush.Problem(problem.objective, problem.x0, bounds=(problem.lower, problem.upper), name=problem.name)
    )

    def solve() -> Answer:
        found = prepared.solve(driver="fused")

        def more() -> dict:
            return {"verdict": str(found.certificate.verdict), "method": found.method, "notes": list(found.notes)}

        return Answer(
            found.x_flat,
            str(found.status),
            found.success,
            z=found.z_flat,
            iterations=found.iterations,
            evaluations=found.evaluations,
            extra=more,
        )

    return solve


def solvers_for(problem: BenchmarkProblem) -> dict[str, Callable[[], Callable[[], Answer]]]:
    """Name -> what makes the solver; what takes no bounds is left out where there are some."""
    derivatives = Compiled(problem)
    made: dict[str, Callable[[], Callable[[], Answer]]] = {
        "karush": lambda: karush_solver(problem),
        "L-BFGS-B": lambda: scipy_solver(derivatives, "L-BFGS-B"),
    }
    if not np.any(np.isfinite(problem.lower) | np.isfinite(problem.upper)):
        made["trust-exact"] = lambda: scipy_solver(derivatives, "trust-exact")
        made["trust-ncg"] = lambda: scipy_solver(derivatives, "trust-ncg")
        made["Optimistix BFGS"] = lambda: optimistix_solver(problem)
    return made


def judged(checker: Derivatives, answer: Answer) -> dict:
    """What the checker says of an answer: absolute and unscaled."""
    if not np.all(np.isfinite(answer.x)):
        return {"verified": False}
    found = check(checker.at(answer.x), np.zeros(0), answer.z)
    return {"verified": found.verified, "kkt": found.kkt, "feasibility": found.feasibility}


def measure(name: str) -> None:
    """Cold, then warm; prints a row after the cold solve and one after the warm ones."""
    problem = cutest.load(name)
    checker = Derivatives.of(problem)
    rows: dict[str, dict] = {}
    ready: dict[str, Callable[[], Answer]] = {}
    points: dict[str, np.ndarray] = {}
    for solver, make in solvers_for(problem).items():
        began = time.perf_counter()
        row: dict = {"problem": name, "n": problem.n, "solver": solver}
        try:
            solve = make()
            answer = solve()
        except (ValueError, RuntimeError, np.linalg.LinAlgError, FloatingPointError) as error:
            row |= {"error": f"{type(error).__name__}: {error!s:.150}", "claimed": False, "verified": False}
            show(row)
            continue
        row["cold"] = time.perf_counter() - began
        row |= {"claimed": answer.claimed, "status": answer.status, "iterations": answer.iterations}
        row |= {"evaluations": answer.evaluations, "value": float(checker.values(jnp.asarray(answer.x))[0])}
        row |= judged(checker, answer) | (answer.extra() if answer.extra else {})
        rows[solver], ready[solver], points[solver] = row, solve, answer.x
        show(row)
    warm(rows, ready)
    if rows.get("karush", {}).get("claimed") and not rows["karush"]["verified"]:
        show(rows["karush"] | beyond_rounding(problem, points["karush"]))


def beyond_rounding(problem: BenchmarkProblem, x: np.ndarray) -> dict:
    """What rounding of x alone brings of the gradient, and what `karush.prove` says of x, in ball arithmetic."""
    hessian = np.asarray(jax.jit(jax.hessian(problem.objective))(jnp.asarray(x)))
    row: dict = {"rounding": float(np.max(np.abs(hessian) @ (0.5 * np.spacing(np.abs(x)))))}
    stated = karush.Problem(problem.objective, problem.x0, bounds=(problem.lower, problem.upper), name=problem.name)
    proof = karush.prove(stated, x)
    return row | {"proved": list(proof.theorems), "distance": proof.distance if proof.proved else None}


def warm(rows: dict[str, dict], ready: dict[str, Callable[[], Answer]]) -> None:
    """Interleaved repeats; the least time of each solver."""
    times: dict[str, list[float]] = {solver: [] for solver in ready}
    for repeat in range(REPEATS):
        spent = sum(map(sum, times.values()))
        if repeat >= FEWEST and spent > WARM_SECONDS:
            break
        for solver, solve in ready.items():
            if repeat and times[solver][0] > SLOW:
                continue
            began = time.perf_counter()
            solve()
            times[solver].append(time.perf_counter() - began)
            row = rows[solver] | {"warm": min(times[solver]), "repeats": len(times[solver])}
            if repeat in (0, FEWEST - 1):
                show(row)
            rows[solver] = row
    for row in rows.values():
        show(row)


def show(row: dict) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    measure(sys.argv[1])
