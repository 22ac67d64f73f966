"""A walk over a traced program with curves for numbers, and the rules of its control flow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, NamedTuple

import jax
import numpy as np

from karush.arithmetic.constants import array_of
from karush.bounds.convexity_atoms import atom_name
from karush.bounds.convexity_choice import Choice
from karush.bounds.convexity_curve import EVERYWHERE, FIELDS, UNKNOWN, Curve, constant, curve, mapped, unknown
from karush.jaxprs.walk import Program, Step, bind

Values = Sequence[Any]
Rule = Callable[..., Values]
"""``rule(walk, step, *values) -> the values of the step's outputs``"""
MOST_TURNS = 2000
"""turns of a loop that are walked one by one"""
OUTSIDE, BENT = "may be undefined on the box", "of these operands is not known to be convex or concave"
"""what is lost at a step"""


class Seen(NamedTuple):
    """What a walk has met."""

    numbers: dict[Any, int]
    """expression -> its number"""
    counter: Any
    lost: list[tuple[Step, str]]
    """steps at which a value ceased to be convex or concave, and why"""


class Walk:
    """One walk over a program.

    `lost` lists the steps whose operands were known to be convex or concave, and whose result is not.
    """

    def __init__(self, program: Program, rules: Mapping[str, Rule]) -> None:
        self.program = program
        self.rules = rules
        self.seen = Seen({}, count(), [])

    @property
    def lost(self) -> list[tuple[Step, str]]:
        """Steps at which curvature or the domain was lost, and why."""
        return self.seen.lost

    def run(self, program: Program, operands: Sequence[Any]) -> list[Any]:
        """Values of the outputs."""
        values: list[Any] = [None] * program.size
        for slot, item in program.constants.items():
            values[slot] = self.lift(item, ("array", id(item)))
        for slot, operand in zip(program.inputs, operands, strict=True):
            values[slot] = operand
        for step in program.steps:
            given = [values[slot] for slot in step.inputs]
            for slot, value in zip(step.outputs, self.step(step, given), strict=True):
                values[slot] = value
        return [values[slot] for slot in program.outputs]

    def lift(self, item: Any, key: Any = None) -> Any:
        """A constant; equal single numbers are one expression, arrays where their keys are equal."""
        array = array_of(item)
        if array.dtype.kind != "f":
            return array
        array = array.astype(np.float64)
        if array.ndim == 0:
            key = ("number", float(array))
        bad = bool(np.any(np.isnan(array)))
        ends = np.where(np.isnan(array), -np.inf, array), np.where(np.isnan(array), np.inf, array)
        return replace(
            constant(ends, defined=UNKNOWN if bad else EVERYWHERE),
            node=self.number(next(self.seen.counter) if key is None else key),
        )

    def number(self, key: Any) -> int:
        """Number of an expression, the same for the same key."""
        if key not in self.seen.numbers:
            self.seen.numbers[key] = next(self.seen.counter)
        return self.seen.numbers[key]

    def step(self, step: Step, given: list[Any]) -> Values:
        """Values of the outputs of one step."""
        if not any(isinstance(value, (Curve, Choice)) for value in given):
            return self.exact(step, given)
        rule = self.rules.get(step.primitive)
        if rule is None:
            outs: Values = [opaque(aval, given) for aval in step.out_avals]
        else:
            outs = rule(self, step, *given)
        key = self.key(step, given)
        named = [self.named(out, (key, k), step) for k, out in enumerate(outs)]
        self.note(step, given, named)
        return named

    def key(self, step: Step, given: list[Any]) -> Any:
        """What makes two steps the same expression; None for one that is the same as no other."""
        if step.bodies or not all(isinstance(value, Curve) and value.node >= 0 for value in given):
            return next(self.seen.counter)
        atom = atom_name(step.equation)
        params = atom if atom is not None else str(sorted(step.params.items(), key=lambda item: item[0]))
        return (step.primitive, params, tuple(value.node for value in given))

    def named(self, out: Any, key: Any, step: Step) -> Any:
        """With its number, in the shape that the program gives it."""
        if not isinstance(out, Curve):
            return out
        # What only hands a value on keeps its number.
        return out if out.node >= 0 else replace(out, node=self.number(key))

    def note(self, step: Step, given: list[Any], outs: Values) -> None:
        """Record where curvature, or the domain, is lost."""
        before = [value for value in given if isinstance(value, Curve)]
        for out in outs:
            if not isinstance(out, Curve):
                continue
            if out.defined < min((value.defined for value in before), default=EVERYWHERE):
                self.seen.lost.append((step, OUTSIDE))
            elif not out.known and all(value.known for value in before):
                self.seen.lost.append((step, BENT))

    def exact(self, step: Step, given: list[Any]) -> Values:
        """A step on integers and answers that do not depend on x, which is exact."""
        outs = [array_of(out) for out in bind(step, *map(jax.numpy.asarray, given))]
        if step.primitive in ("convert_element_type", "iota", "empty", "empty2", "select_n"):
            return [self.lift(out) for out in outs]
        return [out if out.dtype.kind != "f" else _opaque_constant(out) for out in outs]


