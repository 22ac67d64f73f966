"""Performance profile of warm times (Dolan and Moré 2002): share of problems solved within a factor of the fastest."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from benchmarks import measures

COLOURS = {"karush": "#c1272d", "ipopt": "#0072b2", "pounce": "#56b4e9", "uno": "#009e73", "slsqp": "#8a8a8a"}
WIDEST = 1000.0
"""factor at the right edge"""


def profile(rows: measures.Rows, solver: str) -> tuple[np.ndarray, np.ndarray]:
    """(factors tau, share of all problems that the solver verifies within tau times the fastest solver's time)."""
    fastest: dict[str, float] = {}
    for (problem, _), row in rows.items():
        if measures.verified(row) and row.get("warm"):
            fastest[problem] = min(fastest.get(problem, np.inf), row["warm"])
    problems = {problem for problem, _ in rows}
    solved = measures.where(rows, solver, lambda row: measures.verified(row) and bool(row.get("warm")))
    factors = np.sort([rows[problem, solver]["warm"] / fastest[problem] for problem in solved])
    return factors, np.arange(1, factors.size + 1) / max(len(problems), 1)


def draw(lists: dict[str, measures.Rows], file: Path) -> None:
    """One panel per list."""
    figure, panels = plt.subplots(1, len(lists), figsize=(5.2 * len(lists), 3.9), sharey=True, squeeze=False)
    for panel, (title, rows) in zip(panels[0], lists.items(), strict=True):
        for solver in measures.solvers(rows):
            factors, share = profile(rows, solver)
            line = {"color": COLOURS.get(solver), "linewidth": 2.4 if solver == measures.OURS else 1.5}
            x, y = (
                np.concatenate([[1.0], factors, [WIDEST]]),
                np.concatenate([[0.0], share, [share[-1] if share.size else 0.0]]),
            )
            panel.step(x, y, where="post", label=solver, **line)
        panel.set_xscale("log")
        panel.set_xlim(1, WIDEST)
        panel.set_ylim(0, 1.02)
        panel.set_title(f"{title} ({len({problem for problem, _ in rows})} problems)")
        panel.set_xlabel("warm time over the fastest solver's")
        panel.grid(alpha=0.25)
    panels[0][0].set_ylabel("share of problems verified")
    panels[0][-1].legend(loc="lower right", frameon=False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)
