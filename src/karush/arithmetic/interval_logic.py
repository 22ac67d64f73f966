"""Rules of interval arithmetic for answers, choices and changes of type."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from karush.arithmetic.interval_numbers import BEYOND_EXACT, Interval, Truth, as_truth, both, dense_ok, down, up
from karush.core.errors import TraceError
from karush.jaxprs.walk import Rule, Step

Values = Sequence[Any]


def less(a: Interval, b: Interval) -> Truth:
    """``a < b``."""
    return Truth(a.lo < b.hi, a.hi >= b.lo)


def less_equal(a: Interval, b: Interval) -> Truth:
    """``a <= b``."""
    return Truth(a.lo <= b.hi, a.hi > b.lo)


def equal(a: Interval, b: Interval) -> Truth:
    """``a == b``."""
    return Truth((a.lo <= b.hi) & (b.lo <= a.hi), ~((a.lo == a.hi) & (b.lo == b.hi) & (a.lo == b.lo)))


def opposite(answer: Truth) -> Truth:
    """Not."""
    return Truth(answer.can_be_false, answer.can_be_true)


COMPARISONS: dict[str, Callable[[Interval, Interval], Truth]] = {
    "lt": less,
    "le": less_equal,
    "gt": lambda a, b: less(b, a),
    "ge": lambda a, b: less_equal(b, a),
    "eq": equal,
    "ne": lambda a, b: opposite(equal(a, b)),
    # The total order of floating-point numbers, where −0 lies below 0: equal numbers are left open.
    **dict.fromkeys(("lt_to", "le_to"), lambda a, b: Truth(a.lo <= b.hi, a.hi >= b.lo)),
}


def comparison(name: str) -> Rule:
    """Rule of ``a < b`` and its kin; undecided where an operand may be undefined."""
    asked = COMPARISONS[name]

    def rule(step: Step, a: Any, b: Any) -> Values:
        if isinstance(a, Truth) or isinstance(b, Truth):
            if name not in ("eq", "ne"):
                raise TraceError(f"'{name}' of answers at {step.place} has no rule in intervals; use & | ~")
            a, b = as_truth(a), as_truth(b)
            differ = Truth(
                (a.can_be_true & b.can_be_false) | (a.can_be_false & b.can_be_true),
                (a.can_be_true & b.can_be_true) | (a.can_be_false & b.can_be_false),
            )
            return (differ if name == "ne" else opposite(differ),)
        ok = both(a.ok, b.ok)
        if step.inputs[0] == step.inputs[1]:
            # The same number: ``x != x`` asks for NaN.
            yes = jnp.full(jnp.shape(a.lo), name in ("le", "ge", "eq", "le_to"))
            answer = Truth(yes, ~yes)
        else:
            answer = asked(a, b)
        return (answer if ok is None else Truth(answer.can_be_true | ~ok, answer.can_be_false | ~ok),)

    return rule


def logical_and(step: Step, a: Any, b: Any) -> Values:
    """Kleene's and."""
    a, b = as_truth(a), as_truth(b)
    return (Truth(a.can_be_true & b.can_be_true, a.can_be_false | b.can_be_false),)


def logical_or(step: Step, a: Any, b: Any) -> Values:
    """Kleene's or."""
    a, b = as_truth(a), as_truth(b)
    return (Truth(a.can_be_true | b.can_be_true, a.can_be_false & b.can_be_false),)


def logical_not(step: Step, a: Truth) -> Values:
    """Not."""
    return (opposite(a),)


def is_finite(step: Step, a: Interval) -> Values:
    """Whether the number is finite: undecided where an end is not, or the number may be undefined."""
    sure = (a.lo > -jnp.inf) & (a.hi < jnp.inf)
    sure = sure if a.ok is None else sure & a.ok
    return (Truth(jnp.ones_like(sure), ~sure),)


