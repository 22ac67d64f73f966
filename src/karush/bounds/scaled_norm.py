"""A Lipschitz constant of a network from the slopes of its activations, as one matrix inequality.

A slope in c ± Δ turns ``dy = φ(z(x)) − φ(z(x'))`` into ``dy = c dz + Δ w`` with ``w² <= dz²``. All differences are
then linear in (dx, w): ``dz = Z (dx, w)`` and ``df = O (dx, w)``. For every t >= 0 and q >= 0

```
F(q, t) = [ diag(q)        ]  −  Zᵀ diag(t) Z  −  Oᵀ O   ⪰ 0       ⟹      ‖df‖₂² <= dxᵀ diag(q) dx      [FRHMP19]
          [         diag(t)]
```

because ``Σ t (w² − dz²) <= 0``. So ``L² <= q`` for the 2-norm of dx, with one q, and ``L² <= Σ q`` for the max norm.
The least bound is found by the barrier method, ``min τ cᵀ(q, t) − log det F``, with exact Newton steps; it needs no
solver, and what it finds is not trusted: F ⪰ 0 is verified for the final numbers, rounding included.
"""

import math
import time
from dataclasses import dataclass

import numpy as np

from karush.bounds.layers import Matrix, Network
from karush.bounds.norms import EPS, LEAST, upward

GAP = 1e-6
"""relative distance to the least bound at which the search ends"""
FASTER = 8.0
"""factor of τ from one stage to the next"""
CENTRED = 0.1
"""Newton decrement squared at which a stage ends"""
STEPS = 400
"""Newton steps at most, of all stages"""
HALVINGS = 40
FIRST_SLACK = 1.5
"""factor by which the first point is strictly feasible"""
LOOSER = (0.0, 1e-9, 1e-7, 1e-5, 1e-3)
"""relative increases of q that are tried until the verification succeeds"""


@dataclass(frozen=True)
class Differences:
    """``dz = Z (dx, w)`` of the activations with an uncertain slope, and ``df = O (dx, w)``."""

    n: int
    inner: Matrix
    """Z (m, n + m)"""
    outer: Matrix
    """O (k, n + m)"""


def times(a: Matrix, b: Matrix) -> Matrix:
    """``a b``, rounding included."""
    size, other = np.abs(a.middle), np.abs(b.middle)
    count = a.middle.shape[1]
    radius = size @ b.radius + a.radius @ (other + b.radius) + (count + 2) * EPS * (size @ other)
    return Matrix(a.middle @ b.middle, upward(radius, 2 * count))


def differences(network: Network, lo: np.ndarray, hi: np.ndarray) -> Differences | None:
    """From least and greatest slopes of all activations; None if one is unbounded."""
    if not (np.isfinite(lo).all() and np.isfinite(hi).all()):
        return None
    n = network.n
    center = 0.5 * lo + 0.5 * hi
    half = np.where(hi > lo, upward(np.maximum(center - lo, hi - center), 1), 0.0)
    uncertain = np.flatnonzero(half > 0.0)
    column = np.full(lo.size, -1)
    column[uncertain] = n + np.arange(uncertain.size)
    wide = n + uncertain.size
    rows = Matrix(np.eye(n, wide), np.zeros((n, wide)))
    inner: list[Matrix] = []
    for layer in network.layers:
        dz = times(layer.weights, rows)
        here = slice(layer.start - n, layer.start - n + layer.size)
        c, where = center[here, None], column[here]
        open_ = where >= 0
        inner.append(Matrix(dz.middle[open_], dz.radius[open_]))
        middle, radius = c * dz.middle, upward(np.abs(c) * dz.radius + EPS * np.abs(c * dz.middle), 2)
        middle[open_, where[open_]] = half[here][open_]
        rows = Matrix(np.concatenate([rows.middle, middle]), np.concatenate([rows.radius, radius]))
    joined = Matrix(np.concatenate([z.middle for z in inner]), np.concatenate([z.radius for z in inner]))
    return Differences(n, joined, times(network.weights, rows))


