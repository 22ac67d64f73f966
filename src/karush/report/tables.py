"""Results and certificates as text, and with colours on a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from karush.certificates.certificate import Certificate
from karush.core.pytrees import open_door
from karush.core.status import Verdict
from karush.core.table import WIDTH, Cell, Section, Tone, layout, to_text
from karush.solvers.result import Result
from karush.solvers.summary import certificate_sections, summarize, variables_section, verdict_tone

STYLES: dict[Tone, str] = {"plain": "", "strong": "bold", "dim": "dim", "good": "green", "bad": "red"}


def render_result(result: Result, width: int = WIDTH) -> str:
    """The report on `result` as plain text of at most `width` columns; ``str(result)`` is the same."""
    return to_text(summarize(result), width)


def render_certificate(certificate: Certificate, x: Any, width: int = WIDTH) -> str:
    """The report on a certificate of the point `x`, a pytree, as plain text."""
    return to_text(certificate_report(certificate, x), width)


def certificate_report(certificate: Certificate, x: Any, name: str | None = None) -> tuple[Section, ...]:
    """Sections of a certificate that comes without a solve."""
    verdict: Verdict = certificate.verdict
    door, flat = open_door(x, "x")
    facts = (
        (Cell("verdict"), Cell(verdict.value, verdict_tone(verdict))),
        (Cell(""), Cell(certificate.sentence)),
    )
    title = f"{name or 'karush'}: certificate of a given point"
    return (Section(title, facts), variables_section(door, flat), *certificate_sections(certificate))


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
