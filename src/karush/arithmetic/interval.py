"""Interval arithmetic inside XLA: a traced program evaluated on boxes, under jit and vmap.

```
x ∈ X   ⟹   F(x) ∈ F(X) = [lo, hi]
```

Each rule encloses the results of one primitive on members of its arguments; composed step by step along the program
they enclose the exact real function of the program [Rum10]. Ends are float64 and rounded outward by measured margins:
what is said is *calibrated*, not proved. What the ends mean, and `ok`, is in `karush.arithmetic.interval_numbers`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from karush.arithmetic import interval_arrays as arrays
from karush.arithmetic import interval_control as control
from karush.arithmetic import interval_functions as functions
from karush.arithmetic import interval_logic as logic
from karush.arithmetic import interval_places as places
from karush.arithmetic import interval_running as running
from karush.arithmetic import interval_special as special
from karush.arithmetic.interval_numbers import (
    Interval,
    Truth,
    constant,
    dense_ok,
    each,
    enter,
    is_new,
    joined,
    lift,
)
from karush.core.errors import PrecisionError, TraceError
from karush.jaxprs.source import function_name, library_file
from karush.jaxprs.walk import Program, Rule, Step, bind, called, inline, interpret

Values = Sequence[Any]
LARGEST_POWER = 1024
"""integer exponents up to which a power is a product"""


def keep(equation: Any) -> bool:
    """Whether a call stays one step: library functions that are enclosed better as a whole."""
    inner = called(equation)
    if inner is None or not library_file(inner.jaxpr.debug_info):
        return False
    return function_name(inner.jaxpr.debug_info) == "logaddexp" and len(inner.jaxpr.invars) == 2


def unary(function: functions.Function) -> Rule:
    """Rule of a function of one number."""
    return lambda step, a: (function(a),)


def binary(function: Callable[[Interval, Interval], Interval]) -> Rule:
    """Rule of a function of two numbers."""
    return lambda step, a, b: (function(a, b),)


def literal(step: Step, index: int) -> float | None:
    """The operand as a number written in the program, if it is one."""
    atom = step.equation.invars[index]
    return float(atom.val) if isinstance(atom, Literal) and np.ndim(atom.val) == 0 else None


def multiply(step: Step, a: Interval, b: Interval) -> Values:
    """``a b``, and ``a²`` where both are one value of the program."""
    return (functions.square(a) if step.inputs[0] == step.inputs[1] else functions.mul(a, b),)


def extreme(name: str, function: Callable[[Interval, Interval], Interval], neutral: float) -> Rule:
    """Rule of max or min; the neutral element, written as an infinite literal, leaves the other operand."""

    def rule(step: Step, a: Interval, b: Interval) -> Values:
        for index, other in ((0, b), (1, a)):
            if literal(step, index) == neutral:
                return (other,)
        return (function(a, b),)

    return rule


def power(step: Step, a: Interval, b: Any) -> Values:
    """``a^b``: a product where the exponent is an integer written in the program."""
    exponent = literal(step, 1)
    if exponent is not None and exponent.is_integer() and abs(exponent) <= LARGEST_POWER:
        return (functions.whole_power(a, int(exponent)),)
    return (functions.power(a, b if isinstance(b, Interval) else logic.real_of_integer(b)),)


def integer_power(step: Step, a: Interval) -> Values:
    """``a^y``."""
    return (functions.whole_power(a, int(step.params["y"])),)


def clamp(step: Step, low: Interval, a: Interval, high: Interval) -> Values:
    """``min(max(low, a), high)``."""
    return (functions.minimum(functions.maximum(low, a), high),)


def sign(a: Interval) -> Interval:
    """``sign a``."""
    return Interval(jnp.sign(a.lo), jnp.sign(a.hi), a.ok)


def staircase(function: Callable[[Any], Any]) -> functions.Function:
    """Rule of an increasing function with exact values: floor, ceil."""
    return lambda a: Interval(function(a.lo), function(a.hi), a.ok)


def rounded(step: Step, a: Interval) -> Values:
    """``round``, which increases and is exact."""
    return (Interval(bind(step, a.lo)[0], bind(step, a.hi)[0], a.ok),)


def exact_of(step: Step, *operands: Any) -> Values:
    """A primitive whose operands are integers or decided answers: what the program computes itself is exact."""
    out = bind(step, *operands)
    if any(aval.dtype.kind == "f" for aval in step.out_avals):
        if step.primitive not in ("convert_element_type", "iota", "empty", "empty2"):
            raise TraceError(f"the primitive '{step.primitive}' at {step.place} makes real numbers and has no rule")
        return [logic.real_of_integer(value) for value in out]
    return out


def guarded(rule: Rule) -> Rule:
    """`rule` where an operand is of this number system, else `exact_of`."""

    def guard(step: Step, *operands: Any) -> Values:
        if not is_new(operands):
            return exact_of(step, *operands)
        if step.primitive not in OF_ANSWERS and any(isinstance(operand, Truth) for operand in operands):
            raise TraceError(
                f"'{step.primitive}' at {step.place} computes with the answer of a comparison of intervals, "
                "which has no rule; use jnp.where"
            )
        if not any(aval.dtype.kind in "iu" for aval in (*step.in_avals, *step.out_avals)):
            return rule(step, *operands)
        return of_integers(rule, step, *operands)

    return guard


def of_integers(rule: Rule, step: Step, *operands: Any) -> Values:
    """`rule` where integers take part: those that are not decided are intervals of integers."""
    counted = [aval.dtype.kind in "iu" for aval in step.in_avals]
    if any(isinstance(item, Interval) for item, known in zip(operands, counted, strict=True) if known):
        if step.primitive not in OF_INTEGERS:
            raise TraceError(
                f"an integer of '{step.primitive}' at {step.place} depends on a number that intervals do not decide"
            )
        operands = tuple(
            logic.real_of_integer(item) if known and not isinstance(item, (Interval, Truth)) else item
            for item, known in zip(operands, counted, strict=True)
        )
    return [
        logic.whole(out, aval.dtype) if isinstance(out, Interval) and aval.dtype.kind in "iu" else out
        for out, aval in zip(rule(step, *operands), step.out_avals, strict=True)
    ]


OWN: dict[str, Rule] = {
    **{name: unary(function) for name, function in functions.UNARY.items()},
    "sign": unary(sign),
    "floor": unary(staircase(jnp.floor)),
    "ceil": unary(staircase(jnp.ceil)),
    "round": rounded,
    "add": binary(functions.add),
    "add_any": binary(functions.add),
    "sub": binary(functions.sub),
    "mul": multiply,
    "div": binary(functions.div),
    "max": extreme("max", functions.maximum, -np.inf),
    "min": extreme("min", functions.minimum, np.inf),
    "clamp": clamp,
    "pow": power,
    "integer_pow": integer_power,
    "custom_jvp_call": binary(running.logaddexp),
    "rem": binary(special.rem),
    "atan2": binary(special.atan2),
    "polygamma": binary(special.polygamma),
    **{name: unary(function) for name, function in special.UNARY.items()},
    **logic.RULES,
    **arrays.RULES,
    **running.RULES,
}

OF_ANSWERS = frozenset(("lt", "le", "gt", "ge", "eq", "ne", *logic.ANSWERS, *arrays.MOVING, "scan", "while", "cond"))
"""primitives whose rules take answers"""
EXACT = "iota empty empty2 shift_left shift_right_logical shift_right_arithmetic xor population_count platform_index"
"""primitives that may only be met with integers"""
INTEGERS = (
    "add sub mul neg abs sign max min clamp square integer_pow lt le gt ge eq ne select_n convert_element_type sort "
    "reduce_sum reduce_max reduce_min cumsum cummax cummin reshape squeeze expand_dims broadcast_in_dim transpose "
    "slice rev concatenate stack copy copy_p"
)
OF_INTEGERS = frozenset(INTEGERS.split())
"""primitives that take integers that are not decided"""


def only_integers(step: Step, *operands: Any) -> Values:
    """No rule for intervals."""
    raise TraceError(f"the primitive '{step.primitive}' at {step.place} has no rule for intervals")


RULES: dict[str, Rule] = {name: guarded(rule) for name, rule in OWN.items()}
RULES |= {name: guarded(only_integers) for name in EXACT.split()}
RULES |= control.rules(RULES)
"""primitive -> rule"""


def at_places(name: str, rule: Callable[..., Interval]) -> Rule:
    """`rule` where a real array is read or written at a place that is not decided, else that of `RULES`."""

    def placed(step: Step, *operands: Any) -> Values:
        counted = [aval.dtype.kind in "iu" for aval in step.in_avals]
        kinds = [isinstance(operand, Interval) for operand in operands]
        undecided = any(kind for kind, whole in zip(kinds, counted, strict=True) if whole)
        if undecided and all(kind for kind, whole in zip(kinds, counted, strict=True) if not whole):
            return (rule(step, *operands),)
        return RULES[name](step, *operands)

    return placed


PROGRAM_RULES = RULES | {name: at_places(name, rule) for name, rule in (places.READS | places.WRITES).items()}
PROGRAM_RULES |= control.rules(PROGRAM_RULES)
"""primitive -> rule, of whole programs: not for analyses that follow each element, as an element read may be several"""


def require_double() -> None:
    """Refuse to compute where JAX would round every end to float32.

    Raises
    ------
    PrecisionError
        outside `karush.core.precision.float64`.
    """
    if jnp.asarray(0.0).dtype != jnp.float64:
        raise PrecisionError("interval ends are float64; call this within karush.core.precision.float64()")


class IntervalProgram:
    """A closed jaxpr of flat float64 arrays, called with intervals, inside or outside a trace.

    Call it within `karush.core.precision.float64`, and with JAX's standard promotion. Custom derivative rules in the
    program play no part.
    """

    def __init__(self, closed_jaxpr: Any):
        self.program: Program = inline(closed_jaxpr, keep, real=True)

    def __call__(self, *boxes: Interval) -> list[Interval]:
        """Enclosures of the outputs.

        Raises
        ------
        TraceError
            for a primitive without a rule, with its name and the user's line.
        """
        require_double()
        outputs = interpret(self.program, boxes, PROGRAM_RULES, lift=lift)
        return [joined(real(value)) for value in outputs]


def real(value: Any) -> Interval:
    """Any value of the walker as an interval."""
    if isinstance(value, Interval):
        return value
    if isinstance(value, Truth):
        return Interval(jnp.where(value.can_be_false, 0.0, 1.0), jnp.where(value.can_be_true, 1.0, 0.0))
    return logic.real_of_integer(value)


__all__ = ["RULES", "Interval", "IntervalProgram", "constant", "dense_ok", "each", "enter", "real", "require_double"]
