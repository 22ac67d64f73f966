"""Losses ρ that bound what a single observation can do: ``cost = ½ Σ C² ρ(z)``, ``z = w r² / C²``.

```
linear     ρ = z                      least squares
huber      ρ = z,  2√z − 1 for z > 1  [Hub81]
soft_l1    ρ = 2(√(1+z) − 1)
cauchy     ρ = ln(1 + z)
arctan     ρ = arctan z
```

The definitions are SciPy's. All have ρ(0) = 0 and ρ'(0) = 1; C is the size of a residual that still counts as normal.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

TINY_CURVATURE = 1.0e-8
"""Least share of a residual's curvature that is kept: beyond its inflection a loss bends down, which no sum of squares
can (the rule of Triggs et al. [TMHF00], as in SciPy)."""

Loss = Callable[[ModuleType, Any], tuple[Any, Any, Any]]
"""``(numpy or jax.numpy, z (m,)) -> ρ, ρ', ρ''``, each (m,)"""


def _linear(np: ModuleType, z: Any) -> tuple[Any, Any, Any]:
    return z, np.ones_like(z), np.zeros_like(z)


def _huber(np: ModuleType, z: Any) -> tuple[Any, Any, Any]:
    # The root of the branch not taken must have a derivative too: 0 * inf is NaN.
    far = np.where(z > 1.0, z, 1.0)
    root = np.sqrt(far)
    inside = z <= 1.0
    return (
        np.where(inside, z, 2.0 * root - 1.0),
        np.where(inside, 1.0, 1.0 / root),
        np.where(inside, 0.0, -0.5 / (far * root)),
    )


def _soft_l1(np: ModuleType, z: Any) -> tuple[Any, Any, Any]:
    t = 1.0 + z
    root = np.sqrt(t)
    # 2 (√(1+z) − 1) without cancellation.
    return 2.0 * z / (root + 1.0), 1.0 / root, -0.5 / (t * root)


def _cauchy(np: ModuleType, z: Any) -> tuple[Any, Any, Any]:
    t = 1.0 + z
    return np.log1p(z), 1.0 / t, -1.0 / t**2


def _arctan(np: ModuleType, z: Any) -> tuple[Any, Any, Any]:
    t = 1.0 + z**2
    return np.arctan(z), 1.0 / t, -2.0 * z / t**2


LOSSES: dict[str, Loss] = {
    "linear": _linear,
    "huber": _huber,
    "soft_l1": _soft_l1,
    "cauchy": _cauchy,
    "arctan": _arctan,
}


def cost(np: ModuleType, name: str, scale: float, residual: Any) -> Any:
    """``½ Σ C² ρ(r²/C²)`` of the weighted residuals r (m,)."""
    if name == "linear":
        return 0.5 * np.vdot(residual, residual)
    return 0.5 * scale**2 * np.sum(LOSSES[name](np, (residual / scale) ** 2)[0])


def linearised(np: ModuleType, name: str, scale: float, residual: Any, jacobian: Any) -> tuple[Any, Any]:
    """r̃ (m,) and J̃ (m, n) with the cost's gradient ``J̃ᵀr̃ = Jᵀ(ρ' r)`` and nearly its curvature ``J̃ᵀJ̃``.

    ``J̃ = √(ρ' + 2zρ'') J``, ``r̃ = ρ' r / √(ρ' + 2zρ'')``
    """
    if name == "linear":
        return residual, jacobian
    z = (residual / scale) ** 2
    _, first, second = LOSSES[name](np, z)
    share = np.sqrt(np.maximum(first + 2.0 * z * second, TINY_CURVATURE))
    return residual * first / share, jacobian * share[:, None]
