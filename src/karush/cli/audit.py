"""``karush audit``: where a function of a file goes wrong in floating point, with its lines underlined."""

import json as json_text
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from karush.cli.box_argument import BOX_HELP, region
from karush.cli.output import output_for
from karush.io.problem_file import load_function, split_spec, users_code
from karush.report import ProgressLine
from karush.stability import Audit, AuditVerdict, audit

FILE_HELP = "Python file and the function in it: FILE:function, a JAX function of one pytree."
SAFE, WARNING, ERROR = 0, 1, 3
"""Exit statuses: nothing found; findings that lose at most half of the bits, or nothing known; NaN, inf, or worse."""
EXAMPLES = """
Examples:

  karush audit model.py:loss --box=-10:10*4           a vector of four numbers
  karush audit model.py:loss --box "rate=0:0.1, n=1:365"
  karush audit model.py:loss --box data                `data` of model.py: samples, or a karush.Box
  karush audit model.py:loss --box=-1:1 --json > a.json

Exit status: 0 if the function is safe on the box; 1 if findings lose at
most half of the bits, or nothing is known; 3 if a finding is NaN, infinite
or loses more; 2 for a wrong command line or file.
"""


def audit_command(
    file: Annotated[str, Parameter(help=FILE_HELP)],
    /,
    *,
    box: Annotated[str | None, Parameter(help=BOX_HELP, allow_leading_hyphen=True)] = None,
    value_only: Annotated[
        bool, Parameter(name="--value-only", negative="", show_default=False, help="Leave the gradient out.")
    ] = False,
    effort: Annotated[float, Parameter(help="Factor on the work that a proof of safety may take.")] = 1.0,
    json: Annotated[bool, Parameter(negative="", show_default=False, help="Print the audit as JSON.")] = False,
) -> int:
    """Find overflow, underflow, cancellation, absorption and NaN in a function.

    Every finding names the line, underlines the expression, and gives an
    input of the box at which the compiled function shows it. The function
    runs in the dtype of its inputs, float32 unless FILE switches JAX to 64 bits.
    """
    with output_for(json), users_code(split_spec(file)[0]):
        function, module = load_function(file)
        where = region(box, module, file)
        with ProgressLine(Console(stderr=True), "auditing"):
            found = audit(function, where, gradient=not value_only, effort=effort)
    print(json_text.dumps(found.document(), indent=1) if json else found)
    return status_of(found)


def status_of(found: Audit) -> int:
    """The exit status by severity."""
    if found.verdict is AuditVerdict.SAFE:
        return SAFE
    return ERROR if any(finding.severe for finding in found.findings) else WARNING


def add_to(app: App) -> None:
    """Register the command."""
    app.command(audit_command, name="audit", help_epilogue=EXAMPLES)


__all__ = ["add_to"]
