"""Problems that are convex beyond doubt: affine and quadratic functions with verified curvature.

A KKT point of a convex problem is a global minimum ([NW06], section 12.9). The degrees are those of
`karush.jaxprs.degree`, upper bounds from the traced program; the Hessian of a quadratic is constant.
"""

import numpy as np

from karush.arithmetic.ball_numbers import Undecided, balls
from karush.arithmetic.semidefinite import eliminated
from karush.jaxprs.degree import AFFINE, QUADRATIC, degrees
from karush.proofs.definite import positive_definite
from karush.proofs.functions import Functions


def why_convex(functions: Functions) -> str:
    """Why the problem is convex, in words; empty if that is not proved."""
    try:
        return _why(functions)
    except Undecided:
        return ""


def _why(functions: Functions) -> str:
    flat = functions.flat
    value, rows = degrees(flat.closed_jaxpr)
    upper, lower = np.isfinite(flat.row_upper), np.isfinite(flat.row_lower)
    curved = np.flatnonzero(rows > AFFINE)
    if value > QUADRATIC or np.any(rows > QUADRATIC) or np.any(upper[curved] & lower[curved]):
        return ""
    if value > AFFINE and not _semidefinite(_hessian(functions, 0), 1):
        return ""
    for row in curved:
        if not _semidefinite(_hessian(functions, 1 + int(row)), 1 if upper[row] else -1):
            return ""
    objective = "the objective is affine" if value <= AFFINE else "the objective is quadratic with H ⪰ 0"
    return f"{objective}, the constraints are {'convex quadratics and affine' if curved.size else 'affine'}"


def _hessian(functions: Functions, index: int) -> np.ndarray:
    """Constant Hessian of f (index 0) or of a row, which is quadratic, so that any point will do."""
    weights = np.zeros(1 + functions.flat.m)
    weights[index] = 1.0
    _, _, hessian = functions.second(np.zeros(functions.flat.n), weights)
    return hessian


def _semidefinite(hessian: np.ndarray, sign: int) -> bool:
    """Whether ``sign H`` is positive semidefinite: by balls if definite, else in rational numbers if exact."""
    signed = hessian * balls(float(sign)).item()
    if positive_definite(signed):
        return True
    if not all(ball.is_exact() for ball in signed.flat):
        return False
    return eliminated([[ball.fmpq() for ball in row] for row in signed])


__all__ = ["why_convex"]
