"""Ranges of first and second derivatives of the elementary functions: tight ones, for the chain rule.

``f'([x])`` is computed as one function of x with its own extremes, not as the interval of the formula that automatic
differentiation writes. With t = tanh x, for example, ``f'' = −2t (1 − t²)`` has its extremes at t = ±1/√3.
"""

import math
from collections.abc import Callable

import jax.numpy as jnp

from karush.arithmetic import interval_functions as functions
from karush.arithmetic.interval_numbers import Interval, around, constant, hull
from karush.arithmetic.interval_special import polygamma_of

Slope = Callable[[Interval, Interval], Interval]
"""([x], f([x])) -> range of a derivative"""


def at_ends(function: functions.Function, critical: tuple[float, ...], t: Interval) -> Interval:
    """Range over t of a function of one number that is monotone between its `critical` places.

    A critical place, known to a few ulps, counts wherever it may lie in t.
    """
    out = hull(function(Interval(t.lo, t.lo)), function(Interval(t.hi, t.hi)))
    for place in critical:
        near = around(place, 4.0)
        inside = (t.lo <= near.hi) & (t.hi >= near.lo)
        value = function(near)
        out = Interval(
            jnp.where(inside, jnp.minimum(out.lo, value.lo), out.lo),
            jnp.where(inside, jnp.maximum(out.hi, value.hi), out.hi),
            out.ok,
        )
    return Interval(out.lo, out.hi, t.ok)


def _one_minus_square(t: Interval) -> Interval:
    return functions.sub(constant(1.0), functions.square(t))


def _twice(a: Interval) -> Interval:
    return functions.mul(constant(2.0), a)


def _tanh_second(t: Interval) -> Interval:
    return functions.mul(functions.neg(_twice(t)), _one_minus_square(t))


def _logistic_first(s: Interval) -> Interval:
    return functions.mul(s, functions.sub(constant(1.0), s))


def _logistic_second(s: Interval) -> Interval:
    return functions.mul(_logistic_first(s), functions.sub(constant(1.0), _twice(s)))


def _gauss(x: Interval) -> Interval:
    return functions.mul(around(2.0 / math.sqrt(math.pi)), functions.UNARY["exp"](functions.neg(functions.square(x))))


def _gauss_slope(x: Interval) -> Interval:
    return functions.neg(functions.mul(_twice(x), _gauss(x)))


def _bell(x: Interval) -> Interval:
    return functions.div(constant(1.0), functions.add(constant(1.0), functions.square(x)))


def _bell_slope(x: Interval) -> Interval:
    return functions.neg(functions.mul(_twice(x), functions.square(_bell(x))))


def _sign_hull(x: Interval, f: Interval) -> Interval:
    """Clarke's derivative of ``|x|``."""
    return Interval(jnp.where(x.lo > 0.0, 1.0, -1.0), jnp.where(x.hi < 0.0, -1.0, 1.0), x.ok)


def _flat_but_at_zero(x: Interval, f: Interval) -> Interval:
    """Second derivative of ``|x|``, which has none at 0."""
    away = (x.lo > 0.0) | (x.hi < 0.0)
    zero = jnp.zeros_like(x.lo)
    return Interval(
        jnp.where(away, zero, -jnp.inf), jnp.where(away, zero, jnp.inf), away if x.ok is None else away & x.ok
    )


def _cube_root_slope(x: Interval, f: Interval) -> Interval:
    return functions.div(constant(1.0), functions.mul(constant(3.0), functions.square(f)))


def _square_minus_one(x: Interval) -> Interval:
    return functions.mul(functions.sub(x, constant(1.0)), functions.add(x, constant(1.0)))


def _bell_inverse(y: Interval) -> Interval:
    """``(√π / 2) e^(y²)``, the slope of the inverse of erf."""
    return functions.mul(around(math.sqrt(math.pi) / 2.0), functions.UNARY["exp"](functions.square(y)))


HALF, LOG2 = 0.5, math.log(2.0)
THIRD = 1.0 / math.sqrt(3.0)

