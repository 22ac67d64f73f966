"""The lists of benchmark problems by name."""

from pathlib import Path

from benchmarks.problem import BenchmarkProblem

DATA = Path(__file__).parent / "data"
LISTS = ("hs", "small", "opf")
POWER_FLOWS = {"IEEE14": 14, "IEEE30": 30, "IEEE118": 118, "IEEE300": 300}
"""name -> number of buses"""


def names(which: str) -> list[str]:
    """Names in the list ``which``, in order."""
    return list(POWER_FLOWS) if which == "opf" else (DATA / f"{which}.txt").read_text().split()


def load(name: str) -> BenchmarkProblem:
    """The problem ``name`` of any list, in float64."""
    # imported here: each list loads without what the other needs (sif2jax; karush, whose examples state the networks)
    if name in POWER_FLOWS:
        from benchmarks import opf

        return opf.load(name, POWER_FLOWS[name])
    from benchmarks import cutest

    return cutest.load(name)
