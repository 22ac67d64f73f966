"""Trace and spectral density of a Hessian from products with random vectors.

```
tr H = Σ θ_i + tr (P H P)         with the Ritz pairs (θ_i, v_i) found before,  P = I − V Vᵀ
tr (P H P) ≈ mean of (P z)ᵀ H (P z) ,                   z random signs           ([Hut90]; deflated as in [MMMW21])
density  φ(λ) ≈ mean over z of Σ_j s_1j² δ(λ − θ_j) ,   (θ_j, s_j) of m Lanczos steps from z        ([GKX19])
```
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from karush.curvature.dense import Pairs
from karush.curvature.krylov import Krylov
from karush.curvature.program import Product

SMOOTH = 0.01
"""Width of the Gaussians of a drawn density, as a share of the spectrum's width."""


class Trace(NamedTuple):
    """Sum of all eigenvalues."""

    value: float
    error: float
    """standard error over the random vectors; for a complete spectrum the bound of its error"""
    products: int


@dataclass(frozen=True, eq=False)
class Density:
    """A discrete measure on the eigenvalues, of total weight 1."""

    nodes: np.ndarray
    """(k,) ascending"""
    weights: np.ndarray
    """(k,) nonnegative, with sum 1: shares of the n eigenvalues"""
    products: int

    def at(self, values: np.ndarray, width: float | None = None) -> np.ndarray:
        """Density per unit of eigenvalue at `values` (q,), each node spread by a Gaussian.

        Its standard deviation is `width`; default 1 % of the spectrum's width.
        """
        spread = float(self.nodes[-1] - self.nodes[0]) or max(abs(float(self.nodes[0])), 1.0)
        width = SMOOTH * spread if width is None else width
        away = (np.asarray(values)[:, None] - self.nodes[None, :]) / width
        return np.exp(-0.5 * away**2) @ self.weights / (width * np.sqrt(2.0 * np.pi))


def trace(product: Product, n: int, found: Pairs, probes: int, rng: np.random.Generator) -> Trace:
    """Trace of H, the part on the vectors of `found` exactly, the rest from `probes` >= 2 random sign vectors."""
    V = found.vectors
    held = sum(float(v @ product(v)) for v in V.T)
    samples = np.zeros(probes)
    for k in range(probes):
        z = rng.choice([-1.0, 1.0], n)
        z -= V @ (V.T @ z)
        samples[k] = z @ product(z)
    error = float(samples.std(ddof=1) / np.sqrt(probes))
    return Trace(held + float(samples.mean()), error, probes + V.shape[1])


def density(product: Product, n: int, probes: int, steps: int, rng: np.random.Generator) -> Density:
    """Stochastic Lanczos quadrature with `probes` random starts of `steps` products each."""
    nodes, weights, products = [], [], 0
    for _ in range(probes):
        krylov = Krylov(product, rng.standard_normal(n), steps, rng)
        krylov.extend(steps)
        values, coordinates, _ = krylov.ritz()
        nodes.append(values)
        weights.append(coordinates[0] ** 2 / probes)
        products += krylov.steps
    all_nodes, all_weights = np.concatenate(nodes), np.concatenate(weights)
    order = np.argsort(all_nodes)
    return Density(all_nodes[order], all_weights[order], products)


__all__ = ["Density", "Trace", "density", "trace"]
