"""Extreme eigenpairs, trace and density from Hessian products, against dense eigenvalues of the same function."""

import functools
import itertools

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest

import karush
from karush.curvature.extremes import extremes, verified
from karush.curvature.krylov import Krylov
from karush.curvature.program import Derivatives, computing
from karush.jaxprs.function import trace

mpl.use("Agg")
EPS = np.finfo(np.float64).eps


def network(sizes, samples, seed):
    """Softmax loss of a tanh network on seeded data, and seeded weights."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((samples, sizes[0]))
    labels = np.argmax(X @ rng.standard_normal((sizes[0], sizes[-1])), axis=1)
    weights = [
        {"W": rng.standard_normal((a, b)) / np.sqrt(a), "b": 0.1 * rng.standard_normal(b)}
        for a, b in itertools.pairwise(sizes)
    ]

    def loss(layers):
        h = jnp.asarray(X)
        for layer in layers[:-1]:
            h = jnp.tanh(h @ layer["W"] + layer["b"])
        z = h @ layers[-1]["W"] + layers[-1]["b"]
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - z[jnp.arange(samples), labels])

    return loss, weights


TWINS = {seed: network((8, 20, 15, 5), 100, seed) for seed in (0, 1, 2)}
"""575 parameters each"""


@functools.cache
def dense(seed):
    return karush.curvature(*TWINS[seed], matrix_free=False)


@functools.cache
def free(seed):
    return karush.curvature(*TWINS[seed], matrix_free=True)


@pytest.mark.parametrize("seed", TWINS)
def test_each_eigenvalue_found_lies_within_its_error_of_a_dense_one(seed):
    whole, found = dense(seed), free(seed)
    assert found.converged
    distances = np.abs(whole.eigenvalues[:, None] - found.eigenvalues[None, :]).min(axis=0)
    assert np.all(distances <= found.errors + whole.errors[0])
    assert np.all(found.errors <= 2e-6 * np.abs(found.eigenvalues))


@pytest.mark.parametrize("seed", TWINS)
def test_they_are_the_extreme_ones_to_six_digits_and_more(seed):
    whole, found = dense(seed).eigenvalues, free(seed).eigenvalues
    assert found == pytest.approx(np.concatenate((whole[:3], whole[-3:])), rel=1e-9)


@pytest.mark.parametrize("seed", TWINS)
def test_no_eigenvalue_lies_outside_the_stated_reach(seed):
    low, high = free(seed).reach
    assert low <= dense(seed).eigenvalues[0]
    assert dense(seed).eigenvalues[-1] <= high
    # and the reach says something: it is no wider than the spectrum by a fifth
    assert high - low <= 1.2 * (dense(seed).eigenvalues[-1] - dense(seed).eigenvalues[0])


@pytest.mark.parametrize("seed", TWINS)
def test_matrix_free_and_dense_agree_on_all_that_both_know(seed):
    whole, found = dense(seed), free(seed)
    assert found.value == whole.value
    assert found.gradient_norm == pytest.approx(whole.gradient_norm, rel=1e-12)
    assert found.best_step.step == pytest.approx(whole.best_step.step, rel=1e-10)
    d = TWINS[seed][1]
    assert found.along(d) == pytest.approx(whole.along(d), rel=1e-10)
    assert found.classification == whole.classification == "not a stationary point"
    assert found.inertia.positive <= whole.inertia.positive
    assert found.inertia.negative <= whole.inertia.negative
    assert found.condition.lower <= whole.condition.upper


def test_residual_bounds_hold_for_vectors_that_are_no_eigenvectors():
    loss, weights = TWINS[0]
    with computing():
        flat, x = trace(loss, weights)
    derivatives = Derivatives.of(flat)
    rng = np.random.default_rng(3)
    vectors = dense(0).eigenvectors[:, ::50] + 10.0 ** -np.arange(1, 13) * rng.standard_normal((x.size, 12))
    found = verified(derivatives, x, derivatives.product(x), vectors, rng)
    distances = np.abs(dense(0).eigenvalues[:, None] - found.values[None, :]).min(axis=0)
    assert np.all(distances <= found.errors + dense(0).errors[0])
    assert found.errors.max() > 1e-2  # the bound says how bad the worst of them is
    assert found.errors.min() < 1e-9


def test_restarts_change_nothing_but_the_memory():
    values = np.concatenate(([-3.0, -2.5, -2.2], np.linspace(-1.0, 5.0, 400), [6.0, 7.0, 9.0]))
    rng = np.random.default_rng(0)
    krylov = Krylov(lambda v: values * v, rng.standard_normal(values.size), 24, rng)
    for _ in range(12):
        krylov.extend(24)
        theta, _, residuals = krylov.ritz()
        if residuals[[0, 1, 2, -3, -2, -1]].max() <= 1e-10:
            break
        krylov.restart(np.r_[0:6, 18:24])
    assert theta[[0, 1, 2, -3, -2, -1]] == pytest.approx(values[[0, 1, 2, -3, -2, -1]], abs=1e-12)
    V = krylov.basis[: krylov.j]
    assert np.abs(V @ V.T - np.eye(krylov.j)).max() <= 64 * EPS
    projected = V @ (values[:, None] * V.T)
    assert np.abs(projected - krylov.projected).max() <= 256 * EPS * np.abs(values).max()


def test_an_invariant_subspace_is_left_by_a_fresh_direction():
    values = np.array([2.0] * 30 + [5.0] * 10)
    rng = np.random.default_rng(0)
    krylov = Krylov(lambda v: values * v, rng.standard_normal(40), 40, rng)
    krylov.extend(40)
    theta, _, residuals = krylov.ritz()
    assert theta == pytest.approx(values, abs=1e-12)
    assert residuals.max() == 0.0


def test_lanczos_is_matfrees_tridiagonalisation():
    decomp = pytest.importorskip("matfree.decomp")
    values = np.linspace(-1.0, 2.0, 60) ** 3
    start = np.random.default_rng(1).standard_normal(60)
    krylov = Krylov(lambda v: values * v, start, 20, np.random.default_rng(0))
    krylov.extend(20)
    with computing():
        tridiagonal = decomp.tridiag_sym(20, materialize=True)
        found = tridiagonal(lambda v: jnp.asarray(values) * v, jnp.asarray(start))
    assert krylov.projected == pytest.approx(np.asarray(found.J_small), abs=1e-10)


def test_one_negative_eigenvalue_among_many_makes_a_saddle():
    curvatures = np.linspace(1.0, 3.0, 3000)
    curvatures[1234] = -1e-3
    found = karush.curvature(lambda x: 0.5 * jnp.sum(jnp.asarray(curvatures) * x**2), np.zeros(3000))
    assert not found.complete
    assert found.classification == "saddle"
    assert found.inertia.negative == 1
    assert abs(found.eigenvector(0)[1234]) == pytest.approx(1.0, abs=1e-6)


def test_a_large_minimum_is_not_claimed_and_what_is_known_is_said():
    f = lambda x: jnp.sum(jnp.cosh(x)) + jnp.sum(jnp.sin(x[1:] * x[:-1]) / 4)  # noqa: E731
    found = karush.curvature(f, np.zeros(2000), max_products=200)
    assert found.classification == "undecided"
    assert "cannot exclude" in found.reason
    assert found.deciding.name == "least eigenvalue"
    assert found.eigenvalues[0] == pytest.approx(0.5, abs=1e-4)
    assert 0.0 < found.reach[0] <= 0.5


def test_a_large_point_beside_a_stationary_one_is_told_from_it():
    scale = np.linspace(1.0, 4.0, 2000)
    f = lambda x: jnp.sum(jnp.asarray(scale) * x**2) - jnp.sum(x[:2] ** 2) * 2  # noqa: E731
    near, far = np.zeros(2000), np.zeros(2000)
    near[100], far[100] = 1e-8, 1e-3
    assert karush.curvature(f, near, max_products=100).classification == "saddle"
    assert karush.curvature(f, far, max_products=100).classification == "not a stationary point"


def test_running_out_of_products_is_said_and_the_errors_still_hold():
    found = karush.curvature(*TWINS[1], matrix_free=True, max_products=25)
    assert not found.converged
    assert "ran out" in " ".join(str(found).split())
    distances = np.abs(dense(1).eigenvalues[:, None] - found.eigenvalues[None, :]).min(axis=0)
    assert np.all(distances <= found.errors + dense(1).errors[0])


def test_the_trace_lies_within_five_standard_errors():
    found = free(0).trace(probes=64)
    assert abs(found.value - dense(0).trace().value) <= 5 * found.error
    assert found.error <= 0.3 * np.sqrt(2.0) * np.linalg.norm(dense(0).eigenvalues)


def test_the_density_has_the_moments_of_the_spectrum():
    density, values = free(0).density(probes=8, steps=40), dense(0).eigenvalues
    assert density.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert np.all(density.weights >= 0)
    # Standard deviation of zᵀHz/n over uniform z is √2 ‖H‖_F / n; five of the mean of 8, for H and for H².
    for power in (1, 2):
        deviation = np.sqrt(2.0 * np.sum(values ** (2 * power)) / 8) / values.size
        assert abs(density.weights @ density.nodes**power - np.mean(values**power)) <= 5 * deviation
    assert dense(0).reach[0] <= density.nodes[0]
    assert density.nodes[-1] <= dense(0).reach[1]


def test_the_same_seed_gives_the_same_answer_and_another_the_same_eigenvalues():
    again = karush.curvature(*TWINS[2], matrix_free=True)
    other = karush.curvature(*TWINS[2], matrix_free=True, seed=11)
    assert np.array_equal(again.eigenvalues, free(2).eigenvalues)
    assert other.eigenvalues == pytest.approx(again.eigenvalues, rel=1e-8)


def test_more_pairs_than_variables_finds_them_all():
    found = karush.curvature(lambda x: jnp.sum(jnp.arange(1.0, 6.0) * x**2), np.zeros(5), matrix_free=True)
    assert found.complete
    assert found.eigenvalues == pytest.approx([2.0, 4.0, 6.0, 8.0, 10.0], rel=1e-13)
    assert found.classification == "minimum"


def test_a_product_that_is_not_finite_leaves_nothing_found():
    with computing():
        flat, x = trace(lambda x: jnp.sum(x**1.5), np.zeros(30))
    derivatives = Derivatives.of(flat)
    found = extremes(derivatives, x, derivatives.product(x), 3, 1e-6, 50, np.random.default_rng(0))
    assert not found.converged
    assert np.isnan(found.pairs.values).all()
    assert karush.curvature(lambda x: jnp.sum(x**1.5), np.zeros(30), matrix_free=True).classification == "undecided"


def test_the_plot_draws_the_density_and_marks_the_eigenpairs_found():
    ax = free(0).plot()
    assert ax.get_yscale() == "log"
    assert len(ax.lines[0].get_xdata()) == 6
    assert free(0).plot(ax) is ax
    mpl.pyplot.close(ax.figure)


def test_counts_of_products_are_bounded():
    with pytest.raises(karush.errors.OptionError, match="probes is 1"):
        free(0).trace(probes=1)
    with pytest.raises(karush.errors.OptionError, match="steps is 0"):
        free(0).density(steps=0)
