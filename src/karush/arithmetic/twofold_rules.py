"""The rules of twofold arithmetic, one per primitive."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from karush.arithmetic import twofold_arrays as arrays
from karush.arithmetic import twofold_control as control
from karush.arithmetic import twofold_exp as exponentials
from karush.arithmetic import twofold_logic as logic
from karush.arithmetic import twofold_numbers as numbers
from karush.arithmetic import twofold_special as special
from karush.arithmetic import twofold_waves as waves
from karush.arithmetic.twofold_numbers import FORMATS, Twofold
from karush.core.errors import TraceError
from karush.jaxprs.walk import Rule, Step, bind

Values = Sequence[Any]
LARGEST_POWER = 1024
"""integer exponents up to which a power is a product"""


def unary(function: Callable[[Twofold], Twofold]) -> Rule:
    """Rule of a function of one number."""
    return lambda step, a: (function(a),)


def binary(function: Callable[[Twofold, Twofold], Twofold]) -> Rule:
    """Rule of a function of two numbers."""
    return lambda step, a, b: (function(a, b),)


def power(step: Step, a: Twofold, b: Any) -> Values:
    """``a^b``: a product where the exponent is an integer written in the program or of integer dtype."""
    written = getattr(step.equation.invars[1], "val", None)
    if written is not None and np.ndim(written) == 0 and whole(float(written)):
        return (exponentials.whole_power(a, int(written)),)
    if not isinstance(b, Twofold):
        (b,) = (numbers.exact(jnp.asarray(b).astype(a.hi.dtype)),)
    return (exponentials.power(a, b),)


def whole(value: float) -> bool:
    """Whether an exponent is an integer that is worth multiplying out."""
    return value.is_integer() and abs(value) <= LARGEST_POWER


def integer_power(step: Step, a: Twofold) -> Values:
    """``a^y``."""
    return (exponentials.whole_power(a, int(step.params["y"])),)


def rsqrt(a: Twofold) -> Twofold:
    """``1 / sqrt a``."""
    return numbers.reciprocal(numbers.sqrt(a))


def bits_of_upper(step: Step, a: Twofold) -> Values:
    """The bits of the upper part: a program that takes a number apart gets what it would get of one float."""
    return bind(step, a.hi)


OWN: dict[str, Rule] = {
    "bitcast_convert_type": bits_of_upper,
    **{name: binary(getattr(numbers, name)) for name in ("add", "sub", "mul", "div")},
    "add_any": binary(numbers.add),
    **{name: unary(getattr(numbers, name)) for name in ("sqrt", "square")},
    "rsqrt": unary(rsqrt),
    "abs": unary(numbers.absolute),
    **{
        name: unary(getattr(exponentials, name))
        for name in ("exp", "exp2", "expm1", "log", "log1p", "logistic", "cbrt", "asinh", "acosh", "atanh")
    },
    **{
        name: unary(getattr(waves, name))
        for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")
    },
    "atan2": binary(waves.atan2),
    "pow": power,
    "integer_pow": integer_power,
    "max": binary(arrays.maximum),
    "min": binary(arrays.minimum),
    "floor": unary(logic.floor),
    "ceil": unary(logic.ceil),
    "sign": unary(logic.sign),
    "rem": binary(logic.rem),
    **logic.RULES,
    **arrays.RULES,
    **special.RULES,
}


def guarded(rule: Rule) -> Rule:
    """`rule` where an operand is twofold; integers and answers are computed as they are, what they make is lifted."""

    def guard(step: Step, *operands: Any) -> Values:
        if any(isinstance(operand, Twofold) for operand in operands):
            return rule(step, *operands)
        return [lift(value) for value in bind(step, *operands)]

    return guard


def only_exact(step: Step, *operands: Any) -> Values:
    """A primitive that makes integers or answers of integers or answers.

    Raises
    ------
    TraceError
        if it takes real numbers: it has no rule here.
    """
    raise TraceError(
        f"the primitive '{step.primitive}' at {step.place} has no rule in twofold arithmetic: "
        "write that line with other operations"
    )


EXACT = (
    "iota", "empty", "empty2", "and", "or", "not", "xor", "shift_left", "shift_right_logical", "clz",
    "shift_right_arithmetic", "population_count", "reduce_and", "reduce_or", "reduce_xor", "random_bits",
    "random_seed", "random_wrap", "random_unwrap", "random_fold_in", "random_split", "threefry2x32",
    "random_clone",
)  # fmt: skip
"""primitives that are only met with integers and answers"""


def lift(value: Any) -> Any:
    """An array of the program as a value of this number system; integers and answers stay what they are.

    Raises
    ------
    TraceError
        for a dtype without a twofold arithmetic.
    """
    if isinstance(value, Twofold):
        return value
    array = jnp.asarray(value)
    if array.dtype.name in FORMATS:
        return numbers.exact(numbers.hidden(array, array))
    if jnp.issubdtype(array.dtype, jnp.inexact):
        raise TraceError(
            f"the program holds numbers of dtype {array.dtype.name}; twofold arithmetic takes float32 and float64"
        )
    return array


enter = lift

RULES: dict[str, Rule] = {name: guarded(rule) for name, rule in OWN.items()}
RULES |= {name: guarded(only_exact) for name in EXACT}
RULES["convert_element_type"] = lambda step, a: logic.convert(step, a)
RULES |= control.rules(RULES, lift)
"""primitive -> rule"""


def rounded(value: Any) -> Any:
    """A value of the number system as an array of the program's dtype."""
    return value.hi if isinstance(value, Twofold) else value


__all__ = ["EXACT", "RULES", "lift", "only_exact", "rounded", "whole"]
