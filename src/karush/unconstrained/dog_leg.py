"""Powell's dog leg: down the gradient first, then straight to Newton's point, as far as the trust region reaches.

```
p_C = −(gᵀg / gᵀHg) g        minimum of the model along −g
p_N = −H⁻¹ g                 minimum of the model
p   = τ p_C                  0 <= τ <= 1
      p_C + (τ − 1)(p_N − p_C)   1 <= τ <= 2     with ‖p‖ <= Δ       eq. (4.16) of [NW06], [Pow70]
```

Where H is not positive definite its Newton point is replaced by that of ``H + 3/2 |λ_min| I``, page 77 of [NW06]. A
saddle whose gradient vanishes is not left by the method itself.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import lax

from karush.solvers.prepared import Prepared
from karush.unconstrained.method import Algorithm, Method
from karush.unconstrained.more_sorensen import newton_step, rounding_of
from karush.unconstrained.newton import dense_algorithm

BEYOND = 1.5
"""An indefinite H is lifted by this multiple of its least eigenvalue; between 1 and 2."""


@dataclass(frozen=True)
class DogLeg(Method):
    """Powell's dog leg with exact Hessian, for up to some hundred variables without bounds."""

    name: ClassVar[str] = "dog-leg"
    instead: ClassVar[str] = "'newton' or 'interior-point'"

    def algorithm(self, parts: Prepared) -> Algorithm:
        """Its `init` and `step`."""
        return dense_algorithm(parts, dog_leg_step)


def dog_leg_step(g: Any, H: Any, radius: Any) -> tuple[Any, Any]:
    """The point p (n,) of the path within the ball, and whether H is convex."""
    newton, definite = newton_step(g, H)

    def shifted() -> tuple[Any, Any]:
        least = jnp.linalg.eigh(H, symmetrize_input=False)[0][0]
        rounding = rounding_of(H)
        lifted = H + (BEYOND * jnp.maximum(-least, rounding)) * jnp.eye(g.size)
        return newton_step(g, lifted)[0], least >= -rounding

    newton, convex = lax.cond(definite, lambda: (newton, definite), shifted)
    newton = jnp.where(jnp.all(jnp.isfinite(newton)), newton, 0.0)

    square, bend = jnp.vdot(g, g), jnp.vdot(g, H @ g)
    length = jnp.sqrt(square)
    to_edge = radius / jnp.maximum(length, jnp.finfo(g.dtype).tiny)
    cauchy = -jnp.where(bend > 0, jnp.minimum(square / jnp.where(bend > 0, bend, 1.0), to_edge), to_edge) * g
    # ‖p_C + t (p_N − p_C)‖ = Δ, the positive root in the form that does not cancel.
    second = newton - cauchy
    a, b = jnp.vdot(second, second), jnp.vdot(cauchy, second)
    room = jnp.maximum(radius**2 - jnp.vdot(cauchy, cauchy), 0.0)
    root = jnp.sqrt(jnp.maximum(b**2 + a * room, 0.0))
    t = jnp.where(b > 0, room / jnp.where(b > 0, b + root, 1.0), (root - b) / jnp.where(a > 0, a, 1.0))
    return cauchy + jnp.clip(t, 0.0, 1.0) * second, convex
