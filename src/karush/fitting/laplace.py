"""The Laplace approximation: a posterior as the normal distribution at its mode.

With f(x) = −log p(x, data), x* its minimum and H its Hessian there ([Mac92], [KR95])

```
p(x | data)  ≈  N(x*, H⁻¹)
log p(data)  ≈  −f(x*) + n/2 log 2π − 1/2 log det H
```

exact where f is quadratic: a linear model with a normal prior and normal noise.
"""

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, Literal

import numpy as np

from karush.certificates.kkt import ROUNDING
from karush.core.errors import OptionError, ProblemError, SensitivityError
from karush.core.pytrees import Door
from karush.core.table import Cell, Section, measured, number, to_text
from karush.derivatives.evaluator import Evaluator
from karush.fitting.precision import Dense, Factored, Products, Sparse
from karush.problem.flat import FlatProblem
from karush.solvers.result import Result

Method = Literal["auto", "dense", "sparse", "products"]
METHODS = ("auto", "dense", "sparse", "products")
DENSE_UP_TO = 1000
"""variables up to which ``method="auto"`` takes the dense factorization"""
NEWTON = 8
"""steps that bring the mode to rounding"""
FAR = 3.0
"""standard deviations within which a limit cuts off a visible part of the normal distribution; a note says so"""


@dataclass(frozen=True, eq=False, repr=False)
class Laplace:
    """``N(mean, H⁻¹)`` and the log evidence."""

    flat: FlatProblem
    mean_flat: np.ndarray
    """(n,)"""
    value: float
    """−log p(x*, data)"""
    precision: Factored
    """H, factored or as products"""
    notes: tuple[str, ...] = ()

    @property
    def mean(self) -> Any:
        """The mode, in the structure of x."""
        return self.flat.door.unravel(self.mean_flat)

    @property
    def log_evidence(self) -> float:
        """``log p(data) ≈ −f(x*) + n/2 log 2π − 1/2 log det H``."""
        n = self.mean_flat.size
        return -self.value + 0.5 * n * np.log(2.0 * np.pi) - 0.5 * self.precision.log_det

    @property
    def log_evidence_error(self) -> float:
        """For ``method="products"`` the standard error, plus what the last half of the steps changed; else 0."""
        return 0.5 * self.precision.log_det_error

    @property
    def method(self) -> str:
        """``"dense"``, ``"sparse"`` or ``"products"``."""
        return self.precision.method

    @cached_property
    def covariance(self) -> np.ndarray:
        """H⁻¹ (n, n) on the raveled x (`Result`'s order of the leaves)."""
        inverse = self.precision.solve(np.eye(self.mean_flat.size))
        return 0.5 * (inverse + inverse.T)

    @cached_property
    def standard_deviations(self) -> Any:
        """Roots of the diagonal of the covariance, in the structure of x."""
        return self.flat.door.unravel(np.sqrt(np.diagonal(self.covariance)))

    def covariance_product(self, direction: Any) -> Any:
        """``H⁻¹ v`` for v in the structure of x: its product with a gradient is a variance (delta method)."""
        v = self.flat.door.ravel(direction, "direction")
        return self.flat.door.unravel(self.precision.solve(v[:, None])[:, 0])

    def sample(self, count: int, seed: int = 0) -> Any:
        """`count` draws from N(mean, H⁻¹): structure of x, each leaf with a first axis of length `count`."""
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
            raise OptionError(f"count is {count!r}; give a positive integer")
        noise = np.random.default_rng(seed).standard_normal((self.mean_flat.size, count))
        draws = self.mean_flat[:, None] + self.precision.root(noise)
        door, leaves, start = self.flat.door, [], 0
        for shape in door.shapes:
            stop = start + int(np.prod(shape))
            leaves.append(draws[start:stop].T.reshape(count, *shape))
            start = stop
        return door.treedef.unflatten(leaves)

    def __repr__(self) -> str:
        return f"Laplace(n={self.mean_flat.size}, log_evidence={number(self.log_evidence, 10)}, {self.method})"

    def __str__(self) -> str:
        error = f" ± {measured(self.log_evidence_error)}" if self.log_evidence_error else ""
        rows = [
            (Cell("log evidence"), Cell(number(self.log_evidence, 10) + error)),
            (Cell("log det H"), Cell(number(self.precision.log_det, 10))),
            (Cell("method"), Cell(self.method)),
            *((Cell("note"), Cell(note)) for note in self.notes),
        ]
        return to_text([Section(f"Laplace approximation, {self.mean_flat.size} variables", tuple(rows))])


