"""Rules of twofold numbers for control flow: the same loops and branches over pairs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from karush.jaxprs.walk import Program, Rule, Step, interpret

Values = Sequence[Any]


def rules(
    table: Mapping[str, Rule], lift: Callable[[Any], Any], settle: Callable[[Any], Any] = lambda value: value
) -> dict[str, Rule]:
    """Rules of ``scan``, ``while`` and ``cond`` whose bodies run by `table`.

    `settle` gives a value the structure that it has on every turn of a loop and in every branch.
    """

    def run(body: Program, operands: Sequence[Any]) -> list[Any]:
        return [settle(value) for value in interpret(body, operands, table, lift=lift)]

    def settled(operands: Sequence[Any]) -> list[Any]:
        return [settle(value) for value in operands]

    def scan(step: Step, *operands: Any) -> Values:
        body, params = step.bodies[0], step.params
        first, last = params["num_consts"], params["num_consts"] + params["num_carry"]

        def turn(carry: list[Any], here: Sequence[Any]) -> tuple[list[Any], list[Any]]:
            out = run(body, (*operands[:first], *carry, *here))
            return out[: params["num_carry"]], out[params["num_carry"] :]

        carry, stacked = lax.scan(
            turn,
            settled(operands[first:last]),
            settled(operands[last:]),
            length=params["length"],
            reverse=params["reverse"],
        )
        return [*carry, *stacked]

    def while_loop(step: Step, *operands: Any) -> Values:
        goes_on, body = step.bodies
        first = step.params["cond_nconsts"]
        last = first + step.params["body_nconsts"]
        return lax.while_loop(
            lambda carry: run(goes_on, (*operands[:first], *carry))[0],
            lambda carry: run(body, (*operands[first:last], *carry)),
            settled(operands[last:]),
        )

    def cond(step: Step, which: Any, *operands: Any) -> Values:
        branches = [lambda *given, body=body: run(body, given) for body in step.bodies]
        return lax.switch(jnp.asarray(which, jnp.int32), branches, *operands)

    return {"scan": scan, "while": while_loop, "cond": cond}


__all__ = ["rules"]
