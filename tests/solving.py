"""Problems with known answers that the tests of the solver share, each compiled once."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

import karush
from karush import Problem, between, equal


def rosenbrock():
    return Problem(lambda x: 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2, np.array([-1.2, 1.0]))


def hs71():
    """Hock and Schittkowski 71, from the start in their book."""
    return Problem(
        lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
        np.array([1.0, 5.0, 5.0, 1.0]),
        bounds=(1.0, 5.0),
        constraints=[
            between(lambda x: x[0] * x[1] * x[2] * x[3], lower=25.0, name="product"),
            equal(lambda x: jnp.sum(x**2), 40.0, name="norm"),
        ],
    )


def disc():
    """The point of the unit disc nearest to (2, 1)."""
    return Problem(
        lambda x: (x[0] - 2.0) ** 2 + (x[1] - 1.0) ** 2,
        np.array([0.1, 0.2]),
        constraints=between(lambda x: x @ x, upper=1.0, name="disc"),
    )


def band():
    """A two-sided vector row: above at the first, below at the second, inside at the third."""
    return Problem(
        lambda x: (x[0] - 2.0) ** 2 + (x[1] + 3.0) ** 2 + x[2] ** 2,
        np.zeros(3),
        constraints=between(lambda x: x, lower=-1.0, upper=1.0, name="band"),
    )


def dependent():
    """The same plane three times."""
    return Problem(
        lambda x: x @ x,
        np.array([1.0, 2.0]),
        constraints=[
            equal(lambda x: x[0] + x[1], 1.0, name="plane"),
            equal(lambda x: 2.0 * x[0] + 2.0 * x[1], 2.0, name="again"),
            between(lambda x: x[0] + x[1], upper=1.0, name="half"),
        ],
    )


def square():
    """As many equations as unknowns: a circle and a line."""
    return Problem(
        lambda x: 0.0 * x[0],
        np.array([1.0, 1.0]),
        constraints=equal(lambda x: jnp.stack([x @ x, x[0] - x[1]]), np.array([2.0, 1.0]), name="both"),
    )


def saddle():
    """From the line x[1] = 0 the gradient never leaves it; the minima are at x[1] = ±1/√2."""
    return Problem(lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4, np.array([1.0, 0.0]))


def logarithm():
    """The first full Newton step leads where the logarithm is not defined."""
    return Problem(lambda x: jnp.sum(x - jnp.log(x)), np.array([30.0]))


def fixed_and_free():
    return Problem(
        lambda x: (x[0] - 2.0) ** 2 + x[1] ** 2 + 0.1 * x[2] * x[0],
        np.array([0.5, 0.7, 3.0]),
        bounds=(np.array([0.0, -np.inf, 3.0]), np.array([1.0, np.inf, 3.0])),
        constraints=between(lambda x: x[0] * x[1], lower=0.5, name="product"),
    )


HALF = (np.sqrt(3.0) - 1.0) / 2.0
KNOWN = {
    "rosenbrock": (rosenbrock, [1.0, 1.0]),
    "hs71": (hs71, [1.0, 4.74299963, 3.82114998, 1.37940829]),
    "disc": (disc, np.array([2.0, 1.0]) / np.sqrt(5.0)),
    "band": (band, [1.0, -1.0, 0.0]),
    "dependent": (dependent, [0.5, 0.5]),
    "square": (square, [HALF + 1.0, HALF]),
    "logarithm": (logarithm, [1.0]),
    "fixed and free": (fixed_and_free, [1.0, 0.5, 3.0]),
}


@cache
def prepared(make) -> karush.Prepared:
    # Compiled under JAX's own promotion rules: what is tested with it runs as a user would run it.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return karush.prepare(make())
