"""``karush solve`` and ``karush certify``: read files, call the library, print."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

import karush
from karush.api import certify as certify_point
from karush.api import minimize
from karush.backends.registry import BACKENDS, OWN
from karush.cli import audit, bound, prove
from karush.cli.output import FILE_HELP, NO_SUCCESS, SUCCESS, WRONG_USE, output_for
from karush.core.errors import FileError, KarushError
from karush.io import certificate_document, dumps, load_problem, read_point, result_document
from karush.io.problem_file import split_spec, users_code
from karush.report import ProgressLine, print_sections
from karush.solvers.summary import summarize, summarize_certificate

INTERRUPTED = 130
"""What shells report of a program ended by Ctrl-C: 128 + SIGINT."""

METHOD_HELP = f"auto, {OWN}, or a backend: {', '.join(BACKENDS)}."
EXIT = """
Exit status: 0 if the point is a LOCAL_MINIMUM or GLOBAL_MINIMUM, 1 for
any other verdict, 2 if there is none: wrong command line or file.
"""
EXAMPLES = "\nExamples:\n\n"
SOLVE_EXAMPLES = """  karush solve model.py                   the `problem` of model.py
  karush solve model.py:winter            another problem of that file
  karush solve model.py --method ipopt    another solver, same certificate
  karush solve model.py --json > a.json   for programs
"""
CERTIFY_EXAMPLES = """  karush certify model.py --at a.json           a result of karush solve
  karush certify model.py --at point.json       {"x": ...} of any solver
  karush certify model.py --at a.json --tol 1e-6
"""

app = App(
    name="karush",
    help="Minimize a model written as JAX functions, and certify what the answer is.",
    help_epilogue=EXAMPLES + SOLVE_EXAMPLES + CERTIFY_EXAMPLES + EXIT,
    help_format="plaintext",
    version=lambda: f"karush {karush.__version__}",
    suppress_keyboard_interrupt=False,
)


@app.command(help_epilogue=EXAMPLES + SOLVE_EXAMPLES + EXIT)
def solve(
    file: Annotated[str, Parameter(help=FILE_HELP)],
    /,
    *,
    method: Annotated[str, Parameter(help=METHOD_HELP)] = "auto",
    tol: Annotated[float, Parameter(help="Bound on the dimensionless entries of the certificate.")] = 1e-8,
    time_limit: Annotated[float | None, Parameter(help="Seconds; the best point so far is reported.")] = None,
    start: Annotated[Path | None, Parameter(help='JSON file {"x": ...} or a result: start there, not at x0.')] = None,
    driver: Annotated[Literal["python", "fused"], Parameter(help="Loop in Python, or compiled as a whole.")] = "python",
    output: Annotated[Path | None, Parameter(help="Also write the result to this file, as JSON.")] = None,
    json: Annotated[
        bool, Parameter(negative="", show_default=False, help="Print the result as JSON instead of a table.")
    ] = False,
) -> int:
    """Solve the problem of a Python file, and say what the answer is.

    The answer is printed as a table: the variables in their own structure,
    the active limits with their prices, the certificate line by line.
    """
    with output_for(json), users_code(split_spec(file)[0]):
        if output is not None and not output.absolute().parent.is_dir():
            # Said now: after a long solve the answer would be lost.
            raise FileError(f"--output {output} cannot be written; give a file in a folder that exists")
        problem = load_problem(file)
        x0 = problem.x0 if start is None else read_point(start, problem).x
        # The fused loop is one call into compiled code: there is nothing to be told in between.
        fused = driver == "fused"
        with ProgressLine(Console(stderr=True), "compiling and solving" if fused else "compiling") as line:
            callback = None if fused else line.update
            result = minimize(
                problem, x0, method=method, tol=tol, time_limit=time_limit, driver=driver, callback=callback
            )
    if output is not None:
        _write(output, dumps(result_document(result)) + "\n")
    if json:
        print(dumps(result_document(result)))
    else:
        print_sections(summarize(result), Console())
    return SUCCESS if result.success else NO_SUCCESS


@app.command(help_epilogue=EXAMPLES + CERTIFY_EXAMPLES + EXIT)
def certify(
    file: Annotated[str, Parameter(help=FILE_HELP)],
    /,
    *,
    at: Annotated[Path, Parameter(help='JSON file {"x": ..., "multipliers": ...}, or a result of --json.')],
    tol: Annotated[float, Parameter(help="Bound on the dimensionless entries of the certificate.")] = 1e-8,
    json: Annotated[
        bool, Parameter(negative="", show_default=False, help="Print the certificate as JSON instead of a table.")
    ] = False,
) -> int:
    """Say what a given point is: a minimum, stationary, infeasible, or what else.

    The point may come from any solver. Everything is recomputed from the
    functions of FILE; multipliers that are not given are estimated.
    """
    with output_for(json), users_code(split_spec(file)[0]):
        problem = load_problem(file)
        point = read_point(at, problem)
        with ProgressLine(Console(stderr=True)):
            certificate = certify_point(problem, point.x, point.multipliers, tol=tol)
    if json:
        print(dumps(certificate_document(certificate, point.x, problem.name)))
    else:
        print_sections(summarize_certificate(certificate, point.x, problem.name), Console())
    return SUCCESS if certificate.success else NO_SUCCESS


prove.add_to(app)
bound.add_to(app)
audit.add_to(app)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    Parameters
    ----------
    tokens
        Words after ``karush``; those of the process if None.
    """
    words = list(sys.argv[1:] if tokens is None else tokens)
    if not words:
        app.help_print([])
        return WRONG_USE
    try:
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _complain(f"{error}\nTry: karush --help")
    except KarushError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        _complain("interrupted before there was a point to report")
        return INTERRUPTED
    return SUCCESS if status is None else int(status)


def _complain(message: str) -> int:
    print(f"karush: {message}", file=sys.stderr)
    return WRONG_USE


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FileError(
            f"--output {path} cannot be written: {error.strerror}; give a file that may be written"
        ) from error


__all__ = ["app", "main"]
