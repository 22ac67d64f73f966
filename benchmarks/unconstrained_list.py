"""Which unconstrained and bounded CUTEst problems are run: ``python -m benchmarks.unconstrained_list``.

Every class of sif2jax that is derived from its unconstrained or its bounded base class, at its default size, is built
and its gradient compiled and called, by a process that is ended after `SECONDS` on one problem. Those with at most
`LARGEST` variables go to ``data/unconstrained.json``, the others are listed there beside the reason.
"""

import argparse
import json
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks import cutest

LARGEST = 1000
"""variables"""
SECONDS = 60.0
"""to build a problem and to compile its gradient"""
STARTING = 10.0
"""seconds granted besides, for the process to import its packages"""
KINDS = {"AbstractUnconstrainedMinimisation": "unconstrained", "AbstractBoundedMinimisation": "bounded"}
LIST = cutest.DATA / "unconstrained.json"


def candidates() -> dict[str, str]:
    """Problem class -> kind, from the source text."""
    found = {}
    for name, module in cutest.index().items():
        source = Path(sys.modules[module.rsplit(".", 1)[0]].__path__[0], module.rsplit(".", 1)[1] + ".py").read_text()
        base = re.search(rf"^class {name}\((\w+)", source, re.MULTILINE)
        abstract = name.startswith("_") or name.endswith("Base")
        if base is not None and base[1] in KINDS and not abstract:
            found[name] = KINDS[base[1]]
    return dict(sorted(found.items()))


def examine(name: str) -> dict:
    """Size and finiteness at the start, within this process."""
    began = time.perf_counter()
    try:
        problem = cutest.load(name)
    except (TypeError, ValueError, AttributeError, NotImplementedError, FileNotFoundError, ImportError) as error:
        return {"excluded": f"cannot be built: {type(error).__name__}"}
    if problem.n > LARGEST:
        return {"n": problem.n, "excluded": f"more than {LARGEST} variables"}
    try:
        consts = jax.make_jaxpr(problem.objective)(problem.x0).consts
    except (TypeError, ValueError, NotImplementedError) as error:
        return {"n": problem.n, "excluded": f"cannot be traced: {type(error).__name__}"}
    if any(getattr(const, "dtype", None) == np.float32 for const in consts):
        # karush refuses it: its digits are lost before the problem is stated.
        return {"n": problem.n, "excluded": "holds single-precision data"}
    try:
        value, gradient = jax.jit(jax.value_and_grad(problem.objective))(problem.x0)
    except (TypeError, ValueError, NotImplementedError) as error:
        return {"n": problem.n, "excluded": f"cannot be differentiated: {type(error).__name__}"}
    row: dict = {"n": problem.n, "seconds": round(time.perf_counter() - began, 2)}
    if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
        row["note"] = "not finite at the start"
    return row


def serve() -> None:
    """Answer each name on the standard input with a line."""
    jax.config.update("jax_enable_x64", True)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(examine(line.strip())) + "\n")
        sys.stdout.flush()


def scan(out: Path) -> None:
    """Examine all candidates that `out` does not hold yet."""
    rows = json.loads(out.read_text()) if out.exists() else {}
    process = None
    for name, kind in candidates().items():
        if name in rows:
            continue
        if process is None:
            process = Examiner()
        answer = process.ask(name)
        if answer is None:
            process, answer = None, {"excluded": f"takes more than {SECONDS:.0f} s to build and differentiate"}
        rows[name] = {"kind": kind, **answer}
        out.write_text(json.dumps(rows, indent=0, sort_keys=True) + "\n")


class Examiner:
    """A process that examines problems one after the other."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.unconstrained_list", "--serve"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, name: str) -> dict | None:
        """The answer, or None where it does not come in time: the process is ended then."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS + STARTING)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self.process.kill()
        self.process.wait()
        return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--out", type=Path, default=LIST)
    arguments = parser.parse_args()
    serve() if arguments.serve else scan(arguments.out)
