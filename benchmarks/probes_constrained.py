"""Constraints: curvature of the feasible set, weakly active limits."""

import jax.numpy as jnp
import numpy as np

from benchmarks.probe import (
    FLAT_MINIMUM,
    LOCAL_ONLY,
    MINIMUM,
    NOT_MINIMUM,
    SADDLE,
    STATIONARY,
    UNDECIDED,
    Point,
    Probe,
    near,
)
from karush import Problem, between, equal, linear

ROOT_HALF = 0.5**0.5
SPHERE = equal(lambda x: jnp.sum(x**2), 1.0, name="sphere")
PARABOLA = equal(lambda x: x[1] + x[0] ** 2, 1.0, name="parabola")
CURVATURES = np.array([1.0, 2.0, 3.0])
AXES = np.eye(3)


def quadratic_on_sphere(x):
    return jnp.sum(CURVATURES * x**2)


CURVED = [
    *(
        Probe(
            f"quadratic on a sphere from its {name}",
            lambda x0=x0: Problem(quadratic_on_sphere, x0, constraints=[SPHERE]),
            MINIMUM,
            near((1, 0, 0), (-1, 0, 0)),
            "every axis is a KKT point; one pair is the minimum",
            points,
        )
        for name, x0, points in [
            ("saddle", AXES[1], (Point(AXES[1], SADDLE), Point(AXES[0], MINIMUM))),
            ("maximum", AXES[2], (Point(AXES[2], SADDLE), Point(-AXES[0], MINIMUM))),
        ]
    ),
    Probe(
        "convex objective, saddle by the constraint",
        lambda: Problem(lambda x: jnp.sum(x**2), np.array([0.0, 1.0]), constraints=[PARABOLA]),
        MINIMUM,
        near((ROOT_HALF, 0.5), (-ROOT_HALF, 0.5)),
        "the objective's Hessian is 2 I; the Lagrangian's is negative along the constraint",
        (Point(np.array([0.0, 1.0]), SADDLE),),
    ),
    Probe(
        "concave objective, minimum by the constraint",
        lambda: Problem(
            lambda x: 3 * x[1] - x[0] ** 2,
            np.array([1.0, 1.0]),
            constraints=[between(lambda x: x[1] - x[0] ** 2, lower=0.0, name="above")],
        ),
        MINIMUM,
        near((0, 0)),
        "curvature of the constraint alone makes it a minimum",
        (Point(np.zeros(2), MINIMUM),),
    ),
    Probe(
        "farthest point of a circle",
        lambda: Problem(lambda x: x[0] + x[1], np.array([1.0, 0.0]), constraints=[SPHERE], maximize=True),
        MINIMUM,
        near((ROOT_HALF, ROOT_HALF)),
        "maximize turns the sign of every curvature",
        (Point(-ROOT_HALF * np.ones(2), SADDLE), Point(ROOT_HALF * np.ones(2), MINIMUM)),
    ),
    Probe(
        "outside of a ball",
        lambda: Problem(
            lambda x: x[0] + 0.1 * x[1] ** 2,
            np.array([3.0, 0.5]),
            bounds=(np.array([0.0, -0.5]), 4.0),
            constraints=[between(lambda x: jnp.sum(x**2), lower=1.0, name="outside")],
        ),
        MINIMUM,
        near((0, 1), (0.75**0.5, -0.5)),
        "on the circle at (1, 0) the objective has a maximum",
        (Point(np.array([1.0, 0.0]), SADDLE),),
    ),
    Probe(
        "Wächter and Biegler's counterexample",
        lambda: Problem(
            lambda x: x[0],
            np.array([-2.0, 1.0, 1.0]),
            bounds=(np.array([-np.inf, 0.0, 0.0]), None),
            constraints=[
                equal(lambda x: x[0] ** 2 - x[1] - 1, name="parabola"),
                equal(lambda x: x[0] - x[2] - 0.5, name="line"),
            ],
        ),
        MINIMUM,
        near((1, 0, 0.5)),
        "interior points without a filter or restoration crash into the bounds far from the solution",
        (Point(np.array([1.0, 0.0, 0.5]), MINIMUM),),
    ),
]

