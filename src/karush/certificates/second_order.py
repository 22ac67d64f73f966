"""Curvature of the Lagrangian on the critical cone, and whether it can be trusted near the point.

At a first-order point with λ the critical cone is

```
C = { d : A_strong d = 0,  A_weak d <= 0 (into the feasible side) }
```

Without weak limits it is a subspace, spanned by the orthonormal columns of Z, and second-order sufficiency is
``λ_min(Zᵀ H Z) > 0``, exact. With weak limits ``null(A_strong, A_weak) ⊂ C ⊂ null(A_strong)`` bracket it.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.linalg.lapack

from karush.certificates.kkt import TINY, ActiveSet
from karush.certificates.scaled import Point

LAPACK: Any = scipy.linalg.lapack
"""Called directly: for a matrix of size 5 NumPy's doors to the same routines take three times as long."""
EPS = float(np.finfo(np.float64).eps)
RANK = float(np.sqrt(EPS))
"""Singular values of the active gradients, each scaled to length 1, count as zero below RANK times their larger
dimension: the point, and with it the gradients, is known to about √ε only where they are nearly dependent."""
CURVATURE = 16.0
"""An eigenvalue is known to CURVATURE · n · ε · ‖H‖: the backward error of `eigh` is a small multiple of n ε ‖H‖, and
the products that form H round too."""
SVD_UP_TO = 200
"""Above this many variables, pivoted QR finds the null space: five times faster at n = 700 than the SVD."""


class Subspace(NamedTuple):
    """Null space of active gradients, in the coordinates of all n variables."""

    basis: np.ndarray
    """(n, q) orthonormal columns; zero rows at the variables held by their bounds"""
    rows: int
    """number of active rows, bounds apart"""
    rank: int
    smallest: float
    """smallest singular value of the active gradients (scaled to length 1); inf without any"""
    bound: float
    """below which it counts as zero"""


def null_space(point: Point, active: np.ndarray) -> Subspace:
    """Directions along which the limits `active` (k,) bool keep their values to first order."""
    m = point.jacobian.shape[0]
    free = (~active[m:]).nonzero()[0]
    rows = active[:m].nonzero()[0]
    n = point.u.size
    bound = RANK * max(n, rows.size)
    if not rows.size:
        return Subspace(np.eye(n)[:, free], 0, 0, np.inf, bound)
    gradients = point.jacobian[rows]
    # Lengths over all variables: a gradient that lives on variables held by their bounds alone is a dependent one.
    length = np.sqrt(np.einsum("ij,ij->i", gradients, gradients))
    unit = (gradients[:, free] if free.size < n else gradients) / np.maximum(length, TINY)[:, None]
    values, directions = _row_space(unit)
    rank = int(np.count_nonzero(values > bound))
    if free.size == n:
        basis = directions[rank:].T
    else:
        basis = np.zeros((n, free.size - rank))
        basis[free] = directions[rank:].T
    smallest = float(values[-1]) if rows.size <= free.size else 0.0
    return Subspace(basis, rows.size, rank, smallest, bound)


def _row_space(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sizes, decreasing, and orthonormal rows whose first ones span the row space of `matrix` (p, q)."""
    if not matrix.shape[1]:
        return np.zeros(1), np.zeros((0, 0))
    if matrix.shape[1] <= SVD_UP_TO:
        _, values, directions, failed = LAPACK.dgesdd(matrix)
        return (values, directions) if not failed else (np.zeros(1), np.eye(matrix.shape[1]))
    factors: Any = scipy.linalg.qr(matrix.T, pivoting=True)
    orthogonal, triangle = factors[0], factors[1]
    return np.abs(np.diagonal(triangle)), orthogonal.T


class Curvature(NamedTuple):
    """Eigenvalues of Zᵀ H Z, dimensionless."""

    values: np.ndarray
    """(q,) increasing"""
    vectors: np.ndarray
    """(n, q) the directions, unit length"""
    error: float
    """below which an eigenvalue cannot be told from zero"""

    @property
    def least(self) -> float:
        """The smallest eigenvalue; inf where there is no direction at all."""
        return float(self.values[0]) if self.values.size else np.inf


def curvature(point: Point, basis: np.ndarray) -> Curvature:
    """Spectrum of the Lagrangian's Hessian on the span of `basis` (n, q)."""
    error = CURVATURE * point.u.size * EPS * math.sqrt(np.vdot(point.hessian, point.hessian))
    if not basis.shape[1]:
        return Curvature(np.zeros(0), basis, error)
    values, vectors, failed = LAPACK.dsyevd(basis.T @ point.hessian @ basis)
    if failed:
        values = np.full(basis.shape[1], np.nan)
    return Curvature(values, basis @ vectors, error)


def eigenvalues(matrix: np.ndarray) -> np.ndarray:
    """(q,) increasing, of a symmetric matrix (q, q); NaN where LAPACK does not converge."""
    values, _, failed = LAPACK.dsyevd(matrix, compute_v=0)
    return values if not failed else np.full(matrix.shape[0], np.nan)


class SecondOrder(NamedTuple):
    """What is known of the curvature on the critical cone."""

    subspace: Subspace
    """null space of the strongly active limits; it contains the critical cone"""
    outer: Curvature
    """on that null space: its least eigenvalue bounds the curvature on the cone from below"""
    inner: Curvature
    """on the null space of all active limits: its least eigenvalue bounds from above; the same without weak ones"""
    independence: Subspace
    """of the gradients of all active limits"""


def second_order(point: Point, active: ActiveSet) -> SecondOrder:
    """Bracket the least curvature on the critical cone."""
    subspace = null_space(point, active.strong)
    outer = curvature(point, subspace.basis)
    if not active.weak.any():
        return SecondOrder(subspace, outer, outer, subspace)
    smaller = null_space(point, active.strong | active.weak)
    return SecondOrder(subspace, outer, curvature(point, smaller.basis), smaller)


def dependent(point: Point, active: np.ndarray) -> np.ndarray:
    """Indices into the k limited quantities whose gradients take part in a linear dependency."""
    chosen = np.flatnonzero(active)
    gradients = np.concatenate((point.jacobian, np.eye(point.u.size)))[chosen]
    length = np.sqrt(np.einsum("ij,ij->i", gradients, gradients))
    left, values, _ = np.linalg.svd(gradients / np.where(length > 0, length, 1.0)[:, None])
    bound = RANK * max(gradients.shape)
    null = left[:, int(np.count_nonzero(values > bound)) :]
    return chosen[np.max(np.abs(null), axis=1, initial=0.0) > np.sqrt(RANK)]
