"""Blocks of the pages: running them, and comparing what they print with what the page shows.

``make printed`` (this file as a script) writes what is printed now into the pages.
"""

import contextlib
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# This comment, alone before a text block, says that the block is what the page has printed since the last such block.
PRINTED = "<!-- printed -->"
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)\b")
# Residuals, times and counts differ between machines, the words around them and the answers do not.
NOISE = re.compile(r"^\s*effort |= .*\bok\b|\bFAILS\b")
PLACE = re.compile(r"\b(ok|FAILS) +at \S+$")
SAME_NUMBER = 1e-4
"""relative; an answer to tol = 1e-8 shows its square root where a limit is only weakly active"""


class Block(NamedTuple):
    language: str
    text: str
    start: int
    """offset of the text in the page"""
    line: int
    printed: bool


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            match[1],
            match[2],
            match.start(2),
            text.count("\n", 0, match.start()) + 1,
            text[: match.start()].rstrip().endswith(PRINTED),
        )
        for match in BLOCK.finditer(text)
    ]


def alike(shown: str, printed: str) -> bool:
    """Whether two texts have the same words, and the same answers up to `SAME_NUMBER`; spaces do not count."""
    lines = [[" ".join(line.split()) for line in text.strip().splitlines()] for text in (shown, printed)]
    shown_lines, printed_lines = ([PLACE.sub(r"\1", line) for line in text] for text in lines)
    if [NUMBER.sub("#", line) for line in shown_lines] != [NUMBER.sub("#", line) for line in printed_lines]:
        return False
    pairs = [
        (float(a), float(b))
        for line, other in zip(shown_lines, printed_lines, strict=True)
        if not NOISE.search(line)
        for a, b in zip(NUMBER.findall(line), NUMBER.findall(other), strict=True)
    ]
    close = (math.isclose(a, b, rel_tol=SAME_NUMBER, abs_tol=SAME_NUMBER) for a, b in pairs)
    # A page that shows a NaN must print one.
    return all(same or (math.isnan(a) and math.isnan(b)) for same, (a, b) in zip(close, pairs, strict=True))


def runs_python(page: Path) -> bool:
    return any(block.language == "python" for block in blocks(page))


def run(page: Path) -> Iterator[tuple[Block, str]]:
    """Run the Python blocks of a page in one namespace; each printed block, with what it should show."""
    namespace: dict[str, object] = {"__name__": "__docs__"}
    printed = io.StringIO()
    for block in blocks(page):
        if block.language == "python":
            # The padding makes the line numbers of a traceback those of the page.
            code = compile("\n" * block.line + block.text, str(page), "exec")
            with contextlib.redirect_stdout(printed):
                exec(code, namespace)
        elif block.printed:
            got, printed = printed.getvalue(), io.StringIO()
            yield block, got


def refresh(page: Path) -> None:
    """Write what is printed now into the printed blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for block, got in reversed(list(run(page))):
        text = text[: block.start] + got.strip("\n") + "\n" + text[block.start + len(block.text) :]
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for page in PAGES:
        if any(block.printed for block in blocks(page)):
            refresh(page)
