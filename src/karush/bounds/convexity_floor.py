"""A lower bound of the curvature of a function of many variables, from the sum that the program ends with.

```
f = Σ_k w_k t_k,    each w_k t_k convex,    t_k = (c x_i)(d x_i) for some k
∇²f ⪰ Σ_k 2 w_k c d e_i e_iᵀ ⪰ m I,         m = min_i of what the squares of x_i add up to
```

The terms are found from the end of the program backwards, as weights are handed back in reverse differentiation; a
weight stands for those of a whole array. A constant beside x_i, as in (x_i − a_i)², adds an affine term and no more.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from karush.bounds import convexity_ranges as ranges
from karush.bounds.convexity_curve import UNKNOWN, Curve
from karush.bounds.convexity_summary import Summary
from karush.jaxprs.walk import Step

Weight = ranges.Range
"""ends of a number, arrays of shape ()"""
ONE: Weight = (np.asarray(1.0), np.asarray(1.0))
MOVES = ("reshape", "squeeze", "expand_dims", "transpose", "rev", "copy", "copy_p", "convert_element_type")
"""primitives whose results have each element of the operand once"""
SQUARES = ("integer_pow", "square", "mul", "dot_general")


class Span(NamedTuple):
    """Elements of x (n,), each once, times numbers of at least this size."""

    start: int
    stop: int
    size: float


class Terms:
    """The terms that a program's first output is a weighted sum of."""

    def __init__(self, turn: Summary, n: int) -> None:
        self.turn, self.n = turn, n
        self.maker = {slot: step for step in turn.program.steps for slot in step.outputs}
        self.squares: list[tuple[Span, float]] = []
        """parts of x, and what the Hessian has there on its diagonal at least"""

    def convex(self) -> bool:
        """Whether each term is convex with its weight; collects the squares."""
        weights: dict[int, Weight] = {self.turn.program.outputs[0]: ONE}
        for step in reversed(self.turn.program.steps):
            if len(step.outputs) != 1 or step.outputs[0] not in weights:
                continue
            weight = weights.pop(step.outputs[0])
            handed = self.handed(step, weight)
            if handed is None:
                if not _bent(self.turn.made[id(step)][0], weight):
                    return False
                self.square(step, weight)
                continue
            for slot, part in handed:
                weights[slot] = ranges.add(weights[slot], part) if slot in weights else part
        # What is left are x itself, parameters and constants, all affine, and results of several.
        return not any(slot in self.maker for slot in weights)

    def handed(self, step: Step, weight: Weight) -> list[tuple[int, Weight]] | None:
        """Weights of the operands of a step that is linear in them, if all of them bend the right way; else None."""
        rule = LINEAR.get(step.primitive)
        given = self.turn.given[id(step)]
        factors = None if rule is None else rule(step, given)
        if factors is None:
            return None
        out = []
        for slot, curve, factor in zip(step.inputs, given, factors, strict=True):
            if isinstance(curve, np.ndarray) or (isinstance(curve, Curve) and curve.constant):
                continue
            part = ranges.mul(weight, factor)
            if not _bent(curve, part):
                return None
            out.append((slot, part))
        return out

    def square(self, step: Step, weight: Weight) -> None:
        """Note a product of x's own elements with themselves."""
        if step.primitive not in SQUARES or not weight[0] > 0.0:
            return
        given, slots = self.turn.given[id(step)], step.inputs
        if step.primitive == "integer_pow" and step.params["y"] != 2:
            return
        one, other = (slots[0], slots[-1])
        a, b = given[0], given[-1]
        if not (isinstance(a, Curve) and isinstance(b, Curve) and _root(a) == _root(b) >= 0):
            return
        if step.primitive == "dot_general" and not _every_axis(step):
            return
        spans = self.span(one), self.span(other)
        if spans[0] is None or spans[1] is None:
            return
        size = np.asarray(2.0 * spans[0].size * spans[1].size)
        least = ranges.mul(weight, ranges.outward(size, size, 4.0))[0]
        self.squares.append((spans[0], float(least)))

    def span(self, slot: int) -> Span | None:
        """The part of x whose elements stand in a slot, if there are no others."""
        scale: Weight = ONE
        while slot != self.turn.program.inputs[0]:
            step = self.maker.get(slot)
            if step is None or len(step.outputs) != 1:
                return None
            given = self.turn.given[id(step)]
            size = float(np.maximum(scale[0], 0.0))
            if step.primitive == "slice":
                # Of x itself: what was turned or reshaped before would lie elsewhere in x.
                plain = step.inputs[0] == self.turn.program.inputs[0] and step.params["strides"] in (None, (1,))
                ends = step.params["start_indices"][0], step.params["limit_indices"][0]
                return Span(*ends, size) if plain else None
            moving = _moving(step, given)
            if moving is None:
                return None
            slot, factor = moving
            scale = ranges.mul(scale, ranges.magnitude(factor))
        return Span(0, self.n, float(np.maximum(scale[0], 0.0)))

    def least(self) -> float:
        """What the squares add up to at the least, over all of x."""
        cuts = sorted({0, self.n, *(end for span, _ in self.squares for end in span[:2])})
        least = math.inf
        for start, stop in pairwise(cuts):
            parts = [value for span, value in self.squares if span.start <= start and stop <= span.stop]
            # fsum rounds once, and the next number below is no larger than the exact sum.
            least = min(least, math.nextafter(math.fsum(parts), 0.0))
        return max(least, 0.0) if math.isfinite(least) else 0.0


