"""karush itself: ``minimize`` for the cold solve, a prepared problem and the fused driver for the warm ones."""

import statistics
import time

import karush
from benchmarks.paths import portable
from benchmarks.problem import Answer, BenchmarkProblem

PACKAGE = "karush"
REPEATS = 5
"""solves by the Python driver, beside the fused one"""


def stated(problem: BenchmarkProblem) -> karush.Problem:
    """The problem as a user would type it."""
    constraints = []
    if problem.m:
        constraints = [karush.between(problem.rows, lower=problem.row_lower, upper=problem.row_upper, name="rows")]
    bounds = problem.lower, problem.upper
    return karush.Problem(problem.objective, problem.x0, bounds=bounds, constraints=constraints, name=problem.name)


def answer_of(result: karush.Result) -> Answer:
    return Answer(
        x=result.x_flat,
        status=str(result.status),
        claimed=bool(result.success),
        y=result.y_flat,
        z=result.z_flat,
        iterations=result.iterations,
        evaluations=result.evaluations,
        extra=lambda: {"method": result.method, **stated_by(result.certificate)},
    )


def stated_by(certificate: karush.Certificate) -> dict:
    """What the certificate says, its scales for the checker to recompute the residuals with."""
    scales = certificate.scales
    numbers = {"x": scales.x.tolist(), "f": float(scales.f), "rows": scales.rows.tolist()}
    return {"verdict": str(certificate.verdict), "sentence": portable(certificate.sentence), "scales": numbers}


def cold(problem: BenchmarkProblem) -> Answer:
    return answer_of(karush.minimize(stated(problem)))


class Prepared:
    """Solves by the fused driver; everything is compiled on construction, and how long that took is kept."""

    def __init__(self, problem: BenchmarkProblem):
        self.prepared = karush.prepare(stated(problem))
        # either driver's first solve compiles the user's functions: this one, so that the next is charged for its own
        self.prepared.solve(driver="python")
        start = time.perf_counter()
        self.prepared.solve(driver="fused")
        self.first_fused = time.perf_counter() - start

    def __call__(self, x0) -> Answer:
        return answer_of(self.prepared.solve(x0, driver="fused"))


prepare = Prepared


def extra_measures(solve: Prepared, row: dict) -> dict:
    """Compile time of the fused driver on its own, and after how many solves it has paid."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        solve.prepared.solve(driver="python")
        times.append(time.perf_counter() - start)
    step_by_step = statistics.median(times)
    fused_compile = solve.first_fused - row["warm"]
    saved = step_by_step - row["warm"]
    pays_after = fused_compile / saved if saved > 0 else None
    return {"warm_python": step_by_step, "fused_compile": fused_compile, "fused_pays_after": pays_after}