def choose(which: Any, cases: Sequence[Interval]) -> Interval:
    """``cases[which]``, elementwise; the hull of both where the answer is open."""
    ok = None
    if any(case.ok is not None for case in cases):
        oks = [dense_ok(case) for case in cases]
        if isinstance(which, Truth):
            ok = (oks[0] | ~which.can_be_false) & (oks[1] | ~which.can_be_true)
        else:
            ok = lax.select_n(which, *oks)
    if not isinstance(which, Truth):
        return Interval(
            lax.select_n(which, *[case.lo for case in cases]), lax.select_n(which, *[case.hi for case in cases]), ok
        )
    no, yes = cases
    lo = jnp.minimum(jnp.where(which.can_be_false, no.lo, jnp.inf), jnp.where(which.can_be_true, yes.lo, jnp.inf))
    hi = jnp.maximum(jnp.where(which.can_be_false, no.hi, -jnp.inf), jnp.where(which.can_be_true, yes.hi, -jnp.inf))
    return Interval(lo, hi, ok)


def select(step: Step, which: Any, *cases: Any) -> Values:
    """``select_n``."""
    if not all(isinstance(case, Interval) for case in cases):
        if step.out_avals[0].dtype == jnp.bool_ and len(cases) == 2:
            no, yes, asked = as_truth(cases[0]), as_truth(cases[1]), as_truth(which)
            return (
                Truth(
                    (asked.can_be_false & no.can_be_true) | (asked.can_be_true & yes.can_be_true),
                    (asked.can_be_false & no.can_be_false) | (asked.can_be_true & yes.can_be_false),
                ),
            )
        raise TraceError(f"an integer at {step.place} depends on a comparison of intervals, which has no rule")
    return (choose(which, cases),)


def convert(step: Step, a: Any) -> Values:
    """Change of type; an integer or an answer that is not decided becomes an interval of integers."""
    old, new = step.in_avals[0].dtype, step.out_avals[0].dtype
    if isinstance(a, Truth):
        if new == jnp.bool_:
            return (a,)
        return (Interval(jnp.where(a.can_be_false, 0.0, 1.0), jnp.where(a.can_be_true, 1.0, 0.0)),)
    if new == jnp.bool_:
        answer = opposite(equal(a, Interval(jnp.zeros_like(a.lo), jnp.zeros_like(a.lo))))
        return (answer if a.ok is None else Truth(answer.can_be_true | ~a.ok, answer.can_be_false | ~a.ok),)
    if new.kind == "f" or old.kind != "f":
        return (a,)
    return (Interval(jnp.trunc(a.lo), jnp.trunc(a.hi), a.ok),)


def whole(a: Interval, dtype: Any) -> Interval:
    """An enclosure of integers of a type, rounded inward to integers; any number where the type may overflow."""
    info = jnp.iinfo(dtype)
    lo, hi = jnp.ceil(a.lo), jnp.floor(a.hi)
    fits = (lo >= float(info.min)) & (hi <= float(info.max)) & (hi < BEYOND_EXACT) & (lo > -BEYOND_EXACT)
    return Interval(jnp.where(fits, lo, -jnp.inf), jnp.where(fits, hi, jnp.inf), a.ok)


def real_of_integer(value: Any) -> Interval:
    """The interval of an exact integer or boolean array."""
    end = jnp.asarray(value, jnp.float64)
    if jnp.asarray(value).dtype.itemsize < 8:
        return Interval(end, end)
    large = jnp.abs(end) >= BEYOND_EXACT
    return Interval(jnp.where(large, down(end), end), jnp.where(large, up(end), end))


def reduced(all_of: bool) -> Rule:
    """Rule of ``reduce_and`` or ``reduce_or``."""

    def rule(step: Step, a: Truth) -> Values:
        axes = step.params["axes"]
        every, some = jnp.all, jnp.any
        if all_of:
            return (Truth(every(a.can_be_true, axes), some(a.can_be_false, axes)),)
        return (Truth(some(a.can_be_true, axes), every(a.can_be_false, axes)),)

    return rule


ANSWERS = ("and", "or", "not", "select_n", "convert_element_type", "reduce_and", "reduce_or")
"""primitives that take answers"""

RULES: dict[str, Rule] = {
    **{name: comparison(name) for name in COMPARISONS},
    "and": logical_and,
    "or": logical_or,
    "not": logical_not,
    "is_finite": is_finite,
    "select_n": select,
    "convert_element_type": convert,
    "reduce_and": reduced(True),
    "reduce_or": reduced(False),
}
"""primitive -> rule"""

__all__ = ["ANSWERS", "RULES", "choose", "equal", "less", "less_equal", "real_of_integer", "whole"]
