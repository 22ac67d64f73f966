"""Smooth functions without general constraints: saddles, maxima, vanishing curvature, scales, cancellation."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.probe import (
    DERIVATIVES_LIE,
    FLAT_MINIMUM,
    FLAT_NOT_MINIMUM,
    LOCAL_ONLY,
    MINIMUM,
    NEAR,
    NOT_SUCCESS,
    REFUSED,
    SADDLE,
    STATIONARY,
    UNDECIDED,
    Point,
    Probe,
    near,
)
from karush import Problem

TWO_40 = 2.0**40
ONE, TWO = np.ones(1), np.array([-1.2, 1.0])


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


@jax.custom_jvp
def misled(x):
    """(x - 2)^2 summed, with the derivative of x^2: what a user's hand-written derivative may be."""
    return jnp.sum((x - 2) ** 2)


@misled.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    return misled(x), 2 * jnp.vdot(x, t)


def wiggle(x: Any) -> bool:
    """Local minimum of x^2 + sin(1000 x) / 1000, by its own derivatives."""
    (t,) = x
    return bool(abs(2 * t + np.cos(1000 * t)) <= NEAR and 2 - 1000 * np.sin(1000 * t) > 0)


SADDLES = [
    Probe(
        "saddle in a box",
        lambda: Problem(
            lambda x: x[0] ** 2 - x[1] ** 2, np.array([1.0, 0.0]), bounds=(np.array([-2.0, -1.0]), np.array([2.0, 1.0]))
        ),
        MINIMUM,
        near((0, 1), (0, -1)),
        "SLSQP, trust-constr, Ipopt, Uno, NLopt and two JAX solvers report success at (0, 0)",
        (
            Point(np.zeros(2), SADDLE),
            Point(np.array([0.0, 1.0]), MINIMUM),
            Point(np.array([1.0, 0.0]), REFUSED),
        ),
    ),
    Probe(
        "start on a maximum",
        lambda: Problem(lambda x: (x[0] ** 2 - 1) ** 2, np.zeros(1)),
        MINIMUM,
        near((1,), (-1,)),
        "the gradient is exactly 0 at the start",
        (Point(np.zeros(1), SADDLE), Point(ONE, MINIMUM)),
    ),
    Probe(
        "maximum in a box",
        lambda: Problem(lambda x: -(x[0] ** 2), np.zeros(1), bounds=(-1.0, 1.0)),
        MINIMUM,
        near((1,), (-1,)),
        "zero gradient at the start, minima at both bounds",
        (Point(np.zeros(1), SADDLE), Point(ONE, MINIMUM)),
    ),
    Probe(
        "saddle beside an active bound",
        lambda: Problem(
            lambda x: x[0] + x[1] ** 2 - x[2] ** 2,
            np.array([1.0, 1.0, 0.0]),
            bounds=(np.array([0.0, -1.0, -1.0]), 1.0),
        ),
        MINIMUM,
        near((0, 0, 1), (0, 0, -1)),
        "negative curvature in the face of an active bound",
        (Point(np.zeros(3), SADDLE),),
    ),
    Probe(
        "concave: vertices only",
        lambda: Problem(lambda x: -jnp.sum(x**2), np.array([0.1, 0.2]), bounds=(-1.0, 1.0)),
        MINIMUM,
        near((1, 1), (1, -1), (-1, 1), (-1, -1)),
        "curvature is negative everywhere; vertices are minima by first order",
        (Point(np.array([1.0, 0.0]), SADDLE), Point(np.ones(2), MINIMUM)),
    ),
    Probe(
        "monkey saddle",
        lambda: Problem(lambda x: x[0] ** 3 - 3 * x[0] * x[1] ** 2, np.array([0.5, 0.1]), bounds=(-1.0, 1.0)),
        LOCAL_ONLY | FLAT_MINIMUM,
        near((-1, 0), (1, 1), (1, -1), within=1e-4),
        "the Hessian is 0 at the saddle; at (1, 1) one bound is active without a multiplier",
        (Point(np.zeros(2), FLAT_NOT_MINIMUM), Point(np.array([-1.0, 0.0]), LOCAL_ONLY)),
    ),
]

