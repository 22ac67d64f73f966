"""How far a point is from the kinks of a traced program.

For a switching function phi(x) (``switches.py``) the margin of a kink is

    min over the elements of  |phi(x)| / ‖S ∇phi(x)‖₂ ,   S = diag(scale),

to first order the relative change of x that reaches the switching surface. It does not change when x or phi are
rescaled. It is 0 on the surface, infinite where phi is a constant other than 0, and 0 where NaN leaves it unknown.
Where a number stops being finite no phi tells in time: there the points at `REACH` are asked as well.

The gradient is exact in up to ``PROBES`` variables. Beyond, its norm is estimated by as many random directions: with
k probes the estimate is r times too small with a probability of about r^-k.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr

from karush.jaxprs.kinks import Plan, plan_of
from karush.jaxprs.switches import FINITE, FROZEN
from karush.jaxprs.walk import Step, bind

PROBES = 8
"""directions in which switching functions are differentiated"""
SEED = 20131
"""of the random directions, so that a margin is the same in every run"""
REACH = 2.0**-19
"""relative change of x after which it is asked again what is finite; another answer than at x, and the kink is met"""
SHIFT = 0.5
"""by how much the value of a ``stop_gradient`` is moved to see whether it cancels"""
SHIFT_RELATIVE = 2.0**-10
"""and relative to that value: a shift that rounding swallows proves nothing"""
CANCELS = 2.0**-26
"""largest relative change of the outputs under that shift that is put down to rounding (the root of eps)"""

Margins = Callable[..., jax.Array]


def kink_margins(closed_jaxpr: ClosedJaxpr) -> Margins:
    """``margins(x, *params, scale=None) -> (k,)``, the distance of x (n,) to each of ``kinks(closed_jaxpr)``, jittable.

    ``scale`` (n,) holds typical sizes of the variables; default ``max(|x|, 1)``. All is computed in the dtype of x.
    """
    plan = plan_of(closed_jaxpr)
    frozen, doubted = (np.array([one is switch for _, one in plan.found()], dtype=bool) for switch in (FROZEN, FINITE))

    def margins(x: jax.Array, *params: Any, scale: jax.Array | None = None) -> jax.Array:
        if frozen.size == 0:
            return jnp.zeros(0, x.dtype)
        scale = jnp.maximum(jnp.abs(x), 1.0) if scale is None else scale

        def phi(x: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
            return _run(plan, (x, *params), 0.0)

        directions = _directions(x.size, x.dtype) * scale[None, :]
        (outputs, values), (slopes, rates) = jax.vmap(lambda d: jax.jvp(phi, (x,), (d,)), out_axes=(None, 0))(
            directions
        )
        distances = [_distance(value, rate) for value, rate in zip(values, rates, strict=True)]
        found = jnp.stack(distances) if distances else jnp.zeros(0, x.dtype)
        if doubted.any():
            aside = REACH * jnp.concatenate([directions, -directions])
            around = jax.vmap(lambda d: phi(x + d)[1])(aside)
            met = jnp.stack([jnp.any(near != value) for near, value in zip(around, values, strict=True)])
            found = jnp.where(doubted & met, 0.0, found)
        if frozen.any():
            shifted, _ = _run(plan, (x, *params), SHIFT)
            cancels = _all_close(outputs, shifted, slopes)
            found = jnp.where(frozen, jnp.where(cancels, jnp.inf, 0.0), found)
        return found

    return margins


def _directions(n: int, dtype: Any) -> np.ndarray:
    """(k, n) with ``E Σ_k (g·d_k)² = ‖g‖²``."""
    if n <= PROBES:
        return np.eye(n, dtype=dtype)
    return (np.random.default_rng(SEED).standard_normal((PROBES, n)) / np.sqrt(PROBES)).astype(dtype)


def _distance(value: jax.Array, rate: jax.Array) -> jax.Array:
    """min |phi| / ‖S ∇phi‖ from phi and its rates (k, ...) along the directions; NaN counts as 0."""
    if value.size == 0:
        return jnp.full((), jnp.inf, value.dtype)
    reach = jnp.sqrt(jnp.sum(rate**2, axis=0))
    distance = jnp.where(reach == 0, jnp.where(value == 0, 0.0, jnp.inf), jnp.abs(value) / reach)
    return jnp.min(jnp.where(jnp.isnan(value) | jnp.isnan(distance), 0.0, distance))


def _all_close(outputs: list[jax.Array], shifted: list[jax.Array], slopes: list[jax.Array]) -> jax.Array:
    """Whether no output moved by more than rounding, next to its size and to its own change over the scale of x."""
    close = [
        jnp.all(jnp.abs(new - old) <= CANCELS * (jnp.abs(old) + jnp.sqrt(jnp.sum(slope**2, axis=0))))
        for old, new, slope in zip(outputs, shifted, slopes, strict=True)
    ]
    return jnp.all(jnp.stack(close))


def _run(plan: Plan, arguments: Sequence[Any], shift: float) -> tuple[list[Any], list[Any]]:
    """Outputs of the program and the switching functions of ``plan.found()``, frozen values moved by `shift`."""
    program = plan.program
    values: list[Any] = [None] * program.size
    for slot, constant in program.constants.items():
        values[slot] = constant
    for slot, argument in zip(program.inputs, arguments, strict=True):
        values[slot] = argument
    found: list[Any] = []
    for index, step in enumerate(program.steps):
        inputs = [values[slot] for slot in step.inputs]
        if index in plan.inner:
            outputs, inner = _CONTROL[step.primitive](step, plan.inner[index], inputs, shift)
        else:
            outputs, inner = bind(step, *inputs), []
        switch = plan.switches.get(index)
        if switch is FROZEN:
            outputs = [_moved(value, shift) for value in outputs]
            found.append(jnp.full((), jnp.inf))
        elif switch is not None:
            phi = jnp.zeros(()) if switch.phi is None else switch.phi(step, inputs, outputs)
            found.append(jnp.asarray(phi, float))
        found += inner
        for slot, value in zip(step.outputs, outputs, strict=True):
            values[slot] = value
    return [values[slot] for slot in program.outputs], found


def _moved(value: Any, shift: float) -> Any:
    """A frozen value moved by `shift`, differently in every element so that differences do not hide it."""
    if shift == 0.0 or not jnp.issubdtype(value.dtype, np.inexact):
        return value
    weights = np.random.default_rng(SEED).uniform(0.5, 1.0, value.shape)
    return value + shift * weights * jnp.maximum(1.0, SHIFT_RELATIVE * jnp.abs(value))


def _scan(step: Step, plans: tuple[Plan, ...], inputs: list[Any], shift: float) -> tuple[list[Any], list[Any]]:
    params = step.params
    first, last = params["num_consts"], params["num_consts"] + params["num_carry"]

    def turn(carry: list[Any], slices: list[Any]) -> tuple[list[Any], tuple[list[Any], list[Any]]]:
        outputs, found = _run(plans[0], [*inputs[:first], *carry, *slices], shift)
        return outputs[: params["num_carry"]], (outputs[params["num_carry"] :], found)

    carry = [jnp.asarray(value) for value in inputs[first:last]]
    carry, (stacked, found) = lax.scan(
        turn, carry, inputs[last:], length=params["length"], reverse=params["reverse"], unroll=1
    )
    return [*carry, *stacked], found


def _while(step: Step, plans: tuple[Plan, ...], inputs: list[Any], shift: float) -> tuple[list[Any], list[Any]]:
    """Kinks inside a ``while`` are not followed from turn to turn: they count as met."""
    return list(bind(step, *inputs)), [jnp.zeros(()) for plan in plans for _ in plan.found()]


def _cond(step: Step, plans: tuple[Plan, ...], inputs: list[Any], shift: float) -> tuple[list[Any], list[Any]]:
    """Only the kinks of the branch taken are near; those of the others are infinitely far."""
    operands = inputs[1:]
    shapes = [jax.eval_shape(lambda *a, plan=plan: _run(plan, a, shift)[1], *operands) for plan in plans]

    def branch(taken: int) -> Callable[..., tuple[list[Any], list[Any]]]:
        def run(*operands: Any) -> tuple[list[Any], list[Any]]:
            outputs, near = _run(plans[taken], operands, shift)
            far = [[jnp.full(a.shape, jnp.inf, a.dtype) for a in shape] for shape in shapes]
            far[taken] = near
            return outputs, [phi for found in far for phi in found]

        return run

    return lax.switch(inputs[0], [branch(taken) for taken in range(len(plans))], *operands)


_CONTROL = {"scan": _scan, "while": _while, "cond": _cond}

__all__ = ["Margins", "kink_margins"]
