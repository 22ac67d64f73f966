"""Intervals with float32 ends, rounded outward: every step of a program ends in float32.

```
a ± b,  a b     in float32:      down(v) = v − (k 2⁻²³ |v| + 4·2⁻¹²⁶),      k = ½ (1 + 2⁻¹⁰)
other steps     the rule of float64 ends, its result rounded to float32 and moved the same way
```

Numbers of float32 are numbers of float64, so a rule of float64 ends holds for them, with its margins as they are. The
argument for the step outward is that of `interval_numbers`, with 24 bits for 53. Boxes and constants are rounded on
their bits: the last 29 of 52 are cleared, away from 0 after a carry, and the conversion that follows is exact.

What is enclosed is the same as with float64 ends: the exact real function of the program traced in float64, with its
literals as the doubles that they are. Ends take half the memory, and move by up to 2⁻²³ of their size at each step.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.arithmetic import interval, interval_arrays, interval_control
from karush.arithmetic.interval import IntervalProgram, real, require_double
from karush.arithmetic.interval_basics import keep_sign, neg, product_signs
from karush.arithmetic.interval_numbers import Interval, both, joined
from karush.arithmetic.interval_numbers import enter as enter_double
from karush.arithmetic.interval_numbers import lift as lift_double
from karush.core.precision import float64
from karush.jaxprs.walk import Rule, Step, interpret

DROPPED = (1 << 29) - 1
"""bits of a float64 that a float32 does not have"""
SIGN = 1 << 63
LEAST = int(np.float64(2.0**-126).view(np.uint64))
"""bits of the smallest normal float32"""
MOST = int(np.float64(np.finfo(np.float32).max).view(np.uint64))
INFINITE = int(np.float64(np.inf).view(np.uint64))
FINITE = float(np.finfo(np.float32).max)
ROUNDED = np.float32(0.5 * (1.0 + 2.0**-10) * 2.0**-23)
"""margin of numbers rounded to the nearest float32: a hair above half an ulp, as in `interval_numbers`"""
FLUSHED = np.float32(4.0 * 2.0**-126)
SAME = frozenset((*interval_arrays.MOVING, "neg", "max", "min", "select_n", "copy", "copy_p"))
"""primitives whose rules only choose among ends, or turn their signs"""


def _word(value: int) -> Any:
    return jnp.asarray(np.uint64(value))


def _moved(v: Any, upward: bool) -> Any:
    """The next float32 on one side of float64 numbers, or they themselves; NaN becomes infinite on that side."""
    bits = lax.bitcast_convert_type(v, jnp.uint64)
    size = bits & _word(SIGN - 1)
    negative = bits >= _word(SIGN)
    outward = negative != upward
    dropped = _word(DROPPED)
    inner = jnp.where(size < _word(LEAST), _word(0), jnp.minimum(size & ~dropped, _word(MOST)))
    beyond = (size + dropped) & ~dropped
    beyond = jnp.where(size < _word(LEAST), jnp.where(size == _word(0), _word(0), _word(LEAST)), beyond)
    beyond = jnp.where(beyond > _word(MOST), _word(INFINITE), beyond)
    nothing = size > _word(INFINITE)
    kept = jnp.where(nothing, _word(INFINITE), jnp.where(outward, beyond, inner))
    sign = jnp.where(nothing, not upward, negative)
    kept = kept | jnp.where(sign, _word(SIGN), _word(0))
    return lax.bitcast_convert_type(kept, jnp.float64).astype(jnp.float32)


def single(end: Any, *, upward: bool) -> np.ndarray:
    """Lower or upper ends as float32 numbers, rounded outward."""
    with float64():
        return np.asarray(_moved(jnp.asarray(end, jnp.float64), upward))


def tight(a: Interval) -> Interval:
    """The smallest interval with normal float32 ends around one with float64 ends."""
    return Interval(_moved(a.lo, False), _moved(a.hi, True), a.ok)


def narrow(a: Interval) -> Interval:
    """An interval with float32 ends around one with float64 ends, in a few operations that XLA keeps in one loop."""
    lo, hi = jnp.minimum(a.lo, FINITE).astype(jnp.float32), jnp.maximum(a.hi, -FINITE).astype(jnp.float32)
    return Interval(_below(lo), -_below(-hi), a.ok)


def _below(near: Any) -> Any:
    """Below every number that these float32 numbers are nearest to; −inf for NaN."""
    moved = near - (jnp.abs(near) * ROUNDED + FLUSHED)
    return jnp.where(jnp.isnan(moved), -jnp.inf, moved)


def add(a: Interval, b: Interval) -> Interval:
    """``a + b`` in float32, which is at least twice the smaller; that may overflow."""
    lo = jnp.maximum(_below(a.lo + b.lo), jnp.minimum(2.0 * jnp.minimum(a.lo, b.lo), FINITE))
    hi = jnp.minimum(-_below(-(a.hi + b.hi)), jnp.maximum(2.0 * jnp.maximum(a.hi, b.hi), -FINITE))
    return Interval(lo, hi, both(a.ok, b.ok))


def sub(a: Interval, b: Interval) -> Interval:
    """``a − b`` in float32."""
    return add(a, neg(b))


def mul(a: Interval, b: Interval) -> Interval:
    """``a b`` in float32: least and greatest of the products of ends; NaN, of 0 and infinity, is the whole line."""
    if b.exact:
        a, b = b, a
    least = most = a.lo * b.lo
    for product in (a.lo * b.hi,) if a.exact else (a.lo * b.hi, a.hi * b.lo, a.hi * b.hi):
        least, most = jnp.minimum(least, product), jnp.maximum(most, product)
    return Interval(*keep_sign(_below(least), -_below(-most), *product_signs(a, b)), both(a.ok, b.ok))


def widen(a: Any) -> Any:
    """Intervals with float64 ends, the same numbers; other values as they are."""
    if not isinstance(a, Interval) or a.lo.dtype == jnp.float64:
        return a
    lo = a.lo.astype(jnp.float64)
    return Interval(lo, lo if a.exact else a.hi.astype(jnp.float64), a.ok)


def lift(value: Any) -> Any:
    """A constant of the program: exact where it is a float32, else around it."""
    found = lift_double(value)
    if not isinstance(found, Interval) or found.lo.dtype == jnp.float32:
        return found
    array = np.asarray(value)
    with np.errstate(over="ignore", under="ignore"):
        short = array.astype(np.float32)
    if found.exact and np.array_equal(short.astype(np.float64), array) and np.all(_normal_or_zero(short)):
        end = jnp.asarray(short)
        return Interval(end, end)
    return tight(found)


def _normal_or_zero(short: np.ndarray) -> np.ndarray:
    return (short == 0.0) | (np.abs(short) >= np.finfo(np.float32).smallest_normal)


def enter(lo: Any, hi: Any) -> Interval:
    """Intervals from ends of run time, float32 or float64, moved outward where they are no normal float32 numbers."""
    return tight(enter_double(_double(lo, False), _double(hi, True)))


def _double(end: Any, upward: bool) -> Any:
    """Ends as float64; subnormal float32 ends, which XLA takes for 0, move outward before."""
    end = jnp.asarray(end)
    if end.dtype != jnp.float32:
        return end.astype(jnp.float64)
    bits = lax.bitcast_convert_type(end, jnp.uint32)
    size = bits & jnp.uint32(0x7FFF_FFFF)
    subnormal = (size != jnp.uint32(0)) & (size < jnp.uint32(0x0080_0000))
    outward = (bits > jnp.uint32(0x8000_0000)) != upward
    least = (2.0**-126 if upward else -(2.0**-126)) * jnp.where(outward, 1.0, 0.0)
    return jnp.where(subnormal, least, end.astype(jnp.float64))


def narrowed(rule: Rule, *, same: bool) -> Rule:
    """A rule of float64 ends for float32 ends; integers that are not decided keep float64 ends.

    Rules that do the `same` for ends of any kind get them as they are: what is exact stays so.
    """

    def single(step: Step, *operands: Any) -> list[Any]:
        out = rule(step, *(operands if same else [widen(operand) for operand in operands]))
        return [
            narrow(value) if _double_ends(value) and aval.dtype.kind == "f" else value
            for value, aval in zip(out, step.out_avals, strict=True)
        ]

    return single


def _double_ends(value: Any) -> bool:
    return isinstance(value, Interval) and value.lo.dtype == jnp.float64


def _short_ends(value: Any) -> bool:
    return isinstance(value, Interval) and value.lo.dtype == jnp.float32


def in_single(name: str, function: Callable[[Interval, Interval], Interval]) -> Rule:
    """`function` of two intervals with float32 ends; squares and integers by the rule of float64 ends."""
    general = narrowed(interval.PROGRAM_RULES[name], same=False)

    def rule(step: Step, a: Any, b: Any) -> Sequence[Any]:
        if _short_ends(a) and _short_ends(b) and step.inputs[0] != step.inputs[1]:
            return [function(a, b)]
        return general(step, a, b)

    return rule


RULES: dict[str, Rule] = {name: narrowed(rule, same=name in SAME) for name, rule in interval.PROGRAM_RULES.items()}
RULES |= {name: in_single(name, rule) for name, rule in (("add", add), ("add_any", add), ("sub", sub), ("mul", mul))}
RULES |= interval_control.rules(RULES, lift)
"""primitive -> rule"""


class SingleProgram(IntervalProgram):
    """A closed jaxpr of flat float64 arrays, called with intervals of float32 ends, inside or outside a trace."""

    def __call__(self, *boxes: Interval) -> list[Interval]:
        """Enclosures of the outputs, with float32 ends.

        Raises
        ------
        TraceError
            for a primitive without a rule, with its name and the user's line.
        """
        require_double()
        outputs = interpret(self.program, [box if _short_ends(box) else tight(box) for box in boxes], RULES, lift=lift)
        return [narrow(joined(widen(real(value)))) for value in outputs]


__all__ = ["RULES", "SingleProgram", "enter", "narrow", "single", "widen"]
