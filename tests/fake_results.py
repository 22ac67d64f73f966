"""Results made by hand: what is printed and written does not depend on how a solver got there."""

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np

import karush
from karush.certificates import Scales
from karush.core.status import Status, Verdict
from karush.problem import FlatProblem, flatten
from karush.solvers.result import Result


def plant(maximize: bool = False) -> karush.Problem:
    """Three arrays of different rank, a scalar, two constraints; the start is the point of `plant_result`."""
    return karush.Problem(
        lambda x: jnp.sum(x["flow"]) + jnp.sum(x["level"]) + x["mode"][0] * x["mode"][1],
        {"flow": np.ones((3, 2)), "level": np.linspace(0.0, 1.0, 40), "mode": (2.5, -3.0)},
        bounds=({"flow": 0.0, "level": None, "mode": None}, {"flow": 1.0, "level": None, "mode": None}),
        constraints=[
            karush.equal(lambda x: x["level"][:3], name="mass balance"),
            karush.between(lambda x: jnp.sum(x["flow"]), lower=1.0, upper=9.0, name="total flow"),
        ],
        maximize=maximize,
        name="plant",
    )


def entry(name: str, value: float, bound: float, ok: bool, worst: str = "", note: str = "") -> SimpleNamespace:
    return SimpleNamespace(name=name, value=value, bound=bound, ok=ok, worst=worst, kind="checked", note=note)


def certificate_of(flat: FlatProblem, verdict: Verdict, **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "verdict": verdict,
        "sentence": "A sentence on the verdict.",
        "success": verdict in (Verdict.LOCAL_MINIMUM, Verdict.GLOBAL_MINIMUM),
        "entries": (
            entry("stationarity", 3.1e-9, 1e-8, True, "level[3]"),
            entry("feasibility: mass balance", float("nan"), 1e-8, False, "mass balance[1]"),
            entry("rank of the active gradients", 9, 9, True),
            entry("curvature", 0.25, 1e-7, True, note="keeps its sign over the Newton step"),
        ),
        "violated": (),
        "dependent": (),
        "assumed": (),
        "notes": ("multipliers estimated",),
        "witness": None,
        "evaluation": "not checked against rounding",
        "evidence": SimpleNamespace(flat=flat, point=None),
        "scales": Scales(np.ones(flat.n), 1.0, np.ones(flat.m)),
    }
    return SimpleNamespace(**(fields | changes))


def plant_result(verdict: Verdict = Verdict.LOCAL_MINIMUM, *, maximize: bool = False, **changes: Any) -> Result:
    flat = flatten(plant(maximize))
    fields: dict[str, Any] = {
        "flat": flat,
        "x_flat": flat.x0,
        "y_flat": np.array([1.0, -20.0, 300.0, 1e-12]),
        "z_flat": np.where(np.isfinite(flat.upper), 0.5, 0.0),
        "rows_flat": np.array([0.0, 0.0, 0.0, 6.0]),
        "value": 18.5,
        "status": Status.CONVERGED,
        "message": "all residuals are below tol",
        "certificate": certificate_of(flat, verdict),
        "method": "interior-point",
        "why_method": "48 variables",
        "history": (
            {
                "iteration": 0,
                "value": 20.0,
                "infeasibility": float("inf"),
                "stationarity": 1.0,
                "barrier": 0.1,
                "step": 1.0,
            },
        ),
        "iterations": 7,
        "evaluations": 9,
        "notes": ("the start was projected: flow[0,1] from 3 to 1",),
        "seconds": 0.25,
        "name": "plant",
    }
    return Result(**(fields | changes))
