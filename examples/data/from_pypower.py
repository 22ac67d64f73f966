"""Rewrite PYPOWER's case files as the compact JSON beside this script: ``python examples/data/from_pypower.py``.

Needs ``pypower==5.1.21``. The examples read only the JSON, so this runs again only to check where the numbers are from.
"""

import importlib
import json
from pathlib import Path

import numpy as np

SOURCE = {
    14: "IEEE 14 bus test case, 1962, University of Washington Power Systems Test Case Archive (ieee14cdf.txt)",
    30: "O. Alsac, B. Stott, Optimal Load Flow with Steady State Security, IEEE Trans. PAS 93(3), 1974, 745-751; "
    "generators from R. W. Ferrero et al., IEEE Trans. Power Systems 12(3), 1997, 1340-1347",
    118: "IEEE 118 bus test case, 1961, University of Washington Power Systems Test Case Archive (ieee118cdf.txt)",
    300: "IEEE 300 bus test system, 1991, University of Washington Power Systems Test Case Archive (ieee300cdf.txt)",
}
LICENCE = (
    "public test data, no restriction stated by its source. Read from PYPOWER 5.1.21 (port of MATPOWER), whose code is "
    "BSD-3-Clause and whose README says that the case files are outside that licence: converted from public sources "
    "or included with permission. Cite R. D. Zimmerman, C. E. Murillo-Sanchez, R. J. Thomas, MATPOWER, IEEE Trans. "
    "Power Systems 26(1), 2011, 12-19."
)
COLUMNS = {
    "bus": dict(number=0, kind=1, pd=2, qd=3, gs=4, bs=5, va=8, vm_max=11, vm_min=12),
    "gen": dict(bus=0, q_max=3, q_min=4, in_service=7, p_max=8, p_min=9),
    "branch": {"from": 0, "to": 1, "r": 2, "x": 3, "b": 4, "rate": 5, "ratio": 8, "shift": 9, "in_service": 10}
    | {"angle_min": 11, "angle_max": 12},
    "cost": dict(c2=4, c1=5, c0=6),
}
"""Columns of MATPOWER's case format, version 2, that optimal power flow needs (kind 3 = reference bus)."""


def _number(value: float) -> int | float:
    return int(value) if float(value).is_integer() else float(value)


def convert(buses: int) -> dict:
    """The case as tables of columns; costs must be quadratic polynomials (model 2 with 3 coefficients)."""
    case = getattr(importlib.import_module(f"pypower.case{buses}"), f"case{buses}")()
    if not np.all(case["gencost"][:, [0, 3]] == [2, 3]):
        raise SystemExit(f"case{buses}: a cost is not a quadratic polynomial")
    tables = {"bus": case["bus"], "gen": case["gen"], "branch": case["branch"], "cost": case["gencost"]}
    return {"name": f"IEEE {buses} buses", "source": SOURCE[buses], "licence": LICENCE, "base_mva": case["baseMVA"]} | {
        table: {key: [_number(v) for v in tables[table][:, column]] for key, column in columns.items()}
        for table, columns in COLUMNS.items()
    }


def dump(case: dict) -> str:
    """JSON with one column of a table per line, so that a change shows in a diff."""
    lines = []
    for key, value in case.items():
        if isinstance(value, dict):
            columns = ",\n    ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f"{json.dumps(key)}: {{\n    {columns}\n  }}")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n  " + ",\n  ".join(lines) + "\n}\n"


if __name__ == "__main__":
    for buses in SOURCE:
        Path(__file__).with_name(f"ieee{buses}.json").write_text(dump(convert(buses)))
