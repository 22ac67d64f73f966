"""The printed table: sections of rows, laid out once, read as plain text or with colours.

What is said (sections) is decided apart from how it looks (`layout` here, colours in the report room), so that
``print(result)``, the command line and a pipe into a file all say the same.
"""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Tone = Literal["plain", "strong", "dim", "good", "bad"]

WIDTH = 100
"""Columns of a table where nobody says otherwise."""
NARROWEST = 72
"""A table is never laid out narrower than this; a narrower terminal wraps it."""
WHOLE = 1000
"""Counts, such as a rank, are below this; a residual that is a larger whole number is so by accident."""
NARROWEST_COLUMN = 20
"""A last column with less room than this goes onto lines of its own."""
INDENT = "  "
GAP = "  "
LONGEST_NAME = 36
"""A longer first cell is cut in its middle: both ends of ``balance at north substation[12]`` carry meaning."""


@dataclass(frozen=True)
class Cell:
    """One text with its tone; `right` aligns it to the right of its column."""

    text: str
    tone: Tone = "plain"
    right: bool = False


@dataclass(frozen=True)
class Section:
    """A titled block: rows of cells in columns, then sentences wrapped to the width.

    The last column of a row is never padded, and wrapped under itself where it is too long.
    """

    title: str = ""
    rows: tuple[tuple[Cell, ...], ...] = ()
    sentences: tuple[Cell, ...] = ()


Line = tuple[Cell, ...]


def layout(sections: Iterable[Section], width: int = WIDTH) -> list[Line]:
    """Lines of at most `width` columns; a line is a tuple of cells to be written one after another."""
    width = max(width, NARROWEST)
    lines: list[Line] = []
    for section in sections:
        if lines:
            lines.append(())
        if section.title:
            lines.append((Cell(section.title, "strong"),))
        lines.extend(_rows(section.rows, width))
        for sentence in section.sentences:
            lines.extend(
                (Cell(INDENT), Cell(part, sentence.tone)) for part in _wrap(sentence.text, width - len(INDENT))
            )
    return lines


def to_text(sections: Iterable[Section], width: int = WIDTH) -> str:
    """The same lines as plain text, without trailing blanks."""
    return "\n".join("".join(cell.text for cell in line).rstrip() for line in layout(sections, width))


def number(value: float, digits: int = 6) -> str:
    """`value` to `digits` significant digits, as short as that allows: ``8081.53``, ``1e+20``, ``inf``."""
    text = f"{value:.{digits}g}"
    return "0" if text == "-0" else text


def aligned(values: Sequence[float], digits: int = 6) -> list[str]:
    """Numbers of one column with one number of decimals: the largest gets `digits` digits.

    What would be 0.000 then is written with an exponent. Columns of very large or small numbers have no common
    decimals.
    """
    sizes = [abs(value) for value in values if 0 < abs(value) < math.inf]
    if not sizes:
        return [number(value, digits) for value in values]
    decimals = digits - 1 - math.floor(math.log10(max(sizes)))
    if not 0 <= decimals <= digits + 1:
        return [number(value, digits) for value in values]
    # Adding 0.0 takes the sign from a zero.
    tiny = 10.0**-decimals
    texts = [f"{value:.1e}" if 0 < abs(value) < tiny else f"{value + 0.0:.{decimals}f}" for value in values]
    # Zeros that all numbers end with say nothing.
    fixed = [text for text in texts if "." in text and "e" not in text]
    idle = min((len(text) - len(text.rstrip("0")) for text in fixed), default=0)
    return [text[: len(text) - idle].rstrip(".") if text in fixed else text for text in texts]


def measured(value: float) -> str:
    """A residual or tolerance: two digits and the exponent, ``3.1e-09``, ``1e-08``; small whole numbers stay whole."""
    whole = math.isfinite(value) and abs(value) < WHOLE and value == int(value)
    return f"{int(value)}" if whole else f"{value:.1e}".replace(".0e", "e")


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
    """`name` with its middle replaced by … where it is longer than `longest`."""
    if len(name) <= longest:
        return name
    tail = longest // 2
    return f"{name[: longest - tail - 1]}…{name[-tail:]}"


def iteration_line(record: dict[str, Any]) -> str:
    """One entry of ``Result.history`` in one line, for a progress display."""
    line = f"iteration {record['iteration']:>4}   value {number(record['value'], 8):>14}"
    for key in ("infeasibility", "stationarity"):
        # A backend that does not tell gives NaN.
        if math.isfinite(record.get(key, math.nan)):
            line += f"   {key} {record[key]:.1e}"
    if record.get("phase") == "restoration":
        line += "   restoring feasibility"
    return line


def _rows(rows: Sequence[tuple[Cell, ...]], width: int) -> list[Line]:
    if not rows:
        return []
    count = max(len(row) for row in rows)
    # A last cell that is aligned to the left runs free: it does not set the width of a column.
    widths = [
        max((len(row[k].text) for row in rows if k < len(row) and (k < len(row) - 1 or row[k].right)), default=0)
        for k in range(count)
    ]
    lines: list[Line] = []
    for row in rows:
        cells = [Cell(INDENT)]
        for k, cell in enumerate(row[:-1]):
            padded = cell.text.rjust(widths[k]) if cell.right else cell.text.ljust(widths[k])
            cells += [Cell(padded, cell.tone), Cell(GAP)]
        used = sum(len(cell.text) for cell in cells)
        last = row[-1]
        if last.right:
            lines.append((*cells, Cell(last.text.rjust(widths[len(row) - 1]), last.tone)))
            continue
        if len(last.text) > width - used and width - used < NARROWEST_COLUMN:
            used = 2 * len(INDENT)
            lines.append(tuple(cells))
            lines.extend((Cell(" " * used), Cell(part, last.tone)) for part in _wrap(last.text, width - used))
            continue
        first, *rest = _wrap(last.text, width - used)
        lines.append((*cells, Cell(first, last.tone)))
        lines.extend((Cell(" " * used), Cell(part, last.tone)) for part in rest)
    return lines


def _wrap(text: str, width: int) -> list[str]:
    # Numbers are set in columns with runs of blanks, which textwrap would keep anyway; a name is not cut at its hyphen.
    return textwrap.wrap(text, width, break_on_hyphens=False, drop_whitespace=True) or [""]
