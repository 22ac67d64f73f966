"""What XLA makes of products, quotients and exponentials before it runs them, and what may be lost on that way.

```
(a c₁) c₂  →  a (c₁ c₂)               a / b / c  →  a / (b c)            a / (b / c)  →  (a c) / b
a p + b p  →  (a + b) p,  p = 2^k      exp a exp b  →  exp(a + b)         pow(exp a, b)  →  exp(a b)
```

Few roundings are added; but b c, c₁ c₂ and a + b may leave the range where no number of the program as it is written
does, and the rounding of a + b is an absolute error of an exponent. Bounds of the program as written are widened by
what either form may lose, and are void where a regrouped part may overflow.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from karush.arithmetic.interval_numbers import Interval, lift
from karush.jaxprs.walk import Program, Step, bind
from karush.stability.error_bounds import Format, Value, least, most, widened
from karush.stability.error_rules import run

SPREADS = frozenset({"broadcast_in_dim", "reshape", "squeeze", "copy"})
"""steps through which XLA moves constant factors"""

PRODUCTS = frozenset({"mul", "div", "integer_pow", "pow", "exp", "neg"})
SUMS = frozenset({"add", "add_any"})
POWER_OF_TWO = 0.5
"""mantissa of a power of two"""


class Chain(NamedTuple):
    """Factors of a product: how many, and sums of their logarithms to base 2, those above 0 and those below."""

    constants: int = 0
    kept: Any = 0.0
    """Σ log2⁺ of the constants"""
    gone: Any = 0.0
    """Σ log2⁻ of the constants, as all that follow <= 0"""
    above: int = 0
    up: Any = 0.0
    """Σ log2⁺ of the most that numerators can be"""
    down: Any = 0.0
    below: int = 0
    under: Any = 0.0
    """Σ log2⁺ of the most that denominators can be"""
    over: Any = 0.0
    spread: bool = False
    """whether a part was spread over an array"""

    def inverse(self) -> "Chain":
        """Of 1 over the product."""
        constant = (self.constants, -self.gone, -self.kept)
        return Chain(*constant, self.below, self.under, self.over, self.above, self.up, self.down, self.spread)

    def times(self, other: "Chain") -> "Chain":
        """Of the product of both."""
        return Chain(*[a + b for a, b in zip(self[:-1], other[:-1], strict=True)], spread=self.spread or other.spread)


class Scaled(NamedTuple):
    """A value that is ``number · factor``, factor a power of two."""

    factor: float | None
    """None if it is some constant that is not known here"""
    size: Any
    number: Interval


class Regrouped:
    """Bounds of each step of one program, where XLA may compute it in another form."""

    def __init__(self, form: Format, program: Program):
        self.form, self.fixed, self.constants = form, set(program.constants), program.constants
        self.chains: dict[int, Chain] = {}
        self.exponents: dict[int, Interval] = {}
        self.scaled: dict[int, Scaled] = {}

    def held(self, step: Step, operands: Sequence[Value], results: list[Value]) -> list[Value]:
        """The results with bounds that hold for all forms."""
        if all(slot in self.fixed for slot in step.inputs):
            self.fixed.update(step.outputs)
            return results
        rules: dict[str, Callable[..., Value]] = {
            **dict.fromkeys(("mul", "div"), self._product),
            "integer_pow": self._power,
            "pow": self._power,
            "exp": self._exponential,
            **dict.fromkeys(SUMS, self._sum),
            **dict.fromkeys(SPREADS, self._spread),
            "neg": self._spread,
        }
        rule = rules.get(step.primitive)
        if rule is None or not all(isinstance(v.exact, Interval) for v in [*operands, *results]):
            return results
        return [rule(step, operands, results[0])]

    def _parts(self, slot: int, value: Value) -> Chain:
        if slot in self.chains:
            return self.chains[slot]
        wide = widened(value)
        # A factor of 0 makes nothing overflow; what it makes of the rest is exact.
        high, low = jnp.log2(most(wide)), jnp.log2(least(wide))
        if slot in self.fixed:
            zero = most(wide) == 0.0
            return Chain(1, jnp.maximum(high, 0.0), jnp.where(zero, 0.0, jnp.minimum(low, 0.0)))
        return Chain(above=1, up=jnp.maximum(high, 0.0), down=jnp.minimum(low, 0.0))

    def _product(self, step: Step, operands: Sequence[Value], y: Value) -> Value:
        (slot,) = step.outputs
        a, b = (self._parts(*pair) for pair in zip(step.inputs, operands, strict=True))
        quotient = step.primitive == "div"
        whole = a.times(b.inverse() if quotient else b)
        if whole.constants or whole.below:
            self.chains[slot] = whole
        if not quotient:
            self._scaled(step, operands)
        y = self._exponents(step, y, -1.0 if quotient else 1.0)
        largest, tiny = np.log2(self.form.largest), np.log2(self.form.tiny)
        good, lost = jnp.asarray(True), jnp.asarray(0.0)
        if whole.constants > 1:
            good = good & (whole.kept < largest) & (whole.gone > tiny)
        if whole.below > 1:
            good = good & (whole.under - whole.gone < largest) & (whole.over - whole.kept > tiny)
        if (quotient and b.below) or (whole.constants > 1 and whole.spread and whole.above):
            good = good & (whole.up + whole.kept < largest)
            # What is flushed in the middle may be multiplied by all the rest.
            rest = self.form.tiny * jnp.exp2(whole.up + whole.kept - whole.over)
            lost = jnp.where(whole.down + whole.gone > tiny, 0.0, (whole.above + whole.constants) * rest)
        return y._replace(t=y.t + lost, before=y.before + lost, fine=y.fine & good)

    def _power(self, step: Step, operands: Sequence[Value], y: Value) -> Value:
        (slot,) = step.outputs
        x = operands[0]
        if step.primitive == "integer_pow":
            if step.params["y"] < 0:
                power = -float(step.params["y"])
                whole = self._parts(-1, x).inverse()
                self.chains[slot] = whole._replace(under=power * whole.under, over=power * whole.over)
            return y
        if step.inputs[0] not in self.exponents:
            return y
        a, b = self.exponents[step.inputs[0]], operands[1].exact
        size = most(a) * most(b)
        self.exponents[slot] = Interval(-size, size)
        return _moved_by(y, self.form.u * size)

    def _exponential(self, step: Step, operands: Sequence[Value], y: Value) -> Value:
        self.exponents[step.outputs[0]] = widened(operands[0])
        return y

    def _exponents(self, step: Step, y: Value, sign: float) -> Value:
        """A product of two exponentials, or their quotient."""
        if not all(slot in self.exponents for slot in step.inputs):
            return y
        a, b = (self.exponents[slot] for slot in step.inputs)
        total = Interval(a.lo + b.lo, a.hi + b.hi) if sign > 0.0 else Interval(a.lo - b.hi, a.hi - b.lo)
        self.exponents[step.outputs[0]] = total
        return _moved_by(y, self.form.u * most(total))

    def _scaled(self, step: Step, operands: Sequence[Value]) -> None:
        """Remember a product by a power of two."""
        (out,) = step.outputs
        for slot, value, other in zip(step.inputs, operands, reversed(operands), strict=True):
            if slot not in self.fixed:
                continue
            members = np.unique(self.constants[slot]) if slot in self.constants else np.zeros(0)
            if members.size > 1 or (members.size == 1 and abs(np.frexp(members[0])[0]) != POWER_OF_TWO):
                continue
            factor = float(members[0]) if members.size else None
            self.scaled[out] = Scaled(factor, most(value.exact), widened(other))

    def _sum(self, step: Step, operands: Sequence[Value], y: Value) -> Value:
        """``a p + b p``."""
        if not all(slot in self.scaled for slot in step.inputs):
            return y
        a, b = (self.scaled[slot] for slot in step.inputs)
        if a.factor != b.factor and a.factor is not None and b.factor is not None:
            return y
        number = Interval(a.number.lo + b.number.lo, a.number.hi + b.number.hi)
        size = jnp.maximum(a.size, b.size)
        self.scaled[step.outputs[0]] = Scaled(a.factor, size, number)
        power, high, low = jnp.log2(size), jnp.log2(most(number)), jnp.log2(least(number))
        factor = (1, jnp.maximum(power, 0.0), jnp.minimum(power, 0.0))
        self.chains[step.outputs[0]] = Chain(*factor, 1, jnp.maximum(high, 0.0), jnp.minimum(low, 0.0))
        # A sum that is flushed is multiplied then; by 1 or less, it stays too small to count.
        flushed = (least(number) < 2.0 * self.form.tiny) & (size > 1.0)
        lost = jnp.where(flushed, self.form.tiny * size, 0.0)
        return y._replace(t=y.t + lost, before=y.before + lost, fine=y.fine & (most(number) < self.form.largest))

    def _spread(self, step: Step, operands: Sequence[Value], y: Value) -> Value:
        """Factors and exponents are spread with the value."""
        source, (slot,) = step.inputs[0], step.outputs
        shape = jnp.shape(operands[0].exact.lo)

        def spread(part: Any) -> Any:
            return bind(step, jnp.broadcast_to(jnp.asarray(part, float), shape))[0]

        if step.primitive == "neg":
            if source in self.chains:
                self.chains[slot] = self.chains[source]
            return y
        if source in self.chains:
            chain = self.chains[source]
            self.chains[slot] = Chain(
                *[part if isinstance(part, int) else spread(part) for part in chain[:-1]], spread=True
            )
        if source in self.exponents:
            e = self.exponents[source]
            self.exponents[slot] = Interval(spread(e.lo), spread(e.hi))
        return y


def joined(program: Program, step: Step, later: Sequence[Step]) -> bool:
    """Whether XLA may regroup what a step computes with what a later one makes of it."""
    fixed = set(program.constants)
    scaled = {s.outputs[0] for s in program.steps if s.primitive == "mul" and fixed.intersection(s.inputs)}
    sums = step.primitive in SUMS and scaled.issuperset(step.inputs)
    if not sums and step.primitive not in PRODUCTS | SPREADS:
        return False
    return any(
        s.primitive in PRODUCTS | SUMS | SPREADS and set(s.inputs).intersection(step.outputs)
        for s in later
        if s.primitive != "exp"
    )


def _moved_by(y: Value, exponent: Any) -> Value:
    """The bounds of a number whose exponent, to base e, is off by as much."""
    return y._replace(r=(1.0 + y.r) * jnp.exp(exponent) - 1.0)


def bounded(form: Format, program: Program, x: Value) -> list[Value]:
    """The outputs of a straight program of one input, bounded."""
    values: dict[int, Value] = {program.inputs[0]: x}
    for slot, constant in program.constants.items():
        item = lift(constant)
        if isinstance(item, Interval):
            none = jnp.zeros(jnp.shape(item.lo))
            values[slot] = Value(item, none, none, none, item.lo >= 0.0, none == 0.0)
        else:
            values[slot] = Value(item)
    forms = Regrouped(form, program)
    for step in program.steps:
        operands = [values[slot] for slot in step.inputs]
        results = forms.held(step, operands, run(form, step, operands))
        values.update(zip(step.outputs, results, strict=True))
    return [values[slot] for slot in program.outputs]


__all__ = ["Regrouped", "bounded", "joined"]
