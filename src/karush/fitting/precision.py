"""The precision matrix H of a normal distribution: solutions, log det and ``H^(-1/2)`` by three routes.

```
dense      H = L Lᵀ                       log det H = 2 Σ log L_ii        H^(-1/2) ε := L⁻ᵀ ε
sparse     P H Pᵀ = L D Lᵀ                log det H = Σ log D_ii          := Pᵀ L⁻ᵀ D^(-1/2) ε
products   conjugate gradients            stochastic Lanczos quadrature ([UCS17]); H^(-1/2) ε by Lanczos
```
"""

from functools import cached_property
from typing import Any, Protocol

import jax
import jax.extend.core
import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg

from karush.core.errors import SensitivityError
from karush.core.precision import float64
from karush.core.table import measured
from karush.curvature.krylov import Krylov
from karush.derivatives.evaluator import Evaluator
from karush.problem.flat import FlatProblem

EPS = float(np.finfo(np.float64).eps)
CG_TOLERANCE = 1e-12
"""relative residual of conjugate gradients"""
SAMPLED = 1e-2
"""What the last half of the Lanczos steps may change in a sample, relative to its length"""


class Factored(Protocol):
    """What `Laplace` needs of H."""

    method: str

    @property
    def log_det_error(self) -> float:
        """Standard error of `log_det`, with what the Lanczos steps have not settled; 0 where it is exact."""
        ...

    @property
    def log_det(self) -> float:
        """log det H."""
        ...

    def solve(self, right: np.ndarray) -> np.ndarray:
        """H⁻¹ B for B (n, b)."""
        ...

    def root(self, noise: np.ndarray) -> np.ndarray:
        """R B with R Rᵀ = H⁻¹, for B (n, b)."""
        ...


def singular(least: float, bound: float) -> SensitivityError:
    """The refusal of an H that is not positive definite beyond rounding."""
    return SensitivityError(
        f"the Hessian at the mode is not positive definite: least eigenvalue, of the matrix with unit diagonal, "
        f"{measured(least)} <= {measured(bound)}; the data do not determine all variables: add a prior (karush.l2), or "
        "remove what cannot be told apart"
    )


class Dense:
    """Cholesky factor of the equilibrated matrix ``D H D``, D = diag(H)^(-1/2)."""

    method = "dense"
    log_det_error = 0.0

    def __init__(self, hessian: np.ndarray):
        diagonal = np.diagonal(hessian)
        bound = 16.0 * hessian.shape[0] * EPS
        if not np.all(diagonal > 0):
            raise singular(float(np.min(diagonal)), 0.0)
        self.scale = 1.0 / np.sqrt(diagonal)
        matrix = 0.5 * (hessian + hessian.T) * self.scale * self.scale[:, None]
        least = float(scipy.linalg.eigvalsh(matrix, subset_by_index=[0, 0])[0])
        if not least > bound:
            raise singular(least, bound)
        self.factor = scipy.linalg.cholesky(matrix, lower=True)

    @property
    def log_det(self) -> float:
        return float(2.0 * np.sum(np.log(np.diagonal(self.factor))) - 2.0 * np.sum(np.log(self.scale)))

    def solve(self, right: np.ndarray) -> np.ndarray:
        return self.scale[:, None] * scipy.linalg.cho_solve((self.factor, True), self.scale[:, None] * right)

    def root(self, noise: np.ndarray) -> np.ndarray:
        return self.scale[:, None] * scipy.linalg.solve_triangular(self.factor, noise, lower=True, trans=1)


class Sparse:
    """SuperLU without pivoting off the diagonal, which for a symmetric positive definite matrix is ``L D Lᵀ``."""

    method = "sparse"
    log_det_error = 0.0

    def __init__(self, matrix: Any):
        diagonal = matrix.diagonal()
        if not np.all(diagonal > 0):
            raise singular(float(np.min(diagonal)), 0.0)
        self.scale = 1.0 / np.sqrt(diagonal)
        unit = scipy.sparse.diags_array(self.scale)
        options = {"SymmetricMode": True}
        equilibrated = scipy.sparse.csc_array(unit @ matrix @ unit)
        try:
            self.factors = scipy.sparse.linalg.splu(
                equilibrated, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options
            )
        except RuntimeError:  # "Factor is exactly singular"
            raise singular(0.0, 0.0) from None
        self.pivots = self.factors.U.diagonal()
        bound = 16.0 * EPS * np.sqrt(matrix.shape[0])
        # Pivots bound the least eigenvalue from above: one that is not positive disproves definiteness.
        if not np.min(self.pivots) > bound or not np.array_equal(self.factors.perm_r, self.factors.perm_c):
            raise singular(float(np.min(self.pivots)), bound)

    @classmethod
    def of(cls, evaluator: Evaluator, x: np.ndarray) -> "Sparse":
        """H at x (n,) from its compressed products."""
        n = x.size
        data = evaluator.sparse(x, np.zeros(evaluator.m)).hessian_data
        row, column = evaluator.hessian_pattern
        lower = scipy.sparse.coo_array((data, (row, column)), shape=(n, n)).tocsc()
        return cls(lower + scipy.sparse.tril(lower, -1).T)

    @property
    def log_det(self) -> float:
        return float(np.sum(np.log(self.pivots)) - 2.0 * np.sum(np.log(self.scale)))

    def solve(self, right: np.ndarray) -> np.ndarray:
        return self.scale[:, None] * self.factors.solve(self.scale[:, None] * right)

    def root(self, noise: np.ndarray) -> np.ndarray:
        upper = scipy.sparse.csr_array(self.factors.L.T)
        solved = scipy.sparse.linalg.spsolve_triangular(upper, noise / np.sqrt(self.pivots)[:, None], lower=False)
        # splu: Pr A Pc = L U with (Pr A)[perm_r[i]] = A[i]: entry i of the original is entry perm_r[i] of the factor.
        return self.scale[:, None] * solved[self.factors.perm_r]