def bound(parts: Differences, *, largest: bool, above: float = math.inf, until: float = math.inf) -> float:
    """Verified upper bound of ``‖df‖₂ / ‖dx‖``, in the max norm of dx if `largest`, else in the 2-norm.

    Infinite as soon as it will not be below `above`; what is found `until` a time of `time.monotonic` counts.
    """
    scale = float(np.max(np.abs(parts.outer.middle), initial=0.0))
    if not 0.0 < scale < math.inf:
        return math.inf
    unit = 2.0 ** -math.frexp(scale)[1]
    outer = Matrix(parts.outer.middle * unit, parts.outer.radius * unit)
    scaled = Differences(parts.n, parts.inner, outer)
    found = least(scaled, largest=largest, above=(above * unit) ** 2, until=until)
    if found is None:
        return math.inf
    q, t = found
    for looser in LOOSER:
        wide = q * (1.0 + looser)
        if verified(scaled, wide, t):
            total = float(np.sum(wide)) if largest else float(np.max(wide))
            return float(upward(np.sqrt(upward(np.asarray(total), wide.size)), 2)) / unit
    return math.inf


def least(parts: Differences, *, largest: bool, above: float, until: float) -> tuple[np.ndarray, np.ndarray] | None:
    """q (n,) and t (m,) near the least ``cᵀ(q, t)``, by the barrier method.

    None if no first point is found, or none below `above` is in sight: the least is ``rank / τ`` below a centred one.
    """
    Z, O, n = parts.inner.middle, parts.outer.middle, parts.n
    start = first(Z, O, n)
    if start is None:
        return None
    # One unknown q for all inputs, or one for each.
    spread = np.eye(n) if largest else np.ones((n, 1))
    y = np.concatenate([np.full(spread.shape[1], start[0]), start[1]])
    cost = np.concatenate([np.ones(spread.shape[1]), np.zeros(start[1].size)])
    heads = spread.shape[1]
    tau, rank = (n + Z.shape[0]) / (cost @ y), n + Z.shape[0]
    factor = factored(Z, O, spread, y)
    for _ in range(STEPS):
        if factor is None:
            return None
        slope, curvature = newton_system(Z, spread, factor)
        slope = slope + tau * cost
        step = -solved(curvature, slope)
        decrement = float(-slope @ step)
        if not math.isfinite(decrement) or time.monotonic() > until:
            break
        if decrement <= CENTRED:
            if rank <= GAP * tau * float(cost @ y):
                break
            if float(cost @ y) - rank / tau > above:
                return None
            tau *= FASTER
            continue
        moved = searched(Z, O, spread, y, step, (tau, cost, factor, decrement))
        if moved is None:
            break
        y, factor = moved
    return spread @ y[:heads], y[heads:]


