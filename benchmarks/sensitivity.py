"""Derivatives of solutions against differences of re-solved ones, on the problems of hs.txt.

``python -m benchmarks.sensitivity`` runs all in a process beside its own and writes ``results/sensitivity.json``
and ``results/sensitivity.md``; ``python -m benchmarks.sensitivity NAME`` prints one row.

The problems have no parameters, so every function gets some, alike for all problems:

    (1 + scale) f(x) + slope . x,    row_lower <= c(x) - shift <= row_upper        at scale = 0, slope = 0, shift = 0

which makes 1 + n + m of them. Truth: the perturbed problem solved again by Newton's method on its active set (code of
its own, on derivatives made by the checker), to rounding, on both sides; central differences extrapolated by Ridders'
tableau, whose own estimate of its error is listed. A perturbed point counts only if it satisfies the KKT conditions.
"""

import json
import math
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from benchmarks import lists
from benchmarks.checker import Derivatives
from benchmarks.paths import portable
from benchmarks.problem import BenchmarkProblem

RESULTS = Path(__file__).parent / "results"
TIME_LIMIT = 1800.0
"""seconds of one process"""
ASKED = 1e-6
"""relative error"""
STEPS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-7, 1e-9, 1e-11, 1e-13)
"""first steps of Ridders' tableau; the best of them counts, the smallest for slopes along large variables (HS54)"""
SHRINK, LEVELS = 2.0, 5
NEWTON = 30
SMALL = 1e-3
"""The error of a parameter's column is relative to its largest entry, or to this part of the largest of all columns."""
POUNCE_TOL = 1e-10
SAME_POINT = 1e-4
ACTIVE = 1e-6
"""dimensionless multiplier above which an inequality is held in the perturbed problems, if it exceeds its distance"""
IRREGULAR = ("HS13", "HS26", "HS30", "HS46", "HS55", "HS57", "HS90", "HS91", "HS92", "HS116")
"""known not to have a regular KKT point: no LICQ, no strict complementarity, or a singular KKT matrix"""


UNFUSED = {"xla_disable_hlo_passes": "fusion"}
"""for long programs, of which fused kernels take LLVM minutes, and the checker's single operations seconds a call"""


def compiled(plain: Derivatives) -> Derivatives:
    """The checker's derivatives for thousands of calls: compiled where the checker leaves a long program as it is."""
    if hasattr(plain.second, "lower"):
        return plain
    functions = {
        name: jax.jit(getattr(plain, name), compiler_options=UNFUSED) for name in ("values", "first", "second")
    }
    return replace(plain, **functions)


