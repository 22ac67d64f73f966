"""Newton's method with a trust region: ``∇²f(x) p = −∇f(x)`` as long as the quadratic model can be believed.

The step minimises the model exactly within the region, so that a saddle is left along its negative curvature
(chapter 4 of [NW06]). With bounds, the model is minimised on the faces of the box (`faces`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

from karush.solvers.prepared import Prepared
from karush.solvers.state import CONVERGED, RUNNING
from karush.unconstrained.faces import Box, bounded_step
from karush.unconstrained.method import Algorithm, Method, Progress, Task, chosen, first_progress
from karush.unconstrained.more_sorensen import exact_step
from karush.unconstrained.trust_region import ROUNDING, Trial, after, assess, first_radius, first_trial

Step = Callable[[Any, Any, Any], tuple[Any, Any]]
"""``(g, H, radius) -> (p, whether H is convex)``, all dimensionless"""


@dataclass(frozen=True)
class Newton(Method):
    """Newton's method with exact Hessian (n, n) and trust region, for up to some hundred variables."""

    name: ClassVar[str] = "newton"
    takes_bounds: ClassVar[bool] = True

    def algorithm(self, parts: Prepared) -> Algorithm:
        """Its `init` and `step`."""
        return dense_algorithm(parts, exact_step)


class State(NamedTuple):
    """Between two evaluations."""

    progress: Progress
    hessian: Any
    """(n, n) of the model, dimensionless"""
    trial: Trial
    radius: Any


def dense_algorithm(parts: Prepared, minimum: Step) -> Algorithm:
    """A trust-region method with dense Hessian, whose step within the ball is `minimum`."""
    evaluator, flat = parts.evaluator, parts.flat
    bounded = bool(np.any(np.isfinite(flat.lower) | np.isfinite(flat.upper)))

    def init(task: Task, x: Any) -> State:
        return State(first_progress(x), jnp.zeros((x.size, x.size)), first_trial(x), first_radius(x))

    def step(task: Task, state: State, *params: Any) -> State:
        before, trial = state.progress, state.trial
        values, jacobian, H = evaluator.derivatives(trial.x, jnp.ones(1), *params)
        H = H * (task.x_unit / task.f_unit) * task.x_unit[:, None]
        # A Hessian that is not finite makes the point as useless as a value that is not.
        value = jnp.where(jnp.all(jnp.isfinite(H)), values[0], jnp.nan)
        found = assess(task, before, trial, value, jacobian[0], state.radius)
        progress = after(task, before, trial, value, jacobian[0], found)
        H = jnp.where(found.accepted, H, state.hessian)
        trial, convex = _next(task, progress, H, found.radius, minimum, bounded)
        return State(_unless_saddle(task, progress, trial, convex), H, trial, found.radius)

    return Algorithm(init, step)


def _next(task: Task, progress: Progress, H: Any, radius: Any, minimum: Step, bounded: bool) -> tuple[Trial, Any]:
    """The minimum of the model at the best point, and whether the model is convex."""
    g = progress.gradient * task.x_unit / task.f_unit
    u = progress.x / task.x_unit
    if not bounded:
        s, convex = minimum(g, H, radius)
        q = jnp.vdot(g, s) + 0.5 * jnp.vdot(s, H @ s)
        return Trial(progress.x + s * task.x_unit, -q, jnp.sqrt(jnp.vdot(s, s))), convex

    def on_face(slope: Any, free: Any, radius: Any) -> tuple[Any, Any]:
        both = free & free[:, None]
        return minimum(slope, jnp.where(both, H, jnp.eye(u.size)), radius)

    box = Box(task.lower / task.x_unit - u, task.upper / task.x_unit - u)
    s, q, convex = bounded_step(g, lambda v: H @ v, box, radius, on_face)
    x = jnp.clip(progress.x + s * task.x_unit, task.lower, task.upper)
    return Trial(x, -q, jnp.sqrt(jnp.vdot(s, s))), convex


def _unless_saddle(task: Task, progress: Progress, trial: Trial, convex: Any) -> Progress:
    """A run does not end at a flat point from which negative curvature leads down."""
    slack = ROUNDING * jnp.abs(progress.value) / task.f_unit
    saddle = (progress.status == CONVERGED) & ~convex & (trial.promised > jnp.maximum(slack, task.tol))
    return chosen(saddle, progress._replace(status=jnp.full_like(progress.status, RUNNING)), progress)
