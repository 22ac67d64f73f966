"""`prove`: theorems about a point, from any solver."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from karush.api.prepared import Prepared, flat_multipliers
from karush.arithmetic.ball import DEFAULT_PRECISION
from karush.core.errors import OptionError, ProblemError
from karush.problem.problem import Problem
from karush.proofs.functions import Functions
from karush.proofs.proof import Proof
from karush.proofs.prove import prove_flat
from karush.solvers.result import Result

LEAST_PRECISION = 64
TOLERANCE = 1e-6
"""tolerance of the certificate that estimates multipliers; nothing of it enters the proof"""


def prove(
    problem: Problem | Prepared,
    x: Any,
    multipliers: Mapping[str, Any] | None = None,
    *,
    precision: int = DEFAULT_PRECISION,
    time_limit: float | None = None,
) -> Proof:
    """Prove that a KKT point, a strict or a global minimum lies near x: ``0 ∈ G(X), K(X) ⊂ int X``.

    Parameters
    ----------
    problem
        The problem, or a prepared one, which saves tracing and compiling.
    x
        A `Result`, or a point in the structure of x0, from any solver. It is polished first; how far the proved point
        lies from x is part of the theorem.
    multipliers
        As `certify` takes them; a claim, which the proved multipliers must agree with. Estimated if None.
    precision
        Bits of the balls, at least 64.
    time_limit
        Seconds after which the box of uniqueness is not grown any further.

    Returns
    -------
    Proof
        Without theorems, and with the reason, where nothing could be proved.

    Raises
    ------
    ProblemError, OptionError, TraceError
        for bad input, or a primitive that ball arithmetic has no rule for.

    Notes
    -----
    Computes in ball arithmetic, and in float64 for the search, by a local switch.
    """
    require_sensible(precision, time_limit)
    prepared = problem if isinstance(problem, Prepared) else Prepared(problem)
    parts = prepared.parts
    flat = parts.flat
    y, z = flat_multipliers(parts, multipliers)
    if isinstance(x, Result):
        at = flat.door.ravel(x.x, "x")
        y, z = (x.y_flat, x.z_flat) if multipliers is None else (y, z)
    else:
        at = flat.door.ravel(x, "x")
    _require_finite(at, flat.variable_names)
    certificate = parts.judged(at, y, z, TOLERANCE)
    estimated = certificate.multipliers
    found = estimated if y is None or multipliers is None else (y, estimated[1] if z is None else z)
    rows = parts.evaluator(flat.projected(at), np.zeros(flat.m)).rows
    more: dict[str, Any] = {"given": multipliers is not None, "time_limit": time_limit, "name": parts.problem.name}
    return prove_flat(Functions(flat, precision), at, found, rows, parts.scales, **more)


def _require_finite(x: np.ndarray, names: tuple[str, ...]) -> None:
    """Refuse an x (n,) that is no point."""
    wild = np.flatnonzero(~np.isfinite(x))
    if wild.size:
        first = int(wild[0])
        raise ProblemError(f"x at {names[first]} is {x[first]}; a proof is about a point: give finite numbers")


def require_sensible(precision: int, time_limit: float | None) -> None:
    """Refuse a number of bits or of seconds that is none."""
    if isinstance(precision, bool) or not isinstance(precision, int) or precision < LEAST_PRECISION:
        raise OptionError(f"precision is {precision!r}; give a number of bits, {LEAST_PRECISION} or more")
    if time_limit is not None and not (isinstance(time_limit, Real) and time_limit > 0):
        raise OptionError(f"time_limit is {time_limit!r}; give positive seconds, or None")


__all__ = ["prove", "require_sensible"]
