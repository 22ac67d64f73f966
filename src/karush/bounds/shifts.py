"""``softmax`` and ``log Σ exp`` recognised in a program, with or without their shift by the maximum, as one step each.

```
exp(x − s) / Σ exp(x − s) = p(x),     s + log Σ exp(x − s) = l(x)        for every s: the shift plays no part
∂l/∂x = p,     ∂p/∂x = diag(p) − p pᵀ = ∂²l/∂x²
p_i rises in x_i and falls in every other x_j: its range on a box is found at two corners
```

Step by step, intervals lose that s cancels, and that the p_i add up to 1. Vectors only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from karush.arithmetic import interval as values
from karush.arithmetic import interval_functions as functions
from karush.arithmetic.interval_arrays import dot, total
from karush.arithmetic.interval_jet_rules import JetProgram
from karush.arithmetic.interval_jets import Jet, plus
from karush.arithmetic.interval_numbers import Interval, constant, dense_ok, hull
from karush.arithmetic.interval_slopes import at_ends
from karush.jaxprs.walk import Program, Step

MOST_TERMS = 128
"""length of x up to which all pairs are formed"""
SHAPES = ("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "stop_gradient", "copy", "copy_p")
"""primitives that leave the one number of a shift or of a sum what it is"""
PRODUCT = (((1,), (0,)), ((), ()))
WITH_ROWS = (((1,), (1,)), ((), ()))


def folded(program: Program) -> Program:
    """The same program with the steps ``softmax`` and ``logsumexp``, and without the steps that they replace."""
    reader = _Reader(program)
    steps = []
    for step in program.steps:
        found = reader.softmax(step) or reader.logsumexp(step)
        steps.append(Step(found[0], step.equation, (found[1],), step.outputs, step.sites) if found else step)
    needed, kept = set(program.outputs), []
    for step in reversed(steps):
        if needed.intersection(step.outputs):
            needed.update(step.inputs)
            kept.append(step)
    return Program(program.inputs, program.outputs, kept[::-1], program.constants, program.size)


@dataclass(frozen=True)
class _Exponentials:
    """``exp(x − s)`` as the program has it."""

    slot: int
    x: int
    shift: int | None
    """the slot of the maximum; None for no shift"""


class _Reader:
    """Looks backwards from a step for the pattern that it may end."""

    def __init__(self, program: Program):
        self.constants = program.constants
        self.maker = {slot: step for step in program.steps for slot in step.outputs}

    def made_by(self, slot: int, *names: str) -> Step | None:
        """The step that made a value, if it is one of these."""
        step = self.maker.get(slot)
        return step if step is not None and step.primitive in names else None

    def plain(self, slot: int) -> int:
        """Before changes of shape."""
        while (step := self.made_by(slot, *SHAPES)) is not None:
            slot = step.inputs[0]
        return slot

    def constant(self, slot: int, value: float) -> bool:
        """Whether a value is this number."""
        found = self.constants.get(self.plain(slot))
        return found is not None and jnp.ndim(found) == 0 and float(found) == value

    def maximum(self, slot: int) -> int | None:
        """The slot of ``reduce_max`` behind a shift, as JAX writes it."""
        while True:
            slot = self.plain(slot)
            if (step := self.made_by(slot, "max")) is not None:
                sides = [k for k in (0, 1) if self.constant(step.inputs[k], -jnp.inf)]
                if not sides:
                    return None
                slot = step.inputs[1 - sides[0]]
            elif (step := self.made_by(slot, "select_n")) is not None:
                # where(is_finite(m), m, 0) is m for real numbers.
                asked = self.made_by(self.plain(step.inputs[0]), "is_finite")
                if asked is None or not self.constant(step.inputs[1], 0.0) or len(step.inputs) != 3:
                    return None
                slot = step.inputs[2]
            else:
                return slot if (step := self.made_by(slot, "reduce_max")) and step.params["axes"] == (0,) else None

    def exponentials(self, slot: int) -> _Exponentials | None:
        """``exp(x − s)`` of a vector."""
        step = self.made_by(slot, "exp")
        if step is None or len(step.in_avals[0].shape) != 1 or not 1 < step.in_avals[0].shape[0] <= MOST_TERMS:
            return None
        inner = self.made_by(step.inputs[0], "sub")
        if inner is not None and inner.in_avals[0].shape == step.in_avals[0].shape:
            shift = self.maximum(inner.inputs[1])
            if shift is not None and self.maker[shift].inputs[0] == inner.inputs[0]:
                return _Exponentials(slot, inner.inputs[0], shift)
        return _Exponentials(slot, step.inputs[0], None)

    def summed(self, slot: int) -> _Exponentials | None:
        """``Σ exp(x − s)``, or its magnitude."""
        slot = self.plain(slot)
        if (step := self.made_by(slot, "abs")) is not None:
            slot = self.plain(step.inputs[0])
        step = self.made_by(slot, "reduce_sum")
        if step is None or step.params["axes"] != (0,):
            return None
        return self.exponentials(step.inputs[0])

    def softmax(self, step: Step) -> tuple[str, int] | None:
        """The end of a softmax, and its x."""
        if step.primitive != "div":
            return None
        below = self.summed(step.inputs[1])
        return ("softmax", below.x) if below is not None and below.slot == step.inputs[0] else None

    def logsumexp(self, step: Step) -> tuple[str, int] | None:
        """The end of a log-sum-exp, and its x."""
        if step.primitive not in ("add", "log") or len(step.out_avals[0].shape) > 1:
            return None
        if step.primitive == "log":
            found = self.summed(step.inputs[0])
            return ("logsumexp", found.x) if found is not None and found.shift is None else None
        for log, shift in (step.inputs, step.inputs[::-1]):
            inner = self.made_by(self.plain(log), "log")
            found = None if inner is None else self.summed(inner.inputs[0])
            if found is not None and found.shift is not None and self.maximum(shift) == found.shift:
                return "logsumexp", found.x
        return None


def weights(x: Interval) -> Interval:
    """``p(x)`` (m,)."""
    m = jnp.shape(x.lo)[0]
    same = jnp.eye(m, dtype=bool)

    def share(own: Any, others: Any) -> Interval:
        gaps = functions.exp(functions.sub(Interval(others[None], others[None]), Interval(own[:, None], own[:, None])))
        terms = Interval(jnp.where(same, 1.0, gaps.lo), jnp.where(same, 1.0, gaps.hi))
        return functions.div(constant(1.0), total(terms, (1,)))

    lo, hi = share(x.lo, x.hi).lo, share(x.hi, x.lo).hi
    return Interval(jnp.clip(lo, 0.0, 1.0), jnp.clip(hi, 0.0, 1.0), x.ok)


def value_at(x: Any) -> Interval:
    """``l(x)`` () of numbers (m,)."""
    most = jnp.max(x)
    terms = functions.exp(functions.sub(Interval(x, x), Interval(most, most)))
    return functions.add(Interval(most, most), functions.log(total(terms, (0,))))


def jacobian(p: Interval) -> Interval:
    """``diag(p) − p pᵀ`` (m, m)."""
    m = jnp.shape(p.lo)[0]
    same = jnp.eye(m, dtype=bool)
    own = at_ends(lambda s: functions.mul(s, functions.sub(constant(1.0), s)), (0.5,), p)
    row, column = Interval(p.lo[None], p.hi[None]), Interval(p.lo[:, None], p.hi[:, None])
    pair = functions.neg(functions.mul(row, column))
    # p_i p_j is at most a quarter, since both add up to 1 at most.
    lo = jnp.where(same, jnp.maximum(own.lo, 0.0)[None], jnp.maximum(pair.lo, -0.25))
    return Interval(lo, jnp.where(same, own.hi[None], pair.hi))


def spread(first: Interval, matrix: Interval) -> Interval:
    """``x' (diag(p) − p pᵀ) x'ᵀ`` (n, n): covariances, and a variance is at most a quarter of the squared range."""
    plain = dot(dot(first, matrix, PRODUCT), first, WITH_ROWS)
    reach = functions.sub(
        Interval(jnp.max(first.hi, 1), jnp.max(first.hi, 1)), Interval(jnp.min(first.lo, 1), jnp.min(first.lo, 1))
    ).hi
    limit = functions.mul(Interval(0.25 * reach, 0.25 * reach), constant(1.0)).hi
    most = functions.mul(Interval(limit[:, None], limit[:, None]), Interval(reach[None], reach[None])).hi
    least = jnp.where(jnp.eye(len(reach), dtype=bool), 0.0, -most)
    return Interval(jnp.fmax(plain.lo, least), jnp.fmin(plain.hi, most))


def logsumexp(step: Step, x: Any) -> tuple[Any, ...]:
    """Rule of ``l``."""
    x = x if isinstance(x, Jet) else Jet(values.real(x))
    shape, ok = step.out_avals[0].shape, jnp.all(dense_ok(x.value))

    def shaped(a: Interval, lead: int) -> Interval:
        head = jnp.shape(a.lo)[:lead]
        return Interval(jnp.reshape(a.lo, head + shape), jnp.reshape(a.hi, head + shape))

    ends = hull(value_at(x.value.lo), value_at(x.value.hi))
    value = Interval(jnp.reshape(ends.lo, shape), jnp.reshape(ends.hi, shape), jnp.broadcast_to(ok, shape))
    if x.first is None:
        return (Jet(value),)
    p = weights(x.value)
    column = Interval(p.lo[:, None], p.hi[:, None])
    first = dot(x.first, column, PRODUCT)
    if x.second is None:
        return (Jet(value, shaped(Interval(first.lo[:, 0], first.hi[:, 0]), 1)),)
    n = jnp.shape(x.first.lo)[0]
    flat = Interval(x.second.lo.reshape(n * n, -1), x.second.hi.reshape(n * n, -1))
    bent = dot(flat, column, PRODUCT)
    second = functions.add(Interval(bent.lo.reshape(n, n), bent.hi.reshape(n, n)), spread(x.first, jacobian(p)))
    return (Jet(value, shaped(Interval(first.lo[:, 0], first.hi[:, 0]), 1), shaped(second, 2)),)


def softmax(step: Step, x: Any) -> tuple[Any, ...]:
    """Rule of ``p``."""
    x = x if isinstance(x, Jet) else Jet(values.real(x))
    p = weights(x.value)
    if x.first is None:
        return (Jet(p),)
    matrix = jacobian(p)
    first = dot(x.first, matrix, PRODUCT)
    if x.second is None:
        return (Jet(p, first),)
    n = jnp.shape(x.first.lo)[0]
    flat = Interval(x.second.lo.reshape(n * n, -1), x.second.hi.reshape(n * n, -1))
    bent = dot(flat, matrix, PRODUCT)
    mean = dot(x.first, Interval(p.lo[:, None], p.hi[:, None]), PRODUCT)
    off = functions.sub(x.first, mean)
    left, right = Interval(off.lo[:, None], off.hi[:, None]), Interval(off.lo[None], off.hi[None])
    pairs = functions.mul(left, right)
    common = spread(x.first, matrix)
    excess = functions.sub(pairs, Interval(common.lo[..., None], common.hi[..., None]))
    turned = functions.mul(Interval(p.lo[None, None], p.hi[None, None]), excess)
    second = plus(Interval(bent.lo.reshape(n, n, -1), bent.hi.reshape(n, n, -1)), turned)
    return (Jet(p, first, second),)


OWN: dict[str, Callable[..., Any]] = {"softmax": softmax, "logsumexp": logsumexp}


class FoldedJets(JetProgram):
    """Enclosed derivatives of a program, with softmax and log-sum-exp as steps."""

    own = OWN

    def __init__(self, closed_jaxpr: Any, *, second: bool = False):
        super().__init__(closed_jaxpr, second=second)
        self.program = folded(self.program)
        self.folds = any(step.primitive in OWN for step in self.program.steps)
        """whether there are such steps"""


__all__ = ["FoldedJets", "folded"]
