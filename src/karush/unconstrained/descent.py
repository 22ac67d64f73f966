"""What line-search methods share: search along a direction, take the point, choose the next direction from a memory."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from karush.solvers.prepared import Prepared
from karush.unconstrained import line_search
from karush.unconstrained.line_search import Search
from karush.unconstrained.method import Algorithm, Progress, Task, chosen, first_progress, moved, objective, stuck


class Rule(NamedTuple):
    """How a method chooses directions."""

    start: Callable[..., Any]
    """``(x) -> memory`` of nothing"""
    update: Callable[..., Any]
    """``(memory, before, search, after) -> memory`` with what a step from `before` to `after` has shown"""
    direction: Callable[..., Any]
    """``(task, memory, at) -> d``, (n,); one that does not descend is replaced by −g"""
    length: Callable[..., Any]
    """``(search, d, after) -> α``, the first trial along d after a step"""
    c2: float
    """of the Wolfe conditions"""


class State(NamedTuple):
    """Between two evaluations."""

    progress: Progress
    search: Search
    memory: Any
    steepest: Any
    """bool: the direction is −g, after which there is none to fall back on"""


def line_search_method(rule: Rule, parts: Prepared) -> Algorithm:
    """The method of `rule` for one problem."""
    slope = jax.value_and_grad(objective(parts))

    def init(task: Task, x: Any) -> State:
        progress = first_progress(x)._replace(gradient=jnp.zeros_like(x))
        return State(progress, line_search.begin(task, progress, jnp.zeros_like(x), 0.0), rule.start(x), True)

    def step(task: Task, state: State, *params: Any) -> State:
        before, search = state.progress, state.search
        first = before.evaluations == 0
        x = line_search.point(task, before, search)
        value, g = slope(x, *params)
        outcome = line_search.advance(task, before, search, x, value, g, rule.c2)
        held = before._replace(evaluations=before.evaluations + 1)

        def take(_: None) -> State:
            after = moved(task, before, x, value, g, search.alpha)
            memory = chosen(first, state.memory, rule.update(state.memory, before, search, after))
            d = _inward(task, after, rule.direction(task, memory, after))
            descends = jnp.vdot(after.gradient, d) < 0
            again = steepest(task, after)
            alpha = jnp.where(descends & ~first, rule.length(search, d, after), 1.0)
            d = jnp.where(descends & ~first, d, again)
            return State(after, line_search.begin(task, after, d, alpha), memory, first | ~descends)

        def stay(_: None) -> State:
            again = line_search.begin(task, held, steepest(task, held), 1.0)
            ended = outcome.failed & state.steepest
            return State(
                chosen(ended, stuck(task, held), held),
                chosen(outcome.failed, again, outcome.search),
                chosen(outcome.failed, rule.start(before.x), state.memory),
                state.steepest | outcome.failed,
            )

        return jax.lax.cond(first | outcome.taken, take, stay, None)

    return Algorithm(lambda task, x: jax.tree.map(jnp.asarray, init(task, x)), step)


def steepest(task: Task, at: Progress) -> Any:
    """(n,) −g into the bounds, so long that no variable moves by more than its typical size."""
    return _inward(task, at, -typical_step(task, at) * at.gradient)


def typical_step(task: Task, at: Progress) -> Any:
    """α of −α g that moves the variables by no more than their typical sizes, and one of them by that."""
    size = jnp.max(jnp.abs(at.gradient) / task.x_unit)
    return 1.0 / jnp.where(size > 0, size, 1.0)


def _inward(task: Task, at: Progress, d: Any) -> Any:
    """d (n,) without what leads out of the bounds at once."""
    out = ((at.x <= task.lower) & (d < 0)) | ((at.x >= task.upper) & (d > 0))
    return jnp.where(out, 0.0, d)
