"""SciPy's and lmfit's least squares on the same traced residuals and exact Jacobians, with every call counted."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import lmfit
import numpy as np
from scipy.optimize import least_squares

from benchmarks.nist_data import DataSet

TOLERANCE = 1e-15
"""asked of the peers: they stop where rounding stops them, as early as they can and still reach every digit"""
LIMIT = 5000
"""calls of the residuals"""


class Outcome(NamedTuple):
    """Where a solver ended, and what it called on the way."""

    x: np.ndarray
    residuals: int
    jacobians: float
    deviations: np.ndarray
    """(n,) standard deviations of the parameters; NaN where there are none"""


class Counted:
    """Compiled residuals and Jacobian of a data set, with counters."""

    def __init__(self, data: DataSet):
        self._residual = jax.jit(data.residual)
        self._jacobian = jax.jit(jax.jacfwd(data.residual))
        self.m, self.n = data.y.size, data.certified.size
        self.residuals = self.jacobians = 0

    def residual(self, b: np.ndarray) -> np.ndarray:
        self.residuals += 1
        return np.array(self._residual(b))

    def jacobian(self, b: np.ndarray) -> np.ndarray:
        self.jacobians += 1
        return np.array(self._jacobian(b))

    def outcome(self, x: np.ndarray) -> Outcome:
        """Counts so far, and ``s √diag((JᵀJ)⁻¹)`` at x by the pseudo-inverse."""
        spent = self.residuals, self.jacobians
        r, jacobian = np.asarray(self._residual(x)), np.asarray(self._jacobian(x))
        deviations = np.full(self.n, np.nan)
        if np.all(np.isfinite(jacobian)) and np.all(np.isfinite(r)):
            half = np.linalg.pinv(jacobian)
            deviations = np.sqrt(r @ r / (self.m - self.n) * np.sum(half**2, axis=1))
        return Outcome(x, *spent, deviations)


def by_scipy(method: str) -> Callable[[Counted, np.ndarray], Outcome]:
    """``scipy.optimize.least_squares(method=...)``; ``"lm"`` is MINPACK."""

    def solve(counted: Counted, start: np.ndarray) -> Outcome:
        counted.residuals = counted.jacobians = 0
        options: dict[str, Any] = {"xtol": TOLERANCE, "ftol": TOLERANCE, "gtol": TOLERANCE, "max_nfev": LIMIT}
        if method == "trf":
            options["x_scale"] = "jac"
        try:
            found = least_squares(counted.residual, start, jac=counted.jacobian, method=method, **options)
        except (ValueError, np.linalg.LinAlgError):
            # Residuals that are not finite, at the start or in a trial point.
            return counted.outcome(start)
        return counted.outcome(found.x)

    return solve


def by_lmfit(counted: Counted, start: np.ndarray) -> Outcome:
    """``lmfit.minimize(method="leastsq")`` with the exact Jacobian."""
    counted.residuals = counted.jacobians = 0
    parameters = lmfit.Parameters()
    for i, value in enumerate(start):
        parameters.add(f"b{i}", value=float(value))

    def values(p: Any) -> np.ndarray:
        return np.array([p[f"b{i}"].value for i in range(start.size)])

    options = {"xtol": TOLERANCE, "ftol": TOLERANCE, "gtol": TOLERANCE, "max_nfev": LIMIT}
    try:
        found = lmfit.minimize(
            lambda p: counted.residual(values(p)),
            parameters,
            method="leastsq",
            Dfun=lambda p: counted.jacobian(values(p)),
            col_deriv=0,
            **options,
        )
    except (ValueError, TypeError, np.linalg.LinAlgError):
        return counted.outcome(start)
    return counted.outcome(values(found.params))


PEERS: dict[str, Callable[[Counted, np.ndarray], Outcome]] = {
    "scipy lm (MINPACK)": by_scipy("lm"),
    "scipy trf": by_scipy("trf"),
    "lmfit leastsq": by_lmfit,
}
