"""The filter: sec. 2.3 of [WB06]."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solving import hs71, prepared

from karush.linalg.ops import NUMPY
from karush.solvers import acceptance, run, start
from karush.solvers.state import FILTER_SIZE, REGULAR

pytestmark = pytest.mark.user_style


@pytest.fixture(autouse=True, scope="module")
def as_in_the_driver():
    """inf - inf and the like are expected in the step; the driver silences NumPy's warnings on them."""
    with np.errstate(all="ignore"):
        yield


@pytest.fixture(scope="module")
def origin(as_in_the_driver):
    """A first state of HS71, in the regular phase, with an empty filter."""
    parts = prepared(hs71).parts
    x = parts.flat.projected(parts.flat.x0)
    state = start.state(NUMPY, parts.layout, parts.units, x, run.MU_FIRST)
    return parts.units, state._replace(mode=state.mode * 0 + REGULAR, force=np.asarray(False), theta_max=1e4)


def at(data, state, theta, merit):
    """The state's point with violation θ and merit φ = f + barrier."""
    barrier = acceptance._merit(NUMPY, data, state.point._replace(value=0.0), state.mu, False)
    return state.point._replace(value=merit - barrier, violation=theta)


def judged(origin, now, trial, slope=-1.0, alpha=1.0, force=False, finite=True, history=()):
    """Whether (θ, φ) `trial` is accepted from `now`, after the points of `history` entered the filter."""
    data, state = origin
    for pair in history:
        state = acceptance.augment(NUMPY, data, state._replace(point=at(data, state, *pair)), True)
    step = state.step._replace(slope=slope, v=np.ones_like(state.step.v))
    state = state._replace(point=at(data, state, *now), step=step, alpha=alpha, force=np.asarray(force))
    return acceptance.judge(NUMPY, data, state, at(data, state, *trial), np.asarray(finite))


pairs = st.tuples(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))


@given(pairs, pairs)
def test_a_point_worse_in_both_is_refused(origin, now, worse):
    theta, phi = now[0] + worse[0], now[1] + abs(worse[1]) + 1e-3
    assert not judged(origin, now, (theta, phi))[0]


@given(pairs, st.floats(0.01, 0.99))
def test_less_violation_is_progress_whatever_the_merit_while_far_from_feasible(origin, now, share):
    accepted, _ = judged(origin, now, (share * now[0], now[1] + 10.0), slope=1.0)
    assert accepted


@given(pairs, pairs)
def test_what_the_filter_holds_is_not_accepted_again(origin, now, before):
    worse = (before[0] * 1.01, before[1] + 1.0)
    assert not judged(origin, now, worse, slope=1.0, history=[before])[0]


@given(pairs, pairs)
def test_a_point_that_is_not_finite_is_refused_and_a_forced_one_is_not(origin, now, trial):
    better = (0.5 * now[0], now[1] - 1.0)
    assert not judged(origin, now, better, finite=False)[0]
    assert judged(origin, now, trial, force=True)[0]


def test_a_violation_that_is_nan_is_refused(origin):
    assert not judged(origin, (1.0, 1.0), (np.nan, 0.0))[0]


def test_near_feasibility_a_descent_step_must_lower_the_merit_by_armijos_rule(origin):
    """With θ below θ_min and a switching step, less violation alone does not count."""
    data, state = origin
    near = (data, state._replace(theta_min=1.0))
    assert not judged(near, (1e-6, 1.0), (1e-9, 1.0 + 1e-3), slope=-1.0)[0]
    assert judged(near, (1e-6, 1.0), (2e-6, 1.0 - 1e-3), slope=-1.0)[0]


def test_an_armijo_step_leaves_the_filter_as_it_was_and_another_enters_it(origin):
    data, state = origin
    near = (data, state._replace(theta_min=1.0))
    _, after = judged(near, (1e-6, 1.0), (1e-6, 0.5), slope=-1.0)
    assert not np.isfinite(after.filter_theta).any()
    _, after = judged(origin, (2.0, 1.0), (1.0, 1.0), slope=1.0)
    np.testing.assert_array_equal(after.filter_theta[np.isfinite(after.filter_theta)], [2.0])


def test_violation_beyond_its_cap_is_refused(origin):
    data, state = origin
    assert not judged((data, state._replace(theta_max=10.0)), (20.0, 1.0), (11.0, -1e3))[0]


def test_the_oldest_entry_is_forgotten_when_the_filter_is_full(origin):
    data, state = origin
    for k in range(FILTER_SIZE + 1):
        state = acceptance.augment(NUMPY, data, state._replace(point=at(data, state, 1.0 + k, 0.0)), True)
    assert np.isfinite(state.filter_theta).all()
    assert 1.0 not in state.filter_theta
    assert 1.0 + FILTER_SIZE in state.filter_theta
