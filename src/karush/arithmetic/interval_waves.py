"""Intervals of sin, cos and tan: the ends, and the maxima, minima or poles that may lie between them."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from karush.arithmetic.interval_margins import MARGINS
from karush.arithmetic.interval_numbers import Interval, both, down, up
from karush.arithmetic.interval_points import FUNCTIONS, LARGEST_ANGLE

TURN = 1.0 / (2.0 * math.pi)
ANGLE_SLACK = 2.0**-30
"""turns by which a place of a maximum of sin may seem displaced, up to `LARGEST_ANGLE`"""


def _has_integer(lo: Any, hi: Any) -> Any:
    """Whether an integer may lie in [lo, hi], ends known up to `ANGLE_SLACK`; True for ends that are no numbers."""
    return ~(jnp.ceil(lo - ANGLE_SLACK) > jnp.floor(hi + ANGLE_SLACK))


def wave(name: str, top: float) -> Callable[[Interval], Interval]:
    """Rule of sin or cos, whose maxima are at ``top + k`` turns, its minima half a turn from them."""
    point, margin = FUNCTIONS[name], MARGINS[name]

    def rule(a: Interval) -> Interval:
        near = (a.lo >= -LARGEST_ANGLE) & (a.hi <= LARGEST_ANGLE)
        left, right = jnp.where(near, a.lo, 0.0), jnp.where(near, a.hi, 0.0)
        ends = point(left), point(right)
        turns = left * TURN, right * TURN
        high = _has_integer(turns[0] - top, turns[1] - top)
        low = _has_integer(turns[0] - top - 0.5, turns[1] - top - 0.5)
        lo = jnp.where(near & ~low, jnp.maximum(down(jnp.minimum(*ends), margin), -1.0), -1.0)
        hi = jnp.where(near & ~high, jnp.minimum(up(jnp.maximum(*ends), margin), 1.0), 1.0)
        return Interval(lo, hi, a.ok)

    return rule


def tan(a: Interval) -> Interval:
    """``tan a``, between two poles."""
    point, margin = FUNCTIONS["tan"], MARGINS["tan"]
    near = (a.lo >= -LARGEST_ANGLE) & (a.hi <= LARGEST_ANGLE)
    left, right = jnp.where(near, a.lo, 0.0), jnp.where(near, a.hi, 0.0)
    ok = near & ~_has_integer(left / math.pi - 0.5, right / math.pi - 0.5)
    lo, hi = down(point(left), margin), up(point(right), margin)
    return Interval(jnp.where(ok, lo, -jnp.inf), jnp.where(ok, hi, jnp.inf), both(a.ok, ok))


__all__ = ["tan", "wave"]
