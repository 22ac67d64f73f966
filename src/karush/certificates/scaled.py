"""The problem in units of its scales: ``u = x / s``, ``f / s_f``, ``c / s_c``, ``y s_c / s_f``, ``z s / s_f``.

Rows and bounds are one list of k = m + n limited quantities ``(c(u), u)`` with Jacobian ``[J; I]``, rows first.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from karush.certificates.scales import Scales, spread
from karush.derivatives.evaluator import Evaluation, Evaluator
from karush.problem.flat import FlatProblem


class Point(NamedTuple):
    """f, c and their derivatives at u, with the Hessian of L = f + yᵀc; all dimensionless."""

    u: np.ndarray
    """(n,)"""
    y: np.ndarray
    """(m,) multipliers that `hessian` was computed with"""
    value: float
    gradient: np.ndarray
    """(n,)"""
    jacobian: np.ndarray
    """(m, n)"""
    hessian: Any
    """(n, n); of a large problem a `Curved`, which multiplies by ``@``"""
    rows: np.ndarray
    """(m,) c"""
    to_lower: np.ndarray
    """(k,) distance of c and u to their lower limits, negative where violated"""
    to_upper: np.ndarray
    """(k,)"""
    nearest: np.ndarray
    """(k,) the smaller of the two"""
    slope: np.ndarray
    """(n,) ∇f + Jᵀy"""

    @property
    def violation(self) -> np.ndarray:
        """(k,) by how much each limit is exceeded, zero where it is not."""
        return np.maximum(-self.nearest, 0.0)


@dataclass(frozen=True)
class Scaled:
    """A problem, its evaluator and its scales."""

    flat: FlatProblem
    evaluator: Evaluator
    scales: Scales

    @cached_property
    def lower(self) -> np.ndarray:
        """(k,) limits of (c, u)."""
        flat = self.flat
        return np.concatenate((flat.row_lower, flat.lower)) / self._units

    @cached_property
    def upper(self) -> np.ndarray:
        """(k,)."""
        flat = self.flat
        return np.concatenate((flat.row_upper, flat.upper)) / self._units

    @cached_property
    def equal(self) -> np.ndarray:
        """(k,) bool: equality rows and fixed variables."""
        return self.lower == self.upper

    @cached_property
    def uneven(self) -> np.ndarray:
        """(n,) lengths between 1/2 and 1, another one for each variable."""
        return 0.5 + 0.5 * spread(self.flat.n)

    @cached_property
    def inequality(self) -> np.ndarray:
        """(k,) bool: the others."""
        return ~self.equal

    @cached_property
    def _units(self) -> np.ndarray:
        return np.concatenate((self.scales.rows, self.scales.x))

    @cached_property
    def row_price(self) -> np.ndarray:
        """(m,) a multiplier of a row, in the problem's units, per dimensionless one: s_f / s_c."""
        return self.scales.f / self.scales.rows

    @cached_property
    def bound_price(self) -> np.ndarray:
        """(n,) the same for a bound: s_f / s."""
        return self.scales.f / self.scales.x

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> tuple[Evaluation, Point]:
        """Everything at x (n,), in the problem's units and within the bounds; `y` (m,) is dimensionless."""
        raw = self.evaluator(x, y * self.row_price)
        return raw, self.point(x, y, raw)

    def point(self, x: np.ndarray, y: np.ndarray, raw: Evaluation) -> Point:
        """`raw`, the evaluation at x with the dimensionless multipliers y, without its dimensions."""
        u = x / self.scales.x
        rows = raw.rows / self.scales.rows
        gradient = raw.gradient / self.bound_price
        jacobian = raw.jacobian * self._jacobian_units
        limited = np.concatenate((rows, u))
        to_lower, to_upper = limited - self.lower, self.upper - limited
        return Point(
            u=u,
            y=y,
            value=raw.value / self.scales.f,
            gradient=gradient,
            jacobian=jacobian,
            hessian=raw.hessian * self._hessian_units,
            rows=rows,
            to_lower=to_lower,
            to_upper=to_upper,
            nearest=np.minimum(to_lower, to_upper),
            slope=gradient + y @ jacobian if y.size else gradient,
        )

    def bend(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Dimensionless ∇f + Jᵀy (n,), ∇²(f + yᵀc) (n, n) and c (m,) at x, in the problem's units; no more of it."""
        weights = y * self.row_price
        raw = self.evaluator(x, weights)
        slope = raw.gradient + weights @ raw.jacobian if y.size else raw.gradient
        return slope / self.bound_price, raw.hessian * self._hessian_units, raw.rows / self.scales.rows

    @cached_property
    def _jacobian_units(self) -> np.ndarray:
        return self.scales.x / self.scales.rows[:, None]

    @cached_property
    def _hessian_units(self) -> np.ndarray:
        return self.scales.x / self.bound_price[:, None]

    def holding(self, rows: np.ndarray, multipliers: np.ndarray) -> "Scaled":
        """The same problem with the limits of `rows` (m,) bool that the signs of `multipliers` name as equalities."""
        flat = self.flat
        at_upper = multipliers[: flat.m] > 0
        return replace(
            self,
            flat=replace(
                flat,
                row_lower=np.where(rows & at_upper, flat.row_upper, flat.row_lower),
                row_upper=np.where(rows & ~at_upper, flat.row_lower, flat.row_upper),
            ),
        )

    def at(self, u: np.ndarray) -> np.ndarray:
        """The x (n,) of u, within the bounds exactly."""
        return self.clipped(u * self.scales.x)

    def clipped(self, x: np.ndarray) -> np.ndarray:
        """x (n,), in the problem's units, projected onto the bounds; for few variables np.clip takes thrice as long."""
        return np.minimum(np.maximum(x, self.flat.lower), self.flat.upper)

    def values(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Dimensionless f and the violation (m,) of the rows at x, in the problem's units."""
        value, rows = self.evaluator.values(x)
        m = self.flat.m
        c = rows / self.scales.rows
        return value / self.scales.f, np.maximum(np.maximum(self.lower[:m] - c, c - self.upper[:m]), 0.0)


_latest: list[Scaled] = []


def scaled_problem(flat: FlatProblem, evaluator: Evaluator, scales: Scales) -> Scaled:
    """`Scaled` of these three objects; the last one is remembered, for a problem is judged again and again."""
    if not (_latest and _latest[0].flat is flat and _latest[0].evaluator is evaluator and _latest[0].scales is scales):
        _latest[:] = [Scaled(flat, evaluator, scales)]
    return _latest[0]
