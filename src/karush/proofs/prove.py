"""From a point to theorems: search for a witness, have it checked, put the result into the user's structure."""

import math
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from flint import ctx

from karush.arithmetic.ball_numbers import Undecided, balls, floats, lowers, uppers
from karush.certificates.evaluation import disagreement
from karush.certificates.scales import Scales
from karush.core.precision import float64
from karush.core.pytrees import Door
from karush.problem.flat import FlatProblem
from karush.proofs import search
from karush.proofs.checker import GLOBAL_MINIMUM, STRICT_MINIMUM, Verified, Witness, verify
from karush.proofs.dependent import without_dependent
from karush.proofs.functions import Functions
from karush.proofs.proof import Enclosure, Proof, at_least
from karush.proofs.proof_file import document
from karush.proofs.system import ActiveSet, System

BOUNDS = "bounds"
ROUNDINGS = 2
"""of a difference, and of its quotient by a size"""
SAID = 2
"""digits of the distance in the sentence"""


def prove_flat(
    functions: Functions,
    x: np.ndarray,
    multipliers: tuple[np.ndarray, np.ndarray],
    rows: np.ndarray,
    scales: Scales,
    *,
    given: bool = False,
    time_limit: float | None = None,
    name: str | None = None,
) -> Proof:
    """Theorems about a KKT point near x.

    Parameters
    ----------
    x, multipliers, rows
        (n,); y (m,) and z (n,) of the minimised objective; c(x) (m,).
    scales
        Typical sizes, by which the active set is named.
    given
        Whether the multipliers are a claim, which the theorem must be near to, rather than an estimate.
    time_limit
        Seconds for growing the box of uniqueness; the rest takes what it takes.
    """
    began = time.perf_counter()
    deadline = began + (math.inf if time_limit is None else time_limit)
    flat = functions.flat
    with float64(), ctx.workprec(functions.precision):
        try:
            witness = _witness(functions, flat.projected(x), multipliers, rows, scales, deadline)
            verified = verify(functions, witness)
            _near(flat, x, multipliers if given else None, verified)
        except Undecided as undecided:
            seconds = time.perf_counter() - began
            sentence = f"Undecided: {undecided}."
            return Proof(
                theorems=(),
                sentence=sentence,
                reason=str(undecided),
                seconds=seconds,
                precision=functions.precision,
                name=name,
            )
        proof = _proof(functions, x, witness, verified, name)
    finding = disagreement(flat, flat.projected(floats(verified.x)), floats(verified.y), scales)
    return replace(proof, findings=(finding,) if finding else (), seconds=time.perf_counter() - began)


def _witness(
    functions: Functions,
    x: np.ndarray,
    multipliers: tuple[np.ndarray, np.ndarray],
    rows: np.ndarray,
    scales: Scales,
    deadline: float,
) -> Witness:
    polished = settled(functions, x, multipliers, rows, scales)
    small = search.small_radius(polished)
    wide = search.wide_radius(polished, small, deadline)
    weights = search.second_order_weights(polished)
    exact = search.exactly(polished)
    active = polished.system.active
    return Witness(active, polished.u if exact is None else exact, small, wide, weights, exact is not None)


def settled(
    functions: Functions,
    x: np.ndarray,
    multipliers: tuple[np.ndarray, np.ndarray],
    rows: np.ndarray,
    scales: Scales,
    active: ActiveSet | None = None,
) -> search.Polished:
    """The zero of the KKT system near x, of the active set that its own signs confirm; `active` is tried first.

    Raises
    ------
    Undecided
        where Newton's method finds none.
    """
    if active is None:
        active = search.limits_near(functions.flat, (rows, x), multipliers, scales)
    polished = _polished(functions, active, x, multipliers[0])
    seen = [active]
    while len(seen) < search.ACTIVE_SET_ROUNDS:
        other = search.adapted(polished)
        if other is None or other in seen:
            break
        seen.append(other)
        polished = _polished(functions, other, x, multipliers[0])
    return polished


def _polished(functions: Functions, active: ActiveSet, x: np.ndarray, y: np.ndarray) -> search.Polished:
    """The zero of the system of `active`, without rows that others imply, near x and y."""
    system = System(functions, active)
    fewer = without_dependent(system, _unknowns(system, x, y))
    if fewer != active:
        system = System(functions, fewer)
    return search.polish(system, _unknowns(system, x, y))


