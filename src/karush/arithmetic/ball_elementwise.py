"""Rules of ball arithmetic for elementwise primitives: arithmetic, elementary and special functions."""

import operator
from collections.abc import Callable, Sequence

import numpy as np
from flint import arb

from karush.arithmetic.ball_logic import at_integer, by_kind, logical_and, logical_or
from karush.arithmetic.ball_numbers import (
    Undecided,
    as_array,
    balls,
    binary,
    is_real,
    unary,
)
from karush.jaxprs.walk import Rule, Step

Values = Sequence[np.ndarray]
LARGEST_WRITTEN_OUT = 1024
"""exponent up to which an integer power is a product, defined for every base"""


def of_one(function: Callable[[arb], arb]) -> Rule:
    """Rule of a real function of one number."""
    apply = unary(function)
    return lambda step, a: (apply(a),)


def of_two(function: Callable[[arb, arb], arb], exact: Callable[..., np.ndarray]) -> Rule:
    """Rule of a function of two numbers; `exact` computes it for integers."""
    apply = binary(function)
    return lambda step, a, b: (apply(a, b) if is_real(a) else exact(a, b).astype(step.out_avals[0].dtype),)


def arithmetic(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Rule:
    """Rule of ``+ − ×``, which NumPy hands on to the elements."""
    return lambda step, a, b: (as_array(function(a, b)) if is_real(a) else np.asarray(function(a, b)),)


def same(step: Step, *operands: np.ndarray) -> Values:
    """A primitive that hands its operands on."""
    return operands


# Elementary functions that Arb lacks, or that need care.


def _increasing(function: Callable[[arb], arb]) -> Callable[[arb], arb]:
    """An increasing function by its values at both ends."""
    return lambda a: function(a.lower()).union(function(a.upper()))


def _cbrt(a: arb) -> arb:
    if a == 0:
        return arb(0)
    return a.root(3) if a > 0 else -(-a).root(3)


def _logistic(a: arb) -> arb:
    return 1 / (1 + (-a).exp())


def _polygamma(order: arb, a: arb) -> arb:
    """``ψ⁽ᵐ⁾(a) = (−1)^(m+1) m! ζ(m+1, a)``, m a natural number."""
    m = order.unique_fmpz()
    if m is None or m < 0:
        return arb.nan()
    if m == 0:
        return a.digamma()
    sign = -1 if int(m) % 2 == 0 else 1
    return sign * arb.fac_ui(int(m)) * (order + 1).zeta(a)


def _whole_power(a: arb, y: int) -> arb:
    """``a^y`` for an integer y; written out, for Arb's power of a ball around 0 is not finite."""
    if y < 0:
        return 1 / _whole_power(a, -y)
    if y % 2 == 0 and y and a.contains(0):
        return arb(0).union(a.abs_upper() ** y)
    power, square = arb(1), a
    while y:
        if y & 1:
            power = power * square
        square = square * square
        y >>= 1
    return power


def _power(a: arb, b: arb) -> arb:
    whole = b.unique_fmpz() if b.is_exact() else None
    if whole is not None and abs(whole) <= LARGEST_WRITTEN_OUT:
        return _whole_power(a, int(whole))
    return a**b


def integer_power(step: Step, a: np.ndarray) -> Values:
    """``a^y`` with an integer y fixed in the program."""
    y = int(step.params["y"])
    return (unary(lambda ball: _whole_power(ball, y))(a) if is_real(a) else np.asarray(a**y),)


def power(step: Step, a: np.ndarray, b: np.ndarray) -> Values:
    """``a^b``; negative a for an exact integer b only."""
    return (binary(_power)(a, b if is_real(b) else balls(b)),)


def clamp(step: Step, low: np.ndarray, a: np.ndarray, high: np.ndarray) -> Values:
    """``min(max(low, a), high)``."""
    if not is_real(a):
        return (np.clip(a, low, high),)
    return (binary(arb.min)(binary(arb.max)(low, a), high),)


def divide(step: Step, a: np.ndarray, b: np.ndarray) -> Values:
    """``a / b``; of integers, truncated."""
    if is_real(a):
        return (as_array(a / b),)
    if not b.all():
        raise Undecided(f"an integer at {step.place} is divided by zero")
    # Digit by digit as Python integers: float64 does not hold them all.
    quotient = np.abs(a.astype(object)) // np.abs(b.astype(object))
    return (np.asarray(np.where((a < 0) != (b < 0), -quotient, quotient)).astype(a.dtype),)


def remainder(step: Step, a: np.ndarray, b: np.ndarray) -> Values:
    """``rem``, with the sign of a."""
    if is_real(a):
        return (binary(_remainder)(a, b),)
    if not b.all():
        raise Undecided(f"an integer at {step.place} is divided by zero")
    return (np.fmod(a, b),)


def _remainder(a: arb, b: arb) -> arb:
    """``a − b trunc(a/b)``, for exactly known quotient."""
    quotient = a / b
    whole = quotient.floor() if quotient >= 0 else quotient.ceil()
    return a - b * whole if whole.is_exact() and (quotient >= 0 or quotient <= 0) else arb.nan()


def _round(a: arb, method: int) -> arb:
    """To the nearest integer, halves away from zero (method 0) or to even (method 1)."""
    half = arb(0.5)
    below, above = (a + half).floor(), (a - half).ceil()
    if below == above:
        return below
    whole = below.is_exact() and above.is_exact()
    if whole and a.is_exact():
        if method == 0:
            return below if a > 0 else above
        return below if (below / 2).is_integer() else above
    return below.union(above)


def rounded(step: Step, a: np.ndarray) -> Values:
    """``round``."""
    method = int(step.params["rounding_method"])
    return (unary(lambda ball: _round(ball, method))(a),)


def _kinked(name: str, touches: Callable[..., bool], rule: Rule) -> Rule:
    """`rule`, refused where `touches` says that its kink may lie inside the balls."""

    def refusing(step: Step, *operands: np.ndarray) -> Values:
        if is_real(operands[0]) and np.any(np.frompyfunc(touches, len(operands), 1)(*operands)):
            raise Undecided(f"'{name}' at {step.place} has its kink or jump inside the box")
        return rule(step, *operands)

    return refusing


def _at_half(a: arb) -> bool:
    return (a + arb(0.5)).contains_integer()


def _at_cut(y: arb, x: arb) -> bool:
    """Whether ``atan2(y, x)`` may jump from −π to π on the balls."""
    return bool(y.contains(0)) and not x > 0


RULES: dict[str, Rule] = {
    **dict.fromkeys(("copy", "copy_p", "device_put", "stop_gradient", "optimization_barrier", "name", "real"), same),
    "neg": lambda step, a: (as_array(-a) if is_real(a) else -a,),
    "add": arithmetic(operator.add),
    "add_any": arithmetic(operator.add),
    "sub": arithmetic(operator.sub),
    "mul": arithmetic(operator.mul),
    "div": divide,
    "rem": remainder,
    "max": by_kind(of_two(arb.max, np.maximum), logical_or),
    "min": by_kind(of_two(arb.min, np.minimum), logical_and),
    "clamp": clamp,
    "abs": lambda step, a: (unary(abs)(a) if is_real(a) else np.abs(a),),
    "sign": lambda step, a: (unary(arb.sgn)(a) if is_real(a) else np.sign(a),),
    "floor": of_one(arb.floor),
    "ceil": of_one(arb.ceil),
    "round": rounded,
    "integer_pow": integer_power,
    "pow": power,
    "square": lambda step, a: (unary(lambda ball: _whole_power(ball, 2))(a) if is_real(a) else np.asarray(a * a),),
    "sqrt": of_one(arb.sqrt),
    "rsqrt": of_one(arb.rsqrt),
    "cbrt": of_one(_increasing(_cbrt)),
    "exp": of_one(arb.exp),
    "exp2": of_one(lambda a: (a * arb.const_log2()).exp()),
    "expm1": of_one(arb.expm1),
    "log": of_one(arb.log),
    "log1p": of_one(arb.log1p),
    "sin": of_one(arb.sin),
    "cos": of_one(arb.cos),
    "tan": of_one(arb.tan),
    "asin": of_one(arb.asin),
    "acos": of_one(arb.acos),
    "atan": of_one(arb.atan),
    "atan2": of_two(lambda y, x: arb.atan2(y, x), np.arctan2),
    "sinh": of_one(arb.sinh),
    "cosh": of_one(arb.cosh),
    "tanh": of_one(arb.tanh),
    "asinh": of_one(arb.asinh),
    "acosh": of_one(arb.acosh),
    "atanh": of_one(arb.atanh),
    "logistic": of_one(_logistic),
    "erf": of_one(arb.erf),
    "erfc": of_one(arb.erfc),
    "erf_inv": of_one(arb.erfinv),
    "lgamma": of_one(arb.lgamma),
    "digamma": of_one(arb.digamma),
    "polygamma": of_two(_polygamma, np.add),
    "zeta": of_two(lambda s, q: s.zeta(q), np.add),
}
"""primitive -> rule"""

SMOOTH: dict[str, Rule] = {
    "abs": _kinked("abs", lambda a: a.contains(0), RULES["abs"]),
    "sign": _kinked("sign", lambda a: a.contains(0), RULES["sign"]),
    "max": _kinked("max", arb.overlaps, RULES["max"]),
    "min": _kinked("min", arb.overlaps, RULES["min"]),
    "clamp": _kinked("clamp", lambda low, a, high: a.overlaps(low) or a.overlaps(high), clamp),
    "floor": _kinked("floor", at_integer, RULES["floor"]),
    "ceil": _kinked("ceil", at_integer, RULES["ceil"]),
    "round": _kinked("round", _at_half, rounded),
    "rem": _kinked("rem", lambda a, b: (a / b).contains_integer(), RULES["rem"]),
    "atan2": _kinked("atan2", _at_cut, RULES["atan2"]),
    "cbrt": _kinked("cbrt", lambda a: a.contains(0), RULES["cbrt"]),
}
"""primitive -> rule that refuses kinks and jumps"""

__all__ = ["RULES", "SMOOTH"]
