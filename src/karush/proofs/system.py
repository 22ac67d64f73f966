"""The square KKT system of one active set, in ball arithmetic.

Variables on a bound B are constants there; the others, x_F, and the multipliers y_A of the active rows A are unknown:

```
G(x_F, y_A) = [ ∇_F f + J_AFᵀ y_A ]      G' = [ H_FF  J_AFᵀ ]
              [ c_A(x) − limit_A  ],          [ J_AF  0     ],      z_B = −(∇f + J_Aᵀ y_A)_B
```
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from karush.arithmetic.ball_numbers import balls
from karush.proofs.functions import Functions


class Limit(NamedTuple):
    """A row or variable that is held at one of its limits."""

    at: int
    """index of the row or variable"""
    side: int
    """+1 upper, −1 lower, 0 both: an equality or a fixed variable"""


@dataclass(frozen=True)
class ActiveSet:
    """Rows and bounds that hold with equality; `dropped` rows among them are implied by the others."""

    rows: tuple[Limit, ...]
    bounds: tuple[Limit, ...]
    dropped: tuple[Limit, ...] = ()


class Point(NamedTuple):
    """What the conditions are made of, on one box."""

    values: np.ndarray
    """(1+m,) f and c"""
    gradient: np.ndarray
    """(n,) ∇f + Jᵀy"""


class Curved(NamedTuple):
    """Derivatives on one box."""

    jacobian: np.ndarray
    """(1+m, n)"""
    hessian: np.ndarray
    """(n, n) of the Lagrangian"""


class System:
    """G and G' for one active set; unknowns u = (x_F, y_A) as object arrays of balls."""

    def __init__(self, functions: Functions, active: ActiveSet):
        flat = functions.flat
        self.functions, self.flat, self.active = functions, flat, active
        held = np.array([limit.at for limit in active.bounds], dtype=int)
        self.free = np.setdiff1d(np.arange(flat.n), held)
        self.held = held
        self.held_at = np.array([_at(limit, flat.lower, flat.upper) for limit in active.bounds])
        self.rows = np.array([limit.at for limit in active.rows], dtype=int)
        self.rows_at = balls([_at(limit, flat.row_lower, flat.row_upper) for limit in active.rows])

    @property
    def size(self) -> int:
        return self.free.size + self.rows.size

    def spread(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x (n,) and the weights w = (1, y) (1+m,) of unknowns u."""
        x = balls(np.zeros(self.flat.n))
        x[self.held] = balls(self.held_at)
        x[self.free] = u[: self.free.size]
        weights = balls(np.zeros(1 + self.flat.m))
        weights[0] = balls(1.0).item()
        weights[1 + self.rows] = u[self.free.size :]
        return x, weights

    def at(self, u: np.ndarray) -> Point:
        """f, c and ∇L on the box u."""
        return Point(*self.functions.first(*self.spread(u)))

    def residual(self, point: Point) -> np.ndarray:
        """G from what was evaluated."""
        return np.concatenate([point.gradient[self.free], point.values[1 + self.rows] - self.rows_at])

    def curved(self, u: np.ndarray) -> Curved:
        """J and the Hessian of the Lagrangian on the box u."""
        _, jacobian, hessian = self.functions.second(*self.spread(u))
        return Curved(jacobian, hessian)

    def matrix(self, curved: Curved) -> np.ndarray:
        """G' (size, size)."""
        of_rows = curved.jacobian[np.ix_(1 + self.rows, self.free)]
        zeros = balls(np.zeros((self.rows.size, self.rows.size)))
        upper = np.concatenate([curved.hessian[np.ix_(self.free, self.free)], of_rows.T], axis=1)
        return np.concatenate([upper, np.concatenate([of_rows, zeros], axis=1)])


def _at(limit: Limit, lower: np.ndarray, upper: np.ndarray) -> Any:
    return upper[limit.at] if limit.side >= 0 else lower[limit.at]


__all__ = ["ActiveSet", "Curved", "Limit", "Point", "System"]
