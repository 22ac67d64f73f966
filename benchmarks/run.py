"""Run the benchmark: ``python -m benchmarks.run --lists hs small opf --solvers karush ipopt pounce uno slsqp``.

Per problem, every solver in turn in a new process (cold times include nothing that was compiled before), then one
process that judges all answers. Finished rows of the same version are kept, so an interrupted run goes on.
"""

import argparse
import concurrent.futures
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import queue
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import lists, results
from benchmarks.solvers import ALL

ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "1",
}
COLD_ONLY = ", cold only"
"""added to the version, so that a full run does not keep such rows"""
JUDGE_TIMEOUT = 600
"""seconds for the judge, which may not lose answers that took minutes to get"""


def version_of(solver: str) -> str:
    """What a kept row must match: the package's version, for karush the text of its sources."""
    if solver == "karush":
        sources = sorted((ROOT / "src" / "karush").rglob("*.py"))
        return hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:12]
    return importlib.metadata.version(importlib.import_module(f"benchmarks.solvers.{solver}").PACKAGE)


def environment(core: int, cache: str | None = None) -> dict:
    """One thread and one core for every solver alike, and no compilation cache but the one given."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JAX_")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    cached = {} if cache is None else {"JAX_COMPILATION_CACHE_DIR": cache, "BENCHMARK_COLD_ONLY": "1"}
    if cache is not None:
        cached |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    return {**kept, **ONE_THREAD, **cached, "BENCHMARK_CORE": str(core), "PYTHONPATH": path}


def run_worker(name: str, solver: str, env: dict, timeout: float, folder: Path) -> dict:
    """The row of one solver on one problem; a crash or a time limit becomes its status."""
    out = folder / f"{solver}.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.worker", name, solver, str(out)]
    failure = None
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, timeout=timeout, capture_output=True, text=True, check=False)
        if done.returncode:
            failure = f"exit {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1][:200]}"
    except subprocess.TimeoutExpired:
        failure = f"time limit of {timeout:g} s"
    row = json.loads(out.read_text()) if out.exists() else {"problem": name, "solver": solver, "x": None}
    if failure:
        row["failure"] = failure
        row.setdefault("status", failure)
        row.setdefault("claimed", False)
    return row


def run_problem(
    name: str, solvers: list[str], core: int, timeout: float, cold_only: bool, disk_cache: bool
) -> list[dict]:
    """All solvers on one problem, judged."""
    env = environment(core) | ({"BENCHMARK_COLD_ONLY": "1"} if cold_only else {})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rows = []
        for solver in solvers:
            row = run_worker(name, solver, env, timeout, folder)
            if solver == "karush" and row.get("x") is not None and disk_cache and not cold_only:
                row |= cold_from_disk(name, core, timeout, folder)
            rows.append({**row, "version": version_of(solver) + COLD_ONLY * cold_only})
        file = folder / "rows.json"
        file.write_text(json.dumps(rows))
        command = [sys.executable, "-m", "benchmarks.judge", str(file)]
        try:
            subprocess.run(
                command, cwd=ROOT, env=env, timeout=JUDGE_TIMEOUT, check=True, capture_output=True, text=True
            )
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            message = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1][:200]
            return [{**row, "judge_failure": message} for row in rows]
        return json.loads(file.read_text())


def cold_from_disk(name: str, core: int, timeout: float, folder: Path) -> dict:
    """karush's cold time in a new process with the compilation cache that an earlier process left on disk."""
    env = environment(core, str(folder / "cache")) | {"BENCHMARK_COLD_ONLY": "1"}
    run_worker(name, "karush", env, timeout, folder)
    return {"cold_disk_cache": run_worker(name, "karush", env, timeout, folder).get("cold")}


def machine() -> dict:
    """What a reader needs to compare times; no names of hosts or paths."""
    info = Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    packages = ("jax", "jaxlib", "numpy", "scipy", "asdex", "sif2jax", "cyipopt-wheels", "pounce-solver", "unopy")
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "packages": {package: importlib.metadata.version(package) for package in packages},
    }


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("--lists", nargs="+", default=list(lists.LISTS), choices=lists.LISTS)
    parser.add_argument("--solvers", nargs="+", default=list(ALL))
    parser.add_argument("--names", nargs="+", help="only these problems of the lists")
    parser.add_argument("--jobs", type=int, default=1, help="problems at a time, each on a core of its own")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one solver on one problem")
    parser.add_argument("--no-disk-cache", action="store_true", help="leave out karush's cold time with a disk cache")
    parser.add_argument("--cold-only", action="store_true", help="one solve each: what is solved, without warm times")
    parser.add_argument("--fresh", action="store_true", help="measure again what is already there")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    cores: queue.SimpleQueue[int] = queue.SimpleQueue()
    for core in sorted(os.sched_getaffinity(0))[: options.jobs]:
        cores.put(core)
    versions = {solver: version_of(solver) + COLD_ONLY * options.cold_only for solver in options.solvers}

    def job(which: str, name: str, missing: list[str]) -> None:
        core = cores.get()
        try:
            rows = run_problem(name, missing, core, options.timeout, options.cold_only, not options.no_disk_cache)
        finally:
            cores.put(core)
        results.merge(options.results, which, rows, machine())
        print(*(_line(row) for row in rows), sep="\n", flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = []
        for which in options.lists:
            kept = {} if options.fresh else results.versions(options.results, which)
            for name in lists.names(which):
                if options.names and name not in options.names:
                    continue
                missing = [s for s in options.solvers if kept.get((name, s)) != versions[s]]
                if missing:
                    jobs.append(pool.submit(job, which, name, missing))
        for done in concurrent.futures.as_completed(jobs):
            done.result()


def _line(row: dict) -> str:
    seconds, warm = row.get("cold"), row.get("warm")
    cold_text = f"{seconds:8.2f} s" if seconds is not None else "       - s"
    warm_text = f"{1e3 * warm:9.2f} ms" if warm is not None else "        - ms"
    words = f"{'verified' if row.get('verified') else '-':9}{'success' if row.get('claimed') else '-':8}"
    false = " FALSE SUCCESS" if row.get("false_success") else ""
    return f"{row['problem']:10}{row['solver']:8}{cold_text}{warm_text}  {words}{row.get('status', '')[:60]}{false}"


if __name__ == "__main__":
    main()
