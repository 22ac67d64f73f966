"""Functions with derivative rules of the user's own, which need not be their derivatives.

``jax.custom_jvp`` and ``jax.custom_vjp`` outside of JAX and karush: what they say is meant. A repaired program calls
such a function as it is; rules of libraries are the derivatives of what they compute, and are written out.
"""

from typing import Any

from karush.jaxprs.source import LIBRARIES
from karush.jaxprs.walk import Program, inline

CUSTOM = ("custom_jvp_call", "custom_vjp_call")


def has_own_rule(equation: Any) -> bool:
    """Whether the equation calls a function with a derivative rule of the user's own."""
    if equation.primitive.name not in CUSTOM:
        return False
    origin = equation.params["call_jaxpr"].jaxpr.debug_info.func_src_info or ""
    return not any(f" at {library}" in origin for library in LIBRARIES)


def goes_backward_only(closed: Any) -> bool:
    """Whether a function with a ``jax.custom_vjp`` of the user's own is called: it has no forward mode."""
    return _calls(inline(closed, keep=has_own_rule))


def _calls(program: Program) -> bool:
    return any(step.primitive == "custom_vjp_call" or any(map(_calls, step.bodies)) for step in program.steps)


__all__ = ["goes_backward_only", "has_own_rule"]