def _bent(value: Any, weight: Weight) -> bool:
    """Whether a value times its weight is convex, and known to be defined."""
    if not isinstance(value, Curve) or value.defined == UNKNOWN:
        return False
    up, down = bool(np.all(value.convex)), bool(np.all(value.concave))
    return (up and down) or (up and bool(weight[0] >= 0.0)) or (down and bool(weight[1] <= 0.0))


def _root(a: Curve) -> int:
    return a.multiple[0] if a.multiple[0] >= 0 else a.node


def _every_axis(step: Step) -> bool:
    """Whether a contraction sums the products of equal places, each once."""
    (over_a, over_b), (batch_a, batch_b) = step.params["dimension_numbers"]
    alike = tuple(over_a) == tuple(over_b) and tuple(batch_a) == tuple(batch_b)
    return alike and len(over_a) + len(batch_a) == len(step.in_avals[0].shape) == len(step.in_avals[1].shape)


def _moving(step: Step, given: Sequence[Any]) -> tuple[int, Weight] | None:
    """The slot whose elements a step hands on, each once, and their factor; what it adds to them does not matter."""
    if step.primitive in MOVES:
        return step.inputs[0], ONE
    moving = [k for k, curve in enumerate(given) if not (isinstance(curve, Curve) and curve.constant)]
    rule = LINEAR.get(step.primitive)
    if len(moving) != 1 or step.primitive not in ELEMENTWISE or rule is None:
        return None
    k = moving[0]
    factors = rule(step, given)
    same = step.in_avals[k].shape == step.out_avals[0].shape
    return (step.inputs[k], factors[k]) if factors is not None and same else None


Factors = Sequence[Weight]
LinearRule = Callable[[Step, Sequence[Any]], Factors | None]
"""``rule(step, operands) -> the weight that each operand's elements get from that of the result's``"""


def _number(value: float) -> Weight:
    return np.asarray(value), np.asarray(value)


def _same(*signs: float) -> LinearRule:
    return lambda step, given: [_repeats(step, k, sign) for k, sign in enumerate(signs)]


def _repeats(step: Step, k: int, sign: float) -> Weight:
    """A single number beside an array counts for each of its elements."""
    many = step.out_avals[0].size // max(step.in_avals[k].size, 1)
    return _number(sign * max(many, 1))


def _ends(curve: Any) -> Weight | None:
    """Ends of a constant."""
    if not (isinstance(curve, Curve) and curve.constant):
        return None
    return np.asarray(curve.lo.min()), np.asarray(curve.hi.max())


def _product(step: Step, given: Sequence[Any]) -> Factors | None:
    ends = [_ends(curve) for curve in given]
    if all(end is None for end in ends):
        return None
    factors = []
    for k in (0, 1):
        other = ends[1 - k]
        factors.append(_number(0.0) if other is None else ranges.mul(other, _repeats(step, k, 1.0)))
    return factors


def _quotient(step: Step, given: Sequence[Any]) -> Factors | None:
    ends = _ends(given[1])
    return None if ends is None else [ranges.mul(ranges.reciprocal(ends), _repeats(step, 0, 1.0)), _number(0.0)]


def _weighted(step: Step, given: Sequence[Any]) -> Factors | None:
    """A contraction with constants: an element gets the sum of the weights of all results that it stands in."""
    ends = [_ends(curve) for curve in given]
    if all(end is None for end in ends):
        return None
    (over, _), _ = step.params["dimension_numbers"]
    terms = int(np.prod([step.in_avals[0].shape[axis] for axis in over], dtype=np.int64))
    factors = []
    for k in (0, 1):
        times = step.out_avals[0].size * terms // max(step.in_avals[k].size, 1)
        other = ends[1 - k]
        factors.append(_number(0.0) if other is None else ranges.mul(other, _number(float(times))))
    return factors


def _each_once(step: Step, given: Sequence[Any]) -> Factors:
    return [ONE for _ in given]


ELEMENTWISE = ("add", "add_any", "sub", "neg", "mul", "div")
LINEAR: dict[str, LinearRule] = {
    **dict.fromkeys((*MOVES, "reduce_sum", "concatenate"), _each_once),
    "add": _same(1.0, 1.0),
    "add_any": _same(1.0, 1.0),
    "sub": _same(1.0, -1.0),
    "neg": _same(-1.0),
    "broadcast_in_dim": _same(1.0),
    "mul": _product,
    "div": _quotient,
    "dot_general": _weighted,
}
"""primitive that is linear in the operands that are not constant -> the weights it hands back"""

__all__ = ["Terms"]
