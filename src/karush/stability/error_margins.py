"""Relative errors of XLA's own functions in the user's dtype, and how each function passes on the error of its operand.

All are in units of the unit roundoff u of the dtype. `FLOAT32` was measured against float64: `ALL_FLOATS` at all floats
of their ranges, or every few, the others at 10^6 points. `FLOAT64` was measured at 10^5 points against Arb. What is
used is larger, by `SLACK_ALL` or `SLACK_SOME`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from karush.arithmetic.interval_functions import UNARY
from karush.arithmetic.interval_numbers import Interval
from karush.stability.error_bounds import Format

FAR = "exp, far"
"""the margin of exp near the ends of its range"""
NEAR_EXPONENT = 87.0
"""up to this size of the operand exp has its usual margin"""

FLOAT32: dict[str, float] = {
    "exp": 1.5,
    FAR: 3.9,
    "exp2": 69.0,
    "expm1": 7.1,
    "log": 2.1,
    "log1p": 3.7,
    "sin": 1.1,
    "cos": 1.1,
    "tan": 1.4,
    "tanh": 4.9,
    "sqrt": 1.0,
    "rsqrt": 2.8,
    "cbrt": 1.6,
    "logistic": 2.5,
    "erf": 6.8,
    "erfc": 66.0,
    "asin": 2.8,
    "acos": 3.1,
    "atan": 1.45,
    "sinh": 26.0,
    "cosh": 26.0,
    "asinh": 3.6,
    "acosh": 4.5,
    "atanh": 3.2,
    "pow": 1.0,
}
FLOAT64: dict[str, float] = {
    "exp": 3.0,
    FAR: 3.0,
    "exp2": 1400.0,
    "expm1": 8.2,
    "log": 1.2,
    "log1p": 256.0,
    "sin": 1.2,
    "cos": 1.2,
    "tan": 1.2,
    "tanh": 13.0,
    "sqrt": 1.2,
    "rsqrt": 3.2,
    "cbrt": 120.0,
    "logistic": 4.2,
    "erf": 2.0,
    "erfc": 1020.0,
    "asin": 3.2,
    "acos": 3.2,
    "atan": 1.2,
    "sinh": 992.0,
    "cosh": 992.0,
    "asinh": 5.0,
    "acosh": 6.8,
    "atanh": 258.0,
    "pow": 1.2,
}


ALL_FLOATS = frozenset(
    {"exp", FAR, "expm1", "log", "log1p", "sin", "cos", "tanh", "logistic", "sqrt", "rsqrt", "atan", "erf"}
)
"""functions measured on all float32 of their range, or every few"""
SLACK_ALL, SLACK_SOME = 1.25, 2.25
"""factors on what was measured: on all floats, the compiler's other ways of fusing are left; on samples, more"""


def format_of(dtype: Any) -> Format:
    """The format of a dtype, and the margins of its functions."""
    info = np.finfo(dtype)
    single = np.dtype(dtype) == np.float32
    measured = FLOAT32 if single else FLOAT64
    margins = {
        name: (SLACK_ALL if single and name in ALL_FLOATS else SLACK_SOME) * k + 0.25 for name, k in measured.items()
    }
    return Format(float(info.eps) / 2.0, float(info.tiny), float(info.max), margins)


class Passes(NamedTuple):
    """How a function of one number passes on an error: both of W, the interval of exact and computed operands."""

    slope: Callable[[Interval], Any]
    """bound of |f′| on W"""
    factor: Callable[[Interval], Any]
    """bound of |x f′ / f| on W; inf if there is none"""
    inside: Callable[[Interval], Any]
    """whether W lies in the domain"""


def _always(w: Interval) -> Any:
    return jnp.ones(jnp.shape(w.lo), bool)


def _none(w: Interval) -> Any:
    return jnp.full(jnp.shape(w.lo), jnp.inf)


def _one(w: Interval) -> Any:
    return jnp.ones(jnp.shape(w.lo))


def _size(w: Interval) -> Any:
    return jnp.maximum(jnp.abs(w.lo), jnp.abs(w.hi))


