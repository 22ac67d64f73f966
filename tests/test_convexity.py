"""Convexity on boxes: what is claimed holds, what is refuted violates the inequality, and the rest is undecided."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convexity_grammar import draw
from flint import arb
from scipy import special

import karush
from benchmarks.convexity_cases import convex_cases, other_cases
from karush.arithmetic.semidefinite import semidefinite
from karush.bounds import convexity_ranges as ranges
from karush.bounds.convexity_curve import CONVEX_PART, EVERYWHERE, product_index
from karush.bounds.convexity_hessian import eigenvalue_bounds
from karush.bounds.convexity_problem import why_convex
from karush.bounds.convexity_rules import walk
from karush.core.errors import OptionError, ProblemError, TraceError
from karush.core.precision import float64
from karush.jaxprs.function import trace

pytestmark = pytest.mark.user_style
EPS = 2.0**-52
UNDECIDED_BY_RULES = {"minus log det, 2 × 2", "matrix fractional, 2 × 2", "Huber"}
"""of the table: polynomials that are convex jointly but not term by term, and a choice between two pieces"""
SEEDS = 160
BOXES = ((0.2, 2.0), (-1.0, 1.0), (0.0, 1.0))


def curve_of(function, low, high):
    flat, _ = trace(function, np.ones(np.shape(low)))
    with float64():
        (out,), seen = walk(flat.closed_jaxpr, np.asarray(low, float), np.asarray(high, float))
    return flat, out, seen


@pytest.mark.parametrize("case", convex_cases(), ids=lambda case: case.name)
def test_a_function_of_the_table_is_convex(case):
    found = karush.convexity(case.function, karush.Box(case.low, case.high), budget=0)
    if case.name in UNDECIDED_BY_RULES:
        assert found.verdict == "undecided"
        assert "rule" in found.reason
    else:
        assert found.convex
        assert found.witness is None


@pytest.mark.parametrize("case", other_cases(), ids=lambda case: case.name)
def test_a_refuted_function_violates_the_inequality_at_the_three_points(case):
    found = karush.convexity(case.function, karush.Box(case.low, case.high), budget=64)
    assert found.verdict == "not convex"
    assert found.label == "proved"
    shown = found.witness
    with jax.enable_x64(True):
        at = [float(case.function(jnp.asarray(point))) for point in (shown.a, shown.middle, shown.b)]
    for point in (shown.a, shown.middle, shown.b):
        assert np.all(point >= case.low)
        assert np.all(point <= case.high)
    assert np.allclose(shown.middle, 0.5 * (shown.a + shown.b), rtol=4 * EPS, atol=4 * EPS)
    assert at[1] - 0.5 * (at[0] + at[2]) > 0.5 * shown.excess > 0.0
    assert shown.curvature < 0.0


@pytest.mark.parametrize("block", range(4))
def test_what_the_rules_claim_of_random_programs_holds_on_random_segments(block):
    known = 0
    for seed in range(block * SEEDS // 4, (block + 1) * SEEDS // 4):
        function, _ = draw(seed, depth=2 + seed % 5)
        low, high = (np.full(3, end) for end in BOXES[seed % 3])
        flat, out, _ = curve_of(function, low, high)
        convex, concave = bool(out.convex), bool(out.concave)
        if out.defined != EVERYWHERE or not (convex or concave):
            continue
        known += 1
        rng = np.random.default_rng(seed)
        a, b = (low + (high - low) * rng.random((120, 3)) for _ in range(2))
        b[::2] = a[::2] + 0.1 * (b[::2] - a[::2])
        with float64():
            at = np.asarray(jax.vmap(flat.scalar)(np.concatenate([a, 0.5 * a + 0.5 * b, b]))).reshape(3, -1)
        # Rounding of intermediate values that cancel stays below 1e-12 of 1.
        slack = 1e-12 * (1.0 + np.abs(at).sum(axis=0))
        excess = at[1] - 0.5 * (at[0] + at[2])
        assert not np.any(np.isnan(at))
        assert not convex or np.all(excess <= slack), f"seed {seed}"
        assert not concave or np.all(-excess <= slack), f"seed {seed}"
        assert np.all(at >= out.lo - slack), f"seed {seed}"
        assert np.all(at <= out.hi + slack), f"seed {seed}"
    assert known > SEEDS // 16


def test_the_index_of_a_product_is_that_of_a_power_mean():
    rng = np.random.default_rng(0)
    assert product_index(0.5, -1.0) == 1.0  # x² / y
    assert product_index(-1.0, -1.0) == -0.5  # 1 / (x y)
    assert product_index(0.0, 0.0) == 0.0  # e^x e^y
    assert product_index(1.0, 1.0) == np.inf  # x y
    for r, s in rng.uniform(-3.0, 1.0, (200, 2)):
        t = float(product_index(r, s))
        if not np.isfinite(t) or t > 1.0:
            continue
        a, b = rng.uniform(0.1, 3.0, (2, 2))

        def mean(pair, p):
            return np.exp(np.log(pair).mean()) if p == 0.0 else np.mean(pair**p) ** (1.0 / p)

        # v(mid) <= M_r(v) and w(mid) <= M_s(w) give (v w)(mid) <= M_t(v w).
        assert mean(a, r) * mean(b, s) <= mean(a * b, t) * (1.0 + 1e-12)


@pytest.mark.parametrize("name", [*ranges.REGIONS, "exp", "log"])
def test_ranges_hold_the_values_and_regions_the_bends(name):
    function = getattr(jax.lax, name)
    rng = np.random.default_rng(1)
    for _ in range(60):
        centre, width = rng.uniform(-3.0, 3.0), rng.choice([0.01, 0.5, 1.0, 3.0])
        low, high = np.array(centre - width), np.array(centre + width)
        if rng.random() < 0.3:
            low = np.array(0.0) if high > 0.0 else low
        with np.errstate(all="ignore"):
            (lo, hi), defined = ranges.elementary(name, (low, high))
        x = low + (high - low) * np.linspace(0.0, 1.0, 41)
        with jax.enable_x64(True):
            y = np.asarray(function(jnp.asarray(x)))
        if not defined:
            continue
        assert np.all(y >= lo)
        assert np.all(y <= hi)
        if name not in ranges.REGIONS:
            continue
        region, rounding = ranges.REGIONS[name], 64 * EPS * np.abs(y).max()
        bends, slopes = np.diff(y, 2), np.diff(y)
        assert not region.convex(low, high) or np.all(bends >= -4 * rounding)
        assert not region.concave(low, high) or np.all(bends <= 4 * rounding)
        assert not region.rises(low, high) or np.all(slopes >= -rounding)
        assert not region.falls(low, high) or np.all(slopes <= rounding)


def test_eigenvalue_bounds_hold_for_every_member():
    rng = np.random.default_rng(2)
    middle = rng.normal(size=(20, 4, 4))
    middle = middle + np.swapaxes(middle, -1, -2)
    radius = 10.0 ** rng.uniform(-9, 0, (20, 1, 1)) * np.ones((20, 4, 4))
    low, high = eigenvalue_bounds(middle - radius, middle + radius)
    for _ in range(50):
        change = rng.uniform(-1.0, 1.0, (20, 4, 4)) * radius
        values = np.linalg.eigvalsh(middle + np.tril(change) + np.swapaxes(np.tril(change, -1), -1, -2))
        assert np.all(values[:, 0] >= low - 64 * EPS)
        assert np.all(values[:, -1] <= high + 64 * EPS)


def test_semidefiniteness_of_a_singular_matrix_is_decided_exactly():
    row = np.array([[0.1, 0.3, 0.7]])
    flat = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert semidefinite(flat)
    assert not semidefinite(-flat)
    assert not semidefinite(flat - np.array([[1e-20, 0.0], [0.0, 0.0]]), flat, np.diag([-1e-20, 0.0]))
    assert not semidefinite(np.diag([np.nan, 1.0]))
    assert semidefinite(row.T @ row + 1e-12 * np.eye(3))


def test_the_modulus_and_the_curvature_are_those_of_the_hessian():
    found = karush.convexity(lambda x: jnp.sum(jnp.exp(x)), karush.Box(np.full(2, -1.0), np.full(2, 1.0)))
    assert found.verdict == "strictly convex"
    assert found.label in ("calibrated", "checked")
    assert 0.99 * np.exp(-1.0) <= found.modulus <= np.exp(-1.0)
    assert np.exp(1.0) <= found.curvature <= 1.01 * np.exp(1.0)


def test_the_hessian_decides_where_no_rule_does():
    box = karush.Box(np.full(2, -0.5), np.full(2, 0.5))
    found = karush.convexity(lambda x: x[0] ** 2 + x[1] ** 2 + x[0] * x[1] ** 2, box)
    assert found.verdict == "strictly convex"
    assert found.boxes > 0
    assert "Hessian" in found.how
    # Least eigenvalue of [[2, 2y], [2y, 2 + 2x]] on the box, at x = −1/2, |y| = 1/2.
    assert 0.8 * (1.5 - np.sqrt(1.25)) <= found.modulus <= 1.5 - np.sqrt(1.25)


def test_no_kink_is_lost_between_two_boxes():
    box = karush.Box(np.array([-1.0]), np.array([1.0]))
    for function in (lambda x: x[0] ** 2 - 1e-4 * jnp.abs(x[0]), lambda x: x[0] ** 2 + 1e-4 * jnp.sign(x[0])):
        assert not karush.convexity(function, box).convex


def test_affine_functions_are_both_and_concave_ones_are_not_convex():
    box = karush.Box(np.zeros(2), np.ones(2))
    both = karush.convexity(lambda x: 2.0 * x[0] - x[1], box)
    assert both.verdict == "convex"
    assert both.concave
    assert both.label == "proved"
    down = karush.convexity(lambda x: jnp.sum(jnp.sqrt(x + 1.0)), box)
    assert down.verdict == "not convex"
    assert down.concave


def test_loops_and_pytrees_are_walked():
    A = np.random.default_rng(3).normal(size=(4, 2))

    def function(x):
        def turn(carry, row):
            return carry + jnp.exp(row @ x["w"]) + jnp.abs(x["b"]), jnp.zeros(())

        return jax.lax.scan(turn, jnp.zeros(()), jnp.asarray(A))[0]

    ends = ({"w": np.full(2, -np.inf), "b": -np.inf}, {"w": np.full(2, np.inf), "b": np.inf})
    assert karush.convexity(function, karush.Box(*ends), budget=0).convex


def test_a_function_that_may_be_undefined_is_undecided_and_says_where():
    found = karush.convexity(lambda x: -jnp.log(x), karush.Box(-1.0, 1.0), budget=0)
    assert found.verdict == "undecided"
    assert "undefined" in found.reason
    assert "test_convexity.py" in found.reason


def test_logarithms_of_concave_functions_restrict_to_a_convex_part():
    _, out, _ = curve_of(lambda x: -jnp.log(x[0]) - jnp.sqrt(1.0 - x[1]), np.full(2, -2.0), np.full(2, 2.0))
    assert out.convex
    assert out.defined == CONVEX_PART
    _, out, _ = curve_of(lambda x: -jnp.log(x[0] ** 2 - 1.0), np.full(2, -2.0), np.full(2, 2.0))
    assert out.defined != CONVEX_PART


def flat_problem(objective, rows, n=2):
    flat, _ = trace(lambda x: (objective(x), rows(x)), np.ones(n))
    with float64():
        return jax.make_jaxpr(lambda x: (flat(x)[0], flat(x)[1:]))(np.ones(n))


def test_a_problem_is_convex_if_its_limits_are_on_the_convex_side():
    closed = flat_problem(lambda x: -jnp.log(x[0]) + x[1] ** 4, lambda x: jnp.stack([jnp.exp(x[0]) + x[1]]))
    free = np.full(2, -np.inf), np.full(2, np.inf)
    above, below = np.array([3.0]), np.array([-np.inf])
    assert "convex" in why_convex(closed, (), free, (below, above))
    assert not why_convex(closed, (), free, (np.array([3.0]), np.array([np.inf])))
    assert not why_convex(closed, (), free, (above, above))


def test_bad_input_is_named():
    box = karush.Box(np.zeros(2), np.ones(2))
    with pytest.raises(TraceError, match="2 outputs"):
        karush.convexity(lambda x: x, box)
    with pytest.raises(OptionError, match="budget is -1"):
        karush.convexity(jnp.sum, box, budget=-1)
    with pytest.raises(ProblemError, match=r"give a karush\.Box"):
        karush.convexity(jnp.sum, (0.0, 1.0))


def test_convexity_is_read_while_a_solve_is_compiled():
    def banana(x):
        a, b = jnp.split(x, 2)
        return jnp.sum(100.0 * (b - a**2) ** 2 + (1.0 - a) ** 2)

    assert karush.prepare(karush.Problem(banana, np.array([-2.0, 1.0]))).solve(driver="fused").success


@pytest.mark.parametrize(
    ("f", "exact", "low", "high", "margin"),
    [
        (np.exp, arb.exp, -700.0, 700.0, ranges.ELEMENTARY),
        (np.log, arb.log, 1e-300, 1e9, ranges.ELEMENTARY),
        (np.sinh, arb.sinh, -700.0, 700.0, ranges.ELEMENTARY),
        (np.tanh, arb.tanh, -30.0, 30.0, ranges.ELEMENTARY),
        (special.expit, lambda x: 1 / (1 + (-x).exp()), -700.0, 700.0, ranges.ELEMENTARY),
        (special.erf, arb.erf, -6.0, 6.0, ranges.ELEMENTARY),
        (special.erfc, arb.erfc, -5.0, 26.0, ranges.COMPLEMENTARY),
    ],
)
def test_margins_of_ranges_are_twice_what_is_measured(f, exact, low, high, margin):
    x = np.random.default_rng(0).uniform(low, high, 1000)
    y = f(x)
    errors = [abs(float(arb(float(v)) - exact(arb(float(u))))) for u, v in zip(x, y, strict=True)]
    assert np.max(errors / np.spacing(np.abs(y))) <= 0.5 * margin


@pytest.mark.user_style
@pytest.mark.parametrize(
    "asked",
    [
        lambda x: jnp.any(x > 0),
        lambda x: ~jnp.all(x > 0),
        lambda x: jnp.any(x > 0) & (x[0] < 5),
        lambda x: jnp.all(x > 0) | (x[0] > 5),
        lambda x: (x[0] > 0) ^ (x[1] > 0),
        lambda x: jnp.sort(x > 0)[0] & True,
        lambda x: ((x > 0).astype(int)[0] & 1) > 0,
    ],
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_answer_that_no_rule_tells_is_open(asked, sign):
    def f(x):
        return jnp.where(asked(x), sign * jnp.sum(x**2), -sign * jnp.sum(x**2))

    assert not karush.convexity(f, karush.Box(-np.ones(2), np.ones(2))).convex
