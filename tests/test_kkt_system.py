"""The primal–dual system: its solution solves it, however its rows are laid out, on either array library."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karush.core.precision import float64
from karush.linalg import kkt_system
from karush.linalg.kkt_system import Layout
from karush.linalg.ops import JAX, NUMPY

pytestmark = pytest.mark.user_style
EPS = np.finfo(float).eps
sizes = st.tuples(st.integers(1, 6), st.integers(0, 8), st.integers(0, 2**32 - 1))


def system(n, m, seed):
    generator = np.random.default_rng(seed)
    root = generator.standard_normal((n, n))
    H = root @ root.T + np.eye(n)
    J = generator.standard_normal((m, n))
    D = 10.0 ** generator.uniform(-3, 3, m)
    return H, J, D, generator.standard_normal(n), generator.standard_normal(m)


def solved(ops, rows, H, J, D, a, b):
    return tuple(map(np.asarray, kkt_system.solve(ops, rows, kkt_system.factorize(ops, rows, H, J, D), J, D, a, b)))


def whole(H, J, D):
    return np.block([[H, J.T], [J, -np.diag(D)]])


@given(sizes)
def test_the_step_solves_the_system(size):
    n, m, _ = size
    H, J, D, a, b = system(*size)
    dx, dy = solved(NUMPY, Layout(np.arange(m), np.arange(0)), H, J, D, a, b)
    K = whole(H, J, D)
    residual = K @ np.concatenate([dx, dy]) + np.concatenate([a, b])
    norm = np.max(np.sum(np.abs(K), axis=1))
    # Backward stability of LU with partial pivoting; growth stays below 2^(n+m).
    bound = 16 * (n + m) ** 2 * EPS * norm * (1 + np.max(np.abs(np.concatenate([dx, dy]))))
    assert np.max(np.abs(residual)) <= bound


@given(sizes, st.data())
def test_eliminating_rows_changes_nothing(size, data):
    n, m, _ = size
    H, J, D, a, b = system(*size)
    out = np.array([data.draw(st.booleans()) for _ in range(m)], dtype=bool)
    rows = Layout(np.flatnonzero(~out), np.flatnonzero(out))
    dx, dy = solved(NUMPY, Layout(np.arange(m), np.arange(0)), H, J, D, a, b)
    dx_less, dy_less = solved(NUMPY, rows, H, J, D, a, b)
    condition = np.linalg.cond(whole(H, J, D)) if m else np.linalg.cond(H)
    # Elimination forms D⁻¹ up to 1e3 and so loses up to three digits more.
    scale = 1e4 * n * EPS * condition * (1 + max(np.max(np.abs(dx)), np.max(np.abs(dy), initial=0.0)))
    assert np.max(np.abs(dx_less - dx)) <= scale
    assert np.max(np.abs(dy_less - dy), initial=0.0) <= scale


@settings(max_examples=8)
@given(st.tuples(st.just(4), st.sampled_from([0, 3]), st.integers(0, 2**32 - 1)))
def test_numpy_and_jax_give_the_same_step(size):
    _, m, _ = size
    H, J, D, a, b = system(*size)
    rows = Layout(np.arange(m), np.arange(0))
    with float64():
        compiled = solved(JAX, rows, *map(JAX.np.asarray, (H, J, D, a, b)))
    condition = np.linalg.cond(whole(H, J, D))
    for one, other in zip(compiled, solved(NUMPY, rows, H, J, D, a, b), strict=True):
        np.testing.assert_allclose(
            one, other, rtol=0, atol=64 * EPS * condition * (1 + np.max(np.abs(other), initial=0))
        )


def test_rows_are_kept_while_they_are_few_and_inequalities_eliminated_when_they_are_many():
    few = kkt_system.layout(10, np.zeros(5, dtype=bool))
    np.testing.assert_array_equal(few.kept, np.arange(5))
    assert few.eliminated.size == 0
    equality = np.zeros(100, dtype=bool)
    equality[7] = True
    many = kkt_system.layout(10, equality)
    np.testing.assert_array_equal(many.kept, [7])
    assert many.eliminated.size == 99
    assert 7 not in many.eliminated


def test_a_singular_system_gives_a_step_that_is_not_finite_and_no_exception():
    H, J, D = np.zeros((2, 2)), np.zeros((1, 2)), np.ones(1)
    with np.errstate(all="ignore"):
        dx, _ = solved(NUMPY, Layout(np.arange(1), np.arange(0)), H, J, D, np.ones(2), np.ones(1))
    assert not np.all(np.isfinite(dx))
