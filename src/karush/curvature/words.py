"""The printed report on a curvature."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from karush.core.table import Cell, Section, aligned, measured, number, shorten
from karush.curvature.extremes import FAILURE

if TYPE_CHECKING:
    from karush.curvature.result import Curvature

LISTED = 5
"""Eigenvalues shown at either end of a longer list."""
COMPONENTS = 3
"""Largest entries of an eigenvector that are shown."""
VISIBLE = 0.1
"""and not below this share of its largest."""


def describe(curvature: Curvature) -> list[Section]:
    """Head, eigenvalues, and the verdict with its reason."""
    tone = "bad" if curvature.classification in ("undecided", "not a stationary point") else "strong"
    verdict = Section(sentences=(Cell(f"{curvature.classification}: {curvature.reason}", tone),))
    notes = _notes(curvature)
    return [
        Section(f"Curvature of f at x: n = {curvature.n}, float64, checked", _head(curvature)),
        Section("Eigenvalues of the Hessian and their vectors", _eigenvalues(curvature), notes),
        verdict,
    ]


def error_text(error: float) -> str:
    """An error rounded up to a power of ten: its digits mean nothing."""
    return measured(10.0 ** math.ceil(math.log10(error))) if 0 < error < math.inf else measured(error)


def _head(curvature: Curvature) -> tuple[tuple[Cell, ...], ...]:
    inertia, condition = curvature.inertia, curvature.condition
    counts = f"{inertia.positive} positive, {inertia.negative} negative"
    if curvature.complete:
        counts += f", {inertia.zero} not told from zero"
    else:
        counts = f"found {counts}; {curvature.n - sum(inertia)} unknown"
    if curvature.complete and condition.upper < math.inf:
        ratio = number(condition.value)
    elif condition.lower < math.inf:
        ratio = f"at least {number(condition.lower, 3)}"
    else:
        ratio = "inf"
    rows = [
        ("value", number(curvature.value, 8)),
        ("gradient norm", f"{number(curvature.gradient_norm)} ± {error_text(curvature.gradient_error)}"),
        ("symmetry", f"‖H − Hᵀ‖/‖H‖ = {error_text(curvature.asymmetry)}"),
        ("inertia", counts),
        ("condition number", ratio),
        ("best step along −∇f", curvature.best_step.words),
    ]
    return tuple((Cell(name), Cell(text)) for name, text in rows)


def _eigenvalues(curvature: Curvature) -> tuple[tuple[Cell, ...], ...]:
    k = curvature.eigenvalues.size
    shown = list(range(k)) if k <= 2 * LISTED else [*range(LISTED), *range(k - LISTED, k)]
    texts = aligned([float(curvature.eigenvalues[i]) for i in shown])
    rows: list[tuple[Cell, ...]] = []
    for i, text in zip(shown, texts, strict=True):
        if rows and i and i - 1 not in shown:
            rows.append((Cell("…", "dim", right=True), Cell(f"{k - 2 * LISTED} more", "dim")))
        error = f"± {error_text(float(curvature.errors[i]))}"
        rows.append((Cell(text, right=True), Cell(error), Cell(_components(curvature, i), "dim")))
    return tuple(rows)


def _components(curvature: Curvature, index: int) -> str:
    """Largest entries of an eigenvector with the names of their variables; the first has a positive sign."""
    vector = curvature.eigenvectors[:, index]
    sizes = np.abs(vector)
    if not np.isfinite(sizes).all():
        return ""
    order = np.argsort(-np.round(sizes, 12), kind="stable")[:COMPONENTS]
    chosen = [int(i) for i in order if sizes[i] >= VISIBLE * sizes[order[0]]]
    sign = 1.0 if vector[chosen[0]] >= 0 else -1.0
    text = f"{number(sign * vector[chosen[0]], 2)} {shorten(curvature.names[chosen[0]])}"
    for i in chosen[1:]:
        part = sign * float(vector[i])
        text += f" {'+' if part >= 0 else '−'} {number(abs(part), 2)} {shorten(curvature.names[i])}"
    return text + (" …" if np.count_nonzero(sizes >= VISIBLE * sizes[order[0]]) > len(chosen) else "")


def _notes(curvature: Curvature) -> tuple[Cell, ...]:
    if curvature.complete:
        return ()
    low, high = curvature.reach
    text = f"Found by {curvature.products} products. "
    if not curvature.converged:
        text += "The products ran out before all residuals met the tolerance; the errors hold all the same. "
    if math.isfinite(low):
        text += (
            f"Over the random start it has a probability below {measured(FAILURE)} that an eigenvalue lies outside "
            f"[{number(low, 3)}, {number(high, 3)}]."
        )
    else:
        text += "Too few products to say how far out other eigenvalues may lie."
    return (Cell(text, "dim"),)


__all__ = ["describe", "error_text"]
