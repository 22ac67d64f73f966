"""Gradient descent: ``x ← P(x − α ∇f(x))``, with P the projection onto the bounds.

The step α is fixed, found by backtracking, or the exact one of a quadratic, ``gᵀg / gᵀHg`` (chapter 4.3 of [GBC16]).
"""

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp

from karush.core.errors import OptionError
from karush.solvers.prepared import Prepared
from karush.solvers.state import EVALUATION_FAILED
from karush.unconstrained.method import (
    Algorithm,
    Method,
    Progress,
    Task,
    chosen,
    first_progress,
    moved,
    objective,
    stuck,
)

DECREASE = 1e-4
"""c₁: a step is taken if f falls by this part of what the slope promises, eq. (3.4) of [NW06]"""
SHORTER = 0.5
"""factor from one trial to the next"""
LONGER = 2.0
"""a search starts at this multiple of the last step if that was taken at its first trial, so that it can grow again"""
TRIALS = 60
"""trials of one line search: 2^-60 of a step is below rounding"""
ROUNDING = 2.0**-46
"""relative change of f that may be rounding; within it the slopes decide"""
TURN = 0.5
"""then a step is taken if the slope along it has turned upwards by no more than this part of what it was: on a
quadratic of curvature λ, if α <= 1.5 / λ"""


@dataclass(frozen=True)
class GradientDescent(Method):
    """Gradient descent; with bounds, projected onto them."""

    step: float | Literal["backtracking", "exact"] = "backtracking"
    """α in the user's units; ``"backtracking"`` halves it until f falls enough; ``"exact"`` starts each such search at
    ``gᵀg / gᵀHg``, the minimum along −g of a quadratic"""

    name: ClassVar[str] = "gradient-descent"
    takes_bounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.step, str):
            good = self.step in ("backtracking", "exact")
        else:
            good = isinstance(self.step, Real) and 0.0 < self.step < float("inf")
        if not good:
            raise OptionError(f"step is {self.step!r}; give a positive number, 'backtracking' or 'exact'")

    def algorithm(self, parts: Prepared) -> Algorithm:
        """Its `init` and `step`."""
        f = objective(parts)
        fixed = None if isinstance(self.step, str) else float(self.step)
        exact = self.step == "exact"

        def step(task: Task, state: State, *params: Any) -> State:
            value, g, curvature = _evaluate(f, state.trial, params, exact)
            return _advance(task, state, value, g, curvature, fixed)

        return Algorithm(_init, step)


class State(NamedTuple):
    """Between two evaluations."""

    progress: Progress
    trial: Any
    """(n,) the point to be evaluated next"""
    alpha: Any
    """its step"""
    trials: Any
    """evaluations of this line search so far"""


def _init(task: Task, x: Any) -> State:
    progress = first_progress(x)
    return State(progress, x, jnp.zeros_like(progress.value), progress.iterations)


def _evaluate(f: Any, x: Any, params: tuple[Any, ...], exact: bool) -> tuple[Any, Any, Any]:
    """f, g and, if `exact`, gᵀHg (by the derivative of |g|²/2 along g) at x; else 0."""
    slope = jax.value_and_grad(f)
    if not exact:
        value, g = slope(x, *params)
        return value, g, jnp.zeros_like(value)
    # H g = ∇(gᵀ∇f) with g held fixed: one reverse pass over the program of f and g.
    (value, g), pullback = jax.vjp(lambda x: slope(x, *params), x)
    (Hg,) = pullback((jnp.zeros_like(value), g))
    return value, g, jnp.vdot(g, Hg)


def _advance(task: Task, state: State, value: Any, g: Any, curvature: Any, fixed: float | None) -> State:
    """Take the trial point or shorten the step."""
    before = state.progress
    first = before.evaluations == 0
    s = state.trial - before.x
    promised = jnp.vdot(before.gradient, s)
    blurred = jnp.abs(value - before.value) <= ROUNDING * jnp.abs(before.value)
    falls = jnp.where(blurred, jnp.vdot(g, s) <= -TURN * promised, value <= before.value + DECREASE * promised)
    fine = jnp.isfinite(value) & jnp.all(jnp.isfinite(g))
    if fixed is not None:
        falls = jnp.full_like(falls, True)
    after = moved(task, before, state.trial, value, g, state.alpha)
    grown = jnp.where(state.trials == 0, LONGER * state.alpha, state.alpha)
    alpha = _first_step(task, after, curvature, grown, first) if fixed is None else jnp.asarray(fixed)
    onward = State(after, _projected(task, after.x - alpha * g), alpha, jnp.zeros_like(state.trials))

    shorter = SHORTER * state.alpha
    trial = _projected(task, before.x - shorter * before.gradient)
    over = (state.trials + 1 >= TRIALS) | jnp.all(trial == before.x)
    held = before._replace(evaluations=before.evaluations + 1)
    # A fixed step is not shortened: where it leads to no number, the run ends.
    ended = held._replace(status=jnp.full_like(held.status, EVALUATION_FAILED)) if fixed else stuck(task, held)
    back = State(chosen(over | (fixed is not None), ended, held), trial, shorter, state.trials + 1)
    return chosen(first | (falls & fine), onward, back)


def _first_step(task: Task, at: Progress, curvature: Any, grown: Any, first: Any) -> Any:
    """First trial of a search: gᵀg / gᵀHg where the curvature is known and positive, else `grown`.

    At the start, the step that moves by a typical size.
    """
    square = jnp.vdot(at.gradient, at.gradient)
    typical = jnp.min(jnp.where(at.gradient != 0, task.x_unit / jnp.abs(at.gradient), jnp.inf))
    typical = jnp.where(jnp.isfinite(typical), typical, 1.0)
    return jnp.where(curvature > 0, square / curvature, jnp.where(first, typical, grown))


def _projected(task: Task, x: Any) -> Any:
    return jnp.clip(x, task.lower, task.upper)
