"""``karush bound``: the range of a function on a box, its Lipschitz constant, its convexity."""

import json as json_text
import math
import time
from typing import Annotated, Any, Literal

import jax
import numpy as np
from cyclopts import App, Parameter
from rich.console import Console

from karush.bounds import Convexity, Enclosure, Lipschitz, convexity, enclose, lipschitz
from karush.bounds.deadline import deadline
from karush.cli.box_argument import BOX_HELP, region
from karush.cli.output import NO_SUCCESS, SUCCESS, output_for
from karush.core.errors import TraceError
from karush.io.problem_file import load_function, split_spec, users_code
from karush.report import ProgressLine

NORMS = {"1": 1.0, "2": 2.0, "inf": math.inf}
LEAST = 1e-9
"""seconds that are left to an answer whose turn comes after the time: it is bounded on one box"""
EXAMPLES = """
Examples:

  karush bound model.py:f --box "0:1"                      x is one number
  karush bound model.py:f --box "[0:1, -1:1]"              x is a vector
  karush bound model.py:f --box "x=0:1, w=-1:1*3"          x is a dict
  karush bound model.py:f --convexity --lipschitz 2        the file defines box

Exit status: 0 if all that was asked holds (the range is finite and the
function defined, the Lipschitz constant finite, the function convex); 1 if
not; 2 for a wrong command line or file.
"""


def bound(
    file: Annotated[str, Parameter(help="FILE:function, a JAX function of one argument in a Python file.")],
    /,
    *,
    box: Annotated[str | None, Parameter(allow_leading_hyphen=True, help=BOX_HELP)] = None,
    width: Annotated[float | None, Parameter(help="Wanted slack of the range; else a thousandth of it.")] = None,
    lipschitz: Annotated[
        Literal["1", "2", "inf"] | None, Parameter(help="Also the Lipschitz constant, in this norm.")
    ] = None,
    convexity: Annotated[bool, Parameter(negative="", help="Also whether the function is convex.")] = False,
    budget: Annotated[int, Parameter(help="Boxes evaluated at most, for each answer.")] = 4096,
    time_limit: Annotated[
        float | None, Parameter(help="Seconds for all answers together; bounds found by then are valid.")
    ] = None,
    json: Annotated[bool, Parameter(negative="", show_default=False, help="Print the answer as JSON.")] = False,
) -> int:
    """Bound the values of a function on a box, and what else is asked.

    The bounds are rigorous for the exact real function: intervals rounded
    outward, with margins measured for this platform. Both sides are given:
    what was enclosed, and what was found inside.
    """
    with output_for(json), users_code(split_spec(file)[0]):
        function, module = load_function(file)
        there = region(box, module, file)
        with ProgressLine(Console(stderr=True), "bounding"):
            answers = _answers(function, there, width, lipschitz, convexity, (budget, deadline(time_limit)))
    document = {"source": file, "function": split_spec(file)[1], **{key: _document(a) for key, a in answers.items()}}
    if json:
        print(json_text.dumps(document, indent=1))
    else:
        for answer in answers.values():
            print(answer)
    return SUCCESS if all(_holds(answer) for answer in answers.values()) else NO_SUCCESS


Answer = Enclosure | Lipschitz | Convexity


def _answers(
    function: Any, box: Any, width: float | None, norm: str | None, shape: bool, limits: tuple[int, float]
) -> dict[str, Answer]:
    """What was asked, by name; the limits are boxes for each answer and the end of the time for all."""
    budget, until = limits

    def more() -> dict[str, Any]:
        return {"budget": budget, "time_limit": None if until == math.inf else max(until - time.monotonic(), LEAST)}

    try:
        answers: dict[str, Answer] = {"range": enclose(function, box, width=width, **more())}
        if norm is not None:
            answers["lipschitz"] = lipschitz(function, box, norm=(NORMS[norm], NORMS[norm]), **more())
        if shape:
            answers["convexity"] = convexity(function, box, **more())
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise TraceError(
            f"the function cannot be called on this box ({type(error).__name__}: {error}); "
            "give --box the structure of its argument"
        ) from error
    return answers


def _holds(answer: Answer) -> bool:
    """Whether an answer is what one hopes for."""
    if isinstance(answer, Enclosure):
        ends = [np.ravel(leaf) for leaf in jax.tree.leaves((answer.lower, answer.upper))]
        return answer.defined and all(bool(np.all(np.isfinite(end))) for end in ends)
    if isinstance(answer, Lipschitz):
        return math.isfinite(answer.upper)
    return answer.convex


def _document(answer: Answer) -> dict[str, Any]:
    """An answer as JSON; an infinite number is null."""
    if isinstance(answer, Enclosure):
        content: dict[str, Any] = {
            "lower": answer.lower,
            "upper": answer.upper,
            "attained": list(answer.attained),
            "defined": answer.defined,
        }
    elif isinstance(answer, Lipschitz):
        content = {
            "lower": answer.lower,
            "upper": answer.upper,
            "norm": [str(p) for p in answer.norm],
            "point": answer.point,
            "direction": answer.direction,
        }
    else:
        witness = answer.witness
        content = {
            "verdict": answer.verdict,
            "concave": answer.concave,
            "modulus": answer.modulus,
            "curvature": answer.curvature,
            "how": answer.how,
            "reason": answer.reason,
            "witness": None if witness is None else {"a": witness.a, "b": witness.b, "values": list(witness.values)},
        }
    return {**jax.tree.map(_plain, content), "label": answer.label, "boxes": answer.boxes}


def _plain(leaf: Any) -> Any:
    if isinstance(leaf, (bool, str)):
        return leaf
    array = np.asarray(leaf)
    if array.ndim:
        return [_plain(item) for item in array]
    value = float(array)
    return value if math.isfinite(value) else None


def add_to(app: App) -> None:
    """Register the command."""
    app.command(bound, help_epilogue=EXAMPLES)


__all__ = ["add_to"]
