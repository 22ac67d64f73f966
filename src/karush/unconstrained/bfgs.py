"""The method of Broyden, Fletcher, Goldfarb and Shanno, sec. 6.1 of [NW06].

With s = x₊ − x, y = g₊ − g and ρ = 1 / yᵀs the inverse Hessian's approximation B becomes

```
B₊  =  (I − ρ s yᵀ) B (I − ρ y sᵀ) + ρ s sᵀ,      so that  B₊ y = s  (the secant equation);   d = −B g
```

The first B is ``(yᵀs / yᵀy) I``, eq. (6.20) there.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from karush.solvers.prepared import Prepared
from karush.unconstrained.descent import Rule, line_search_method, steepest
from karush.unconstrained.line_search import Search
from karush.unconstrained.method import Algorithm, Method, Progress, Task, chosen

CURVATURE = 0.9
"""c₂, as on p. 142 of [NW06]"""
FLAT = 2.0**-40
"""a step whose yᵀs is below this part of |y||s| shows rounding instead of curvature, and is left out"""


@dataclass(frozen=True)
class BFGS(Method):
    """BFGS with a dense matrix, for up to some hundred variables."""

    name: ClassVar[str] = "bfgs"

    def algorithm(self, parts: Prepared) -> Algorithm:
        """Its `init` and `step`."""
        return line_search_method(Rule(_start, _update, _direction, _length, CURVATURE), parts)


class Memory(NamedTuple):
    """What is known of the inverse Hessian."""

    B: Any
    """(n, n)"""
    fresh: Any
    """bool: nothing yet"""


def _start(x: Any) -> Memory:
    return Memory(jnp.eye(x.shape[0], dtype=x.dtype), jnp.asarray(True))


def _update(memory: Memory, before: Progress, search: Search, after: Progress) -> Memory:
    s, y = after.x - before.x, after.gradient - before.gradient
    sy = jnp.vdot(s, y)
    B = jnp.where(memory.fresh, sy / jnp.vdot(y, y), 1.0) * memory.B
    new = Memory(updated(B, s, y), jnp.asarray(False))
    return chosen(bends(s, y), new, memory)


def bends(s: Any, y: Any) -> Any:
    """Whether a step s (n,) and its change of the gradient y (n,) show positive curvature beyond rounding."""
    return jnp.vdot(s, y) > FLAT * jnp.linalg.norm(s) * jnp.linalg.norm(y)


def updated(B: Any, s: Any, y: Any) -> Any:
    """B₊ (n, n), multiplied out, with one product of B and a vector."""
    sy, By = jnp.vdot(s, y), B @ y
    cross = jnp.outer(By, s)
    return B + (1.0 + jnp.vdot(y, By) / sy) * jnp.outer(s, s) / sy - (cross + cross.T) / sy


def _direction(task: Task, memory: Memory, at: Progress) -> Any:
    return jnp.where(memory.fresh, steepest(task, at), -(memory.B @ at.gradient))


def _length(search: Search, d: Any, after: Progress) -> Any:
    return jnp.ones_like(after.value)
