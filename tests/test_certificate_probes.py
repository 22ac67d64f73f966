"""Points that fool solvers: the accepted verdicts of the certificate, one row each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from certifying import ready

from karush.core.status import Verdict
from karush.problem.constraints import between, equal

LOCAL, GLOBAL = Verdict.LOCAL_MINIMUM, Verdict.GLOBAL_MINIMUM
STATIONARY, NO_MINIMUM, NOT_STATIONARY = Verdict.STATIONARY, Verdict.NOT_A_MINIMUM, Verdict.NOT_STATIONARY
INFEASIBLE, UNBOUNDED, UNDECIDED = Verdict.LOCALLY_INFEASIBLE, Verdict.UNBOUNDED, Verdict.UNDECIDED
INF = np.inf


def on_sphere(**rest):
    sphere = equal(lambda x: x @ x, 1.0, name="sphere")
    weights = np.array([1.0, 2.0, 3.0])
    return dict(
        objective=lambda x: x @ (weights * x) + 0.1 * x[0] ** 3, x0=[0.5, 0.5, 0.5], constraints=[sphere], **rest
    )


def cancelling(x):
    return -(1 - jnp.cos(x[0])) / x[0] ** 2


def only(function, **limits):
    return [between(function, name="c", **limits)]


NEAR_ZERO = dict(objective=cancelling, x0=[1e-8], bounds=(1e-9, 3.0))
NO_CQ = dict(objective=lambda x: x[0], x0=[1.0], constraints=only(lambda x: x[0] ** 2, upper=0.0))
HS13 = dict(
    objective=lambda x: (x[0] - 2) ** 2 + x[1] ** 2,
    x0=[-2.0, -2.0],
    bounds=(0.0, None),
    constraints=only(lambda x: (1 - x[0]) ** 3 - x[1], lower=0.0),
)

PROBES = [
    (
        "saddle",
        dict(objective=lambda x: x[0] ** 2 - x[1] ** 2, x0=[1, 0], bounds=([-INF, -1], [INF, 1])),
        [0, 0],
        NO_MINIMUM,
    ),
    ("flat scale, not there", dict(objective=lambda x: 1e-12 * (x[0] - 1) ** 2, x0=[0]), [0], NOT_STATIONARY),
    ("flat scale, there", dict(objective=lambda x: 1e-12 * (x[0] - 1) ** 2, x0=[0]), [1], GLOBAL),
    ("flatter, not there", dict(objective=lambda x: 1e-30 * jnp.cosh(x[0] - 1), x0=[0.5]), [0.5], NOT_STATIONARY),
    ("flatter, there", dict(objective=lambda x: 1e-30 * jnp.cosh(x[0] - 1), x0=[0.5]), [1], LOCAL),
    ("steep, not there", dict(objective=lambda x: 1e30 * jnp.cosh(x[0] - 1), x0=[0.5]), [1 + 1e-7], NOT_STATIONARY),
    ("steep, there", dict(objective=lambda x: 1e30 * jnp.cosh(x[0] - 1), x0=[0.5]), [1], LOCAL),
    ("cancellation 1e-9", NEAR_ZERO, [1e-9], NOT_STATIONARY),
    ("cancellation 1e-8", NEAR_ZERO, [1e-8], NOT_STATIONARY),
    ("cancellation 1e-4", NEAR_ZERO, [1e-4], (STATIONARY, NO_MINIMUM, NOT_STATIONARY, UNDECIDED)),
    ("no constraint qualification, beyond", NO_CQ, [-1e-5], NOT_STATIONARY),
    ("no constraint qualification, near", NO_CQ, [-1e-9], (STATIONARY, NOT_STATIONARY)),
    ("no constraint qualification, there", NO_CQ, [0], NOT_STATIONARY),
    ("HS13 at its minimum, no KKT point", HS13, [1, 0], NOT_STATIONARY),
    ("HS13 beside it", HS13, [1.002, 0], NOT_STATIONARY),
    (
        "kinked relu",
        dict(objective=lambda x: jax.nn.relu(x[0]) - jax.nn.relu(-x[0]) + x[0] ** 2, x0=[1]),
        [0],
        NO_MINIMUM,
    ),
    ("abs", dict(objective=lambda x: jnp.abs(x[0]), x0=[1]), [0], UNDECIDED),
    ("-abs", dict(objective=lambda x: -jnp.abs(x[0]), x0=[1], bounds=(-1, 1)), [0], NO_MINIMUM),
    ("max", dict(objective=lambda x: jnp.maximum(x[0] ** 2, (x[0] - 2) ** 2), x0=[0.5]), [1], UNDECIDED),
    ("where", dict(objective=lambda x: jnp.where(x[0] > 0, x[0] ** 2, -(x[0] ** 2)), x0=[1]), [0], NO_MINIMUM),
    ("floor", dict(objective=lambda x: jnp.floor(x[0]) + x[0] ** 2, x0=[1]), [0], NO_MINIMUM),
    ("sort", dict(objective=lambda x: jnp.sort(x)[0] + x @ x, x0=[1, 2]), [0, 0], NO_MINIMUM),
    ("norm", dict(objective=lambda x: jnp.linalg.norm(x), x0=[1, 2]), [0, 0], UNDECIDED),
    ("logsumexp is smooth", dict(objective=lambda x: jax.nn.logsumexp(x) + x @ x, x0=[1, 2]), [-0.25, -0.25], LOCAL),
    ("x³ at 0", dict(objective=lambda x: x[0] ** 3, x0=[1]), [0], NO_MINIMUM),
    ("x³ near 0", dict(objective=lambda x: x[0] ** 3, x0=[1]), [1e-5], NO_MINIMUM),
    ("x³ nearer 0", dict(objective=lambda x: x[0] ** 3, x0=[1]), [1e-9], NO_MINIMUM),
    ("x⁴ at 0", dict(objective=lambda x: x[0] ** 4, x0=[1]), [0], STATIONARY),
    ("x⁴ near 0", dict(objective=lambda x: x[0] ** 4, x0=[1]), [1e-3], STATIONARY),
    ("x² - y⁴", dict(objective=lambda x: x[0] ** 2 - x[1] ** 4, x0=[1, 1]), [0, 0], NO_MINIMUM),
    (
        "x² - 1e-20 y²",
        dict(objective=lambda x: x[0] ** 2 - 1e-20 * x[1] ** 2, x0=[1, 1]),
        [0, 0],
        (STATIONARY, NO_MINIMUM),
    ),
    ("monkey saddle", dict(objective=lambda x: x[0] ** 3 - 3 * x[0] * x[1] ** 2, x0=[1, 1]), [0, 0], NO_MINIMUM),
    (
        "Peano: a minimum on every line, and none",
        dict(objective=lambda x: (x[1] - x[0] ** 2) * (x[1] - 3 * x[0] ** 2), x0=[1, 1]),
        [0, 0],
        (STATIONARY, NO_MINIMUM),
    ),
    ("saddle on a sphere", on_sphere(), [0, 1, 0], NO_MINIMUM),
    ("maximum on a sphere", on_sphere(), [0, 0, 1], NO_MINIMUM),
    ("maximum wanted on a sphere", on_sphere(maximize=True), [0, 0, 1], LOCAL),
    ("minimum on a sphere", on_sphere(), [-1, 0, 0], LOCAL),
    ("maximum", dict(objective=lambda x: jnp.sin(x[0]), x0=[1]), [np.pi / 2], NO_MINIMUM),
    ("maximum wanted", dict(objective=lambda x: jnp.sin(x[0]), x0=[1], maximize=True), [np.pi / 2], LOCAL),
    (
        "x² + y² = -1",
        dict(objective=lambda x: x[0], x0=[1, 1], constraints=[equal(lambda x: x @ x, -1.0)]),
        [0, 0],
        INFEASIBLE,
    ),
    (
        "x² = 1 at 0",
        dict(objective=lambda x: x[0], x0=[1], constraints=[equal(lambda x: x[0] ** 2, 1.0)]),
        [0],
        NOT_STATIONARY,
    ),
    (
        "x³ = 1 at 0",
        dict(objective=lambda x: x[0], x0=[1], constraints=[equal(lambda x: x[0] ** 3, 1.0)]),
        [0],
        NOT_STATIONARY,
    ),
    (
        "bounds too tight",
        dict(objective=lambda x: x @ x, x0=[1, 1], bounds=(0, 1), constraints=only(jnp.sum, lower=3.0)),
        [1, 1],
        INFEASIBLE,
    ),
    ("-log x far out", dict(objective=lambda x: -jnp.log(x[0]), x0=[1], bounds=(0.1, None)), [1e9], UNBOUNDED),
    ("-√x far out", dict(objective=lambda x: -jnp.sqrt(x[0]), x0=[1], bounds=(0.1, None)), [1e9], UNBOUNDED),
    ("-x far out", dict(objective=lambda x: -x[0], x0=[1]), [1e5], UNBOUNDED),
    ("exp(-x) far out", dict(objective=lambda x: jnp.exp(-x[0]), x0=[1]), [1e5], STATIONARY),
    ("exp(-x) where its gradient vanishes", dict(objective=lambda x: jnp.exp(-x[0]), x0=[1]), [30], STATIONARY),
    ("-atan x far out", dict(objective=lambda x: -jnp.arctan(x[0]), x0=[1]), [1e9], STATIONARY),
    ("NaN", dict(objective=lambda x: jnp.sqrt(x[0] - 2), x0=[3]), [1], UNDECIDED),
]


@pytest.mark.user_style
@pytest.mark.parametrize(("problem", "x", "accepted"), [row[1:] for row in PROBES], ids=[row[0] for row in PROBES])
def test_no_probe_gets_a_wrong_verdict(problem, x, accepted):
    certificate = ready(**problem).judge(x)
    assert certificate.verdict in (accepted if isinstance(accepted, tuple) else (accepted,)), str(certificate)
    assert certificate.sentence


@pytest.mark.user_style
@pytest.mark.parametrize(
    "problem",
    [
        dict(objective=lambda x: -x[0], x0=[1, 1], constraints=[equal(lambda x: x[1] - x[0] ** 2, 0.0)]),
        dict(objective=lambda x: x[0], x0=[1, 1], constraints=only(jnp.sum, upper=3.0)),
        dict(objective=lambda x: -jnp.exp(x[0]) + x[1] ** 2, x0=[1, 1]),
    ],
    ids=["along a parabola", "along a half-space", "to overflow"],
)
def test_a_ray_is_feasible_and_falls_at_an_undiminished_rate(problem):
    case = ready(**problem)
    slope = case.evaluator(case.flat.x0, np.zeros(case.flat.m)).gradient[0]
    behind = case.flat.x0 + np.array([[np.sign(slope), 0.0]])
    certificate = case.judge(case.flat.x0, sequence=behind)
    assert certificate.verdict is UNBOUNDED, str(certificate)
    assert certificate.witness is not None
    decreases = -np.diff(certificate.witness["values"])
    assert np.all(decreases[decreases.size // 2 :] > 0)
    for x, value in zip(certificate.witness["points"][:8], certificate.witness["values"]):
        assert case.evaluator.values(x)[0] == value
