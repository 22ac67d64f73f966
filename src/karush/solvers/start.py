"""From a flat problem to the solver's units, and from a start to the first state."""

from typing import Any

import numpy as np

from karush.certificates import Scales
from karush.linalg.kkt_system import Layout
from karush.linalg.ops import Ops
from karush.problem.flat import FlatProblem
from karush.solvers import barrier
from karush.solvers.state import FILTER_SIZE, MULTIPLIERS, REGULAR, RUNNING, Data, Point, State, empty_step

LARGEST_GRADIENT = 100.0
"""functions whose gradient at the start exceeds this are scaled down to it, sec. 3.8 of [WB06]"""
LEAST_WEIGHT = 0.1
"""least weight of a residual in the user's units: with tol = 1e-8, each is brought below 1e-7 where rounding allows"""
SMALLEST_UNIT = 1e-8
"""least scaling factor, as there"""
NO_OBJECTIVE = np.float64(2.0**500)
"""unit of the objective in which it vanishes beside the constraints; a power of two, to come back without rounding"""


def data(flat: FlatProblem, scales: Scales, gradient: np.ndarray, jacobian: np.ndarray, tol: float) -> Data:
    """`flat` in units that make the gradients at the start, (n,) and (m, n), moderate.

    The run ends where both the error in these units and the residuals in the user's are small. The latter are weighted
    so that the certificate's entries, made dimensionless by `scales`, fall below half of their bound.
    """
    f_unit = _unit(float(np.max(np.abs(gradient), initial=0.0)))
    row_unit = np.array([_unit(size) for size in np.max(np.abs(jacobian), axis=1, initial=0.0)])
    x_unit = np.ones(flat.n)
    lower = np.concatenate([flat.lower / x_unit, flat.row_lower / row_unit])
    upper = np.concatenate([flat.upper / x_unit, flat.row_upper / row_unit])
    free = lower < upper
    return Data(
        lower=lower,
        upper=upper,
        has_lower=np.isfinite(lower) & free,
        has_upper=np.isfinite(upper) & free,
        free=free,
        x_unit=x_unit,
        f_unit=np.float64(f_unit),
        row_unit=row_unit,
        x_lower=flat.lower,
        x_upper=flat.upper,
        tol=np.float64(tol),
        dual_weight=np.maximum(2.0 * scales.x / scales.f, LEAST_WEIGHT),
        price_weight=np.maximum(2.0 * scales.rows / scales.f, LEAST_WEIGHT),
        gap_weight=np.float64(max(2.0 / scales.f, LEAST_WEIGHT)),
        row_weight=np.maximum(2.0 / scales.rows, LEAST_WEIGHT),
    )


def without_objective(data: Data) -> Data:
    """`data` with the objective in units of NO_OBJECTIVE: the constraints alone."""
    return data._replace(
        f_unit=NO_OBJECTIVE,
        dual_weight=data.dual_weight / NO_OBJECTIVE,
        price_weight=data.price_weight / NO_OBJECTIVE,
        gap_weight=data.gap_weight / NO_OBJECTIVE,
    )


def _unit(largest: float) -> float:
    """Power of two by which a function is divided, so that the scaling itself rounds nothing."""
    if not np.isfinite(largest) or largest == 0.0:
        return 1.0
    if largest > LARGEST_GRADIENT:
        return float(2.0 ** np.ceil(np.log2(min(largest / LARGEST_GRADIENT, 1.0 / SMALLEST_UNIT))))
    return 1.0


def state(ops: Ops, rows: Layout, problem: Data, x: Any, mu: Any) -> State:
    """First state of a run from x (n,), in the user's units."""
    xnp = ops.np
    n, m = problem.x_unit.shape[0], problem.row_unit.shape[0]
    size = n + rows.kept.size
    v = barrier.inside(ops, problem, xnp.concatenate([x / problem.x_unit, xnp.zeros(m)]))
    zero = xnp.zeros(())
    point = Point(
        v,
        xnp.zeros(m),
        xnp.where(problem.has_lower, 1.0, 0.0),
        xnp.where(problem.has_upper, 1.0, 0.0),
        zero,
        xnp.zeros(m),
        zero,
    )
    integer = xnp.zeros((), dtype=np.int64)
    step = type(empty_step(0, 0))(*(xnp.asarray(part, dtype=np.float64) for part in empty_step(n, m)))
    return State(
        point=point,
        step=step,
        factors=(xnp.zeros((size, size)), xnp.zeros(size, dtype=np.int32)),
        J=xnp.zeros((m, n)),
        D=xnp.zeros(m),
        trial_v=v,
        trial_y=xnp.zeros(m),
        alpha=zero + 1.0,
        force=xnp.asarray(True),
        corrected=xnp.asarray(False),
        mode=integer + (MULTIPLIERS if m else REGULAR),
        mu=zero + mu,
        mu_saved=zero + mu,
        theta_saved=zero,
        delta=zero,
        delta_floor=zero,
        filter_theta=xnp.full(FILTER_SIZE, np.inf),
        filter_phi=xnp.full(FILTER_SIZE, np.inf),
        filter_next=integer,
        theta_max=zero + np.inf,
        theta_min=zero,
        theta_best=zero + np.inf,
        waiting=integer,
        status=integer + RUNNING,
        iterations=integer,
        evaluations=integer,
        stalled=integer,
        failures=integer,
        error=zero + np.inf,
        weighted_error=zero + np.inf,
    )
