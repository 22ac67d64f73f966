"""Rules of ball arithmetic for answers: comparisons, three-valued logic, choice, and the making of integers."""

import operator
from collections.abc import Callable, Sequence

import numpy as np
from flint import arb

from karush.arithmetic.ball_numbers import NO, UNDECIDED, YES, Undecided, balls, is_real, join, unary
from karush.jaxprs.walk import Rule, Step

Values = Sequence[np.ndarray]


def _ask(answer: bool, opposite: bool) -> int:
    return YES if answer else (NO if opposite else UNDECIDED)


COMPARISONS: dict[str, Callable[[arb, arb], int]] = {
    "lt": lambda a, b: _ask(a < b, a >= b),
    "le": lambda a, b: _ask(a <= b, a > b),
    "gt": lambda a, b: _ask(a > b, a <= b),
    "ge": lambda a, b: _ask(a >= b, a < b),
    "eq": lambda a, b: _ask(a == b, a != b),
    "ne": lambda a, b: _ask(a != b, a == b),
    # The total order of floating-point numbers, where −0 lies below 0: the sign of a zero is not known here.
    "lt_to": lambda a, b: _ask(a < b, a > b or (a == b and a != 0)),
    "le_to": lambda a, b: _ask(a < b or (a == b and a != 0), a > b),
}


def comparison(name: str) -> Rule:
    """Rule of ``a < b`` and its kin; ``a != a`` asks for NaN, which no real number is."""
    asked = np.frompyfunc(COMPARISONS[name], 2, 1)
    exact = getattr(operator, name.removesuffix("_to"))

    def rule(step: Step, a: np.ndarray, b: np.ndarray) -> Values:
        if not is_real(a):
            if a.dtype == np.int8 and step.in_avals[0].dtype == np.bool_ and ((a < 0).any() or (b < 0).any()):
                raise Undecided(f"a comparison of answers at {step.place} that balls cannot decide")
            return (np.asarray(exact(a, b)).astype(np.int8),)
        if step.inputs[0] == step.inputs[1]:
            answer = YES if name in ("le", "ge", "eq", "le_to") else NO
            return (np.where(_finite(a), answer, UNDECIDED).astype(np.int8),)
        return (np.asarray(asked(a, b)).astype(np.int8),)

    return rule


def smooth_comparison(name: str) -> Rule:
    """The same, refused where the two sides touch: there the program may have a kink or a jump."""
    loose, touching = comparison(name), np.frompyfunc(lambda a, b: bool(a.overlaps(b)), 2, 1)

    def rule(step: Step, a: np.ndarray, b: np.ndarray) -> Values:
        if is_real(a) and step.inputs[0] == step.inputs[1]:
            _require_finite(step, a)
        elif is_real(a) and np.any(touching(a, b)):
            raise Undecided(f"the two sides of '{name}' at {step.place} meet inside the box")
        return loose(step, a, b)

    return rule


def logical_and(step: Step, a: np.ndarray, b: np.ndarray) -> Values:
    """Kleene's and; bitwise for integers."""
    if step.out_avals[0].dtype != np.bool_:
        return (a & b,)
    return (np.where((a == NO) | (b == NO), NO, np.where((a == YES) & (b == YES), YES, UNDECIDED)).astype(np.int8),)


def logical_or(step: Step, a: np.ndarray, b: np.ndarray) -> Values:
    """Kleene's or; bitwise for integers."""
    if step.out_avals[0].dtype != np.bool_:
        return (a | b,)
    return (np.where((a == YES) | (b == YES), YES, np.where((a == NO) & (b == NO), NO, UNDECIDED)).astype(np.int8),)


def logical_xor(step: Step, a: np.ndarray, b: np.ndarray) -> Values:
    """Exclusive or; bitwise for integers."""
    if step.out_avals[0].dtype != np.bool_:
        return (a ^ b,)
    return (np.where((a == UNDECIDED) | (b == UNDECIDED), UNDECIDED, (a != b).astype(np.int8)).astype(np.int8),)


def logical_not(step: Step, a: np.ndarray) -> Values:
    """Not; bitwise for integers."""
    if step.out_avals[0].dtype != np.bool_:
        return (~a,)
    return (np.where(a == UNDECIDED, UNDECIDED, 1 - a).astype(np.int8),)


def by_kind(number: Rule, answer: Rule) -> Rule:
    """`number`, or for booleans, whose larger is their or and whose smaller is their and, `answer`."""
    return lambda step, *operands: (answer if step.in_avals[0].dtype == np.bool_ else number)(step, *operands)


