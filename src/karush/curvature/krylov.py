"""Lanczos's method with full reorthogonalisation and thick restarts [Lan50, WS00].

```
H V_j = V_j T_j + β_j v_{j+1} e_jᵀ ,     V_j orthonormal,  T_j symmetric
T_j s = θ s     gives the Ritz pair  (θ, V_j s)  with  ‖H V_j s − θ V_j s‖ = β_j |s_j|
```

T is tridiagonal until the first restart; then the Ritz values kept stand on its diagonal, coupled to the next vector.
Orthogonality is kept to rounding by one projection after the three-term recurrence, so that no eigenvalue is found
twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg

from karush.curvature.noise import EPS

BREAKDOWN = 64.0
"""``β <= BREAKDOWN · ε · ‖T‖`` is rounding: the vectors span an invariant subspace."""


@dataclass(eq=False)
class Krylov:
    """A growing orthonormal basis and the projection of H on it."""

    product: Callable[[np.ndarray], np.ndarray]
    start: np.ndarray
    """(n,) first direction, of any length"""
    size: int
    """most vectors held at once, at least 2"""
    rng: np.random.Generator
    """for a new direction where the subspace turns out to be invariant"""
    steps: int = 0
    """products so far"""
    j: int = 0
    """columns of T that are complete"""
    basis: np.ndarray = field(init=False)
    projected: np.ndarray = field(init=False)
    beta: float = 0.0
    scale: float = 0.0
    """largest entry of T so far"""
    finite: bool = True
    """False once a product was not finite; nothing is added after that"""

    def __post_init__(self):
        self.size = min(self.size, self.start.size)
        self.basis = np.zeros((self.size + 1, self.start.size))
        self.basis[0] = self.start / np.linalg.norm(self.start)
        self.projected = np.zeros((self.size, self.size))

    def extend(self, to: int) -> None:
        """Products until T is of order `to`, at most `size`."""
        V, T = self.basis, self.projected
        while self.finite and self.j < min(to, self.size):
            j = self.j
            w = np.array(self.product(V[j]))
            self.steps += 1
            self.finite = bool(np.isfinite(w).all())
            if not self.finite:
                break
            T[j, j] = V[j] @ w
            coupled = np.flatnonzero(T[: j + 1, j])
            w -= T[coupled, j] @ V[coupled]
            w -= (V[: j + 1] @ w) @ V[: j + 1]
            self.beta = float(np.linalg.norm(w))
            self.j = j + 1
            self.scale = max(self.scale, float(abs(T[j, j])))
            if not self.beta > BREAKDOWN * EPS * self.scale:
                self.beta = 0.0
                w = self._fresh()
            self.scale = max(self.scale, self.beta)
            norm = np.linalg.norm(w)
            V[j + 1] = w / norm if norm > 0 else 0.0
            if self.j < self.size:
                T[j + 1, j] = T[j, j + 1] = self.beta

    def ritz(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ritz values (j,) ascending, their coordinates (j, j) in the basis as columns, residual norms (j,)."""
        values, coordinates = np.linalg.eigh(self.projected[: self.j, : self.j])
        return values, coordinates, self.beta * np.abs(coordinates[-1])

    def ends(self, pairs: int) -> tuple[np.ndarray, np.ndarray]:
        """The least and largest `pairs` Ritz values and their residual norms: faster than all of them."""
        T, last = self.projected[: self.j, : self.j], self.j - 1
        found = [
            scipy.linalg.eigh(T, subset_by_index=span)
            for span in ((0, min(pairs, self.j) - 1), (max(last + 1 - pairs, 0), last))
        ]
        values = np.concatenate([values for values, _ in found])
        return values, self.beta * np.abs(np.concatenate([coordinates[-1] for _, coordinates in found]))

    def vectors(self, coordinates: np.ndarray) -> np.ndarray:
        """(n, k) Ritz vectors of coordinates (j, k)."""
        return self.basis[: self.j].T @ coordinates

    def restart(self, keep: np.ndarray) -> None:
        """Keep the Ritz vectors of the given indices and the last direction; T becomes their values and couplings."""
        values, coordinates, _ = self.ritz()
        kept, j, p = coordinates[:, keep], self.j, keep.size
        self.basis[:p] = kept.T @ self.basis[:j]
        self.basis[p] = self.basis[j]
        self.projected[:] = 0.0
        self.projected[np.arange(p), np.arange(p)] = values[keep]
        self.projected[p, :p] = self.projected[:p, p] = self.beta * kept[-1]
        self.j = p

    def _fresh(self) -> np.ndarray:
        """A random direction orthogonal to the basis; 0 where the basis spans everything."""
        if self.j >= self.start.size:
            return np.zeros(self.start.size)
        held = self.basis[: self.j]
        w = self.rng.standard_normal(self.start.size)
        for _ in range(2):  # once is not enough: w loses most of its length where few directions are left
            w /= np.linalg.norm(w)
            w -= (held @ w) @ held
        return w


__all__ = ["Krylov"]
