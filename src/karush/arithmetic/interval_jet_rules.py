"""Rules of enclosed derivatives, one per primitive, and programs that run by them."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from karush.arithmetic import interval as values
from karush.arithmetic import interval_arrays as arrays
from karush.arithmetic import interval_functions as functions
from karush.arithmetic import interval_jet_running as further
from karush.arithmetic import interval_logic as logic
from karush.arithmetic.interval_jet_loops import Stepped, dense, loops, steps
from karush.arithmetic.interval_jets import (
    ALL,
    Jet,
    chosen,
    composed,
    full,
    larger,
    mappable,
    opposite,
    plus,
    product,
    reciprocal,
    sum_of,
    unary,
    unbounded,
    whole_power,
    zeros,
)
from karush.arithmetic.interval_numbers import Interval, Truth, constant, dense_ok, each, joined, lift
from karush.arithmetic.interval_slopes import SLOPES
from karush.core.errors import TraceError
from karush.jaxprs.walk import Program, Rule, Step, inline, interpret

Values = Sequence[Any]


def divide(step: Step, a: Jet, b: Jet) -> Values:
    """``a / b``."""
    value = functions.div(a.value, b.value)
    if b.first is None:
        over = lambda d: None if d is None else functions.div(d, b.value)  # noqa: E731
        return (Jet(value, over(a.first), over(a.second)),)
    whole = product(a, reciprocal(b))
    return (Jet(value, whole.first, whole.second),)


def power(step: Step, a: Jet, b: Any) -> Values:
    """``a^b``."""
    b = b if isinstance(b, Jet) else Jet(values.real(b))
    exponent = values.literal(step, 1)
    if exponent is not None and exponent.is_integer() and abs(exponent) <= values.LARGEST_POWER:
        return (whole_power(a, int(exponent)),)
    value = functions.power(a.value, b.value)
    if b.first is not None:
        whole = unary("exp", product(b, unary("log", a)))
        return (Jet(value, whole.first, whole.second),)

    def slope(k: float) -> Interval:
        lowered = functions.sub(b.value, constant(k))
        return functions.power(a.value, lowered)

    first = lambda: functions.mul(b.value, slope(1.0))  # noqa: E731
    less_one = lambda: functions.mul(b.value, functions.sub(b.value, constant(1.0)))  # noqa: E731
    return (composed(a, value, first, lambda: functions.mul(less_one(), slope(2.0))),)


def spread_rule(rule: Rule, slope: Rule | None = None) -> Rule:
    """Rule of a primitive that is linear in its real operands together: the derivatives go by `slope`, or the same."""
    of_derivatives = rule if slope is None else slope

    def linear(step: Step, *operands: Any) -> Values:
        chosen_ = [k for k, operand in enumerate(operands) if isinstance(operand, Jet)]
        plain = [operand.value if isinstance(operand, Jet) else operand for operand in operands]
        outs = rule(step, *plain)

        def follow(name: str, lead: int) -> Sequence[Any]:
            given = [getattr(operands[k], name) for k in chosen_]
            head = next((jnp.shape(item.lo)[:lead] for item in given if item is not None), None)
            if head is None:
                return [None] * len(outs)
            filled = [
                zeros(head + jnp.shape(operands[k].value.lo)) if item is None else full(item)
                for k, item in zip(chosen_, given, strict=True)
            ]

            def run(*parts: Interval) -> list[Interval]:
                whole = list(plain)
                for k, part in zip(chosen_, parts, strict=True):
                    whole[k] = part
                return list(of_derivatives(step, *whole))

            for _ in range(lead):
                run = jax.vmap(run)
            return run(*filled)

        return [
            Jet(*parts) if isinstance(parts[0], Interval) else parts[0]
            for parts in zip(outs, follow("first", 1), follow("second", 2), strict=True)
        ]

    return linear


def contract(step: Step, a: Jet, b: Jet) -> Values:
    """``dot_general``, bilinear."""
    a, b = mappable(a), mappable(b)
    numbers = step.params["dimension_numbers"]
    left = jax.vmap(lambda d: arrays.dot(d, b.value, numbers))
    right = jax.vmap(lambda d: arrays.dot(a.value, d, numbers))
    first = plus(
        None if a.first is None else left(a.first),
        None if b.first is None else right(b.first),
    )
    second = plus(
        None if a.second is None else jax.vmap(left)(a.second),
        None if b.second is None else jax.vmap(right)(b.second),
    )
    if a.second is not None and b.second is not None and a.first is not None and b.first is not None:
        cross = jax.vmap(lambda p: jax.vmap(lambda q: arrays.dot(p, q, numbers))(b.first))(a.first)
        second = plus(second, functions.add(cross, each(lambda x: jnp.swapaxes(x, 0, 1), cross)))
    return (Jet(arrays.dot(a.value, b.value, numbers), first, second),)


def reduce_extreme(step: Step, a: Jet) -> Values:
    """``reduce_max``, ``reduce_min``: the hull over the elements that may be the best."""
    axes, largest = tuple(step.params["axes"]), step.primitive == "reduce_max"
    (value,) = arrays.extreme(step, a.value)
    if a.first is None:
        return (Jet(value),)
    # Where an element is not defined, all may be the best.
    best = jnp.expand_dims(value.lo if largest else value.hi, axes)
    possible = a.value.hi >= best if largest else a.value.lo <= best
    several = jnp.sum(possible, axes) > 1

    def taken(d: Interval, lead: int) -> Interval:
        d = full(d)
        along = tuple(axis + lead for axis in axes)
        lo = jnp.min(jnp.where(possible, d.lo, jnp.inf), along)
        hi = jnp.max(jnp.where(possible, d.hi, -jnp.inf), along)
        return Interval(lo, hi, None if d.ok is None else jnp.all(d.ok | ~possible, along))

    if a.second is None:
        return (Jet(value, taken(a.first, 1)),)
    return (Jet(value, taken(a.first, 1), unbounded(taken(a.second, 2), several)),)


def select(n: int | None, *, second: bool) -> Rule:
    """Rule of ``select_n``; a choice that is open may be a jump, between constants too."""

    def rule(step: Step, which: Any, *cases: Any) -> Values:
        if not all(isinstance(case, Jet) for case in cases):
            return values.RULES["select_n"](step, which, *[getattr(case, "value", case) for case in cases])
        (value,) = values.RULES["select_n"](step, which, *[case.value for case in cases])
        if all(case.first is None for case in cases):
            if not isinstance(which, Truth):
                return (Jet(value),)
            open_ = which.can_be_true & which.can_be_false
            if n is None:
                return (Jet(Interval(value.lo, value.hi, dense_ok(value) & ~open_)),)
            cases = tuple(dense(case, n, second=second) for case in cases)
        if len(cases) != 2:
            raise TraceError(f"'select_n' at {step.place} chooses among {len(cases)} cases; derivatives take 2")
        answer = which if isinstance(which, Truth) else Truth(jnp.asarray(which, bool), ~jnp.asarray(which, bool))
        return (chosen(answer, cases[0], cases[1], value, jump=True),)

    return rule


def extreme(name: str) -> Rule:
    """Rule of max or min."""

    def rule(step: Step, a: Jet, b: Jet) -> Values:
        neutral = -jnp.inf if name == "max" else jnp.inf
        for index, other in ((0, b), (1, a)):
            if values.literal(step, index) == neutral:
                return (other,)
        return (larger(a, b) if name == "max" else opposite(larger(opposite(a), opposite(b))),)

    return rule


def clamp(step: Step, low: Jet, a: Jet, high: Jet) -> Values:
    """``min(max(low, a), high)``."""
    return (opposite(larger(opposite(larger(low, a)), opposite(high))),)


def multiply(step: Step, a: Jet, b: Jet) -> Values:
    """``a b``."""
    return (unary("square", a) if step.inputs[0] == step.inputs[1] else product(a, b),)


def on_values(rule: Rule) -> Rule:
    """Rule of a primitive with answers or integers as results."""
    return lambda step, *operands: rule(step, *[item.value if isinstance(item, Jet) else item for item in operands])


def convert(step: Step, a: Jet) -> Values:
    """Change of type of a real number; to an answer, whether it is not 0."""
    return (a,) if step.out_avals[0].dtype.kind == "f" else values.RULES["convert_element_type"](step, a.value)


def lifted(value: Any) -> Any:
    """A constant."""
    out = lift(value)
    return Jet(out) if isinstance(out, Interval) else out


def guarded(rule: Rule, fallback: Rule, stepped: Stepped) -> Rule:
    """`rule` where an operand is a jet of real numbers; else the rule of plain values, whose results are steps."""

    def guard(step: Step, *operands: Any) -> Values:
        jets = [isinstance(operand, Jet) for operand in operands]
        counted = any(jet and aval.dtype.kind in "iu" for jet, aval in zip(jets, step.in_avals, strict=True))
        real = any(aval.dtype.kind not in "iu" for aval in step.out_avals)
        return rule(step, *operands) if any(jets) and real and not counted else stepped(step, fallback, operands)

    return guard


def table(n: int | None = None, *, second: bool = False) -> dict[str, Rule]:
    """Rules for derivatives in n variables; None, for values that have none where they jump."""
    stepped = steps(n, second=second)
    own: dict[str, Rule] = {
        **{name: (lambda step, a, name=name: (unary(name, a),)) for name in SLOPES if name in ALL},
        "neg": lambda step, a: (opposite(a),),
        "add": lambda step, a, b: (sum_of(a, b),),
        "add_any": lambda step, a, b: (sum_of(a, b),),
        "sub": lambda step, a, b: (sum_of(a, opposite(b)),),
        "mul": multiply,
        "div": divide,
        "pow": power,
        "integer_pow": lambda step, a: (whole_power(a, int(step.params["y"])),),
        "max": extreme("max"),
        "min": extreme("min"),
        "clamp": clamp,
        "dot_general": contract,
        **further.RULES,
        "reduce_max": reduce_extreme,
        "reduce_min": reduce_extreme,
        "select_n": select(n, second=second),
        "convert_element_type": convert,
        **{
            name: (lambda step, a, name=name: stepped(step, values.RULES[name], (a,)))
            for name in ("floor", "ceil", "round", "sign", "reduce_precision")
        },
        **{
            name: spread_rule(values.RULES[name])
            for name in (*arrays.MOVING, "scatter-add", "scatter-sub", "reduce_sum", "cumsum")
        },
        "gather": spread_rule(values.RULES["gather"], lambda step, a, at: arrays.gather(step, a, at, slope=True)),
        **{name: on_values(values.RULES[name]) for name in (*logic.COMPARISONS, "is_finite")},
    }
    answers = ("and", "or", "not", "reduce_and", "reduce_or", "argmax", "argmin", *values.EXACT.split())
    rules = {name: guarded(rule, values.RULES[name], stepped) for name, rule in own.items()}
    rules |= {name: guarded(on_values(values.RULES[name]), values.RULES[name], stepped) for name in answers}
    rules |= {name: further.read(name, rules[name], stepped) for name in ("gather", "dynamic_slice")}
    return rules | loops(rules, lifted, n, second=second)


RULES: dict[str, Rule] = table()
"""primitive -> rule"""


class JetProgram:
    """A closed jaxpr of one flat float64 array (n,), evaluated on a box with derivatives of its one output (k,)."""

    own: Mapping[str, Rule] = {}
    """rules beside those of `table`"""

    def __init__(self, closed_jaxpr: Any, *, second: bool = False):
        self.program: Program = inline(closed_jaxpr, values.keep, real=True)
        self.second = second

    def __call__(self, box: Interval) -> tuple[Interval, ...]:
        """Value (k,), first (n, k) and, if asked for, second (n, n, k) derivatives; unbounded where not enclosed."""
        values.require_double()
        n = jnp.shape(box.lo)[0]
        unit = jnp.eye(n)
        start = Jet(box, Interval(unit, unit), zeros((n, n, n)) if self.second else None)
        out = interpret(self.program, [start], {**table(n, second=self.second), **self.own}, lift=lifted)[0]
        out = out if isinstance(out, Jet) else Jet(values.real(out))
        shape = jnp.shape(out.value.lo)
        value, first = joined(out.value), zeros((n, *shape)) if out.first is None else joined(_closed(out.first))
        if not self.second:
            return value, first
        return value, first, zeros((n, n, *shape)) if out.second is None else joined(_closed(out.second))


def _closed(d: Interval) -> Interval:
    """Unbounded where it is not defined."""
    return d if d.ok is None else unbounded(Interval(d.lo, d.hi), ~d.ok)


__all__ = ["RULES", "JetProgram", "lifted", "table"]
