"""`Result`: what every solve returns, whatever happened."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from scipy.optimize import OptimizeResult

from karush.certificates.certificate import Certificate
from karush.core.pytrees import Door
from karush.core.status import Status
from karush.core.table import number, to_text
from karush.problem.flat import FlatProblem
from karush.solvers.active import BOUNDS as BOUNDS
from karush.solvers.active import Active, active_limits, distances
from karush.solvers.summary import summarize
from karush.stability.findings import Finding


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Result:
    """The best point of one solve, why the run ended, and what the point is.

    Solvers work on the flat problem; this is the way back. What a user reads in their own structure
    (`x`, `multipliers`, `prices`) is unraveled when it is first asked for.
    """

    flat: FlatProblem
    """the problem that was solved"""
    x_flat: np.ndarray
    """(n,) within the bounds"""
    y_flat: np.ndarray
    """(m,) multipliers of the rows for ``L = f + yᵀc + zᵀx``, f the *minimised* objective"""
    z_flat: np.ndarray
    """(n,) multipliers of the bounds, same convention"""
    rows_flat: np.ndarray
    """(m,) values of the constraint functions at `x_flat`"""
    value: float
    """the user's own objective at x, not negated for a maximisation"""
    status: Status
    """why the run ended; says nothing on what the point is"""
    message: str
    """one sentence on `status`"""
    certificate: Certificate
    """what the point is, recomputed from the user's functions"""
    method: str
    why_method: str = ""
    history: tuple[dict[str, Any], ...] = ()
    """one dict per iteration: iteration, value, infeasibility, stationarity, barrier, step"""
    iterations: int = 0
    evaluations: int = 0
    """calls of the user's functions, value and derivatives counted as one"""
    notes: tuple[str, ...] = ()
    """what was done that was not asked for, such as a start projected onto the bounds"""
    findings: tuple[Finding, ...] = ()
    """without success: where in the user's functions rounding has spoilt what they return, if it has"""
    seconds: float = 0.0
    name: str | None = None
    """name of the problem"""

    @property
    def success(self) -> bool:
        """Whether the verdict is LOCAL_MINIMUM or GLOBAL_MINIMUM."""
        return self.certificate.success

    @cached_property
    def x(self) -> Any:
        """The point, in the structure of x0; float64."""
        return self.flat.door.unravel(self.x_flat)

    @cached_property
    def multipliers(self) -> dict[str, Any]:
        """λ of each constraint by name, shaped as its rows, and under ``"bounds"`` in the structure of x.

        ``λ = −d value / d limit`` of the user's own objective. Minimising, λ >= 0 where an upper limit is active and
        λ <= 0 where a lower one is; maximising, the other way round.
        """
        sign = _sign(self.flat)
        return self._in_users_shape(sign * self.y_flat, sign * self.z_flat)

    @cached_property
    def prices(self) -> dict[str, Any]:
        """``d value / d limit = −λ``, in the shape of `multipliers`."""
        sign = _sign(self.flat)
        # 0 − λ, for −λ would print a zero as −0.
        return self._in_users_shape(0.0 - sign * self.y_flat, 0.0 - sign * self.z_flat)

    @cached_property
    def active(self) -> tuple[Active, ...]:
        """Limits that hold with equality, to the accuracy of the certificate: rows first, then bounds."""
        scales = self.certificate.scales
        to_limits = distances(self.flat, self.x_flat, self.rows_flat, scales)
        return active_limits(self.flat, to_limits, self.y_flat, self.z_flat, scales)

    def to_scipy(self) -> OptimizeResult:
        """The same as SciPy's ``OptimizeResult``: flat x, ``fun``, ``success``, ``status``, ``nit``, ``nfev``...

        ``status`` is 0 for a converged run, otherwise the place of the word in `karush.Status`; ``success`` is
        the certificate's, so it can be False for a converged run.
        """
        flat = self.flat
        over = (
            self.rows_flat - flat.row_upper,
            flat.row_lower - self.rows_flat,
            self.x_flat - flat.upper,
            flat.lower - self.x_flat,
        )
        return OptimizeResult(
            x=self.x_flat.copy(),
            fun=self.value,
            success=self.success,
            status=list(Status).index(self.status),
            message=f"{self.message} {self.certificate.sentence}".strip(),
            nit=self.iterations,
            nfev=self.evaluations,
            maxcv=float(np.max(np.concatenate([np.zeros(1), *over]))),
            multipliers=self.multipliers,
            method=self.method,
        )

    def __repr__(self) -> str:
        verdict = self.certificate.verdict.value
        return (
            f"Result({verdict}, value={number(self.value, 10)}, status={self.status.value!r}, method={self.method!r})"
        )

    def __str__(self) -> str:
        return to_text(summarize(self))

    def _of_bounds(self, variables: np.ndarray) -> Any:
        door = self.flat.door
        return Door.unravel(door, door.bound_multipliers(variables, self.z_flat))

    def _in_users_shape(self, rows: np.ndarray, variables: np.ndarray) -> dict[str, Any]:
        owner, shapes = self.flat.row_owner, self.flat.row_shapes
        parts: dict[str, Any] = {
            name: rows[owner == k].reshape(shapes[k]) for k, name in enumerate(self.flat.constraint_names)
        }
        parts[BOUNDS] = jax.tree.map(np.asarray, self._of_bounds(variables))
        return parts


def _sign(flat: FlatProblem) -> float:
    """From multipliers of the minimised objective to those of the user's own."""
    return -1.0 if flat.maximize else 1.0
