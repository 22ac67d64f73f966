"""Which operations of a traced program may fail to be smooth in its first argument.

Two sweeps over the steps: forward, what moves with x; backward, what reaches an output. A step with a switch
(``switches.py``) that does both is a kink. Whether a given point is near it is asked by ``margins.py``.

What reaches the outputs through ``stop_gradient`` alone does not count: the shift by the largest entry inside
``logsumexp`` and ``softmax`` cancels on paper. Instead the ``stop_gradient`` is listed, and ``margins.py`` tests
whether its value truly cancels; if not, the derivatives that JAX returns are not those of the function.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from karush.jaxprs.signs import never_negative
from karush.jaxprs.source import Place
from karush.jaxprs.switches import FROZEN, LOOP, Switch, library_function, name_of, switch_of
from karush.jaxprs.walk import Program, Step, inline

STEPWISE = frozenset({"sign", "floor", "ceil", "round"})
"""primitives whose result is constant between switches though it is no integer by type"""

SMOOTHED_POWER = 2
"""``|a|^k`` is twice continuously differentiable for k >= 2"""


FIXED, JUMPS, MOVES = 0, 1, 2
"""how a value depends on x: not at all; only by jumps (integers, truth values, what is picked by them), so that it is
constant wherever the operation that it jumps at is smooth; continuously"""


@dataclass(frozen=True)
class Kink:
    """One operation of the user's program that is not smooth everywhere."""

    primitive: str
    """JAX's name of the operation"""
    condition: str
    """where it is not smooth, in words"""
    place: Place
    """the user's line"""

    def __str__(self) -> str:
        return f"{self.primitive} at {self.place} (not smooth where {self.condition})"


@dataclass(eq=False)
class Plan:
    """What switches in one program: indices into its steps."""

    program: Program
    switches: dict[int, Switch] = field(default_factory=dict)
    inner: "dict[int, tuple[Plan, ...]]" = field(default_factory=dict)
    """plans of the bodies of control flow with something in them"""

    def __bool__(self) -> bool:
        return bool(self.switches or self.inner)

    def found(self) -> Iterator[tuple[Step, Switch]]:
        """Every switch in the order of the program, bodies in place of their step after the step's own."""
        for index in sorted({*self.switches, *self.inner}):
            if index in self.switches:
                yield self.program.steps[index], self.switches[index]
            for plan in self.inner.get(index, ()):
                yield from plan.found()


def kinks(closed_jaxpr: ClosedJaxpr) -> tuple[Kink, ...]:
    """Operations of ``(x, *params) -> outputs`` that depend on x, reach an output and are not smooth everywhere.

    An empty tuple says that the outputs are smooth in x wherever they are finite.
    """
    described = (Kink(name_of(step), switch.what, step.place) for step, switch in plan_of(closed_jaxpr).found())
    return tuple(described)


def plan_of(closed_jaxpr: ClosedJaxpr) -> Plan:
    """The plan of ``(x, *params) -> outputs``."""
    program = inline(closed_jaxpr, library_function, real=True)
    depends = _forward(program, [MOVES] + [FIXED] * (len(program.inputs) - 1))
    plan, _ = _backward(program, depends, [True] * len(program.outputs))
    return plan


def _forward(program: Program, inputs: Sequence[int]) -> list[int]:
    """How each slot depends on x, given how the inputs do."""
    depends = [FIXED] * program.size
    for slot, level in zip(program.inputs, inputs, strict=True):
        depends[slot] = level
    for step in program.steps:
        sources = [depends[slot] for slot in step.inputs]
        if not any(sources):
            continue
        levels = _FORWARD[step.primitive](step, sources) if step.bodies else _levels(step, max(sources))
        for slot, level in zip(step.outputs, levels, strict=True):
            depends[slot] = level
    return depends


def _levels(step: Step, highest: int) -> list[int]:
    if step.primitive in STEPWISE:
        return [JUMPS] * len(step.outputs)
    return [highest if jnp.issubdtype(aval.dtype, np.inexact) else JUMPS for aval in step.out_avals]


def _ends(program: Program, inputs: Sequence[int]) -> list[int]:
    depends = _forward(program, inputs)
    return [depends[slot] for slot in program.outputs]


def _settled_carry(body: Program, constants: list[int], carry: list[int], slices: list[int]) -> list[int]:
    """How carried values depend on x after any number of turns."""
    while True:
        after = list(map(max, carry, _ends(body, constants + carry + slices)))
        if after == carry:
            return carry
        carry = after


def _body_inputs(step: Step, sources: list[int]) -> list[list[int]]:
    """How the inputs of each body of a control-flow step depend on x, over all its turns."""
    if step.primitive == "cond":
        return [sources[1:] for _ in step.bodies]
    if step.primitive == "scan":
        first, last = step.params["num_consts"], step.params["num_consts"] + step.params["num_carry"]
        constants, slices = sources[:first], sources[last:]
        return [constants + _settled_carry(step.bodies[0], constants, sources[first:last], slices) + slices]
    first = step.params["cond_nconsts"]
    last = first + step.params["body_nconsts"]
    carry = _settled_carry(step.bodies[1], sources[first:last], sources[last:], [])
    return [sources[:first] + carry, sources[first:last] + carry]