def _least(w: Interval) -> Any:
    return jnp.maximum(jnp.maximum(w.lo, -w.hi), 0.0)


def _positive(w: Interval) -> Any:
    return jnp.where(w.lo > 0.0, w.lo, 1.0)


def _below_one(w: Interval) -> Any:
    size = _size(w)
    return jnp.where(size < 1.0, 1.0 - size * size, jnp.nan)


LARGEST_ANGLE = 1e7
"""angle up to which the errors of sin, cos and tan were measured"""


def _angle(w: Interval) -> Any:
    return _size(w) <= LARGEST_ANGLE


def _steep_tan(w: Interval) -> Any:
    return 1.0 + jnp.maximum(jnp.tan(w.lo) ** 2, jnp.tan(w.hi) ** 2)


def _within_branch(w: Interval) -> Any:
    return _size(w) < 1.57


def _log1p_factor(w: Interval) -> Any:
    """``x / ((1 + x) log(1 + x))``, which decreases, and is 1 at 0."""
    x = jnp.where((w.lo > -1.0) & (w.lo < -EPS), w.lo, -EPS)
    return 1.0001 * x / ((1.0 + x) * jnp.log1p(x))


EPS = 1e-6
"""operands above minus this have a factor of 1, but for less than the slack of the line above"""

PASSES: dict[str, Passes] = {
    "log": Passes(lambda w: 1.0 / _positive(w), _none, lambda w: w.lo > 0.0),
    "log1p": Passes(
        lambda w: 1.0 / jnp.where(w.lo > -1.0, 1.0 + w.lo, 1.0),
        _log1p_factor,
        lambda w: w.lo > -1.0,
    ),
    "expm1": Passes(lambda w: jnp.exp(w.hi), lambda w: 1.0 + _size(w), _always),
    "sin": Passes(lambda w: _size(UNARY["cos"](w)), lambda w: jnp.where(_size(w) <= 1.5, 1.0, jnp.inf), _angle),
    "cos": Passes(lambda w: _size(UNARY["sin"](w)), _none, _angle),
    "tan": Passes(_steep_tan, _none, _within_branch),
    "tanh": Passes(lambda w: 1.0001 - jnp.tanh(_least(w)) ** 2, _one, _always),
    "rsqrt": Passes(
        lambda w: 0.5 * _positive(w) ** -1.5, lambda w: jnp.full(jnp.shape(w.lo), 0.6), lambda w: w.lo > 0.0
    ),
    "cbrt": Passes(lambda w: jnp.maximum(w.lo, -w.hi) ** (-2.0 / 3.0), _one, lambda w: (w.lo > 0.0) | (w.hi < 0.0)),
    "erf": Passes(lambda w: 1.13 * _one(w), _one, _always),
    "erfc": Passes(lambda w: 1.13 * _one(w), _none, _always),
    "asin": Passes(lambda w: _below_one(w) ** -0.5, lambda w: _below_one(w) ** -0.5, lambda w: _size(w) < 1.0),
    "acos": Passes(lambda w: _below_one(w) ** -0.5, _none, lambda w: _size(w) < 1.0),
    "atan": Passes(lambda w: 1.0 / (1.0 + _least(w) ** 2), _one, _always),
    "asinh": Passes(_one, _one, _always),
    "sinh": Passes(lambda w: jnp.cosh(_size(w)), lambda w: 1.0 + _size(w), _always),
    "cosh": Passes(lambda w: jnp.cosh(_size(w)), _size, _always),
    "acosh": Passes(lambda w: jnp.where(w.lo > 1.0, w.lo * w.lo - 1.0, jnp.nan) ** -0.5, _none, lambda w: w.lo > 1.0),
    "atanh": Passes(lambda w: 1.0 / _below_one(w), lambda w: 1.0 / _below_one(w), lambda w: _size(w) < 1.0),
}
"""function -> how it passes on errors; exp, exp2, logistic and sqrt have rules of their own"""

__all__ = ["FAR", "NEAR_EXPONENT", "PASSES", "Passes", "format_of"]
