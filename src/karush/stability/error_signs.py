"""Which computed values are certainly not negative, whatever the rounding."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from karush.arithmetic.interval_numbers import Interval
from karush.jaxprs.walk import Step
from karush.stability.error_bounds import Value

NOT_NEGATIVE = frozenset({"exp", "exp2", "abs", "square", "sqrt", "rsqrt", "logistic", "cosh", "acosh", "erfc", "acos"})
"""functions whose computed values are not negative"""
KEEPS_SIGN = frozenset(
    {"add", "add_any", "mul", "div", "max", "min", "clamp", "reduce_sum", "reduce_prod", "reduce_max", "reduce_min"}
    | {"dot_general", "pow", "floor", "ceil", "round", "integer_pow", "log1p", "expm1", "tanh", "atan", "asinh", "sinh"}
)
"""functions whose computed values are not negative where their operands are not"""


def positive(step: Step, operands: Sequence[Value]) -> Any:
    """Whether the results of a step are certainly not negative."""
    name = step.primitive
    square = name == "mul" and step.inputs[0] == step.inputs[1]
    even = name == "integer_pow" and step.params["y"] % 2 == 0
    if name in NOT_NEGATIVE or square or even:
        return True
    if name in KEEPS_SIGN and all(isinstance(v.exact, Interval) for v in operands):
        out = jnp.asarray(True)
        for v in operands:
            out = out & jnp.all(jnp.asarray(v.positive))
        return out
    return False


__all__ = ["positive"]
