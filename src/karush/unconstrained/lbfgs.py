"""BFGS with limited memory: the last m pairs ``s = x₊ − x``, ``y = g₊ − g`` stand for the matrix, sec. 7.2 of [NW06].

``d = −B g`` comes from the two-loop recursion, algorithm 7.4 there, with ``(yᵀs / yᵀy) I`` for the first matrix.

With bounds it is a two-metric projection [Ber82]: variables held by a bound, or about to be, go to it and stay there;
on the others, F, the recursion runs with products over F alone; the search follows ``P(x + α d)``.
"""

from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from karush.core.errors import OptionError
from karush.solvers.prepared import Prepared
from karush.unconstrained.bfgs import FLAT, bends
from karush.unconstrained.descent import Rule, line_search_method, typical_step
from karush.unconstrained.line_search import Search
from karush.unconstrained.method import Algorithm, Method, Progress, Task, chosen

CURVATURE = 0.9
"""c₂, as for BFGS"""
HELD = 1e-3
"""a variable is about to be held within this part of its typical size of a bound that its slope leads to"""


@dataclass(frozen=True)
class LBFGS(Method):
    """L-BFGS; with bounds, projected onto them."""

    memory: int = 10
    """pairs that are kept"""

    name: ClassVar[str] = "l-bfgs"
    takes_bounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.memory, Integral) or self.memory < 1:
            raise OptionError(f"memory is {self.memory!r}; give a positive number of pairs")

    def algorithm(self, parts: Prepared) -> Algorithm:
        """Its `init` and `step`."""
        size = int(self.memory)

        def start(x: Any) -> Memory:
            nothing = jnp.zeros((size, x.shape[0]), dtype=x.dtype)
            return Memory(nothing, nothing)

        return line_search_method(Rule(start, _update, _direction, _length, CURVATURE), parts)


class Memory(NamedTuple):
    """The last pairs, oldest first; zero where there are none yet."""

    s: Any
    """(m, n)"""
    y: Any
    """(m, n)"""


def _update(memory: Memory, before: Progress, search: Search, after: Progress) -> Memory:
    s, y = after.x - before.x, after.gradient - before.gradient
    new = Memory(jnp.roll(memory.s, -1, axis=0).at[-1].set(s), jnp.roll(memory.y, -1, axis=0).at[-1].set(y))
    return chosen(bends(s, y), new, memory)


def _direction(task: Task, memory: Memory, at: Progress) -> Any:
    """(n,) to the bound where one holds the variable, −B g on the others."""
    near = jnp.minimum(HELD, at.error) * task.x_unit
    held_low = (at.x <= task.lower + near) & (at.gradient > 0)
    held_high = (at.x >= task.upper - near) & (at.gradient < 0)
    free = ~(held_low | held_high)
    d = two_loops(memory.s, memory.y, at.gradient, free, typical_step(task, at))
    return jnp.where(free, -d, jnp.where(held_low, task.lower, task.upper) - at.x)


def two_loops(s: Any, y: Any, g: Any, free: Any, step: Any) -> Any:
    """B g on the variables `free` (n,) bool, zero on the others; s, y (m, n), oldest first, g (n,).

    Pairs that show no positive curvature there are left out; where none is left, B is `step` times the identity.
    """
    s, y, q = jnp.where(free, s, 0.0), jnp.where(free, y, 0.0), jnp.where(free, g, 0.0)
    sy = jnp.sum(s * y, axis=1)
    yy = jnp.sum(y * y, axis=1)
    good = sy > FLAT * jnp.sqrt(jnp.sum(s * s, axis=1) * yy)
    rho = jnp.where(good, 1.0 / jnp.where(good, sy, 1.0), 0.0)

    def newest_first(q: Any, pair: Any) -> Any:
        s, y, rho = pair
        a = rho * jnp.vdot(s, q)
        return q - a * y, a

    def oldest_first(r: Any, pair: Any) -> Any:
        s, y, rho, a = pair
        return r + (a - rho * jnp.vdot(y, r)) * s, None

    q, a = jax.lax.scan(newest_first, q, (s, y, rho), reverse=True)
    newest = s.shape[0] - 1 - jnp.argmax(good[::-1])
    gamma = jnp.where(good[newest], sy[newest] / jnp.where(yy[newest] > 0, yy[newest], 1.0), step)
    r, _ = jax.lax.scan(oldest_first, gamma * q, (s, y, rho, a))
    return r


def _length(search: Search, d: Any, after: Progress) -> Any:
    return jnp.ones_like(after.value)
