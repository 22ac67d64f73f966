"""From an equation of a traced program back to the line that its user wrote."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.extend.source_info_util as source_info_util

LIBRARIES = tuple(str(root) + "/" for root in (Path(jax.__file__).parent, Path(__file__).parents[1]))
"""Frames below these folders are JAX's or ours, never the user's."""

SUMMARY = re.compile(r"^(?P<file>.*?):(?P<line>\d+):(?P<column>\d+)(?: \((?P<function>.*)\))?$")
"""``file:line:column (function)``, the form of JAX's public ``summarize``: the only public source of the column,
which counts from 0."""


@dataclass(frozen=True)
class Place:
    """A line of the user's program."""

    file: str | None
    """path as the interpreter knew it; None if JAX recorded no frame outside the libraries"""
    line: int = 0
    column: int = 0
    """1-based; 0 where JAX does not know it"""
    function: str = ""

    def __str__(self) -> str:
        if self.file is None:
            return "an unknown place"
        return f"{self.file}:{self.line}" + (f" in {self.function}" if self.function else "")


UNKNOWN = Place(None)


def place_of(equation: Any) -> Place:
    """The innermost line outside JAX and karush that led to `equation` (a ``JaxprEqn``)."""
    traceback = equation.source_info.traceback
    if traceback is None:
        return UNKNOWN
    for frame in traceback.frames:
        if not frame.file_name.startswith(LIBRARIES):
            function = frame.function_name.rpartition(".<locals>.")[2]
            return Place(frame.file_name, frame.line_num, _column(equation, frame), function)
    return UNKNOWN


def _column(equation: Any, frame: Any) -> int:
    """The column by JAX's own summary, if that speaks of the same line."""
    match = SUMMARY.match(source_info_util.summarize(equation.source_info))
    if match is None or match["file"] != frame.file_name or int(match["line"]) != frame.line_num:
        return 0
    return int(match["column"]) + 1


def library_file(debug_info: Any) -> bool:
    """Whether the function that a nested jaxpr was traced from is defined inside JAX itself."""
    return f" at {LIBRARIES[0]}" in (getattr(debug_info, "func_src_info", None) or "")


def function_name(debug_info: Any) -> str:
    """Name of the function that a nested jaxpr was traced from; ``""`` if JAX did not record it."""
    described = getattr(debug_info, "func_src_info", None) or ""
    return described.partition(" at ")[0]


__all__ = ["LIBRARIES", "UNKNOWN", "Place", "function_name", "library_file", "place_of"]
