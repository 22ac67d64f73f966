"""``karush prove`` and ``karush check``: theorems about a point, and a stored proof checked again."""

import json as json_text
import math
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console

from karush.api import prepare
from karush.api.feasible import SECONDS, feasible
from karush.api.prove import prove as prove_point
from karush.cli.output import FILE_HELP, NO_SUCCESS, SUCCESS, output_for
from karush.core.errors import FileError
from karush.core.status import Verdict
from karush.io import load_problem, read_point
from karush.io.problem_file import split_spec, users_code
from karush.problem.flat import flatten
from karush.proofs.proof import Proof
from karush.proofs.proof_file import SCHEMA, write
from karush.proofs.recheck import read_proof, recheck
from karush.report import ProgressLine
from karush.solvers.result import Result

EXAMPLES = """
Examples:

  karush prove model.py                         solve it, then prove what the answer is
  karush prove model.py --at point.json         a point of any solver
  karush prove model.py --output proof.json
  karush check proof.json                       check the stored proof again

Exit status: 0 if a strict or a global minimum is proved (prove), if every
claim holds (check); 1 if not; 2 for a wrong command line or file.
"""


def prove(
    file: Annotated[str, Parameter(help=FILE_HELP)],
    /,
    *,
    at: Annotated[
        Path | None, Parameter(help='JSON file {"x": ...} or a result: prove this point. Else solve.')
    ] = None,
    precision: Annotated[int, Parameter(help="Bits of the balls.")] = 128,
    time_limit: Annotated[float | None, Parameter(help="Seconds; the box of uniqueness is grown no longer.")] = None,
    output: Annotated[Path | None, Parameter(help="Write the proof to this file, for karush check.")] = None,
    json: Annotated[bool, Parameter(negative="", show_default=False, help="Print the proof as JSON.")] = False,
) -> int:
    """Prove that a KKT point, a strict or a global minimum exists near a point.

    The proof is in ball arithmetic, about the exact real functions of FILE. It
    says how far the proved point lies from the given one, encloses the minimum
    and every multiplier, and lists what it rests on. Where solving ends at
    constraints that conflict, that no point within the bounds meets them.
    """
    with output_for(json), users_code(split_spec(file)[0]):
        if output is not None and not output.absolute().parent.is_dir():
            raise FileError(f"--output {output} cannot be written; give a file in a folder that exists")
        problem = load_problem(file)
        prepared = prepare(problem)
        with ProgressLine(Console(stderr=True), "compiling") as line:
            if at is None:
                point, multipliers = prepared.solve(time_limit=time_limit, callback=line.update), None
            else:
                given = read_point(at, problem)
                point, multipliers = given.x, given.multipliers
            if isinstance(point, Result) and point.certificate.verdict is Verdict.LOCALLY_INFEASIBLE:
                proof = feasible(prepared, precision=precision, time_limit=time_limit or SECONDS)
            else:
                proof = prove_point(prepared, point, multipliers, precision=precision, time_limit=time_limit)
    document: dict[str, Any] = {"schema": SCHEMA, **proof.document, "source": file}
    print(json_text.dumps({**document, "report": report(proof)}, indent=1) if json else proof)
    if output is not None and proof.proved:
        write(document, output)
    elif output is not None:
        print(f"karush: nothing is written to {output}, for nothing is proved", file=sys.stderr)
    return SUCCESS if "strict minimum" in proof or "global minimum" in proof else NO_SUCCESS


def report(proof: Proof) -> dict[str, Any]:
    """What a person reads of a proof, as JSON."""
    known = proof.proved and proof.value is not None
    return {
        "theorems": list(proof.theorems),
        "sentence": proof.sentence,
        "value": [proof.value.lower, proof.value.upper] if known and proof.value is not None else None,
        "radius": proof.radius if known else None,
        "uniqueness_radius": proof.uniqueness_radius if math.isfinite(proof.uniqueness_radius) else None,
        "distance": proof.distance if known else None,
        "active": list(proof.active),
        "dropped": [list(pair) for pair in proof.dropped],
        "reason": proof.reason,
        "trusted": list(proof.trusted),
        "seconds": proof.seconds,
    }


def check(
    proof: Annotated[Path, Parameter(help="File that karush prove --output or Proof.save has written.")],
    /,
    *,
    file: Annotated[str | None, Parameter(help="The problem, if the proof does not name it or it moved.")] = None,
    json: Annotated[bool, Parameter(negative="", show_default=False, help="Print the outcome as JSON.")] = False,
) -> int:
    """Check a stored proof again, from the problem's own functions.

    The small checker shares nothing with the search but the ball arithmetic.
    A file that was edited, or that speaks of another problem, is refused.
    """
    document = read_proof(proof)
    source = file if file is not None else document.get("source")
    if not isinstance(source, str):
        raise FileError(f"{proof} does not name its problem; give it: karush check {proof} --file FILE[:name]")
    with output_for(json), users_code(split_spec(source)[0]):
        verified = recheck(flatten(load_problem(source)), document, proof)
    theorems = document["claims"]["theorems"]
    if json:
        print(json_text.dumps({"proof": str(proof), "source": source, "theorems": theorems, "checked": True}))
    else:
        print(f"Checked: {', '.join(theorems)}, as {proof} says about {source}.")
        if verified.shortfall:
            print(f"  {verified.shortfall}")
    return SUCCESS


def add_to(app: App) -> None:
    """Register both commands."""
    app.command(prove, help_epilogue=EXAMPLES)
    app.command(check, help_epilogue=EXAMPLES)


__all__ = ["add_to"]
