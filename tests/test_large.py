"""Problems of many variables: memory, and a certificate by factors or products that equals the small one."""

import tracemalloc
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.certificates import judge
from karush.certificates.near_large import loss_by_products, newton_step
from karush.certificates.spectrum import Spectrum, spectrum
from karush.core.precision import float64
from karush.derivatives import band, large
from karush.derivatives.evaluator import Evaluator
from karush.derivatives.large import LargeEvaluator
from karush.linalg.band import band_factors

N = 200
"""sparse enough for factors, small enough for eigenvalues"""
MANY = 200_000
ONE_MATRIX = 8 * MANY**2


def chained(x):
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def wells(x):
    return jnp.sum(x**4 - x**2) + jnp.sum((x[1:] - x[:-1]) ** 2)


@cache
def prepared(name: str) -> karush.Prepared:
    start = np.resize([1.3, 0.7, 0.8, 1.9, 1.2], N)
    problems = {
        "chained": lambda: karush.Problem(chained, start),
        "bounded": lambda: karush.Problem(chained, start, bounds=(None, np.where(np.arange(N) % 3, np.inf, 0.5))),
        "wells": lambda: karush.Problem(wells, start),
        "quadratic": lambda: karush.Problem(lambda x: jnp.sum((x - 1.0) ** 2), start),
        "flat": lambda: karush.Problem(lambda x: jnp.sum((x - 1.0) ** 4), start),
        "linked": lambda: karush.Problem(lambda x: chained(x) + jnp.sum((x - x[::-1]) ** 2), start),
    }
    return karush.prepare(problems[name]())


def without_pattern(prepared: karush.Prepared) -> LargeEvaluator:
    """The evaluator of a problem whose products are all that is known."""
    evaluator = LargeEvaluator(prepared.parts.flat.closed_jaxpr, prepared.parts.evaluator.param_leaves)
    evaluator.__dict__["pattern"] = None
    evaluator._banded = (None,)
    return evaluator


def points(name: str) -> list[np.ndarray]:
    """A minimum, a point nearby, a stationary point that is none."""
    x = prepared(name).solve().x_flat
    return [x, prepared(name).parts.flat.projected(x + 1e-3), np.zeros(N)]


@pytest.mark.parametrize("name", ["chained", "bounded", "wells", "quadratic", "flat", "linked"])
def test_the_verdict_by_factors_is_the_verdict_by_eigenvalues(name):
    parts = prepared(name).parts
    assert isinstance(parts.evaluator, LargeEvaluator)
    assert (parts.evaluator.bandwidth(parts.flat.x0) is None) == (name == "linked")
    dense = Evaluator(parts.flat.closed_jaxpr, parts.evaluator.param_leaves, 0)
    for x in points(name):
        by_factors = parts.judged(x, None, None, 1e-8)
        same = np.zeros(0), by_factors.multipliers[1]
        by_eigenvalues = judge(parts.flat, dense, x, *same, analysis=parts.analysis, scales=parts.scales)
        assert by_factors.verdict is by_eigenvalues.verdict
        ours, theirs = ({e.name: e.value for e in c.entries} for c in (by_factors, by_eigenvalues))
        for entry in ("stationarity", "complementarity", "dual sign"):
            assert ours[entry] == pytest.approx(theirs[entry], rel=1e-6, abs=1e-15)


@pytest.mark.parametrize("name", ["chained", "wells", "quadratic"])
def test_the_verdict_by_products_is_the_verdict_by_factors(name):
    parts = prepared(name).parts
    evaluator = without_pattern(prepared(name))
    for x in points(name):
        by_products = judge(parts.flat, evaluator, x, analysis=parts.analysis, scales=parts.scales)
        assert by_products.verdict is parts.judged(x, None, None, 1e-8).verdict


def test_the_newton_step_of_a_band_is_that_of_the_free_variables():
    parts = prepared("chained").parts
    free = np.arange(N) % 5 > 0
    curved = parts.evaluator(np.ones(N), np.zeros(0)).hessian
    slope = np.where(free, np.sin(np.arange(N)), 0.0)
    step, decrease = newton_step(curved, spectrum(curved, free), free, slope)
    dense = np.asarray(Evaluator(parts.flat.closed_jaxpr, [], 0)(np.ones(N), np.zeros(0)).hessian)
    exact = np.zeros(N)
    exact[free] = -np.linalg.solve(dense[np.ix_(free, free)], slope[free])
    assert step == pytest.approx(exact, rel=1e-9, abs=1e-9)
    assert decrease == pytest.approx(-0.5 * slope @ exact, rel=1e-9)


