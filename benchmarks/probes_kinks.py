"""Kinks, jumps and plateaus: where JAX returns one derivative and the function has several, or none."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.probe import (
    DERIVATIVES_LIE,
    FLAT_MINIMUM,
    GLOBAL,
    HARD_MINIMUM,
    LOCAL,
    LOCAL_ONLY,
    MINIMUM,
    NOT_STATIONARY,
    REFUSED,
    UNDECIDED,
    Point,
    Probe,
    near,
)
from karush import Problem

ONE = np.ones(1)
AT_KINK = 1e-7
"""Distance to a kink that still counts as found; derivatives there are those of one side"""
ENDS_NEAR_KINK = HARD_MINIMUM | REFUSED
"""A solver ends beside a kink, where the gradient is not small; success only if it is at the kink."""


def kink(name, f, x0, target, why, *points, **problem):
    """A probe whose minimum is a kink."""
    return Probe(
        name,
        lambda: Problem(f, x0, **problem),
        ENDS_NEAR_KINK,
        near(target, within=AT_KINK),
        why,
        (Point(np.array(target, float), HARD_MINIMUM), *points),
    )


def trap(name, f, x0, minima, why, point, accepted=MINIMUM):
    """A probe with a point where JAX's gradient is 0 and its Hessian positive, and which is no minimum."""
    return Probe(
        name,
        lambda: Problem(f, x0),
        accepted | DERIVATIVES_LIE,
        near(*minima) if minima else None,
        why,
        (Point(np.array(point, float), DERIVATIVES_LIE),),
    )


MINIMA = [
    kink("abs", lambda x: jnp.abs(x[0]), ONE, (0,), "JAX's gradient of abs at 0 is 0, beside it 1"),
    kink(
        "max of two parabolas",
        lambda x: jnp.maximum(x[0] ** 2, (x[0] - 2) ** 2),
        np.array([3.0]),
        (1,),
        "at the tie JAX averages the two gradients to 0",
        Point(np.array([1.5]), REFUSED),
    ),
    kink(
        "largest of three",
        lambda x: jnp.max(jnp.array([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]]) @ x),
        np.array([0.7, 0.4]),
        (0, 0),
        "a minimax vertex; beside it the gradient is that of one plane",
    ),
    kink(
        "1-norm with a slope",
        lambda x: jnp.sum(jnp.abs(x)) + 0.5 * x[0] + 0.5 * jnp.sum(x**2),
        np.array([1.0, -2.0]),
        (0, 0),
        "the slope is held by the kink: JAX's gradient at the minimum is 0.5",
    ),
    kink(
        "2-norm",
        lambda x: jnp.sqrt(jnp.sum(x**2)),
        np.array([1.0, 1.0]),
        (0, 0),
        "the gradient at the minimum is NaN",
    ),
    Probe(
        "sqrt at its bound",
        lambda: Problem(lambda x: jnp.sqrt(x[0]), ONE, bounds=(0.0, None)),
        ENDS_NEAR_KINK,
        near((0,), within=AT_KINK),
        "the gradient at the minimum is infinite",
        (Point(np.zeros(1), frozenset({UNDECIDED, LOCAL, GLOBAL, NOT_STATIONARY})),),
    ),
    Probe(
        "jump up on the left",
        lambda: Problem(lambda x: jnp.where(x[0] >= 0, x[0] ** 2, 1 + x[0] ** 2), ONE),
        ENDS_NEAR_KINK,
        near((0,), within=1e-6),
        "a minimum at a jump",
        (Point(np.zeros(1), HARD_MINIMUM),),
    ),
    Probe(
        "almost a kink",
        lambda: Problem(lambda x: jnp.sqrt(x[0] ** 2 + 1e-12), ONE),
        MINIMUM | {UNDECIDED},
        near((0,), within=1e-6),
        "smooth, with curvature 1e6 within 1e-6 of the minimum and almost none beyond",
        (Point(np.zeros(1), MINIMUM | {UNDECIDED}), Point(np.array([1e-3]), REFUSED)),
    ),
]

