"""Ten named test functions of global optimization, from 2 to 10 variables, with their boxes and least values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class GlobalFunction:
    """``f: [lower, upper]^n -> R`` with least value `least` (n)."""

    f: Callable[[Any], Any]
    lower: float
    upper: float
    least: Callable[[int], float]
    dimensions: tuple[int, ...] = (2, 5, 10)
    smooth: bool = True

    def start(self, n: int) -> np.ndarray:
        """A start that is nowhere near a minimum on purpose, nor far from one: 0.7 of the box's width up."""
        return np.full(n, self.lower + 0.7 * (self.upper - self.lower))


def ackley(x: Any) -> Any:
    mean = jnp.mean(jnp.cos(2.0 * jnp.pi * x))
    return 20.0 + jnp.e - 20.0 * jnp.exp(-0.2 * jnp.sqrt(jnp.mean(x**2))) - jnp.exp(mean)


def rastrigin(x: Any) -> Any:
    return jnp.sum(x**2 - 10.0 * jnp.cos(2.0 * jnp.pi * x) + 10.0)


def griewank(x: Any) -> Any:
    i = jnp.arange(1.0, x.size + 1.0)
    return 1.0 + jnp.sum(x**2) / 4000.0 - jnp.prod(jnp.cos(x / jnp.sqrt(i)))


def rosenbrock(x: Any) -> Any:
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def levy(x: Any) -> Any:
    w = 1.0 + (x - 1.0) / 4.0
    inner = jnp.sum((w[:-1] - 1.0) ** 2 * (1.0 + 10.0 * jnp.sin(jnp.pi * w[:-1] + 1.0) ** 2))
    return jnp.sin(jnp.pi * w[0]) ** 2 + inner + (w[-1] - 1.0) ** 2 * (1.0 + jnp.sin(2.0 * jnp.pi * w[-1]) ** 2)


def schwefel(x: Any) -> Any:
    return -jnp.sum(x * jnp.sin(jnp.sqrt(jnp.abs(x))))


def steps(x: Any) -> Any:
    """De Jong's third kind: constant pieces, no slope anywhere."""
    return jnp.sum(jnp.floor(x + 0.5) ** 2)


def styblinski_tang(x: Any) -> Any:
    return 0.5 * jnp.sum(x**4 - 16.0 * x**2 + 5.0 * x)


def goldstein_price(x: Any) -> Any:
    a, b = x[0], x[1]
    first = 1.0 + (a + b + 1.0) ** 2 * (19.0 - 14.0 * a + 3.0 * a**2 - 14.0 * b + 6.0 * a * b + 3.0 * b**2)
    second = 30.0 + (2.0 * a - 3.0 * b) ** 2 * (18.0 - 32.0 * a + 12.0 * a**2 + 48.0 * b - 36.0 * a * b + 27.0 * b**2)
    return first * second


def michalewicz(x: Any) -> Any:
    i = jnp.arange(1.0, x.size + 1.0)
    return -jnp.sum(jnp.sin(x) * jnp.sin(i * x**2 / jnp.pi) ** 20)


def zero(n: int) -> float:
    return 0.0


SCHWEFEL = 418.98288727243374
"""-f/n at x = 420.9687..., by mpmath"""
STYBLINSKI_TANG = 39.16616570377142
"""-f/n at x = -2.903534..., by mpmath"""
MICHALEWICZ = {2: -1.8013034100985532, 5: -4.687658179088147, 10: -9.66015171564134}
"""the sum of the least values of its terms, each of one variable"""

FUNCTIONS = {
    "Ackley": GlobalFunction(ackley, -32.768, 32.768, zero),
    "Rastrigin": GlobalFunction(rastrigin, -5.12, 5.12, zero),
    "Griewank": GlobalFunction(griewank, -600.0, 600.0, zero),
    "Rosenbrock": GlobalFunction(rosenbrock, -5.0, 10.0, zero),
    "Levy": GlobalFunction(levy, -10.0, 10.0, zero),
    "Schwefel": GlobalFunction(schwefel, -500.0, 500.0, lambda n: -n * SCHWEFEL),
    "sphere with steps": GlobalFunction(steps, -100.0, 100.0, zero, smooth=False),
    "Styblinski-Tang": GlobalFunction(styblinski_tang, -5.0, 5.0, lambda n: -n * STYBLINSKI_TANG),
    "Goldstein-Price": GlobalFunction(goldstein_price, -2.0, 2.0, lambda n: 3.0, dimensions=(2,)),
    "Michalewicz": GlobalFunction(michalewicz, 0.0, float(np.pi), lambda n: MICHALEWICZ[n]),
}
