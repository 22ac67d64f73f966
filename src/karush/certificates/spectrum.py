"""The least curvature of a large Hessian on its free variables, by factorization where it is sparse, else by products.

```
sparse     H − σI = L D Lᵀ without pivoting: all pivots positive exactly if λ_min(H) > σ; λ_min by inverse Lanczos.
           A band, of whatever order, has such factors in time of order n (`linalg.band`)
products   Lanczos from a random start: θ_min >= λ_min, and with probability 1 − δ
           λ_min >= θ_min − ε (θ_max − θ_min) / (1 − 2ε),   ε = (ln(1.65 √n · 2 q / δ) / (2k − 1))²  after k steps
```

The second line is theorem 4.2 of [KW92] at both ends of the spectrum (λ_max − λ_min is not known either), at each of
the q looks that may end the steps: a statement about chance, said so in the certificate.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg

from karush.certificates.second_order import CURVATURE, EPS
from karush.derivatives.large import Curved
from karush.linalg.band import BandFactors, band_factors, restricted

CHANCE = 1e-6
"""δ, the probability with which Lanczos may miss the least eigenvalue by more than said"""
STEPS = 2000
"""Lanczos steps at most; 2000 settle condition numbers up to about 2e4"""
SURE = 0.25
"""part of the estimate that the lower bound has to reach for the steps to end"""
EXHAUSTED = 64.0 * EPS
"""relative length of a new Lanczos vector that is rounding"""
INVERSE_STEPS = 40
"""steps of inverse Lanczos at most; the least eigenvalue itself only shows the user a number"""
FILL = 200.0
"""Entries per variable of the factor above which products are cheaper."""
SETTLED = 1e-3
"""relative change of the least eigenvalue from one look to the next that ends the inverse steps"""
INVERSE_LOOK = 3
"""inverse steps from one look to the next"""
LOOK = 1.2
"""factor by which the number of Lanczos steps grows from one look to the next"""
LOOKS = 40
"""more than there are looks: their lengths grow from LANCZOS_STEPS by LOOK up to STEPS"""


class Spectrum(NamedTuple):
    """What is known of the least eigenvalue of a symmetric matrix (n, n) on its free variables."""

    least: float
    """an estimate from above; a Rayleigh quotient"""
    below: float
    """λ_min is larger, by factorization, or but for a chance of CHANCE; −inf where that is not known"""
    error: float
    """what cannot be told from zero"""
    vector: np.ndarray
    """(n,) unit direction of `least`; zeros where it was not needed"""
    how: str
    solve: scipy.sparse.linalg.SuperLU | BandFactors | None = None
    """factorization on the free variables"""

    @property
    def positive(self) -> bool:
        """Whether the matrix is known to be positive definite."""
        return self.below > 0.0


def spectrum(curved: Curved, free: np.ndarray) -> Spectrum:
    """Least curvature of `curved` on the variables `free` (n,) bool."""
    if not free.any():
        return Spectrum(np.inf, np.inf, 0.0, np.zeros(free.size), "no variable is free")
    found = None
    if curved.band is not None:
        found = _by_band(curved, curved.band, free)
    elif curved.entries is not None:
        found = _by_factorization(curved, free)
    return _by_products(curved, free) if found is None else found


def factorized(matrix: scipy.sparse.csc_array) -> scipy.sparse.linalg.SuperLU | None:
    """Factors without pivoting if all pivots are positive, so that the matrix is positive definite; else None."""
    try:
        factors = scipy.sparse.linalg.splu(
            matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
    except RuntimeError:
        # SuperLU's word for an exactly singular matrix.
        return None
    positive = np.array_equal(factors.perm_r, factors.perm_c) and bool((factors.U.diagonal() > 0).all())
    return factors if positive else None


def _by_factorization(curved: Curved, free: np.ndarray) -> Spectrum | None:
    matrix = curved.entries
    assert matrix is not None
    places = np.flatnonzero(free)
    inner = scipy.sparse.csc_array(matrix[places][:, places])
    size = places.size
    error = CURVATURE * EPS * curved.norm * (1.0 + math.sqrt(size))
    lifted = scipy.sparse.csc_array(inner - error * scipy.sparse.eye_array(size))
    factors = factorized(lifted)
    if factors is None or factors.L.nnz > FILL * size:
        return None
    least, vector = _inverse_lanczos(factors, size)
    whole = np.zeros(free.size)
    whole[places] = vector
    return Spectrum(least + error, error, error, whole, "by factorization of the sparse Hessian", factors)


def _by_band(curved: Curved, band: np.ndarray, free: np.ndarray) -> Spectrum | None:
    error = CURVATURE * EPS * curved.norm * (1.0 + math.sqrt(free.size))
    inner = restricted(band, free)
    lifted = inner.copy()
    lifted[0] -= np.where(free, error, 0.0)
    factors = band_factors(lifted)
    if factors is None:
        return None
    least, vector = _inverse_lanczos(factors, free.size, free)
    return Spectrum(least + error, error, error, vector, "by factorization of the banded Hessian", factors)


def _inverse_lanczos(
    factors: scipy.sparse.linalg.SuperLU | BandFactors, size: int, free: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Estimate of the least eigenvalue of the factorized matrix, from above, and its direction (size,).

    On the variables `free` (size,) bool alone, where the matrix is that of I in the others.
    """
    vector = np.random.default_rng(0).standard_normal(size)
    if free is not None:
        vector = np.where(free, vector, 0.0)
    most = min(INVERSE_STEPS, size if free is None else int(free.sum()))
    basis = np.empty((most + 1, size))
    basis[0] = vector / np.linalg.norm(vector)
    alpha: list[float] = []
    beta: list[float] = []
    last = 0.0
    for k in range(most):
        w = factors.solve(basis[k])
        alpha.append(float(basis[k] @ w))
        w -= (basis[: k + 1] @ w) @ basis[: k + 1]
        length = float(np.linalg.norm(w))
        if k % INVERSE_LOOK == INVERSE_LOOK - 1 or k == most - 1 or not length > EPS * abs(alpha[0]):
            values, vectors = scipy.linalg.eigh_tridiagonal(alpha, beta)
            settled = abs(values[-1] - last) <= SETTLED * abs(values[-1])
            last = float(values[-1])
            if settled or k == most - 1 or not length > EPS * abs(alpha[0]):
                found = vectors[:, -1] @ basis[: k + 1]
                return 1.0 / last, found / np.linalg.norm(found)
        beta.append(length)
        basis[k + 1] = w / length
    raise AssertionError("the loop returns at its last step")


