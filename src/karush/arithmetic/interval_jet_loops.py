"""Loops of known length over enclosed derivatives, turn by turn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from karush.arithmetic.interval_control import joined_case, settled, taken
from karush.arithmetic.interval_jets import Jet, chosen, unbounded, zeros
from karush.arithmetic.interval_logic import choose
from karush.arithmetic.interval_numbers import Interval, Truth, dense_ok, each
from karush.core.errors import TraceError
from karush.jaxprs.walk import Rule, Step, interpret

Values = Sequence[Any]
MOST_TURNS = 200
"""turns of a loop that are written out"""


Stepped = Callable[[Step, Rule, Sequence[Any]], Values]


def steps(n: int | None, *, second: bool) -> Stepped:
    """Rule of functions that are constant between jumps: derivatives are 0, and across a jump the whole line."""

    def stepped(step: Step, rule: Rule, operands: Sequence[Any]) -> Values:
        outs = rule(step, *[item.value if isinstance(item, Jet) else item for item in operands])
        return [jumping(out) if isinstance(out, Interval) else out for out in outs]

    def jumping(value: Interval) -> Jet:
        if value.exact:
            return Jet(value)
        jumps, shape = value.lo < value.hi, jnp.shape(value.lo)
        if n is None:
            return Jet(Interval(value.lo, value.hi, dense_ok(value) & ~jumps))
        first = unbounded(zeros((n, *shape)), jumps)
        return Jet(value, first, unbounded(zeros((n, n, *shape)), jumps) if second else None)

    return stepped


def dense(value: Jet, n: int, *, second: bool) -> Jet:
    """With every derivative in n variables written out."""
    shape = jnp.shape(value.value.lo)
    first = zeros((n, *shape)) if value.first is None else value.first
    bends = None
    if second:
        bends = settled(zeros((n, n, *shape)) if value.second is None else value.second)
    return Jet(settled(value.value), settled(first), bends)


@dataclass(frozen=True)
class _Loops:
    """``scan``, ``while`` and ``cond`` whose bodies run by `rules`, which hold these three themselves."""

    rules: dict[str, Rule]
    lift: Callable[[Any], Any]
    n: int | None
    second: bool

    def run(self, body: Any, operands: Sequence[Any]) -> list[Any]:
        """A body by the rules."""
        return interpret(body, operands, self.rules, lift=self.lift)

    def whole(self, value: Any, step: Step) -> Any:
        """With every derivative, so that all turns and branches have one structure."""
        if not isinstance(value, Jet):
            return value
        if self.n is None:
            raise TraceError(f"'{step.primitive}' at {step.place} has no rule for derivatives here")
        return dense(value, self.n, second=self.second)

    def scan(self, step: Step, *operands: Any) -> Values:
        """A loop of known length, written out: derivatives keep their structure from turn to turn."""
        params = step.params
        if params["length"] > MOST_TURNS:
            raise TraceError(
                f"the loop at {step.place} runs {params['length']} times; enclosed derivatives take {MOST_TURNS}"
            )
        first, last = params["num_consts"], params["num_consts"] + params["num_carry"]
        carry = list(operands[first:last])
        turns = range(params["length"])
        rows: list[list[Any]] = []
        for turn in reversed(turns) if params["reverse"] else turns:
            here = [turn_of(item, turn) for item in operands[last:]]
            out = self.run(step.bodies[0], (*operands[:first], *carry, *here))
            carry = out[: params["num_carry"]]
            rows.append(out[params["num_carry"] :])
        if params["reverse"]:
            rows.reverse()
        return [*carry, *[stacked(column) for column in zip(*rows, strict=True)]]

    def while_loop(self, step: Step, *operands: Any) -> Values:
        """A loop that is decided by integers, compiled."""
        goes_on, body = step.bodies
        first = step.params["cond_nconsts"]
        last = first + step.params["body_nconsts"]

        def asked(carry: list[Any]) -> Any:
            answer = self.run(goes_on, (*operands[:first], *carry))[0]
            if isinstance(answer, (Truth, Jet)):
                raise TraceError(
                    f"the loop at {step.place} ends by a comparison of real numbers, and enclosed derivatives cannot "
                    "decide it; use a loop with a fixed number of turns"
                )
            return answer

        return lax.while_loop(
            asked,
            lambda carry: [self.whole(value, step) for value in self.run(body, (*operands[first:last], *carry))],
            [self.whole(value, step) for value in operands[last:]],
        )

    def cond(self, step: Step, which: Any, *operands: Any) -> Values:
        """One branch; where it is open which, all of them joined."""
        branches = [
            lambda *given, body=body: [self.whole(value, step) for value in self.run(body, given)]
            for body in step.bodies
        ]
        if not isinstance(which, (Truth, Jet)):
            return lax.switch(jnp.asarray(which, jnp.int32), branches, *operands)
        which = which.value if isinstance(which, Jet) else which
        joined = branches[0](*operands)
        for index in range(1, len(branches)):
            answer = taken(which, index)
            pairs = zip(joined, branches[index](*operands), strict=True)
            joined = [_joined(answer, pair, step) for pair in pairs]
        return joined


def loops(table: Mapping[str, Rule], lift: Callable[[Any], Any], n: int | None, *, second: bool) -> dict[str, Rule]:
    """Rules of ``scan``, ``while`` and ``cond`` whose bodies run by `table`."""
    own = _Loops(dict(table), lift, n, second)
    own.rules.update({"scan": own.scan, "while": own.while_loop, "cond": own.cond})
    return {name: own.rules[name] for name in ("scan", "while", "cond")}


def _joined(answer: Truth, pair: tuple[Any, Any], step: Step) -> Any:
    """One result of two branches; where it is open which is taken, the function may jump."""
    no, yes = pair
    if not (isinstance(no, Jet) and isinstance(yes, Jet)):
        return joined_case(answer, pair, step)
    return chosen(answer, no, yes, choose(answer, (no.value, yes.value)), jump=True)


def turn_of(run: Any, turn: int) -> Any:
    """One slice along the leading axis of the value."""
    if not isinstance(run, Jet):
        return jax.tree.map(lambda x: x[turn], run)
    cut: list[Any] = [
        None if d is None else each(lambda x, k=k: x[(slice(None),) * k + (turn,)], d) for k, d in enumerate(run)
    ]
    return Jet(*cut)


def stacked(column: Sequence[Any]) -> Any:
    """Values side by side along a new leading axis."""
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


__all__ = ["Stepped", "dense", "loops", "stacked", "steps", "turn_of"]
