"""Is a point a local minimum? Second order on the critical cone, and attempts to descend.

A point is refused if its KKT residual, dimensionless by the scales that karush's certificate states for the problem,
exceeds `LOCAL_TOLERANCE`, or if a feasible point with a lower objective lies near it. Negative curvature alone refuses
nothing: it only adds directions to try, so that each refusal has a witness.
"""

import time
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize
from jaxtyping import Float

from benchmarks.checker import Derivatives, Point, Residuals, Scales

LOCAL_TOLERANCE = 1e-6
"""bound on every dimensionless residual of a point that may be called a local minimum"""
RADII = (1e-3, 1e-2)
"""Half widths of the boxes, in typical sizes of x, in which a lower point is looked for."""
ATTEMPTS = 4
"""random directions per radius, beside those of negative curvature"""
CURVATURE = 1e-6
"""relative size below which an eigenvalue of the reduced Hessian counts as zero"""
SECONDS = 3.0
"""budget of the attempts at one point"""
DESCENT_UP_TO = 300
"""Variables. Above, an attempt takes minutes, so negative curvature refuses without a witness."""
ROUNDING = 1e3 * np.finfo(float).eps
"""error of an evaluation of f, relative to its terms"""
MARGIN = 2.0
"""factor by which a witness must be lower than what the residuals leave open"""


@dataclass(frozen=True)
class LocalCheck:
    """What was found at a point."""

    residual: float
    """largest dimensionless residual, feasibility included"""
    curvature: float | None
    """smallest eigenvalue over the largest in size, on the null space of the active gradients; None at a vertex"""
    witness: Float[np.ndarray, " n"] | None
    """a better feasible point nearby"""
    lower_by: float | None
    decided_by_curvature: bool = False
    """too large for the descent"""

    @property
    def refused(self) -> bool:
        bent = self.decided_by_curvature and self.curvature is not None and self.curvature < -CURVATURE
        return not self.residual <= LOCAL_TOLERANCE or self.witness is not None or bent


def examine(derivatives: Derivatives, point: Point, found: Residuals, scales: Scales) -> LocalCheck:
    """Judge `point`, whose multipliers and dimensionless residuals are `found`."""
    residual = float(np.max([found.kkt, found.feasibility]))
    if not np.isfinite(residual):
        return LocalCheck(residual, None, None, None)
    curvature, directions = _critical_curvature(derivatives, point, found, scales)
    if point.problem.n > DESCENT_UP_TO:
        return LocalCheck(residual, curvature, None, None, decided_by_curvature=True)
    witness = _descend(derivatives, point, found, directions, scales)
    lower_by = None if witness is None else point.value - float(derivatives.values(witness)[0])
    return LocalCheck(residual, curvature, witness, lower_by)


def _critical_curvature(derivatives, point, found, scales) -> tuple[float | None, np.ndarray]:
    """Smallest relative eigenvalue of Zᵀ ∇²L Z in scaled variables, and its directions of negative or no curvature."""
    problem, n = point.problem, point.problem.n
    value, multiplier = np.concatenate([point.rows, point.x]), np.concatenate([found.y, found.z])
    lower = np.concatenate([problem.row_lower, problem.lower])
    upper = np.concatenate([problem.row_upper, problem.upper])
    size = np.concatenate([scales.rows, scales.x])
    normals = np.concatenate([point.jacobian, np.eye(n)]) * scales.x / size[:, None]
    # limits whose multiplier is not zero bind the whole cone; the others cut it, and the descent respects them anyway
    binding = (lower == upper) | (np.abs(multiplier) * size / scales.f > LOCAL_TOLERANCE)
    binding &= np.minimum(np.abs(value - lower), np.abs(upper - value)) <= np.sqrt(LOCAL_TOLERANCE) * size
    hessian = derivatives.hessian(point.x, found.y) * np.outer(scales.x, scales.x) / scales.f
    if not np.all(np.isfinite(hessian)):
        return None, np.zeros((0, n))
    basis = scipy.linalg.null_space(normals[binding], rcond=CURVATURE) if binding.any() else np.eye(n)
    if basis.shape[1] == 0:
        return None, np.zeros((0, n))
    eigenvalues, vectors = np.linalg.eigh(basis.T @ hessian @ basis)
    largest = max(np.max(np.abs(hessian)), np.finfo(float).tiny)
    doubtful = eigenvalues <= CURVATURE * largest
    return float(eigenvalues[0] / largest), (basis @ vectors[:, doubtful]).T[:2]


