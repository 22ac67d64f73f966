"""Rules of interval arithmetic for control flow: compiled loops over intervals, branches joined where undecided."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from karush.arithmetic.interval_logic import choose
from karush.arithmetic.interval_numbers import Interval, Truth, dense_ok, lift
from karush.core.errors import TraceError
from karush.jaxprs.walk import Program, Rule, Step, interpret

Values = Sequence[Any]


def settled(value: Any) -> Any:
    """A value whose structure is the same on every turn of a loop and in every branch."""
    if isinstance(value, Interval):
        return Interval(value.lo, value.hi, dense_ok(value))
    return value


def rules(table: Mapping[str, Rule]) -> dict[str, Rule]:
    """Rules of ``scan``, ``while`` and ``cond`` whose bodies run by `table`."""

    def run(body: Program, operands: Sequence[Any]) -> list[Any]:
        return [settled(value) for value in interpret(body, operands, table, lift=lift)]

    def scan(step: Step, *operands: Any) -> Values:
        body, params = step.bodies[0], step.params
        first, last = params["num_consts"], params["num_consts"] + params["num_carry"]
        constants, carry = operands[:first], [settled(value) for value in operands[first:last]]
        slices = [settled(value) for value in operands[last:]]

        def turn(carry: list[Any], here: list[Any]) -> tuple[list[Any], list[Any]]:
            out = run(body, (*constants, *carry, *here))
            return out[: params["num_carry"]], out[params["num_carry"] :]

        try:
            carry, stacked = lax.scan(turn, carry, slices, length=params["length"], reverse=params["reverse"])
        except TypeError as error:
            raise _changes(step) from error
        return [*carry, *stacked]

    def while_loop(step: Step, *operands: Any) -> Values:
        goes_on, body = step.bodies
        first = step.params["cond_nconsts"]
        last = first + step.params["body_nconsts"]

        def asked(carry: list[Any]) -> Any:
            answer = run(goes_on, (*operands[:first], *carry))[0]
            if isinstance(answer, Truth):
                raise TraceError(
                    f"the loop at {step.place} ends by a comparison of real numbers, which intervals cannot decide; "
                    "use a loop with a fixed number of turns"
                )
            return answer

        try:
            return lax.while_loop(
                asked,
                lambda carry: run(body, (*operands[first:last], *carry)),
                [settled(value) for value in operands[last:]],
            )
        except TypeError as error:
            raise _changes(step) from error

    def cond(step: Step, which: Any, *operands: Any) -> Values:
        branches = [lambda *given, body=body: run(body, given) for body in step.bodies]
        if not isinstance(which, Truth):
            return lax.switch(jnp.asarray(which, jnp.int32), branches, *operands)
        joined = []
        for no, yes in zip(branches[0](*operands), branches[1](*operands), strict=True):
            if not (isinstance(no, Interval) and isinstance(yes, Interval)):
                raise TraceError(f"an integer or answer at {step.place} depends on a comparison of intervals")
            joined.append(choose(which, (no, yes)))
        return joined

    return {"scan": scan, "while": while_loop, "cond": cond}


def _changes(step: Step) -> TraceError:
    return TraceError(
        f"'{step.primitive}' at {step.place} carries an answer that becomes undecided; carry numbers instead"
    )


__all__ = ["rules"]
