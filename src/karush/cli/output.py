"""What the commands share: exit statuses, help on FILE, and where output goes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout

SUCCESS, NO_SUCCESS, WRONG_USE = 0, 1, 2
"""Exit statuses: the verdict is a success; it is not; there is no verdict, because of the command line or a file."""

FILE_HELP = (
    "Python file that defines problem: a karush.Problem, or a function that returns one. FILE:name for another name."
)


@contextmanager
def output_for(json: bool) -> Iterator[None]:
    """Where JSON is asked for, what the user's file prints goes to stderr: stdout holds the document alone."""
    with redirect_stdout(sys.stderr) if json else nullcontext():
        yield


__all__ = ["FILE_HELP", "NO_SUCCESS", "SUCCESS", "WRONG_USE", "output_for"]