def test_the_least_curvature_is_the_least_eigenvalue():
    parts = prepared("chained").parts
    x, free = np.ones(N), np.arange(N) % 5 > 0
    dense = np.asarray(parts.evaluator(x, np.zeros(0)).hessian)
    exact = float(np.linalg.eigvalsh(dense[np.ix_(free, free)])[0])
    for evaluator in (parts.evaluator, without_pattern(prepared("chained"))):
        found = spectrum(evaluator(x, np.zeros(0)).hessian, free)
        assert found.below <= exact <= found.least * (1.0 + 1e-6)
        assert found.least == pytest.approx(exact, rel=1e-2)


def test_a_negative_eigenvalue_comes_with_its_direction():
    x, free = np.zeros(N), np.ones(N, dtype=bool)
    for evaluator in (prepared("wells").parts.evaluator, without_pattern(prepared("wells"))):
        curved = evaluator(x, np.zeros(0)).hessian
        found = spectrum(curved, free)
        assert not found.positive
        assert found.vector @ (curved @ found.vector) == pytest.approx(found.least, rel=1e-6)
        assert found.least < 0


def test_a_perturbed_multiplier_and_a_nan_are_refused():
    parts = prepared("bounded").parts
    result = prepared("bounded").solve()
    assert result.success
    inside = np.where(np.isfinite(parts.flat.upper), 0.0, 1e-3)
    assert parts.judged(result.x_flat + inside, None, result.z_flat, 1e-8).verdict is karush.Verdict.NOT_STATIONARY
    assert parts.judged(result.x_flat * np.nan, None, None, 1e-8).verdict is karush.Verdict.UNDECIDED
    assert parts.judged(result.x_flat + 1.0, None, None, 1e-8).verdict is karush.Verdict.NOT_STATIONARY


def test_a_promise_of_convexity_is_recorded_as_assumed():
    problem = karush.Problem(lambda x: jnp.sum((x - 1.0) ** 4), np.zeros(N), convex=True)
    result = karush.minimize(problem)
    assert result.certificate.verdict is karush.Verdict.GLOBAL_MINIMUM
    assert result.certificate.assumed == ("convex",)


def test_many_variables_take_no_memory_of_order_n_squared(monkeypatch):
    monkeypatch.setattr(large, "PATTERN_UP_TO", 1000)

    def bowl(x):
        weights = 1.0 + jnp.cos(jnp.arange(x.size)) ** 2
        return jnp.sum(weights * (x - 1.0) ** 2) + jnp.sum((x[1:] - x[:-1]) ** 4) + jnp.mean(jnp.sin(x - 1.0)) ** 2

    tracemalloc.start()
    result = karush.minimize(bowl, np.zeros(MANY))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.method == "newton-cg"
    assert result.certificate.verdict is karush.Verdict.LOCAL_MINIMUM
    assert "Lanczos" in str(result.certificate.entries)
    assert peak < ONE_MATRIX / 100


def test_rounding_of_the_lanczos_steps_is_no_negative_curvature():
    """At 0 the Hessian is diag(0, 1, …, 1), known by products alone: no Rayleigh quotient of it is negative."""
    mean = np.ones(1600) / 40.0
    flat_way = karush.Problem(lambda x: jnp.sum(jnp.cosh(x[1:])) + x[0] ** 4 + (mean @ x) ** 4, np.zeros(1600))
    certificate = karush.certify(flat_way, np.zeros(1600))
    assert certificate.verdict is karush.Verdict.STATIONARY
    assert "along a feasible direction is -" not in certificate.sentence


@pytest.mark.parametrize("reach", [0, 1, 2, 3])
def test_the_band_is_the_hessian(reach):
    def near(x):
        return sum(jnp.sum(jnp.cos(x[k:] * x[: N - k]) * (k + 1.0)) for k in range(reach + 1))

    x = np.linspace(0.3, 1.7, N)
    evaluator = karush.prepare(karush.Problem(near, x)).parts.evaluator
    curved = evaluator(x, np.zeros(0)).hessian
    with float64():
        H = np.asarray(jax.hessian(near)(jnp.asarray(x)))
    assert curved.band.shape == (reach + 1, N)
    for d in range(reach + 1):
        np.testing.assert_allclose(curved.band[d, : N - d], np.diagonal(H, -d), rtol=0, atol=1e-13)
    assert band.norm(curved.band) == pytest.approx(np.abs(H).sum(axis=0).max(), rel=1e-13)


