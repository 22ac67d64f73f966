"""Arrays of balls: how they are made, looked at, joined and rounded outward to float64."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb, ctx, fmpz
from jax.dtypes import float0

from karush.arithmetic.constants import array_of

NO, YES, UNDECIDED = 0, 1, -1
"""three-valued answers, as int8"""


class Undecided(ArithmeticError):
    """Ball arithmetic cannot tell; the message says what, and at which line of the user."""


def _exact(value: Any) -> arb:
    """The number as a ball of radius 0, whatever the working precision."""
    if isinstance(value, arb):
        return value
    if isinstance(value, int):
        return arb(fmpz(value))
    with ctx.workprec(max(ctx.prec, 53)):
        return arb(float(value))


_EXACT = np.frompyfunc(_exact, 1, 1)


def as_array(value: Any) -> np.ndarray:
    """Object array of what a ufunc returned: it unwraps arrays of shape ()."""
    return np.asarray(value, dtype=object)


def balls(values: Any) -> np.ndarray:
    """`values`, any real numbers, as an object array of exact balls."""
    return as_array(_EXACT(np.asarray(values, dtype=object)))


def lift(value: Any) -> np.ndarray:
    """An array of the program as a value of this number system: see `karush.arithmetic.ball`."""
    array = array_of(value)
    if array.dtype == object:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.int8)
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind == "f":
        return balls(array.astype(np.float64))
    if array.dtype == float0:
        return np.zeros(array.shape, np.int8)  # the derivative in an integer
    raise Undecided(f"ball arithmetic has no numbers of dtype {array.dtype}")


def is_real(value: np.ndarray) -> bool:
    """Whether the values are balls."""
    return value.dtype == object


def unary(function: Callable[[arb], arb]) -> Callable[[np.ndarray], np.ndarray]:
    """`function` of one ball, elementwise."""
    ufunc = np.frompyfunc(function, 1, 1)
    return lambda a: as_array(ufunc(a))


def binary(function: Callable[[arb, arb], arb]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """`function` of two balls, elementwise."""
    ufunc = np.frompyfunc(function, 2, 1)
    return lambda a, b: as_array(ufunc(a, b))


def first_wild(value: np.ndarray) -> int | None:
    """Index of the first ball that is not finite, if any."""
    if value.dtype != object:
        return None
    for index, ball in enumerate(value.flat):
        if not ball.is_finite():
            return index
    return None


def lower(ball: arb) -> float:
    """Largest float64 found that no member of `ball` lies below."""
    return _outward(ball.lower(), -math.inf)


def upper(ball: arb) -> float:
    """Smallest float64 found that no member of `ball` lies above."""
    return _outward(ball.upper(), math.inf)


def _outward(end: arb, direction: float) -> float:
    if not end.is_finite():
        return direction
    value = float(end)
    exact = _exact(value)
    # `end` is exact; float() rounds it to nearest, or saturates.
    inside = exact > end if direction < 0 else exact < end
    return math.nextafter(value, direction) if inside else value


def lowers(values: np.ndarray) -> np.ndarray:
    """Float64 lower ends."""
    return np.array([lower(ball) for ball in values.flat], dtype=float).reshape(values.shape)


def uppers(values: np.ndarray) -> np.ndarray:
    """Float64 upper ends."""
    return np.array([upper(ball) for ball in values.flat], dtype=float).reshape(values.shape)


def middles(values: np.ndarray) -> np.ndarray:
    """Midpoints, exact, as balls of radius 0."""
    return unary(arb.mid)(values)


def floats(values: np.ndarray) -> np.ndarray:
    """Midpoints rounded to float64."""
    return np.array([float(ball.mid()) for ball in values.flat], dtype=float).reshape(values.shape)


def around(middle: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The balls ``[middle ± radius]``; the arguments are exact, the radius is rounded up."""
    return binary(lambda m, r: arb(m, r))(middle, radius)


def join(a: np.ndarray, b: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Smallest values that hold both: union of balls, `UNDECIDED` where answers differ; `dtype` is the program's."""
    if is_real(a):
        return binary(lambda p, q: p if p is q else p.union(q))(a, b)
    if dtype == np.bool_:
        return np.where(a == b, a, UNDECIDED).astype(np.int8)
    if np.array_equal(a, b):
        return a
    raise Undecided("an integer depends on a comparison that balls cannot decide")


__all__ = [
    "NO",
    "UNDECIDED",
    "YES",
    "Undecided",
    "around",
    "as_array",
    "balls",
    "binary",
    "first_wild",
    "floats",
    "is_real",
    "join",
    "lift",
    "lower",
    "lowers",
    "middles",
    "unary",
    "upper",
    "uppers",
]
