"""`LeastSquaresResult`: a `Result` with what statistics asks of a fit."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse
import scipy.stats

from karush.core.errors import OptionError, ProblemError
from karush.core.status import Verdict
from karush.core.table import Cell, Section, number, shorten, to_text
from karush.fitting import covariance as covariances
from karush.fitting.problem import Fit
from karush.solvers.result import Result
from karush.solvers.summary import summarize

DENSE = 30_000_000
"""entries of a sparse Jacobian up to which it is made dense for the covariance"""
LINES = 40
"""parameters shown in the printed table"""
LIKELY = (Verdict.LOCAL_MINIMUM, Verdict.GLOBAL_MINIMUM)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LeastSquaresResult(Result):
    """The best fit found, why the run ended, what the point is, and how well the parameters are known."""

    fit: Fit
    """the problem that was solved"""
    residual_flat: np.ndarray
    """(m,) unweighted residuals at x"""
    jacobian: Any
    """(m, n) of the weighted residuals ``√w r``, raveled; a SciPy sparse matrix where it was computed as one"""
    residual_evaluations: int = 0
    """points at which residuals were evaluated"""
    jacobian_evaluations: float = 0.0
    """columns of Jacobians that were evaluated, over n"""

    @cached_property
    def residual(self) -> Any:
        """r(x), unweighted, in the structure that the user's function returns."""
        return self.fit.function.out.unravel(self.residual_flat)

    @property
    def weighted_residual(self) -> np.ndarray:
        """``√w r`` (m,)."""
        return self.fit.root_weights * self.residual_flat

    @property
    def cost(self) -> float:
        """``½ Σ C² ρ(w r²/C²)``, which is ½ Σ w r² for the linear loss; the same as `value`."""
        return self.value

    @property
    def observations(self) -> int:
        """Observations with a positive weight."""
        return int(np.count_nonzero(self.fit.root_weights))

    @property
    def degrees_of_freedom(self) -> int:
        """Observations less free parameters; bounds that are active or equal take a parameter away."""
        return self.observations - int(np.count_nonzero(~self._held))

    @property
    def residual_standard_deviation(self) -> float:
        """``s = √(Σ w r² / degrees of freedom)``.

        Raises
        ------
        ProblemError
            with too few observations.
        """
        if self.degrees_of_freedom < 1:
            raise ProblemError(
                f"no covariance: {self.observations} residuals and {self.flat.n} parameters leave "
                f"{self.degrees_of_freedom} degrees of freedom; give more observations than free parameters, or "
                "absolute=True if the weights are 1/σ² with known σ"
            )
        return float(np.linalg.norm(self.weighted_residual) / np.sqrt(self.degrees_of_freedom))

    def covariance(
        self, *, robust: bool | None = None, absolute: bool = False, hold_active: bool = False
    ) -> np.ndarray:
        """Covariance (n, n) of the parameters, raveled.

        ``C = s² (JᵀJ)⁻¹``, or with `robust` the sandwich ``A⁻¹ B A⁻¹`` (see `karush.fitting.covariance`).

        Parameters
        ----------
        robust
            Whether to use the sandwich, which holds for errors of unequal variance; None: only for a loss other than
            the linear one.
        absolute
            Whether the weights are 1/σ² of known σ, so that ``s = 1``; for the linear loss, not robust.
        hold_active
            Whether to give parameters at an active bound zero variance; otherwise they are a reason to refuse.

        Raises
        ------
        ProblemError
            naming why there is none: too few residuals, parameters that the data do not tell apart, an active bound,
            or a point that is no minimum; and the cure.
        OptionError
            for ``absolute=True`` with the sandwich.
        """
        if not self.success:
            raise ProblemError(
                f"no covariance: the point is {self.certificate.verdict.value}, no minimum "
                f"({self.certificate.sentence}); solve again from another start or with other limits"
            )
        robust = self.fit.loss != "linear" if robust is None else robust
        if absolute and robust:
            raise OptionError(
                f"absolute is True, but the sandwich (robust={robust}, loss={self.fit.loss!r}) takes the size of the "
                "errors from the residuals; leave absolute out, or fit with loss='linear' and robust=False"
            )
        held = self._held
        fixed = self.flat.lower == self.flat.upper
        active = np.flatnonzero(held & ~fixed)
        names = self.flat.variable_names
        if active.size and not hold_active:
            raise ProblemError(
                f"no covariance: {names[active[0]]} = {self.x_flat[active[0]]:.6g} is at its bound, where estimates "
                "are not normally distributed; give hold_active=True to hold such parameters there, or widen the bounds"
            )
        free = np.flatnonzero(~held)
        out = np.zeros((self.flat.n, self.flat.n))
        if not free.size:
            return out
        matrix, chosen = self._dense_jacobian()[:, free], tuple(names[i] for i in free)
        if robust:
            freedom = self.degrees_of_freedom
            correction = self.observations / freedom if freedom > 0 else self.residual_standard_deviation
            found = covariances.sandwich(
                self.weighted_residual, matrix, self.fit.loss, self.fit.loss_scale, correction, chosen
            )
        else:
            found = covariances.classical(matrix, 1.0 if absolute else self.residual_standard_deviation**2, chosen)
        out[np.ix_(free, free)] = found
        return out

    @property
    def standard_errors(self) -> Any:
        """Square roots of the covariance's diagonal, in the structure of x; refused as `covariance` is."""
        return self.flat.door.unravel(np.sqrt(np.diagonal(self.covariance())))

    def confidence_intervals(self, level: float = 0.95, **options: Any) -> tuple[Any, Any]:
        """``x ∓ t_{(1+level)/2} · standard error``: lower and upper ends, each in the structure of x.

        Parameters
        ----------
        level
            Probability that an interval covers the true parameter, if the model is right, nearly linear over the
            interval, and the errors are normal.
        options
            Those of `covariance`; with ``absolute=True`` the normal distribution replaces Student's t.
        """
        if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0.0 < level < 1.0:
            raise OptionError(f"level is {level!r}; give a probability between 0 and 1, for example 0.95")
        errors = np.sqrt(np.diagonal(self.covariance(**options)))
        if options.get("absolute"):
            factor = float(scipy.stats.norm.ppf(0.5 + 0.5 * level))
        else:
            factor = float(scipy.stats.t.ppf(0.5 + 0.5 * level, self.degrees_of_freedom))
        unravel = self.flat.door.unravel
        return unravel(self.x_flat - factor * errors), unravel(self.x_flat + factor * errors)

    def correlation(self, **options: Any) -> np.ndarray:
        """``C_ij / √(C_ii C_jj)`` (n, n); NaN for held parameters. Options are those of `covariance`."""
        matrix = self.covariance(**options)
        errors = np.sqrt(np.diagonal(matrix))
        with np.errstate(invalid="ignore", divide="ignore"):
            return matrix / np.outer(errors, errors)

    def _dense_jacobian(self) -> np.ndarray:
        if not scipy.sparse.issparse(self.jacobian):
            return self.jacobian
        m, n = self.jacobian.shape
        if m * n > DENSE:
            raise ProblemError(
                f"no covariance: the Jacobian is {m} by {n}, too large for a dense factorization; solve with "
                "result.jacobian, a SciPy sparse matrix, for the entries that you need"
            )
        return self.jacobian.toarray()

    @cached_property
    def _held(self) -> np.ndarray:
        """(n,) bool: at an active bound, or fixed by equal ones."""
        at_bound = (self.x_flat <= self.flat.lower) | (self.x_flat >= self.flat.upper)
        for limit in self.active:
            if limit.owner == "bounds" and not limit.negligible:
                at_bound[self.flat.variable_names.index(limit.name)] = True
        return at_bound

    def __str__(self) -> str:
        head, _, *rest = summarize(self)
        return to_text((head, self._estimates(), *rest))

    def _estimates(self) -> Section:
        names = self.flat.variable_names
        freedom = f"{self.observations} residuals, {self.degrees_of_freedom} degrees of freedom"
        try:
            errors = np.sqrt(np.diagonal(self.covariance()))
            deviation = number(self.residual_standard_deviation)
            said = f"± one standard error; residual standard deviation {deviation}, {freedom}"
        except ProblemError as error:
            errors, said = None, f"{freedom}; {error}"
        rows = []
        for i, name in enumerate(names[:LINES]):
            row = (Cell(shorten(name)), Cell(number(float(self.x_flat[i]), 9), "strong", right=True))
            rows.append(row if errors is None else (*row, Cell(f"± {number(float(errors[i]), 3)}")))
        if len(names) > LINES:
            rows.append((Cell(f"… {len(names) - LINES} more"), Cell("")))
        return Section("estimates", tuple(rows), (Cell(said, "dim"),))