def opaque(aval: Any, given: list[Any]) -> Curve:
    """Any number, of a step that nothing is known of."""
    steady = all(
        not isinstance(value, Choice) and not (isinstance(value, Curve) and not value.constant) for value in given
    )
    return unknown(aval.shape, is_constant=steady)


def _opaque_constant(out: np.ndarray) -> Curve:
    """A constant that the program computes by an operation whose rounding is not known here."""
    return unknown(out.shape, is_constant=True)


def as_curve(walk: Walk, a: Any) -> Curve:
    """Any value as a curve."""
    if isinstance(a, Curve):
        return a
    if isinstance(a, Choice):
        return curve((np.where(a.no, 0.0, 1.0), np.where(a.yes, 1.0, 0.0)))
    if np.asarray(a).dtype.kind == "c":
        return unknown(np.shape(a), is_constant=True)
    return constant((np.asarray(a, np.float64), np.asarray(a, np.float64)))


def scan(walk: Walk, step: Step, *given: Any) -> Values:
    """``scan``, turn by turn."""
    params, body = step.params, step.bodies[0]
    first, last, length = params["num_consts"], params["num_consts"] + params["num_carry"], params["length"]
    if length > MOST_TURNS or length == 0:
        return [opaque(aval, list(given)) for aval in step.out_avals]
    carry, stacked = list(given[first:last]), []
    turns = range(length - 1, -1, -1) if params["reverse"] else range(length)
    for turn in turns:
        slices = [_row(item, turn) for item in given[last:]]
        outs = walk.run(body, [*given[:first], *carry, *slices])
        carry = outs[: params["num_carry"]]
        stacked.append(outs[params["num_carry"] :])
    if params["reverse"]:
        stacked.reverse()
    columns = [_stacked(walk, list(column)) for column in zip(*stacked, strict=True)]
    return [*carry, *columns]


def _row(item: Any, turn: int) -> Any:
    if isinstance(item, Curve):
        return mapped(item, lambda part: np.asarray(part[turn]))
    return Choice(item.yes[turn], item.no[turn]) if isinstance(item, Choice) else np.asarray(item)[turn]


def _stacked(walk: Walk, column: list[Any]) -> Any:
    if any(isinstance(item, Choice) for item in column):
        return Choice(np.stack([item.yes for item in column]), np.stack([item.no for item in column]))
    if not any(isinstance(item, Curve) for item in column):
        return np.stack(column)
    curves = [as_curve(walk, item) for item in column]
    fields: dict[str, Any] = {name: np.stack([getattr(item, name) for item in curves]) for name in FIELDS}
    return Curve(**fields, constant=all(c.constant for c in curves), defined=min(c.defined for c in curves))


def while_loop(walk: Walk, step: Step, *given: Any) -> Values:
    """``while`` whose condition does not depend on x, turn by turn."""
    goes_on, body = step.bodies
    first = step.params["cond_nconsts"]
    last = first + step.params["body_nconsts"]
    carry = list(given[last:])
    for _ in range(MOST_TURNS):
        again = walk.run(goes_on, [*given[:first], *carry])[0]
        if isinstance(again, (Curve, Choice)):
            break
        if not bool(again):
            return carry
        carry = walk.run(body, [*given[first:last], *carry])
    return [opaque(aval, list(given)) for aval in step.out_avals]


def branch(walk: Walk, step: Step, which: Any, *given: Any) -> Values:
    """``cond`` whose branch does not depend on x."""
    if isinstance(which, (Curve, Choice)):
        return [opaque(aval, [which, *given]) for aval in step.out_avals]
    place = min(max(int(which), 0), len(step.bodies) - 1)
    return walk.run(step.bodies[place], given)


CONTROL: dict[str, Rule] = {"scan": scan, "while": while_loop, "cond": branch}
"""primitive -> rule"""

__all__ = ["BENT", "CONTROL", "OUTSIDE", "Rule", "Values", "Walk", "as_curve", "opaque"]
