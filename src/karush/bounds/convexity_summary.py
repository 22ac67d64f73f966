"""A walk by the rules of convex analysis in which one number stands for a whole array: for a million variables.

```
[a] = [min_i lo_i, max_i hi_i],   convex where every element is,   Σ_i a_i of N elements in N [a]
```

What is said of an array is said of each of its elements, so that the rules of elementwise primitives hold as they are;
single numbers keep shape (), arrays have shape (1,). Nothing is computed for each element but on integers and on the
ends of the program's own arrays.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from karush.arithmetic.constants import array_of
from karush.bounds import convexity_algebra as algebra
from karush.bounds import convexity_ranges as ranges
from karush.bounds.convexity_atoms import atom_name
from karush.bounds.convexity_choice import Choice, answer, choose
from karush.bounds.convexity_curve import EVERYWHERE, FIELDS, NONE, SLACK, Curve, constant, curve, unknown
from karush.bounds.convexity_rules import RULES
from karush.bounds.convexity_walk import Rule, Values, Walk, as_curve, opaque
from karush.jaxprs.walk import Program, Step, bind, inline

SINGLE, ARRAY = (), (1,)
"""shapes of what stands for a number and for an array"""


class Summary(Walk):
    """A walk over summaries, which keeps what went into each step and what came out, by the identity of the step."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, SUMMARY_RULES)
        self.given: dict[int, list[Any]] = {}
        self.made: dict[int, Sequence[Any]] = {}

    def lift(self, item: Any, key: Any = None) -> Any:
        """A constant by the ends of its elements."""
        array = array_of(item)
        if array.dtype.kind != "f" or array.ndim == 0:
            return super().lift(item, key)
        number = self.number(next(self.seen.counter) if key is None else key)
        return replace(ends_of(array), node=number)

    def step(self, step: Step, given: list[Any]) -> Values:
        """Values of the outputs, summarised."""
        outs = [summary(out) for out in super().step(step, given)]
        self.given[id(step)], self.made[id(step)] = given, outs
        return outs


def ends_of(array: np.ndarray) -> Curve:
    """An array that does not depend on x, by its ends."""
    if array.size == 0:
        return unknown(ARRAY, defined=EVERYWHERE, is_constant=True)
    lo, hi = float(np.min(array)), float(np.max(array))
    if np.isnan(lo) or np.isnan(hi):
        return unknown(ARRAY, is_constant=True)
    return constant((np.full(ARRAY, lo), np.full(ARRAY, hi)))


def summary(value: Any) -> Any:
    """What holds for every element."""
    if isinstance(value, Choice):
        small = value.yes.shape in (SINGLE, ARRAY)
        return value if small else Choice(np.full(ARRAY, np.any(value.yes)), np.full(ARRAY, np.any(value.no)))
    if not isinstance(value, Curve) or value.shape in (SINGLE, ARRAY):
        return value
    if value.lo.size == 0:
        return unknown(ARRAY, defined=value.defined, is_constant=value.constant)
    ends = np.full(ARRAY, value.lo.min()), np.full(ARRAY, value.hi.max())
    if value.constant:
        return constant(ends, defined=value.defined, node=value.node)
    return curve(
        ends,
        value.convex.all(),
        value.concave.all(),
        rc=value.rc.max(),
        rk=value.rk.min(),
        ec=value.ec.max(),
        ek=value.ek.min(),
        size_convex=value.size_convex.all(),
        positive=value.positive.all(),
        defined=value.defined,
        node=value.node,
    )


def resized(a: Curve, shape: tuple[int, ...]) -> Curve:
    """The same of every element of an array of another shape; a number that is repeated stays that number."""
    put = SINGLE if shape == () else ARRAY
    fields: dict[str, Any] = {name: getattr(a, name).reshape(put) for name in FIELDS}
    single = a.scalar if a.scalar >= 0 else a.node if a.shape == SINGLE else -1
    return Curve(**fields, constant=a.constant, defined=a.defined, scalar=single)