class Truth:
    """Newton's method on the KKT conditions of the perturbed problem, active set held."""

    def __init__(self, problem: BenchmarkProblem, x: np.ndarray, y: np.ndarray, z: np.ndarray):
        self.problem, self.derivatives = problem, compiled(Derivatives.of(problem))
        at = self.derivatives.at(x)
        size = 1.0 + abs(at.value)
        pull = np.abs(y) * (1 + np.abs(at.rows)) / size, np.abs(z) * (1 + np.abs(x)) / size
        away = np.minimum(at.rows - problem.row_lower, problem.row_upper - at.rows) / (1 + np.abs(at.rows))
        inside = np.minimum(x - problem.lower, problem.upper - x) / (1 + np.abs(x))
        self.rows = (problem.row_lower == problem.row_upper) | ((pull[0] > ACTIVE) & (pull[0] > away))
        self.held = (problem.lower == problem.upper) | ((pull[1] > ACTIVE) & (pull[1] > inside))
        above = problem.row_upper - at.rows <= at.rows - problem.row_lower
        self.limit = np.where(above, problem.row_upper, problem.row_lower)
        over = problem.upper - x <= x - problem.lower
        self.bound = np.where(over, problem.upper, problem.lower)
        self.start = x, y
        self.signs = np.sign(y), np.sign(z)

    def solve(self, p: np.ndarray) -> np.ndarray:
        """(n + m + n,) x, y, z of the problem perturbed by p (1 + n + m,); NaN where it is no KKT point."""
        n, m = self.problem.n, self.problem.m
        scale, slope, shift = 1.0 + p[0], p[1 : 1 + n], p[1 + n :]
        x, y = np.where(self.held, self.bound, self.start[0]), np.where(self.rows, self.start[1], 0.0)
        free, rows = ~self.held, self.rows
        last = np.inf
        for _ in range(NEWTON):
            at = self.derivatives.at(x)
            hessian = scale * self.derivatives.hessian(x, y / scale)[np.ix_(free, free)]
            A = at.jacobian[np.ix_(rows, free)]
            right = -np.concatenate(
                [(scale * at.gradient + slope + y @ at.jacobian)[free], (at.rows - shift - self.limit)[rows]]
            )
            matrix = np.block([[hessian, A.T], [A, np.zeros((len(A), len(A)))]])
            if not (np.isfinite(matrix).all() and np.isfinite(right).all()):
                return np.full(2 * n + m, np.nan)
            unit = np.concatenate([1.0 + np.abs(x[free]), 1.0 + np.abs(y[rows])])
            step = unit * np.linalg.lstsq(matrix * unit, right, rcond=None)[0] if right.size else right
            length = float(np.max(np.abs(step / unit), initial=0.0))
            if not length < 0.7 * last and last < 1e-9:
                break
            x, y = x.copy(), y.copy()
            x[free] += step[: free.sum()]
            y[rows] += step[free.sum() :]
            last = length
        at = self.derivatives.at(x)
        z = np.where(self.held, -(scale * at.gradient + slope + y @ at.jacobian), 0.0)
        return np.concatenate([x, y, z]) if self._is_kkt(x, y, z, at.rows - shift, last) else np.full(2 * n + m, np.nan)

    def _is_kkt(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, rows: np.ndarray, last: float) -> bool:
        problem = self.problem
        slack = 1e-9
        inside = (
            np.all(rows >= problem.row_lower - slack * (1 + np.abs(rows)))
            and np.all(rows <= problem.row_upper + slack * (1 + np.abs(rows)))
            and np.all(x >= problem.lower)
            and np.all(x <= problem.upper)
        )
        one_sided = problem.row_lower < problem.row_upper
        signs = np.all((np.sign(y) == self.signs[0])[self.rows & one_sided])
        signs &= np.all((np.sign(z) == self.signs[1])[self.held & (problem.lower < problem.upper)])
        return bool(inside and signs and last < 1e-9)

    def derivative(self, column: int, unit: np.ndarray) -> tuple[np.ndarray, float]:
        """d(x, y, z)/dp of one parameter and the error estimate, largest entry in units of `unit`."""
        size = 1 + self.problem.n + self.problem.m
        best, error = np.full(unit.size, np.nan), np.inf
        for first in STEPS:
            table: list[list[np.ndarray]] = []
            h = first
            for level in range(LEVELS):
                p = np.zeros(size)
                p[column] = h
                row = [(self.solve(p) - self.solve(-p)) / (2 * h)]
                factor = SHRINK**2
                for k in range(level):
                    row.append((factor * row[k] - table[level - 1][k]) / (factor - 1))
                    factor *= SHRINK**2
                    found = np.maximum(np.abs(row[-1] - row[-2]), np.abs(row[-1] - table[level - 1][k])) / unit
                    if np.max(found) < error:
                        best, error = row[-1], float(np.max(found))
                table.append(row)
                h /= SHRINK
            if error < 1e-10 * max(1.0, float(np.max(np.abs(best / unit)))):
                break
        return best, error


