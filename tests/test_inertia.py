"""Inertia by one Cholesky factorization, and the least correction that makes it right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karush.core.precision import float64
from karush.linalg import kkt_system
from karush.linalg.ops import JAX, NUMPY
from karush.solvers import inertia

pytestmark = pytest.mark.user_style
sizes = st.tuples(st.integers(1, 5), st.integers(0, 4), st.integers(0, 2**32 - 1))


def system(n, m, seed):
    generator = np.random.default_rng(seed)
    root = generator.standard_normal((n, n))
    return root + root.T, generator.standard_normal((m, n)), 10.0 ** generator.uniform(-2, 2, m)


def eigenvalues(H, J, D):
    return np.linalg.eigvalsh(np.block([[H, J.T], [J, -np.diag(D)]]))


@given(sizes)
def test_the_inertia_is_right_exactly_if_n_eigenvalues_are_positive_and_m_negative(size):
    n, m, _ = size
    H, J, D = system(*size)
    found = eigenvalues(H, J, D)
    if np.min(np.abs(found)) > 1e-8:  # otherwise rounding decides
        assert bool(kkt_system.has_right_inertia(NUMPY, H, J, D)) == (np.sum(found > 0) == n)
        assert np.sum(found < 0) >= m or not kkt_system.has_right_inertia(NUMPY, H, J, D)


@settings(max_examples=10)
@given(st.tuples(st.just(3), st.sampled_from([0, 2]), st.integers(0, 2**32 - 1)))
def test_numpy_and_jax_agree(size):
    H, J, D = system(*size)
    if np.min(np.abs(eigenvalues(H, J, D))) > 1e-8:
        with float64():
            compiled = bool(kkt_system.has_right_inertia(JAX, *map(JAX.np.asarray, (H, J, D))))
        assert compiled == bool(kkt_system.has_right_inertia(NUMPY, H, J, D))


@pytest.mark.parametrize("ops", [NUMPY, JAX], ids=["numpy", "jax"])
def test_nan_is_not_positive_definite(ops):
    with float64():
        for bad in (np.nan, np.inf):
            matrix = ops.np.asarray(np.array([[1.0, bad], [bad, 1.0]]))
            assert not ops.is_positive_definite(matrix)
        assert ops.is_positive_definite(ops.np.asarray(np.eye(2)))
        assert not ops.is_positive_definite(ops.np.asarray(-np.eye(2)))


@given(st.floats(-1e6, 1e6), st.floats(0.0, 1e3))
def test_the_correction_makes_the_inertia_right_and_is_zero_where_it_is_right_already(curvature, last):
    """One variable: H = curvature, right where curvature + δ > 0."""
    delta, remembered = inertia.correction(NUMPY, lambda d: curvature + d > 0.0, last, 0.0)
    assert curvature + delta > 0.0
    if curvature > 0.0:
        assert delta == 0.0
        assert remembered == last
    else:
        assert remembered == delta
        first = inertia.DELTA_FIRST if last == 0.0 else max(inertia.DELTA_MIN, inertia.SHRINK * last)
        growth = inertia.GROW_FIRST if last == 0.0 else inertia.GROW
        assert delta <= max(first, growth * -curvature * (1 + 1e-12))


@given(st.floats(1e-8, 1e3))
def test_the_correction_is_never_below_its_floor(floor):
    assert inertia.correction(NUMPY, lambda d: True, 0.0, floor)[0] == floor


def test_the_search_for_a_correction_ends_where_there_is_none():
    delta, _ = inertia.correction(NUMPY, lambda d: np.asarray(False), 0.0, 0.0)
    assert delta >= inertia.DELTA_MAX


@given(st.integers(2, 6), st.integers(0, 2**32 - 1), st.floats(-8.0, 8.0))
def test_a_matrix_that_is_singular_up_to_rounding_has_not_the_right_inertia_in_any_units(n, seed, power):
    """A sum of n − 1 squares: whether Cholesky's method finds a last pivot above zero is chance."""
    generator = np.random.default_rng(seed)
    root = generator.standard_normal((n, n - 1)) * 10.0**power
    units = 10.0 ** generator.uniform(-4.0, 4.0, n)
    H = units[:, None] * (root @ root.T) * units
    none = np.zeros((0, n))
    assert not kkt_system.has_right_inertia(NUMPY, H, none, np.zeros(0))
    clearly = H + 1e-6 * np.diag(np.diagonal(H))
    assert kkt_system.has_right_inertia(NUMPY, clearly, none, np.zeros(0))