def _unknowns(system: System, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return balls(np.concatenate([x[system.free], y[system.rows]]))


def _near(flat: FlatProblem, x: np.ndarray, given: tuple[np.ndarray, np.ndarray] | None, verified: Verified) -> None:
    """Refuse a theorem about some other point, or about other multipliers than were claimed."""
    away = relative_distance(x, verified.x)
    if not away <= search.NEAR:
        raise Undecided(
            f"Newton's method ends at a KKT point {away:.1e} relative away, which says nothing about the given x"
        )
    if given is None:
        return
    size = max(float(np.max(np.abs(np.concatenate([floats(verified.y), floats(verified.z)])), initial=0.0)), 1.0)
    off = max(
        relative_distance(part / size, floats(ours) / size)
        for part, ours in zip(given, (verified.y, verified.z), strict=True)
    )
    if not off <= search.NEAR:
        raise Undecided(f"the given multipliers differ from those of the KKT point by {off:.1e} of the largest")


def relative_distance(x: np.ndarray, box: np.ndarray) -> float:
    """Largest ``|x_i − box_i| / max(1, |x_i|)``, rounded up; the box is of balls, or of floats."""
    low, high = (lowers(box), uppers(box)) if box.dtype == object else (box, box)
    gap = np.maximum(np.maximum(low - x, x - high), 0.0)
    return _up(float(np.max(gap / np.maximum(np.abs(x), 1.0), initial=0.0)))


def farthest(x: np.ndarray, box: np.ndarray) -> float:
    """Largest ``|x_i − p_i| / max(1, |x_i|)`` that a point p of the box may have, rounded up."""
    gaps = balls(x) - box
    gap = np.maximum(np.abs(lowers(gaps)), np.abs(uppers(gaps)))
    return _up(float(np.max(gap / np.maximum(np.abs(x), 1.0), initial=0.0)))


def _up(quotient: float) -> float:
    """No less than the number that a subtraction and a division of floats have rounded to `quotient`; 0 is exact."""
    for _ in range(ROUNDINGS):
        quotient = math.nextafter(quotient, math.inf) if quotient else 0.0
    return quotient


def _proof(functions: Functions, x: np.ndarray, witness: Witness, verified: Verified, name: str | None) -> Proof:
    flat = functions.flat
    joined = flat.door.join(verified.x)
    ends = np.abs([lowers(verified.x), uppers(verified.x)])
    system = System(functions, witness.active)
    radius = _up(float(np.max(uppers(verified_radius(verified.x)) / np.maximum(ends.min(axis=0), 1.0), initial=0.0)))
    wide = 0.0
    if system.free.size:
        sizes = np.maximum(ends.max(axis=0), 1.0)[system.free]
        wide = math.nextafter(float(np.min(witness.wide[: system.free.size] / sizes)), 0.0)
    sign = -1.0 if flat.maximize else 1.0
    active = tuple(_names(flat, witness.active))
    extreme = "maximum" if flat.maximize else "minimum"
    kind = f"a strict local {extreme}" if STRICT_MINIMUM in verified.theorems else "a KKT point"
    kind = f"a global {extreme}" if GLOBAL_MINIMUM in verified.theorems else kind
    distance = relative_distance(x, verified.x)
    proof = Proof(
        theorems=verified.theorems,
        sentence=f"Proved: {kind} lies within {at_least(farthest(x, verified.x), SAID)} relative of the given x.",
        box=_interval(joined, 1.0, partial(Door.unravel, flat.door)),
        radius=radius,
        uniqueness_radius=0.0 if verified.alone is None else wide,
        isolated=verified.isolated,
        value=_interval(np.array([verified.value], dtype=object), sign, lambda a: float(a[0])),
        multipliers=_multipliers(flat, verified, sign),
        distance=distance,
        active=active,
        dropped=tuple((flat.row_names[limit.at], "the other active rows imply it") for limit in witness.active.dropped),
        reason=verified.shortfall,
        why_global=verified.why_global,
        precision=functions.precision,
        name=name,
    )
    return replace(proof, document=document(functions, witness, verified, name))


def verified_radius(values: np.ndarray) -> np.ndarray:
    """Radii of balls, as exact balls."""
    out = np.empty(values.shape, dtype=object)
    for index, ball in np.ndenumerate(values):
        out[index] = ball.rad()
    return out


SIDES = {1: " at its upper", -1: " at its lower", 0: ""}


def _names(flat: FlatProblem, active: ActiveSet) -> list[str]:
    rows = [f"{flat.row_names[k]}{SIDES[side]}{' limit' if side else ''}" for k, side in active.rows]
    return rows + [
        f"{flat.variable_names[k]}{SIDES[side]}{' bound' if side else ' fixed'}" for k, side in active.bounds
    ]


def _interval(values: np.ndarray, sign: float, shaped: Any) -> Enclosure:
    low, high = lowers(values), uppers(values)
    return Enclosure(shaped(low), shaped(high)) if sign > 0 else Enclosure(shaped(0.0 - high), shaped(0.0 - low))


def _multipliers(flat: FlatProblem, verified: Verified, sign: float) -> dict[str, Enclosure]:
    parts = {}
    for k, (name, shape) in enumerate(zip(flat.constraint_names, flat.row_shapes, strict=True)):
        parts[name] = _interval(verified.y[flat.row_owner == k], sign, lambda a, shape=shape: a.reshape(shape))
    of_bounds = balls(flat.door.bound_multipliers(verified.z, floats(verified.z)))
    parts[BOUNDS] = _interval(of_bounds, sign, partial(Door.unravel, flat.door))
    return parts


__all__ = ["prove_flat", "relative_distance", "settled"]
