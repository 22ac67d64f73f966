"""The walker that every analysis of a traced program shares.

``inline`` turns a closed jaxpr into a ``Program``: a flat list of steps over numbered slots, with every call
(``jit``, ``custom_jvp``, ``custom_vjp``, ``checkpoint``, ...) written out in place, so that an analysis is one loop
over steps. Only control flow stays nested: a ``scan``, ``while`` or ``cond`` step carries the programs of its bodies.
With ``real=True`` a kernel that is written for rounded numbers is replaced by what it means in exact ones.
``interpret`` runs a program in another number system, given by a table of rules.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.jaxprs.meaning import meant
from karush.jaxprs.source import UNKNOWN, Place, library_file, place_of

CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
"""primitive that only calls -> the parameter that holds what it calls"""

BODIES: dict[str, Callable[[dict], Sequence[Any]]] = {
    "scan": lambda params: (params["jaxpr"],),
    "while": lambda params: (params["cond_jaxpr"], params["body_jaxpr"]),
    "cond": lambda params: params["branches"],
}
"""control flow -> its bodies, in the order of ``Step.bodies``"""


@dataclass(slots=True, eq=False)
class Step:
    """One equation: ``outputs = primitive(*inputs, **params)``, inputs and outputs as slot numbers."""

    primitive: str
    equation: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    sites: tuple[Any, ...]
    """equations whose user line is this step's, best first: inside a function of JAX's own, those that call it"""
    bodies: "tuple[Program, ...]" = ()
    stated: bool = False
    """whether it stands in the meaning of a kernel, and not in the user's program"""

    @property
    def place(self) -> Place:
        """The user's line."""
        places = (place_of(site) for site in self.sites)
        return next((place for place in places if place is not UNKNOWN), UNKNOWN)

    @property
    def params(self) -> dict[str, Any]:
        return self.equation.params

    @property
    def in_avals(self) -> list[Any]:
        return [atom.aval for atom in self.equation.invars]

    @property
    def out_avals(self) -> list[Any]:
        return [atom.aval for atom in self.equation.outvars]


@dataclass(eq=False)
class Program:
    """A jaxpr with its calls inlined. Slots 0 .. size-1 hold its values."""

    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    steps: list[Step] = field(default_factory=list)
    constants: dict[int, Any] = field(default_factory=dict)
    """slot -> captured array or literal"""
    size: int = 0

    def new_slot(self) -> int:
        self.size += 1
        return self.size - 1


Keep = Callable[[Any], bool]
"""whether a call equation shall stay one step"""


def called(equation: Any) -> ClosedJaxpr | None:
    """What a call equation calls, closed; None for every other equation."""
    key = CALLS.get(equation.primitive.name)
    if key is None or key not in equation.params:
        return None
    inner = equation.params[key]
    return ClosedJaxpr(inner, ()) if isinstance(inner, Jaxpr) else inner


def inline(
    closed_jaxpr: ClosedJaxpr,
    keep: Keep = lambda equation: False,
    sites: tuple[Any, ...] = (),
    *,
    real: bool = False,
) -> Program:
    """The program of `closed_jaxpr`; call equations for which `keep` holds stay single steps.

    ``sites`` are the equations around a body, innermost first. ``real`` puts the meaning of a kernel in its place, kept
    or not (`karush.jaxprs.meaning`): for analyses of the real function, not for those of its rounding.
    """
    program = Program()
    program.inputs = tuple(program.new_slot() for _ in closed_jaxpr.jaxpr.invars)
    program.outputs = tuple(_append(program, closed_jaxpr, program.inputs, _Reading(keep, real), sites))
    return program


@dataclass(frozen=True)
class _Reading:
    """How the calls of a program are read."""

    keep: Keep
    real: bool
    stated: bool = False
    """inside the meaning of a kernel, whose own equations were traced by whoever asked for it"""


