"""The examples on real data are solved, and their multipliers are the prices that they are said to be."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import karush
from examples import flame, opf
from karush import Verdict

pytestmark = pytest.mark.user_style
EXAMPLES = Path(__file__).parents[1] / "examples"
COST = {14: 8081.52626, 30: 576.892337, 118: 129660.685, 300: 719725.0766}
"""$/h, by PYPOWER 5.1.21 (300: tolerances 1e-9, the others 1e-10)"""
COST_RTOL = 1e-7
SUCCESS = {Verdict.LOCAL_MINIMUM, Verdict.GLOBAL_MINIMUM}


@pytest.fixture(scope="module")
def solved():
    """Each network is solved once."""
    results: dict[int, karush.Result] = {}

    def solve(buses: int) -> karush.Result:
        if buses not in results:
            results[buses] = karush.minimize(opf.problem(opf.load(buses)))
        return results[buses]

    return solve


@pytest.mark.parametrize("buses", [14, 30, 118, pytest.param(300, marks=pytest.mark.slow)])
def test_power_flow_costs_what_pypower_says(solved, buses: int):
    result = solved(buses)
    assert result.certificate.verdict in SUCCESS, result.certificate.sentence
    assert result.value == pytest.approx(COST[buses], rel=COST_RTOL)


def test_price_at_a_bus_is_the_cost_of_demand_there(solved):
    network, result = opf.load(14), solved(14)
    bus, more = 8, 1.0 / 100  # 1 MW more at the ninth bus
    demand = network.pd.copy()
    demand[bus] += more
    dearer = karush.minimize(opf.problem(replace(network, pd=demand)))
    # The cost is smooth and convex in the demand here: the difference quotient lies between the prices at both ends.
    quotient = (dearer.value - result.value) / (more * network.base_mva)
    before, after = (opf.bus_prices(network, r)[bus] for r in (result, dearer))
    assert before < quotient < after


def test_line_flows_into_a_line_differ_by_its_loss():
    with jax.enable_x64(True):
        network = opf.load(30)
        flat = {"vm": np.ones(30), "va": np.zeros(30)}
        p_from, _, p_to, _ = opf.line_flows(network, flat)
        # Equal voltages drive no current through the series impedance; case30 has no transformer ratios.
        np.testing.assert_allclose(p_from + p_to, 0.0, atol=1e-12)


def test_price_of_enthalpy_is_one_over_temperature():
    prepared = karush.prepare(flame.problem)
    for ratio in (0.8, 1.0, 1.2):
        result = prepared.solve(params=flame.mixture(ratio))
        assert result.certificate.verdict in SUCCESS, result.certificate.sentence
        by_price = flame.UNIT / float(result.prices["enthalpy"])
        assert by_price == pytest.approx(float(result.x["temperature"]), rel=1e-6)


def test_stoichiometric_flame_has_its_published_temperature():
    result = karush.minimize(flame.problem)
    # S. R. Turns, An Introduction to Combustion, table B.1: 2226 K, from 298 K and other thermodynamic data.
    assert float(result.x["temperature"]) == pytest.approx(2226, abs=3)


@pytest.mark.parametrize("path", sorted((EXAMPLES / "data").glob("*.json")), ids=lambda path: path.name)
def test_data_name_their_source_and_licence(path: Path):
    data = json.loads(path.read_text())
    assert data["source"]
    assert data["licence"]
