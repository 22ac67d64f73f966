"""What is printed is true, complete or says that it is not, and fits the page."""

import io
import math
import re

import jax
import numpy as np
import pytest
from fake_results import certificate_of, entry, plant_result
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from karush.core.status import Status, Verdict
from karush.core.table import Cell, Section, aligned, iteration_line, measured, number, shorten, to_text
from karush.report import ProgressLine, print_sections, render_certificate, render_result
from karush.solvers.summary import summarize

finite = st.floats(allow_nan=False, allow_infinity=False)


def test_str_of_a_result_is_its_report():
    result = plant_result()
    assert str(result) == render_result(result)


def test_a_pipe_gets_the_same_text_as_str_and_no_colour():
    result, pipe = plant_result(), io.StringIO()
    print_sections(summarize(result), Console(file=pipe))
    assert pipe.getvalue() == str(result) + "\n"


def test_colours_change_no_character():
    result, terminal = plant_result(), io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=100, color_system="standard")
    print_sections(summarize(result), console)
    text = terminal.getvalue()
    assert "\x1b[32m" in text
    assert re.sub(r"\x1b\[[0-9;]*m", "", text) == str(result) + "\n"


@pytest.mark.parametrize("width", [72, 80, 100])
def test_no_line_is_longer_than_the_page(width):
    note = "a note of many words " * 20
    text = render_result(plant_result(notes=(note,), message=note, why_method=note), width)
    assert max(map(len, text.splitlines())) <= width


@given(st.lists(st.text(st.characters(exclude_categories=("C", "Z"), max_codepoint=0x2FF), max_size=30), max_size=5))
def test_rows_keep_every_text(texts):
    text = to_text([Section("t", tuple((Cell("name"), Cell(part)) for part in texts))])
    assert all(part in text for part in texts)


@given(finite)
def test_a_number_is_printed_to_six_digits(value):
    assert math.isclose(float(number(value)), value, rel_tol=5.1e-6, abs_tol=0)


@given(st.lists(finite, min_size=1, max_size=8))
def test_a_column_shows_each_number_to_six_digits_of_the_largest(values):
    largest = max(map(abs, values))
    for value, text in zip(values, aligned(values), strict=True):
        assert abs(float(text) - value) <= 5.1e-6 * largest
        assert (float(text) == 0) == (value == 0)


def test_a_column_has_one_number_of_decimals():
    assert aligned([1.5, -20.25, 300.125]) == ["1.500", "-20.250", "300.125"]
    assert aligned([1.0, 2.0]) == ["1", "2"]
    assert aligned([100.0, 2000.0]) == ["100", "2000"]
    assert aligned([1.5, 3.21e-11, -2.25]) == ["1.50", "3.2e-11", "-2.25"]
    assert aligned([math.inf, 1.0, math.nan]) == ["inf", "1", "nan"]


def test_residuals_are_printed_as_measured():
    assert [measured(v) for v in (3.14e-9, 1e-8, 0.0, 28.0, math.nan, math.inf)] == [
        "3.1e-09", "1e-08", "0", "28", "nan", "inf",
    ]  # fmt: skip


@given(st.text(min_size=1, max_size=80), st.integers(3, 40))
def test_a_shortened_name_fits_and_keeps_both_ends(name, longest):
    short = shorten(name, longest)
    assert len(short) <= longest
    assert short[0] == name[0]
    assert short[-1] == name[-1]


def test_a_line_of_the_certificate_states_the_relation_that_holds():
    text = str(plant_result())
    lines = {line.split("  ")[1]: line for line in text.splitlines() if line.startswith("  ") and "  " in line[2:]}
    assert "3.1e-09 <= 1e-08" in lines["stationarity"]
    assert "ok" in lines["stationarity"]
    assert "nan ?  1e-08" in lines["feasibility: mass balance"]
    assert "FAILS" in lines["feasibility: mass balance"]
    assert "9 =  9" in lines["rank of the active gradients"]
    assert "2.5e-01 >= 1e-07" in lines["curvature"]