VANISHING_CURVATURE = [
    Probe(
        "x^3 in a box",
        lambda: Problem(lambda x: x[0] ** 3, np.ones(1), bounds=(-1.0, 1.0)),
        MINIMUM | FLAT_NOT_MINIMUM,
        near((-1,)),
        "gradient 3e-10 and positive curvature at 1e-5, which is no minimum",
        (
            Point(np.zeros(1), FLAT_NOT_MINIMUM),
            Point(np.array([1e-5]), FLAT_NOT_MINIMUM | REFUSED),
            Point(np.array([-1e-5]), FLAT_NOT_MINIMUM | REFUSED),
            Point(-ONE, MINIMUM),
        ),
    ),
    Probe(
        "x^4",
        lambda: Problem(lambda x: x[0] ** 4, np.ones(1)),
        FLAT_MINIMUM,
        near((0,), within=1e-2),
        "a minimum with zero curvature: curvature alone cannot tell it from -x^4",
        (Point(np.zeros(1), FLAT_MINIMUM), Point(np.array([1e-3]), FLAT_NOT_MINIMUM | REFUSED)),
    ),
    Probe(
        "x^4, promised convex",
        lambda: Problem(lambda x: x[0] ** 4, np.ones(1), convex=True),
        frozenset(MINIMUM | {UNDECIDED}),
        near((0,), within=1e-2),
        "the same where the user knows more",
        (Point(np.zeros(1), MINIMUM),),
    ),
    Probe(
        "-x^4 in a box",
        lambda: Problem(lambda x: -(x[0] ** 4), np.array([0.5]), bounds=(-1.0, 1.0)),
        MINIMUM,
        near((1,), (-1,)),
        "a maximum with zero curvature",
        (Point(np.zeros(1), FLAT_NOT_MINIMUM),),
    ),
    Probe(
        "Peano's surface",
        lambda: Problem(
            lambda x: (x[1] - x[0] ** 2) * (x[1] - 2 * x[0] ** 2), np.array([0.3, 0.5]), bounds=(-1.0, 1.0)
        ),
        MINIMUM | FLAT_NOT_MINIMUM,
        near((0.75**0.5, 1), (-(0.75**0.5), 1)),  # where the falling valley y = 1.5 x^2 meets the box
        "0 is a minimum along every straight line, and no minimum",
        (Point(np.zeros(2), FLAT_NOT_MINIMUM),),
    ),
    Probe(
        "x^2 - y^4 in a box",
        lambda: Problem(lambda x: x[0] ** 2 - x[1] ** 4, np.array([1.0, 0.0]), bounds=(-1.0, 1.0)),
        MINIMUM | FLAT_NOT_MINIMUM,
        near((0, 1), (0, -1)),
        "curvature 2 and 0, descent of fourth order",
        (Point(np.zeros(2), FLAT_NOT_MINIMUM),),
    ),
    Probe(
        "x^2 y^2",
        lambda: Problem(lambda x: x[0] ** 2 * x[1] ** 2, np.array([1.0, 0.5])),
        FLAT_MINIMUM | LOCAL_ONLY,  # LOCAL is true; a valley of minima has no strict one
        lambda x: bool(abs(x[0] * x[1]) <= 1e-3),
        "a cross of minima: singular curvature at every one",
        (Point(np.zeros(2), FLAT_MINIMUM), Point(np.array([1.0, 0.0]), FLAT_MINIMUM)),
    ),
    Probe(
        "exp(-x): infimum not attained",
        lambda: Problem(lambda x: jnp.exp(-x[0]), np.zeros(1)),
        NOT_SUCCESS,
        None,
        "gradient and curvature vanish together; there is no minimum and no unboundedness",
        (Point(np.array([40.0]), NOT_SUCCESS), Point(np.zeros(1), REFUSED)),
    ),
    Probe(
        "arctan: infimum not attained",
        lambda: Problem(lambda x: jnp.arctan(x[0]), np.zeros(1)),
        NOT_SUCCESS,
        None,
        "bounded below, no minimum",
        (Point(np.array([-1e6]), NOT_SUCCESS),),
    ),
    Probe(
        "far tail of a well",
        lambda: Problem(lambda x: -1 / (1 + x[0] ** 2), np.array([3.0])),
        MINIMUM | NOT_SUCCESS,
        near((0,)),
        "the gradient at 1e6 is 2e-18",
        (Point(np.array([1e6]), NOT_SUCCESS), Point(np.zeros(1), MINIMUM)),
    ),
]