def laplace_at(result: Result, *, method: Method = "auto", probes: int = 32, steps: int = 64, seed: int = 0) -> Laplace:
    """The Laplace approximation at a mode that `minimize` found; see `karush.laplace`."""
    if method not in METHODS:
        raise OptionError(f"method is {method!r}; the methods are {', '.join(map(repr, METHODS))}")
    for name, given, least in (("probes", probes, 2), ("steps", steps, 1)):
        if isinstance(given, bool) or not isinstance(given, Integral) or given < least:
            raise OptionError(f"{name} is {given!r}; give an integer, at least {least}")
    flat = result.flat
    if flat.closed_jaxpr is None:
        raise ProblemError("result was stored and read back, without its functions; solve the problem again")
    _require_mode(result)
    evaluator = Evaluator(flat.closed_jaxpr, flat.param_leaves, flat.m)
    if method == "auto":
        method = "dense" if flat.n <= DENSE_UP_TO else "products" if evaluator.pattern is None else "sparse"
    if method == "sparse" and evaluator.pattern is None:
        raise OptionError(
            f"method is 'sparse', but the Hessian of these {flat.n} variables has no sparsity pattern worth using; "
            "give method='dense' or 'products'"
        )

    def precision(x: np.ndarray) -> Factored:
        if method == "dense":
            return Dense(evaluator(x, np.zeros(flat.m)).hessian)
        if method == "sparse":
            return Sparse.of(evaluator, x)
        return Products(flat, x, probes, steps, seed)

    mean, value, factored = _polished(result, evaluator, precision)
    return Laplace(flat, mean, value, factored, _near_limits(flat, mean, factored, evaluator))


def _require_mode(result: Result) -> None:
    flat, certificate = result.flat, result.certificate
    if not certificate.success:
        raise SensitivityError(
            f"the verdict on the mode is {certificate.verdict.value}, not a certified minimum, so there is no normal "
            f"approximation: {certificate.sentence}"
        )
    if flat.n != flat.door.size:
        raise SensitivityError(
            "the problem has an l1 term: −log p has a kink at zero, and no Hessian there; use l2, or leave the term out"
        )
    if active := [limit for limit in result.active if limit.side != "fixed"]:
        raise SensitivityError(
            f"the mode lies on a limit, {active[0].name} {active[0].side} {active[0].limit:.6g}, where the posterior "
            "is cut off and not normal; transform the variable (log, logit) or drop the limit"
        )
    if fixed := np.flatnonzero(flat.lower == flat.upper).tolist():
        raise SensitivityError(
            f"{flat.variable_names[fixed[0]]} is fixed by its bounds, and has no variance; make it a constant"
        )


def _polished(result: Result, evaluator: Evaluator, precision: Any) -> tuple[np.ndarray, float, Factored]:
    """Mode to rounding by Newton's method, the value there, and the factored Hessian."""
    flat, x = result.flat, result.x_flat
    last = np.inf
    at = evaluator.sparse(x, np.zeros(flat.m))
    factored = precision(x)
    for _ in range(NEWTON):
        step = -factored.solve(at.gradient[:, None])[:, 0]
        # The length of the step in standard deviations; its square is twice what the step gains.
        length = float(np.sqrt(max(-(at.gradient @ step), 0.0)))
        moved = x + step
        outside = np.any(moved < flat.lower) or np.any(moved > flat.upper)
        if not length < 0.5 * last or length <= ROUNDING or outside or np.array_equal(moved, x):
            break
        there = evaluator.sparse(moved, np.zeros(flat.m))
        if not there.value <= at.value + ROUNDING * (1.0 + abs(at.value)):
            break
        x, at, last = moved, there, length
        factored = precision(x)
    return x, float(at.value), factored


def _near_limits(flat: FlatProblem, mean: np.ndarray, factored: Factored, evaluator: Evaluator) -> tuple[str, ...]:
    """Which bounds and constraints, linearised, cut off a visible part of the normal distribution."""
    bounded = np.flatnonzero(np.isfinite(flat.lower) | np.isfinite(flat.upper))
    columns = np.zeros((flat.n, bounded.size + flat.m))
    columns[bounded, np.arange(bounded.size)] = 1.0
    room = np.minimum(mean - flat.lower, flat.upper - mean)[bounded]
    names = [f"{Door.names(flat.door)[i]} lies {{}} standard deviations from its bound" for i in bounded]
    if flat.m:
        at = evaluator(mean, np.zeros(flat.m))
        columns[:, bounded.size :] = at.jacobian.T
        room = np.concatenate((room, np.minimum(at.rows - flat.row_lower, flat.row_upper - at.rows)))
        names += [f"{name} lies {{}} standard deviations from its limit" for name in flat.row_names]
    if not room.size:
        return ()
    deviation = np.sqrt(np.sum(columns * factored.solve(columns), axis=0))
    distance = np.where(deviation > 0, room / np.where(deviation > 0, deviation, 1.0), np.inf)
    near = np.flatnonzero(distance < FAR)
    return tuple(names[i].format(f"{distance[i]:.1f}") + ": the posterior is cut off there" for i in near[:5])


__all__ = ["Laplace", "laplace_at"]
