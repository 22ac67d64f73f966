"""The Hessian of sums of functions of affine maps, between two matrices in the order of definiteness.

```
f(x) = Σ_i w_i φ_i(a_iᵀ x + c_i):     H = Aᵀ diag(w φ'') A,     w φ''(X) ⊆ [l, u]
Aᵀ diag(l) A ⪯ H ⪯ Aᵀ diag(u) A       ⟹      ‖H‖₂ <= max(‖Aᵀ diag(u⁺) A‖₂, ‖Aᵀ diag(l⁻) A‖₂)
```

Logistic losses, least squares, sums of softplus are of this kind, in any number of variables; entry by entry the sum
over i would lose its order.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic import interval_functions as functions
from karush.arithmetic.interval_numbers import Interval, dense_ok
from karush.arithmetic.interval_slopes import SLOPES
from karush.bounds import norms
from karush.bounds.activation_lines import valued
from karush.bounds.branching import Bound
from karush.bounds.layers import Matrix, Network
from karush.bounds.scaled_norm import times
from karush.bounds.zonotopes import product

NEGLIGIBLE = 2.0**-900
"""coefficients of earlier activations that are 0 but for the margin of flushed numbers"""


def one_layer(network: Network) -> bool:
    """Whether all activations are functions of affine maps of x, with second derivatives, and the output is one."""
    n = network.n
    flat = all(
        layer.name in SLOPES
        and not np.any(np.abs(layer.weights.middle[:, n:]) + layer.weights.radius[:, n:] > NEGLIGIBLE)
        for layer in network.layers
    )
    return flat and network.weights.middle.shape[0] == 1


def by_order(network: Network, norm: tuple[float, float], budget: int) -> Bound | None:
    """The 2-norm of the Hessian on `budget` boxes at most; None for other networks."""
    if norm != (2, 2) or not one_layer(network):
        return None
    n = network.n
    rows = [Matrix(layer.weights.middle[:, :n], layer.weights.radius[:, :n]) for layer in network.layers]
    A = Matrix(np.concatenate([a.middle for a in rows]), np.concatenate([a.radius for a in rows]))
    out = network.weights
    w = Interval(*(jnp.asarray(out.middle[0, n:] + side * out.radius[0, n:]) for side in (-1.0, 1.0)))
    w = functions.add(w, Interval(jnp.zeros_like(w.lo), jnp.zeros_like(w.lo)))

    def curvatures(low: Any, high: Any) -> Any:
        parts = []
        for layer, a in zip(network.layers, rows, strict=True):
            shift = Interval(*(jnp.asarray(layer.shift.middle + side * layer.shift.radius) for side in (-1.0, 1.0)))
            z = functions.add(
                product(a, Interval(low, high)), functions.add(shift, Interval(0.0 * shift.lo, 0.0 * shift.lo))
            )
            y = valued(layer.name, z)
            bent = SLOPES[layer.name][1](z, y)
            ok = dense_ok(y) & dense_ok(bent)
            parts.append((jnp.where(ok, bent.lo, -jnp.inf), jnp.where(ok, bent.hi, jnp.inf)))
        joined = Interval(*(jnp.concatenate(ends) for ends in zip(*parts, strict=True)))
        scaled = functions.mul(w, joined)
        return scaled.lo, scaled.hi

    program = jax.jit(curvatures)

    def tighter(low: np.ndarray, high: np.ndarray, above: float, until: float) -> float:
        least, most = (np.asarray(end) for end in program(low, high))
        if not (np.isfinite(least).all() and np.isfinite(most).all()):
            return math.inf
        sides = (np.maximum(most, 0.0), np.maximum(-least, 0.0))
        return max(size(A, d) for d in sides)

    return Bound(tighter, budget)


def size(A: Matrix, d: np.ndarray) -> float:
    """``‖Aᵀ diag(d) A‖₂`` for d >= 0, from above."""
    scaled = Matrix(
        A.middle * d[:, None], norms.upward(A.radius * d[:, None] + norms.EPS * np.abs(A.middle) * d[:, None], 2)
    )
    whole = times(Matrix(A.middle.T, A.radius.T), scaled)
    low, high = whole.middle - whole.radius, whole.middle + whole.radius
    slip = norms.upward(2.0 * norms.EPS * np.maximum(np.abs(low), np.abs(high)), 1)
    return float(norms.upper((low - slip)[None], (high + slip)[None], 2, 2)[0])


__all__ = ["by_order"]
