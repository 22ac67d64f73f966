"""A seeded grammar of JAX functions of a few variables, for tests of soundness: the same seed, the same function.

Every expression is defined on the whole of [−2, 2]ⁿ: arguments of log, sqrt and divisors are kept positive by the
grammar, arguments of fast-growing functions are kept small.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special as special
from jax import lax

LOW, HIGH = -2.0, 2.0
DEPTH = 4
CONSTANTS = (0.1, 1 / 3, 2.0, -1.0, 0.5, 3.0, -0.7, 1e-3, 7.0, 1e-8, 100.0, 1.0)

UNARY: dict[str, Callable[[Any], Any]] = {
    "exp": lambda u: jnp.exp(jnp.tanh(u)),
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "hypotenuse": lambda u: jnp.sqrt(1.0 + u * u),
    "log": lambda u: jnp.log(0.5 + u * u),
    "log1p": lambda u: jnp.log1p(u * u),
    "atan": jnp.arctan,
    "erf": special.erf,
    "abs": jnp.abs,
    "relu": jax.nn.relu,
    "square": lambda u: u * u,
    "cube": lambda u: u**3,
    "reciprocal": lambda u: 1.0 / (2.0 + jnp.cos(u)),
    "asinh": jnp.arcsinh,
    "bell": lambda u: jnp.exp(-u * u),
    "power": lambda u: (1.0 + u * u) ** 0.7,
    "inverse square": lambda u: (1.5 + jnp.abs(u)) ** -2,
    "step": lambda u: jnp.where(u > 0.3, u + 1.0, -u),
    "masked": lambda u: (u > 0.0) * u,
    "floor": lambda u: jnp.floor(u) + u,
    "clip": lambda u: jnp.clip(u, -0.5, 0.8),
    "sinh": lambda u: jnp.sinh(jnp.tanh(u)),
    "cosh": lambda u: jnp.cosh(jnp.sin(u)),
    "tan": lambda u: jnp.tan(jnp.tanh(u)),
    "asin": lambda u: jnp.arcsin(0.9 * jnp.tanh(u)),
    "expm1": lambda u: jnp.expm1(jnp.sin(u)),
    "rsqrt": lambda u: lax.rsqrt(0.3 + u * u),
    "logistic loss": lambda u: jnp.logaddexp(0.0, -u),
    "guarded log": lambda u: jnp.where(u > 0.0, jnp.log(jnp.where(u > 0.0, u, 1.0)), 0.0),
}
"""functions of one number"""

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda u, v: u + v,
    "-": lambda u, v: u - v,
    "*": lambda u, v: u * v,
    "/": lambda u, v: u / (1.0 + v * v),
    "max": jnp.maximum,
    "min": jnp.minimum,
    "choice": lambda u, v: jnp.where(u < v, u, v * 0.5),
    "logaddexp": jnp.logaddexp,
    "hypot": lambda u, v: jnp.sqrt(u * u + v * v + 0.1),
    "power": lambda u, v: (1.0 + u * u) ** jnp.tanh(v),
}
"""functions of two numbers"""

VECTOR: dict[str, Callable[[Any], Any]] = {
    "sum": jnp.sum,
    "product": jnp.prod,
    "largest": jnp.max,
    "norm": lambda v: jnp.sqrt(jnp.sum(v * v) + 0.01),
    "logsumexp": special.logsumexp,
    "softmax": lambda v: jax.nn.softmax(v)[0],
    "middle": lambda v: jnp.sort(v)[1],
    "running": lambda v: jnp.cumsum(v) @ jnp.arange(1.0, v.size + 1.0),
    "form": lambda v: v @ (jnp.array([[2.0, 0.3, -1.0], [0.3, 1.0, 0.1], [-1.0, 0.1, 3.0]])[: v.size, : v.size] @ v),
    "variance": jnp.var,
    "shifted": lambda v: jnp.sum(jnp.roll(v, 1) * v[::-1]),
    "read": lambda v: v[jnp.array([1, 0, 1])] @ jnp.array([0.3, 0.2, 0.5]),
    "written": lambda v: jnp.sum(jnp.zeros(4).at[jnp.array([0, 2, 2])[: v.size]].add(v) ** 2),
    "loop": lambda v: lax.fori_loop(0, 3, lambda i, c: jnp.sin(c) + v[0] * 0.5, v[1]),
    "recurrence": lambda v: lax.scan(lambda c, t: (jnp.tanh(c + t), c * t), v[0], v)[1].sum(),
}
"""functions of an array"""


@dataclass(frozen=True)
class Generated:
    """A function ``x (n,) -> ()`` and how it was made."""

    text: str
    n: int
    function: Callable[[Any], Any]


def generate(seed: int) -> Generated:
    """The function of a seed, of 2 or 3 variables."""
    chance = random.Random(seed)
    n = chance.choice((2, 3))
    text, function = _expression(chance, n, chance.randint(2, DEPTH))
    return Generated(text, n, function)


def _expression(chance: random.Random, n: int, depth: int) -> tuple[str, Callable[[Any], Any]]:
    kind = chance.random()
    if depth == 0 or kind < 0.08:
        if chance.random() < 0.75:
            k = chance.randrange(n)
            return f"x{k}", lambda x: x[k]
        value = chance.choice(CONSTANTS)
        return repr(value), lambda x: jnp.asarray(value)
    if kind < 0.5:
        name = chance.choice(list(UNARY))
        inner, below = _expression(chance, n, depth - 1)
        return f"{name}({inner})", lambda x: UNARY[name](below(x))
    if kind < 0.85:
        name = chance.choice(list(BINARY))
        (left, f), (right, g) = (_expression(chance, n, depth - 1) for _ in range(2))
        return f"({left} {name} {right})", lambda x: BINARY[name](f(x), g(x))
    name = chance.choice(list(VECTOR))
    parts = [_expression(chance, n, depth - 2 if depth > 1 else 0) for _ in range(3)]
    return f"{name}[{', '.join(text for text, _ in parts)}]", lambda x: VECTOR[name](
        jnp.stack([p(x) for _, p in parts])
    )
