"""The primal–dual system of one step, its inertia and its solution.

```
⎡ H   Jᵀ ⎤ ⎡ dx ⎤     ⎡ a ⎤
⎢        ⎥ ⎢    ⎥ = − ⎢   ⎥
⎣ J   −D ⎦ ⎣ dy ⎦     ⎣ b ⎦
```

H (n, n) is the Hessian of the Lagrangian with the barrier's diagonal and the inertia correction, D (m,) >= 0 the
inverse barrier curvature of the rows' slacks. The inertia is right, n positive and m negative eigenvalues, exactly if
``H + Jᵀ D⁻¹ J`` is positive definite: one Cholesky factorization of size n decides.
"""

from typing import Any, NamedTuple

import numpy as np

from karush.linalg.ops import Ops

PENALTY_CAP = 1e8
"""Cap on D⁻¹ in the inertia test, relative to ‖H‖ / ‖J_i‖². D⁻¹ grows like 1/μ² on active rows; beyond the cap the
rounding errors eps·D⁻¹‖J_i‖² would drown the curvature on the null space of J that the test asks for. Capping can only
make the test stricter."""

EPS = 2.0**-52
SMALLEST_SIZE = 1e-8
"""‖H‖ counts as at least this in the cap: a linear objective has none"""


class Layout(NamedTuple):
    """Which rows stay in the system; the others are eliminated into H. Static."""

    kept: np.ndarray
    eliminated: np.ndarray


def layout(n: int, equality: np.ndarray) -> Layout:
    """Keep all rows while they are few; with many more rows than variables eliminate the inequalities.

    Elimination squares the condition number of the active rows, so it is used only where it pays.
    """
    m = equality.size
    if m <= 2 * n + 20:
        return Layout(np.arange(m), np.arange(0))
    return Layout(np.flatnonzero(equality), np.flatnonzero(~equality))


def system_size(n: int, equality: np.ndarray) -> int:
    """Order of the matrix that `factorize` factorizes."""
    return n + layout(n, equality).kept.size


def has_right_inertia(ops: Ops, H: Any, J: Any, D: Any) -> Any:
    """Whether the system above has n positive and m negative eigenvalues."""
    xnp = ops.np
    if J.shape[0] == 0:
        return _is_clearly_positive(ops, H)
    size = xnp.maximum(xnp.max(xnp.abs(H), initial=0.0), SMALLEST_SIZE)
    squares = xnp.maximum(xnp.sum(J * J, axis=1), 1e-300)
    penalty = xnp.minimum(1.0 / xnp.maximum(D, 1e-300), PENALTY_CAP * size / squares)
    return _is_clearly_positive(ops, H + (J.T * penalty) @ J)


def _is_clearly_positive(ops: Ops, M: Any) -> Any:
    """Whether M (n, n) is positive definite by more than its own rounding.

    The backward error of Cholesky's factorization is at most about n ε (M_ii M_jj)^½ in each entry (theorem 10.5 of
    [Hig02]). Where M is singular, a factorization that succeeds by rounding alone lets a step of no meaning pass.
    """
    return ops.is_positive_definite(M - ops.np.diag(M.shape[0] * EPS * ops.np.diagonal(M)))


def factorize(ops: Ops, rows: Layout, H: Any, J: Any, D: Any) -> Any:
    """LU factors of the system, with `rows.eliminated` condensed into H."""
    xnp = ops.np
    J_out, D_out = J[rows.eliminated], D[rows.eliminated]
    if rows.eliminated.size:
        H = H + (J_out.T / D_out) @ J_out
    J_in, D_in = J[rows.kept], D[rows.kept]
    if rows.kept.size == 0:
        return ops.lu_factor(H)
    upper = xnp.concatenate([H, J_in.T], axis=1)
    lower = xnp.concatenate([J_in, -xnp.diag(D_in)], axis=1)
    return ops.lu_factor(xnp.concatenate([upper, lower]))


def solve(ops: Ops, rows: Layout, factors: Any, J: Any, D: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """dx (n,) and dy (m,) for the right-hand sides a (n,), b (m,)."""
    xnp = ops.np
    n = a.shape[0]
    if rows.eliminated.size == 0:
        step = ops.lu_solve(factors, -xnp.concatenate([a, b]))
        return step[:n], step[n:]
    J_out, D_out, b_out = J[rows.eliminated], D[rows.eliminated], b[rows.eliminated]
    a = a + J_out.T @ (b_out / D_out)
    step = ops.lu_solve(factors, -xnp.concatenate([a, b[rows.kept]]))
    dx = step[:n]
    dy_out = (J_out @ dx + b_out) / D_out
    order = np.argsort(np.concatenate([rows.kept, rows.eliminated]), kind="stable")
    return dx, xnp.concatenate([step[n:], dy_out])[order]
