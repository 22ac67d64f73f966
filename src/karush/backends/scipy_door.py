"""What SLSQP and trust-constr need beside the oracle: matrices, and numbers where there are none.

SciPy's solvers know no failed evaluation: NaN passes every test written as ``if bad > limit``. A trial point without
finite values is therefore given a huge value, so that it is refused; derivatives that are not finite end the run.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, OptimizeWarning

from karush.backends.answer import BackendAnswer
from karush.backends.oracle import Oracle
from karush.core.errors import OptionError
from karush.core.status import Status
from karush.derivatives.evaluator import SparseEvaluation

FAR = float(np.sqrt(np.finfo(np.float64).max))
"""Value at a point that cannot be evaluated: above all others, and its square is still finite."""


class NoNumbers(ArithmeticError):
    """Numbers are needed where there are none; caught by the two solvers of this door.

    Parameters
    ----------
    status
        EVALUATION_FAILED where the user's functions have no derivatives, STEP_FAILED where the solver's own x is NaN.
    """

    def __init__(self, status: Status, words: str):
        super().__init__(words)
        self.status = status


UNDEFINED = "f, c or their derivatives are not finite where they are needed"


class ScipyDoor:
    """f, ∇f, c, J and ∇²L as SciPy asks for them, of the variables ``x[free]``; the others keep their values."""

    def __init__(self, oracle: Oracle, start: np.ndarray, free: np.ndarray):
        self.oracle, self.free = oracle, free
        self._start = start
        evaluator = oracle.evaluator
        self._jacobian_pattern, self._hessian_pattern = evaluator.jacobian_pattern, evaluator.hessian_pattern

    def full(self, x_free: np.ndarray) -> np.ndarray:
        """x (n,) inside the bounds.

        Raises
        ------
        NoNumbers
            where the solver has lost its way.
        """
        if not np.all(np.isfinite(x_free)):
            raise NoNumbers(Status.STEP_FAILED, "stepped to a point that is not finite")
        x = self._start.copy()
        x[self.free] = x_free
        return self.oracle.flat.projected(x)

    def objective(self, x_free: np.ndarray) -> float:
        value, rows = self.oracle.values(self.full(x_free))
        return value if np.isfinite(value) and np.all(np.isfinite(rows)) else FAR

    def rows(self, x_free: np.ndarray) -> np.ndarray:
        rows = self.oracle.values(self.full(x_free))[1]
        return np.where(np.isfinite(rows), rows, 0.0)

    def gradient(self, x_free: np.ndarray) -> np.ndarray:
        return self.derivatives(x_free).gradient[self.free]

    def jacobian(self, x_free: np.ndarray) -> sparse.csr_matrix:
        """J[:, free], sparse."""
        flat = self.oracle.flat
        entries = self.derivatives(x_free).jacobian_data
        return sparse.csr_matrix((entries, self._jacobian_pattern), shape=(flat.m, flat.n))[:, self.free]

    def hessian(self, x_free: np.ndarray, y: np.ndarray, weight: float) -> sparse.csr_matrix:
        """Both triangles of the Hessian of ``weight f + yᵀc`` in the free variables, sparse."""
        entries = self.oracle.hessian(self.full(x_free), y, weight)
        if not np.all(np.isfinite(entries)):
            raise NoNumbers(Status.EVALUATION_FAILED, UNDEFINED)
        n = self.oracle.flat.n
        lower = sparse.csr_matrix((entries, self._hessian_pattern), shape=(n, n))
        return (lower + sparse.tril(lower, -1).T).tocsr()[self.free][:, self.free]

    def derivatives(self, x_free: np.ndarray) -> SparseEvaluation:
        there = self.oracle.derivatives(self.full(x_free))
        if not (np.all(np.isfinite(there.gradient)) and np.all(np.isfinite(there.jacobian_data))):
            raise NoNumbers(Status.EVALUATION_FAILED, UNDEFINED)
        return there

    def residual(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """``-(∇f + Jᵀy)`` (n,) at x (n,): what z must be for stationarity."""
        there = self.oracle.derivatives(x)
        flat = self.oracle.flat
        jacobian = sparse.csr_matrix((there.jacobian_data, self._jacobian_pattern), shape=(flat.m, flat.n))
        return -(there.gradient + jacobian.T @ y)

    def proceed(self, x_free: np.ndarray, iteration: int, value: float, **measured: float) -> bool:
        """`Oracle.proceed`, with the largest violation of a row at this point."""
        return self.oracle.proceed(iteration, value, infeasibility=self.violation(x_free), **measured)

    def violation(self, x_free: np.ndarray) -> float:
        """Largest violation of a row, in the user's units."""
        flat = self.oracle.flat
        rows = self.oracle.values(self.full(x_free))[1]
        return float(np.max(np.maximum(flat.row_lower - rows, rows - flat.row_upper), initial=0.0))

    def failed_answer(self, solver: str, status: Status, words: str) -> BackendAnswer:
        """The best point seen, without multipliers."""
        oracle = self.oracle
        nowhere = np.full(oracle.flat.n, np.nan)
        y, z = np.zeros(oracle.flat.m), np.zeros(oracle.flat.n)
        return oracle.answer(solver, nowhere, y, z, status, words, len(oracle.history))

    def fixed_answer(self, solver: str) -> BackendAnswer:
        """The only point there is, where every variable is fixed: SciPy's solvers have no multipliers for it."""
        x, y = self._start, np.zeros(self.oracle.flat.m)
        violation = self.violation(x[self.free])
        status = Status.CONVERGED if violation <= self.oracle.options.tol else Status.INFEASIBLE
        words = f"all variables are fixed, and the rows violated by {violation:.3g}"
        return self.oracle.answer(solver, x, y, self.residual(x, y), status, words, 0)


def box(lower: Any, upper: Any, keep_feasible: bool = False) -> Bounds:
    """SciPy's bounds; its stubs know only numbers where it takes arrays."""
    return Bounds(lower, upper, keep_feasible=keep_feasible)


@contextmanager
def strict_options(solver: str, backend_options: Mapping[str, Any]) -> Iterator[None]:
    """Options that SciPy would only warn of are refused; its other warnings (clipped points, a singular Jacobian) are
    left out, since the certificate judges what came of them.

    Raises
    ------
    OptionError
        for a name that the solver does not know.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", OptimizeWarning)
        try:
            yield
        except (OptimizeWarning, TypeError) as problem:
            # trust-constr takes its options as keywords: an unknown one is a TypeError that names it.
            if not any(name in str(problem) for name in backend_options):
                raise
            raise OptionError(
                f"{solver} does not know all of backend_options = {dict(backend_options)!r}: {problem}"
            ) from problem
