"""Places where a program's derivative is its author's claim: ``custom_jvp``, ``custom_vjp``, ``stop_gradient``."""

from collections.abc import Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr

from karush.jaxprs.source import UNKNOWN
from karush.jaxprs.walk import Program, inline

CLAIMS = ("custom_jvp_call", "custom_vjp_call", "stop_gradient")
NAMED = 3
"""places that are named"""


def customized(closed_jaxpr: ClosedJaxpr) -> tuple[str, ...]:
    """The user's lines, at most `NAMED` of them, whose derivative is a rule; JAX's own rules count, as all others do.

    A rule inside JAX's library, such as that of ``jax.nn.relu``, stands under the user's line that calls it.
    """
    found = dict.fromkeys(_claimed(inline(closed_jaxpr, keep=_is_claim)))
    return tuple(found)[:NAMED]


def _is_claim(equation: Any) -> bool:
    return equation.primitive.name in CLAIMS


def _claimed(program: Program) -> Iterator[str]:
    for step in program.steps:
        if step.primitive in CLAIMS:
            place = step.place
            yield "a line that JAX does not know" if place is UNKNOWN else str(place)
        for body in step.bodies:
            yield from _claimed(body)


__all__ = ["customized"]
