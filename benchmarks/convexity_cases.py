"""Functions of a convex-analysis table, as a user would write them, and functions that are not convex.

The table is that of chapter 3 of [BV04]: what is on page 71 to 74, and the compositions, perspectives and conjugates of
its examples and exercises. Boxes are whole domains where a box can be one, else wide boxes inside it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import rel_entr

INF = np.inf


class Case(NamedTuple):
    """A function of a vector, the ends of its box, and whether it is convex there."""

    name: str
    function: Callable[[Any], Any]
    low: Any
    high: Any
    convex: bool


DATA = np.random.default_rng(7).normal(size=(12, 4))
LABELS = np.where(np.random.default_rng(8).random(12) < 0.5, -1.0, 1.0)
FULL = DATA.T @ DATA
FLAT = np.outer(DATA[0], DATA[0]) + np.outer(DATA[1], DATA[1])
"""a matrix of rank 2"""


def everywhere(n: int) -> tuple[np.ndarray, np.ndarray]:
    """All of R^n."""
    return np.full(n, -INF), np.full(n, INF)


def orthant(n: int, least: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers from `least` up."""
    return np.full(n, least), np.full(n, INF)


def huber(x: Any) -> Any:
    """Quadratic near 0, linear beyond 1."""
    return jnp.sum(jnp.where(jnp.abs(x) <= 1.0, 0.5 * x**2, jnp.abs(x) - 0.5))


def log_barrier(x: Any) -> Any:
    """Of a polyhedron around 0."""
    return -jnp.sum(jnp.log(8.0 - DATA @ x))


def convex_cases() -> list[Case]:
    """Thirty functions that are convex on their boxes."""
    positive = np.full(2, 1e-3)
    rows: list[tuple[str, Callable[[Any], Any], tuple[Any, Any]]] = [
        ("affine", lambda x: DATA[0] @ x + 3.0, everywhere(4)),
        ("quadratic, P ≻ 0", lambda x: 0.5 * x @ FULL @ x + DATA[2] @ x, everywhere(4)),
        ("quadratic, P ⪰ 0 of rank 2", lambda x: x @ FLAT @ x, everywhere(4)),
        ("least squares", lambda x: jnp.sum((DATA @ x - LABELS) ** 2), everywhere(4)),
        ("exponential", lambda x: jnp.exp(3.0 * x[0] - x[1]), everywhere(2)),
        ("power a ≥ 1", lambda x: jnp.sum(x**2.5), orthant(3)),
        ("power a ≤ 0", lambda x: jnp.sum(x**-0.5), orthant(3, 1e-6)),
        ("minus power 0 ≤ a ≤ 1", lambda x: -jnp.sum(x**0.3), orthant(3)),
        ("power of absolute value", lambda x: jnp.sum(jnp.abs(x) ** 1.5), everywhere(3)),
        ("minus logarithm", lambda x: -jnp.sum(jnp.log(x)), orthant(3, 1e-6)),
        ("negative entropy", lambda x: jnp.sum(x * jnp.log(x)), orthant(3, 1e-6)),
        ("1-norm and max-norm", lambda x: jnp.linalg.norm(DATA @ x, 1) + jnp.linalg.norm(x, jnp.inf), everywhere(4)),
        ("2-norm", lambda x: jnp.linalg.norm(DATA @ x - LABELS), everywhere(4)),
        ("3-norm", lambda x: jnp.linalg.norm(x, 3), everywhere(4)),
        ("maximum of affine functions", lambda x: jnp.max(DATA @ x + LABELS), everywhere(4)),
        ("quadratic over linear", lambda x: x[0] ** 2 / x[1], (np.array([-INF, 1e-6]), np.full(2, INF))),
        ("log-sum-exp", lambda x: jax.nn.logsumexp(DATA @ x), everywhere(4)),
        ("minus geometric mean", lambda x: -(jnp.prod(x) ** (1.0 / 3.0)), orthant(3)),
        ("minus log det, 2 × 2", lambda x: -jnp.log(x[0] * x[2] - x[1] ** 2), ([1.0, -0.5, 1.0], [2.0, 0.5, 2.0])),
        ("relative entropy", lambda x: jnp.sum(rel_entr(x[:2], x[2:])), (np.full(4, 1e-3), np.full(4, 10.0))),
        ("sum of the 2 largest", lambda x: jnp.sum(jnp.sort(DATA @ x)[-2:]), everywhere(4)),
        (
            "largest eigenvalue, 2 × 2",
            lambda x: 0.5 * (x[0] + x[2]) + jnp.sqrt(0.25 * (x[0] - x[2]) ** 2 + x[1] ** 2),
            everywhere(3),
        ),
        (
            "matrix fractional, 2 × 2",
            lambda x: (x[0] ** 2 * x[4] - 2.0 * x[0] * x[1] * x[3] + x[1] ** 2 * x[2]) / (x[2] * x[4] - x[3] ** 2),
            ([-1.0, -1.0, 1.0, -0.5, 1.0], [1.0, 1.0, 2.0, 0.5, 2.0]),
        ),
        ("logistic regression", lambda x: jnp.sum(jax.nn.softplus(-LABELS * (DATA @ x))), everywhere(4)),
        ("Huber", huber, everywhere(3)),
        ("distance to a box", lambda x: jnp.linalg.norm(x - jnp.clip(x, -1.0, 1.0)), everywhere(3)),
        ("perspective of exp", lambda x: x[1] * jnp.exp(x[0] / x[1]), (np.array([-INF, 1e-6]), np.full(2, INF))),
        ("logarithmic barrier", log_barrier, (np.full(4, -0.7), np.full(4, 0.7))),
        ("hinge loss", lambda x: jnp.sum(jax.nn.relu(1.0 - LABELS * (DATA @ x))) + 0.1 * x @ x, everywhere(4)),
        ("inverse of a product", lambda x: 1.0 / (x[0] * x[1]), (positive, np.full(2, INF))),
    ]
    return [Case(name, function, np.asarray(low), np.asarray(high), True) for name, function, (low, high) in rows]


