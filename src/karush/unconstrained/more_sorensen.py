"""The exact step of a trust region, by Moré and Sorensen [MS83].

```
p minimises  gᵀp + ½ pᵀHp  over ‖p‖ <= Δ   exactly if, for some λ >= 0,

(H + λI) p = −g,      λ (Δ − ‖p‖) = 0,      H + λI positive semidefinite
```

Inside the ball p is Newton's step, by Cholesky. Otherwise ``‖p(λ)‖ = Δ`` is solved: for a definite H by Cholesky again,
of which a dozen cost less than the eigenvalues; else in the eigenbasis of H, where each value of ``‖p(λ)‖`` costs n
operations. The *hard case*, in which no λ has ``‖p(λ)‖ = Δ``, is completed along the eigenvector of the least
eigenvalue, which is how a saddle is left.
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
    factor, definite = factored(H)
    newton = solved(factor, g)
    inside = jnp.vdot(newton, newton) <= radius**2
    return lax.cond(
        definite,
        lambda: (lax.cond(inside, lambda: newton, lambda: shortened(g, H, radius, factor, newton)), jnp.asarray(True)),
        lambda: on_sphere(g, H, radius),
    )


def newton_step(g: Any, H: Any) -> tuple[Any, Any]:
    """``−H⁻¹ g`` (n,) by Cholesky, and whether H is positive definite; no number otherwise."""
    factor, definite = factored(H)
    return solved(factor, g), definite


def factored(H: Any) -> tuple[Any, Any]:
    """L (n, n) with ``L Lᵀ = H``, and whether there is one."""
    factor = lax.linalg.cholesky(H, symmetrize_input=False)
    return factor, jnp.all(jnp.isfinite(jnp.diagonal(factor)))


def solved(factor: Any, g: Any) -> Any:
    """``−(L Lᵀ)⁻¹ g`` (n,)."""
    half = lax.linalg.triangular_solve(factor, -g[:, None], left_side=True, lower=True)
    return lax.linalg.triangular_solve(factor, half, left_side=True, lower=True, transpose_a=True)[:, 0]


def shortened(g: Any, H: Any, radius: Any, factor: Any, newton: Any) -> Any:
    """p(λ) (n,) with ``‖p(λ)‖ = Δ`` for a definite H with its factor L, whose Newton step is longer than Δ.

    ``1/‖p(λ)‖`` is concave and nearly linear: Newton's method on it increases from λ = 0 towards the root (algorithm
    4.3 of [NW06]).
    """

    def going(state: tuple[Any, ...]) -> Any:
        _, _, p, count = state
        return (jnp.sqrt(jnp.vdot(p, p)) > (1.0 + ON_SPHERE) * radius) & (count < SECULAR_STEPS)

    def advance(state: tuple[Any, ...]) -> tuple[Any, ...]:
        shift, factor, p, count = state
        half = lax.linalg.triangular_solve(factor, p[:, None], left_side=True, lower=True)
        square = jnp.vdot(p, p)
        shift += square / jnp.vdot(half, half) * (jnp.sqrt(square) / radius - 1.0)
        factor, _ = factored(H + shift * jnp.eye(g.size))
        return shift, factor, solved(factor, g), count + 1

    return lax.while_loop(going, advance, (jnp.zeros_like(radius), factor, newton, 0))[2]


def rounding_of(H: Any) -> Any:
    """What the eigenvalues of H (n, n) cannot be told from."""
    return CONVEX * H.shape[0] * EPS * jnp.sqrt(jnp.sum(H * H))


def on_sphere(g: Any, H: Any, radius: Any) -> tuple[Any, Any]:
    """p (n,) with ``‖p‖ = Δ`` for an H that is not definite; whether it is convex to rounding.

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
