"""Which parameters the residuals are affine in, read off the program: those can be eliminated.

With ``∂²r/∂xᵢ∂xⱼ ≡ 0`` for all i, j in a set S, r is affine in x_S while the rest is held:

```
r(α, β) = r₀(β) + Φ(β) α
```

and for every β the best α is a linear least-squares solution (variable projection, [GP73]).
"""

import itertools
from typing import Any

import asdex
import jax.numpy as jnp
import numpy as np

from karush.core.precision import float64
from karush.jaxprs.function import FlatFunction

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
    candidates = [int(i) for i in np.flatnonzero(free & ~np.diagonal(coupled))]
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


def _coupled(function: FlatFunction) -> Any:
    """(n, n) bool: whether some residual has a second derivative in two parameters; None if that cannot be read."""
    n = function.n
    with float64():
        try:
            pattern = asdex.hessian_sparsity(lambda x: jnp.vdot(jnp.ones(function.k), function(x)), np.zeros(n))
        except NotImplementedError:
            return None
    coupled = np.zeros((n, n), dtype=bool)
    coupled[pattern.rows, pattern.cols] = True
    return coupled | coupled.T
