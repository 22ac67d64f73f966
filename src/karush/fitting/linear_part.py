"""Which parameters the residuals are affine in, read off the program: those can be eliminated.

With ``∂²r/∂xᵢ∂xⱼ ≡ 0`` for all i, j in a set S and no kink, r is affine in x_S while the rest is held:

```
r(α, β) = r₀(β) + Φ(β) α
```

and for every β the best α is a linear least-squares solution (variable projection, [GP73]). Second derivatives do not
see a kink, ``|x|`` and ``min(x₀ t, x₁)`` have none: in a program with kinks the polynomial degree in α has to be one.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.precision import float64
from karush.derivatives.detection import find
from karush.derivatives.index_sets import TooFullError
from karush.jaxprs.degree import AFFINE, degrees
from karush.jaxprs.function import FlatFunction
from karush.jaxprs.kinks import kinks

EXHAUSTIVE = 14
"""Candidates up to which the largest set is searched for; above, a greedy one is taken."""
LARGEST = 200
"""Parameters above which no set is looked for: the pattern is worth less than it costs."""


def affine_parameters(function: FlatFunction, free: np.ndarray) -> np.ndarray:
    """Indices, increasing, of a largest set of `free` (n,) bool parameters that r is affine in; maybe none."""
    if function.n > LARGEST:
        return np.zeros(0, dtype=int)
    coupled = _coupled(function)
    if coupled is None:
        return np.zeros(0, dtype=int)
    kinked = bool(kinks(function.closed_jaxpr))
    if kinked:
        free = free & [_affine(function, [i]) for i in range(function.n)]
    chosen = _largest(coupled, [int(i) for i in np.flatnonzero(free & ~np.diagonal(coupled))])
    return chosen if not kinked or _affine(function, chosen) else np.zeros(0, dtype=int)


def _largest(coupled: np.ndarray, candidates: list[int]) -> np.ndarray:
    """Indices of a largest set of `candidates` of which no two are coupled."""
    if len(candidates) <= EXHAUSTIVE:
        for size in range(len(candidates), 0, -1):
            for chosen in itertools.combinations(candidates, size):
                if not coupled[np.ix_(chosen, chosen)].any():
                    return np.array(chosen, dtype=int)
        return np.zeros(0, dtype=int)
    taken: list[int] = []
    for i in sorted(candidates, key=lambda i: int(coupled[i, candidates].sum())):
        if not coupled[i, taken].any():
            taken.append(i)
    return np.array(sorted(taken), dtype=int)


def _affine(function: FlatFunction, chosen: Any) -> bool:
    """Whether r is a polynomial of degree one at most in the parameters `chosen`, the others held."""
    place = {int(i): k for k, i in enumerate(chosen)}

    def program(part: Any, x: Any) -> tuple[Any, Any]:
        # Slice by slice: degrees are told apart where indices are known.
        pieces = [part[place[i] : place[i] + 1] if i in place else x[i : i + 1] for i in range(function.n)]
        return jnp.zeros(()), function(jnp.concatenate(pieces))

    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        traced = jax.make_jaxpr(program)(np.zeros(len(place)), np.zeros(function.n))
        return int(degrees(traced)[1].max(initial=0)) <= AFFINE


def _coupled(function: FlatFunction) -> Any:
    """(n, n) bool: whether some residual has a second derivative in two parameters; None if that cannot be read."""
    n = function.n
    slope = jax.grad(lambda x: jnp.vdot(jnp.ones(function.k), function(x)))
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        try:
            found = find(jax.make_jaxpr(lambda x, v: jax.jvp(slope, (x,), (v,))[1])(np.zeros(n), np.zeros(n)), n)
        except TooFullError:
            return None
    coupled = np.zeros((n, n), dtype=bool)
    coupled[found.rows, found.cols] = True
    return coupled | coupled.T
