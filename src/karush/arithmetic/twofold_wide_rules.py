"""The rules of twofold numbers without limits of range, one per primitive."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic import twofold_arrays as arrays
from karush.arithmetic import twofold_control as control
from karush.arithmetic import twofold_exp as exponentials
from karush.arithmetic import twofold_logic as logic
from karush.arithmetic import twofold_rules as narrow
from karush.arithmetic import twofold_waves as waves
from karush.arithmetic import twofold_wide as wide
from karush.arithmetic.twofold_numbers import Twofold
from karush.arithmetic.twofold_wide import Wide
from karush.jaxprs.walk import Rule, Step, bind

Values = Sequence[Any]


def enter(value: Any) -> Any:
    """An input: a float without an anchor."""
    lifted = narrow.lift(value)
    return wide.free(wide.of_twofold(lifted)) if isinstance(lifted, Twofold) else lifted


def lift(value: Any) -> Any:
    """A constant of the program: a float is its own anchor."""
    if isinstance(value, Wide):
        return value
    lifted = narrow.lift(value)
    if not isinstance(lifted, Twofold):
        return lifted
    return wide.anchored(lifted.hi, wide.of_float(lifted.lo))


def rounded(value: Any) -> Any:
    """A value of the number system as an array of the program's dtype."""
    return wide.plain(wide.value(value)).hi if isinstance(value, Wide) else value


def settled(value: Any) -> Any:
    """A value of the same structure on every turn of a loop and in every branch; its parts have one shape."""
    if not isinstance(value, Wide):
        return value
    leaves, treedef = jax.tree_util.tree_flatten(Wide(wide.anchor(value), value.t))
    return jax.tree_util.tree_unflatten(treedef, jnp.broadcast_arrays(*leaves))


def unary(function: Callable[[Wide], Wide]) -> Rule:
    """Rule of a function of one number."""
    return lambda step, a: (function(a),)


def binary(function: Callable[[Wide, Wide], Wide]) -> Rule:
    """Rule of a function of two numbers."""
    return lambda step, a, b: (function(a, b),)


def within_range(rule: Rule) -> Rule:
    """The twofold `rule`, of arguments and results in the range of the dtype."""

    def inner(step: Step, *operands: Any) -> Values:
        given = [wide.plain(wide.value(item)) if isinstance(item, Wide) else item for item in operands]
        return [wide.free(wide.of_twofold(item)) if isinstance(item, Twofold) else item for item in rule(step, *given)]

    return inner


def odd(function: Callable[[Twofold], Twofold]) -> Rule:
    """Rule of a function with ``f(t) = t + O(t³)``: the smallest numbers are their own value."""

    def inner(step: Step, a: Wide) -> Values:
        t = wide.value(a)
        return (wide.free(wide.pick(wide.tiny(t), t, wide.of_twofold(function(wide.plain(t))))),)

    return inner


def moved(step: Step, *operands: Any) -> Values:
    """A primitive that moves elements: the same for every part."""
    numbers = [settled(item) for item in operands]
    parts = [jax.tree_util.tree_leaves(item) if isinstance(item, Wide) else [item] * PARTS for item in numbers]
    treedef = next(jax.tree_util.tree_structure(item) for item in numbers if isinstance(item, Wide))
    results = [bind(step, *given) for given in zip(*parts, strict=True)]
    return [
        jax.tree_util.tree_unflatten(treedef, pieces) if jnp.issubdtype(aval.dtype, jnp.floating) else pieces[0]
        for pieces, aval in zip(zip(*results, strict=True), step.out_avals, strict=True)
    ]


PARTS = 4
"""arrays in a number: anchor, upper and lower part, exponent"""


def difference(a: Wide, b: Wide) -> Any:
    """A float with the sign of ``a - b``."""
    return wide.value(wide.sub(a, b)).m.hi


def equal(a: Wide, b: Wide) -> Any:
    """``a == b``."""
    ends = (wide.value(a).m.hi == wide.value(b).m.hi) & jnp.isinf(wide.value(a).m.hi)
    return (difference(a, b) == 0) | ends


COMPARISONS: dict[str, Callable[[Wide, Wide], Any]] = {
    "lt": lambda a, b: difference(a, b) < 0,
    "gt": lambda a, b: difference(a, b) > 0,
    "le": lambda a, b: (difference(a, b) <= 0) | equal(a, b),
    "ge": lambda a, b: (difference(a, b) >= 0) | equal(a, b),
    "eq": equal,
    "ne": lambda a, b: ~equal(a, b),
}


def comparison(name: str) -> Rule:
    """Rule of ``a < b`` and its kin."""
    return lambda step, a, b: (COMPARISONS[name](a, b),)


def larger(a: Wide, b: Wide) -> Wide:
    """The larger one, or what is undefined."""
    return wide.select((difference(a, b) < 0) | jnp.isnan(b.t.m.hi), b, a)


def smaller(a: Wide, b: Wide) -> Wide:
    """The smaller one, or what is undefined."""
    return wide.select((difference(a, b) > 0) | jnp.isnan(b.t.m.hi), b, a)


def select(step: Step, which: Any, *cases: Any) -> Values:
    """``select_n`` of two cases; of more, moved as they are."""
    if len(cases) == 2 and isinstance(cases[0], Wide):
        return (wide.select(jnp.asarray(which, bool), cases[1], cases[0]),)
    return moved(step, which, *cases)


