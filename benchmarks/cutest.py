"""CUTEst problems as JAX functions, read one file at a time from sif2jax.

``import sif2jax`` builds all of its 842 problems (100 s, several GB), so its packages are replaced by empty stubs
with a search path and a problem's own module is imported alone.
"""

import importlib
import importlib.util
import json
import re
import sys
import types
from functools import cache
from pathlib import Path

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from benchmarks.problem import BenchmarkProblem

DATA = Path(__file__).parent / "data"
NO_BOUND = 1e19
"""CUTEst's convention: a bound this large is none."""


@cache
def index() -> dict[str, str]:
    """Problem class -> module, read from the source text without importing it."""
    spec = importlib.util.find_spec("sif2jax")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("benchmarks need sif2jax: pip install sif2jax==0.0.8")
    root = Path(spec.submodule_search_locations[0])
    for folder in [root, root / "cutest", *sorted((root / "cutest").glob("_*/"))]:
        name = ".".join(["sif2jax", *folder.relative_to(root).parts])
        stub = types.ModuleType(name)
        stub.__path__ = [str(folder)]
        sys.modules.setdefault(name, stub)
    index = {}
    for file in (root / "cutest").rglob("*.py"):
        module = ".".join(["sif2jax", *file.relative_to(root).with_suffix("").parts])
        for found in re.findall(r"^class (\w+)\(", file.read_text(), re.MULTILINE):
            index.setdefault(found, module)
    return index


def _repair(name: str, lowest: np.ndarray, fixes: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sign, offset and source row of every inequality ``sign * i[row] + offset >= 0`` after the repairs."""
    sign = np.ones(lowest.size)
    sign[fixes.get("flip", [])] = -1.0
    row = np.arange(lowest.size)
    offset = np.zeros(lowest.size)
    for value_row, value in fixes.get("add", []):
        row, sign, offset = np.append(row, value_row), np.append(sign, -1.0), np.append(offset, value)
    keep = np.isfinite(lowest[row])
    return sign[keep], offset[keep], row[keep]


def load(name: str) -> BenchmarkProblem:
    """The problem ``name`` in float64, with the repairs of ``data/sif2jax_fixes.json``."""
    module = importlib.import_module(index()[name])
    problem = getattr(module, name)()
    y0, unravel = jax.flatten_util.ravel_pytree(problem.y0)
    n = y0.size
    args = problem.args

    def objective(x):
        return problem.objective(unravel(x), args)

    bounds = getattr(problem, "bounds", None)
    lower, upper = np.full(n, -np.inf), np.full(n, np.inf)
    if bounds is not None:
        lower, upper = (np.array(jax.flatten_util.ravel_pytree(side)[0], float) for side in bounds)
        lower[lower <= -NO_BOUND], upper[upper >= NO_BOUND] = -np.inf, np.inf

    if not hasattr(problem, "constraint"):
        none = np.zeros(0)
        return BenchmarkProblem(name, objective, None, np.array(y0, float), lower, upper, none, none)

    def split(y):
        return [
            jnp.zeros(0) if part is None else jax.flatten_util.ravel_pytree(part)[0] for part in problem.constraint(y)
        ]

    equalities, inequalities = (np.array(part, float) for part in split(problem.y0))
    fixes = json.loads((DATA / "sif2jax_fixes.json").read_text()).get(name, {})
    sign, offset, row = _repair(name, inequalities, fixes)

    def rows(x):
        equal, least = split(unravel(x))
        return jnp.concatenate([equal, sign * least[row] + offset])

    row_lower = np.zeros(equalities.size + sign.size)
    row_upper = np.concatenate([np.zeros(equalities.size), np.full(sign.size, np.inf)])
    return BenchmarkProblem(name, objective, rows, np.array(y0, float), lower, upper, row_lower, row_upper)
