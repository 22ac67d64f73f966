"""A least-squares problem laid out flat: weighted residuals, their Jacobian, and the parameters they are affine in."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.errors import ProblemError, TraceError
from karush.core.precision import as_float64, float64
from karush.core.pytrees import ravel_traced
from karush.fitting import loss as losses
from karush.fitting.linear_part import affine_parameters
from karush.jaxprs.function import FlatFunction, call_user, trace
from karush.problem.bounds import read_bounds
from karush.problem.flat import read_params
from karush.problem.problem import Problem


@dataclass(frozen=True, eq=False)
class Fit:
    """minimise ``½ Σ C² ρ(w r(x)²/C²)`` subject to ``lower <= x <= upper``; everything flat and float64."""

    function: FlatFunction
    """x (n,) -> r (m,), the user's own residuals"""
    x0: np.ndarray
    """(n,) start"""
    root_weights: np.ndarray
    """(m,) √w"""
    lower: np.ndarray
    """(n,)"""
    upper: np.ndarray
    """(n,)"""
    loss: str
    loss_scale: float
    linear: np.ndarray
    """(p,) indices of parameters that r is affine in, all others fixed; they are eliminated"""
    problem: Problem
    """the same as an ordinary problem, for the certificate"""
    fused: dict[Any, Any] = field(default_factory=dict)
    """compiled fits, once asked for"""

    def __getstate__(self) -> dict[str, Any]:
        # Traced programs cannot be pickled; a stored result is read, not solved again.
        kept = {name: value for name, value in vars(self).items() if name not in ("compiled", "problem")}
        return {**kept, "function": replace(self.function, closed_jaxpr=None), "fused": {}}

    def __deepcopy__(self, memo: Any) -> "Fit":
        return self

    @property
    def n(self) -> int:
        return self.x0.size

    @property
    def m(self) -> int:
        return self.root_weights.size

    @cached_property
    def rest(self) -> np.ndarray:
        """(q,) indices of the other parameters."""
        return np.setdiff1d(np.arange(self.n), self.linear)

    @cached_property
    def place(self) -> np.ndarray:
        """(n,) where each parameter stands in ``(rest, linear)``."""
        return np.argsort(np.concatenate([self.rest, self.linear]))

    def residual(self, x: Any) -> Any:
        """√w r(x), (m,), in a trace."""
        return self.root_weights * self.function(x)

    def jacobian(self, x: Any) -> tuple[Any, Any]:
        """√w r (m,) and its Jacobian (m, n), in a trace."""

        def twice(x: Any) -> tuple[Any, Any]:
            r = self.residual(x)
            return r, r

        if self.m < self.n:
            r, pullback = jax.vjp(self.residual, x)
            return r, jax.vmap(lambda row: pullback(row)[0])(jnp.eye(self.m))
        matrix, r = jax.jacfwd(twice, has_aux=True)(x)
        return r, matrix

    def projection(self, beta: Any) -> tuple[Any, Any]:
        """r₀ (m,) and Φ (m, p) of ``√w r = r₀ + Φ α`` where the rest of x is `beta` (q,), in a trace."""
        x = jnp.concatenate([beta, jnp.zeros(self.linear.size)])[self.place]
        if not self.linear.size:
            return self.residual(x), jnp.zeros((self.m, 0))
        r, push = jax.linearize(self.residual, x)
        columns = jax.vmap(push, out_axes=1)(jnp.asarray(np.eye(self.n)[self.linear]))
        return r, columns

    @cached_property
    def compiled(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """`projection` and `jacobian`, compiled."""
        return jax.jit(self.projection), jax.jit(self.jacobian)


def read_fit(
    residual: Callable[..., Any], x0: Any, bounds: Any, params: Any, weights: Any, loss: str, loss_scale: float
) -> Fit:
    """Trace the residuals and check everything that was handed in.

    Raises
    ------
    ProblemError
        naming the argument that is wrong, its value and the cure; `TraceError` and `PrecisionError` among them.
    """
    if not callable(residual):
        raise ProblemError(f"residual must be a JAX function of x, got {type(residual).__name__} {residual!r:.60}")
    called, values = residual, None
    if params is not None:
        values = read_params(params)
        called = _with_params(residual, values)
    function, start = trace(called, x0, "residual")
    names = function.door.names()
    if not np.all(np.isfinite(start)):
        worst = int(np.flatnonzero(~np.isfinite(start))[0])
        raise ProblemError(f"x0 at {names[worst]} is {start[worst]}; every entry of the start must be finite")
    if function.is_scalar:
        raise TraceError(
            "residual returned one number of shape (); return the residuals themselves, one per observation, not "
            "their sum of squares (for a scalar objective use karush.minimize, for one observation return an array "
            "of shape (1,))"
        )
    if not function.k:
        raise ProblemError("residual returned no numbers; return the residuals themselves, one per observation")
    lower, upper = read_bounds(bounds, function.door, names)
    root_weights = np.sqrt(_weights(weights, function))
    free = np.isneginf(lower) & np.isposinf(upper)
    linear = affine_parameters(function, free) if loss == "linear" else np.zeros(0, dtype=int)

    def objective(tree: Any, *given: Any) -> Any:
        # The user's own function, so that its params stay the problem's params, for `sensitivity`.
        r = function(ravel_traced(tree)) if values is None else ravel_traced(residual(tree, *given))
        return losses.cost(jnp, loss, loss_scale, root_weights * r)

    bounded = (function.door.unravel(lower), function.door.unravel(upper))
    problem = Problem(
        objective, function.door.unravel(start), bounds=bounded, params=values, name="karush.least_squares"
    )
    return Fit(function, start, root_weights, lower, upper, loss, float(loss_scale), linear, problem)


def _with_params(residual: Callable[..., Any], params: Any) -> Callable[..., Any]:
    def called(x: Any) -> Any:
        with float64():
            return call_user(residual, (x, jax.tree.map(jnp.asarray, params)), "residual")

    return called


def _weights(weights: Any, function: FlatFunction) -> np.ndarray:
    """(m,) of a prefix pytree of the residuals; 1 where None."""
    if weights is None:
        return np.ones(function.k)
    if jax.tree.structure(weights) == jax.tree.structure(0) and np.ndim(weights) == 0:
        flat = np.full(function.k, float(as_float64(weights, "weights")))
    else:
        try:
            flat = function.out.broadcast(weights, "weights", 1.0)
        except ProblemError as error:
            raise ProblemError(
                f"weights do not fit the residuals, whose shapes are {list(function.out.shapes)}: "
                f"{str(error).replace('x0', 'the residuals')}"
            ) from error
    bad = ~(np.isfinite(flat) & (flat >= 0.0))
    if bad.any():
        worst = int(np.flatnonzero(bad)[0])
        raise ProblemError(
            f"weights at {function.out.names()[worst]} is {flat[worst]}; weights multiply squares, w r²: give finite "
            "numbers >= 0, for example 1/σ², and 0 to leave an observation out"
        )
    if not (flat > 0).any():
        raise ProblemError("weights are all zero, so no observation counts; give at least one positive weight")
    return flat