class Products:
    """H through its products alone, O(n) memory beside the Lanczos vectors."""

    method = "products"

    def __init__(self, flat: FlatProblem, x: np.ndarray, probes: int, steps: int, seed: int):
        self.n, self.probes, self.steps, self.seed = x.size, probes, steps, seed
        self.x, self.leaves = x, flat.param_leaves
        program = jax.extend.core.jaxpr_as_fun(flat.closed_jaxpr)

        def product(x: Any, leaves: Any, direction: Any) -> Any:
            gradient = jax.grad(lambda x: program(x, *leaves)[0])
            return jax.jvp(gradient, (x,), (direction,))[1]

        self._product = jax.jit(product)

    def product(self, direction: np.ndarray) -> np.ndarray:
        """H v (n,)."""
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return np.asarray(self._product(self.x, self.leaves, np.asarray(direction)))

    @cached_property
    def _log_dets(self) -> np.ndarray:
        """(probes, 2) estimates ``n Σ_j s_1j² log θ_j`` of log det H by half of the Lanczos steps and by all."""
        rng = np.random.default_rng(self.seed)
        estimates = np.zeros((self.probes, 2))
        for k in range(self.probes):
            for column, (values, coordinates, _) in enumerate(self._lanczos(rng.choice([-1.0, 1.0], self.n), rng)):
                estimates[k, column] = self.n * float(coordinates[0] ** 2 @ np.log(values))
        return estimates

    @property
    def log_det(self) -> float:
        return float(np.mean(self._log_dets[:, 1]))

    @property
    def log_det_error(self) -> float:
        """Standard error of `log_det` over the probes, plus what the last half of the Lanczos steps changed.

        The probes share the error of a quadrature that has not settled, so their spread does not show it.
        """
        half, whole = self._log_dets.T
        return float(np.std(whole, ddof=1) / np.sqrt(self.probes) + abs(np.mean(whole - half)))

    def solve(self, right: np.ndarray) -> np.ndarray:
        operator: Any = scipy.sparse.linalg.LinearOperator
        operator = operator((self.n, self.n), matvec=self.product, dtype=np.float64)
        out = np.zeros_like(right)
        for k in range(right.shape[1]):
            out[:, k], failed = scipy.sparse.linalg.cg(operator, right[:, k], rtol=CG_TOLERANCE, maxiter=10 * self.n)
            if failed:
                raise SensitivityError(
                    f"conjugate gradients did not reach a residual of {measured(CG_TOLERANCE)} in {10 * self.n} steps: "
                    "the Hessian at the mode is too badly conditioned for method='products'; give 'dense' or 'sparse'"
                )
        return out

    def root(self, noise: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(self.seed)
        out = np.zeros_like(noise)
        for k in range(noise.shape[1]):
            half, whole = (
                krylov.basis[: values.size].T @ (coordinates @ (coordinates[0] / np.sqrt(values)))
                for values, coordinates, krylov in self._lanczos(noise[:, k], rng)
            )
            changed = float(np.linalg.norm(whole - half) / np.linalg.norm(whole))
            if not changed <= SAMPLED:
                raise SensitivityError(
                    f"the samples have not settled: the last half of steps={self.steps} Lanczos steps changed one by "
                    f"{measured(changed)} > {measured(SAMPLED)} of its length; give more steps, or method='dense' or "
                    "'sparse'"
                )
            out[:, k] = np.linalg.norm(noise[:, k]) * whole
        return out

    def _lanczos(self, start: np.ndarray, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray, Krylov]]:
        """Ritz values, their coordinates and the basis, after half of the steps and all; after n both times."""
        krylov = Krylov(self.product, start, max(2, min(self.steps, self.n)), rng)
        found = []
        for steps in (krylov.size // 2 if krylov.size < self.n else self.n, krylov.size):
            krylov.extend(steps)
            values, coordinates, _ = krylov.ritz()
            if not (krylov.finite and values[0] > 0):
                raise singular(float(values[0]), 0.0)
            found.append((values, coordinates, krylov))
        return found


__all__ = ["Dense", "Factored", "Products", "Sparse"]
