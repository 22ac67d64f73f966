"""Primitives on floats with an exponent of their own (`karush.arithmetic.far_numbers`)."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.arithmetic import far_numbers as far
from karush.arithmetic import twofold_arrays as arrays
from karush.arithmetic import twofold_control as control
from karush.arithmetic import twofold_rules as twofold
from karush.arithmetic.far_numbers import Far
from karush.arithmetic.twofold_numbers import FORMATS
from karush.core.errors import TraceError
from karush.jaxprs.walk import Rule, Step, bind

Values = Sequence[Any]


def lift(value: Any) -> Any:
    """An array of the program as a value of this number system; integers and answers stay what they are.

    Raises
    ------
    TraceError
        for a dtype that is not float32 or float64.
    """
    if isinstance(value, Far):
        return value
    array = value if hasattr(value, "dtype") else jnp.asarray(value)
    if np.dtype(array.dtype).name in FORMATS:
        return far.of_float(array)
    if jnp.issubdtype(array.dtype, jnp.inexact):
        raise TraceError(f"the program holds numbers of dtype {array.dtype}; float32 and float64 have a far exponent")
    return jnp.asarray(array)


enter = lift


def rounded(value: Any) -> Any:
    """A value of the number system as an array of the program's dtype."""
    return far.plain(value) if isinstance(value, Far) else value


def settled(value: Any) -> Any:
    """A number whose parts have one shape."""
    return Far(*jnp.broadcast_arrays(*value)) if isinstance(value, Far) else value


def unary(function: Callable[[Far], Far]) -> Rule:
    """Rule of a function of one number."""
    return lambda step, a: (function(a),)


def binary(function: Callable[[Far, Far], Far]) -> Rule:
    """Rule of a function of two numbers."""
    return lambda step, a, b: (function(a, b),)


def comparison(name: str) -> Rule:
    """Rule of ``a < b`` and its kin."""
    return lambda step, a, b: (far.COMPARISONS[name](a, b),)


def moved(step: Step, *operands: Any) -> Values:
    """A primitive that moves elements: the same for both parts."""
    numbers = [settled(item) for item in operands]
    pairs = [item if isinstance(item, Far) else (item, item) for item in numbers]
    results = [bind(step, *given) for given in zip(*pairs, strict=True)]
    return [
        Far(m, e) if jnp.issubdtype(aval.dtype, jnp.floating) else m
        for m, e, aval in zip(*results, step.out_avals, strict=True)
    ]


def select(step: Step, which: Any, *cases: Any) -> Values:
    """``select_n``."""
    if not isinstance(cases[0], Far):
        return bind(step, which, *cases)
    columns = [jnp.broadcast_arrays(*part) for part in zip(*map(settled, cases), strict=True)]
    return (Far(*(lax.select_n(which, *part) for part in columns)),)


def power(step: Step, a: Far, b: Any) -> Values:
    """``a^b``: a product where the exponent is an integer written in the program."""
    written = getattr(step.equation.invars[1], "val", None)
    if written is not None and np.ndim(written) == 0 and twofold.whole(float(written)):
        return (far.whole_power(a, int(written)),)
    return (far.power(a, b if isinstance(b, Far) else lift(jnp.asarray(b).astype(a.m.dtype))),)


def folded(combine: Callable[[Far, Far], Far], number: float) -> Rule:
    """Rule of a reduction along axes."""

    def rule(step: Step, a: Far) -> Values:
        def neutral(shape: Any) -> Far:
            return lift(jnp.full(shape, number, a.m.dtype))

        return (arrays.tree(combine, settled(a), step.params["axes"], neutral),)

    return rule


def convert(step: Step, a: Any) -> Values:
    """Change of type."""
    new = np.dtype(step.out_avals[0].dtype)
    if isinstance(a, Far) and new == a.m.dtype:
        return (a,)
    return [lift(value) for value in bind(step, rounded(a))]


def within_range(step: Step, *operands: Any) -> Values:
    """The primitive itself, in the range of the dtype."""
    return [lift(value) for value in bind(step, *map(rounded, operands))]


