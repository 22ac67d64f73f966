"""Levenberg–Marquardt with a sparse Jacobian: detection and coloring for J, a sparse factorization for the step.

``(JᵀJ + λ D²) d = −Jᵀ r``, with λ after Nielsen [Nie99]: ``λ ← λ max(1/3, 1 − (2ϱ − 1)³)`` after a step of gain ϱ,
``λ ← ν λ, ν ← 2ν`` after a refused one. Here J is squared, which sparse factorizations need; each step starts anew from
exact residuals, so that only the speed of the last steps suffers.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import asdex
import jax
import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from karush.core.precision import float64
from karush.core.status import Status
from karush.fitting import loss
from karush.fitting.problem import Fit
from karush.fitting.run import Effort, Run

FROM, SPARSE_BELOW = 100, 0.1
"""Parameters from which, and share of nonzeros up to which, the sparse way is taken where the user leaves it open."""
FIRST_DAMPING = 1.0e-3
"""first λ, for D² the diagonal of JᵀJ"""
MOST_DAMPING = 1.0e20
EPS = float(np.finfo(np.float64).eps)
NOISE = 64.0
"""The cost is known to NOISE ε of itself."""


class SparseJacobian:
    """Compiled r (m,) and J (m, n) as a sparse matrix, at any x."""

    def __init__(self, fit: Fit, pattern: Any):
        with warnings.catch_warnings():
            # asdex warns where coloring saves nothing; the user asked for it, or the pattern is sparse.
            warnings.simplefilter("ignore", asdex.DenseColoringWarning)
            coloring = asdex.jacobian_coloring_from_sparsity(pattern)
        self.rows, self.cols = np.asarray(pattern.rows), np.asarray(pattern.cols)
        self.shape, self.colors = (fit.m, fit.n), int(coloring.num_colors)

        def both(x: Any) -> tuple[Any, Any]:
            compressed = asdex.compressed_jacobian_from_coloring(fit.residual, coloring)(x)
            return fit.residual(x), asdex.decompress_data(compressed, coloring)

        self._both = jax.jit(both)
        self._residual = jax.jit(fit.residual)

    def residual(self, x: np.ndarray) -> np.ndarray:
        """√w r (m,)."""
        with float64():
            return np.asarray(self._residual(x))

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """√w r (m,) and its Jacobian (m, n)."""
        with float64():
            r, data = self._both(x)
        return np.asarray(r), scipy.sparse.csr_matrix((np.asarray(data), (self.rows, self.cols)), shape=self.shape)


def sparse_jacobian(fit: Fit, asked: bool | None) -> SparseJacobian | None:
    """The sparse Jacobian, where it is asked for or pays; None for the dense way."""
    if asked is False or (asked is None and fit.n < FROM):
        return None
    with float64():
        try:
            pattern = asdex.jacobian_sparsity(fit.residual, fit.x0)
        except NotImplementedError:
            # A program that cannot be read (fft, a linear solve) has a full pattern.
            rows, cols = np.indices((fit.m, fit.n)).reshape(2, -1)
            pattern = asdex.SparsityPattern(rows.astype(np.int32), cols.astype(np.int32), (fit.m, fit.n))
    if asked is None and pattern.nnz > SPARSE_BELOW * fit.m * fit.n:
        return None
    return SparseJacobian(fit, pattern)


class _State(NamedTuple):
    """Between two iterations; the best point so far."""

    x: np.ndarray
    """(n,)"""
    r: np.ndarray
    """(m,)"""
    matrix: Any
    """(m, n) sparse"""
    cost: float
    damping: float
    factor: float
    """of the damping, when the next step is refused"""
    scale: np.ndarray
    """(n,) D²"""
    cosine: float = 1.0
    length: float = 0.0
    """‖d‖ of the last step"""
    status: Status | None = None
    """None while there is more to do"""


def sparse_loop(
    fit: Fit, jacobian: SparseJacobian, x: np.ndarray, tol: float, effort: Effort, max_iterations: int
) -> Run:
    """Run from x (n,); Ctrl-C ends it with the best point so far."""
    with np.errstate(all="ignore"):
        x = np.clip(x, fit.lower, fit.upper)
        r, matrix = jacobian(x)
        effort.residuals += 1
        effort.columns += jacobian.colors
        state = _State(x, r, matrix, _cost(fit, r), FIRST_DAMPING, 2.0, np.zeros(fit.n))
        if not np.isfinite(state.cost):
            return Run(x, r, matrix, np.inf, Status.EVALUATION_FAILED, 1.0)
        try:
            for _ in range(max_iterations):
                state = _advance(fit, jacobian, state, tol, effort)
                if state.status is not None or not effort.watch(state.cost, state.cosine, state.length):
                    break
        except KeyboardInterrupt:
            effort.stopped = Status.INTERRUPTED
    status = effort.stopped or state.status or Status.ITERATION_LIMIT
    return Run(state.x, state.r, state.matrix, state.cost, status, state.cosine)


def _advance(fit: Fit, jacobian: SparseJacobian, state: _State, tol: float, effort: Effort) -> _State:
    """One step of Levenberg and Marquardt, taken or refused."""
    x, cost, damping, factor = state.x, state.cost, state.damping, state.factor
    weighted_r, weighted, scale = _linearised(fit, state.r, state.matrix, state.scale)
    gradient = weighted.T @ weighted_r
    held = ((x <= fit.lower) & (gradient > 0)) | ((x >= fit.upper) & (gradient < 0))
    free = np.flatnonzero(~held)
    part = weighted[:, free]
    whole = _solved(part, gradient[free], scale[free], EPS)
    size, known = float(np.linalg.norm(weighted_r)), NOISE * EPS * float(np.max(np.abs(state.matrix) @ np.abs(x)))
    tangent = float(np.linalg.norm(part @ whole))
    state = state._replace(scale=scale, cosine=tangent / size if size > 0 else 0.0)
    if tangent <= max(0.1 * tol * size, known):
        return state._replace(status=Status.CONVERGED)
    d = np.zeros(fit.n)
    d[free] = _solved(part, gradient[free], scale[free], damping)
    trial = np.clip(x + d, fit.lower, fit.upper)
    ahead = weighted_r + weighted @ (trial - x)
    predicted = 0.5 * float(weighted_r @ weighted_r - ahead @ ahead)
    new_cost = _cost(fit, jacobian.residual(trial))
    effort.residuals += 1
    gain = (cost - new_cost) / predicted if predicted > 0 else -1.0
    hidden = predicted <= NOISE * EPS * cost and new_cost <= cost * (1.0 + NOISE * EPS)
    state = state._replace(length=float(np.linalg.norm(d)))
    if gain > 0 or hidden:
        r, matrix = jacobian(trial)
        effort.columns += jacobian.colors
        damping = max(damping * max(1.0 / 3.0, 1.0 - (2.0 * gain - 1.0) ** 3), EPS)
        state = state._replace(x=trial, r=r, matrix=matrix, cost=new_cost, damping=damping, factor=2.0)
    else:
        damping = damping * factor
        state = state._replace(damping=damping, factor=2.0 * factor)
    return state._replace(status=Status.STEP_FAILED) if hidden or not damping < MOST_DAMPING else state


def _cost(fit: Fit, r: np.ndarray) -> float:
    value = float(loss.cost(np, fit.loss, fit.loss_scale, r))
    return value if np.isfinite(value) else np.inf


def _linearised(fit: Fit, r: np.ndarray, matrix: Any, scale: np.ndarray) -> tuple[np.ndarray, Any, np.ndarray]:
    """r̃, J̃ of the loss, and D²: the largest diagonals of J̃ᵀJ̃ so far."""
    weighted_r, rows = loss.linearised(np, fit.loss, fit.loss_scale, r, np.ones((r.size, 1)))
    weighted = scipy.sparse.diags(rows[:, 0]) @ matrix
    square = np.asarray(weighted.multiply(weighted).sum(axis=0)).ravel()
    scale = np.maximum(scale, square)
    return weighted_r, weighted.tocsc(), np.where(scale > 0, scale, 1.0)


def _solved(matrix: Any, gradient: np.ndarray, scale: np.ndarray, damping: float) -> np.ndarray:
    """d of ``(JᵀJ + λ D²) d = −g``, in the unknowns D d."""
    root = np.sqrt(scale)
    unit = matrix @ scipy.sparse.diags(1.0 / root)
    normal = (unit.T @ unit + damping * scipy.sparse.identity(root.size)).tocsc()
    factors: Callable[..., Any] = scipy.sparse.linalg.splu(
        normal, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    ).solve
    return -factors(gradient / root) / root
