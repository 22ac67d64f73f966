"""Extreme eigenpairs of a Hessian that is known by its products only, each with a bound of its error.

A vector v of length 1 with Rayleigh quotient θ = vᵀ H v proves an eigenvalue:

```
| λ − θ | <= ‖H v − θ v‖₂     for some eigenvalue λ of H          ([Par98], theorem 4.5.1)
```

The residual is computed anew with an independent product, and widened by how well products are known. That no
eigenvalue lies further out cannot be proved by products. Over the random start it is unlikely ([KW92]): with k
products before any restart, on either side

```
P( λ_max − θ_max > ε (λ_max − λ_min) )  <=  1.648 √n exp(−(2k − 1) √ε)
```
"""

import math
from typing import NamedTuple

import numpy as np

from karush.curvature.dense import Pairs
from karush.curvature.krylov import Krylov
from karush.curvature.noise import EPS, FLOOR, SAFETY, moved
from karush.curvature.program import Derivatives, Product

BASIS = 300
"""Lanczos vectors held at once, memory permitting. With more, fewer products; each costs 4 n flops per product."""
BYTES = 2**29
"""Memory for them."""
FEWEST = 20
"""Vectors held in any case."""
CHECK = 10
"""Products between two looks at the Ritz values, at least;"""
CHECK_SHARE = 8
"""more for a larger T: its eigenvalues cost as much as many a product."""
KEPT = 0.25
"""Share of the basis kept at either end of the spectrum by a restart."""
SMALL = 1e-3
"""An eigenvalue below SMALL times the largest is found to the accuracy of one of that size: at 0 no relative accuracy
can be reached."""
FAILURE = 1e-6
"""Probability allowed for an eigenvalue outside `Extremes.reach`."""
KW_FACTOR = 1.648
"""of the bound in [KW92]"""


class Extremes(NamedTuple):
    """What was found at the two ends of the spectrum."""

    pairs: Pairs
    converged: bool
    """whether every residual met the tolerance before the products ran out"""
    products: int
    reach: tuple[float, float]
    """no eigenvalue lies outside, but with probability `FAILURE` over the random start"""


def extremes(
    derivatives: Derivatives,
    x: np.ndarray,
    product: Product,
    pairs: int,
    rtol: float,
    max_products: int,
    rng: np.random.Generator,
) -> Extremes:
    """The `pairs` least and largest eigenpairs of H(x); all of them where n <= 2 `pairs`."""
    n = x.size
    start = rng.standard_normal(n)
    size = max(FEWEST, 4 * pairs, min(BASIS, BYTES // (8 * n)))
    krylov = Krylov(product, start, size, rng)
    unrestarted, converged = 0, False
    while krylov.finite and not converged and krylov.steps < max_products:
        if krylov.j == krylov.size:
            krylov.restart(_ends(krylov.j, max(pairs, int(KEPT * krylov.size))))
        room = max_products - krylov.steps
        krylov.extend(krylov.j + min(max(CHECK, krylov.j // CHECK_SHARE), room))
        converged = krylov.finite and _converged(krylov, pairs, rtol)
        if krylov.steps == krylov.j:
            unrestarted = krylov.steps
    if not krylov.finite:
        bad = Pairs(np.full(1, np.nan), np.full((n, 1), np.nan), np.full(1, np.inf))
        return Extremes(bad, False, krylov.steps, (-np.inf, np.inf))
    _, coordinates, _ = krylov.ritz()
    vectors = krylov.vectors(coordinates[:, _ends(krylov.j, pairs)])
    found = verified(derivatives, x, product, vectors, rng)
    low, high = float(found.values[0]), float(found.values[-1])
    reach = (low, high) if krylov.j == n else _reach(low, high, n, unrestarted)
    spread = 2.0 * float(found.errors.max())
    return Extremes(found, converged, krylov.steps, (reach[0] - spread, reach[1] + spread))


def verified(
    derivatives: Derivatives, x: np.ndarray, product: Product, vectors: np.ndarray, rng: np.random.Generator
) -> Pairs:
    """Rayleigh quotients of `vectors` (n, k), ascending, with residual bounds from a product of another program."""
    values, errors = np.zeros(vectors.shape[1]), np.zeros(vectors.shape[1])
    vectors = vectors / np.linalg.norm(vectors, axis=0)
    near = moved(x, rng)
    for i, v in enumerate(vectors.T):
        image = derivatives.independent_product(x, v)
        values[i] = v @ image
        residual = np.linalg.norm(image - values[i] * v)
        again = (product(v), derivatives.independent_product(near, v))
        noise = max(float(np.linalg.norm(other - image)) for other in again)
        errors[i] = residual + SAFETY * noise + FLOOR * EPS * np.linalg.norm(image)
    order = np.argsort(values)
    return Pairs(values[order], vectors[:, order], errors[order])


def _ends(j: int, pairs: int) -> np.ndarray:
    """Indices of the first and last `pairs` of j, each once."""
    return np.unique(np.concatenate((np.arange(min(pairs, j)), np.arange(max(j - pairs, 0), j))))


def _converged(krylov: Krylov, pairs: int, rtol: float) -> bool:
    if krylov.j < min(2 * pairs, krylov.start.size):
        return False
    values, residuals = krylov.ends(pairs)
    sizes = np.abs(values)
    return bool(np.all(residuals <= rtol * np.maximum(sizes, SMALL * sizes.max())))


def _reach(low: float, high: float, n: int, products: int) -> tuple[float, float]:
    """[KW92] at both ends, each with half the failure; λ_max − λ_min <= (θ_max − θ_min) / (1 − 2 ε)."""
    share = (math.log(KW_FACTOR * math.sqrt(n) / (FAILURE / 2)) / (2 * products - 1)) ** 2
    if share >= 0.5:
        return -np.inf, np.inf
    margin = share * (high - low) / (1.0 - 2.0 * share)
    return low - margin, high + margin


__all__ = ["FAILURE", "Extremes", "extremes", "verified"]
