"""Nonlinear conjugate gradients: ``d ← −g + β d``, sec. 5.2 of [NW06].

With the old gradient g, the new one g₊ and y = g₊ − g,

```
β  =  g₊ᵀg₊ / gᵀg,  0 where |g₊ᵀg| >= ν g₊ᵀg₊           Fletcher–Reeves
β  =  max(0, g₊ᵀy / gᵀg)                               Polak–Ribière+
β  =  max((y − 2 d yᵀy / dᵀy)ᵀ g₊ / dᵀy, η)            Hager–Zhang [HZ05],  η = −1 / (|d| min(0.01, |g|))
```

On a quadratic with exact steps all three are the linear method.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import jax.numpy as jnp

from karush.core.errors import OptionError
from karush.solvers.prepared import Prepared
from karush.unconstrained.descent import Rule, line_search_method
from karush.unconstrained.line_search import Search
from karush.unconstrained.method import Algorithm, Method, Progress

Beta = Literal["hager-zhang", "polak-ribiere", "fletcher-reeves"]
CURVATURE = 0.1
"""c₂, as on p. 124 of [NW06]: below 1/2 Fletcher–Reeves descends"""
ETA = 0.01
"""of Hager–Zhang's lower limit of β"""
NU = 0.1
"""Where gradients are further from orthogonal than on a quadratic, Fletcher–Reeves starts anew, eq. (5.52) of [NW06];
without that, short steps follow short steps (Rosenbrock's function of 10 variables: no minimum in 3000 iterations)."""


@dataclass(frozen=True)
class NonlinearCG(Method):
    """Nonlinear conjugate gradients, for many variables and no memory beyond a few vectors."""

    beta: Beta = "hager-zhang"
    """formula of β"""

    name: ClassVar[str] = "nonlinear-cg"

    def __post_init__(self) -> None:
        if self.beta not in get_args(Beta):
            raise OptionError(f"beta is {self.beta!r}; the formulas are {', '.join(map(repr, get_args(Beta)))}")

    def algorithm(self, parts: Prepared) -> Algorithm:
        """Its `init` and `step`."""
        formula = FORMULAS[self.beta]

        def update(memory: Memory, before: Progress, search: Search, after: Progress) -> Memory:
            beta = formula(before.gradient, after.gradient, search.direction)
            d = -after.gradient + jnp.where(jnp.isfinite(beta), beta, 0.0) * search.direction
            return Memory(d)

        return line_search_method(Rule(_start, update, lambda task, memory, at: memory.d, _length, CURVATURE), parts)


class Memory(NamedTuple):
    """The next direction."""

    d: Any
    """(n,)"""


def _start(x: Any) -> Memory:
    return Memory(jnp.zeros_like(x))


def _length(search: Search, d: Any, after: Progress) -> Any:
    """The last step times the ratio of the slopes, eq. (3.60) of [NW06] without its factor of 2."""
    return search.alpha * search.slope / jnp.vdot(after.gradient, d)


def hager_zhang(g: Any, new: Any, d: Any) -> Any:
    """β from the old and the new gradient and the old direction, (n,) each."""
    y = new - g
    dy = jnp.vdot(d, y)
    beta = jnp.vdot(y - 2.0 * d * (jnp.vdot(y, y) / dy), new) / dy
    return jnp.maximum(beta, -1.0 / (jnp.linalg.norm(d) * jnp.minimum(ETA, jnp.linalg.norm(g))))


def polak_ribiere(g: Any, new: Any, d: Any) -> Any:
    """β as in `hager_zhang`."""
    return jnp.maximum(0.0, jnp.vdot(new, new - g) / jnp.vdot(g, g))


def fletcher_reeves(g: Any, new: Any, d: Any) -> Any:
    """β as in `hager_zhang`."""
    square = jnp.vdot(new, new)
    return jnp.where(jnp.abs(jnp.vdot(new, g)) >= NU * square, 0.0, square / jnp.vdot(g, g))


FORMULAS = {"hager-zhang": hager_zhang, "polak-ribiere": polak_ribiere, "fletcher-reeves": fletcher_reeves}