def joined(parts: Sequence[Curve], shape: tuple[int, ...]) -> Curve:
    """Any of several values."""
    flat = [resized(part, ARRAY) for part in parts]
    ends = np.minimum.reduce([part.lo for part in flat]), np.maximum.reduce([part.hi for part in flat])
    defined = min(part.defined for part in flat)
    if all(part.constant for part in flat):
        return resized(constant(ends, defined=defined), shape)
    out = curve(
        ends,
        all(part.convex.all() for part in flat),
        all(part.concave.all() for part in flat),
        rc=max(part.rc.max() for part in flat),
        rk=min(part.rk.min() for part in flat),
        ec=max(part.ec.max() for part in flat),
        ek=min(part.ek.min() for part in flat),
        size_convex=all(part.size_convex.all() for part in flat),
        positive=all(part.positive.all() for part in flat),
        defined=defined,
    )
    return resized(out, shape)


def repeated_sum(a: Curve, count: int, shape: tuple[int, ...]) -> Curve:
    """A sum of `count` values of which a is said."""
    if count == 0:
        return resized(constant((np.zeros(ARRAY), np.zeros(ARRAY))), shape)
    number = np.full(ARRAY, float(count))
    ends = ranges.mul(a.range, (number, number))
    if a.constant:
        return resized(constant(ends, defined=a.defined), shape)
    out = curve(
        ends,
        a.convex.all(),
        a.concave.all(),
        rc=np.where(a.rc <= 1.0 + SLACK, a.rc, NONE).max(),
        rk=np.where(a.rk >= 1.0 - SLACK, a.rk, -NONE).min(),
        positive=a.positive.all(),
        defined=a.defined,
    )
    return resized(out, shape)


def handed_on(walk: Walk, step: Step, a: Any, *rest: Any) -> Values:
    """A primitive whose result has elements of its first operand only."""
    if isinstance(a, Choice):
        return (Choice(np.full(ARRAY, a.yes.any()), np.full(ARRAY, a.no.any())),)
    if not isinstance(a, Curve) or any(isinstance(other, (Curve, Choice)) for other in rest):
        return [opaque(aval, [a, *rest]) for aval in step.out_avals]
    outs = [resized(a, aval.shape) for aval in step.out_avals]
    if a.multiple[0] < 0 or rest:
        return outs
    # The same move of what a is a multiple of.
    key = walk.key(step, [replace(a, node=a.multiple[0])])
    return [replace(out, multiple=(walk.number((key, k)), a.multiple[1])) for k, out in enumerate(outs)]


def gathered(walk: Walk, step: Step, a: Any, places: Any) -> Values:
    """``gather`` whose places do not depend on x and all lie inside, or are put there."""
    if not isinstance(a, Curve) or isinstance(places, (Curve, Choice)):
        return [opaque(aval, [a, places]) for aval in step.out_avals]
    if step.params["mode"] == jax.lax.GatherScatterMode.FILL_OR_DROP:
        # What is filled in is NaN or 0.
        inside = np.asarray(bind(step, jax.numpy.ones(step.in_avals[0].shape), jax.numpy.asarray(places))[0])
        if not bool(np.all(inside == 1.0)):
            return [opaque(aval, [a]) for aval in step.out_avals]
    return (resized(a, step.out_avals[0].shape),)


def any_of(walk: Walk, step: Step, *parts: Any) -> Values:
    """Concatenation, stacking, padding: elements of any operand."""
    if any(isinstance(part, Choice) for part in parts) or step.out_avals[0].dtype.kind != "f":
        return [opaque(aval, list(parts)) for aval in step.out_avals]
    return (joined([summary(as_curve(walk, part)) for part in parts], step.out_avals[0].shape),)


def select(walk: Walk, step: Step, which: Any, *cases: Any) -> Values:
    """``select_n``."""
    shape = SINGLE if step.out_avals[0].shape == () else ARRAY
    if any(isinstance(case, Choice) for case in cases) or step.out_avals[0].dtype.kind != "f" or len(cases) != 2:
        return [opaque(aval, [which, *cases]) for aval in step.out_avals]
    curves = [summary(as_curve(walk, case)) for case in cases]
    if isinstance(which, (Choice, Curve)):
        small = summary(answer(which))
        return (choose(small, curves, np.broadcast_shapes(shape, small.yes.shape)),)
    met = np.unique(np.asarray(which).astype(int))
    return (curves[int(met[0])] if met.size == 1 else joined(curves, shape),)


