"""KKT conditions at a point whose coordinates and derivatives are exactly known numbers.

Where x is a dyadic rational and f, c, ∇f, J come out as balls of radius 0, the multipliers are the solution of

```
J_AFᵀ y_A = −∇_F f,        z_B = −(∇f + J_Aᵀ y_A)_B
```

in rational numbers. So a limit may hold with equality without being in the active set, and a multiplier be exactly 0:
what no ball of positive radius can decide.
"""

import numpy as np
from flint import arb, fmpq, fmpq_mat

from karush.arithmetic.ball_numbers import balls
from karush.proofs.system import System

COARSE_BITS = 20
"""coordinates that are tried as exact are multiples of 2^-20"""


def coarse(values: np.ndarray) -> np.ndarray:
    """Each exact ball of `values` rounded to the nearest multiple of ``2^-COARSE_BITS``, as exact balls."""
    step = 2.0**COARSE_BITS
    out = np.empty(values.shape, dtype=object)
    for index, ball in np.ndenumerate(values):
        out[index] = (ball * step + 0.5).floor() / step
    return out


def exact_multipliers(system: System, u: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """y (m,) and z (n,) at the exact x of u, in balls that are exact where they are 0; None if not exactly known."""
    flat = system.flat
    x, _ = system.spread(u)
    only_f = balls(np.zeros(1 + flat.m))
    only_f[0] = arb(1)
    values, jacobian, _ = system.functions.second(x, only_f)
    if not all(value == limit for value, limit in zip(values[1 + system.rows], system.rows_at, strict=True)):
        return None
    chosen = jacobian[[0, *(1 + system.rows)]]
    if not all(entry.is_exact() for entry in chosen.flat):
        return None
    rational = [[entry.fmpq() for entry in row] for row in chosen]
    y = _solved([[row[k] for k in system.free] for row in rational])
    if y is None:
        return None
    slopes = [
        rational[0][k] + sum((a * row[k] for a, row in zip(y, rational[1:], strict=True)), fmpq(0))
        for k in range(flat.n)
    ]
    full_y, z = balls(np.zeros(flat.m)), balls(np.zeros(flat.n))
    full_y[system.rows] = [arb(a) for a in y]
    z[system.held] = [arb(-slopes[k]) for k in system.held]
    return full_y, z


def _solved(rows: list[list[fmpq]]) -> list[fmpq] | None:
    """y with ``rows[0] + Σ y_i rows[1 + i] = 0``, where it is unique; None otherwise."""
    gradient, jacobian = rows[0], rows[1:]
    if not jacobian:
        return [] if all(entry == 0 for entry in gradient) else None
    if not gradient:
        return None
    J, g = fmpq_mat(jacobian), fmpq_mat(len(gradient), 1, [-entry for entry in gradient])
    normal = J * J.transpose()
    if normal.det() == 0:
        return None
    y = normal.solve(J * g)
    return y.entries() if J.transpose() * y == g else None


__all__ = ["coarse", "exact_multipliers"]
