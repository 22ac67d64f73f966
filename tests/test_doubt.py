"""A solve that rounding has spoilt says where: `RoundingWarning`, `Result.findings`, a line of the printed result."""

import warnings
from functools import cache
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.core.errors import RoundingWarning
from karush.stability.audit_path import between
from karush.stability.findings import Kind

pytestmark = pytest.mark.user_style
LOWEST = 1e-9


def cancelling(x):
    return -(1 - jnp.cos(x)) / x**2


@cache
def spoilt():
    with pytest.warns(RoundingWarning) as caught:
        result = karush.minimize(cancelling, 1e-8, bounds=(LOWEST, 3.0))
    return result, [str(item.message) for item in caught]


def test_the_cancelling_probe_warns_with_kind_file_and_line():
    result, (message,) = spoilt()
    assert not result.success
    source = Path(__file__).read_text(encoding="utf-8").splitlines()
    line = 1 + next(k for k, text in enumerate(source) if "(1 - jnp.cos(x))" in text)
    assert f"{Path(__file__).name}:{line}" in message
    assert "cancellation" in message


def test_findings_of_a_result_name_the_spot_and_hold_at_their_witness():
    result, _ = spoilt()
    assert result.findings
    for finding in result.findings:
        assert (finding.kind, finding.place.file) == (Kind.CANCELLATION, __file__)
        x = float(finding.witness)
        assert LOWEST <= x <= 3.0
        # −(1 − cos x)/x² = −2 sin²(x/2)/x², and its derivative x/12 up to x³/180: both well conditioned.
        exact = -2.0 * np.sin(x / 2.0) ** 2 / x**2 if finding.part == "value" else x / 12.0
        assert finding.exact == pytest.approx(exact, rel=1e-6)
        assert abs(finding.computed - exact) > 2.0**-48 * abs(exact)


def test_the_printed_result_has_the_line_of_the_finding():
    result, _ = spoilt()
    text = " ".join(str(result).split())
    assert f"{result.findings[0].kind.value} in the" in text
    assert f"{Path(__file__).name}:{result.findings[0].place.line}" in text


def test_the_same_way_is_looked_at_once():
    prepared = karush.prepare(cancelling, 1e-8, bounds=(LOWEST, 3.0))
    with pytest.warns(RoundingWarning):
        first = prepared.solve()
    with pytest.warns(RoundingWarning):
        second = prepared.solve()
    assert first.findings is second.findings


def test_a_maximum_is_spoken_of_in_the_users_sign():
    with pytest.warns(RoundingWarning):
        result = karush.maximize(lambda x: (1 - jnp.cos(x)) / x**2, 1e-8, bounds=(LOWEST, 3.0))
    exact = [finding.exact for finding in result.findings if finding.part == "value"]
    assert exact == pytest.approx([0.5] * len(exact), rel=1e-6)


def test_a_spoilt_constraint_is_named():
    half = karush.equal(lambda x: (1 - jnp.cos(x)) / x**2, 0.4, name="half")
    with pytest.warns(RoundingWarning):
        result = karush.minimize(lambda x: x * x, 1e-8, bounds=(LOWEST, 1e-7), constraints=[half])
    assert not result.success
    assert any(finding.output.startswith("constraints") for finding in result.findings)


def test_a_failure_without_rounding_trouble_has_no_findings_and_does_not_warn():
    def banana(x):
        return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = karush.minimize(banana, jnp.array([-1.2, 1.0]), max_iterations=2)
    assert not result.success
    assert result.findings == ()


def test_a_success_pays_nothing_for_it():
    result = karush.minimize(lambda x: (x - 1.0) ** 2 + x**4, 0.5)
    assert result.success
    assert result.findings == ()
    assert "evaluated" not in result.certificate.__dict__


def test_the_points_between_hold_both_ends_and_stay_between():
    start, end = np.array([-1.0, 5.0]), np.array([3.0, 5.0])
    points = between(start, end)
    assert np.array_equal(points[0], start)
    assert np.array_equal(points[1], end)
    assert np.all((points >= np.minimum(start, end)) & (points <= np.maximum(start, end)))
