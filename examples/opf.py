"""AC optimal power flow in polar form: the cheapest generation that serves every load over a real network.

Variables, all in per unit of ``base_mva`` and radians::

    va, vm   angle and magnitude of the voltage at each bus
    pg, qg   active and reactive power of each generator

    min  sum_g  c2 P_g^2 + c1 P_g + c0                        P_g = base_mva pg_g in MW, cost in $/h
    s.t. sum_(g at i) pg_g - gs_i vm_i^2 - sum_(lines at i) p_line = pd_i      "active power balance"
         sum_(g at i) qg_g + bs_i vm_i^2 - sum_(lines at i) q_line = qd_i      "reactive power balance"
         p_from^2 + q_from^2 <= rate^2,  p_to^2 + q_to^2 <= rate^2             "line flow from", "line flow to"
         limits of vm, pg, qg; the angle of the reference bus is fixed by equal bounds

The right-hand side of the balance is the demand, so its price (``result.prices``, d cost / d limit) is the price of
electricity at the bus: what one more unit of demand there costs. `bus_prices` turns it into $/MWh.

Line model: R. D. Zimmerman, C. E. Murillo-Sanchez, MATPOWER User's Manual, section 3.2 (pi section behind an ideal
transformer of ratio tau and shift phi at the "from" end).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import karush

DATA = Path(__file__).parent / "data"
REFERENCE = 3
"""Kind of the bus whose angle is given."""
NO_RATE = 9900.0
"""MVA; a rating this high, or 0, is the test cases' word for none."""
NO_ANGLE = 360.0
"""Degrees; an angle difference limit this wide is none."""
ROWS_SHOWN = 30
"""Longest table of buses that `show` prints in full."""


@dataclass(frozen=True)
class Network:
    """One case in per unit: B buses, G generators in service, L lines in service."""

    name: str
    base_mva: float
    number: np.ndarray
    """(B,) bus numbers as the case gives them"""
    reference: np.ndarray
    """(B,) true where the angle is fixed"""
    angle: np.ndarray
    """(B,) angle of the case in radians; only the reference's is used"""
    vm_min: np.ndarray
    vm_max: np.ndarray
    pd: np.ndarray
    qd: np.ndarray
    """(B,) demand"""
    gs: np.ndarray
    bs: np.ndarray
    """(B,) shunt conductance and susceptance"""
    gen_bus: np.ndarray
    """(G,) position of the generator's bus"""
    p_min: np.ndarray
    p_max: np.ndarray
    q_min: np.ndarray
    q_max: np.ndarray
    cost: np.ndarray
    """(3, G) coefficients c2, c1, c0 of the cost in $/h of a power in MW"""
    start: np.ndarray
    end: np.ndarray
    """(L,) positions of the buses at both ends"""
    admittance: np.ndarray
    """(4, L) complex y_ff, y_ft, y_tf, y_tt"""
    rate: np.ndarray
    """(L,) limit of the apparent power, inf for none"""
    angle_min: np.ndarray
    angle_max: np.ndarray
    """(L,) limits of the angle difference in radians, +-inf for none"""


def load(buses: int) -> Network:
    """Read ``data/ieee<buses>.json``."""
    case = json.loads((DATA / f"ieee{buses}.json").read_text())
    bus, gen, branch, cost = (
        {key: np.array(column, float) for key, column in case[table].items()}
        for table in ("bus", "gen", "branch", "cost")
    )
    base = case["base_mva"]
    position = {int(number): i for i, number in enumerate(bus["number"])}
    on = gen["in_service"] > 0
    line = {key: column[branch["in_service"] > 0] for key, column in branch.items()}
    start, end = (np.array([position[int(k)] for k in line[side]]) for side in ("from", "to"))

    ratio = np.where(line["ratio"] == 0, 1.0, line["ratio"]) * np.exp(1j * np.radians(line["shift"]))
    series = 1 / (line["r"] + 1j * line["x"])
    y_tt = series + 0.5j * line["b"]
    admittance = np.array([y_tt / np.abs(ratio) ** 2, -series / ratio.conj(), -series / ratio, y_tt])
    unrated = (line["rate"] == 0) | (line["rate"] >= NO_RATE)
    angle_min, angle_max = line["angle_min"], line["angle_max"]
    return Network(
        name=case["name"],
        base_mva=base,
        number=bus["number"].astype(int),
        reference=bus["kind"] == REFERENCE,
        angle=np.radians(bus["va"]),
        vm_min=bus["vm_min"],
        vm_max=bus["vm_max"],
        pd=bus["pd"] / base,
        qd=bus["qd"] / base,
        gs=bus["gs"] / base,
        bs=bus["bs"] / base,
        gen_bus=np.array([position[int(k)] for k in gen["bus"][on]]),
        p_min=gen["p_min"][on] / base,
        p_max=gen["p_max"][on] / base,
        q_min=gen["q_min"][on] / base,
        q_max=gen["q_max"][on] / base,
        cost=np.array([cost["c2"][on], cost["c1"][on], cost["c0"][on]]),
        start=start,
        end=end,
        admittance=admittance,
        rate=np.where(unrated, np.inf, line["rate"] / base),
        angle_min=np.where(angle_min <= -NO_ANGLE, -np.inf, np.radians(angle_min)),
        angle_max=np.where(angle_max >= NO_ANGLE, np.inf, np.radians(angle_max)),
    )


