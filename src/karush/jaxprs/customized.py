"""Places where a program's derivative is its author's claim: ``custom_jvp``, ``custom_vjp``, ``stop_gradient``."""

from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr

from karush.jaxprs.source import UNKNOWN
from karush.jaxprs.walk import Program, bind, inline, interpret

CLAIMS = ("custom_jvp_call", "custom_vjp_call", "stop_gradient")
NAMED = 3
"""places that are named"""


def customized(closed_jaxpr: ClosedJaxpr) -> tuple[str, ...]:
    """The user's lines, at most `NAMED` of them, whose derivative is a rule; JAX's own rules count, as all others do.

    A rule inside JAX's library, such as that of ``jax.nn.relu``, stands under the user's line that calls it. Kernels of
    this library whose meaning is stated claim nothing: their meaning is differentiated.
    """
    found = dict.fromkeys(_claimed(_ruled(closed_jaxpr)))
    return tuple(found)[:NAMED]


def ruled(closed_jaxpr: ClosedJaxpr) -> Callable[..., list[Any]]:
    """The function of `closed_jaxpr` with all rules that `customized` names, for use in a trace."""
    program = _ruled(closed_jaxpr)
    return lambda *arguments: interpret(program, arguments, {}, default=bind, lift=jnp.asarray)


def _ruled(closed_jaxpr: ClosedJaxpr) -> Program:
    return inline(closed_jaxpr, keep=_is_claim, real=True)


def _is_claim(equation: Any) -> bool:
    return equation.primitive.name in CLAIMS


def _claimed(program: Program) -> Iterator[str]:
    for step in program.steps:
        if step.primitive in CLAIMS and not step.stated:
            place = step.place
            yield "a line that JAX does not know" if place is UNKNOWN else str(place)
        for body in step.bodies:
            yield from _claimed(body)


__all__ = ["customized", "ruled"]
