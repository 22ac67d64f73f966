"""Rules of running error bounds: for each primitive what it does to the bounds of `karush.stability.error_bounds`."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from karush.arithmetic.interval import RULES as INTERVALS
from karush.arithmetic.interval_arrays import MOVING
from karush.arithmetic.interval_logic import COMPARISONS
from karush.arithmetic.interval_numbers import Interval, Truth
from karush.jaxprs.walk import Step, missing_rule
from karush.stability import error_bounds as bounds
from karush.stability.error_bounds import MEANT, Bounds, Format, Value, Values, error, least, most, own, widened
from karush.stability.error_margins import FAR, NEAR_EXPONENT, PASSES
from karush.stability.error_overflow import OVERFLOWS, bears, overflowing
from karush.stability.error_signs import positive

Rule = Callable[[Format, Step, Values, Interval], tuple[Bounds, Any]]
"""``rule(format, step, operands, enclosure of the result) -> bounds, and where all operands are in the domain``"""


def passed(name: str) -> Rule:
    """Rule of a function of one number."""
    how = PASSES[name]

    def rule(form: Format, step: Step, operands: Values, e: Interval) -> tuple[Bounds, Any]:
        (x,) = operands
        wide, k = widened(x), form.margins[name]
        slope, factor = how.slope(wide), how.factor(wide)
        loose = own(form, k, jnp.zeros_like(e.lo), _times(slope, error(x)), e)
        grown = _times(factor, -jnp.log1p(-jnp.minimum(x.r, MEANT)))
        r = jnp.where(x.r < MEANT, jnp.expm1(grown), jnp.inf)
        tight = own(form, k, r, _times(slope, x.t), e)
        return bounds.better(e, tight, loose), how.inside(wide)

    return rule


def _times(a: Any, b: Any) -> Any:
    """``a b`` with 0 for an exact operand, whatever the slope."""
    return jnp.where(b == 0.0, 0.0, a * b)


FAR_BELOW = 2.0
"""how far below log2 of the least normal number an exponent to base 2, or e, is beyond doubt too small"""


def exponential(name: str, scale: float = 1.0) -> Rule:
    """Rule of exp, exp2 and the logistic function: an absolute error of the operand is a relative one of the result."""

    def rule(form: Format, step: Step, operands: Values, e: Interval) -> tuple[Bounds, Any]:
        wide = widened(operands[0])
        r = jnp.expm1(scale * error(operands[0]))
        # Far below, the exact and the computed result are both less than tiny, however far apart the operands.
        gone = (name != "logistic") & (wide.hi <= np.log2(form.tiny) - FAR_BELOW)
        r, t = jnp.where(gone, 0.0, r), jnp.where(gone, 2.0 * form.tiny, jnp.zeros_like(r))
        near = most(wide) <= NEAR_EXPONENT
        k = jnp.where(near, form.margins[name], form.margins[FAR]) if name == "exp" else form.margins[name]
        return own(form, k, r, t, e), True

    return rule


def square_root(form: Format, step: Step, operands: Values, e: Interval) -> tuple[Bounds, Any]:
    """``sqrt``: ``|√a − √b| <= √|a − b|`` where 0 is near."""
    (x,) = operands
    wide = widened(x)
    lo = jnp.where(wide.lo > 0.0, wide.lo, jnp.inf)
    t = jnp.minimum(jnp.sqrt(x.t), jnp.where(wide.lo > 0.0, 0.5 * x.t / jnp.sqrt(lo), jnp.inf))
    r = jnp.where(x.r < MEANT, 0.6 * x.r, jnp.inf)
    flushed = own(form, form.margins["sqrt"], r, t)
    return (flushed[0], flushed[2], flushed[2]), wide.lo >= 0.0


def unchanged(form: Format, step: Step, operands: Values, e: Interval) -> tuple[Bounds, Any]:
    """neg, abs: exact."""
    (x,) = operands
    return (x.r, x.t, x.before), True


def _beaten(name: str, operands: Values) -> list[Any]:
    """Where an operand of max or min is neither the exact nor the computed result."""
    wides = [widened(v) for v in operands]
    if name == "max":
        top = functools.reduce(jnp.maximum, [wide.lo for wide in wides])
        return [wide.hi < top for wide in wides]
    if name == "min":
        bottom = functools.reduce(jnp.minimum, [wide.hi for wide in wides])
        return [wide.lo > bottom for wide in wides]
    return [jnp.asarray(False)] * len(operands)


def extreme(form: Format, step: Step, operands: Values, e: Interval) -> tuple[Bounds, Any]:
    """max, min, clamp: as far off as the worst operand, where that is not out of the running."""
    shape, beaten = jnp.shape(e.lo), _beaten(step.primitive, operands)
    out: list[Any] = [jnp.zeros(shape)] * 3
    for v, never in zip(operands, beaten, strict=True):
        # An operand that is never the result does not count.
        meets = (v.exact.lo <= e.hi) & (v.exact.hi >= e.lo) & ~never
        out = [jnp.maximum(o, jnp.where(meets, part, 0.0)) for o, part in zip(out, v[1:4], strict=True)]
    # Where both programs may take different operands, these are no farther apart than the operands' errors.
    absolute = jnp.zeros(shape)
    relative = jnp.asarray(True)
    for v, never in zip(operands, beaten, strict=True):
        absolute = jnp.maximum(absolute, jnp.where(never, 0.0, error(v)))
        relative = relative & jnp.all((v.exact.lo >= 0.0) | (v.t == 0.0) | never)
    r, t, before = out
    return (
        jnp.where(relative, r, 0.0),
        jnp.where(relative, t, absolute),
        jnp.where(relative, before, absolute),
    ), True


def reduced_extreme(form: Format, step: Step, operands: Values, e: Interval) -> tuple[Bounds, Any]:
    """reduce_max, reduce_min."""
    (x,) = operands
    axes = tuple(step.params["axes"])
    absolute = jnp.max(error(x), axes)
    exact = jnp.all(x.t == 0.0, axes)
    r = jnp.where(exact, jnp.max(x.r, axes), 0.0)
    t = jnp.where(exact, 0.0, absolute)
    return (r, t, t), True


def staircase(name: str) -> Rule:
    """Rule of floor, ceil, round, sign: exact, or off by the steps between the exact and the computed operand."""
    function = {"floor": jnp.floor, "ceil": jnp.ceil, "round": jnp.round, "sign": jnp.sign}[name]

    def rule(form: Format, step: Step, operands: Values, e: Interval) -> tuple[Bounds, Any]:
        (x,) = operands
        wide = widened(x)
        exact = (x.r == 0.0) & (x.t == 0.0)
        t = jnp.where(exact, 0.0, function(wide.hi) - function(wide.lo))
        return (jnp.zeros_like(t), t, t), True

    return rule


def quotient(form: Format, step: Step, operands: Values, e: Interval) -> tuple[Bounds, Any]:
    """``a / b``."""
    a, b = operands
    return bounds.div(form, a, b, e)


def integer_power(form: Format, step: Step, operands: Values, e: Interval) -> tuple[Bounds, Any]:
    """``a^y``, y fixed."""
    (x,), y = operands, int(step.params["y"])
    if y == 0:
        zero = jnp.zeros_like(e.lo)
        return (zero, zero, zero), True
    if y > 0:
        return bounds.whole_power(form, x, y), True
    r, t, _ = bounds.whole_power(form, x, -y)
    size = most(x.exact) ** -y
    base = Interval(least(x.exact) ** -y, size)
    one = Value(Interval(jnp.ones_like(size), jnp.ones_like(size)), *[jnp.zeros_like(size)] * 3)
    return bounds.div(form, one, Value(base, r, t, t, True), e)


def by_size(count_of: Callable[[Step], float], rule: Callable[..., Any]) -> Rule:
    """Rule that needs the number of terms."""
    return lambda form, step, operands, e: rule(form, step, operands, e, count_of(step))


def _reduced(step: Step) -> float:
    return float(np.prod([step.in_avals[0].shape[axis] for axis in step.params["axes"]]))


def _contracted(step: Step) -> float:
    return float(np.prod([step.in_avals[0].shape[axis] for axis in step.params["dimension_numbers"][0][0]]))


RULES: dict[str, Rule] = {
    **{name: passed(name) for name in PASSES},
    "exp": exponential("exp"),
    "exp2": exponential("exp2", 0.7),
    "logistic": exponential("logistic"),
    "sqrt": square_root,
    **dict.fromkeys(("neg", "abs"), unchanged),
    **dict.fromkeys(("max", "min", "clamp"), extreme),
    **dict.fromkeys(("reduce_max", "reduce_min"), reduced_extreme),
    **{name: staircase(name) for name in ("floor", "ceil", "round", "sign")},
    "add": lambda form, step, v, e: (bounds.add(form, v[0], v[1], e), True),
    "add_any": lambda form, step, v, e: (bounds.add(form, v[0], v[1], e), True),
    "sub": lambda form, step, v, e: (bounds.add(form, v[0], v[1], e, -1.0), True),
    "mul": lambda form, step, v, e: (bounds.mul(form, v[0], v[1], e), True),
    "square": lambda form, step, v, e: (bounds.mul(form, v[0], v[0], e), True),
    "div": quotient,
    "integer_pow": integer_power,
    "pow": lambda form, step, v, e: bounds.power(form, v[0], v[1], e),
    "reduce_sum": by_size(
        _reduced, lambda form, step, v, e, n: (bounds.total(form, v[0], e, step.params["axes"], n), True)
    ),
    "reduce_prod": by_size(_reduced, lambda form, step, v, e, n: bounds.product(form, v[0], step.params["axes"], n)),
    "dot_general": by_size(
        _contracted, lambda form, step, v, e, n: (bounds.contract(form, step, v[0], v[1], e, n), True)
    ),
}
"""primitive -> rule"""


def run(form: Format, step: Step, operands: Sequence[Value]) -> list[Value]:
    """One step on bounded values.

    Raises
    ------
    TraceError
        for a primitive without a rule.
    """
    name = step.primitive
    if name not in INTERVALS:
        raise missing_rule(step)
    if name in COMPARISONS and all(isinstance(v.exact, Interval) for v in operands):
        # Both programs' answers: of the operands widened by their errors.
        answer = INTERVALS[name](step, *[widened(v) for v in operands])[0]
        same = jnp.asarray(True)
        for v in operands:
            same = same & (v.r == 0.0) & (v.t == 0.0)
        fine = [v.fine & ~jnp.asarray(v.over) for v in operands]
        return [Value(answer, same=same, fine=fine[0] & fine[1])]
    if name not in MOVING:
        holds = bears(name, operands)
        operands = [v._replace(fine=v.fine & (~jnp.asarray(v.over) | b)) for v, b in zip(operands, holds, strict=True)]
    exact = INTERVALS[name](step, *[v.exact for v in operands])
    if not any(isinstance(item, Interval) for item in exact):
        fine = _all_fine(operands, _shape(exact[0]))
        return [Value(item, same=_same(operands, item), fine=fine) for item in exact]
    if name == "convert_element_type":
        (x,) = operands
        if isinstance(x.exact, Interval):
            return [x._replace(exact=exact[0])]
        return [_number(exact[0], jnp.where(_same(operands, exact[0]), 0.0, exact[0].hi - exact[0].lo))]
    if name == "select_n":
        return [Value(exact[0], *bounds.chosen(operands[0], operands[1:]))]
    if name in MOVING or name == "gather":
        return [Value(*parts) for parts in zip(exact, *bounds.moved(step, operands), strict=True)]
    if name == "iota" or name not in RULES:
        if name not in RULES and any(isinstance(v.exact, Interval) for v in operands):
            raise missing_rule(step)
        return [_number(item, 0.0) for item in exact]
    (e,) = exact
    operands = [v if isinstance(v.exact, Interval) else _counted(step, v) for v in operands]
    (r, t, before), inside = RULES[name](form, step, operands, e)
    shape = jnp.shape(e.lo)
    over = ~(most(e) * (1.0 + r) + t < form.largest)
    if name in OVERFLOWS:
        large = overflowing(form, e, r, t)
    else:
        large = operands[0].over if name in ("neg", "abs") else False
    fine = (~over | large) & inside & _all_fine(operands, shape)
    parts = (r, t, before, positive(step, operands), fine, over)
    return [Value(e, *[jnp.broadcast_to(part, shape) for part in parts])]


def _all_fine(operands: Sequence[Value], shape: tuple[int, ...]) -> Any:
    """Whether all operands are fine: element by element where the shapes agree."""
    fine = jnp.asarray(True)
    for v in operands:
        fine = fine & (v.fine if jnp.shape(v.fine) in ((), shape) else jnp.all(v.fine))
    return fine


def _number(e: Interval, t: Any) -> Value:
    zero = jnp.zeros(jnp.shape(e.lo))
    return Value(e, zero, zero + t, zero + t, e.lo >= 0.0)


def _counted(step: Step, v: Value) -> Value:
    """A known integer beside a number that is counted, such as that of the answers that are true."""
    if isinstance(v.exact, Truth):
        raise missing_rule(step)
    number = jnp.asarray(v.exact, jnp.float64)
    return _number(Interval(number, number), 0.0)


def _same(operands: Sequence[Value], like: Any) -> Any:
    """Whether the computed answers are the exact ones."""
    same = jnp.asarray(True)
    for v in operands:
        same = same & jnp.all(jnp.asarray(v.same))
    return jnp.broadcast_to(same, _shape(like))


def _shape(like: Any) -> tuple[int, ...]:
    like = like.lo if isinstance(like, Interval) else like.can_be_true if isinstance(like, Truth) else like
    return jnp.shape(like)


__all__ = ["RULES", "run"]