def measure(name: str) -> dict:
    """One problem: karush's derivative, or its reason, against the truth."""
    # imported here: the driver of all processes needs neither
    import karush

    problem = lists.load(name)
    n, m = problem.n, problem.m
    row: dict = {"problem": name, "n": n, "m": m, "irregular": name in IRREGULAR}
    result = karush.minimize(perturbed(problem))
    row |= {"verdict": result.certificate.verdict.value}
    began = time.perf_counter()
    try:
        found = karush.sensitivity(result)
        dx, multipliers = found.x, found.multipliers
    except karush.errors.SensitivityError as refusal:
        theirs = pounce_derivative(problem, None)
        row["pounce"] = theirs if isinstance(theirs, str) else "given" if np.isfinite(theirs).all() else "NaN"
        return row | {"outcome": "refused", "reason": portable(str(refusal))}
    row["seconds"] = time.perf_counter() - began
    ours = np.concatenate([_matrix(dx), _rows(multipliers, m, n), _matrix(multipliers["bounds"])])
    truth = Truth(problem, result.x_flat, result.y_flat, result.z_flat)
    unit = np.concatenate([1 + np.abs(result.x_flat), 1 + np.abs(result.y_flat), 1 + np.abs(result.z_flat)])
    columns = [truth.derivative(column, unit) for column in range(1 + n + m)]
    exact, estimates = np.stack([one for one, _ in columns], axis=1), np.array([error for _, error in columns])
    known = np.isfinite(estimates)
    if not known.all():
        row["no truth"] = np.flatnonzero(~known).tolist()
    exact, estimates, ours = exact[:, known], estimates[known], ours[:, known]
    size = np.max(np.abs(exact / unit[:, None]), axis=0)
    size = np.maximum(size, SMALL * np.max(size, initial=0.0))
    errors = np.max(np.abs(ours - exact) / unit[:, None], axis=0) / size
    worst = float(np.max(errors, initial=0.0))
    row |= {"error": worst, "truth_error": float(np.max(estimates / size, initial=0.0)), "columns": int(known.sum())}
    row["conditioning"] = found.conditions.conditioning
    theirs = pounce_derivative(problem, result.x_flat)
    if isinstance(theirs, str):
        row["pounce"] = theirs
    else:
        sizes = np.max(np.abs(exact[:n] / unit[:n, None]), axis=0)
        sizes = np.maximum(sizes, SMALL * np.max(sizes, initial=0.0))
        theirs_error = float(np.max(np.max(np.abs(theirs[:, known] - exact[:n]) / unit[:n, None], axis=0) / sizes))
        row["pounce"] = "NaN" if math.isnan(theirs_error) else theirs_error
    return row | {
        "outcome": "right"
        if worst <= ASKED and known.all() and row["truth_error"] <= ASKED
        else "wrong"
        if worst > ASKED
        else "no truth"
    }


def pounce_derivative(problem: BenchmarkProblem, x: np.ndarray | None) -> np.ndarray | str:
    """dx/dp (n, 1 + n + m) by POUNCE's differentiable solve, or in a word why there is none."""
    import pounce.jax

    n, m = problem.n, problem.m
    p0 = np.zeros(1 + n + m)
    low, up = (np.nan_to_num(side, posinf=1e20, neginf=-1e20) for side in (problem.lower, problem.upper))
    rows = problem.rows

    def solution(p):
        return pounce.jax.solve(
            p,
            f=lambda x, p: (1.0 + p[0]) * problem.objective(x) + jax.numpy.dot(p[1 : 1 + n], x),
            g=(lambda x, p: rows(x) - p[1 + n :]) if rows is not None and m else None,
            x0=jax.numpy.asarray(np.clip(problem.x0, problem.lower, problem.upper)),
            n=n,
            m=m,
            lb=low,
            ub=up,
            cl=np.nan_to_num(problem.row_lower, posinf=1e20, neginf=-1e20) if m else None,
            cu=np.nan_to_num(problem.row_upper, posinf=1e20, neginf=-1e20) if m else None,
            options={"tol": POUNCE_TOL, "print_level": 0},
            on_failure="raise",
        )

    try:
        there = np.asarray(solution(p0))
        if x is not None and not np.max(np.abs(there - x) / (1 + np.abs(x))) < SAME_POINT:
            return "another point"
        return np.asarray(jax.jacrev(solution)(p0))
    except RuntimeError:
        return "refused"


def perturbed(problem: BenchmarkProblem):
    """The karush problem with the parameters of this benchmark."""
    import karush

    constraints = []
    rows = problem.rows
    if rows is not None and problem.m:
        function: Callable = lambda x, p: rows(x) - p["shift"]  # noqa: E731
        constraints = [karush.between(function, lower=problem.row_lower, upper=problem.row_upper, name="rows")]
    return karush.Problem(
        lambda x, p: (1.0 + p["scale"]) * problem.objective(x) + jax.numpy.dot(p["slope"], x),
        problem.x0,
        bounds=(problem.lower, problem.upper),
        constraints=constraints,
        params={"scale": 0.0, "slope": np.zeros(problem.n), "shift": np.zeros(problem.m)},
    )