def _cond_forward(step: Step, sources: list[int]) -> list[int]:
    chosen = JUMPS if sources[0] else FIXED
    branches = [_ends(body, inputs) for body, inputs in zip(step.bodies, _body_inputs(step, sources), strict=True)]
    return [max(chosen, *levels) for levels in zip(*branches, strict=True)]


def _scan_forward(step: Step, sources: list[int]) -> list[int]:
    return _ends(step.bodies[0], _body_inputs(step, sources)[0])


def _while_forward(step: Step, sources: list[int]) -> list[int]:
    of_test, of_body = _body_inputs(step, sources)
    turns = _ends(step.bodies[0], of_test)[0]
    return [max(turns, level) for level in of_body[step.params["body_nconsts"] :]]


_FORWARD = {"cond": _cond_forward, "scan": _scan_forward, "while": _while_forward}


def _backward(program: Program, depends: Sequence[int], outputs: Sequence[bool]) -> tuple[Plan, list[bool]]:
    """The plan of what reaches the wanted outputs, and which inputs do."""
    plan = Plan(program)
    unsigned = never_negative(program) if any(step.primitive == "abs" for step in program.steps) else set()
    wanted = [False] * program.size
    readers: dict[int, list[Step]] = {}
    for slot, on in zip(program.outputs, outputs, strict=True):
        wanted[slot] = wanted[slot] or on
    kept = {slot for slot, on in zip(program.outputs, outputs, strict=True) if on}
    for index in range(len(program.steps) - 1, -1, -1):
        step = program.steps[index]
        if not any(wanted[slot] for slot in step.outputs):
            continue
        sources = [depends[slot] for slot in step.inputs]
        if any(sources):
            needed = _visit(plan, index, sources, [wanted[slot] for slot in step.outputs])
            smoothed = step.primitive == "abs" and kept.isdisjoint(step.outputs) and _smoothed(step, readers)
            if smoothed or (step.primitive == "abs" and step.inputs[0] in unsigned):
                plan.switches.pop(index, None)
            for slot, need in zip(step.inputs, needed, strict=True):
                wanted[slot] = wanted[slot] or need
                if need:
                    readers.setdefault(slot, []).append(step)
    return plan, [wanted[slot] for slot in program.inputs]


def _visit(plan: Plan, index: int, sources: list[int], outputs: list[bool]) -> list[bool]:
    """Enter the switches of one live step into the plan; which of its inputs its derivatives need."""
    step = plan.program.steps[index]
    if step.primitive == "stop_gradient":
        if MOVES in sources:
            plan.switches[index] = FROZEN
            return [False]
        return [True]
    if step.primitive == "custom_linear_solve":
        # JAX differentiates through matvec and b; the factorization handed to `solve` is frozen on purpose.
        sizes = step.params["const_lengths"]
        return [place < sizes.matvec or place >= sum(sizes) for place in range(len(sources))]
    if step.bodies:
        return _visit_bodies(plan, index, sources, outputs)
    switch = switch_of(step, [level == MOVES for level in sources])
    if switch is not None:
        plan.switches[index] = switch
    return [True] * len(sources)


def _visit_bodies(plan: Plan, index: int, sources: list[int], outputs: list[bool]) -> list[bool]:
    """The same for control flow. A carry counts as wanted throughout: a loop with a dead carry is rare."""
    step = plan.program.steps[index]
    plans = []
    for place, (body, inputs) in enumerate(zip(step.bodies, _body_inputs(step, sources), strict=True)):
        depends = _forward(body, inputs)
        carried = step.params["num_carry"] if step.primitive == "scan" else 0
        ends = [True] * len(body.outputs) if step.primitive == "while" else [True] * carried + outputs[carried:]
        inner = _backward(body, depends, ends)[0]
        if inner and step.primitive == "while" and place == 0:
            plan.switches[index] = LOOP
            inner = Plan(body)  # the test decides on the turns and on nothing else
        plans.append(inner)
    if any(plans):
        plan.inner[index] = tuple(plans)
    return [True] * len(sources)


def _smoothed(step: Step, readers: dict[int, list[Step]]) -> bool:
    """Whether an absolute value is only ever raised to a power that smooths it."""
    return all(
        reader.primitive == "square"
        or (reader.primitive == "integer_pow" and reader.params["y"] >= SMOOTHED_POWER)
        or (reader.primitive == "mul" and reader.inputs[0] == reader.inputs[1])
        for reader in readers.get(step.outputs[0], ())
    )


__all__ = ["Kink", "Plan", "kinks", "plan_of"]
