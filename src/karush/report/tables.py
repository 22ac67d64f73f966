"""Results and certificates as text, and with colours on a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from karush.certificates.certificate import Certificate
from karush.core.table import WIDTH, Section, Tone, layout, to_text
from karush.solvers.result import Result
from karush.solvers.summary import summarize, summarize_certificate

STYLES: dict[Tone, str] = {"plain": "", "strong": "bold", "dim": "dim", "good": "green", "bad": "red"}


def render_result(result: Result, width: int = WIDTH) -> str:
    """The report on `result` as plain text of at most `width` columns; ``str(result)`` is the same."""
    return to_text(summarize(result), width)


def render_certificate(certificate: Certificate, x: Any, width: int = WIDTH) -> str:
    """The report on a certificate of the point `x`, a pytree, as plain text."""
    return to_text(summarize_certificate(certificate, x), width)


def print_sections(sections: Sequence[Section], console: Console) -> None:
    """Write the sections to `console`; colours only where it is a terminal, and never more than `WIDTH` columns."""
    width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    for line in layout(sections, width):
        text = Text("".join(cell.text for cell in line))
        start = 0
        for cell in line:
            text.stylize(STYLES[cell.tone], start, start + len(cell.text))
            start += len(cell.text)
        text.rstrip()
        console.print(text, soft_wrap=True, highlight=False)
