"""Rules of interval arithmetic for control flow: compiled loops over intervals, branches joined where undecided."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from karush.arithmetic.interval_logic import choose, real_of_integer, whole
from karush.arithmetic.interval_numbers import Interval, Truth, as_truth, dense_ok, lift
from karush.core.errors import TraceError
from karush.jaxprs.walk import Program, Rule, Step, interpret

Values = Sequence[Any]
MOST_TURNS = 200
"""turns of a loop that ends by a comparison of intervals"""


def settled(value: Any) -> Any:
    """A value whose structure is the same on every turn of a loop and in every branch."""
    if isinstance(value, Interval):
        return Interval(value.lo, value.hi, dense_ok(value))
    return value


def rules(table: Mapping[str, Rule], lift: Callable[[Any], Any] = lift) -> dict[str, Rule]:
    """Rules of ``scan``, ``while`` and ``cond`` whose bodies run by `table`, with constants by `lift`."""

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

        carry = [settled(value) for value in operands[last:]]
        try:
            return lax.while_loop(
                lambda carry: _decided(run(goes_on, (*operands[:first], *carry))[0]),
                lambda carry: run(body, (*operands[first:last], *carry)),
                carry,
            )
        except Open:
            pass
        except TypeError as error:
            raise _changes(step) from error
        return unrolled(
            lambda carry: as_truth(run(goes_on, (*operands[:first], *carry))[0]),
            lambda carry: run(body, (*operands[first:last], *carry)),
            carry,
            step,
        )

    def cond(step: Step, which: Any, *operands: Any) -> Values:
        branches = [lambda *given, body=body: run(body, given) for body in step.bodies]
        if not isinstance(which, (Truth, Interval)):
            return lax.switch(jnp.asarray(which, jnp.int32), branches, *operands)
        joined = branches[0](*operands)
        for index in range(1, len(branches)):
            answer = taken(which, index)
            joined = [joined_case(answer, pair, step) for pair in zip(joined, branches[index](*operands), strict=True)]
        return joined

    return {"scan": scan, "while": while_loop, "cond": cond}


def taken(which: Any, index: int) -> Truth:
    """Whether branch `index` is taken rather than one before it; the last of all also beyond the end."""
    if isinstance(which, Truth):
        return which
    return Truth(which.hi >= index, which.lo < index)


def joined_case(answer: Truth, pair: tuple[Any, Any], step: Step) -> Any:
    """One result of two branches, the second where `answer` is yes."""
    no, yes = pair
    if isinstance(no, Interval) and isinstance(yes, Interval):
        return choose(answer, (no, yes))
    if isinstance(no, Truth) or isinstance(yes, Truth):
        no, yes = as_truth(no), as_truth(yes)
        return Truth(
            (answer.can_be_false & no.can_be_true) | (answer.can_be_true & yes.can_be_true),
            (answer.can_be_false & no.can_be_false) | (answer.can_be_true & yes.can_be_false),
        )
    raise TraceError(f"an integer at {step.place} depends on a comparison of intervals")


class Open(Exception):
    """The condition of a loop is not decided by integers."""


def _decided(answer: Any) -> Any:
    if isinstance(answer, (Truth, Interval)):
        raise Open
    return answer


def _numbers(values: Sequence[Any], step: Step) -> list[Interval]:
    """The state of a loop as intervals, of integers too."""
    if any(isinstance(value, Truth) for value in values):
        raise TraceError(f"the loop at {step.place} carries an answer, and ends by a comparison of real numbers")
    found = [value if isinstance(value, Interval) else real_of_integer(value) for value in values]
    return [
        settled(whole(value, aval.dtype) if aval.dtype.kind in "iu" else value)
        for value, aval in zip(found, step.out_avals, strict=True)
    ]


def unrolled(goes_on: Callable[..., Truth], body: Callable[..., Any], carry: list[Any], step: Step) -> list[Interval]:
    """A loop that ends by a comparison of intervals: the hull of all states that it may end in.

    Where it may not have ended after `MOST_TURNS` turns, the result is the whole line, and not defined.
    """

    def turn(state: tuple[Any, ...]) -> tuple[Any, ...]:
        count, running, carry, out = state
        answer = goes_on(carry)
        ends = running & answer.can_be_false
        out = [
            Interval(
                jnp.where(ends, jnp.minimum(o.lo, c.lo), o.lo),
                jnp.where(ends, jnp.maximum(o.hi, c.hi), o.hi),
                o.ok & (c.ok | ~ends),
            )
            for o, c in zip(out, carry, strict=True)
        ]
        return count + 1, running & answer.can_be_true, _numbers(body(carry), step), out

    start = _numbers(carry, step)
    nothing = [
        Interval(jnp.full_like(c.lo, jnp.inf), jnp.full_like(c.hi, -jnp.inf), jnp.ones_like(c.ok)) for c in start
    ]
    state = (jnp.asarray(0), jnp.asarray(True), start, nothing)
    _, running, _, out = lax.while_loop(lambda s: s[1] & (s[0] < MOST_TURNS), turn, state)
    return [
        Interval(jnp.where(running, -jnp.inf, o.lo), jnp.where(running, jnp.inf, o.hi), o.ok & ~running) for o in out
    ]


def _changes(step: Step) -> TraceError:
    return TraceError(
        f"'{step.primitive}' at {step.place} carries an answer that becomes undecided; carry numbers instead"
    )


__all__ = ["joined_case", "rules", "settled", "taken"]
