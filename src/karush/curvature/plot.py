"""A picture of a spectrum; matplotlib is optional."""

from typing import Any

import numpy as np

from karush.core.errors import BackendMissing
from karush.curvature.density import Density

POINTS = 800
"""at which a density is drawn"""
MARGIN = 0.05
"""of the spectrum's width, to either side"""
LOWEST = 0.1
"""Densities are drawn down to this share of one eigenvalue."""


def draw(values: np.ndarray, errors: np.ndarray, density: Density | None, n: int, ax: Any) -> Any:
    """Eigenvalues in order (k,), or a density with marks at the eigenvalues found; returns the axes."""
    if ax is None:
        try:
            # Optional: needed for pictures only.
            from matplotlib import pyplot  # noqa: PLC0415
        except ImportError as error:
            raise BackendMissing("matplotlib is not installed; pip install 'karush[plots]'") from error
        ax = pyplot.figure(figsize=(6.4, 3.6), layout="constrained").add_subplot()
    if density is None:
        _ladder(values, errors, ax)
    else:
        _smooth(values, density, n, ax)
    return ax


def _ladder(values: np.ndarray, errors: np.ndarray, ax: Any) -> None:
    """Order against eigenvalue; linear within the error of 0, logarithmic beyond."""
    order = np.arange(1, values.size + 1)
    negative = values < -errors
    positive = values > errors
    for mask, color, label in (
        (negative, "C3", "negative"),
        (positive, "C0", "positive"),
        (~negative & ~positive, "C7", "not told from 0"),
    ):
        if mask.any():
            ax.plot(order[mask], values[mask], "o", color=color, markersize=4, label=label)
    told = np.abs(values[negative | positive])
    if told.size and told.max() > 100 * told.min():
        ax.set_yscale("symlog", linthresh=float(told.min()))
    ax.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    ax.set_xlabel("index, ascending")
    ax.set_ylabel("eigenvalue of the Hessian")
    ax.legend(frameon=False)


def _smooth(values: np.ndarray, density: Density, n: int, ax: Any) -> None:
    """Eigenvalues per unit, on a logarithmic scale down to a share of one eigenvalue."""
    low = min(float(density.nodes[0]), float(values[0]))
    high = max(float(density.nodes[-1]), float(values[-1]))
    width = (high - low) or 1.0
    grid = np.linspace(low - MARGIN * width, high + MARGIN * width, POINTS)
    heights = n * density.at(grid)
    floor = LOWEST / width
    ax.fill_between(grid, np.maximum(heights, floor), floor, color="C0", alpha=0.35, linewidth=0, label="density")
    ax.plot(
        values, np.full(values.size, floor), "|", color="C3", markersize=14, clip_on=False, label="eigenpairs found"
    )
    ax.set_yscale("log")
    ax.set_ylim(bottom=floor)
    ax.set_xlabel("eigenvalue of the Hessian")
    ax.set_ylabel("eigenvalues per unit")
    ax.legend(frameon=False)


__all__ = ["draw"]
