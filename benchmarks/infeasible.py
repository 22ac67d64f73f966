"""Infeasible problems: name -> (problem, the constraints of which some cannot be met).

*isolated*, *nactive* and *unique* are from R. H. Byrd, F. E. Curtis, J. Nocedal, Infeasibility detection and SQP
methods for nonlinear optimization, SIAM J. Optim. 20(5), 2010.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from karush import Problem, between, equal, linear

Entry = tuple[Callable[[], Problem], frozenset[str]]

STEPS, FAR = 5, 100.0
"""Steps of the double integrator with |force| <= 1, and a place that it cannot reach in them"""
LOAD, LINE = 3.0, 2.0
"""Demand at the end of a line, and the most that the line carries"""


def squares(x):
    return jnp.sum(x**2)


def start(*values: float) -> np.ndarray:
    return np.array(values, float)


def chain(x):
    """Position and speed after each step of unit time, driven by a force; starts at rest in 0."""
    position = jnp.concatenate([jnp.zeros(1), x["position"]])
    speed = jnp.concatenate([jnp.zeros(1), x["speed"]])
    return jnp.concatenate([position[1:] - position[:-1] - speed[:-1], speed[1:] - speed[:-1] - x["force"]])


def reach() -> Problem:
    return Problem(
        lambda x: squares(x["force"]),
        {key: np.zeros(STEPS) for key in ("position", "speed", "force")},
        bounds=({"position": None, "speed": None, "force": -1.0}, {"position": None, "speed": None, "force": 1.0}),
        constraints=[
            equal(chain, name="dynamics"),
            equal(lambda x: x["position"][-1], FAR, name="arrival"),
        ],
    )


def isolated() -> Problem:
    rows = {
        "up": lambda x: x[0] ** 2 - x[1] + 1,
        "down": lambda x: x[0] ** 2 + x[1] + 1,
        "right": lambda x: x[1] ** 2 - x[0] + 1,
        "left": lambda x: x[1] ** 2 + x[0] + 1,
    }
    constraints = [between(row, upper=0.0, name=name) for name, row in rows.items()]
    return Problem(lambda x: x[0] + x[1], start(3, 2), constraints=constraints)


def dispatch() -> Problem:
    return Problem(
        lambda x: jnp.sum(np.array([10.0, 20.0, 30.0]) * x["plants"]),
        {"plants": np.full(3, 0.5)},
        bounds=(0.0, 1.0),
        constraints=[
            equal(lambda x: jnp.sum(x["plants"]), 5.0, name="balance"),
            between(lambda x: x["plants"][0] - x["plants"][1], upper=2.0, name="spread"),
        ],
    )


def portfolio() -> Problem:
    mean = np.array([1.02, 1.05, 1.10, 1.20])
    return Problem(
        lambda x: squares(x * np.array([0.1, 0.2, 0.4, 0.8])),
        np.full(4, 0.25),
        bounds=(0.0, None),
        constraints=[
            linear(np.ones(4), lower=1.0, upper=1.0, name="budget"),
            linear(mean, lower=1.5, name="return"),
        ],
    )


def nothing(x):
    return 0.0 * jnp.sum(x)


def ball(center: float, name: str):
    return between(lambda x: squares(x - np.array([center, 0.0, 0.0])), upper=1.0, name=name)


def plane(row, target: float, name: str):
    return linear(np.array(row, float), lower=target, upper=target, name=name)


def entry(f, x0, *constraints, bounds=None, innocent=()) -> Entry:
    """Problem and conflict: every constraint but the innocent."""
    names = frozenset(c.name for c in constraints) - frozenset(innocent)
    return (lambda: Problem(f, x0, bounds=bounds, constraints=constraints)), names


PROBLEMS: dict[str, Entry] = {
    "imaginary circle": entry(squares, start(1, 2), equal(lambda x: squares(x) + 1, name="circle")),
    "parallel lines": entry(squares, start(3, 1), plane([1, 1], 1, "first"), plane([1, 1], 2, "second")),
    "parallel lines, steep": entry(
        squares, start(3, 1), plane([1e6, 1e6], 1e6, "first"), plane([1e6, 1e6], 2e6, "second")
    ),
    "half planes apart": entry(
        lambda x: x[0],
        start(0, 0),
        linear(np.ones(2), upper=1.0, name="low"),
        linear(np.ones(2), lower=2.0, name="high"),
    ),
    "a gap of 1e-3": entry(
        lambda x: x[0] ** 2,
        start(5),
        linear(np.ones(1), lower=1.0, name="high"),
        linear(np.ones(1), upper=0.999, name="low"),
    ),
    "demand beyond the bounds": entry(
        squares, start(0.5, 0.5), linear(np.ones(2), lower=3.0, name="demand"), bounds=(0.0, 1.0)
    ),
    "balls apart": entry(lambda x: x[0], start(2, 1, 1), ball(0.0, "left ball"), ball(5.0, "right ball")),
    "ball and plane apart": entry(
        nothing, start(1, 0, 0), ball(0.0, "ball"), linear(np.ones(3), lower=3.0, name="half space")
    ),
    "dependent equations": entry(
        squares,
        start(1, 2, 3),
        plane([1, 1, 1], 1, "sum"),
        plane([1, -1, 0], 0, "difference"),
        plane([2, 0, 1], 3, "both added"),
    ),
    "exponential below zero": entry(
        lambda x: x[0] ** 2, start(1), between(lambda x: jnp.exp(x[0]), upper=-1.0, name="growth"), bounds=(-3.0, 3.0)
    ),
    "logarithm beyond its bound": entry(
        lambda x: x[0], start(1), between(lambda x: jnp.log(x[0]), lower=2.0, name="order"), bounds=(0.1, 3.0)
    ),
    "sine above one": entry(lambda x: x[0] ** 2, start(0.3), equal(lambda x: jnp.sin(x[0]), 2.0, name="swing")),
    "cosines above two": entry(
        lambda x: x[0], start(0.3, 0.4), between(lambda x: jnp.sum(jnp.cos(x)), lower=3.0, name="cosines")
    ),
    "cubic without a root in its box": entry(
        lambda x: x[0], start(2.5), equal(lambda x: x[0] ** 3 - 3 * x[0] + 3, name="cubic"), bounds=(0.0, 3.0)
    ),
    "parabolas apart": entry(
        lambda x: x[1],
        start(1, 1),
        between(lambda x: x[1] - x[0] ** 2, lower=1.0, name="above"),
        between(lambda x: x[1] + x[0] ** 2, upper=0.0, name="below"),
    ),
    "product beyond its box": entry(
        squares, start(0.4, 0.3), equal(lambda x: x[0] * x[1], 1.0, name="product"), bounds=(0.0, np.array([0.5, 1.0]))
    ),
    "fixed variables": entry(nothing, start(1, 1), equal(squares, 3.0, name="norm"), bounds=(np.ones(2), np.ones(2))),
    "quadratic form of the wrong sign": entry(
        nothing,
        start(1, 2, 3, 4, 5),
        equal(lambda x: jnp.sum(np.arange(1.0, 6.0) * x**2), -1.0, name="energy"),
        between(lambda x: jnp.sum(x), upper=100.0, name="budget"),
        innocent=["budget"],
    ),
    "power transfer": entry(
        lambda x: squares(x["angle"]),
        {"angle": np.zeros(2), "power": np.ones(1)},
        equal(lambda x: LINE * jnp.sin(x["angle"][0] - x["angle"][1]) - x["power"][0], name="line"),
        bounds=({"angle": -1.5, "power": LOAD}, {"angle": 1.5, "power": LOAD}),
    ),
    "Burke and Han": entry(
        lambda x: x[0], start(10), between(lambda x: x[0] ** 2 + 1, upper=0.0, name="parabola"), bounds=(0.0, None)
    ),
    "nactive": entry(
        lambda x: x[0],
        start(-20, 10),
        between(lambda x: (x[0] + x[1] ** 2 + 1) / 2, upper=0.0, name="outside"),
        equal(lambda x: x[0] - x[1] ** 2, name="parabola"),
    ),
    "unique": entry(
        lambda x: x[0] + x[1],
        start(3, 2),
        between(lambda x: x[0] ** 2 - x[1] + 1, upper=0.0, name="above"),
        between(lambda x: 0.3 * (jnp.exp(x[1]) - 1), upper=0.0, name="below"),
    ),
    "isolated": (isolated, frozenset(c.name for c in isolated().constraints)),
    "dispatch": (dispatch, frozenset({"balance"})),
    "portfolio": (portfolio, frozenset({"budget", "return"})),
    "out of reach": (reach, frozenset({"dynamics", "arrival"})),
}