def _append(
    program: Program, closed: ClosedJaxpr, inputs: Iterable[int], reading: _Reading, sites: tuple[Any, ...]
) -> list[int]:
    """Append the steps of `closed`, fed from the slots `inputs`; the slots of its outputs.

    JAX traces its own functions once and reuses the trace, so lines recorded inside them may be another caller's.
    """
    own = not (sites and (reading.stated or library_file(closed.jaxpr.debug_info)))
    slots: dict[Any, int] = dict(zip(closed.jaxpr.invars, inputs, strict=True))
    for variable, constant in zip(closed.jaxpr.constvars, closed.consts, strict=True):
        slots[variable] = _constant(program, constant)

    def slot(atom: Any) -> int:
        return _constant(program, atom.val) if isinstance(atom, Literal) else slots[atom]

    for equation in closed.jaxpr.eqns:
        sources = tuple(map(slot, equation.invars))
        here = (equation, *sites) if own else sites
        inner = called(equation)
        meaning = meant(inner, partial(_known, program, sources)) if reading.real and inner is not None else None
        if inner is not None and (meaning is not None or not reading.keep(equation)):
            within = replace(reading, stated=True) if meaning is not None else reading
            targets = _append(program, meaning or inner, sources, within, here)
        else:
            targets = [program.new_slot() for _ in equation.outvars]
            name = equation.primitive.name
            held = BODIES[name](equation.params) if name in BODIES else ()
            bodies = tuple(inline(body, reading.keep, here, real=reading.real) for body in held)
            program.steps.append(Step(name, equation, sources, tuple(targets), here, bodies, reading.stated))
        slots.update(zip(equation.outvars, targets, strict=True))
    return [slot(atom) for atom in closed.jaxpr.outvars]


def _known(program: Program, sources: Sequence[int], place: int) -> np.ndarray | None:
    """The input at `place` of a call if it is an exact constant, such as a mask that lets everything through.

    A float counts only as it is written: what is computed from it would be rounded.
    """
    slot = sources[place]
    if slot in program.constants:
        value = program.constants[slot]
        return None if isinstance(value, Tracer) else np.asarray(value)
    step = next((step for step in reversed(program.steps) if slot in step.outputs), None)
    if step is None or step.bodies or any(aval.dtype.kind not in "biu" for aval in step.out_avals):
        return None
    values = [_known(program, step.inputs, k) for k in range(len(step.inputs))]
    if any(value is None for value in values):
        return None
    with float64(), jax.ensure_compile_time_eval():
        return np.asarray(bind(step, *values)[step.outputs.index(slot)])


def _constant(program: Program, value: Any) -> int:
    slot = program.new_slot()
    program.constants[slot] = value
    return slot


Rule = Callable[..., Sequence[Any]]
"""``rule(step, *values) -> the values of the step's outputs``"""


def interpret(
    program: Program,
    arguments: Sequence[Any],
    rules: Mapping[str, Rule],
    *,
    default: Rule | None = None,
    lift: Callable[[Any], Any] = lambda value: value,
) -> list[Any]:
    """Run `program` on `arguments` with ``rules[primitive]`` in place of each primitive.

    Parameters
    ----------
    arguments
        one value of the number system per input of the program.
    rules
        primitive name -> rule. A rule for control flow calls ``interpret`` on ``step.bodies``.
    default
        the rule of primitives that are not in the table.
    lift
        from an array or Python number to a value of the number system, for constants.

    Raises
    ------
    TraceError
        for a primitive without a rule, naming it and the user's line.
    """
    values: list[Any] = [None] * program.size
    for slot, constant in program.constants.items():
        values[slot] = lift(constant)
    for slot, argument in zip(program.inputs, arguments, strict=True):
        values[slot] = argument
    for step in program.steps:
        rule = rules.get(step.primitive, default)
        if rule is None:
            raise missing_rule(step)
        for slot, value in zip(step.outputs, rule(step, *[values[i] for i in step.inputs]), strict=True):
            values[slot] = value
    return [values[slot] for slot in program.outputs]


def missing_rule(step: Step) -> TraceError:
    """The error for a primitive that an analysis cannot read."""
    return TraceError(
        f"the primitive '{step.primitive}' at {step.place} has no rule in this analysis: "
        "write that line with other operations"
    )


def no_derivative(named: str) -> TraceError:
    """The error for operations that JAX has no derivative of."""
    return TraceError(
        f"JAX has no derivative of {named}; write it with other operations, or give it one by jax.custom_jvp"
    )


def bind(step: Step, *values: Any) -> Sequence[Any]:
    """The rule that computes what JAX computes."""
    primitive = step.equation.primitive
    with step.equation.ctx.manager:
        out = primitive.bind(*values, **primitive.get_bind_params(step.params))
    return out if primitive.multiple_results else (out,)


__all__ = ["Program", "Rule", "Step", "bind", "called", "inline", "interpret", "missing_rule", "no_derivative"]
