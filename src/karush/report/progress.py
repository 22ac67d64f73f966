"""One live line on the terminal while a solve runs."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from karush.core.table import iteration_line

REFRESH_PER_SECOND = 10
"""Faster than a person reads; slower would make short solves look stuck."""


class ProgressLine:
    """A spinner with the time and the latest iteration; leaves nothing behind, and writes nothing into a pipe.

    The spinner turns in a thread of its own, so that it also moves while JAX compiles.

    ```python
    with ProgressLine(Console(stderr=True)) as line:
        karush.minimize(problem, callback=line.update)
    ```
    """

    def __init__(self, console: Console, waiting: str = "tracing and compiling"):
        self._progress = Progress(
            SpinnerColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            refresh_per_second=REFRESH_PER_SECOND,
            disable=not console.is_terminal,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(waiting, total=None)

    def update(self, record: dict[str, Any]) -> None:
        """Show one entry of ``Result.history``; a callback for `karush.minimize`, which never asks to stop."""
        self._progress.update(self._task, description=iteration_line(record))

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
