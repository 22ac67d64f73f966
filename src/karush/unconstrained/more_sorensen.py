"""The exact step of a trust region, by Moré and Sorensen [MS83].

```
p minimises  gᵀp + ½ pᵀHp  over ‖p‖ <= Δ   exactly if, for some λ >= 0,

(H + λI) p = −g,      λ (Δ − ‖p‖) = 0,      H + λI positive semidefinite
```

Inside the ball p is Newton's step, by Cholesky. Otherwise ``‖p(λ)‖ = Δ`` is solved in the eigenbasis of H, where each
value of ``‖p(λ)‖`` costs n operations; the *hard case*, in which no λ has ``‖p(λ)‖ = Δ``, is completed along the
eigenvector of the least eigenvalue, which is how a saddle is left.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from karush.unconstrained.trust_region import EPS

CONVEX = 16.0
"""H counts as positive semidefinite if its least eigenvalue is above −CONVEX n ε ‖H‖, as in the certificate"""
ON_SPHERE = 1e-6
"""relative error of ‖p‖ = Δ"""
SECULAR_STEPS = 50
"""most Newton steps on the secular equation, which takes 3 to 6"""


def exact_step(g: Any, H: Any, radius: Any) -> tuple[Any, Any]:
    """The minimum p (n,) of the model of gradient g (n,) and Hessian H (n, n), and whether H is convex."""
    newton, definite = newton_step(g, H)
    inside = definite & (jnp.vdot(newton, newton) <= radius**2)
    return lax.cond(inside, lambda: (newton, jnp.asarray(True)), lambda: on_sphere(g, H, radius))


def newton_step(g: Any, H: Any) -> tuple[Any, Any]:
    """``−H⁻¹ g`` (n,) by Cholesky, and whether H is positive definite; no number otherwise."""
    factor = lax.linalg.cholesky(H, symmetrize_input=False)
    definite = jnp.all(jnp.isfinite(jnp.diagonal(factor)))
    half = lax.linalg.triangular_solve(factor, -g[:, None], left_side=True, lower=True)
    newton = lax.linalg.triangular_solve(factor, half, left_side=True, lower=True, transpose_a=True)[:, 0]
    return newton, definite


def rounding_of(H: Any) -> Any:
    """What the eigenvalues of H (n, n) cannot be told from."""
    return CONVEX * H.shape[0] * EPS * jnp.sqrt(jnp.sum(H * H))


def on_sphere(g: Any, H: Any, radius: Any) -> tuple[Any, Any]:
    """p (n,) with ``‖p‖ = Δ`` for an H that is not definite, or whose Newton step is longer than Δ; whether convex.

    A p inside the ball comes of an H that is singular and otherwise convex.
    """
    d, vectors = jnp.linalg.eigh(H, symmetrize_input=False)
    gamma = g @ vectors
    size = jnp.maximum(jnp.maximum(jnp.abs(d[0]), jnp.abs(d[-1])), jnp.sqrt(jnp.vdot(gamma, gamma)) / radius)
    least = jnp.maximum(0.0, -d[0])
    margin = EPS * size + jnp.finfo(g.dtype).tiny

    def norm(shift: Any) -> Any:
        return jnp.sqrt(jnp.sum((gamma / (d + shift)) ** 2))

    # ‖p(λ)‖ >= |γ_i| / (d_i + λ) for every i, so λ lies above this; from below, Newton's method increases towards it.
    start = jnp.maximum(least + margin, jnp.max(jnp.abs(gamma) / radius - d))

    def going(state: tuple[Any, Any]) -> Any:
        shift, count = state
        return (jnp.abs(norm(shift) - radius) > ON_SPHERE * radius) & (count < SECULAR_STEPS)

    def newton(state: tuple[Any, Any]) -> tuple[Any, Any]:
        shift, count = state
        length = norm(shift)
        curve = jnp.sum(gamma**2 / (d + shift) ** 3)
        return jnp.maximum(shift + length**2 / curve * (length - radius) / radius, least + margin), count + 1

    hard = norm(start) < radius * (1.0 - ON_SPHERE)
    shift = lax.while_loop(lambda s: ~hard & going(s), newton, (start, 0))[0]
    regular = -gamma / (d + shift)

    apart = d + least > jnp.sqrt(EPS) * size
    short = jnp.where(apart, -gamma / jnp.where(apart, d + least, 1.0), 0.0)
    missing = jnp.sqrt(jnp.maximum(radius**2 - jnp.vdot(short, short), 0.0))
    along = jnp.where(gamma[0] > 0, -missing, missing)
    completed = short + jnp.where(d[0] < -rounding_of(H), along, 0.0) * jax.nn.one_hot(0, d.size, dtype=d.dtype)
    return vectors @ jnp.where(hard, completed, regular), d[0] >= -rounding_of(H)