def _by_products(curved: Curved, free: np.ndarray) -> Spectrum:
    """Lanczos without reorthogonalisation: ghosts repeat extreme eigenvalues, they do not move them."""
    size = int(np.count_nonzero(free))
    alpha, beta = np.zeros(0), np.zeros(0)
    carry: tuple = (np.zeros(free.size), _start(free), np.float64(0.0))
    doubt = math.log(1.648 * math.sqrt(size) * 2 * LOOKS / CHANCE)
    next_look = 0.0
    least, below, error = np.nan, -np.inf, np.inf
    while alpha.size < STEPS:
        carry, found = curved.lanczos(free, carry)
        if not np.all(np.isfinite(found)):
            return Spectrum(np.nan, -np.inf, np.inf, np.zeros(free.size), "a product with the Hessian is not finite")
        alpha, beta = np.append(alpha, found[:, 0]), np.append(beta, found[:, 1])
        # Krylov's space is exhausted where β vanishes; what follows is another start's.
        small = np.flatnonzero(beta <= EXHAUSTED * np.abs(alpha).max())
        exhausted = small.size > 0
        if alpha.size < min(next_look, STEPS) and not exhausted:
            continue
        next_look = LOOK * alpha.size
        k = int(small[0]) + 1 if exhausted else alpha.size
        alpha, beta = alpha[:k], beta[:k]
        values = scipy.linalg.eigh_tridiagonal(alpha, beta[:-1], eigvals_only=True)
        least, greatest = float(values[0]), float(values[-1])
        error = CURVATURE * EPS * max(abs(least), abs(greatest)) * math.sqrt(size)
        share = (doubt / (2 * k - 1)) ** 2
        margin = share / (1.0 - 2.0 * share) * (greatest - least) if share < 0.5 else math.inf
        below = least - error if exhausted else least - margin
        if below > SURE * least > error or least < -error or exhausted:
            break
    steps = f"by {alpha.size} Lanczos steps"
    if least < -error:
        vector = _ritz(curved, free, alpha, beta[:-1])
        # Without reorthogonalisation a Ritz value is a Rayleigh quotient only up to the rounding of all steps.
        return Spectrum(float(vector @ (curved @ vector)), -np.inf, error, vector, steps)
    how = f"{steps}, with a chance of {CHANCE:.0e} to be wrong"
    return Spectrum(least, below if below > error else -np.inf, error, np.zeros(free.size), how)


def _start(free: np.ndarray) -> np.ndarray:
    start = np.where(free, np.random.default_rng(0).standard_normal(free.size), 0.0)
    return start / np.linalg.norm(start)


def _ritz(curved: Curved, free: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """The direction of the least eigenvalue, by the same steps once more: their vectors were not kept."""
    _, weights = scipy.linalg.eigh_tridiagonal(alpha, beta, select="i", select_range=(0, 0))
    previous, q = np.zeros(free.size), _start(free)
    vector = weights[0, 0] * q
    for k, weight in enumerate(weights[1:, 0]):
        w = np.where(free, curved @ q, 0.0) - alpha[k] * q - (beta[k - 1] * previous if k else 0.0)
        previous, q = q, w / beta[k]
        vector = vector + weight * q
    return vector / np.linalg.norm(vector)
