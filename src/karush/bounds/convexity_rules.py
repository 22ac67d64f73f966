"""The rules of convex analysis, one per primitive, and the walk over a traced program by them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from karush.bounds import convexity_algebra as algebra
from karush.bounds import convexity_functions as functions
from karush.bounds import convexity_ranges as ranges
from karush.bounds.convexity_atoms import ATOMS, atom_name
from karush.bounds.convexity_choice import Choice, answer, choose, compare
from karush.bounds.convexity_curve import EVERYWHERE, Curve, constant, curve, unknown
from karush.bounds.convexity_moves import RULES as MOVING
from karush.bounds.convexity_walk import CONTROL, Rule, Values, Walk, as_curve, opaque
from karush.jaxprs.walk import Step, inline


def unary(function: Callable[[Curve], Curve]) -> Rule:
    """Rule of a function of one value."""
    return lambda walk, step, a: (function(a),)


def binary(function: Callable[[Curve, Curve], Curve]) -> Rule:
    """Rule of a function of two values; integers and answers count as numbers."""
    return lambda walk, step, a, b: (function(as_curve(walk, a), as_curve(walk, b)),)


def identity(walk: Walk, step: Step, a: Any, *rest: Any) -> Values:
    """A primitive that hands its operand on."""
    return (a, *rest)


def convert(walk: Walk, step: Step, a: Any) -> Values:
    """Change of type."""
    if step.out_avals[0].dtype.kind == "f":
        return (as_curve(walk, a),)
    if isinstance(a, Choice):
        return (a,)
    return (unknown(step.out_avals[0].shape),)


def clamp(walk: Walk, step: Step, low: Any, a: Curve, high: Any) -> Values:
    """``min(max(low, a), high)``."""
    return (functions.smaller(functions.larger(a, as_curve(walk, low)), as_curve(walk, high)),)


def comparison(walk: Walk, step: Step, a: Any, b: Any) -> Values:
    """``a < b`` and its kin."""
    return (compare(step.primitive, as_curve(walk, a), as_curve(walk, b)),)


def is_finite(walk: Walk, step: Step, a: Curve) -> Values:
    """A real number is finite."""
    sure = np.full(a.shape, a.defined == EVERYWHERE)
    return (Choice(np.ones(a.shape, bool), ~sure),)


def logical(walk: Walk, step: Step, *given: Any) -> Values:
    """``and``, ``or``, ``not`` of answers that may be open; of integers, bit by bit, nothing is known."""
    if step.out_avals[0].dtype != np.bool_:
        return (opaque(step.out_avals[0], list(given)),)
    answers = [answer(value) for value in given]
    if step.primitive == "not":
        return (Choice(answers[0].no, answers[0].yes),)
    a, b = answers
    if step.primitive == "and":
        return (Choice(a.yes & b.yes, a.no | b.no),)
    return (Choice(a.yes | b.yes, a.no & b.no),)


def select(walk: Walk, step: Step, which: Any, *cases: Any) -> Values:
    """``select_n``."""
    open_among_more = isinstance(which, Curve) and len(cases) != 2
    if open_among_more or any(isinstance(case, Choice) for case in cases) or step.out_avals[0].dtype.kind != "f":
        return [opaque(aval, [which, *cases]) for aval in step.out_avals]
    which = answer(which) if isinstance(which, Curve) else which
    return (choose(which, [as_curve(walk, case) for case in cases], step.out_avals[0].shape),)


def power(walk: Walk, step: Step, a: Any, b: Any) -> Values:
    """``a^b``."""
    return (functions.powers(as_curve(walk, a), as_curve(walk, b)),)


def library(walk: Walk, step: Step, *given: Any) -> Values:
    """A function of JAX's that is known as a whole."""
    return (ATOMS[atom_name(step.equation) or ""](*[as_curve(walk, value) for value in given]),)


COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
RULES: dict[str, Rule] = {
    **{name: unary(lambda a, name=name: functions.smooth(name, a)) for name in ranges.REGIONS},
    **dict.fromkeys(("copy", "copy_p", "stop_gradient", "optimization_barrier", "device_put", "name"), identity),
    **MOVING,
    **CONTROL,
    **dict.fromkeys(COMPARISONS, comparison),
    **dict.fromkeys(("and", "or", "not"), logical),
    **dict.fromkeys(("jit", "pjit", "custom_jvp_call", "custom_vjp_call"), library),
    "neg": unary(algebra.neg),
    "abs": unary(functions.absolute),
    "exp": unary(functions.exp),
    "exp2": unary(lambda a: functions.exp(algebra.multiply(a, _about(np.log(2.0))))),
    "log": unary(functions.log),
    "log1p": unary(lambda a: functions.log(algebra.add(a, _number(1.0)))),
    "sqrt": unary(lambda a: algebra.power(a, 0.5)),
    "rsqrt": unary(lambda a: algebra.power(a, -0.5)),
    "square": unary(lambda a: algebra.power(a, 2.0)),
    "integer_pow": lambda walk, step, a: (algebra.power(a, float(step.params["y"])),),
    "add": binary(algebra.add),
    "add_any": binary(algebra.add),
    "sub": binary(functions.subtract),
    "mul": binary(algebra.multiply),
    "div": binary(algebra.divide),
    "min": binary(functions.smaller),
    "pow": power,
    "clamp": clamp,
    "convert_element_type": convert,
    "select_n": select,
    "is_finite": is_finite,
}
"""primitive -> rule"""


def _number(value: float) -> Curve:
    end = np.asarray(value, np.float64)
    return constant((end, end))


def _about(value: float) -> Curve:
    """A mathematical constant."""
    return constant(ranges.outward(np.asarray(value), np.asarray(value), 2.0))


def walk(closed_jaxpr: Any, lo: np.ndarray, hi: np.ndarray, params: Sequence[Curve] = ()) -> tuple[list[Any], Walk]:
    """Curves of the outputs of ``(x (n,), *params)`` on the box [lo, hi], and the walk itself.

    Call it within `karush.core.precision.float64`.
    """
    program = inline(closed_jaxpr, lambda equation: atom_name(equation) is not None, real=True)
    turn = Walk(program, RULES)
    start = curve((lo, hi), True, True, node=turn.number("x"))
    with np.errstate(all="ignore"):
        outs = turn.run(program, [start, *[replace(p, node=turn.number(("param", k))) for k, p in enumerate(params)]])
    return outs, turn


__all__ = ["walk"]