def line_flows(network: Network, x, lines: slice | np.ndarray = slice(None)):
    """Active and reactive power that enters each line: p_from, q_from, p_to, q_to, each (L,).

    s_from = v_f conj(y_ff v_f + y_ft v_t),  s_to = v_t conj(y_tf v_f + y_tt v_t)
    """
    start, end = network.start[lines], network.end[lines]
    y_ff, y_ft, y_tf, y_tt = network.admittance[:, lines]
    v_f, v_t = x["vm"][start], x["vm"][end]
    theta = x["va"][start] - x["va"][end]
    a, b = v_f * v_t * jnp.cos(theta), v_f * v_t * jnp.sin(theta)
    return (
        y_ff.real * v_f**2 + y_ft.real * a + y_ft.imag * b,
        -y_ff.imag * v_f**2 - y_ft.imag * a + y_ft.real * b,
        y_tt.real * v_t**2 + y_tf.real * a - y_tf.imag * b,
        -y_tt.imag * v_t**2 - y_tf.imag * a - y_tf.real * b,
    )


def _balance(network: Network, generated, shunt, flow_from, flow_to):
    """What is left for the load at each bus (B,): generated + shunt - what the lines take."""
    at_bus = shunt.at[network.gen_bus].add(generated)
    return at_bus.at[network.start].add(-flow_from).at[network.end].add(-flow_to)


def problem(network: Network) -> karush.Problem:
    """The optimal power flow of one network, from the flat start (every voltage 1, generators at mid range)."""

    def cost(x):
        c2, c1, c0 = network.cost
        power = network.base_mva * x["pg"]
        return jnp.sum(c2 * power**2 + c1 * power + c0)

    def active_power(x):
        p_from, _, p_to, _ = line_flows(network, x)
        return _balance(network, x["pg"], -network.gs * x["vm"] ** 2, p_from, p_to)

    def reactive_power(x):
        _, q_from, _, q_to = line_flows(network, x)
        return _balance(network, x["qg"], network.bs * x["vm"] ** 2, q_from, q_to)

    constraints = [
        karush.equal(active_power, network.pd, name="active power balance"),
        karush.equal(reactive_power, network.qd, name="reactive power balance"),
        *_line_limits(network),
    ]
    angle_free = np.where(network.reference, network.angle, np.inf)
    lower = {"va": np.where(network.reference, network.angle, -np.inf), "vm": network.vm_min}
    lower |= {"pg": network.p_min, "qg": network.q_min}
    upper = {"va": angle_free, "vm": network.vm_max, "pg": network.p_max, "qg": network.q_max}
    x0 = {
        "va": np.full(len(network.number), network.angle[network.reference][0]),
        "vm": np.clip(1.0, network.vm_min, network.vm_max),
        "pg": (network.p_min + network.p_max) / 2,
        "qg": (network.q_min + network.q_max) / 2,
    }
    return karush.Problem(cost, x0, bounds=(lower, upper), constraints=constraints, name=f"AC OPF, {network.name}")


def _line_limits(network: Network) -> list:
    """Only lines that have a limit get a row."""
    rated = np.flatnonzero(np.isfinite(network.rate))
    bounded = np.flatnonzero(np.isfinite(network.angle_min) | np.isfinite(network.angle_max))

    def flow_from(x):
        p, q, _, _ = line_flows(network, x, rated)
        return p**2 + q**2

    def flow_to(x):
        _, _, p, q = line_flows(network, x, rated)
        return p**2 + q**2

    def angle_difference(x):
        return x["va"][network.start[bounded]] - x["va"][network.end[bounded]]

    limits = []
    if rated.size:
        limits += [
            karush.between(flow_from, upper=network.rate[rated] ** 2, name="line flow from"),
            karush.between(flow_to, upper=network.rate[rated] ** 2, name="line flow to"),
        ]
    if bounded.size:
        low, high = network.angle_min[bounded], network.angle_max[bounded]
        limits.append(karush.between(angle_difference, lower=low, upper=high, name="angle difference"))
    return limits


def bus_prices(network: Network, result: karush.Result) -> np.ndarray:
    """Price of electricity at each bus (B,) in $/MWh: d cost / d demand = price of the active power balance."""
    return np.asarray(result.prices["active power balance"]) / network.base_mva


def show(network: Network, result: karush.Result) -> None:
    """Print the cost, the verdict, and the cheapest and dearest buses."""
    prices = bus_prices(network, result)
    print(f"{network.name}: {result.value:.5f} $/h, {result.certificate.verdict}")
    print(f"{'bus':>6} {'demand MW':>10} {'voltage':>8} {'price $/MWh':>12}")
    order = np.argsort(prices)
    shown = order if order.size <= ROWS_SHOWN else np.concatenate([order[: ROWS_SHOWN // 2], order[-ROWS_SHOWN // 2 :]])
    for i in shown:
        demand, voltage = network.pd[i] * network.base_mva, result.x["vm"][i]
        print(f"{network.number[i]:>6} {demand:>10.1f} {voltage:>8.4f} {prices[i]:>12.3f}")
