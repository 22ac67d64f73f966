"""Functions of JAX's own library, losses and classical test functions, for tests of soundness."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import jax.scipy.special as special
import jax.scipy.stats as stats
from jax import lax, nn

ELEMENTWISE: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "exp": (jnp.exp, -3.0, 3.0),
    "exp2": (jnp.exp2, -3.0, 3.0),
    "expm1": (jnp.expm1, -3.0, 3.0),
    "log": (jnp.log, 0.2, 3.0),
    "log2": (jnp.log2, 0.2, 3.0),
    "log10": (jnp.log10, 0.2, 3.0),
    "log1p": (jnp.log1p, -0.9, 3.0),
    "sqrt": (jnp.sqrt, 0.1, 3.0),
    "cbrt": (jnp.cbrt, 0.1, 3.0),
    "sin": (jnp.sin, -7.0, 7.0),
    "cos": (jnp.cos, -7.0, 7.0),
    "tan": (jnp.tan, -1.4, 1.4),
    "arcsin": (jnp.arcsin, -0.95, 0.95),
    "arccos": (jnp.arccos, -0.95, 0.95),
    "arctan": (jnp.arctan, -3.0, 3.0),
    "sinh": (jnp.sinh, -3.0, 3.0),
    "cosh": (jnp.cosh, -3.0, 3.0),
    "tanh": (jnp.tanh, -4.0, 4.0),
    "arcsinh": (jnp.arcsinh, -3.0, 3.0),
    "arccosh": (jnp.arccosh, 1.1, 4.0),
    "arctanh": (jnp.arctanh, -0.9, 0.9),
    "sinc": (jnp.sinc, 0.3, 3.0),
    "square": (jnp.square, -3.0, 3.0),
    "reciprocal": (jnp.reciprocal, 0.3, 3.0),
    "power": (lambda u: u**2.5, 0.2, 3.0),
    "negative power": (lambda u: u**-3, 0.4, 3.0),
    "abs": (jnp.abs, -2.0, 2.0),
    "sigmoid": (nn.sigmoid, -6.0, 6.0),
    "log_sigmoid": (nn.log_sigmoid, -6.0, 6.0),
    "softplus": (nn.softplus, -6.0, 6.0),
    "silu": (nn.silu, -5.0, 5.0),
    "gelu": (nn.gelu, -3.0, 3.0),
    "exact gelu": (lambda u: nn.gelu(u, approximate=False), -3.0, 3.0),
    "elu": (nn.elu, -3.0, 3.0),
    "selu": (nn.selu, -3.0, 3.0),
    "celu": (nn.celu, -3.0, 3.0),
    "relu": (nn.relu, -2.0, 2.0),
    "relu6": (nn.relu6, -2.0, 8.0),
    "leaky_relu": (nn.leaky_relu, -2.0, 2.0),
    "hard_tanh": (nn.hard_tanh, -2.0, 2.0),
    "hard_swish": (nn.hard_swish, -4.0, 4.0),
    "soft_sign": (nn.soft_sign, -3.0, 3.0),
    "squareplus": (nn.squareplus, -3.0, 3.0),
    "mish": (nn.mish, -3.0, 3.0),
    "erf": (special.erf, -3.0, 3.0),
    "erfc": (special.erfc, -3.0, 5.0),
    "logit": (special.logit, 0.05, 0.95),
    "xlogy": (lambda u: special.xlogy(u, u), 0.1, 2.0),
    "entropy": (special.entr, 0.1, 2.0),
    "normal log density": (stats.norm.logpdf, -3.0, 3.0),
    "normal density": (stats.norm.pdf, -3.0, 3.0),
    "normal distribution": (stats.norm.cdf, -3.0, 3.0),
    "huber": (lambda u: jnp.where(jnp.abs(u) < 1.0, 0.5 * u * u, jnp.abs(u) - 0.5), -2.0, 2.0),
    "hinge": (lambda u: jnp.maximum(0.0, 1.0 - u), -2.0, 3.0),
    "logistic loss": (lambda u: jnp.logaddexp(0.0, -u), -5.0, 5.0),
    "log cosh": (lambda u: jnp.logaddexp(u, -u) - jnp.log(2.0), -3.0, 3.0),
    "cauchy": (lambda u: jnp.log1p(0.5 * u * u), -3.0, 3.0),
    "floor": (lambda u: u - jnp.floor(u), -2.0, 2.0),
    "round": (lambda u: (u - jnp.round(u)) ** 2, -2.0, 2.0),
    "sign": (lambda u: jnp.sign(u) * u, -2.0, 2.0),
}
"""name -> function of one number, and where its argument lies"""


def _network(x: Any) -> Any:
    first = jnp.array([[0.3, -1.0, 0.7], [1.1, 0.2, -0.4], [0.5, 0.9, -0.8], [-0.2, 0.4, 1.3]])
    return jnp.array([0.5, -1.0, 0.8, 0.3]) @ jnp.tanh(first @ x + jnp.array([0.1, -0.2, 0.3, 0.0]))


VECTORS: dict[str, Callable[[Any], Any]] = {
    "rosenbrock": lambda x: jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2),
    "himmelblau": lambda x: (x[0] ** 2 + x[1] - 11.0) ** 2 + (x[0] + x[1] ** 2 - 7.0) ** 2,
    "rastrigin": lambda x: jnp.sum(x**2 - 10.0 * jnp.cos(2.0 * jnp.pi * x) + 10.0),
    "ackley": lambda x: -20.0 * jnp.exp(-0.2 * jnp.sqrt(jnp.mean(x**2) + 0.01)),
    "HS71": lambda x: x[0] * x[2] * (x[0] + x[1] + x[2]) + x[2],
    "HS26": lambda x: (x[0] - x[1]) ** 2 + (x[1] - x[2]) ** 4,
    "HS33": lambda x: (x[0] - 1.0) * (x[0] - 2.0) * (x[0] - 3.0) + x[2],
    "HS35": lambda x: 9.0 - 8.0 * x[0] - 6.0 * x[1] - 4.0 * x[2] + 2.0 * x[0] ** 2 + 2.0 * x[1] ** 2 + x[0] * x[1],
    "HS62": lambda x: -32.174 * 255.0 * jnp.log((x[0] ** 2 + x[1] ** 2 + 0.03) / (0.09 * x[0] ** 2 + x[1] ** 2 + 0.03)),
    "HS64": lambda x: 5.0 * x[0] + 50000.0 / (x[0] + 3.0) + 20.0 * x[1] + 72000.0 / (x[1] + 3.0),
    "softmax": lambda x: nn.softmax(x)[1],
    "log_softmax": lambda x: nn.log_softmax(x)[1],
    "logsumexp": special.logsumexp,
    "cross entropy": lambda x: -jnp.sum(nn.log_softmax(x) * jnp.array([0.2, 0.3, 0.5])),
    "norm": lambda x: jnp.linalg.norm(x + 3.0),
    "1-norm": lambda x: jnp.linalg.norm(x, 1),
    "max norm": lambda x: jnp.linalg.norm(x, jnp.inf),
    "variance": jnp.var,
    "deviation": lambda x: jnp.std(x * jnp.array([1.0, 2.0, 3.0]) + jnp.array([0.0, 9.0, 20.0])),
    "determinant of order 2": lambda x: x[0] * x[2] - x[1] * x[1],
    "network": _network,
    "gaussian mixture": lambda x: special.logsumexp(-jnp.array([[0.5], [1.0]]) * x**2),
    "median": lambda x: jnp.median(x),
    "product": jnp.prod,
    "cumulative": lambda x: jnp.sum(jnp.cumsum(x) ** 2),
    "convolution by slices": lambda x: jnp.sum((x[1:] * 0.3 + x[:-1] * 0.7) ** 2),
    "interpolation": lambda x: jnp.interp(x[0], jnp.array([-2.0, 0.0, 2.0]), jnp.array([0.0, 1.0, -1.0])) + x[1],
    "polynomial": lambda x: jnp.polyval(jnp.array([0.3, -1.0, 2.0, 0.1]), x).sum(),
    "scan": lambda x: lax.scan(lambda c, t: (c * 0.5 + jnp.sin(t), c), 0.1, x)[0],
    "choice": lambda x: lax.cond(x[0] > 0.3, lambda x: jnp.sum(x**2), lambda x: x[1] * x[2], x),
}
"""name -> function of three numbers in [−2, 2]"""


def library() -> dict[str, tuple[Callable[[Any], Any], int, float, float]]:
    """name -> function x (n,) -> (), n, and where the coordinates lie."""
    found: dict[str, tuple[Callable[[Any], Any], int, float, float]] = {}
    for name, (g, low, high) in ELEMENTWISE.items():
        span, middle = high - low, 0.5 * (high + low)

        def summed(x: Any, g: Any = g) -> Any:
            return g(x[0]) - 0.3 * g(x[1]) * x[0]

        def inner(x: Any, g: Any = g, middle: float = middle, span: float = span) -> Any:
            return g(middle + 0.4 * span * jnp.sin(x[0] * x[1])) / (1.0 + x[1] ** 2)

        found[f"{name}, sum"] = (summed, 2, low, high)
        found[f"{name}, composed"] = (inner, 2, -2.0, 2.0)
    found |= {name: (function, 3, -2.0, 2.0) for name, function in VECTORS.items()}
    return found


__all__ = ["library"]