SLOPES: dict[str, tuple[Slope, Slope]] = {
    "exp": (lambda x, f: f, lambda x, f: f),
    "exp2": (lambda x, f: functions.mul(around(LOG2), f), lambda x, f: functions.mul(around(LOG2**2, 4.0), f)),
    "expm1": (lambda x, f: functions.UNARY["exp"](x), lambda x, f: functions.UNARY["exp"](x)),
    "log": (
        lambda x, f: functions.div(constant(1.0), x),
        lambda x, f: functions.neg(functions.div(constant(1.0), functions.square(x))),
    ),
    "log1p": (
        lambda x, f: functions.div(constant(1.0), functions.add(constant(1.0), x)),
        lambda x, f: functions.neg(functions.div(constant(1.0), functions.square(functions.add(constant(1.0), x)))),
    ),
    "sqrt": (
        lambda x, f: functions.mul(constant(HALF), functions.UNARY["rsqrt"](x)),
        lambda x, f: functions.mul(constant(-0.25), functions.whole_power(functions.UNARY["rsqrt"](x), 3)),
    ),
    "rsqrt": (
        lambda x, f: functions.mul(constant(-HALF), functions.whole_power(f, 3)),
        lambda x, f: functions.mul(constant(0.75), functions.whole_power(f, 5)),
    ),
    "cbrt": (
        _cube_root_slope,
        lambda x, f: functions.div(constant(-2.0), functions.mul(constant(9.0), functions.whole_power(f, 5))),
    ),
    "sin": (lambda x, f: functions.UNARY["cos"](x), lambda x, f: functions.neg(f)),
    "cos": (lambda x, f: functions.neg(functions.UNARY["sin"](x)), lambda x, f: functions.neg(f)),
    "tan": (
        lambda x, f: functions.add(constant(1.0), functions.square(f)),
        lambda x, f: functions.mul(_twice(f), functions.add(constant(1.0), functions.square(f))),
    ),
    "asin": (
        lambda x, f: functions.UNARY["rsqrt"](_one_minus_square(x)),
        lambda x, f: functions.mul(x, functions.whole_power(functions.UNARY["rsqrt"](_one_minus_square(x)), 3)),
    ),
    "acos": (
        lambda x, f: functions.neg(functions.UNARY["rsqrt"](_one_minus_square(x))),
        lambda x, f: functions.neg(
            functions.mul(x, functions.whole_power(functions.UNARY["rsqrt"](_one_minus_square(x)), 3))
        ),
    ),
    "atan": (lambda x, f: _bell(x), lambda x, f: at_ends(_bell_slope, (-THIRD, THIRD), x)),
    "sinh": (lambda x, f: functions.UNARY["cosh"](x), lambda x, f: f),
    "cosh": (lambda x, f: functions.UNARY["sinh"](x), lambda x, f: f),
    "tanh": (
        lambda x, f: _one_minus_square(f),
        lambda x, f: at_ends(_tanh_second, (-THIRD, THIRD), f),
    ),
    "asinh": (
        lambda x, f: functions.UNARY["rsqrt"](functions.add(constant(1.0), functions.square(x))),
        lambda x, f: functions.neg(
            functions.mul(
                x, functions.whole_power(functions.UNARY["rsqrt"](functions.add(constant(1.0), functions.square(x))), 3)
            )
        ),
    ),
    "logistic": (
        lambda x, f: at_ends(_logistic_first, (HALF,), f),
        lambda x, f: at_ends(_logistic_second, (HALF - THIRD / 2.0, HALF + THIRD / 2.0), f),
    ),
    "softplus": (
        lambda x, f: functions.UNARY["logistic"](x),
        lambda x, f: at_ends(_logistic_first, (HALF,), functions.UNARY["logistic"](x)),
    ),
    "erf": (lambda x, f: _gauss(x), lambda x, f: at_ends(_gauss_slope, (-math.sqrt(HALF), math.sqrt(HALF)), x)),
    "erfc": (
        lambda x, f: functions.neg(_gauss(x)),
        lambda x, f: functions.neg(at_ends(_gauss_slope, (-math.sqrt(HALF), math.sqrt(HALF)), x)),
    ),
    "acosh": (
        lambda x, f: functions.UNARY["rsqrt"](_square_minus_one(x)),
        lambda x, f: functions.neg(
            functions.mul(x, functions.whole_power(functions.UNARY["rsqrt"](_square_minus_one(x)), 3))
        ),
    ),
    "atanh": (
        lambda x, f: functions.div(constant(1.0), _one_minus_square(x)),
        lambda x, f: functions.div(_twice(x), functions.square(_one_minus_square(x))),
    ),
    "erf_inv": (
        lambda x, f: _bell_inverse(f),
        lambda x, f: functions.mul(_twice(f), functions.square(_bell_inverse(f))),
    ),
    "lgamma": (lambda x, f: polygamma_of(0, x), lambda x, f: polygamma_of(1, x)),
    "digamma": (lambda x, f: polygamma_of(1, x), lambda x, f: polygamma_of(2, x)),
    "square": (lambda x, f: _twice(x), lambda x, f: constant(2.0)),
    "abs": (_sign_hull, _flat_but_at_zero),
}
"""primitive -> ranges of its first and of its second derivative"""

__all__ = ["SLOPES", "Slope", "at_ends"]
