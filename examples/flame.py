"""Adiabatic flame of methane in air: the burnt gas is the mixture of greatest entropy with the fuel's energy.

Variables: moles n_i of ten species and the temperature T in K::

    max  sum_i n_i (s_i(T) - log(n_i / sum_j n_j))             entropy / R at 1 atm
    s.t. sum_i atoms_ei n_i = atoms of element e put in        "elements"
         sum_i n_i h_i(T)   = enthalpy put in                  "enthalpy", in units of 1000 K R

h_i and s_i are NASA polynomials (``data/gri30_flame.json``). Thermodynamics names the multipliers: the price of the
enthalpy is d S / d H = 1 / T, the prices of the elements are the element potentials. The mixture put in is a
*parameter* of the problem, so a sweep over mixtures compiles once.

``karush solve examples/flame.py`` solves the stoichiometric flame; ``python examples/flame.py`` sweeps the mixture.
"""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import karush

DATA = json.loads((Path(__file__).parent / "data" / "gri30_flame.json").read_text())
SPECIES = [name for name in DATA["products"] if name != "range"]
ATOMS = np.array([DATA["products"][name]["atoms"] for name in SPECIES], float).T
"""(elements, species)"""
COEFFICIENTS = np.array([DATA["products"][name]["a"] for name in SPECIES]).T
"""(7, species)"""
T_ROOM = 300.0
"""K, of the fuel and the air before they burn"""
UNIT = 1000.0
"""K; enthalpies are H / (R * UNIT), so that they are of the size of the mole numbers"""
N2_PER_O2 = 0.79 / 0.21
"""Of air"""
TRACE = 1e-9
"""mol; the least amount of a species, below any that the flame makes: keeps log(n) finite"""


def enthalpy(a, temperature):
    """Enthalpy h / (R * UNIT) of each species, from coefficients a (7, species)."""
    t = temperature
    powers = (t, t**2 / 2, t**3 / 3, t**4 / 4, t**5 / 5)
    return (sum(a[k] * power for k, power in enumerate(powers)) + a[5]) / UNIT


def entropy(a, temperature):
    """Entropy s / R of each species alone at 1 atm, from coefficients a (7, species)."""
    t = temperature
    powers = (jnp.log(t), t, t**2 / 2, t**3 / 3, t**4 / 4)
    return sum(a[k] * power for k, power in enumerate(powers)) + a[6]


def mixture(ratio: float) -> dict:
    """What is put in: one mole of methane and air; `ratio` 1 is stoichiometric, above 1 is rich in fuel."""
    oxygen = 2.0 / ratio
    moles = {"CH4": 1.0, "O2": oxygen, "N2": N2_PER_O2 * oxygen}
    table = DATA["reactants"]
    atoms = sum(np.array(table[name]["atoms"], float) * n for name, n in moles.items())
    heat = sum(float(enthalpy(table[name]["a"], T_ROOM)) * n for name, n in moles.items())
    return {"atoms": atoms, "enthalpy": np.array(heat)}


def mixture_entropy(x, _put_in):
    """Entropy / R of the burnt gas at 1 atm."""
    n = x["moles"]
    return jnp.sum(n * (entropy(COEFFICIENTS, x["temperature"]) - jnp.log(n / jnp.sum(n))))


def element_surplus(x, put_in):
    """Atoms of each element in the burnt gas beyond those put in."""
    return ATOMS @ x["moles"] - put_in["atoms"]


def enthalpy_surplus(x, put_in):
    """Enthalpy of the burnt gas beyond that put in."""
    return x["moles"] @ enthalpy(COEFFICIENTS, x["temperature"]) - put_in["enthalpy"]


low, high = DATA["products"]["range"]
problem = karush.Problem(
    mixture_entropy,
    x0={"moles": np.ones(len(SPECIES)), "temperature": np.array(2000.0)},
    bounds=({"moles": TRACE, "temperature": float(low)}, {"moles": None, "temperature": float(high)}),
    constraints=[
        karush.equal(element_surplus, name="elements"),
        karush.equal(enthalpy_surplus, name="enthalpy"),
    ],
    params=mixture(1.0),
    maximize=True,
    name="adiabatic flame of methane in air",
)


def main() -> None:
    """Print temperature, 1 / price of the enthalpy (the same number, by thermodynamics) and two pollutants."""
    prepared = karush.prepare(problem)
    print(f"{'ratio':>6} {'T in K':>9} {'1/price':>9} {'CO ppm':>8} {'NO ppm':>8}  verdict")
    for ratio in (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3):
        result = prepared.solve(params=mixture(ratio))
        moles = dict(zip(SPECIES, 1e6 * result.x["moles"] / np.sum(result.x["moles"]), strict=True))
        by_price = UNIT / float(result.prices["enthalpy"])
        row = f"{ratio:>6.1f} {float(result.x['temperature']):>9.2f} {by_price:>9.2f} {moles['CO']:>8.0f}"
        print(f"{row} {moles['NO']:>8.0f}  {result.certificate.verdict}")


if __name__ == "__main__":
    main()
