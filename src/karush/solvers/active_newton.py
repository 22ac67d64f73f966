"""Newton's method on the KKT equations of a guessed active set.

With A the gradients of the limits that multipliers and distances call active, and r how far those limits are missed,

```
⎡ H  Aᵀ ⎤ ⎡ dx ⎤     ⎡ g ⎤
⎢       ⎥ ⎢    ⎥ = − ⎢   ⎥        λ_active = w
⎣ A  0  ⎦ ⎣ w  ⎦     ⎣ r ⎦
```

solved in the least-squares sense, so that dependent gradients need no care.
"""

from dataclasses import replace

import numpy as np

from karush.backends.answer import BackendAnswer as Answer
from karush.certificates import Scales
from karush.derivatives.evaluator import Evaluator
from karush.problem.flat import FlatProblem

STEPS = 8
"""Newton steps; quadratic convergence needs three or four, the rest is for dependent gradients"""
NEAR = 1e-5
"""a limit this close, in typical sizes, is a candidate for the active set"""

FINE = 1e-3
"""share of the tolerance below which there is nothing left to polish"""


def polish(flat: FlatProblem, evaluator: Evaluator, scales: Scales, answer: Answer, tol: float) -> Answer | None:
    """A better KKT point near the answer, or None where the steps do not lower the residual."""
    best: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    best_residual = _residual(flat, evaluator, scales, answer.x, answer.y, answer.z)
    for near in (tol, NEAR, 1e-3):
        x, y, z = answer.x, answer.y, answer.z
        last = np.inf
        for _ in range(STEPS):
            x, y, z = _step(flat, evaluator, scales, x, y, z, near)
            residual = _residual(flat, evaluator, scales, x, y, z)
            if residual < 0.5 * best_residual:
                best, best_residual = (x, y, z), residual
            if not residual < 0.5 * last:
                break
            last = residual
        if best is not None and best_residual <= FINE * tol:
            break
    if best is None:
        return None
    x, y, z = best
    return replace(answer, x=x, y=y, z=z, iterations=0, evaluations=3 * STEPS, history=())


def _residual(
    flat: FlatProblem, evaluator: Evaluator, scales: Scales, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> float:
    at = evaluator(x, y)
    stationarity = (at.gradient + y @ at.jacobian + z) * scales.x / scales.f
    outside = np.maximum(np.maximum(at.rows - flat.row_upper, flat.row_lower - at.rows), 0.0) / scales.rows
    gap_rows = _gap(y, at.rows, flat.row_lower, flat.row_upper) / scales.f
    gap_bounds = _gap(z, x, flat.lower, flat.upper) / scales.f
    parts = [np.max(np.abs(part), initial=0.0) for part in (stationarity, outside, gap_rows, gap_bounds)]
    return float(np.max(parts)) if np.all(np.isfinite(parts)) else np.inf


def _gap(multiplier: np.ndarray, value: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Multiplier times distance inside its limit; a multiplier without a limit counts with the whole of itself."""
    inside = np.where(multiplier > 0, upper - value, value - lower)
    distance = np.where(np.isfinite(inside), np.maximum(inside, 0.0), 1.0)
    return np.where((multiplier == 0.0) | (lower == upper), 0.0, np.abs(multiplier) * distance)


def _step(
    flat: FlatProblem, evaluator: Evaluator, scales: Scales, x: np.ndarray, y: np.ndarray, z: np.ndarray, near: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    at = evaluator(x, y)
    n, m = flat.n, flat.m
    rows, row_target = _active(at.rows, flat.row_lower, flat.row_upper, y * scales.rows / scales.f, scales.rows, near)
    held, x_target = _active(x, flat.lower, flat.upper, z * scales.x / scales.f, scales.x, near)
    A = np.concatenate([at.jacobian[rows], np.eye(n)[held]])
    r = np.concatenate([at.rows[rows] - row_target[rows], x[held] - x_target[held]])
    # Dimensionless, so that the least-squares solution weighs all unknowns alike.
    unit = np.concatenate([scales.rows[rows], scales.x[held]])
    H = at.hessian * scales.x * scales.x[:, None] / scales.f
    A = A * scales.x / unit[:, None]
    matrix = np.block([[H, A.T], [A, np.zeros((len(A), len(A)))]])
    right = -np.concatenate([at.gradient * scales.x / scales.f, r / unit])
    if not np.all(np.isfinite(matrix)) or not np.all(np.isfinite(right)):
        return x * np.nan, y, z
    solution = np.linalg.lstsq(matrix, right, rcond=1e-13)[0]
    x = flat.projected(np.where(held, x_target, x + solution[:n] * scales.x))
    multipliers = solution[n:] * scales.f / unit
    y_new, z_new = np.zeros(m), np.zeros(n)
    y_new[rows], z_new[held] = multipliers[: rows.sum()], multipliers[rows.sum() :]
    y_new = _right_sign(y_new, flat.row_lower, flat.row_upper, row_target)
    return x, y_new, _right_sign(z_new, flat.lower, flat.upper, x_target)


def _active(
    value: np.ndarray, lower: np.ndarray, upper: np.ndarray, multiplier: np.ndarray, scale: np.ndarray, near: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mask of the active limits, and the limit each of them is at."""
    below, above = (value - lower) / scale, (upper - value) / scale
    target = np.where(below <= above, lower, upper)
    distance = np.minimum(below, above)
    return (lower == upper) | ((distance <= near) & (distance <= np.abs(multiplier) + near)), target


def _right_sign(multiplier: np.ndarray, lower: np.ndarray, upper: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Multipliers with the sign of the limit they belong to; the others are dropped."""
    wrong = (lower < upper) & np.where(target == upper, multiplier < 0, multiplier > 0)
    return np.where(wrong, 0.0, multiplier)
