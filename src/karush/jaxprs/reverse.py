"""Whether a traced program can be differentiated backwards.

Not through a loop whose number of turns it computes, nor through an operation that JAX has no derivative of.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.interpreters.ad import primitive_jvps

from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.jaxprs.walk import Program, Step, inline, no_derivative

NAMED = 3
"""steps that a message names"""
CALLBACKS = ("pure_callback", "io_callback")
"""primitives whose rule of differentiation is an error"""


def require_reversible(closed_jaxpr: ClosedJaxpr) -> None:
    """Raise a `TraceError` that names the user's lines where JAX has no reverse mode for the program.

    Only a program with a step that may be without is differentiated for this, by shapes alone.
    """
    doubted = list(_doubted(inline(closed_jaxpr)))
    if not doubted:
        return

    def backwards(*arguments: jax.Array) -> tuple[jax.Array, ...]:
        outputs, pullback = jax.vjp(lambda x: jaxpr_as_fun(closed_jaxpr)(x, *arguments[1:]), arguments[0])
        return pullback([jnp.ones(output.shape, output.dtype) for output in outputs])

    try:
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            jax.eval_shape(backwards, *[jax.ShapeDtypeStruct(a.shape, a.dtype) for a in closed_jaxpr.in_avals])
    except (NotImplementedError, ValueError) as error:
        raise _without_derivative(doubted, isinstance(error, ValueError)) from error


def irreversible(closed_jaxpr: ClosedJaxpr) -> TraceError | None:
    """The error for a program without reverse mode once its custom rules are left out; None if it has no while loop."""
    loops = [step for step in _doubted(inline(closed_jaxpr)) if step.primitive == "while"]
    return _without_derivative(loops, True) if loops else None


def _without_derivative(doubted: list[Step], turns: bool) -> TraceError:
    """The error that names the steps; `turns` says that a loop may be the reason, if nothing else is."""
    others = [step for step in doubted if step.primitive != "while"]
    if turns and not any(step.primitive in CALLBACKS for step in others):
        places = ", ".join(dict.fromkeys(str(step.place) for step in doubted[:NAMED] if step not in others))
        return TraceError(
            f"JAX has no reverse-mode derivative of the while loop at {places}, whose number of turns is known only "
            "when it runs; write it as jax.lax.scan, or as jax.lax.fori_loop with constant ends"
        )
    named = list(dict.fromkeys(f"'{step.primitive}' at {step.place}" for step in others))
    return no_derivative(", ".join(named[:NAMED]))


def _doubted(program: Program) -> Iterator[Step]:
    for step in program.steps:
        if step.primitive in ("while", *CALLBACKS) or step.equation.primitive not in primitive_jvps:
            yield step
        for body in step.bodies:
            yield from _doubted(body)


__all__ = ["irreversible", "require_reversible"]
