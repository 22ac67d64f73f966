"""Rules of curves for primitives that move, sum, sort or contract the elements of arrays."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from karush.bounds import convexity_algebra as algebra
from karush.bounds import convexity_arrays as arrays
from karush.bounds import convexity_functions as functions
from karush.bounds.convexity_choice import Choice
from karush.bounds.convexity_curve import FIELDS, Curve, constant, curve, mapped
from karush.bounds.convexity_walk import Rule, Values, Walk, as_curve, opaque
from karush.jaxprs.degree_algebra import broadcast, cut, flip
from karush.jaxprs.walk import Step, bind


def _moving(function: Callable[[Step, np.ndarray], np.ndarray]) -> Rule:
    """Rule of a primitive that moves the elements of its first operand."""

    def rule(walk: Walk, step: Step, a: Any, *rest: Any) -> Values:
        if isinstance(a, Choice):
            return (Choice(function(step, a.yes), function(step, a.no)),)
        single = a.scalar if a.scalar >= 0 else a.node if a.shape == () else -1
        chosen = None if a.sorted_of is None else (a.sorted_of[0], function(step, a.sorted_of[1]))
        return (mapped(a, lambda part: function(step, part), scalar=single, sorted_of=chosen),)

    return rule


def indexed(walk: Walk, step: Step, *given: Any) -> Values:
    """Any primitive that moves elements: what it does to their places is computed by JAX itself."""
    k = next(k for k, value in enumerate(given) if isinstance(value, Curve))
    a = given[k]
    if any(isinstance(value, (Curve, Choice)) for j, value in enumerate(given) if j != k):
        return [opaque(aval, list(given)) for aval in step.out_avals]
    # 1 + place, so that a filled 0 or NaN shows.
    places = (1.0 + np.arange(a.lo.size)).reshape(a.shape)
    filled = [places if j == k else value for j, value in enumerate(given)]
    outs = []
    for out in bind(step, *map(jax.numpy.asarray, filled)):
        place = np.asarray(out)
        if not bool(np.all(place >= 1.0)):
            return [opaque(aval, list(given)) for aval in step.out_avals]
        index = place.astype(np.int64) - 1
        outs.append(mapped(a, lambda part, index=index: part.reshape(-1)[index]))
    return outs


def joined(walk: Walk, step: Step, *parts: Any) -> Values:
    """Concatenate or stack."""
    axis = step.params["dimension"] if step.primitive == "concatenate" else step.params["axis"]
    put = np.concatenate if step.primitive == "concatenate" else np.stack
    if any(isinstance(part, Choice) for part in parts):
        return [opaque(aval, list(parts)) for aval in step.out_avals]
    curves = [as_curve(walk, part) for part in parts]
    fields: dict[str, Any] = {name: put([getattr(part, name) for part in curves], axis) for name in FIELDS}
    return (Curve(**fields, constant=all(p.constant for p in curves), defined=min(p.defined for p in curves)),)


def reduce_sum(walk: Walk, step: Step, a: Curve) -> Values:
    """``reduce_sum``; the sum of the largest k is convex, of the smallest concave."""
    out = arrays.total(a, step.params["axes"])
    if a.sorted_of is None or a.lo.ndim != 1:
        return (out,)
    whole, places = a.sorted_of
    n, kept = whole.lo.size, np.sort(places)
    largest_k = bool(np.array_equal(kept, np.arange(n - kept.size, n)))
    smallest_k = bool(np.array_equal(kept, np.arange(kept.size)))
    convex, concave = largest_k and bool(np.all(whole.convex)), smallest_k and bool(np.all(whole.concave))
    return (curve(out.range, convex, concave, constant=a.constant, defined=a.defined),)


def reduce_prod(walk: Walk, step: Step, a: Curve) -> Values:
    """``reduce_prod``."""
    return (arrays.product(a, step.params["axes"]),)


def reduce_max(walk: Walk, step: Step, a: Curve) -> Values:
    """``reduce_max``, whose elements may be taken out of exponentials."""
    shape = step.out_avals[0].shape
    start = next(walk.seen.counter)
    size = int(np.prod(shape))
    for _ in range(size):
        next(walk.seen.counter)
    names = (1 + start + np.arange(size)).reshape(shape)
    return (arrays.extreme(a, step.params["axes"], names),)


def reduce_min(walk: Walk, step: Step, a: Curve) -> Values:
    """``reduce_min``."""
    out = arrays.extreme(algebra.neg(a), step.params["axes"], None)
    rk = a.rk.min(tuple(step.params["axes"]))
    turned = algebra.neg(out)
    return (
        curve(
            turned.range,
            turned.convex,
            turned.concave,
            rk=np.maximum(turned.rk, rk),
            rc=turned.rc,
            constant=turned.constant,
            defined=turned.defined,
            ek=turned.ek,
            ec=turned.ec,
        ),
    )


def maximum(walk: Walk, step: Step, a: Any, b: Any) -> Values:
    """``max``, which may be taken out of exponentials like any maximum."""
    out = functions.larger(as_curve(walk, a), as_curve(walk, b))
    if out.node >= 0 or out.constant:
        return (out,)
    size = int(out.lo.size)
    start = next(walk.seen.counter)
    for _ in range(size):
        next(walk.seen.counter)
    return (replace(out, names=(1 + start + np.arange(size)).reshape(out.shape)),)


def cumulative(walk: Walk, step: Step, a: Curve) -> Values:
    """``cumsum``: a contraction with ones."""
    axis, n = step.params["axis"], a.shape[step.params["axis"]]
    ones = np.tril(np.ones((n, n)))
    ones = ones.T if step.params["reverse"] else ones
    out = arrays.contract(a, constant((ones, ones)), (((axis,), (1,)), ((), ())))
    return (mapped(out, lambda part: np.moveaxis(part, -1, axis)),)


def contraction(walk: Walk, step: Step, a: Any, b: Any) -> Values:
    """``dot_general``."""
    return (arrays.contract(as_curve(walk, a), as_curve(walk, b), step.params["dimension_numbers"]),)


def ordered(walk: Walk, step: Step, *given: Any) -> Values:
    """``sort`` of one array along its only axis, ascending; sums of its last elements are convex."""
    a = given[0]
    if len(given) != 1 or not isinstance(a, Curve) or a.lo.ndim != 1:
        return [opaque(aval, list(given)) for aval in step.out_avals]
    out = curve((np.sort(a.lo), np.sort(a.hi)), False, False, constant=a.constant, defined=a.defined)
    return (replace(out, sorted_of=(a, np.arange(a.lo.size))),)


def largest(walk: Walk, step: Step, a: Curve) -> Values:
    """``top_k``: the last of the sorted, and their places, which nothing is known of."""
    k = int(step.params["k"])
    if a.lo.ndim != 1:
        return [opaque(aval, [a]) for aval in step.out_avals]
    low, high = np.sort(a.lo)[::-1][:k], np.sort(a.hi)[::-1][:k]
    top = replace(
        curve((low, high), constant=a.constant, defined=a.defined), sorted_of=(a, np.arange(a.lo.size)[::-1][:k])
    )
    return (top, *[opaque(aval, [a]) for aval in step.out_avals[1:]])


MOVES = ("gather", "dynamic_slice", "tile", "unstack", "split", "dynamic_update_slice", "pad")
RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVES, indexed),
    **dict.fromkeys(("concatenate", "stack"), joined),
    "max": maximum,
    "broadcast_in_dim": _moving(broadcast),
    "reshape": _moving(lambda step, a: a.reshape(step.params["new_sizes"])),
    "squeeze": _moving(lambda step, a: a.squeeze(tuple(step.params["dimensions"]))),
    "expand_dims": _moving(lambda step, a: a.reshape(step.out_avals[0].shape)),
    "transpose": _moving(lambda step, a: a.transpose(step.params["permutation"])),
    "slice": _moving(cut),
    "rev": _moving(flip),
    "reduce_sum": reduce_sum,
    "reduce_prod": reduce_prod,
    "reduce_max": reduce_max,
    "reduce_min": reduce_min,
    "cumsum": cumulative,
    "dot_general": contraction,
    "sort": ordered,
    "top_k": largest,
}
"""primitive -> rule"""

__all__ = ["RULES"]