def clamp(step: Step, low: Far, a: Far, high: Far) -> Values:
    """``min(max(low, a), high)``."""
    return (far.smaller(far.larger(low, a), high),)


def half(a: Far) -> Far:
    """``a/2``."""
    return Far(a.m, a.e - 1)


WITHIN_RANGE = (
    "floor", "ceil", "round", "sign", "rem", "atan2", "acos", "acosh", "cos", "tanh", "erf", "erfc", "erf_inv",
    "lgamma", "digamma", "cumsum", "cumprod", "cummax", "cummin", "sort", "argmax", "argmin", "dot_general", "top_k",
    "bitcast_convert_type", "exp2", "cbrt", "scatter-add", "nextafter", "cumlogsumexp", "igamma", "igammac",
    "bessel_i0e", "bessel_i1e", "regularized_incomplete_beta",
)  # fmt: skip
"""primitives that are computed as they are"""

OWN: dict[str, Rule] = {
    **{name: binary(getattr(far, name)) for name in ("add", "sub", "mul", "div")},
    "add_any": binary(far.add),
    **{name: unary(getattr(far, name)) for name in ("neg", "sqrt", "square", "exp", "log")},
    "abs": unary(far.absolute),
    "rsqrt": unary(lambda a: far.div(far.one(a), far.sqrt(a))),
    **{
        name: unary(far.odd(function))
        for name, function in {
            "sin": jnp.sin, "tan": jnp.tan, "asin": jnp.arcsin, "atan": jnp.arctan, "asinh": jnp.arcsinh,
            "atanh": jnp.arctanh,
        }.items()
    },
    "log1p": unary(lambda a: far.choose(a.e > 0, far.log(far.add(far.one(a), a)), far.odd(jnp.log1p)(a))),
    "expm1": unary(
        far.like_exp(far.odd(jnp.expm1), lambda a, e: far.choose(a.m > 0, e, far.neg(far.one(a))))
    ),
    "logistic": unary(
        far.like_exp(far.within(lambda x: 1 / (1 + jnp.exp(-x))),
                     lambda a, e: far.choose(a.m > 0, far.one(a), far.div(far.one(a), e)))
    ),
    "cosh": unary(far.like_exp(far.within(jnp.cosh), lambda a, e: half(e))),
    "sinh": unary(
        far.like_exp(far.odd(jnp.sinh), lambda a, e: far.choose(a.m > 0, half(e), far.neg(half(e))))
    ),
    "pow": power,
    "integer_pow": lambda step, a: (far.whole_power(a, int(step.params["y"])),),
    **{name: comparison(name) for name in far.COMPARISONS},
    "is_finite": lambda step, a: (jnp.isfinite(a.m),),
    "max": binary(far.larger),
    "min": binary(far.smaller),
    "clamp": clamp,
    "select_n": select,
    "reduce_sum": lambda step, a: (far.total(settled(a), step.params["axes"]),),
    "reduce_prod": folded(far.mul, 1.0),
    "reduce_max": folded(far.larger, -np.inf),
    "reduce_min": folded(far.smaller, np.inf),
    **dict.fromkeys(WITHIN_RANGE, within_range),
    **dict.fromkeys(("gather", *(name for name in arrays.MOVING if name != "neg")), moved),
}  # fmt: skip


def guarded(rule: Rule) -> Rule:
    """`rule` where an operand is a number of this kind; what integers and answers make is lifted."""

    def guard(step: Step, *operands: Any) -> Values:
        if any(isinstance(operand, Far) for operand in operands):
            return rule(step, *operands)
        return [lift(value) for value in bind(step, *operands)]

    return guard


RULES: dict[str, Rule] = {name: guarded(rule) for name, rule in OWN.items()}
RULES |= {name: guarded(twofold.only_exact) for name in twofold.EXACT}
RULES["convert_element_type"] = convert
RULES |= control.rules(RULES, lift, settled)
"""primitive -> rule"""

__all__ = ["RULES", "enter", "lift", "rounded"]