def other_cases() -> list[Case]:
    """Fifteen functions that are not convex on their boxes."""
    rows: list[tuple[str, Callable[[Any], Any], tuple[Any, Any]]] = [
        ("product", lambda x: x[0] * x[1], everywhere(2)),
        ("cube", lambda x: x[0] ** 3, everywhere(1)),
        ("quotient", lambda x: x[0] / x[1], (np.array([-1.0, 0.5]), np.array([1.0, 2.0]))),
        ("square root", lambda x: jnp.sum(jnp.sqrt(x)), orthant(2)),
        ("logistic function", lambda x: jnp.sum(jax.nn.sigmoid(x)), everywhere(2)),
        ("sine", lambda x: jnp.sum(x**2 + jnp.sin(4.0 * x)), everywhere(2)),
        ("Rosenbrock", lambda x: (1.0 - x[0]) ** 2 + 100.0 * (x[1] - x[0] ** 2) ** 2, everywhere(2)),
        ("bell", lambda x: -jnp.exp(-jnp.sum(x**2)), everywhere(2)),
        ("minimum of two bowls", lambda x: jnp.minimum((x[0] - 1.0) ** 2, (x[0] + 1.0) ** 2), everywhere(1)),
        ("indefinite quadratic", lambda x: x @ (FULL - 20.0 * np.eye(4)) @ x, everywhere(4)),
        ("0.5-quasinorm", lambda x: jnp.sum(jnp.sqrt(jnp.abs(x))) ** 2, everywhere(2)),
        ("floor", lambda x: jnp.sum(x**2 + jnp.floor(x)), (np.full(2, -3.0), np.full(2, 3.0))),
        ("neural network", lambda x: jnp.sum(jnp.tanh(jnp.tanh(DATA @ x))), (np.full(4, -1.0), np.full(4, 1.0))),
        ("quadratic over linear of both signs", lambda x: x[0] ** 2 / x[1], (np.full(2, -2.0), np.array([2.0, -0.1]))),
        ("double well", lambda x: jnp.sum((x**2 - 0.01) ** 2), everywhere(3)),
    ]
    return [Case(name, function, np.asarray(low), np.asarray(high), False) for name, function, (low, high) in rows]


__all__ = ["Case", "convex_cases", "other_cases"]