SCALES = [
    Probe(
        "flat scale",
        lambda: Problem(lambda x: 1e-12 * (x[0] - 1) ** 2, np.zeros(1)),
        MINIMUM,
        near((1,)),
        "SLSQP and trust-constr stop at 0, Ipopt at 3e-4",
        (Point(np.zeros(1), REFUSED), Point(np.array([3e-4]), REFUSED), Point(ONE, MINIMUM)),
    ),
    Probe(
        "flat Rosenbrock",
        lambda: Problem(lambda x: 1e-12 * rosenbrock(x), TWO),
        MINIMUM,
        near((1, 1)),
        "a quasi-Newton solver that tests its step reports success at the start",
        (Point(TWO, REFUSED), Point(np.ones(2), MINIMUM)),
    ),
    *(
        Probe(
            f"Rosenbrock, {where} times 2^{sign}40",
            lambda f=f, s=s: Problem(lambda x: f * rosenbrock(x / s), s * TWO),
            MINIMUM,
            lambda x, s=s: near((1, 1))(x / s),
            "units of the user's choice: no verdict may change",
            (Point(s * TWO, REFUSED), Point(s * np.ones(2), MINIMUM)),
        )
        for where, sign, f, s in [
            ("value", "+", TWO_40, 1.0),
            ("value", "-", 1 / TWO_40, 1.0),
            ("x", "+", 1.0, TWO_40),
            ("x", "-", 1.0, 1 / TWO_40),
        ]
    ),
    Probe(
        "Powell's badly scaled",
        lambda: Problem(
            lambda x: (1e4 * x[0] * x[1] - 1) ** 2 + (jnp.exp(-x[0]) + jnp.exp(-x[1]) - 1.0001) ** 2,
            np.array([0.0, 1.0]),
        ),
        frozenset(MINIMUM | {UNDECIDED, STATIONARY}),
        near((1.098159e-5, 9.106146), within=1e-3),
        "the minimum has one variable of 1e-5 and one of 9; curvatures differ by 1e13",
    ),
    Probe(
        "many local minima",
        lambda: Problem(lambda x: x[0] ** 2 + jnp.sin(1000 * x[0]) / 1000, np.array([0.3])),
        LOCAL_ONLY,
        wiggle,
        "a local minimum every 0.006: GLOBAL would be a guess",
        (Point(np.zeros(1), REFUSED),),
    ),
]

UNTRUE_DERIVATIVES = [
    Probe(
        "cancellation",
        lambda: Problem(lambda x: -(1 - jnp.cos(x[0])) / x[0] ** 2, np.array([1e-8]), bounds=(1e-9, 3.0)),
        NOT_SUCCESS,
        None,  # it is the lower bound (the value is -1/2 + x^2/24), but this formula in float64 cannot show it
        "JAX's float64 gradient at the start is -1e8, truth 8e-10: Ipopt, POUNCE, trust-constr report success",
        (Point(np.array([1e-8]), NOT_SUCCESS), Point(np.array([3e-6]), NOT_SUCCESS), Point(np.array([1.0]), REFUSED)),
    ),
    Probe(
        "wrong derivative",
        lambda: Problem(misled, np.array([1.0, 1.0])),
        DERIVATIVES_LIE,
        None,
        "a hand-written derivative is zero at 0, where the value falls: SLSQP reports success",
        (Point(np.zeros(2), DERIVATIVES_LIE),),
    ),
    Probe(
        "stopped gradient",
        lambda: Problem(lambda x: jnp.sum((jax.lax.stop_gradient(x) - 2) ** 2), np.zeros(2)),
        DERIVATIVES_LIE,
        None,
        "derivatives are zero everywhere, the value is not constant",
        (Point(np.zeros(2), DERIVATIVES_LIE),),
    ),
    Probe(
        "not defined at the start",
        lambda: Problem(lambda x: jnp.log(x[0]) ** 2, -ONE),
        frozenset(MINIMUM | {UNDECIDED}),
        near((1,)),
        "NaN must not pass a comparison",
        (Point(-ONE, frozenset({UNDECIDED})), Point(ONE, MINIMUM)),
    ),
]

PROBES = SADDLES + VANISHING_CURVATURE + SCALES + UNTRUE_DERIVATIVES