def test_what_is_cut_is_said_with_the_way_to_see_all():
    text = str(plant_result())
    assert "… 4 more lines" in text
    assert "result.x holds every number" in text
    assert "--json" in text


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_and_its_sentence_are_printed(verdict):
    result = plant_result(verdict, status=Status.TIME_LIMIT, message="0.1 s are over")
    text = str(result)
    assert verdict.value in text
    assert result.certificate.sentence in text
    assert "time limit: 0.1 s are over" in text
    assert repr(result).startswith(f"Result({verdict.value}, value=18.5")


def test_violated_dependent_and_assumed_are_named():
    flat = plant_result().flat
    certificate = certificate_of(
        flat,
        Verdict.LOCALLY_INFEASIBLE,
        violated=(("mass balance[1]", 0.25),),
        dependent=("mass balance[0]", "mass balance[2]"),
        assumed=("convex",),
        witness={"value": -2.0, "x": np.zeros(flat.n)},
    )
    text = str(plant_result(certificate=certificate))
    assert "mass balance[1]  by 0.25" in text
    assert "mass balance[0], mass balance[2]" in text
    assert "assumed, not checked: convex" in text
    assert "a feasible point of value -2" in text


def test_prices_are_minus_the_multipliers_in_the_users_structure():
    result = plant_result()
    assert result.multipliers.keys() == {"mass balance", "total flow", "bounds"}
    assert jax.tree.structure(result.multipliers["bounds"]) == jax.tree.structure(result.x)
    assert result.multipliers["total flow"].shape == ()
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, -b), result.prices, result.multipliers)


def test_a_price_is_of_the_users_own_objective_when_it_is_maximised():
    least, most = plant_result(), plant_result(maximize=True)
    np.testing.assert_array_equal(least.prices["mass balance"], [-1.0, 20.0, -300.0])
    np.testing.assert_array_equal(most.prices["mass balance"], [1.0, -20.0, 300.0])


def test_active_are_the_equalities_and_the_limits_that_are_met():
    active = plant_result().active
    assert [item.name for item in active] == [
        *(f"mass balance[{k}]" for k in range(3)),
        *(f"flow[{i},{j}]" for i in range(3) for j in range(2)),
    ]
    assert {item.side for item in active[:3]} == {"equal"}
    assert {item.side for item in active[3:]} == {"upper"}
    assert [item.price for item in active[3:]] == [-0.5] * 6


def test_a_price_below_the_accuracy_of_the_certificate_is_printed_as_zero():
    result = plant_result(y_flat=np.array([1.0, -20.0, 1e-12, 0.0]))
    line = next(line for line in str(result).splitlines() if line.startswith("  mass balance[2]"))
    assert line.endswith("≈ 0")


def test_scipy_gets_the_flat_point_and_the_largest_violation():
    result = plant_result(rows_flat=np.array([0.0, -0.125, 0.0, 6.0]), status=Status.TIME_LIMIT)
    scipy = result.to_scipy()
    np.testing.assert_array_equal(scipy.x, result.x_flat)
    assert (scipy.fun, scipy.nit, scipy.nfev, scipy.maxcv) == (18.5, 7, 9, 0.125)
    assert scipy.success
    assert scipy.status == list(Status).index(Status.TIME_LIMIT)


def test_a_certificate_of_a_given_point_is_printed_with_the_point():
    result = plant_result()
    certificate = certificate_of(result.flat, Verdict.STATIONARY, entries=(entry("stationarity", 1e-9, 1e-8, True),))
    text = render_certificate(certificate, result.x)
    assert "STATIONARY" in text
    assert "mode[0]" in text
    assert "1e-09 <= 1e-08" in text


def test_the_progress_line_leaves_out_what_a_backend_does_not_tell():
    record = {"iteration": 3, "value": 1.5, "infeasibility": math.nan, "stationarity": 1e-3}
    assert "infeasibility" not in iteration_line(record)
    assert "stationarity 1.0e-03" in iteration_line(record)


def test_progress_writes_nothing_into_a_pipe():
    pipe = io.StringIO()
    with ProgressLine(Console(file=pipe)) as line:
        line.update({"iteration": 0, "value": 1.0})
    assert pipe.getvalue() == ""


def test_progress_leaves_nothing_on_a_terminal():
    terminal = io.StringIO()
    with ProgressLine(Console(file=terminal, force_terminal=True, width=100)) as line:
        line.update({"iteration": 0, "value": 1.0})
    # Ends by going up and erasing the line.
    assert terminal.getvalue().endswith("\x1b[2K")
