"""The exact step of a trust region, by Moré and Sorensen [MS83].

```
p minimises  gᵀp + ½ pᵀHp  over ‖p‖ <= Δ   exactly if, for some λ >= 0,

(H + λI) p = −g,      λ (Δ − ‖p‖) = 0,      H + λI positive semidefinite
```

Inside the ball p is Newton's step, by Cholesky. Otherwise ``‖p(λ)‖ = Δ`` is solved by Cholesky again, of which a dozen
cost less than the eigenvalues. What few trials of λ do not bracket is solved in the eigenbasis of H, where each value
of ``‖p(λ)‖`` costs n operations. The *hard case*, in which no λ has ``‖p(λ)‖ = Δ``, is completed along the eigenvector
of the least eigenvalue, which is how a saddle is left.
"""

from typing import Any, NamedTuple

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
LIFTED_FROM = 17
"""variables from which eigenvalues cost more than LIFTS factors and their compilation"""
LIFTS, LEAST_SHARE = 10, 0.01
"""trials of λ for an indefinite H; part of the bracket that each leaves behind at least"""


class Shifted(NamedTuple):
    """H + λI as it was tried."""

    shift: Any
    """λ >= 0"""
    factor: Any
    """(n, n) L; no number where H + λI is not definite"""
    p: Any
    """(n,) p(λ)"""
    long: Any
    """whether H + λI is definite and p(λ) longer than Δ: λ lies between −d₁ and what is looked for"""


def exact_step(g: Any, H: Any, radius: Any) -> tuple[Any, Any]:
    """The minimum p (n,) of the model of gradient g (n,) and Hessian H (n, n), and whether H is convex."""
    factor, definite = factored(H)
    newton = solved(factor, g)
    inside = definite & (jnp.vdot(newton, newton) <= radius**2)
    unshifted = Shifted(jnp.zeros_like(radius), factor, newton, definite)
    return lax.cond(inside, lambda: (newton, jnp.asarray(True)), lambda: _at_edge(g, H, radius, unshifted))


def _at_edge(g: Any, H: Any, radius: Any, start: Shifted) -> tuple[Any, Any]:
    """The minimum of a model that has none inside the ball, and whether H is convex."""
    definite = start.long
    if g.size >= LIFTED_FROM:
        start = lax.cond(definite, lambda: start, lambda: lifted(g, H, radius))

    def by_cholesky() -> tuple[Any, Any]:
        convex = lax.cond(definite, lambda: definite, lambda: factored(H + rounding_of(H) * jnp.eye(g.size))[1])
        return shortened(g, H, radius, start), convex

    return lax.cond(start.long, by_cholesky, lambda: on_sphere(g, H, radius))


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


def shortened(g: Any, H: Any, radius: Any, start: Shifted) -> Any:
    """p(λ) (n,) with ``‖p(λ)‖ = Δ``, from a λ for which it is longer.

    ``1/‖p(λ)‖`` is concave and nearly linear: Newton's method on it increases towards the root (algorithm 4.3 of
    [NW06]).
    """

    def going(state: tuple[Shifted, Any]) -> Any:
        at, count = state
        return (jnp.sqrt(jnp.vdot(at.p, at.p)) > (1.0 + ON_SPHERE) * radius) & (count < SECULAR_STEPS)

    def advance(state: tuple[Shifted, Any]) -> tuple[Shifted, Any]:
        at, count = state
        return _tried(g, H, radius, _next_shift(at, radius)), count + 1

    return lax.while_loop(going, advance, (start, 0))[0].p


def lifted(g: Any, H: Any, radius: Any) -> Shifted:
    """A λ with H + λI definite and ``‖p(λ)‖ >= Δ``, H not definite; not `long` where few trials find none.

    Where p(λ) is too short Newton's method on ``1/‖p(λ)‖`` goes down to such a λ or to one below −d₁; between the two
    geometric means are tried, section 7.3 of [CGT00].
    """

    def going(state: tuple[Shifted, Any, Any, Any]) -> Any:
        at, *_, count = state
        return ~at.long & (count < LIFTS)

    def advance(state: tuple[Shifted, Any, Any, Any]) -> tuple[Shifted, Any, Any, Any]:
        at, low, high, count = state
        definite = jnp.isfinite(at.p[0])
        low, high = jnp.where(definite, low, at.shift), jnp.where(definite, at.shift, high)
        newton = _next_shift(at, radius)
        between = jnp.maximum(jnp.sqrt(low * high), low + LEAST_SHARE * (high - low))
        shift = jnp.where((newton > low) & (newton < high), newton, between)
        return _tried(g, H, radius, shift), low, high, count + 1

    # ‖p‖ <= Δ at the latter.
    low, high = jnp.zeros_like(radius), jnp.sqrt(jnp.vdot(g, g)) / radius + jnp.sqrt(jnp.sum(H * H))
    first = _tried(g, H, radius, LEAST_SHARE * high)
    return lax.while_loop(going, advance, (first, low, high, 1))[0]


def _tried(g: Any, H: Any, radius: Any, shift: Any) -> Shifted:
    factor, definite = factored(H + shift * jnp.eye(g.size))
    p = solved(factor, g)
    return Shifted(shift, factor, p, definite & (jnp.vdot(p, p) >= radius**2))


def _next_shift(at: Shifted, radius: Any) -> Any:
    """Newton's step for ``1/‖p(λ)‖ = 1/Δ``."""
    half = lax.linalg.triangular_solve(at.factor, at.p[:, None], left_side=True, lower=True)
    square = jnp.vdot(at.p, at.p)
    return at.shift + square / jnp.vdot(half, half) * (jnp.sqrt(square) / radius - 1.0)


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