WEAKLY_ACTIVE = [
    Probe(
        "x^2 at its bound",
        lambda: Problem(lambda x: x[0] ** 2, np.ones(1), bounds=(0.0, None)),
        MINIMUM,
        near((0,), within=1e-4),
        "the bound is active with multiplier 0",
        (Point(np.zeros(1), MINIMUM),),
    ),
    Probe(
        "descent off a weakly active bound",
        lambda: Problem(lambda x: x[1] ** 2 - x[0] ** 2, np.array([0.0, 1.0]), bounds=(np.array([0.0, -1.0]), 1.0)),
        MINIMUM,
        near((1, 0)),
        "negative curvature inside the critical cone: treating the bound as an equality hides it",
        (Point(np.zeros(2), SADDLE),),
    ),
    Probe(
        "xy in the quadrant",
        lambda: Problem(lambda x: x[0] * x[1], np.array([1.0, 2.0]), bounds=(0.0, 3.0)),
        FLAT_MINIMUM | LOCAL_ONLY,
        lambda x: bool(min(x) <= 1e-4),
        "indefinite, yet no descent inside the critical cone: copositive",
        (Point(np.zeros(2), FLAT_MINIMUM | LOCAL_ONLY),),
    ),
    Probe(
        "-xy in the quadrant",
        lambda: Problem(lambda x: -x[0] * x[1], np.array([0.1, 0.2]), bounds=(0.0, 1.0)),
        MINIMUM,
        near((1, 1)),
        "the same Hessian with the other sign: descent along the diagonal only",
        (Point(np.zeros(2), SADDLE),),
    ),
    Probe(
        "small slope holds a concave parabola",
        lambda: Problem(lambda x: 1e-3 * x[0] - x[0] ** 2, np.array([1e-4]), bounds=(0.0, 1.0)),
        MINIMUM,
        near((0,), (1,)),
        "a minimum with multiplier 1e-3; a better one lies 1e-3 away and beyond",
        (Point(np.zeros(1), LOCAL_ONLY), Point(np.ones(1), MINIMUM)),
    ),
    Probe(
        "slope below the tolerance",
        lambda: Problem(lambda x: 1e-9 * x[0] - x[0] ** 2, np.array([0.5]), bounds=(0.0, 1.0)),
        MINIMUM,
        near((1,)),
        "a multiplier of 1e-9 cannot be told from 0 with tol = 1e-8",
        (Point(np.zeros(1), LOCAL_ONLY | {UNDECIDED, STATIONARY, NOT_MINIMUM}),),
    ),
    Probe(
        "vertex with more limits than variables",
        lambda: Problem(
            lambda x: x[0] + 2 * x[1],
            np.array([3.0, 1.0]),
            bounds=(0.0, None),
            constraints=[linear(np.array([[1.0, 1.0], [2.0, 1.0]]), lower=0.0, name="redundant")],
        ),
        MINIMUM,
        near((0, 0)),
        "four active limits in two variables: multipliers are not unique",
        (Point(np.zeros(2), MINIMUM),),
    ),
    Probe(
        "linear program with a face of solutions",
        lambda: Problem(
            lambda x: x[0] + x[1],
            np.array([3.0, 1.0]),
            bounds=(0.0, None),
            constraints=[linear(np.ones((1, 2)), lower=1.0, name="demand")],
        ),
        MINIMUM,
        lambda x: bool(abs(x[0] + x[1] - 1) <= 1e-6),
        "zero curvature along the face; everything is affine, hence convex",
        (Point(np.array([0.3, 0.7]), MINIMUM),),
    ),
]

PROBES = CURVED + WEAKLY_ACTIVE