def solved(curvature: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Newton's step in unknowns that are scaled to unit curvature; NaN where there is none."""
    scale = 1.0 / np.sqrt(np.diag(curvature))
    try:
        return scale * np.linalg.solve(curvature * scale[:, None] * scale, scale * slope)
    except np.linalg.LinAlgError:
        return np.full_like(slope, np.nan)


def searched(
    Z: np.ndarray,
    O: np.ndarray,
    spread: np.ndarray,
    y: np.ndarray,
    step: np.ndarray,
    about: tuple[float, np.ndarray, np.ndarray, float],
) -> tuple[np.ndarray, np.ndarray] | None:
    """The first of halved steps that stays feasible and falls enough."""
    tau, cost, factor, decrement = about

    def value(at: np.ndarray, lower: np.ndarray) -> float:
        return tau * float(cost @ (at - y)) - 2.0 * float(np.sum(np.log(np.diag(lower))))

    before, length = value(y, factor), 1.0
    for _ in range(HALVINGS):
        there = y + length * step
        lower = factored(Z, O, spread, there)
        if lower is not None and value(there, lower) <= before - 0.1 * length * decrement:
            return there, lower
        length *= 0.5
    return None


def matrix_of(Z: np.ndarray, O: np.ndarray, q: np.ndarray, t: np.ndarray) -> np.ndarray:
    """F(q, t)."""
    return np.diag(np.concatenate([q, t])) - (Z.T * t) @ Z - O.T @ O


def factored(Z: np.ndarray, O: np.ndarray, spread: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Cholesky factor of F, None where it is not positive definite."""
    heads = spread.shape[1]
    try:
        return np.linalg.cholesky(matrix_of(Z, O, spread @ y[:heads], y[heads:]))
    except np.linalg.LinAlgError:
        return None


def newton_system(Z: np.ndarray, spread: np.ndarray, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and Hessian of ``−log det F`` in (heads of q, t)."""
    n = spread.shape[0]
    half = np.linalg.inv(factor)
    G = half.T @ half
    ZG = Z @ G
    P = ZG @ Z.T
    slope = np.concatenate([-(spread.T @ np.diag(G)[:n]), np.diag(P) - np.diag(G)[n:]])
    cross = spread.T @ (G[:n, n:] ** 2 - ZG[:, :n].T ** 2)
    mixed = ZG[:, n:] ** 2
    inner = G[n:, n:] ** 2 - mixed - mixed.T + P**2
    head = spread.T @ G[:n, :n] ** 2 @ spread
    return slope, np.block([[head, cross], [cross.T, inner]])


def first(Z: np.ndarray, O: np.ndarray, n: int) -> tuple[float, np.ndarray] | None:
    """A strictly feasible q and t: since later activations depend on earlier ones only, t grows backwards."""
    m = Z.shape[0]
    t = np.zeros(m)
    # Row sums of |Zᵀ diag(t) Z| + |Oᵀ O| over all columns bound the matrix from above by a diagonal one.
    sizes, ends = np.abs(Z), np.abs(O)
    rows, tops = sizes.sum(1), ends.sum(1)
    for j in range(m - 1, -1, -1):
        t[j] = FIRST_SLACK * (sizes[:, n + j] * rows @ t + ends[:, n + j] @ tops) + np.finfo(float).tiny
    q = FIRST_SLACK * float(np.max((sizes[:, :n] * rows[:, None]).T @ t + ends[:, :n].T @ tops))
    return (q, t) if np.isfinite(q) and np.isfinite(t).all() and q > 0.0 else None


def verified(parts: Differences, q: np.ndarray, t: np.ndarray) -> bool:
    """Whether ``F(q, t) ⪰ 0`` for all members of Z and O, proved by the residual of one Cholesky factorization.

    ``A − c I = L Lᵀ + E`` with ``‖E‖ + ‖R‖ <= c`` proves every matrix within R of A to be positive semidefinite.
    """
    if not (np.isfinite(q).all() and np.isfinite(t).all() and (q >= 0.0).all() and (t >= 0.0).all()):
        return False
    Z, O = parts.inner, parts.outer
    scaled = Matrix(Z.middle * t[:, None], upward(Z.radius * t[:, None] + EPS * np.abs(Z.middle * t[:, None]), 2))
    one = times(Matrix(Z.middle.T, Z.radius.T), scaled)
    two = times(Matrix(O.middle.T, O.radius.T), O)
    A = np.diag(np.concatenate([q, t])) - one.middle - two.middle
    sizes = np.abs(one.middle) + np.abs(two.middle) + np.diag(np.concatenate([q, t]))
    R = upward(one.radius + two.radius + 4.0 * EPS * sizes, 4)
    diagonal = np.diag(A)
    if not (diagonal > 0.0).all():
        return False
    # Powers of two: scaling to a diagonal near 1 is exact.
    unit = 2.0 ** -np.round(0.5 * np.log2(diagonal))
    A, R = A * unit[:, None] * unit, R * unit[:, None] * unit
    A = 0.5 * (A + A.T)
    size = A.shape[0]
    R = upward(np.maximum(R, R.T) + EPS * np.abs(A), 2)
    slack = float(upward(R.sum(1), size).max(initial=0.0))
    shift = 2.0 * slack + 4.0 * size**2 * EPS
    try:
        L = np.linalg.cholesky(A - shift * np.eye(size))
    except np.linalg.LinAlgError:
        return False
    E = np.abs(A - shift * np.eye(size) - L @ L.T)
    E = upward(E + (size + 8) * EPS * (np.abs(L) @ np.abs(L.T)) + 4.0 * EPS * (np.abs(A) + shift * np.eye(size)), size)
    return bool(slack + float(upward(E.sum(1), size).max(initial=0.0)) + LEAST <= shift)


__all__ = ["Differences", "bound", "differences"]
