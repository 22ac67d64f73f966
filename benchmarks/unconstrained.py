"""karush beside SciPy and Optimistix without constraint rows, on CUTEst: ``python -m benchmarks.unconstrained``.

The problems are those of ``data/unconstrained.json``, made by `unconstrained_list`. One process per problem runs all
solvers with the same compiled JAX derivatives in float64, warm solves interleaved; `checker` judges every answer. Rows
are kept as lines of JSON, and a second call goes on where the first one ended. ``--report`` writes the table.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import unconstrained_report
from benchmarks.unconstrained_list import LIST

ROWS = Path(__file__).parent / "results" / "unconstrained.jsonl"
SECONDS = 90.0
"""for one problem: all solvers, cold and warm"""


def problems() -> dict[str, dict]:
    """Name -> row of the list, of those that are run."""
    listed = json.loads(LIST.read_text())
    return {name: row for name, row in listed.items() if "excluded" not in row}


def run_one(name: str, core: int, out: Path) -> None:
    """All solvers on one problem, in a process of its own."""
    environment = {**os.environ, "BENCHMARK_CORE": str(core), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.unconstrained_worker", name]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        lines, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        lines, errors = process.communicate()
    rows = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    # A later row of a solver replaces the earlier one: cold first, then warm.
    latest = {row["solver"]: row for row in rows}
    if not latest:
        last = errors.strip().splitlines()[-1:] or ["no answer in time"]
        latest = {"none": {"problem": name, "solver": "none", "error": last[0][:200]}}
    with out.open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in latest.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time, each on a core of its own")
    parser.add_argument("--only", nargs="*", help="names of problems")
    parser.add_argument("--report", action="store_true", help="write the table of the rows that there are")
    arguments = parser.parse_args()
    done = set()
    if arguments.rows.exists():
        done = {json.loads(line)["problem"] for line in arguments.rows.read_text().splitlines()}
    if not arguments.report:
        names = [name for name in (arguments.only or problems()) if name not in done]
        cores = sorted(os.sched_getaffinity(0))[: arguments.jobs]
        free = list(cores)

        def work(name: str) -> None:
            core = free.pop()
            began = time.perf_counter()
            run_one(name, core, arguments.rows)
            free.append(core)
            sys.stdout.write(f"{name} {time.perf_counter() - began:.0f} s\n")
            sys.stdout.flush()

        with ThreadPoolExecutor(len(cores)) as pool:
            list(pool.map(work, names))
    unconstrained_report.write(arguments.rows, problems())


if __name__ == "__main__":
    main()
