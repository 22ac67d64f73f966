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
from karush.arithmetic.interval_numbers import Interval
from karush.core.precision import float64

NEW = ("9.9.9", "cpu", "abacus", "beads")
"""a build that nobody has measured"""
FEW_ULPS = 4.0
"""asked of + − × ÷ √"""
SOME_ULPS = 16.0
"""asked of the elementary functions"""
LOOSE = {"erfc": 2100.0, "sinh": 27.0, "cosh": 25.0, "tanh": 30.0, "expm1": 23.0, "acosh": 21.0, "atanh": 19.0}
"""functions that are wider, and their bounds: XLA's own errors, doubled, both ends, in ulps of the smaller mantissa"""


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