@pytest.mark.parametrize("b", [0, 1, 2])
def test_a_band_has_factors_exactly_if_it_is_positive_definite(b):
    generator = np.random.default_rng(b)
    lower = generator.standard_normal((b + 1, N))
    H = np.zeros((N, N))
    for d in range(b + 1):
        H += np.diag(lower[d, : N - d], -d) + (np.diag(lower[d, : N - d], d) if d else 0.0)
    least = np.linalg.eigvalsh(H)[0]
    for shift, definite in ((1e-9 - least, True), (-1e-9 - least, False)):
        moved = lower.copy()
        moved[0] += shift
        factors = band_factors(moved)
        assert (factors is not None) == definite
    moved[0] += 1.0
    factors = band_factors(moved)
    right = generator.standard_normal(N)
    np.testing.assert_allclose((H + (shift + 1.0) * np.eye(N)) @ factors.solve(right), right, rtol=0, atol=1e-11)
    moved[0, 3] = np.nan
    assert band_factors(moved) is None


def test_the_change_of_a_hessian_is_bounded_by_few_products():
    """``‖A‖ <= (‖Aᵏω‖ / t)^(1/k)``: for A = diag the norm is known."""
    cubic = karush.prepare(karush.Problem(lambda x: jnp.sum((x - 1.0) ** 3 * jnp.arange(1.0, N + 1.0)), np.zeros(N)))
    evaluator = without_pattern(cubic)
    x = np.ones(N)
    here, there = evaluator(x, np.zeros(0)).hessian, evaluator(x + 1e-8, np.zeros(0)).hessian
    free = np.ones(N, dtype=bool)
    norm = 6.0 * N * 1e-8
    for least, enough in ((norm * 1e9, True), (norm * 3.0, None), (norm, False)):
        found = Spectrum(least, least, 0.0, np.zeros(N), "")
        loss = loss_by_products(here, there, found, free)
        assert loss >= norm / least * 0.5
        assert enough is None or (loss <= 0.5) == enough
    nan = evaluator(x * np.nan, np.zeros(0)).hessian
    assert loss_by_products(here, nan, found, free) == np.inf


def ridge(x, weight):
    return jnp.sum(jnp.logaddexp(0.0, x - 1.0)) + 0.5 * weight * jnp.vdot(x, x)


def test_a_floor_of_the_curvature_proves_a_global_minimum_without_a_product_and_follows_the_parameters():
    prepared = karush.prepare(karush.Problem(ridge, np.zeros(2000), params=0.25))
    result = prepared.solve()
    assert result.certificate.verdict is karush.Verdict.GLOBAL_MINIMUM
    entry = next(entry for entry in result.certificate.entries if entry.name == "least curvature")
    assert "rules of convex analysis" in entry.note
    s = 1.0 / (1.0 + np.exp(1.0 - result.x_flat))
    exact = 0.25 + s * (1.0 - s)
    scales = prepared.parts.scales
    assert 0.0 < entry.value <= float(np.min(exact * scales.x**2)) / scales.f
    beside = prepared.certify(result.x_flat + 1e-3)
    assert beside.verdict is karush.Verdict.NOT_STATIONARY
    # Without the ridge the function falls for ever, and its slope is small far out.
    flat = prepared.solve(params=0.0, x0=np.full(2000, -60.0))
    assert prepared.parts.analysis.least_curvature == 0.0
    assert flat.certificate.verdict is not karush.Verdict.GLOBAL_MINIMUM


def test_a_floor_of_the_curvature_counts_the_push_of_the_bounds():
    lower = np.where(np.arange(2000) % 2, 0.5, -np.inf)
    prepared = karush.prepare(karush.Problem(ridge, np.zeros(2000), bounds=(lower, None), params=0.25))
    result = prepared.solve()
    assert result.certificate.verdict is karush.Verdict.GLOBAL_MINIMUM
    assert "rules" in next(entry.note for entry in result.certificate.entries if entry.name == "least curvature")
    assert np.all(result.x_flat[1::2] == 0.5)
    turned = prepared.parts.judged(result.x_flat, None, -result.z_flat, 1e-8)
    assert turned.notes
    assert turned.verdict is karush.Verdict.GLOBAL_MINIMUM
    inside = prepared.parts.judged(np.where(np.isfinite(lower), 0.6, result.x_flat), None, result.z_flat, 1e-8)
    assert not inside.success
