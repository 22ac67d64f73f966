"""Conjugate gradients for ``A x = b``, A symmetric positive definite: the minimum of ``½ xᵀA x − bᵀx``.

```
α = rᵀz / pᵀA p      x ← x + α p      r ← r − α A p      z = M r
β = r₊ᵀz₊ / rᵀz      p ← z + β p
```

Algorithm 5.3 of [NW06], with a preconditioner M. In exact arithmetic it ends after as many steps as A has distinct
eigenvalues, n at most. For least squares, ``min ½‖A x − b‖²``, hand it ``AᵀA`` as a product and ``Aᵀb``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from karush.core.errors import OptionError, ProblemError
from karush.core.precision import as_float64, float64
from karush.core.pytrees import Door, open_door
from karush.jaxprs.function import FlatFunction, trace

RUNNING, SOLVED, INDEFINITE, STALLED, BROKEN = range(5)
REASONS = {
    RUNNING: "the iteration limit was reached",
    SOLVED: "the residual, computed anew, is within tol",
    INDEFINITE: "A is not positive definite: a direction of curvature <= 0 was met",
    STALLED: "rounding allows no smaller residual",
    BROKEN: "a product is not finite",
}
PROGRESS = 0.5
"""factor by which the true residual must fall from one restart to the next"""
ASYMMETRY = 2.0**-40
"""relative difference of A and Aᵀ that is taken for rounding"""
STEPS_PER_VARIABLE = 10
"""default iteration limit: rounding makes the method take more than n steps"""


@dataclass(frozen=True)
class LinearAnswer:
    """What `linear_cg` found."""

    x: Any
    """in the structure of b"""
    converged: bool
    """whether ``‖b − A x‖ <= tol ‖b‖``, with the residual computed anew at x"""
    reason: str
    """why it ended"""
    iterations: int
    residual: float
    """‖b − A x‖ / ‖b‖; of the recursion where the run did not converge"""
    residuals: np.ndarray
    """(iterations + 1,) the same after every step, by the recursion"""


class State(NamedTuple):
    """Between two products."""

    x: Any
    r: Any
    p: Any
    rz: Any
    """rᵀz"""
    anew: Any
    """bool: the next product is A x, which gives the true residual"""
    last: Any
    """‖r‖ when it was last computed anew"""
    status: Any
    iterations: Any
    norms: Any
    """(limit + 1,) ‖r‖"""


def linear_cg(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-10,
    max_iterations: int | None = None,
    preconditioner: Callable[[Any], Any] | None = None,
) -> LinearAnswer:
    """Solve ``A x = b`` by conjugate gradients.

    Parameters
    ----------
    A
        Symmetric positive definite: a matrix (n, n), or a JAX function ``x -> A x`` of b's structure.
    b
        Right-hand side: an array (n,), or for a function any pytree of floating-point arrays.
    x0
        Start, zero by default.
    tol
        Bound on ``‖b − A x‖ / ‖b‖``.
    max_iterations
        Default 10 n.
    preconditioner
        JAX function ``r -> M r``, M symmetric positive definite, near the inverse of A.

    Raises
    ------
    ProblemError
        for a matrix of a wrong shape or that is not symmetric, a product of another structure, or a matrix, b or x0
        that is not finite.
    OptionError
        for a tol or max_iterations out of range.

    Notes
    -----
    Computes in float64 by a local switch.
    """
    _require_options(tol, max_iterations)
    door, flat_b = open_door(b, "b")
    _require_finite(flat_b, "b")
    product = _product(A, b, door, flat_b, "A")
    precondition = None if preconditioner is None else _product(preconditioner, b, door, flat_b, "preconditioner")
    start = np.zeros_like(flat_b) if x0 is None else door.ravel(x0, "x0")
    _require_finite(start, "x0")
    limit = STEPS_PER_VARIABLE * flat_b.size if max_iterations is None else int(max_iterations)
    solve = jax.jit(lambda b, x: _solve(product, precondition or (lambda r: r), b, x, float(tol), limit))
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        state = jax.tree.map(np.asarray, solve(flat_b, start))
    size = float(np.linalg.norm(flat_b)) or 1.0
    residuals = state.norms[: int(state.iterations) + 1] / size
    return LinearAnswer(
        x=door.unravel(state.x),
        converged=int(state.status) == SOLVED,
        reason=REASONS[int(state.status)],
        iterations=int(state.iterations),
        residual=float(np.linalg.norm(state.r)) / size,
        residuals=residuals,
    )


def _require_options(tol: float, max_iterations: int | None) -> None:
    """Options within their range, or an OptionError that names the one that is not."""
    if not isinstance(tol, Real) or not 0.0 < tol < 1.0:
        raise OptionError(f"tol is {tol!r}; it bounds a relative residual: give a value between 0 and 1")
    if max_iterations is not None and (not isinstance(max_iterations, Integral) or max_iterations < 1):
        raise OptionError(f"max_iterations is {max_iterations!r}; give a positive integer, or None")


def _require_finite(array: np.ndarray, label: str) -> None:
    if not np.all(np.isfinite(array)):
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ProblemError(f"{label} at {list(place)} is {array[place]}; every entry must be finite")


def _product(A: Any, b: Any, door: Door, flat_b: np.ndarray, label: str) -> Callable[[Any], Any]:
    """Flat x (n,) -> A x (n,)."""
    n = flat_b.size
    if not callable(A):
        matrix = as_float64(A, label)
        if matrix.shape != (n, n):
            raise ProblemError(f"{label} has shape {matrix.shape}, but b has {n} entries; it must be ({n}, {n})")
        _require_finite(matrix, label)
        difference = float(np.max(np.abs(matrix - matrix.T), initial=0.0))
        if not difference <= ASYMMETRY * float(np.max(np.abs(matrix), initial=0.0)):
            raise ProblemError(
                f"{label} is not symmetric: it differs from its transpose by {difference:.3g}; for least "
                "squares solve AᵀA x = Aᵀb: linear_cg(lambda x: A.T @ (A @ x), A.T @ b)"
            )
        return lambda x: jnp.asarray(matrix) @ x
    function, _ = trace(A, b, label)
    _same(function, door, label)
    return function


def _same(function: FlatFunction, door: Door, label: str) -> None:
    if function.out.shapes != door.shapes:
        raise ProblemError(f"{label} returned shapes {function.out.shapes}, but b has {door.shapes}; they must agree")


def _solve(product: Any, precondition: Any, b: Any, x: Any, tol: float, limit: int) -> State:
    """The whole run, in a trace."""
    wanted = tol * jnp.linalg.norm(b)
    zero = jnp.zeros((), dtype=b.dtype)
    count = jnp.zeros((), dtype=jnp.int64)
    norms = jnp.full(limit + 1, jnp.nan)
    first = State(x, b, b, zero, jnp.asarray(True), zero + jnp.inf, count + RUNNING, count, norms)

    def step(state: State) -> State:
        v = jnp.where(state.anew, state.x, state.p)
        Av = product(v)
        return jax.lax.cond(state.anew, restarted, moved, state, Av)

    def restarted(state: State, Ax: Any) -> State:
        r = b - Ax
        z = precondition(r)
        norm = jnp.linalg.norm(r)
        status = jnp.where(norm <= wanted, SOLVED, jnp.where(norm <= PROGRESS * state.last, RUNNING, STALLED))
        status = jnp.where(jnp.isfinite(norm), status, BROKEN).astype(count.dtype)
        # By the recursion, the entry would be rounding's; where the run began there is none yet.
        norms = state.norms.at[state.iterations].set(norm)
        return State(state.x, r, z, jnp.vdot(r, z), jnp.asarray(False), norm, status, state.iterations, norms)

    def moved(state: State, Ap: Any) -> State:
        curvature = jnp.vdot(state.p, Ap)
        alpha = state.rz / curvature
        r = state.r - alpha * Ap
        z = precondition(r)
        rz = jnp.vdot(r, z)
        norm = jnp.linalg.norm(r)
        after = state._replace(
            x=state.x + alpha * state.p,
            r=r,
            p=z + (rz / state.rz) * state.p,
            rz=rz,
            anew=norm <= wanted,
            iterations=state.iterations + 1,
            norms=state.norms.at[state.iterations + 1].set(norm),
        )
        code = jnp.where(jnp.isfinite(curvature), INDEFINITE, BROKEN).astype(count.dtype)
        fine = (curvature > 0) & jnp.isfinite(norm)
        return jax.tree.map(lambda a, b: jnp.where(fine, a, b), after, state._replace(status=code))

    def going(state: State) -> Any:
        return (state.status == RUNNING) & ((state.iterations < limit) | state.anew)

    return jax.lax.while_loop(going, step, first)