def reduce_sum(walk: Walk, step: Step, a: Curve) -> Values:
    """``reduce_sum``."""
    return (repeated_sum(a, _ratio(step.in_avals[0], step.out_avals[0]), step.out_avals[0].shape),)


def cumulative(walk: Walk, step: Step, a: Curve) -> Values:
    """``cumsum``: sums of one term at least."""
    most = repeated_sum(a, step.in_avals[0].shape[step.params["axis"]], ARRAY)
    return (joined([replace(a, node=-1), most], step.out_avals[0].shape),)


def extreme(sign: int) -> Rule:
    """``reduce_max`` (1) and ``reduce_min`` (−1)."""

    def rule(walk: Walk, step: Step, a: Curve) -> Values:
        bent = {"convex": a.convex.all() and sign > 0, "concave": a.concave.all() and sign < 0}
        put = SINGLE if step.out_avals[0].shape == () else ARRAY
        ends = a.lo.reshape(put), a.hi.reshape(put)
        return (curve(ends, **bent, positive=a.positive.all(), constant=a.constant, defined=a.defined),)

    return rule


def contraction(walk: Walk, step: Step, a: Any, b: Any) -> Values:
    """``dot_general``: sums of products, of the same elements where both operands are contracted alike."""
    (over_a, over_b), (batch_a, batch_b) = step.params["dimension_numbers"]
    one, other = (summary(as_curve(walk, value)) for value in (a, b))
    shapes = [aval.shape for aval in step.in_avals]
    alike = tuple(over_a) == tuple(over_b) and tuple(batch_a) == tuple(batch_b)
    if not (alike and len(shapes[0]) == len(shapes[1]) == len(over_a) + len(batch_a)):
        one, other = (curve_of_its_own(value) for value in (one, other))
    terms = int(np.prod([shapes[0][axis] for axis in over_a], dtype=np.int64))
    return (repeated_sum(algebra.multiply(one, other), terms, step.out_avals[0].shape),)


def curve_of_its_own(a: Curve) -> Curve:
    """Without what is said of which expression it is."""
    return replace(resized(a, ARRAY), scalar=-1)


def nothing(walk: Walk, step: Step, *given: Any) -> Values:
    """A primitive of which nothing is known."""
    return [opaque(aval, list(given)) for aval in step.out_avals]


def _ratio(many: Any, few: Any) -> int:
    return int(many.size) // max(int(few.size), 1)


HANDED_ON = ("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "slice", "rev", "dynamic_slice")
SUMMARY_RULES: dict[str, Rule] = {
    **RULES,
    **dict.fromkeys((*HANDED_ON, "tile", "unstack", "split"), handed_on),
    **dict.fromkeys(("concatenate", "stack", "pad"), any_of),
    **dict.fromkeys(("dynamic_update_slice", "reduce_prod", "sort", "top_k", "scan", "while"), nothing),
    "gather": gathered,
    "select_n": select,
    "reduce_sum": reduce_sum,
    "cumsum": cumulative,
    "reduce_max": extreme(1),
    "reduce_min": extreme(-1),
    "dot_general": contraction,
}
"""primitive -> rule"""


def walk_summaries(closed_jaxpr: Any, start: Curve, params: Sequence[Curve]) -> tuple[list[Any], Summary]:
    """Summaries of the outputs of ``(x (n,), *params)``, and the walk itself; within `float64()`."""
    program = inline(closed_jaxpr, lambda equation: atom_name(equation) is not None, real=True)
    turn = Summary(program)
    numbered = [replace(p, node=turn.number(("param", k))) for k, p in enumerate(params)]
    with np.errstate(all="ignore"):
        outs = turn.run(program, [replace(start, node=turn.number("x")), *numbered])
    return outs, turn


__all__ = ["ARRAY", "SINGLE", "Summary", "ends_of", "walk_summaries"]
