"""Which values of a program can never be negative, read off its operations: ``|a| = a`` there, and no kink."""

import numpy as np

from karush.jaxprs.walk import Program, Step

POSITIVE = frozenset({"exp", "exp2", "abs", "square", "sqrt", "cosh", "logistic", "erfc"})
"""primitives whose value is never negative"""

ARITHMETIC = {"add", "add_any", "mul", "div", "dot_general", "max", "min", "convert_element_type", "stop_gradient"}
SUMS = {"reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "cumsum"}
MOVES = {"broadcast_in_dim", "reshape", "squeeze", "slice", "transpose", "concatenate", "stack", "rev", "copy"}
KEEPING = frozenset(ARITHMETIC | SUMS | MOVES)
"""primitives whose value is never negative if no operand is"""


def never_negative(program: Program) -> set[int]:
    """Slots that hold no negative number at any x; NaN aside."""
    slots = {slot for slot, constant in program.constants.items() if np.all(np.asarray(constant) >= 0)}
    for step in program.steps:
        if _positive(step) or (step.primitive in KEEPING and slots.issuperset(step.inputs)):
            slots.update(step.outputs)
    return slots


def _positive(step: Step) -> bool:
    if step.primitive == "integer_pow":
        return step.params["y"] % 2 == 0
    return step.primitive in POSITIVE or (step.primitive == "mul" and len(set(step.inputs)) == 1)


__all__ = ["never_negative"]
