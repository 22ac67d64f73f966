"""Margins, their calibration on a new machine, and how tight ends are."""

import json

import jax
import numpy as np
import pytest
from flint import arb, ctx

from karush.arithmetic import interval_margins as margins
from karush.arithmetic.interval_basics import add, div, mul, sub
from karush.arithmetic.interval_calibration import calibrate, points, truth
from karush.arithmetic.interval_functions import UNARY
from karush.arithmetic.interval_numbers import LEAST_NORMAL, Interval, joined
from karush.core.precision import float64

NEW = ("9.9.9", "cpu", "abacus", "beads")
"""a build that nobody has measured"""
FEW_ULPS = 4.0
"""asked of + − × ÷ √"""
SOME_ULPS = 16.0
"""asked of the elementary functions"""
LOOSE = {"erfc": 64.0}
"""functions that are wider, and their bounds: the error, doubled, both ends, in ulps of the smaller mantissa"""


def test_a_new_build_is_checked_until_it_is_calibrated(tmp_path, monkeypatch):
    monkeypatch.setenv("KARUSH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(margins, "build", lambda: NEW)
    assert margins.label() == "checked"
    errors = dict.fromkeys(margins.MEASURED, 0.4)
    (tmp_path / "calibration.json").write_text(json.dumps({" ".join(NEW): errors}))
    assert margins.label() == "calibrated"
    for name in ("tanh", "sqrt"):
        wrong = {**errors, name: 0.01 + 0.5 * max(margins.MARGINS[name], 1.0)}
        (tmp_path / "calibration.json").write_text(json.dumps({" ".join(NEW): wrong}))
        assert margins.label() == "checked"
    for text in ("", "[]", '{"a": 3}', "not json"):
        (tmp_path / "calibration.json").write_text(text)
        assert margins.label() == "checked"


def test_a_calibration_is_kept_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KARUSH_CACHE_DIR", str(tmp_path / "deep"))
    found = calibrate(count=100)
    assert found.keys() == margins.MEASURED.keys()
    assert margins.stored()[" ".join(margins.build())].keys() == found.keys()
    assert margins.covered(found) or margins.label() == "checked"
    assert not margins.covered({"exp": 1e9})
    assert not margins.covered({})


def excess(lo, hi, exact):
    """Ulps by which intervals are wider than the tightest with float64 ends, of values (k,)."""
    worst = 0.0
    with ctx.workprec(200):
        for low, high, ball in zip(lo.tolist(), hi.tolist(), exact, strict=True):
            nearest = float(ball.mid())
            tight = 0 if ball == arb(nearest) else 1
            assert not ball < arb(low)
            assert not ball > arb(high)
            worst = max(worst, (high - low) / np.spacing(abs(nearest)) - tight)
    return worst


@pytest.mark.parametrize(
    ("rule", "exact"),
    [
        (add, lambda a, b: a + b),
        (sub, lambda a, b: a - b),
        (mul, lambda a, b: a * b),
        (div, lambda a, b: a / b),
    ],
)
def test_the_four_operations_are_at_most_four_ulps_wider_than_the_tightest(rule, exact):
    generator = np.random.default_rng(8)
    x, y = generator.normal(size=(2, 3000)) * 10.0 ** generator.uniform(-9.0, 9.0, (2, 3000))
    with float64():
        lo, hi = jax.jit(lambda a, b: rule(Interval(a, a), Interval(b, b))[:2])(x, y)
    with ctx.workprec(200):
        values = [exact(arb(a), arb(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    assert excess(np.asarray(lo), np.asarray(hi), values) <= FEW_ULPS


@pytest.mark.parametrize("name", sorted(set(UNARY) & set(margins.MARGINS)))
def test_elementary_functions_are_few_ulps_wider_than_the_tightest(name):
    x = points(name, 2000, seed=21)
    with ctx.workprec(200):
        values = [truth(name, at) for at in x.tolist()]
    normal = np.array([value.is_finite() and 1e-290 < abs(float(value)) < 1e300 for value in values])
    with float64():
        lo, hi = (np.asarray(end)[normal] for end in jax.jit(lambda x: UNARY[name](Interval(x, x))[:2])(x))
    wider = excess(lo, hi, [value for value, kept in zip(values, normal, strict=True) if kept])
    assert wider <= (FEW_ULPS if name == "sqrt" else LOOSE.get(name, SOME_ULPS)), wider


def test_joined_ends_are_the_same_ends_and_the_same_flag_in_a_users_own_jit():
    generator = np.random.default_rng(3)
    bits = generator.integers(0, 2**64, (2, 20_000), dtype=np.uint64).view(np.float64)
    normal = bits[:, np.all(np.isfinite(bits) & (np.abs(bits) >= LEAST_NORMAL), axis=0)]
    special = np.array([-np.inf, -np.finfo(float).max, -1.0, -LEAST_NORMAL, 0.0, LEAST_NORMAL, 1.0, np.inf])
    pairs = np.concatenate([normal, np.stack(np.meshgrid(special, special)).reshape(2, -1)], axis=1)
    lower, upper = np.sort(pairs, axis=0)
    ok = generator.random(lower.size) < 0.5

    def both_ways(lo, hi, ok):
        return joined(Interval(lo, hi))[:2], joined(Interval(lo, hi, ok))

    with float64():
        (lo, hi), flagged = jax.tree.map(np.asarray, jax.jit(both_ways)(lower, upper, ok))
    huge = np.finfo(float).max
    expected = np.where(lower == -huge, -np.inf, lower), np.where(upper == huge, np.inf, upper)
    # The largest double below +inf stands for it; a lower end there is unknown upwards, as an upper one below −inf.
    usual = (lower < huge) & (upper > -huge)
    np.testing.assert_array_equal(lo[usual], expected[0][usual])
    np.testing.assert_array_equal(hi[usual], expected[1][usual])
    assert np.all(lo <= lower)
    assert np.all(hi >= upper)
    point = lower == upper
    np.testing.assert_array_equal(flagged.ok[usual], ok[usual])
    same = usual & (ok | ~point)
    np.testing.assert_array_equal(flagged.lo[same], expected[0][same])
    np.testing.assert_array_equal(flagged.hi[same], expected[1][same])
    assert np.all(flagged.lo[~ok & point] == -np.inf)
    assert np.all(flagged.hi[~ok & point] == np.inf)
