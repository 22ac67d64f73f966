"""Newton's method by conjugate gradients: ``∇²f(x) p ≈ −∇f(x)`` from products ``∇²f(x) v`` alone.

For 1e5 variables and more, where no matrix fits. The step is `steihaug.truncated_step`; with bounds it is taken on the
faces of the box (`faces`). Where f does not fall as promised the step is shortened along its own line, after Nocedal
and Yuan [NY98], so that products are needed at accepted points only and f is differentiated in one place.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.derivatives.products import has_loops, products
from karush.solvers.prepared import Prepared
from karush.unconstrained.faces import Box, bounded_step
from karush.unconstrained.method import Algorithm, Method, Progress, Task, first_progress, moved, objective
from karush.unconstrained.steihaug import truncated_step
from karush.unconstrained.trust_region import (
    SHRINK,
    Trial,
    assess,
    first_radius,
    first_trial,
    refused,
)

SHARP = 0.25
"""part of the tolerance to which a step's equations are solved at the sharpest"""


@dataclass(frozen=True)
class NewtonCG(Method):
    """Newton's method with truncated conjugate gradients in a trust region: matrix-free, for many variables."""

    name: ClassVar[str] = "newton-cg"
    takes_bounds: ClassVar[bool] = True

    def algorithm(self, parts: Prepared) -> Algorithm:
        """Its `init` and `step`."""
        flat, f = parts.flat, objective(parts)
        bounded = bool(np.any(np.isfinite(flat.lower) | np.isfinite(flat.upper)))
        kind = Kind(f, bounded, has_loops(flat.closed_jaxpr), bool(np.all(parts.scales.x == 1.0)))

        def step(task: Task, state: State, *params: Any) -> State:
            return _step(kind, task, state, params)

        return Algorithm(_init, step)


class Kind(NamedTuple):
    """What is known of a problem before its solve."""

    objective: Any
    bounded: bool
    loops: bool
    """whether the objective's own program has loops"""
    plain: bool
    """whether all typical sizes of the variables are 1"""


class State(NamedTuple):
    """Between two evaluations."""

    progress: Progress
    step: Any
    """(n,) s, dimensionless, of which the trial takes the part `share`"""
    slope: Any
    """ĝᵀs"""
    bend: Any
    """sᵀĤs"""
    share: Any
    trial: Trial
    radius: Any


def _init(task: Task, x: Any) -> State:
    zero = jnp.zeros((), dtype=x.dtype)
    return State(first_progress(x), jnp.zeros_like(x), zero, zero, zero + 1.0, first_trial(x), first_radius(x))


def _step(kind: "Kind", task: Task, state: State, params: tuple[Any, ...]) -> State:
    f, bounded, loops, plain = kind
    before, trial = state.progress, state.trial
    value, gradient = jax.value_and_grad(f)(trial.x, *params)
    found = assess(task, before, trial, value, gradient, state.radius)
    # Here, not in the branch that takes it: it reads the vectors together with the assessment.
    progress = moved(task, before, trial.x, value, gradient, found.radius)

    def onward() -> State:
        along = products(jax.grad(lambda x: f(x, *params)), trial.x, loops)

        def product(v: Any) -> Any:
            return along(v) / task.f_unit if plain else along(v * task.x_unit) * (task.x_unit / task.f_unit)

        going = progress.status == before.status
        g = gradient * task.x_unit / task.f_unit
        s, slope, bend = _model_step(g, product, progress.x, task, found.radius, bounded, going)
        return State(progress, s, slope, bend, jnp.ones_like(state.share), trial, found.radius)

    def back() -> State:
        """Refused: the same line, up to where the smaller region ends."""
        whole = jnp.sqrt(jnp.vdot(state.step, state.step))
        share = jnp.minimum(SHRINK * state.share, found.radius / jnp.maximum(whole, jnp.finfo(whole.dtype).tiny))
        return state._replace(progress=refused(task, before, found), share=share, radius=found.radius)

    state = lax.cond(found.accepted, onward, back)
    return state._replace(trial=_trial(task, state))


def _trial(task: Task, state: State) -> Trial:
    share = state.share
    x = jnp.clip(state.progress.x + share * state.step * task.x_unit, task.lower, task.upper)
    promised = -(share * state.slope + 0.5 * share**2 * state.bend)
    return Trial(x, promised, share * jnp.sqrt(jnp.vdot(state.step, state.step)))


def _model_step(
    g: Any, product: Any, x: Any, task: Task, radius: Any, bounded: bool, going: Any
) -> tuple[Any, Any, Any]:
    """The step s (n,), ĝᵀs and sᵀĤs; zeros, at no cost, unless `going`."""
    end = SHARP * task.tol / jnp.max(task.strict_weight * task.f_unit / task.x_unit)
    if not bounded:
        s, Hs, _ = truncated_step(g, product, None, radius, going, end)
        return s, jnp.vdot(g, s), jnp.vdot(s, Hs)

    def on_face(slope: Any, free: Any, radius: Any) -> tuple[Any, Any]:
        w, _, convex = truncated_step(slope, product, free, radius, going, end)
        return w, convex

    u = x / task.x_unit
    box = Box(task.lower / task.x_unit - u, task.upper / task.x_unit - u)
    s = lax.cond(going, lambda: bounded_step(g, product, box, radius, on_face)[0], lambda: jnp.zeros_like(g))
    Hs = lax.cond(going, lambda: product(s), lambda: jnp.zeros_like(s))
    return s, jnp.vdot(g, s), jnp.vdot(s, Hs)
