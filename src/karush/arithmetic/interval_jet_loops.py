"""Loops of known length over enclosed derivatives, turn by turn."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from karush.arithmetic.interval_jets import Jet, zeros
from karush.arithmetic.interval_numbers import each
from karush.core.errors import TraceError
from karush.jaxprs.walk import Rule, Step, interpret

Values = Sequence[Any]
MOST_TURNS = 200
"""turns of a loop that are written out"""


def loop(table: Mapping[str, Rule], lift: Callable[[Any], Any]) -> Rule:
    """Rule of ``scan`` whose body runs by `table`."""

    def scan(step: Step, *operands: Any) -> Values:
        """A loop of known length, written out: derivatives keep their structure from turn to turn."""
        params, body = step.params, step.bodies[0]
        if params["length"] > MOST_TURNS:
            raise TraceError(
                f"the loop at {step.place} runs {params['length']} times; enclosed derivatives take {MOST_TURNS}"
            )
        first, last = params["num_consts"], params["num_consts"] + params["num_carry"]
        carry = list(operands[first:last])
        turns = range(params["length"])
        stacked: list[list[Any]] = []
        for turn in reversed(turns) if params["reverse"] else turns:
            here = [_turn(run, turn) for run in operands[last:]]
            out = interpret(body, (*operands[:first], *carry, *here), table, lift=lift)
            carry = out[: params["num_carry"]]
            stacked.append(out[params["num_carry"] :])
        if params["reverse"]:
            stacked.reverse()
        return [*carry, *[_stacked(column) for column in zip(*stacked, strict=True)]]

    return scan


def _turn(run: Any, turn: int) -> Any:
    if not isinstance(run, Jet):
        return jax.tree.map(lambda x: x[turn], run)
    cut: list[Any] = [
        None if d is None else each(lambda x, k=k: x[(slice(None),) * k + (turn,)], d) for k, d in enumerate(run)
    ]
    return Jet(*cut)


def _stacked(column: Sequence[Any]) -> Any:
    if not isinstance(column[0], Jet):
        return jax.tree.map(lambda *parts: jnp.stack(parts), *column)
    out: list[Any] = []
    for lead, name in enumerate(("value", "first", "second")):
        parts = [getattr(jet, name) for jet in column]
        head = next((jnp.shape(part.lo)[:lead] for part in parts if part is not None), None)
        if head is None:
            out.append(None)
            continue
        whole = [
            zeros(head + jnp.shape(jet.value.lo)) if part is None else part
            for jet, part in zip(column, parts, strict=True)
        ]
        out.append(each(lambda *xs, lead=lead: jnp.stack(xs, axis=lead), *whole))
    return Jet(*out)


__all__ = ["loop"]
