"""Recognition of layers in a traced program: affine maps and elementwise functions, in any acyclic order.

```
v = (x, y₁, …, y_G),      z_g = A_g v + c_g   (v before y_g),      y_g = φ_g(z_g),      f = A v + c
```

Networks written with ``@``, ``+``, ``relu``, ``tanh``, ``softplus``, …, with or without skip connections, are such
programs. The walker reads them with the rules of enclosed derivatives: every activation opens new variables, and what
lies between is affine in them, so that its first derivatives are the weights, enclosed with their rounding.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic import interval as values
from karush.arithmetic import interval_arrays as arrays
from karush.arithmetic import interval_jet_rules as jets
from karush.arithmetic.interval_jets import Jet, full, opposite, sum_of, zeros
from karush.arithmetic.interval_numbers import Interval
from karush.arithmetic.interval_slopes import SLOPES
from karush.core.errors import TraceError
from karush.jaxprs.walk import Step, inline, interpret

MOST_VARIABLES = 3000
"""inputs and activations together: the matrices have its square as size"""
RELU = "relu"
SOFTPLUS = "softplus"
LINEAR = frozenset(
    (
        *arrays.MOVING,
        *("neg", "add", "add_any", "sub", "mul", "div", "dot_general", "reduce_sum", "cumsum"),
        *("gather", "scatter-add", "convert_element_type"),
    )
)
"""primitives that are affine in one operand at a time"""
BILINEAR = frozenset(("mul", "dot_general"))


class NotLayered(TraceError):
    """The program is no composition of affine maps and elementwise functions."""


@dataclass(frozen=True)
class Matrix:
    """A matrix known up to rounding: every entry within `radius` of `middle`."""

    middle: np.ndarray
    radius: np.ndarray

    @classmethod
    def of(cls, lo: Any, hi: Any) -> "Matrix":
        """Around intervals of finite ends."""
        lo, hi = np.asarray(lo), np.asarray(hi)
        middle = 0.5 * lo + 0.5 * hi
        spread = np.maximum(middle - lo, hi - middle)
        return cls(middle, np.where(spread > 0.0, np.nextafter(spread, np.inf), 0.0))


@dataclass(frozen=True)
class Layer:
    """``y = φ(A v + c)`` of the variables v (start,) before it."""

    name: str
    """of φ, in `SLOPES`, or ``relu``"""
    weights: Matrix
    """(m, start)"""
    shift: Matrix
    """(m,)"""

    @property
    def start(self) -> int:
        return self.weights.middle.shape[1]

    @property
    def size(self) -> int:
        return self.weights.middle.shape[0]


@dataclass(frozen=True)
class Network:
    """Layers over n inputs, and an affine output of all variables."""

    n: int
    layers: tuple[Layer, ...]
    weights: Matrix
    """(k, n + activations)"""

    @property
    def variables(self) -> int:
        return self.weights.middle.shape[1]


def recognised(closed_jaxpr: Any) -> Network | None:
    """The layers of a program (n,) -> (k,), or None if it has another structure. Call it within `float64()`."""
    program = inline(closed_jaxpr, values.keep, real=True)
    n = int(closed_jaxpr.in_avals[0].shape[0])
    count = sum(_size(step) for step in program.steps if step.primitive in ACTIVE)
    if count == 0 or n + count > MOST_VARIABLES:
        return None
    width = n + count
    found: list[tuple[str, int, int]] = []

    def run(unit: Any) -> list[Any]:
        found.clear()
        reader = _Reader(unit, n, found)
        start = Jet(zeros((n,)), Interval(unit[:, :n], unit[:, :n]))
        table = {name: reader.guarded(name) for name in jets.RULES}
        (out,) = interpret(program, [start], table, default=_refused, lift=jets.lifted)
        out = out if isinstance(out, Jet) else Jet(values.real(out))
        return [*reader.parts, _enclosed(out, width)]

    try:
        parts = jax.jit(run)(jnp.eye(width))
    except NotLayered:
        return None
    used = found[-1][1] + found[-1][2] if found else n
    if not found or not all(np.isfinite(end).all() for part in parts for end in part):
        return None
    layers = []
    for (name, start, _), (lo, hi, c_lo, c_hi) in zip(found, parts[:-1], strict=True):
        layers.append(Layer(name, Matrix.of(lo[:, :start], hi[:, :start]), Matrix.of(c_lo, c_hi)))
    return Network(n, tuple(layers), Matrix.of(parts[-1][0][:, :used], parts[-1][1][:, :used]))


def _size(step: Step) -> int:
    return sum(math.prod(aval.shape) for aval in step.out_avals)


def _enclosed(a: Jet, width: int) -> tuple[Any, ...]:
    """Coefficients (m, width) and offsets (m,) of an affine value, as ends; not finite where it is not defined."""
    m = math.prod(jnp.shape(a.value.lo))
    first = zeros((width, m)) if a.first is None else a.first
    rows = [jnp.reshape(end, (width, m)).T for end in (first.lo, first.hi)]
    ok = jnp.asarray(True)
    for flag in (a.value.ok, first.ok):
        ok = ok if flag is None else ok & jnp.all(flag)
    ends = [jnp.reshape(jnp.broadcast_to(end, jnp.shape(a.value.lo)), (m,)) for end in (a.value.lo, a.value.hi)]
    return tuple(jnp.where(ok, part, jnp.nan) for part in (*rows, *ends))


def _refused(step: Step, *operands: Any) -> Any:
    raise NotLayered(f"'{step.primitive}' at {step.place}")


class _Reader:
    """Opens variables at activations, and refuses what is not affine between them."""

    def __init__(self, unit: Any, n: int, found: list[tuple[str, int, int]]):
        self.unit, self.next, self.found = unit, n, found
        self.parts: list[tuple[Any, ...]] = []

    def opened(self, name: str, a: Jet) -> Jet:
        """``φ(a)`` as new variables."""
        shape, width = jnp.shape(a.value.lo), self.unit.shape[0]
        size = math.prod(shape)
        if self.next + size > width:
            raise NotLayered("activations inside a loop")
        spread = None if a.first is None else full(a.first)
        self.parts.append(_enclosed(Jet(full(a.value), spread), width))
        self.found.append((name, self.next, size))
        rows = self.unit[:, self.next : self.next + size].reshape((width, *shape))
        self.next += size
        return Jet(zeros(shape), Interval(rows, rows))

    def guarded(self, name: str) -> Any:
        """The rule of a primitive, for operands that are affine in the variables."""
        plain = jets.RULES[name]

        def rule(step: Step, *operands: Any) -> Any:
            moving = [k for k, item in enumerate(operands) if isinstance(item, Jet) and item.first is not None]
            if not moving:
                return plain(step, *operands)
            if name in ACTIVE:
                return (self.active(step, moving, *operands),)
            twice = name in BILINEAR and len(moving) > 1
            below = name == "div" and 1 in moving
            if name not in LINEAR or twice or below:
                raise NotLayered(f"'{name}' at {step.place}")
            return plain(step, *operands)

        return rule

    def active(self, step: Step, moving: list[int], *operands: Any) -> Jet:
        """The rule of an activation."""
        name = step.primitive
        if name in SLOPES:
            return self.opened(name, operands[0])
        if name == "integer_pow":
            if step.params["y"] != 2:
                raise NotLayered(f"a power at {step.place}")
            return self.opened("square", operands[0])
        if len(moving) > 1:
            raise NotLayered(f"'{name}' of two values at {step.place}")
        a, b = operands if moving == [0] else operands[::-1]
        if name == "custom_jvp_call":
            return sum_of(self.opened(SOFTPLUS, sum_of(a, opposite(b))), b)
        neutral = -math.inf if name == "max" else math.inf
        if values.literal(step, 1 - moving[0]) == neutral:
            return a
        if name == "max":
            return sum_of(self.opened(RELU, sum_of(a, opposite(b))), b)
        return sum_of(opposite(self.opened(RELU, sum_of(b, opposite(a)))), b)


ACTIVE = frozenset((*SLOPES, "max", "min", "integer_pow", "custom_jvp_call")) - {"neg"}
"""primitives that may open variables"""

__all__ = ["RELU", "SOFTPLUS", "Layer", "Matrix", "Network", "recognised"]
