"""Problems without a lower bound: name -> problem."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from karush import Problem, between, equal, linear


def start(*values: float) -> np.ndarray:
    return np.array(values, float)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "line": lambda: Problem(lambda x: -x[0], start(0)),
    "linear program": lambda: Problem(
        lambda x: -x[0] - x[1],
        start(1, 1),
        bounds=(0.0, None),
        constraints=[linear(np.array([1.0, -1.0]), upper=1.0, name="spread")],
    ),
    "concave parabola": lambda: Problem(lambda x: -(x[0] ** 2), start(1)),
    "cubic": lambda: Problem(lambda x: x[0] ** 3, start(1)),
    "logarithm": lambda: Problem(lambda x: -jnp.log(x[0]), start(2), bounds=(1.0, None)),
    "square root": lambda: Problem(lambda x: -jnp.sqrt(x[0]), start(1), bounds=(0.0, None)),
    "exponential": lambda: Problem(lambda x: -jnp.exp(x[0]), start(0)),
    "indefinite quadratic": lambda: Problem(lambda x: x[0] ** 2 - 4 * x[0] * x[1] + x[1] ** 2, start(1, 0)),
    "along a parabola": lambda: Problem(
        lambda x: -x[0], start(1, 1), constraints=[equal(lambda x: x[1] - x[0] ** 2, name="parabola")]
    ),
    "inside a hyperbola": lambda: Problem(
        lambda x: -x[1],
        start(0, 2),
        bounds=(np.array([-np.inf, 0.0]), None),
        constraints=[between(lambda x: x[1] ** 2 - x[0] ** 2, lower=1.0, name="hyperbola")],
    ),
    "product on a line": lambda: Problem(
        lambda x: -x[0] * x[1],
        start(1, 2),
        constraints=[linear(np.array([1.0, -1.0]), lower=0.0, upper=0.0, name="diagonal")],
    ),
    "profit without capacity": lambda: Problem(
        lambda x: 3 * x["sold"] - 2 * x["bought"],
        {"bought": np.array(1.0), "sold": np.array(0.5)},
        bounds=(0.0, None),
        constraints=[between(lambda x: x["bought"] - x["sold"], lower=0.0, name="stock")],
        maximize=True,
    ),
}
