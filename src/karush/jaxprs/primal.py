"""The primal body of a traced program as a function, so that JAX differentiates what is computed and nothing else.

A ``custom_jvp`` or ``custom_vjp`` rule is its author's claim, so is that ``custom_linear_solve`` solves, and
``stop_gradient`` is a wish. The derivative of the program's real function is that of its operations; here calls are
written out and ``stop_gradient`` is the identity.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr
from jax.extend.source_info_util import user_context

from karush.jaxprs.walk import Program, Step, bind, inline, interpret, no_derivative


def primal(closed_jaxpr: ClosedJaxpr) -> Callable[..., list[Any]]:
    """The function of `closed_jaxpr` without custom derivative rules, for use in a trace."""
    program = inline(closed_jaxpr, real=True)
    return lambda *arguments: _run(program, arguments)


def _run(program: Program, operands: Sequence[Any]) -> list[Any]:
    return interpret(program, operands, RULES, default=_in_place, lift=jnp.asarray)


def _in_place(step: Step, *operands: Any) -> Sequence[Any]:
    """The step itself, traced anew under the user's line."""
    with user_context(step.sites[0].source_info.traceback):
        try:
            return bind(step, *operands)
        except NotImplementedError as error:
            # A custom rule may be all that there is: jax.scipy.special.zeta.
            raise no_derivative(f"'{step.primitive}' at {step.place} without its custom rule") from error


def _extreme(find: Callable[..., Any]) -> Callable[..., Sequence[Any]]:
    """``max`` or ``min`` along axes as the element at its place, whose derivative asks for no equality of numbers."""

    def rule(step: Step, a: Any) -> Sequence[Any]:
        axes = step.params["axes"]
        if a.dtype.kind != "f":
            return bind(step, a)
        kept = [axis for axis in range(a.ndim) if axis not in axes]
        rows = jnp.transpose(a, (*kept, *axes)).reshape((*[a.shape[axis] for axis in kept], -1))
        with user_context(step.sites[0].source_info.traceback):
            return (jnp.take_along_axis(rows, find(rows, axis=-1)[..., None], axis=-1)[..., 0],)

    return rule


def _scan(step: Step, *operands: Any) -> Sequence[Any]:
    params, body = step.params, step.bodies[0]
    first, last = params["num_consts"], params["num_consts"] + params["num_carry"]

    def turn(carry: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
        out = _run(body, (*operands[:first], *carry, *slices))
        return out[: params["num_carry"]], out[params["num_carry"] :]

    carry, stacked = lax.scan(
        turn, list(operands[first:last]), list(operands[last:]), length=params["length"], reverse=params["reverse"]
    )
    return [*carry, *stacked]


def _while(step: Step, *operands: Any) -> Sequence[Any]:
    goes_on, body = step.bodies
    first = step.params["cond_nconsts"]
    last = first + step.params["body_nconsts"]

    def running(carry: list[Any]) -> Any:
        return _run(goes_on, (*operands[:first], *carry))[0]

    def turn(carry: list[Any]) -> list[Any]:
        after, on = _run(body, (*operands[first:last], *carry)), running(carry)
        if not on.ndim:
            return after
        # Under vmap each loop ends by itself; the first axes of what it carries are those of the answers.
        return [jnp.where(lax.expand_dims(on, range(on.ndim, a.ndim)), b, a) for a, b in zip(carry, after, strict=True)]

    return lax.while_loop(lambda carry: jnp.any(running(carry)), turn, list(operands[last:]))


def _cond(step: Step, which: Any, *operands: Any) -> Sequence[Any]:
    branches = [lambda *given, body=body: _run(body, given) for body in step.bodies]
    return lax.switch(jnp.asarray(which, jnp.int32), branches, *operands)


def _linear_solve(step: Step, *operands: Any) -> Sequence[Any]:
    """What ``solve`` computes; that it inverts ``matvec`` is its author's claim, on which JAX's derivative rests."""
    sizes = step.params["const_lengths"]
    before = sizes.matvec + sizes.vecmat
    solve = inline(step.params["jaxprs"].solve, sites=step.sites, real=True)
    return _run(solve, (*operands[before : before + sizes.solve], *operands[sum(sizes) :]))


def _identity(step: Step, *operands: Any) -> Sequence[Any]:
    return operands


def _larger(step: Step, a: Any, b: Any) -> Sequence[Any]:
    """``max(a, b)`` as a choice: JAX's derivative of max asks whether a number equals itself."""
    if a.dtype.kind != "f":
        return bind(step, a, b)
    with user_context(step.sites[0].source_info.traceback):
        return (jnp.where(a >= b, a, b),)


def _smaller(step: Step, a: Any, b: Any) -> Sequence[Any]:
    """``min(a, b)`` as a choice."""
    if a.dtype.kind != "f":
        return bind(step, a, b)
    with user_context(step.sites[0].source_info.traceback):
        return (jnp.where(a <= b, a, b),)


def _with_slope(slope: Callable[[Any, Any], Any]) -> Callable[..., Sequence[Any]]:
    """A function y(x) whose derivative ``slope(x, y)`` is written with exact numbers.

    JAX's own rule multiplies by a constant rounded to float64, such as 2/√π, which is not the derivative.
    """

    def rule(step: Step, x: Any) -> Sequence[Any]:
        function = jax.custom_jvp(lambda x: _in_place(step, x)[0])

        def derivative(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
            y = function(*primals)
            with user_context(step.sites[0].source_info.traceback):
                return y, slope(primals[0], y) * tangents[0]

        function.defjvp(derivative)
        return (function(x),)

    return rule


def _root_of_pi() -> Any:
    """√π as a step of the program: every number system has its own."""
    return lax.sqrt(4.0 * lax.atan(jnp.ones(())))


RULES = {
    "erf": _with_slope(lambda x, y: 2.0 * lax.exp(-x * x) / _root_of_pi()),
    "erfc": _with_slope(lambda x, y: -2.0 * lax.exp(-x * x) / _root_of_pi()),
    "erf_inv": _with_slope(lambda x, y: _root_of_pi() / 2.0 * lax.exp(y * y)),
    "cbrt": _with_slope(lambda x, y: 1.0 / (3.0 * y * y)),
    "max": _larger,
    "min": _smaller,
    "scan": _scan,
    "while": _while,
    "cond": _cond,
    "custom_linear_solve": _linear_solve,
    "stop_gradient": _identity,
    "reduce_max": _extreme(jnp.argmax),
    "reduce_min": _extreme(jnp.argmin),
    "copy": _identity,
    "copy_p": _identity,
    "jax_array_copy": _identity,
}


__all__ = ["primal"]
