"""Safety of a program that passes through one number: ``F(x) = G(u(x))``, u a scalar, x of any dimension.

```
x in piece p:      |û − u| <= r_p |u| + t_p,      Σ_i |u(x ± h_i e_i) − u(x)| >= c_p,      h_i = ulp(x_i)/2
u in [a, b]:       r, t = the largest, c = the least of all p whose u may lie in [a, b]
                   bound of G from û, with  C >= least |G'| c
```

A box of n dimensions need only be cut as finely as u asks for; G, which may oscillate, is a function of one number, and
halving along u always leads on. ``least |G'|`` is over [a, b] and how far half an ulp of any x_i moves u from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic.interval import IntervalProgram
from karush.arithmetic.interval_arrays import MOVING
from karush.arithmetic.interval_numbers import Interval, dense_ok, enter
from karush.core.precision import float64
from karush.jaxprs.walk import Program, Step, inline
from karush.stability.audit_pieces import Pieces, halves
from karush.stability.error_bounds import Format, Value, least, most, power_of_two
from karush.stability.error_regrouped import bounded, joined
from karush.stability.straight import at_its_line, shadow, typed

PIECES = 2048
"""pieces of the box"""
WIDE = 4.0
"""half ulps: over pieces of such sides an input can be moved by half an ulp, one way, without leaving them"""


class Cut(NamedTuple):
    """Both parts of a program, as closed jaxprs."""

    inner: Any
    """x (n,) -> u (1,)"""
    outer: Any
    """u (1,) -> y (m,)"""


def cut(straight: Any) -> Cut | None:
    """The program cut at the first number that everything later depends on x through; None if there is none."""
    program = merged(typed(inline(straight)))
    moved, needed = {program.inputs[0]}, {program.outputs[0]}
    for step in program.steps:
        if moved.intersection(step.inputs):
            moved.update(step.outputs)
    last_use: dict[int, int] = {program.outputs[0]: len(program.steps)}
    for k in range(len(program.steps) - 1, -1, -1):
        step = program.steps[k]
        if needed.intersection(step.outputs):
            needed.update(step.inputs)
            for slot in step.inputs:
                last_use.setdefault(slot, k)
    live = {program.inputs[0]}
    for k, step in enumerate(program.steps):
        live |= moved.intersection(step.outputs).intersection(needed)
        live = {slot for slot in live if last_use[slot] > k}
        later = program.steps[k + 1 :]
        if not any(moved.intersection(s.inputs) and s.primitive not in MOVING for s in later):
            return None
        number = step.out_avals[0].size == 1 and step.out_avals[0].dtype.kind == "f"
        if number and len(live) == 1 and live.issubset(step.outputs) and not joined(program, step, later):
            later = [step for step in later if needed.intersection(step.outputs)]
            return _parts(program, straight.in_avals[0], k, later, moved)
    return None


def merged(program: Program) -> Program:
    """The program with steps that compute the same from the same read from the first of them."""
    stands: dict[int, int] = {}
    first: dict[Any, tuple[int, ...]] = {}

    def name(slot: int) -> Any:
        if slot not in program.constants:
            return stands.get(slot, slot)
        value = np.asarray(program.constants[slot])
        return value.dtype.str, value.shape, value.tobytes()

    for k, step in enumerate(program.steps):
        key = (step.primitive, *map(name, step.inputs), str(step.params))
        program.steps[k] = replace(step, inputs=tuple(stands.get(slot, slot) for slot in step.inputs))
        if not step.bodies:
            stands.update(zip(step.outputs, first.setdefault(key, step.outputs), strict=True))
    program.outputs = tuple(stands.get(slot, slot) for slot in program.outputs)
    return program


def _parts(program: Program, given: Any, k: int, later: Sequence[Step], moved: set[int]) -> Cut:
    (slot,) = program.steps[k].outputs
    aval = program.steps[k].out_avals[0]

    def along(values: dict[int, Any], steps: Any) -> None:
        for step in steps:
            out = at_its_line(step, *[values[s] for s in step.inputs])
            values.update(zip(step.outputs, out, strict=True))

    def inner(x: Any) -> Any:
        values = {**program.constants, program.inputs[0]: x}
        along(values, program.steps[: k + 1])
        return jnp.reshape(values[slot], (1,))

    def outer(u: Any) -> Any:
        values = {**program.constants, slot: jnp.reshape(u, aval.shape)}
        fixed = [step for step in program.steps[: k + 1] if not moved.intersection(step.inputs)]
        along(values, [*fixed, *later])
        return values[program.outputs[0]]

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return Cut(
            jax.make_jaxpr(inner)(np.zeros(given.shape, given.dtype)), jax.make_jaxpr(outer)(np.zeros(1, aval.dtype))
        )


class Profile(NamedTuple):
    """What is known of u on each piece of the box (k,)."""

    lo: Any
    hi: Any
    r: Any
    t: Any
    before: Any
    positive: Any
    fine: Any
    c: Any
    """least change of u by half an ulp of each input, added up"""
    reach: Any
    """most change of u by half an ulp of one input"""


def profile(inner: Any, form: Format, box: Pieces, moving: np.ndarray) -> Profile:
    """Bounds of u over a subdivision of the box (1, n)."""
    n = box.lo.shape[1]
    program = typed(inline(inner))
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        slopes = IntervalProgram(jax.make_jaxpr(jax.jacfwd(shadow(inner)))(np.zeros(n)))
    pieces, depth = box, 0
    while len(pieces.lo) < PIECES:
        pieces, depth = halves(pieces, form, depth, moving), depth + 1

    def one(lo: Any, hi: Any) -> Profile:
        x = enter(lo, hi)
        zero = jnp.zeros(n)
        (u,) = bounded(form, program, Value(x, zero, zero, zero, x.lo >= 0.0, zero == 0.0))
        slope = slopes(x)[0]
        low, high = (form.u * power_of_two(size(x)) for size in (least, most))
        defined = dense_ok(slope)[0]
        low = jnp.where(hi - lo >= WIDE * high, low, 0.0)
        c = jnp.sum(jnp.where(defined, least(slope)[0], 0.0) * low)
        reach = jnp.max(jnp.where(defined, most(slope)[0], jnp.inf) * 2.0 * high)
        fine = jnp.all(u.fine & ~u.over) & jnp.all(dense_ok(u.exact))
        lo, hi, r, t, before = (part[0] for part in (u.exact.lo, u.exact.hi, u.r, u.t, u.before))
        return Profile(lo, hi, r, t, before, jnp.all(jnp.asarray(u.positive)), fine, c, reach)

    def every(lo: Any, hi: Any) -> Profile:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return jax.vmap(one)(lo, hi)

    with float64():
        return jax.tree.map(np.asarray, jax.jit(every)(pieces.lo, pieces.hi))


def outer_check(outer: Any, form: Format, known: Profile, small: Callable[..., Any]) -> Any:
    """Pieces of u (k, 1), outputs that are asked for -> whether each is safe (k,); `small` judges errors."""
    program = typed(inline(outer))
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        slopes = IntervalProgram(jax.make_jaxpr(jax.jacfwd(shadow(outer)))(np.zeros(1)))

    def safe(lo: Any, hi: Any, outputs: Any, known: Profile) -> Any:
        # Pieces that are no numbers, where nothing is known of u, count everywhere.
        near = ~((known.hi < lo[0]) | (known.lo > hi[0]))

        def largest(part: Any) -> Any:
            return jnp.max(jnp.where(near, part, 0.0), keepdims=True)

        fine = jnp.all(known.fine | ~near, keepdims=True)
        positive = jnp.all(known.positive | ~near, keepdims=True) & (lo >= 0.0)
        here, r, before = enter(lo, hi), largest(known.r), largest(known.before)
        # Of an exact u that is normal nothing is flushed.
        normal = least(here) * (1.0 - jnp.minimum(r, 1.0)) - before >= form.tiny * (1.0 + 64.0 * form.u)
        u = Value(here, r, jnp.where(normal, before, largest(known.t)), before, positive, fine)
        (y,) = bounded(form, program, u)
        reach = largest(known.reach)
        slope = slopes(Interval(lo - reach, hi + reach))[0]
        size = jnp.where(dense_ok(slope), least(slope), 0.0)[..., 0]
        change = size * jnp.min(jnp.where(near, known.c, jnp.inf))
        return jnp.all(small(form, y, jnp.where(jnp.isfinite(change), change, 0.0)) | ~outputs)

    def every(lo: Any, hi: Any, outputs: Any, known: Profile) -> Any:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return jax.vmap(safe, (0, 0, None, None))(lo, hi, outputs, known)

    compiled = jax.jit(every)
    return lambda lo, hi, outputs: compiled(lo, hi, outputs, known)


__all__ = ["Cut", "Profile", "cut", "outer_check", "profile"]
