"""A traced program without control flow: loops written out, both branches taken and one selected.

An audit looks at every operation on its own; what is inside a loop of fixed length becomes ordinary steps, with the
user's lines of the loop's body. Loops that end by a condition stay what they are.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import source_info_util

from karush.core.precision import float64
from karush.jaxprs.source import UNKNOWN, place_of
from karush.jaxprs.walk import Program, Rule, Step, bind, inline, interpret

MOST_STEPS = 4000
"""Operations up to which loops are written out; above, the loop stays one step."""

Values = Sequence[Any]


def typed(program: Program) -> Program:
    """`program` with its constants in the dtypes that the operations read them in: literals are rounded to them."""
    for step in program.steps:
        for slot, aval in zip(step.inputs, step.in_avals, strict=True):
            if slot in program.constants and hasattr(aval, "dtype") and aval.dtype.kind in "fiub":
                program.constants[slot] = np.asarray(program.constants[slot]).astype(aval.dtype)
        for body in step.bodies:
            typed(body)
    return program


def size_of(program: Program) -> int:
    """Operations of a program with its fixed loops written out."""
    count = 0
    for step in program.steps:
        inner = sum(map(size_of, step.bodies))
        count += inner * step.params["length"] if step.primitive == "scan" else max(inner, 1)
    return count


def at_its_line(step: Step, *values: Any) -> Values:
    """The step itself, in the trace that is going on, at the line that it came from."""
    site = next((site for site in step.sites if place_of(site) is not UNKNOWN), step.equation)
    with source_info_util.user_context(site.source_info.traceback):
        return bind(step, *values)


def _scan(run: Any) -> Rule:
    def rule(step: Step, *operands: Any) -> Values:
        body, params = step.bodies[0], step.params
        first, last = params["num_consts"], params["num_consts"] + params["num_carry"]
        constants, carry, runs = operands[:first], list(operands[first:last]), operands[last:]
        if size_of(body) * params["length"] > MOST_STEPS or not params["length"]:
            return at_its_line(step, *operands)
        stacked: list[Any] = []
        turns = range(params["length"])
        for turn in reversed(turns) if params["reverse"] else turns:
            out = run(body, (*constants, *carry, *[lax.index_in_dim(item, turn, keepdims=False) for item in runs]))
            carry = out[: params["num_carry"]]
            stacked.append(out[params["num_carry"] :])
        if params["reverse"]:
            stacked.reverse()
        return [*carry, *[jnp.stack(column) for column in zip(*stacked, strict=True)]]

    return rule


def _cond(run: Any) -> Rule:
    def rule(step: Step, which: Any, *operands: Any) -> Values:
        cases = [run(body, operands) for body in step.bodies]
        # The index is within range already: `lax.switch` clamps it, and `lax.cond` makes it of a boolean.
        if len(cases) == 2:
            which = jnp.asarray(which, jnp.bool_)
        return [_selected(which, column) for column in zip(*cases, strict=True)]

    return rule


def _selected(which: Any, cases: Sequence[Any]) -> Any:
    if which.dtype == jnp.bool_:
        return lax.select_n(jnp.broadcast_to(which, jnp.shape(cases[0])), *cases)
    out = cases[0]
    for index in range(1, len(cases)):
        out = lax.select_n(jnp.broadcast_to(which == index, jnp.shape(out)), out, cases[index])
    return out


def straightened(closed: Any, n: int, dtype: Any) -> Any:
    """The same program of flat x (n,) as a closed jaxpr without fixed loops and branches."""
    program = typed(inline(closed))
    rules: dict[str, Rule] = {}

    def run(body: Program, operands: Sequence[Any]) -> list[Any]:
        return interpret(body, operands, rules, default=at_its_line)

    rules |= {"scan": _scan(run), "cond": _cond(run)}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return jax.make_jaxpr(lambda x: run(program, [x]))(np.zeros(n, dtype))


def _wide(value: Any) -> Any:
    return value.astype(np.float64) if np.asarray(value).dtype.kind == "f" else value


DTYPE_PARAMETERS = ("new_dtype", "dtype", "preferred_element_type")


def widened(step: Step, *values: Any) -> Values:
    """The step in float64."""
    primitive, params = step.equation.primitive, dict(step.params)
    if primitive.name == "reduce":
        raise TypeError("lax.reduce by a function of the user is tied to the dtype that this was traced in")
    for name in DTYPE_PARAMETERS:
        dtype = params.get(name)
        if dtype is not None and np.dtype(dtype).kind == "f":
            params[name] = np.dtype(np.float64)
    with step.equation.ctx.manager, float64():
        out = primitive.bind(*values, **primitive.get_bind_params(params))
    return out if primitive.multiple_results else (out,)


def shadow(straight: Any) -> Any:
    """The straight program in float64, with the literals of the user's dtype: flat x (n,) -> (m,).

    Call it within `karush.core.precision.float64`.
    """
    program = typed(inline(straight))

    def run(x: Any) -> Any:
        return interpret(program, [x], {"while": _while}, default=widened, lift=_wide)[0]

    def _while(step: Step, *operands: Any) -> Values:
        goes_on, body = step.bodies
        first = step.params["cond_nconsts"]
        last = first + step.params["body_nconsts"]

        def at(part: Program, constants: Values) -> Any:
            return lambda carry: interpret(part, (*constants, *carry), {"while": _while}, default=widened, lift=_wide)

        asked, turn = at(goes_on, operands[:first]), at(body, operands[first:last])
        return lax.while_loop(lambda carry: asked(carry)[0], turn, list(operands[last:]))

    return run


__all__ = ["shadow", "size_of", "straightened", "typed"]
