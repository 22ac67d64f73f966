"""Whether a traced program can be differentiated backwards: not through a loop whose number of turns it computes."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.jaxprs.walk import Program, Step, inline

NAMED = 3
"""loops that a message names"""


def require_reversible(closed_jaxpr: ClosedJaxpr) -> None:
    """Raise a `TraceError` that names the user's loops where JAX has no reverse mode for the program.

    Only a program with a ``while`` step is differentiated for this, by shapes alone.
    """
    loops = list(_loops(inline(closed_jaxpr)))
    if not loops:
        return

    def backwards(*arguments: jax.Array) -> tuple[jax.Array, ...]:
        outputs, pullback = jax.vjp(lambda x: jaxpr_as_fun(closed_jaxpr)(x, *arguments[1:]), arguments[0])
        return pullback([jnp.ones(output.shape, output.dtype) for output in outputs])

    try:
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            jax.eval_shape(backwards, *[jax.ShapeDtypeStruct(a.shape, a.dtype) for a in closed_jaxpr.in_avals])
    except ValueError as error:
        places = ", ".join(dict.fromkeys(str(step.place) for step in loops[:NAMED]))
        raise TraceError(
            f"JAX has no reverse-mode derivative of the while loop at {places}, whose number of turns is known only "
            "when it runs; write it as jax.lax.scan, or as jax.lax.fori_loop with constant ends"
        ) from error


def _loops(program: Program) -> Iterator[Step]:
    for step in program.steps:
        if step.primitive == "while":
            yield step
        for body in step.bodies:
            yield from _loops(body)


__all__ = ["require_reversible"]
