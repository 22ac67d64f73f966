"""One independent judge of every solver's answer: KKT residuals from the problem's functions and the numbers alone.

With L = f + yᵀc + zᵀx, y and z >= 0 at an upper limit and <= 0 at a lower one, absolute and unscaled:

    feasibility      max of how far x and c(x) lie outside their limits
    stationarity     max |g + Jᵀy + z|
    dual sign        max of the multipliers whose sign names a limit that does not exist
    complementarity  max of |multiplier| * distance inside the limit that its sign names (outside it is infeasibility)

An answer is verified if feasibility and the largest of the other three are <= 1e-6, with the better of the solver's own
multipliers and sign-constrained least-squares ones. Nothing here imports a solver. NaN compares false: it fails.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Float

from benchmarks.problem import BenchmarkProblem

VERIFIED = 1e-6
"""bound on feasibility and on the KKT residual"""
ACTIVE = (1e-9, 1e-7, 1e-5, 1e-3)
"""distances at which a limit counts as active when multipliers are estimated, relative to max(typical size, |limit|)"""
EAGER_ABOVE = 800
"""Equations in the traced objective and rows. Larger programs are evaluated operation by operation: their compilation
takes minutes (HS25), one evaluation milliseconds."""


@dataclass(frozen=True)
class Derivatives:
    """f, c, ∇f, J and ∇²(f + yᵀc) of one problem, plain JAX in float64, made again for the checker alone."""

    problem: BenchmarkProblem
    values: object
    first: object
    second: object

    @classmethod
    def of(cls, problem: BenchmarkProblem) -> "Derivatives":
        def rows(x):
            return problem.rows(x) if problem.m else jnp.zeros(0, x.dtype)

        def lagrangian(x, y):
            return problem.objective(x) + (jnp.dot(y, rows(x)) if problem.m else 0.0)

        def values(x):
            return problem.objective(x), rows(x)

        jacobian = jax.jacrev(rows) if problem.m < problem.n else jax.jacfwd(rows)

        def first(x):
            return jax.grad(problem.objective)(x), jacobian(x) if problem.m else jnp.zeros((0, problem.n))

        second = jax.hessian(lagrangian)
        if _equations(jax.make_jaxpr(values)(problem.x0).jaxpr) > EAGER_ABOVE:
            return cls(problem, values, first, second)
        return cls(problem, jax.jit(values), jax.jit(first), jax.jit(second))

    def at(self, x: Float[np.ndarray, " n"]) -> "Point":
        x = np.asarray(x, float)
        (value, rows), (gradient, jacobian) = self.values(jnp.asarray(x)), self.first(jnp.asarray(x))
        return Point(self.problem, x, float(value), *(np.asarray(part) for part in (rows, gradient, jacobian)))

    def hessian(self, x, y) -> Float[np.ndarray, "n n"]:
        return np.asarray(self.second(jnp.asarray(x), jnp.asarray(y)))


@dataclass(frozen=True)
class Point:
    """First-order data at x."""

    problem: BenchmarkProblem
    x: Float[np.ndarray, " n"]
    value: float
    rows: Float[np.ndarray, " m"]
    gradient: Float[np.ndarray, " n"]
    jacobian: Float[np.ndarray, "m n"]


@dataclass(frozen=True)
class Residuals:
    """The four residuals, and the multipliers they hold for."""

    feasibility: float
    stationarity: float
    dual_sign: float
    complementarity: float
    y: Float[np.ndarray, " m"]
    z: Float[np.ndarray, " n"]

    @property
    def kkt(self) -> float:
        return float(np.max([self.stationarity, self.dual_sign, self.complementarity]))

    @property
    def verified(self) -> bool:
        return bool(self.feasibility <= VERIFIED) and bool(self.kkt <= VERIFIED)


@dataclass(frozen=True)
class Scales:
    """Typical sizes of x, f and c; all ones for the absolute residuals."""

    x: Float[np.ndarray, " n"]
    f: float
    rows: Float[np.ndarray, " m"]

    @classmethod
    def ones(cls, problem: BenchmarkProblem) -> "Scales":
        return cls(np.ones(problem.n), 1.0, np.ones(problem.m))


def residuals(point: Point, y, z, scales: Scales | None = None) -> Residuals:
    """The residuals of one pair of multipliers; dimensionless where `scales` are given."""
    problem = point.problem
    scales = Scales.ones(problem) if scales is None else scales
    value = np.concatenate([point.rows, point.x])
    lower = np.concatenate([problem.row_lower, problem.lower])
    upper = np.concatenate([problem.row_upper, problem.upper])
    size = np.concatenate([scales.rows, scales.x])
    multiplier = np.concatenate([y, z])

    violation = np.maximum(lower - value, value - upper) / size
    undefined = np.nan if np.isnan(point.value) else 0.0
    inside = np.where(multiplier > 0, upper - value, value - lower) / size
    exists = inside < np.inf
    price = np.abs(multiplier) * size / scales.f
    # an equality has no inside
    distance = np.where(exists & (lower < upper), np.maximum(inside, 0.0), 0.0)
    return Residuals(
        feasibility=float(np.maximum(np.max(violation, initial=0.0), undefined)),
        stationarity=float(np.max(np.abs(point.gradient + y @ point.jacobian + z) * scales.x / scales.f, initial=0.0)),
        dual_sign=float(np.max(np.where(exists, 0.0, price), initial=0.0)),
        complementarity=float(np.max(price * distance, initial=0.0)),
        y=y,
        z=z,
    )


def estimates(point: Point, scales: Scales | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Least-squares multipliers with the right signs, one pair for each distance of `ACTIVE`."""
    problem = point.problem
    scales = Scales.ones(problem) if scales is None else scales
    value = np.concatenate([point.rows, point.x])
    lower = np.concatenate([problem.row_lower, problem.lower])
    upper = np.concatenate([problem.row_upper, problem.upper])
    size = np.concatenate([scales.rows, scales.x])
    normals = np.concatenate([point.jacobian, np.eye(problem.n)])
    seen = set()
    for tolerance in ACTIVE:
        at_lower = value - lower <= tolerance * np.maximum(size, np.abs(np.where(np.isfinite(lower), lower, 0.0)))
        at_upper = upper - value <= tolerance * np.maximum(size, np.abs(np.where(np.isfinite(upper), upper, 0.0)))
        active = np.flatnonzero(at_lower | at_upper)
        if active.tobytes() in seen:
            continue
        seen.add(active.tobytes())
        multiplier = np.zeros(value.size)
        if active.size:
            multiplier[active] = _signed_least_squares(
                (normals[active] * scales.x).T, -point.gradient * scales.x, at_lower[active], at_upper[active]
            )
        yield multiplier[: problem.m], multiplier[problem.m :]


