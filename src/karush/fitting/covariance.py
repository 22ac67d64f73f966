"""Covariance of an estimate, from the factorization of J: nothing is squared.

```
J = Q R,   s² = Σ w r² / (m − n)
classical   C = s² (JᵀJ)⁻¹ = s² R⁻¹ R⁻ᵀ                                independent errors of equal (weighted) variance
sandwich    C = m/(m − n) · A⁻¹ (Σ ψᵢ² JᵢᵀJᵢ) A⁻¹,   A = Σ ψ'ᵢ JᵢᵀJᵢ     errors of any variance; robust losses
```

with ψ = ρ'(r²/C²) r, the influence of a residual [Hub81].
"""

import numpy as np
import scipy.linalg

from karush.core.errors import ProblemError
from karush.fitting import loss as losses

EPS = float(np.finfo(np.float64).eps)
RANK = 16.0
"""A singular value of J, its columns scaled to length 1, below ``RANK max(m, n) ε`` times the largest is zero."""


def inverse_factor(jacobian: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """R⁻¹ (n, n) with ``(JᵀJ)⁻¹ = R⁻¹ R⁻ᵀ``.

    Raises
    ------
    ProblemError
        where the columns of J are linearly dependent, naming the parameters that take part.
    """
    if jacobian.shape[0] < jacobian.shape[1]:
        raise ProblemError(
            f"no covariance: {jacobian.shape[0]} residuals do not tell {jacobian.shape[1]} parameters apart; fix some "
            "by equal bounds, or add observations"
        )
    length = np.linalg.norm(jacobian, axis=0)
    if not np.all(length > 0):
        name = names[int(np.argmin(length))]
        raise ProblemError(
            f"no covariance: the residuals do not depend on {name} at the solution; leave it out or fix it by equal "
            "bounds"
        )
    triangle = np.asarray(scipy.linalg.qr(jacobian / length, mode="r")[0])[: length.size]
    _, s, vt = np.linalg.svd(triangle)
    if not s[-1] > RANK * max(jacobian.shape) * EPS * s[0]:
        null = np.abs(vt[-1])
        involved = ", ".join(names[i] for i in np.argsort(-null)[:4] if null[i] > 0.1)
        raise ProblemError(
            f"no covariance: the Jacobian is rank deficient (condition {s[0] / max(s[-1], 1e-300):.1e} with scaled "
            f"columns): the data do not tell {involved} apart; fix one of them by equal bounds, or add observations"
        )
    return np.asarray(scipy.linalg.solve_triangular(triangle, np.eye(length.size))) / length[:, None]


def classical(jacobian: np.ndarray, variance: float, names: tuple[str, ...]) -> np.ndarray:
    """``variance (JᵀJ)⁻¹`` (n, n)."""
    half = inverse_factor(jacobian, names)
    return variance * (half @ half.T)


def sandwich(
    residual: np.ndarray, jacobian: np.ndarray, loss: str, scale: float, correction: float, names: tuple[str, ...]
) -> np.ndarray:
    """``correction A⁻¹ B A⁻¹`` (n, n)."""
    z = (residual / scale) ** 2
    _, first, second = losses.LOSSES[loss](np, z)
    slope = first + 2.0 * z * second
    influence = first * residual
    if np.all(slope >= 0):
        half = inverse_factor(np.sqrt(slope)[:, None] * jacobian, names)
        bread = half @ half.T
    else:
        # Beyond its inflection a loss bends down: A is no longer a sum of squares.
        length = np.linalg.norm(jacobian, axis=0)
        unit = jacobian / np.where(length > 0, length, 1.0)
        curvature = (slope[:, None] * unit).T @ unit
        if not np.linalg.eigvalsh(curvature)[0] > EPS * max(jacobian.shape):
            raise ProblemError(
                f"no covariance: with loss={loss!r} the curvature at the solution is not positive definite; give a "
                "larger loss_scale"
            )
        bread = np.linalg.inv(curvature) / np.outer(length, length)
    outer = bread @ (influence[:, None] * jacobian).T
    return correction * (outer @ outer.T)
