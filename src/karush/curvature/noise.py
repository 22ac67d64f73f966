"""How well floating point knows a gradient and a Hessian: measured, not bounded a priori.

Rounding is repeated with other digits and the answers are compared:

```
D_k = H(x_k) Q_k − H(x) Q_k ,      x_k = x moved in its last digits,   Q_k = I − 2 w wᵀ,  ‖w‖ = 1, w random
```

The reflection makes every sum that forms H round differently, also where H does not depend on x. What all samples
have in common is not seen: a cancellation so complete that it leaves the same wrong digits everywhere. For that there
is `karush.curvature.neighbourhood`.
"""

import numpy as np

from karush.curvature.program import Derivatives

EPS = float(np.finfo(np.float64).eps)
SAMPLES = 3
"""Evaluations that are compared with the one at x."""
SAFETY = 8.0
"""The error is taken to be at most this times the largest difference seen among the samples."""
FLOOR = 16.0
"""An error is never stated below FLOOR · ε times the size of what is measured."""
LAST_DIGITS = 2
"""x moves by up to this many units of 2⁻⁵² relative."""


def gradient_error(derivatives: Derivatives, x: np.ndarray, gradient: np.ndarray, rng: np.random.Generator) -> float:
    """Estimated error of ‖∇f(x)‖₂, including that of x in its last digit."""
    changes = [derivatives.gradient(moved(x, rng)) - gradient for _ in range(SAMPLES)]
    return SAFETY * max(float(np.linalg.norm(change)) for change in changes) + FLOOR * EPS * float(
        np.linalg.norm(gradient)
    )


def hessian_error(derivatives: Derivatives, x: np.ndarray, hessian: np.ndarray, rng: np.random.Generator) -> float:
    """Estimated error of the Hessian (n, n) at x in the 2-norm."""
    worst = 0.0
    for _ in range(SAMPLES):
        w = rng.standard_normal(x.size)
        w /= np.linalg.norm(w)
        reflection = np.eye(x.size) - 2.0 * np.outer(w, w)
        difference = derivatives.columns(moved(x, rng), reflection) - hessian @ reflection
        worst = max(worst, norm_bound(difference))
    return SAFETY * worst + FLOOR * EPS * norm_bound(hessian)


def norm_bound(matrix: np.ndarray) -> float:
    """At least the 2-norm: the smaller of ``‖A‖_F`` and ``√(‖A‖₁ ‖A‖_∞)``."""
    sizes = np.abs(matrix)
    return float(min(np.linalg.norm(matrix), np.sqrt(sizes.sum(axis=0).max() * sizes.sum(axis=1).max())))


def moved(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """x (n,) moved by a few units in its last digit; entries that are 0 stay."""
    return x * (1.0 + EPS * rng.integers(-LAST_DIGITS, LAST_DIGITS, x.size, endpoint=True))


__all__ = ["EPS", "FLOOR", "SAFETY", "gradient_error", "hessian_error", "moved", "norm_bound"]
