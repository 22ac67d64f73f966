"""Random programs for tests of convexity: expressions of a few operations, drawn from a seed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

UNARY = {
    "exp": jnp.exp,
    "log": jnp.log,
    "sqrt": jnp.sqrt,
    "square": jnp.square,
    "abs": jnp.abs,
    "neg": lambda u: -u,
    "inverse": lambda u: 1.0 / u,
    "cube": lambda u: u**3,
    "tanh": jnp.tanh,
    "cosh": jnp.cosh,
    "softplus": jax.nn.softplus,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "power": lambda u: u**1.5,
    "root": lambda u: u**0.4,
    "inverse square": lambda u: u**-2,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "clip gap": lambda u: u - jnp.clip(u, -0.5, 0.5),
    "sum": lambda u: jnp.sum(u) * jnp.ones_like(u),
    "mean": lambda u: jnp.mean(u) + jnp.zeros_like(u),
    "max": lambda u: jnp.max(u) + jnp.zeros_like(u),
    "logsumexp": lambda u: jax.nn.logsumexp(u) + jnp.zeros_like(u),
    "norm": lambda u: jnp.sqrt(jnp.sum(u * u)) + jnp.zeros_like(u),
    "product": lambda u: jnp.prod(u) + jnp.zeros_like(u),
    "shifted": lambda u: u - jnp.max(u),
    "flip": lambda u: u[::-1],
    "sorted": lambda u: jnp.sum(jnp.sort(u)[-2:]) + jnp.zeros_like(u),
    "entropy": lambda u: u * jnp.log(u),
    "affine up": lambda u: 0.4 * u + 1.5,
    "affine down": lambda u: 2.0 - 0.7 * u,
}
BINARY = {
    "add": lambda u, v: u + v,
    "sub": lambda u, v: u - v,
    "mul": lambda u, v: u * v,
    "div": lambda u, v: u / v,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "logaddexp": jnp.logaddexp,
    "quadratic over": lambda u, v: u**2 / v,
    "relative entropy": lambda u, v: u * (jnp.log(u) - jnp.log(v)),
    "perspective": lambda u, v: v * jnp.exp(u / v),
    "geometric": lambda u, v: jnp.sqrt(u * v),
    "hypot": jnp.hypot,
}


def draw(seed: int, n: int = 3, depth: int = 5) -> Any:
    """A function from R^n to R."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, n))
    plan = []
    for k in range(depth):
        if rng.random() < 0.6:
            plan.append((str(rng.choice(list(UNARY))), int(rng.integers(k + 2)), -1))
        else:
            plan.append((str(rng.choice(list(BINARY))), int(rng.integers(k + 2)), int(rng.integers(k + 2))))

    def function(x: Any) -> Any:
        values = [x, A @ x]
        for name, i, j in plan:
            values.append(UNARY[name](values[i]) if j < 0 else BINARY[name](values[i], values[j]))
        return jnp.sum(values[-1])

    return function, plan