def _signed_least_squares(matrix, target, may_be_negative, may_be_positive) -> np.ndarray:
    """argmin |matrix λ - target| over the signs allowed, columns brought to length 1."""
    length = np.linalg.norm(matrix, axis=0)
    length[~(length > 0)] = 1.0
    low, high = np.where(may_be_negative, -np.inf, 0.0), np.where(may_be_positive, np.inf, 0.0)
    if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(target))):
        return np.full(matrix.shape[1], np.nan)
    free = scipy.linalg.lstsq(matrix / length, target)[0]
    if np.all((free >= low) & (free <= high)):
        return free / length
    found = scipy.optimize.lsq_linear(matrix / length, target, (low, high), method="bvls", tol=1e-14, max_iter=500)
    return found.x / length


def check(point: Point, y=None, z=None, scales: Scales | None = None) -> Residuals:
    """The best residuals over the solver's multipliers (bound multipliers completed where absent) and the estimates."""
    pairs = list(estimates(point, scales))
    if y is not None:
        pairs.insert(0, (np.asarray(y, float), _completed(point, y) if z is None else np.asarray(z, float)))
    found = [residuals(point, *pair, scales) for pair in pairs]
    # a NaN residual must never be the best one
    return min(found, key=lambda r: r.kkt if r.kkt == r.kkt else np.inf)


def _completed(point: Point, y) -> np.ndarray:
    """z = -(g + Jᵀy) on active bounds where its sign fits, else 0."""
    needed = -(point.gradient + np.asarray(y, float) @ point.jacobian)
    near = VERIFIED * np.maximum(1.0, np.abs(point.x))
    fits = ((needed > 0) & (point.problem.upper - point.x <= near)) | (
        (needed < 0) & (point.x - point.problem.lower <= near)
    )
    return np.where(fits, needed, 0.0)


def _equations(jaxpr) -> int:
    """Equations of a jaxpr, those of inner jaxprs included."""
    inner = [sub for eqn in jaxpr.eqns for value in eqn.params.values() for sub in _jaxprs(value)]
    return len(jaxpr.eqns) + sum(_equations(sub) for sub in inner)


def _jaxprs(value):
    if hasattr(value, "jaxpr"):
        value = value.jaxpr
    if hasattr(value, "eqns"):
        return [value]
    return [sub for item in value for sub in _jaxprs(item)] if isinstance(value, tuple | list) else []