def _finite(a: np.ndarray) -> np.ndarray:
    """Which balls certainly hold real numbers only."""
    return np.asarray(np.frompyfunc(arb.is_finite, 1, 1)(a)).astype(bool)


def _require_finite(step: Step, a: np.ndarray) -> None:
    """Refuse a question whose answer may jump where its operand leaves the real numbers."""
    if not _finite(a).all():
        raise Undecided(f"'{step.primitive}' at {step.place} asks whether a number is finite that may not be")


def is_finite(step: Step, a: np.ndarray) -> Values:
    """Every real number is; of others nothing is known."""
    return (np.where(_finite(a), YES, UNDECIDED).astype(np.int8),)


def smooth_is_finite(step: Step, a: np.ndarray) -> Values:
    """The same, refused where the operand may leave the real numbers."""
    _require_finite(step, a)
    return is_finite(step, a)


def select(step: Step, which: np.ndarray, *cases: np.ndarray) -> Values:
    """``cases[which]``, elementwise; all cases joined where balls cannot tell which."""
    which = np.broadcast_to(which, cases[0].shape)
    chosen = cases[0]
    for index in range(1, len(cases)):
        chosen = np.where(which == index, cases[index], chosen)
    unknown = which == UNDECIDED
    if unknown.any():
        everything = cases[0]
        for case in cases[1:]:
            everything = join(everything, case, step.out_avals[0].dtype)
        chosen = np.where(unknown, everything, chosen)
    return (chosen,)


def convert(step: Step, a: np.ndarray) -> Values:
    """Between reals, integers and answers; to an integer by truncation, where that is decided."""
    old, new = step.in_avals[0].dtype, step.out_avals[0].dtype
    # A real number as a complex one stays what it is; what makes other complex numbers has no rule.
    if new.kind in "fc":
        if is_real(a):
            return (a,)
        if old != np.bool_:
            return (balls(a),)
        return (np.where(a == UNDECIDED, balls(0).item().union(arb(1)), balls(np.abs(a))),)
    if old.kind != "f":
        if new == np.bool_:
            return (a if old == np.bool_ else (a != 0).astype(np.int8),)
        if old == np.bool_ and (a == UNDECIDED).any():
            raise Undecided(f"an integer at {step.place} depends on a comparison that balls cannot decide")
        return (a.astype(new),)
    if new == np.bool_:
        return (np.asarray(np.frompyfunc(lambda x: _ask(x != 0, x == 0), 1, 1)(a)).astype(np.int8),)
    whole = unary(lambda x: x.floor() if x >= 0 else (x.ceil() if x <= 0 else arb.nan()))(a)
    exact = [ball.unique_fmpz() if ball.is_exact() else None for ball in whole.flat]
    if any(item is None for item in exact):
        raise Undecided(f"balls cannot tell which integer a real number at {step.place} is cut to")
    integers = [int(item) for item in exact if item is not None]
    held = np.iinfo(new)
    if any(not held.min <= item <= held.max for item in integers):
        raise Undecided(f"a real number at {step.place} is cut to an integer that {new} does not hold")
    return (np.array(integers, dtype=new).reshape(a.shape),)


def at_integer(a: arb) -> bool:
    """Whether an integer may be a member of the ball."""
    return a.contains_integer()


def smooth_convert(step: Step, a: np.ndarray) -> Values:
    """To an integer or an answer, refused where that may jump."""
    jumps = step.in_avals[0].dtype.kind == "f" and step.out_avals[0].dtype.kind != "f"
    if jumps and np.any(np.frompyfunc(at_integer, 1, 1)(a)):
        raise Undecided(f"a real number at {step.place} is cut to an integer, which jumps inside the box")
    return convert(step, a)


RULES: dict[str, Rule] = {
    **{name: comparison(name) for name in COMPARISONS},
    "and": logical_and,
    "or": logical_or,
    "xor": logical_xor,
    "not": logical_not,
    "is_finite": is_finite,
    "select_n": select,
    "convert_element_type": convert,
}
"""primitive -> rule"""

SMOOTH: dict[str, Rule] = {
    **{name: smooth_comparison(name) for name in COMPARISONS},
    "is_finite": smooth_is_finite,
    "convert_element_type": smooth_convert,
}
"""primitive -> rule that refuses kinks and jumps"""

__all__ = ["RULES", "SMOOTH", "at_integer", "by_kind", "logical_and", "logical_or"]
