"""What a benchmark problem is, to every solver alike: plain JAX functions of one flat vector, and limits."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class BenchmarkProblem:
    """minimise ``objective(x)`` subject to ``row_lower <= rows(x) <= row_upper``, ``lower <= x <= upper``."""

    name: str
    objective: Callable[[jax.Array], jax.Array]
    """(n,) -> ()"""
    rows: Callable[[jax.Array], jax.Array] | None
    """(n,) -> (m,), or None where m = 0"""
    x0: Float[np.ndarray, " n"]
    lower: Float[np.ndarray, " n"]
    upper: Float[np.ndarray, " n"]
    row_lower: Float[np.ndarray, " m"]
    row_upper: Float[np.ndarray, " m"]

    @property
    def n(self) -> int:
        return self.x0.size

    @property
    def m(self) -> int:
        return self.row_lower.size


@dataclass(frozen=True)
class Answer:
    """What a solver says, in the sign convention L = f + yᵀc + zᵀx (>= 0 at an upper limit, <= 0 at a lower one)."""

    x: Float[np.ndarray, " n"]
    status: str
    """the solver's own word for why it stopped"""
    claimed: bool
    """the solver calls x a solution"""
    y: Float[np.ndarray, " m"] | None = None
    z: Float[np.ndarray, " n"] | None = None
    iterations: int | None = None
    evaluations: int | None = None
    """evaluations of the objective"""
    extra: Callable[[], dict] | None = None
    """whatever else the solver's row of the results should hold; called outside the time measured"""