def _matrix(block: dict) -> np.ndarray:
    """(rows, 1 + n + m) of one leaf over the params."""
    return np.concatenate([block["scale"][:, None], block["slope"], block["shift"]], axis=1)


def _rows(multipliers: dict, m: int, n: int) -> np.ndarray:
    return _matrix(multipliers["rows"]) if m else np.zeros((0, 1 + n + m))


def run(names: list[str]) -> Iterator[dict]:
    """Rows of `measure`, by one process after another: a new one follows when a problem exceeds its time."""
    left = list(names)
    while left:
        command = [sys.executable, "-m", "benchmarks.sensitivity", *left]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as worker:
            assert worker.stdout is not None
            while left:
                ready, _, _ = select.select([worker.stdout], [], [], TIME_LIMIT)
                line = worker.stdout.readline() if ready else ""
                if line and not line.startswith("{"):
                    continue  # what a library has printed
                name = left.pop(0)
                if not line:
                    worker.kill()
                    yield {
                        "problem": name,
                        "outcome": "failed" if ready else "time limit",
                        "irregular": name in IRREGULAR,
                    }
                    break
                yield json.loads(line)


def count(rows: list[dict], outcome: str) -> int:
    """Rows with this outcome."""
    return sum(row["outcome"] == outcome for row in rows)


def table(rows: list[dict]) -> str:
    """The results as Markdown."""
    regular = [row for row in rows if not row.get("irregular")]
    right = [row for row in rows if row["outcome"] == "right"]
    lines = [
        "# Sensitivity",
        "",
        "Written by `python -m benchmarks.sensitivity`: what is measured is said at the top of that file.",
        "",
        f"- problems: {len(rows)}; right to {ASKED:g}: {len(right)}; wrong: {count(rows, 'wrong')}; refused: "
        f"{count(rows, 'refused')}",
        f"- of the {len(regular)} not known to be irregular: right {count(regular, 'right')}",
    ]
    if right:
        lines.append(
            f"- largest error of those right {max(row['error'] for row in right):.1e}, median "
            f"{float(np.median([row['error'] for row in right])):.1e}; largest error of their truth, by its own "
            f"estimate, {max(row['truth_error'] for row in right):.1e}"
        )
    theirs = [row["pounce"] for row in right if isinstance(row.get("pounce"), float)]
    given = [row["problem"] for row in rows if row["outcome"] == "refused" and row.get("pounce") == "given"]
    lines += [
        f"- POUNCE (`pounce.jax.solve` and `jax.jacrev`, tol {POUNCE_TOL:g}), dx/dp only, where it found the same "
        f"point: {sum(error <= ASKED for error in theirs)} of {len(theirs)} right to {ASKED:g}",
        f"- where karush refuses, POUNCE gives numbers on {len(given)}: {', '.join(given) or 'none'}",
    ]
    lines += [
        "",
        "| problem | n | m | outcome | error | of the truth | POUNCE | reason |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        numbers = [f"{row[key]:.1e}" if key in row else "" for key in ("error", "truth_error")]
        reason = row.get("reason", "").replace("|", "/")
        theirs = row.get("pounce", "")
        theirs = f"{theirs:.1e}" if isinstance(theirs, float) else theirs
        cells = (row["problem"], row.get("n", ""), row.get("m", ""), row["outcome"], *numbers, theirs, reason)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """The rows of the named problems, or all; on ``--resume`` but those that the results file holds already."""
    names = [word for word in sys.argv[1:] if word != "--resume"]
    if names:
        jax.config.update("jax_enable_x64", True)
        for name in names:
            sys.stdout.write(json.dumps(measure(name)) + "\n")
            sys.stdout.flush()
        return
    file = RESULTS / "sensitivity.json"
    rows = json.loads(file.read_text()) if "--resume" in sys.argv else []
    done = {row["problem"] for row in rows}
    for row in run([name for name in lists.names("hs") if name not in done]):
        rows.append(row)
        sys.stderr.write(f"{row['problem']}: {row['outcome']} {row.get('error', '')}\n")
        file.write_text(json.dumps(rows, indent=1) + "\n")
    (RESULTS / "sensitivity.md").write_text(table(rows))


if __name__ == "__main__":
    main()
