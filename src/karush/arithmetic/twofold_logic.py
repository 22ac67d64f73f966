"""Rules of twofold numbers for comparisons, choices, rounding to integers and changes of type."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.arithmetic.twofold_arrays import below, maximum, minimum
from karush.arithmetic.twofold_numbers import (
    FORMATS,
    Twofold,
    add,
    choose,
    div,
    exact,
    finished,
    mul,
    neg,
    normal,
    sub,
    two_sum,
)
from karush.core.errors import TraceError
from karush.jaxprs.walk import Rule, Step, bind

Values = Sequence[Any]


def same(a: Twofold, b: Twofold) -> Any:
    """``a == b``."""
    return (a.hi == b.hi) & (a.lo == b.lo)


COMPARISONS: dict[str, Callable[[Twofold, Twofold], Any]] = {
    "lt": below,
    "gt": lambda a, b: below(b, a),
    "le": lambda a, b: below(a, b) | same(a, b),
    "ge": lambda a, b: below(b, a) | same(a, b),
    "eq": same,
    "ne": lambda a, b: ~same(a, b),
}


def comparison(name: str) -> Rule:
    """Rule of ``a < b`` and its kin."""
    asked = COMPARISONS[name]
    return lambda step, a, b: (asked(a, b),)


def is_finite(step: Step, a: Twofold) -> Values:
    """Whether the number is finite."""
    return (jnp.isfinite(a.hi),)


def select(step: Step, which: Any, *cases: Any) -> Values:
    """``select_n``."""
    if not isinstance(cases[0], Twofold):
        return bind(step, which, *cases)
    return (Twofold(*(lax.select_n(which, *parts) for parts in zip(*cases, strict=True))),)


def clamp(step: Step, low: Twofold, a: Twofold, high: Twofold) -> Values:
    """``min(max(low, a), high)``."""
    shape = jnp.shape(a.hi)
    low, high = (Twofold(*(jnp.broadcast_to(part, shape) for part in limit)) for limit in (low, high))
    return (minimum(maximum(low, a), high),)


def sign(a: Twofold) -> Twofold:
    """``sign a``."""
    return exact(jnp.sign(a.hi))


def stepped(round_one: Callable[[Any], Any]) -> Callable[[Twofold], Twofold]:
    """Floor or ceiling: of the upper part, and of the lower one where the upper is whole."""

    def rule(a: Twofold) -> Twofold:
        whole = round_one(a.hi)
        return normal(Twofold(whole, jnp.where(whole == a.hi, round_one(a.lo), jnp.zeros_like(a.lo))))

    return rule


floor, ceil = stepped(jnp.floor), stepped(jnp.ceil)


def rounded(step: Step, a: Twofold) -> Values:
    """``round``: to the nearest whole number; a tie of the upper part is broken by the lower one."""
    (nearest,) = bind(step, a.hi)
    half = 0.5 * jnp.ones_like(a.hi)
    up, down = floor(Twofold(a.hi, jnp.zeros_like(a.lo))), ceil(Twofold(a.hi, jnp.zeros_like(a.lo)))
    tie = (a.hi - up.hi == half) & (a.lo != 0)
    broken = jnp.where(a.lo > 0, down.hi, up.hi)
    whole = a.hi == nearest
    lower = jnp.where(whole, bind(step, a.lo)[0], jnp.zeros_like(a.lo))
    return (normal(Twofold(jnp.where(tie, broken, nearest), lower)),)


def truncated(a: Twofold) -> Twofold:
    """Towards zero."""
    return choose(a.hi < 0, ceil(a), floor(a))


def rem(a: Twofold, b: Twofold) -> Twofold:
    """Remainder with the sign of a, of quotients below 2^p; beyond, what the program computes."""
    plain = lax.rem(a.hi, b.hi)
    quotient = truncated(div(a, b))
    value = sub(a, mul(quotient, b))
    # The quotient may be off by one where it is nearly whole.
    size = Twofold(jnp.abs(b.hi), jnp.where(b.hi < 0, -b.lo, b.lo))
    forward = choose(a.hi < 0, neg(size), size)
    against = ((value.hi < 0) & (a.hi > 0)) | ((value.hi > 0) & (a.hi < 0))
    value = choose(against, add(value, forward), value)
    too_far = choose(a.hi < 0, neg(value), value)
    value = choose(~below(too_far, size), sub(value, forward), value)
    reach = 2.0 ** FORMATS[np.dtype(a.hi.dtype).name].digits
    usable = (jnp.abs(quotient.hi) < reach) & jnp.isfinite(plain)
    return choose(usable, value, exact(plain))


def convert(step: Step, a: Any) -> Values:
    """Change of type; an integer keeps the digits that one float has no room for."""
    new = np.dtype(step.out_avals[0].dtype)
    old = np.dtype(step.in_avals[0].dtype)
    if not isinstance(a, Twofold):
        (hi,) = bind(step, a)
        if new.kind != "f":
            return (hi,)
        if old.kind == "b" or jnp.iinfo(old).bits < FORMATS[known(step, new)].digits:
            return (exact(hi),)
        return (normal(Twofold(hi, (a - hi.astype(old)).astype(new))),)
    if new.kind == "f":
        known(step, new)
        hi = a.hi.astype(new)
        rest = (a.hi - hi.astype(old)).astype(new) if new.itemsize < old.itemsize else jnp.zeros_like(hi)
        s, e = two_sum(hi, rest + a.lo.astype(new))
        return (finished(Twofold(s, e), hi),)
    if new.kind == "b":
        return ((a.hi != 0) | (a.lo != 0),)
    part = truncated(a)
    return (bind(step, part.hi)[0] + part.lo.astype(new),)


def known(step: Step, dtype: Any) -> str:
    """Name of a float dtype that has a twofold arithmetic.

    Raises
    ------
    TraceError
        for half precision and its kin.
    """
    name = np.dtype(dtype).name
    if name not in FORMATS:
        raise TraceError(
            f"'{step.primitive}' at {step.place} computes in {name}; twofold arithmetic takes float32 and float64"
        )
    return name


RULES: dict[str, Rule] = {
    **{name: comparison(name) for name in COMPARISONS},
    "is_finite": is_finite,
    "select_n": select,
    "clamp": clamp,
    "round": rounded,
    "convert_element_type": convert,
}
"""primitive -> rule"""

__all__ = ["RULES", "ceil", "convert", "floor", "known", "rem", "sign", "truncated"]
