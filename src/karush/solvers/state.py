"""What the interior point knows: the data of a problem, and the frozen state between two evaluations."""

from typing import Any, NamedTuple

import numpy as np

REGULAR, RESTORATION, MULTIPLIERS = 0, 1, 2
"""What the next factorization is for: a step of the barrier problem, a step towards feasibility, first multipliers."""

RUNNING, CONVERGED, INFEASIBLE, STEP_FAILED, EVALUATION_FAILED, DIVERGED = range(6)

FILTER_SIZE = 40
"""Rows of the filter; the oldest is forgotten. More than 20 were never used on the benchmark's problems."""

TAU_MIN = 0.99
"""fraction to the boundary, eq. (8) of [WB06]"""
DELTA_C = 1e-9
"""regularisation of the equality rows; always on: it only damps dy, so it moves no solution, and dependent rows need no
special case"""


class Data(NamedTuple):
    """A problem in the solver's own units; v = (x, s) stacks variables and the rows' slacks, c(x) - s = 0."""

    lower: Any
    """(n+m,)"""
    upper: Any
    """(n+m,)"""
    has_lower: Any
    """(n+m,) bool; False for a fixed entry"""
    has_upper: Any
    """(n+m,) bool; False for a fixed entry"""
    free: Any
    """(n+m,) bool; False where lower = upper: fixed variables and equality rows"""
    x_unit: Any
    """(n,) x = x_unit · x_scaled"""
    f_unit: Any
    """f_scaled = f / f_unit"""
    row_unit: Any
    """(m,) c_scaled = c / row_unit"""
    x_lower: Any
    """(n,) the user's bound: x is clipped to it after unscaling"""
    x_upper: Any
    """(n,)"""
    tol: Any
    """bound on the scaled optimality error, and on the weighted one"""
    dual_weight: Any
    """(n,) of the stationarity residual in the user's units"""
    price_weight: Any
    """(m,) of what is left of ∇L in the rows' slacks, in the user's units: a multiplier of the wrong sign"""
    gap_weight: Any
    """of multiplier times distance in the user's units"""
    row_weight: Any
    """(m,) of the rows' residuals in the user's units"""


class Point(NamedTuple):
    """An accepted iterate and what was found there."""

    v: Any
    """(n+m,) x and s"""
    y: Any
    """(m,) multipliers of c(x) - s = 0"""
    z_lower: Any
    """(n+m,) >= 0"""
    z_upper: Any
    """(n+m,) >= 0"""
    value: Any
    residual: Any
    """(m,) c(x) - s"""
    violation: Any
    """θ = ‖c(x) - s‖₁"""


class Evaluated(NamedTuple):
    """Scaled values and derivatives at the trial point."""

    f: Any
    g: Any
    c: Any
    J: Any
    W: Any


class Step(NamedTuple):
    """A direction from the current point."""

    v: Any
    y: Any
    z_lower: Any
    z_upper: Any
    slope: Any
    """directional derivative of the merit"""
    alpha_max: Any
    """largest primal step within the fraction to the boundary"""
    alpha_dual: Any


class State(NamedTuple):
    """Everything between two evaluations; a pytree of static shapes."""

    point: Point
    step: Step
    factors: Any
    """of the system that gave `step`, for the second-order correction"""
    J: Any
    """(m, n) of the current point"""
    D: Any
    """(m,) of the system that gave `step`"""
    trial_v: Any
    """(n+m,) where the next evaluation takes place"""
    trial_y: Any
    """(m,)"""
    alpha: Any
    force: Any
    """bool: the trial point is accepted whatever it brings (it was accepted before)"""
    corrected: Any
    """bool: the trial point is a second-order correction"""
    mode: Any
    mu: Any
    mu_saved: Any
    """barrier parameter to return to after restoration"""
    theta_saved: Any
    """violation at which restoration began"""
    delta: Any
    """last nonzero inertia correction"""
    delta_floor: Any
    """least inertia correction of the next system; raised when a step fails near feasibility"""
    filter_theta: Any
    """(FILTER_SIZE,) inf where empty"""
    filter_phi: Any
    """(FILTER_SIZE,)"""
    filter_next: Any
    theta_max: Any
    theta_min: Any
    theta_best: Any
    waiting: Any
    """iterations since the violation last fell below `theta_best`"""
    status: Any
    iterations: Any
    evaluations: Any
    stalled: Any
    """iterations, once the scaled error met `tol`, in which the weighted one was not halved"""
    failures: Any
    """line searches that ended without a step since the last success"""
    error: Any
    """scaled optimality error of the barrier-free problem at the current point"""
    weighted_error: Any
    """largest weighted residual in the user's units at the current point"""


def empty_step(n: int, m: int) -> Step:
    """A step of zero length."""
    zero = np.zeros(n + m)
    return Step(zero, np.zeros(m), zero, zero, 0.0, 1.0, 1.0)
