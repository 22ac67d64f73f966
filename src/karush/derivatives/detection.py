"""Which entries of a Jacobian can be nonzero: the sets of ``index_sets`` carried through the program v -> J(x) v.

The program is the one that computes the products, so the pattern holds every entry that they can return, whatever
rules of differentiation a user has written. Nothing depends on where it is looked at: x is not known.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from karush.derivatives.index_sets import identity, stacked, take, union
from karush.derivatives.known import Known, Value, array_of, lift, quiet, sets_of, width
from karush.derivatives.pattern_rules import RULES, conservative
from karush.jaxprs.source import Place
from karush.jaxprs.walk import Program, Step, inline, interpret

UNROLLED = 50_000
"""Steps, turns times steps of the body, up to which a loop is followed turn by turn; a longer one is read as if every
turn could see what any other does."""


class Found(NamedTuple):
    """Rows and columns of the entries, sorted by row; where the worst case had to be assumed."""

    rows: np.ndarray
    cols: np.ndarray
    assumed: tuple[tuple[str, Place], ...]
    """operations without a rule, with the user's line"""


def find(program: ClosedJaxpr, n: int) -> Found:
    """Pattern of the linear program ``(x, v, *params) -> J(x) v``, v (n,), result (k,).

    Like x, parameters are not known: where one happens to be zero, the next one need not be.

    Raises
    ------
    TooFullError
        for a pattern, or an intermediate one, that is too full to be kept.
    """
    assumed: dict[tuple[str, Place], None] = {}

    def rule(step: Step, *values: Value) -> Sequence[Value]:
        if all(value.sets is None for value in values):
            return quiet(step, values)
        if step.primitive in CONTROL:
            return CONTROL[step.primitive](step, values, run)
        known_rule = RULES.get(step.primitive)
        if known_rule is None:
            assumed[step.primitive, step.place] = None
            return conservative(step, *values)
        return known_rule(step, *values)

    def run(body: Program, arguments: Sequence[Value]) -> list[Value]:
        return interpret(live(body), arguments, {}, default=rule, lift=lift)

    # Inside a user's own jit the numbers of the indices are computed now, and not put into his program.
    with jax.ensure_compile_time_eval():
        (out,) = run(inline(program), [Value(), Value(identity(n)), *(Value() for _ in program.in_avals[2:])])
    sets = sets_of(out, prod(program.out_avals[0].shape), n)
    rows = np.repeat(np.arange(sets.shape[0], dtype=np.int32), np.diff(sets.indptr))
    return Found(rows, sets.indices.astype(np.int32), tuple(assumed))


def live(program: Program) -> Program:
    """The program without the steps that no output needs."""
    needed = set(program.outputs)
    steps = []
    for step in reversed(program.steps):
        if not needed.isdisjoint(step.outputs):
            needed.update(step.inputs)
            steps.append(step)
    return Program(program.inputs, program.outputs, steps[::-1], program.constants, program.size)


Run = Callable[[Program, Sequence[Value]], list[Value]]


def _cond(step: Step, values: Sequence[Value], run: Run) -> list[Value]:
    which = array_of(values[0])
    bodies = step.bodies if which is None else [step.bodies[int(np.clip(which, 0, len(step.bodies) - 1))]]
    return _joined([run(body, values[1:]) for body in bodies], step)


def _joined(outcomes: Sequence[Sequence[Value]], step: Step) -> list[Value]:
    """Each output as the union of what it is in several outcomes."""
    if len(outcomes) == 1:
        return list(outcomes[0])
    return [_either(values) for values in zip(*outcomes, strict=True)]


def _either(values: Sequence[Value]) -> Value:
    parts = [value.sets for value in values if value.sets is not None]
    return Value(union(parts)) if parts else Value()