TRAPS = [
    trap(
        "relu(x) - relu(-x) + x^2",
        lambda x: jax.nn.relu(x[0]) - jax.nn.relu(-x[0]) + x[0] ** 2,
        np.zeros(1),
        [(-0.5,)],
        "is x + x^2; JAX says gradient 0 and Hessian 2 at 0",
        (0,),
    ),
    trap(
        "-|x| + x^2",
        lambda x: -jnp.abs(x[0]) + x[0] ** 2,
        np.zeros(1),
        [(0.5,), (-0.5,)],
        "a local maximum at a kink with positive curvature on both sides",
        (0,),
    ),
    trap(
        "min(x, -x) + x^2",
        lambda x: jnp.minimum(x[0], -x[0]) + x[0] ** 2,
        np.array([0.1]),
        [(0.5,), (-0.5,)],
        "the same, by minimum",
        (0,),
    ),
    trap(
        "reduced max",
        lambda x: jnp.mean(x) - jnp.max(x) + jnp.sum(x**2),
        np.zeros(2),
        [(0.25, -0.25), (-0.25, 0.25)],
        "ties of a reduction average to gradient 0",
        (0, 0),
    ),
    trap(
        "sort",
        lambda x: jnp.sort(x)[0] - jnp.sort(x)[1] + x[1] - x[0] + jnp.sum(x**2),
        np.zeros(2),
        [(1, -1)],
        "at a tie the order of the input is one of two",
        (0, 0),
    ),
    trap(
        "jump down on the left",
        lambda x: jnp.where(x[0] >= 0, x[0] ** 2, (x[0] + 1) ** 2 - 2),
        ONE,
        [(-1,)],
        "where: value and derivative of the chosen side only",
        (0,),
    ),
    trap(
        "floor steps down",
        lambda x: jnp.floor(x[0]) + (x[0] - 1) ** 2,
        np.array([1.5]),
        [],
        "floor has derivative 0 everywhere in JAX; there is a jump down at the minimum of the parabola",
        (1,),
        accepted=frozenset(),
    ),
    trap(
        "sign",
        lambda x: -jnp.sign(x[0]) * x[0] + x[0] ** 2,
        np.array([0.1]),
        [(0.5,), (-0.5,)],
        "sign has derivative 0 everywhere in JAX",
        (0,),
    ),
]

PLATEAUS = [
    Probe(
        "parabola on a stair",
        lambda: Problem(lambda x: (x[0] - 0.25) ** 2 + jnp.floor(x[0]), np.array([0.5])),
        LOCAL_ONLY | {UNDECIDED},
        near((0.25,)),
        "a minimum of one step; lower steps follow, so that the constant curvature 2 proves nothing global",
        (Point(np.array([0.25]), LOCAL_ONLY | {UNDECIDED}),),
    ),
    Probe(
        "flat bottom",
        lambda: Problem(lambda x: jnp.maximum(jnp.abs(x[0]) - 1, 0) ** 2, np.array([3.0])),
        FLAT_MINIMUM | LOCAL_ONLY,
        lambda x: bool(abs(x[0]) <= 1 + 1e-3),
        "every point of [-1, 1] is a minimum, none is strict",
        (Point(np.zeros(1), FLAT_MINIMUM | LOCAL_ONLY), Point(np.array([2.0]), REFUSED)),
    ),
    Probe(
        "clipped parabola",
        lambda: Problem(lambda x: (jnp.clip(x[0], -1, 1) - 2) ** 2, np.zeros(1)),
        ENDS_NEAR_KINK,
        lambda x: bool(x[0] >= 1 - AT_KINK or x[0] < -1),
        "plateaus: the lower one is a minimum, the upper one a minimum that is not global",
        (
            Point(np.array([5.0]), FLAT_MINIMUM | LOCAL_ONLY),
            Point(np.array([-5.0]), HARD_MINIMUM - {GLOBAL}),
            Point(np.zeros(1), REFUSED),
        ),
    ),
    Probe(
        "rounded parabola",
        lambda: Problem(lambda x: (jnp.round(x[0]) - 2) ** 2, np.array([0.2])),
        HARD_MINIMUM - {GLOBAL},
        lambda x: True,  # every point inside a step is a minimum that is not strict
        "derivatives are 0 everywhere: known convexity of the formula must not come from them",
        (Point(np.array([0.2]), HARD_MINIMUM - {GLOBAL}), Point(np.array([2.2]), HARD_MINIMUM)),
    ),
]

PROBES = MINIMA + TRAPS + PLATEAUS
