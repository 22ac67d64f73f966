"""Degenerate constraints: linear dependence, square systems, no constraint qualification."""

import jax.numpy as jnp
import numpy as np

from benchmarks.probe import (
    HARD_MINIMUM,
    MINIMUM,
    NO_MULTIPLIERS,
    NOT_STATIONARY,
    NOT_SUCCESS,
    REFUSED,
    SADDLE,
    UNDECIDED,
    Point,
    Probe,
    near,
)
from karush import Problem, between, equal, linear

ROOT_HALF = 0.5**0.5
SPHERE = equal(lambda x: jnp.sum(x**2), 1.0, name="sphere")
NO_BETTER_THAN_ITS_TOLERANCE = 1e-6
"""Without a constraint qualification a tolerance e on the constraint buys sqrt(e) in x; success must not sell it."""

DEPENDENT = [
    Probe(
        "the same plane twice",
        lambda: Problem(
            lambda x: jnp.sum(x**2),
            np.array([3.0, 1.0]),
            constraints=[
                linear(np.ones(2), lower=1.0, upper=1.0, name="plane"),
                linear(2 * np.ones(2), lower=2.0, upper=2.0, name="plane doubled"),
            ],
        ),
        MINIMUM,
        near((0.5, 0.5)),
        "the KKT matrix is singular everywhere",
        (Point(np.array([0.5, 0.5]), MINIMUM),),
    ),
    Probe(
        "the same sphere twice",
        lambda: Problem(
            lambda x: x[0],
            np.array([0.5, 0.6]),
            constraints=[SPHERE, equal(lambda x: 2 * jnp.sum(x**2), 2.0, name="sphere doubled")],
        ),
        MINIMUM | {UNDECIDED},
        near((-1, 0)),
        "dependent and curved; multipliers are a line",
        (Point(np.array([-1.0, 0.0]), MINIMUM | {UNDECIDED}), Point(np.array([1.0, 0.0]), SADDLE | {UNDECIDED})),
    ),
    Probe(
        "all variables fixed",
        lambda: Problem(lambda x: jnp.sum((x - 1) ** 2), np.zeros(2), bounds=(0.0, 0.0)),
        MINIMUM,
        near((0, 0)),
        "nothing to choose",
        (Point(np.zeros(2), MINIMUM),),
    ),
    Probe(
        "square system",
        lambda: Problem(
            lambda x: 0.0 * x[0],
            np.array([2.0, 0.5]),
            constraints=[SPHERE, equal(lambda x: x[0] - x[1], name="diagonal")],
        ),
        MINIMUM,
        near((ROOT_HALF, ROOT_HALF), (-ROOT_HALF, -ROOT_HALF)),
        "as many equations as unknowns, objective 0",
        (Point(ROOT_HALF * np.ones(2), MINIMUM), Point(np.ones(2), frozenset({NOT_STATIONARY}))),
    ),
]

NO_QUALIFICATION = [
    Probe(
        "x^2 <= 0",
        lambda: Problem(
            lambda x: x[0], np.ones(1), constraints=[between(lambda x: x[0] ** 2, upper=0.0, name="only zero")]
        ),
        NOT_SUCCESS | MINIMUM,
        near((0,), within=NO_BETTER_THAN_ITS_TOLERANCE),
        "a constraint tolerance e buys sqrt(e) in x: solvers report an objective below the optimum",
        (
            Point(np.zeros(1), NO_MULTIPLIERS),
            Point(np.array([-1e-4]), REFUSED | {UNDECIDED}),
        ),
    ),
    Probe(
        "cusp of HS13",
        lambda: Problem(
            lambda x: (x[0] - 2) ** 2 + x[1] ** 2,
            np.array([-2.0, -2.0]),
            bounds=(0.0, None),
            constraints=[between(lambda x: (1 - x[0]) ** 3 - x[1], lower=0.0, name="cusp")],
        ),
        NOT_SUCCESS | MINIMUM,
        near((1, 0), within=1e-4),
        "the solution (1, 0) is no KKT point",
        (Point(np.array([1.0, 0.0]), NO_MULTIPLIERS), Point(np.array([0.0, 0.0]), REFUSED)),
    ),
    Probe(
        "semicubical parabola",
        lambda: Problem(
            lambda x: x[0],
            np.array([1.0, 1.0]),
            constraints=[equal(lambda x: x[1] ** 2 - x[0] ** 3, name="cusp")],
        ),
        NOT_SUCCESS | MINIMUM,
        near((0, 0), within=1e-4),
        "the gradient of the only constraint is 0 at the solution",
        (Point(np.zeros(2), NO_MULTIPLIERS),),
    ),
    Probe(
        "complementarity",
        lambda: Problem(
            lambda x: jnp.sum((x - 1) ** 2),
            np.array([2.0, 0.5]),
            bounds=(0.0, None),
            constraints=[between(lambda x: x[0] * x[1], upper=0.0, name="one of the two")],
        ),
        NOT_SUCCESS | MINIMUM,
        near((1, 0), (0, 1), within=1e-4),
        "no interior; multipliers unbounded",
        (
            Point(np.array([1.0, 0.0]), HARD_MINIMUM),
            Point(np.zeros(2), REFUSED),
        ),
    ),
    Probe(
        "double root",
        lambda: Problem(lambda x: 0.0 * x[0], np.ones(1), constraints=[equal(lambda x: x[0] ** 2, name="double root")]),
        HARD_MINIMUM,
        near((0,), within=1e-3),
        "a square system with a singular Jacobian at its solution",
        (Point(np.zeros(1), HARD_MINIMUM),),
    ),
    Probe(
        "constraint not defined at the start",
        lambda: Problem(
            lambda x: (x[0] - 5) ** 2,
            -np.ones(1),
            constraints=[between(lambda x: jnp.sqrt(x[0]), upper=2.0, name="root")],
        ),
        MINIMUM | {UNDECIDED},
        near((4,)),
        "NaN in a constraint must not count as satisfied",
        (Point(-np.ones(1), frozenset({UNDECIDED})), Point(np.array([4.0]), MINIMUM)),
    ),
]

PROBES = DEPENDENT + NO_QUALIFICATION
