"""The pattern of a sparse Jacobian or Hessian and its coloring, to be read, drawn and used."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from karush.core.errors import BackendMissing
from karush.derivatives.coloring import Coloring, color_columns, color_symmetric
from karush.derivatives.detection import Found
from karush.jaxprs.source import Place

DRAWN = 40
"""Rows and columns up to which the text picture shows every entry."""
SHADES = " .:*#"
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DOTS = 200_000
"""Entries up to which a plot draws each."""


@dataclass(frozen=True, eq=False)
class SparsityPattern:
    """Entries of a matrix (k, n) that can be nonzero, and the products that compute them.

    Rows count the outputs of f one after another, columns its inputs. Every entry that is nonzero somewhere is in the
    pattern; an entry of the pattern may be zero everywhere.
    """

    rows: np.ndarray
    """(nnz,) sorted"""
    cols: np.ndarray
    """(nnz,) sorted within a row"""
    shape: tuple[int, int]
    kind: str
    """what is colored: `columns` (products J v), `rows` (products Jᵀ w) or `symmetric` (products H v)"""
    coloring: Coloring
    assumed: tuple[tuple[str, Place], ...] = ()
    """operations read as if each output depended on every input, and where they stand in the user's program"""

    @property
    def nnz(self) -> int:
        """Number of entries."""
        return self.rows.size

    @property
    def colors(self) -> np.ndarray:
        """Color of each column, or of each row where rows are colored; -1 where no product is needed."""
        return self.coloring.colors

    @property
    def color_count(self) -> int:
        """Number of products that one evaluation takes."""
        return self.coloring.count

    @cached_property
    def entry_colors(self) -> np.ndarray:
        """(nnz,) the product that each entry is read from."""
        return self.coloring.positions // (self.shape[1] if self.kind == "rows" else self.shape[0])

    def todense(self) -> np.ndarray:
        """The pattern as a Boolean matrix."""
        out = np.zeros(self.shape, bool)
        out[self.rows, self.cols] = True
        return out

    def __str__(self) -> str:
        k, n = self.shape
        head = f"{k} x {n}, {self.nnz} entries ({self.nnz / max(k * n, 1):.2g} of all), {self.color_count} "
        lines = [head + {"columns": "products J v", "rows": "products Jᵀ w", "symmetric": "products H v"}[self.kind]]
        lines += [f"read as the worst case: {name} at {place}" for name, place in self.assumed]
        return "\n".join([*lines, *(self._entries() if max(k, n) <= DRAWN else self._shades())])

    def _entries(self) -> list[str]:
        """One letter per entry: the product that it is read from."""
        page = np.full(self.shape, "·")
        page[self.rows, self.cols] = [LETTERS[color % len(LETTERS)] for color in self.entry_colors]
        return ["".join(row) for row in page]

    def _shades(self) -> list[str]:
        """How full each part of the matrix is."""
        high, wide = min(DRAWN // 2, self.shape[0]), min(DRAWN, self.shape[1])
        place = (self.rows.astype(np.int64) * high // self.shape[0]) * wide
        place += self.cols.astype(np.int64) * wide // self.shape[1]
        counts = np.bincount(place, minlength=high * wide).reshape(high, wide)
        level = np.ceil(counts / counts.max(initial=1) * (len(SHADES) - 1)).astype(int)
        return ["".join(SHADES[shade] for shade in row).rstrip() for row in level]

    def plot(self, axes: Any = None) -> Any:
        """Draw the entries, each in the color of its product; returns the Matplotlib axes.

        Parameters
        ----------
        axes
            Matplotlib axes to draw into; default a new figure.

        Raises
        ------
        BackendMissing
            without Matplotlib.
        """
        try:
            import matplotlib.pyplot as plt  # noqa: PLC0415
        except ImportError as error:
            raise BackendMissing("plot needs Matplotlib; install it with: pip install 'karush[plots]'") from error
        if axes is None:
            axes = plt.figure(layout="constrained").add_subplot()
        shown = np.linspace(0, self.nnz - 1, min(self.nnz, DOTS)).astype(np.int64) if self.nnz else np.zeros(0, int)
        size = np.clip(200.0 / max(*self.shape, 1), 0.2, 12.0)
        axes.scatter(
            self.cols[shown],
            self.rows[shown],
            c=self.entry_colors[shown] % 20,
            cmap="tab20",
            vmin=0,
            vmax=19,
            s=size**2,
            marker="s",
            linewidths=0,
        )
        axes.set(
            xlim=(-0.5, self.shape[1] - 0.5),
            ylim=(self.shape[0] - 0.5, -0.5),
            xlabel="column: input",
            ylabel="row: output",
            title=f"{self.nnz} entries, {self.color_count} products",
            aspect="equal" if max(self.shape) <= 4 * min(self.shape) else "auto",
        )
        return axes


def symmetric_pattern(found: Found, n: int) -> SparsityPattern:
    """Pattern of a Hessian, symmetric: an entry found on one side only is taken on both."""
    rows, cols = both_sides(found, n)
    return SparsityPattern(rows, cols, (n, n), "symmetric", color_symmetric(rows, cols, n), found.assumed)


def jacobian_pattern(found: Found, shape: tuple[int, int], modes: tuple[bool, bool]) -> SparsityPattern:
    """Pattern of a Jacobian, colored by columns or by rows, whichever needs fewer products.

    ``modes`` says whether forward products (columns) and reverse products (rows) exist.
    """
    forward, reverse = modes
    rows, cols = found.rows, found.cols
    least_columns = int(np.bincount(rows, minlength=1).max(initial=0))
    least_rows = int(np.bincount(cols, minlength=1).max(initial=0))
    by_columns = by_rows = None
    if forward and (not reverse or least_columns <= least_rows):
        by_columns = color_columns(rows, cols, shape)
    if reverse and (by_columns is None or by_columns.count > least_rows):
        by_rows = _by_rows(rows, cols, shape)
    if forward and by_columns is None and by_rows is not None and by_rows.count > least_columns:
        by_columns = color_columns(rows, cols, shape)
    if by_rows is None or (by_columns is not None and by_columns.count <= by_rows.count):
        if by_columns is None:
            raise ValueError("neither forward nor reverse products exist")
        return SparsityPattern(rows, cols, shape, "columns", by_columns, found.assumed)
    return SparsityPattern(rows, cols, shape, "rows", by_rows, found.assumed)


def _by_rows(rows: np.ndarray, cols: np.ndarray, shape: tuple[int, int]) -> Coloring:
    """Coloring of the rows: that of the transpose, its positions in the order of the entries."""
    k, n = shape
    order = np.argsort(cols.astype(np.int64) * k + rows, kind="stable")
    transposed = color_columns(cols[order], rows[order], (n, k))
    positions = np.empty_like(transposed.positions)
    positions[order] = transposed.positions
    return Coloring(transposed.colors, transposed.count, positions)


def both_sides(found: Found, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (n, n), sorted, of the entries and of their mirror images."""
    rows, cols = found.rows.astype(np.int64), found.cols.astype(np.int64)
    keys = np.unique(np.concatenate([rows * n + cols, cols * n + rows]))
    return (keys // n).astype(np.int32), (keys % n).astype(np.int32)


__all__ = ["SparsityPattern", "both_sides", "jacobian_pattern", "symmetric_pattern"]