def _while(step: Step, values: Sequence[Value], run: Run) -> list[Value]:
    first = step.params["cond_nconsts"]
    last = first + step.params["body_nconsts"]
    constants = list(values[first:last])
    return _settled(
        [_forgotten(value) for value in values[last:]], lambda carry: run(step.bodies[1], constants + carry)
    )


def _settled(carry: list[Value], turn: Callable[[list[Value]], list[Value]]) -> list[Value]:
    """What carried values can depend on after any number of turns."""
    while True:
        after = [_either(pair) for pair in zip(carry, turn(carry), strict=True)]
        if all(_size(one) == _size(other) for one, other in zip(after, carry, strict=True)):
            return carry
        carry = after


def _size(value: Value) -> int:
    return -1 if value.sets is None else value.sets.nnz


def _forgotten(value: Value) -> Value:
    """The value, its numbers not known."""
    return Value(value.sets)


def _scan(step: Step, values: Sequence[Value], run: Run) -> list[Value]:
    params, length = step.params, step.params["length"]
    first, last = params["num_consts"], params["num_consts"] + params["num_carry"]
    constants, carry, slices = list(values[:first]), list(values[first:last]), list(values[last:])
    shapes = [aval.shape[1:] for aval in step.in_avals[last:]]
    body = step.bodies[0]
    turns = range(length)[::-1] if params["reverse"] else range(length)
    collected: dict[int, list[Value]] = {}
    if length * len(body.steps) <= UNROLLED:
        for turn in turns:
            inputs = [_slice(value, shape, turn) for value, shape in zip(slices, shapes, strict=True)]
            out = run(body, constants + [_computed(value) for value in carry] + inputs)
            carry, collected[turn] = out[: len(carry)], out[len(carry) :]
    else:
        carry = [_forgotten(value) for value in carry]
        every = [_any_slice(value, shape, length) for value, shape in zip(slices, shapes, strict=True)]
        carry = _settled(carry, lambda carry: run(body, constants + carry + every)[: len(carry)])
        alike = run(body, constants + carry + every)[len(carry) :]
        collected = dict.fromkeys(range(length), alike)
    n = width(values)
    outs = []
    for place, aval in enumerate(step.out_avals[len(carry) :]):
        column = [collected[turn][place] for turn in range(length)]
        size = prod(aval.shape[1:])
        dependent = any(value.sets is not None for value in column)
        outs.append(Value(stacked([sets_of(value, size, n) for value in column])) if dependent else Value())
    return carry + outs


def _computed(value: Value) -> Value:
    """The value with its numbers computed now, lest a long loop leave a long chain of them to be computed."""
    if value.known is not None:
        value.known.get()
    return value


def _slice(value: Value, shape: tuple[int, ...], turn: int) -> Value:
    """One turn's part of an array that a loop runs along."""
    size = prod(shape)
    sets = None if value.sets is None else take(value.sets, turn * size + np.arange(size))
    known = None if value.known is None else Known(np.asarray(value.known.get())[turn])
    return Value(sets, known)


def _any_slice(value: Value, shape: tuple[int, ...], length: int) -> Value:
    """What any turn's part may depend on."""
    if value.sets is None:
        return Value()
    size = prod(shape)
    return Value(union([take(value.sets, turn * size + np.arange(size)) for turn in range(length)]))


def _linear_solve(step: Step, values: Sequence[Value], run: Run) -> list[Value]:
    """``solve(b)`` with the right-hand side alone depending on v."""
    sizes = step.params["const_lengths"]
    start = sizes.matvec + sizes.vecmat
    if any(value.sets is not None for value in values[: sum(sizes)]):
        return conservative(step, *values)
    constants = list(values[start : start + sizes.solve])
    return run(inline(step.params["jaxprs"].solve), constants + list(values[sum(sizes) :]))


CONTROL: dict[str, Callable[[Step, Sequence[Value], Run], list[Value]]] = {
    "cond": _cond,
    "custom_linear_solve": _linear_solve,
    "scan": _scan,
    "while": _while,
}


__all__ = ["Found", "find", "live"]