def folded(combine: Callable[[Wide, Wide], Wide], number: float) -> Rule:
    """Rule of a reduction along axes."""

    def rule(step: Step, a: Wide) -> Values:
        dtype = a.t.m.hi.dtype
        return (arrays.tree(combine, settled(a), step.params["axes"], lambda s: lift(jnp.full(s, number, dtype))),)

    return rule


def settling(combine: Callable[[Wide, Wide], Wide]) -> Callable[[Wide, Wide], Wide]:
    """The operation with an anchor in every result."""
    return lambda a, b: settled(combine(a, b))


def one_like(a: Wide) -> Wide:
    """The number 1, anchored."""
    return Wide(jnp.ones_like(a.t.m.hi), wide.of_float(jnp.zeros_like(a.t.m.hi)))


def whole_power(a: Wide, n: int) -> Wide:
    """``a^n`` by squarings."""
    if n < 0:
        return wide.div(one_like(a), whole_power(a, -n))
    out = None
    while n:
        if n & 1:
            out = a if out is None else wide.mul(out, a)
        n >>= 1
        a = wide.mul(a, a) if n else a
    return one_like(a) if out is None else out


def power(step: Step, a: Wide, b: Any) -> Values:
    """``a^b``: a product where the exponent is an integer written in the program."""
    written = getattr(step.equation.invars[1], "val", None)
    if written is not None and np.ndim(written) == 0 and narrow.whole(float(written)):
        return (whole_power(a, int(written)),)
    b = b if isinstance(b, Wide) else enter(jnp.asarray(b).astype(a.t.m.hi.dtype))
    return (wide.power(a, b),)


def logistic(a: Wide) -> Wide:
    """``1 / (1 + exp(-a))``."""
    return wide.div(one_like(a), wide.add(one_like(a), wide.exp(wide.neg(a))))


def convert(step: Step, a: Any) -> Values:
    """Change of type; between floats, part by part."""
    new = np.dtype(step.out_avals[0].dtype)
    if not isinstance(a, Wide):
        (out,) = logic.convert(step, a)
        return (wide.free(wide.of_twofold(out)) if isinstance(out, Twofold) else out,)
    if new.kind != "f":
        return logic.convert(step, wide.plain(wide.value(a)))
    if new == step.in_avals[0].dtype:
        return (a,)
    t = wide.value(a)
    (m,) = logic.convert(step, t.m)
    return (wide.free(wide.normalized(m, t.e)),)


MOVED = ("gather", *(name for name in arrays.MOVING if name != "neg"))
WITHIN_RANGE = (
    "floor", "ceil", "round", "sign", "rem", "clamp", "is_finite", "atan2", "cbrt", "acos", "acosh",
    "erf", "erfc", "erf_inv", "lgamma", "digamma", "cumsum", "cumprod", "cummax", "cummin", "sort", "argmax", "argmin",
    "dot_general", "top_k", "bitcast_convert_type",
)  # fmt: skip
"""primitives whose twofold rule is used as it is"""

OWN: dict[str, Rule] = {
    **{name: binary(getattr(wide, name)) for name in ("add", "sub", "mul", "div")},
    "add_any": binary(wide.add),
    **{name: unary(getattr(wide, name)) for name in ("neg", "sqrt", "exp", "expm1", "log", "log1p", "cos", "cosh")},
    "sinh": unary(wide.sinh),
    "abs": unary(wide.absolute),
    "square": unary(lambda a: wide.mul(a, a)),
    "rsqrt": unary(lambda a: wide.div(one_like(a), wide.sqrt(a))),
    "logistic": unary(logistic),
    "pow": power,
    "integer_pow": lambda step, a: (whole_power(a, int(step.params["y"])),),
    **{name: odd(getattr(waves, name)) for name in ("sin", "tan", "atan", "asin", "tanh")},
    **{name: odd(getattr(exponentials, name)) for name in ("asinh", "atanh")},
    **{name: comparison(name) for name in COMPARISONS},
    "max": binary(larger),
    "min": binary(smaller),
    "select_n": select,
    "reduce_sum": folded(settling(wide.add), 0.0),
    "reduce_prod": folded(settling(wide.mul), 1.0),
    "reduce_max": folded(settling(larger), -np.inf),
    "reduce_min": folded(settling(smaller), np.inf),
    **dict.fromkeys(MOVED, moved),
}


def guarded(rule: Rule) -> Rule:
    """`rule` where an operand is a number of this kind; what integers and answers make is lifted."""

    def guard(step: Step, *operands: Any) -> Values:
        if any(isinstance(operand, Wide) for operand in operands):
            return rule(step, *operands)
        return [lift(value) for value in bind(step, *operands)]

    return guard


RULES: dict[str, Rule] = {name: guarded(rule) for name, rule in OWN.items()}
RULES |= {name: guarded(within_range(narrow.OWN[name])) for name in WITHIN_RANGE}
RULES |= {name: guarded(narrow.only_exact) for name in narrow.EXACT}
RULES["convert_element_type"] = convert
RULES |= control.rules(RULES, lift, settled)
"""primitive -> rule"""

__all__ = ["RULES", "enter", "lift", "rounded"]