def _descend(derivatives, point, found, directions, scales) -> np.ndarray | None:
    """A feasible point in a small box around the point whose objective is lower by more than noise, or None."""
    problem = point.problem
    random = np.random.default_rng(0).standard_normal((ATTEMPTS, problem.n))
    starts = np.concatenate([directions, -directions, random])
    feasible_within = max(_violation(problem, point.x, point.rows, scales), 1e-9)
    fixed, slope = _left_open(derivatives, point, found, scales, feasible_within)
    end = time.monotonic() + SECONDS
    for radius in RADII:
        box = radius * scales.x
        low, high = np.maximum(problem.lower, point.x - box), np.minimum(problem.upper, point.x + box)
        low, high = np.minimum(low, high), np.maximum(low, high)
        for direction in starts:
            if time.monotonic() > end:
                return None
            step = direction / max(np.max(np.abs(direction)), np.finfo(float).tiny)
            x = _slsqp(derivatives, np.clip(point.x + 0.5 * box * step, low, high), low, high)
            value, rows = (np.asarray(part) for part in derivatives.values(x))
            feasible = _violation(problem, x, rows, scales) <= feasible_within
            if feasible and value < point.value - MARGIN * (fixed + slope * radius):
                return x
    return None


def _left_open(derivatives, point, found, scales, feasible_within) -> tuple[float, float]:
    """How much lower f may be near a local minimum that is only met to the residuals: a constant, and per radius.

    With d within radius r of the typical sizes s, f(x + d) - f(x) = ∇Lᵀd - yᵀ(c(x + d) - c(x)) - zᵀd to first order:
    at most r Σ |∇L_i| s_i from stationarity, Σ |multiplier| (distance inside the limit) from complementarity, and
    Σ |y_i| times the infeasibility allowed, which buys descent where the multipliers are large.
    """
    problem = point.problem
    value, multiplier = np.concatenate([point.rows, point.x]), np.concatenate([found.y, found.z])
    lower = np.concatenate([problem.row_lower, problem.lower])
    upper = np.concatenate([problem.row_upper, problem.upper])
    inside = np.maximum(np.where(multiplier > 0, upper - value, value - lower), 0.0)
    # 0 * inf where there is neither multiplier nor limit
    slack = np.sum(np.abs(multiplier) * np.where(multiplier == 0, 0.0, inside))
    bought = 2 * feasible_within * np.sum(np.abs(found.y) * scales.rows)
    slope = np.sum(np.abs(point.gradient + found.y @ point.jacobian + found.z) * scales.x)
    # f may be the small difference of large terms; |x|ᵀ|∇²f||x| shows their size
    size = np.abs(point.x)
    terms = abs(point.value) + size @ np.abs(point.gradient)
    terms += size @ np.abs(derivatives.hessian(point.x, np.zeros(problem.m))) @ size
    return float(slack + bought + ROUNDING * max(terms, scales.f)), float(slope)


def _violation(problem, x, rows, scales) -> float:
    outside = np.maximum(problem.row_lower - rows, rows - problem.row_upper) / scales.rows
    beyond = np.maximum(problem.lower - x, x - problem.upper) / scales.x
    return float(np.maximum(np.max(np.concatenate([outside, beyond]), initial=0.0), 0.0))


def _slsqp(derivatives, start, low, high) -> np.ndarray:
    problem = derivatives.problem
    equal = problem.row_lower == problem.row_upper
    above, below = ~equal & np.isfinite(problem.row_lower), ~equal & np.isfinite(problem.row_upper)

    def cut(rows, at_equal, at_above, at_below):
        return rows[equal] - at_equal, np.concatenate([rows[above] - at_above, at_below - rows[below]])

    limits = problem.row_lower[equal], problem.row_lower[above], problem.row_upper[below]
    constraints = [
        {
            "type": kind,
            "fun": lambda x, i=i: cut(np.asarray(derivatives.values(x)[1]), *limits)[i],
            "jac": lambda x, i=i: cut(np.asarray(derivatives.first(x)[1]), 0.0, 0.0, 0.0)[i],
        }
        for i, (kind, which) in enumerate([("eq", equal), ("ineq", above | below)])
        if which.any()
    ]
    found = scipy.optimize.minimize(
        lambda x: float(derivatives.values(x)[0]),
        start,
        jac=lambda x: np.asarray(derivatives.first(x)[0]),
        method="SLSQP",
        bounds=list(zip(low, high, strict=True)),
        constraints=constraints,
        options={"maxiter": 30, "ftol": 1e-14},
    )
    return np.clip(found.x, low, high)
