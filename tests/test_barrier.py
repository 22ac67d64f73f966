"""The barrier: distances, fraction to the boundary, and iterates that stay inside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karush.linalg.ops import NUMPY
from karush.solvers import barrier
from karush.solvers.state import Data, Point

pytestmark = pytest.mark.user_style
EPS = np.finfo(float).eps
finite = st.floats(-1e6, 1e6, allow_subnormal=False)


@pytest.fixture(autouse=True, scope="module")
def as_in_the_driver():
    """inf - inf and the like are expected in the step; the driver silences NumPy's warnings on them."""
    with np.errstate(all="ignore"):
        yield


def box(lower, upper):
    """Data of variables without rows between `lower` and `upper`."""
    lower, upper = np.array(lower, dtype=float), np.array(upper, dtype=float)
    free = lower < upper
    n = lower.size
    return Data(
        lower=lower,
        upper=upper,
        has_lower=np.isfinite(lower) & free,
        has_upper=np.isfinite(upper) & free,
        free=free,
        x_unit=np.ones(n),
        f_unit=1.0,
        row_unit=np.zeros(0),
        x_lower=lower,
        x_upper=upper,
        tol=1e-8,
        dual_weight=np.ones(n),
        price_weight=np.zeros(0),
        gap_weight=1.0,
        row_weight=np.zeros(0),
    )


@st.composite
def boxes(draw):
    lower, size = draw(finite), draw(st.floats(1e-3, 1e3))
    kind = draw(st.sampled_from(["both", "lower", "upper", "none"]))
    return box(
        [lower if kind in ("both", "lower") else -np.inf], [lower + size if kind in ("both", "upper") else np.inf]
    )


@given(boxes(), finite)
def test_a_start_is_moved_strictly_inside_and_no_further_than_needed(data, x):
    moved = barrier.inside(NUMPY, data, np.array([x]))
    assert np.all(moved > data.lower)
    assert np.all(moved < data.upper)
    np.testing.assert_array_equal(barrier.inside(NUMPY, data, moved), moved)


@given(finite)
def test_a_fixed_variable_is_put_at_its_value(value):
    data = box([value], [value])
    assert barrier.inside(NUMPY, data, np.array([0.0]))[0] == value
    assert barrier.within(NUMPY, data, np.array([value + 1.0]))[0] == value
    assert np.all(np.isinf(barrier.distances(NUMPY, data, np.array([value]))))


@given(boxes(), finite, st.floats(-1e6, 1e6), st.floats(0.5, 0.999))
def test_a_step_to_the_boundary_leaves_the_promised_share_of_every_distance(data, x, dx, share):
    """v + α dv stays (1 − share) of the distance away, eq. (15) of [WB06], to rounding."""
    v = barrier.inside(NUMPY, data, np.array([x]))
    alpha = barrier.fraction_to_boundary(NUMPY, data, v, np.array([dx]), share)
    assert 0.0 < alpha <= 1.0
    after = v + alpha * dx
    rounding = 8 * EPS * (np.abs(v) + abs(dx))
    below, above = barrier.distances(NUMPY, data, v)
    if data.has_lower[0]:
        assert after - data.lower >= (1 - share) * below - rounding
    if data.has_upper[0]:
        assert data.upper - after >= (1 - share) * above - rounding
    if alpha < 1.0:  # then a bound was the reason: the share is used up
        used = np.maximum(-alpha * dx / below, alpha * dx / above)
        assert used == pytest.approx(share, rel=8 * EPS)


@given(boxes(), finite, st.floats(1e-9, 1.0))
def test_the_force_is_the_gradient_of_the_barrier(data, x, mu):
    v = barrier.inside(NUMPY, data, np.array([x]))
    h = 1e-4 * min(1.0, *(d for d in np.concatenate(barrier.distances(NUMPY, data, v)) if np.isfinite(d)), 1.0)
    if v + h == v or not (data.has_lower[0] or data.has_upper[0]):
        return
    up, down = v + h, v - h
    slope = (barrier.objective(NUMPY, data, up, mu) - barrier.objective(NUMPY, data, down, mu)) / (up - down)[0]
    point = Point(v, np.zeros(0), None, None, 0.0, np.zeros(0), 0.0)
    force = barrier.force(NUMPY, data, point, mu)
    below, above = barrier.distances(NUMPY, data, v)
    size = mu / min(below[0], above[0])
    # Second differences of the logarithm are 1e-8 of its slope; the logarithm's own rounding is divided by h, and
    # a distance formed at |v| is wrong by eps |v|.
    rounding = 8 * EPS * mu * (np.abs(np.log(min(below[0], 1e300))) + 30.0) / h
    lost = 64 * EPS * (1 + np.abs(v[0])) / (1e-4 * min(below[0], above[0]))
    assert abs(force[0] - slope) <= size * (1e-6 + lost) + rounding


@given(boxes(), finite, st.floats(1e-9, 1.0), st.floats(0.0, 1e20))
def test_multipliers_are_kept_near_those_of_the_barrier(data, x, mu, z):
    v = barrier.inside(NUMPY, data, np.array([x]))
    point = Point(v, np.zeros(0), np.array([z]), np.array([z]), 0.0, np.zeros(0), 0.0)
    kept = barrier.safeguarded(NUMPY, data, point, mu)
    for multiplier, distance, has in zip(
        (kept.z_lower, kept.z_upper), barrier.distances(NUMPY, data, v), (data.has_lower, data.has_upper), strict=True
    ):
        if has[0]:
            assert mu / barrier.KAPPA_SIGMA <= multiplier[0] * distance[0] * (1 + 4 * EPS)
            assert multiplier[0] * distance[0] <= mu * barrier.KAPPA_SIGMA * (1 + 4 * EPS)
        else:
            assert multiplier[0] == 0.0


def test_complementarity_and_curvature_by_hand():
    """v = 2 in [1, 5], z = (3, 4): z·d = (3, 12), Σ = 3/1 + 4/3."""
    data = box([1.0], [5.0])
    point = Point(np.array([2.0]), np.zeros(0), np.array([3.0]), np.array([4.0]), 0.0, np.zeros(0), 0.0)
    assert barrier.complementarity(NUMPY, data, point, 1.0) == 11.0
    assert barrier.curvature(NUMPY, data, point)[0] == 3.0 + 4.0 / 3.0
    assert barrier.dual_residual(NUMPY, data, point, np.zeros((0, 1)), np.array([7.0]), np.zeros(0))[0] == 8.0


def test_a_step_keeps_multipliers_positive():
    data = box([1.0], [5.0])
    point = Point(np.array([2.0]), np.zeros(0), np.array([3.0]), np.array([4.0]), 0.0, np.zeros(0), 0.0)
    step = barrier.step(NUMPY, data, point, 1e-3, np.array([2.9]), np.zeros(0), -1.0, 0.99)
    assert np.all(point.z_lower + step.alpha_dual * step.z_lower >= (1 - 0.999) * point.z_lower * (1 - 8 * EPS))
    assert np.all(point.z_upper + step.alpha_dual * step.z_upper >= (1 - 0.999) * point.z_upper * (1 - 8 * EPS))
    # eq. (12) of [WB06]: z + dz = (μ − z dv) / distance
    assert (point.z_lower + step.z_lower)[0] == pytest.approx((1e-3 - 3.0 * 2.9) / 1.0, rel=8 * EPS)
    assert (point.z_upper + step.z_upper)[0] == pytest.approx((1e-3 + 4.0 * 2.9) / 3.0, rel=8 * EPS)
