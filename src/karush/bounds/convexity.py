"""Convexity on boxes: proved by rules or by enclosed Hessians, refuted by three points, or undecided with the reason.

```
f((1 − t) a + t b) <= (1 − t) f(a) + t f(b) − (μ/2) t (1 − t) ‖a − b‖²      for all a, b in X, 0 <= t <= 1
```

Three ways, in this order: an exact Hessian for polynomials of the second degree; the rules of convex analysis, which
see through kinks, unbounded boxes and thousands of variables; enclosed Hessians with branch and bound, for what the
rules cannot see, and for the modulus μ.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic.ball import BallProgram, Undecided
from karush.arithmetic.interval_margins import label
from karush.arithmetic.semidefinite import semidefinite
from karush.bounds.box import Box, counted, traced_on
from karush.bounds.convexity_curve import EVERYWHERE
from karush.bounds.convexity_hessian import Search, eigenvalue_bounds, hessians, middles, search
from karush.bounds.convexity_rules import walk
from karush.bounds.convexity_witness import Segments, Witness, checked
from karush.bounds.deadline import deadline, require_boxes
from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.jaxprs.degree import AFFINE, QUADRATIC, degrees
from karush.jaxprs.function import FlatFunction
from karush.jaxprs.primal import primal

BUDGET = 2048
"""boxes on which Hessians are enclosed at most, unless the caller says otherwise"""
MODULUS_BUDGET = 256
"""the same, where convexity is known and only the modulus is asked for"""
HESSIAN_UP_TO = 40
"""variables up to which Hessians are enclosed"""
QUADRATIC_UP_TO = 60
"""variables up to which the Hessian of a quadratic is computed exactly"""
SEED = 20241105
"""of the search for a witness: the same answer every time"""

Verdict = Literal["convex", "strictly convex", "not convex", "undecided"]


@dataclass(frozen=True)
class Convexity:
    """What is known of the curvature of a function on a box."""

    verdict: Verdict
    """``convex``, ``strictly convex`` (with the modulus), ``not convex`` (with the witness) or ``undecided``"""
    concave: bool
    """whether the function is known to be concave on the box; an affine function is both"""
    modulus: float
    """μ > 0 of a strictly convex function: no eigenvalue of the Hessian is smaller; 0.0 where none is known"""
    curvature: float
    """no eigenvalue of the Hessian is larger; infinite where that is not known"""
    witness: Witness | None
    """three points that violate the inequality"""
    how: str
    """what decided: rules, Hessian, or three points"""
    reason: str
    """why it is undecided"""
    boxes: int
    """boxes on which the Hessian was enclosed"""
    label: str
    """``proved`` (exact or ball arithmetic), ``calibrated`` (intervals with measured margins) or ``checked``"""

    @property
    def convex(self) -> bool:
        """Whether the function is convex on the box."""
        return self.verdict in ("convex", "strictly convex")

    def __str__(self) -> str:
        lines = [f"{self.verdict} on the box ({self.label}): {self.how or self.reason}"]
        if self.verdict == "strictly convex":
            top = "" if self.curvature == np.inf else f", curvature at most {self.curvature:.6g}"
            lines.append(f"  modulus at least {self.modulus:.6g}{top}")
        if self.concave:
            lines.append("  concave")
        if self.witness is not None:
            first, middle, last = self.witness.values
            lines.append(f"  f(a) = {first:.6g}, f(b) = {last:.6g}, f((a + b)/2) = {middle:.6g}")
        return "\n".join(lines)


def convexity(function: Any, box: Box, *, budget: int = BUDGET, time_limit: float | None = None) -> Convexity:
    """Decide whether a function is convex on a box.

    Parameters
    ----------
    function
        JAX function of one pytree that returns one number.
    box
        `karush.Box`, whose structure is that of x; infinite ends are allowed.
    budget
        Boxes on which Hessians are enclosed at most; 0 leaves them out, and with them the modulus.
    time_limit
        Seconds after which no box is divided any more; compilation counts, and is not cut short.

    Raises
    ------
    ProblemError, OptionError, TraceError, PrecisionError
        for bad input, or a function that does not return one number.

    Notes
    -----
    Computes in float64 by a local switch. What is decided is the exact real function of the traced program, except
    that an exponent written as the double nearest to a fraction counts as that fraction.
    """
    require_boxes(budget, least=0)
    until = deadline(time_limit)
    flat, low, high = traced_on(function, box)
    if not flat.is_scalar:
        raise TraceError(f"convexity is asked of a function of {flat.k} outputs; return one number of shape ()")
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return decide(flat, low, high, budget, until)


def decide(flat: FlatFunction, low: np.ndarray, high: np.ndarray, budget: int, until: float = np.inf) -> Convexity:
    """`convexity` of a traced function, within `float64()`."""
    segments = Segments(flat, low, high)
    found = _quadratic(flat, low, high)
    if found is None:
        found = _by_rules(flat, low, high)
    free = low < high
    direction = None
    bounded = bool(np.all(np.isfinite(low) & np.isfinite(high)))
    wanted = found.verdict == "undecided" or (found.verdict == "convex" and not found.concave and bounded)
    if wanted and found.label != "proved" and budget > 0:
        limit = budget if found.verdict == "undecided" else min(budget, MODULUS_BUDGET)
        if found.verdict == "undecided":
            witness, _ = checked(flat, segments.random(SEED))
            if witness is not None:
                return _refuted(found, witness)
        found, direction = _by_hessian(flat, (low, high), free, found, (limit, until))
    if found.verdict != "undecided":
        return found
    candidates = segments.random(SEED) if direction is None else segments.along(*direction)
    witness, _ = checked(flat, candidates)
    return found if witness is None else _refuted(found, witness)


def _refuted(found: Convexity, witness: Witness) -> Convexity:
    how = "three points violate the inequality"
    return replace(found, verdict="not convex", witness=witness, how=how, reason="", label="proved")


def _quadratic(flat: FlatFunction, low: np.ndarray, high: np.ndarray) -> Convexity | None:
    """A polynomial of the second degree at most, by its constant Hessian; None for any other function."""
    with_rows = jax.make_jaxpr(lambda x: (flat.scalar(x), jnp.zeros(0)))(np.zeros(flat.n))
    degree, _ = degrees(with_rows)
    if degree <= AFFINE:
        return Convexity("convex", True, 0.0, 0.0, None, "an affine function", "", 0, "proved")
    if degree > QUADRATIC or flat.n > QUADRATIC_UP_TO:
        return None
    free = np.flatnonzero(low < high)
    if not free.size:
        return Convexity("convex", True, 0.0, 0.0, None, "a box of one point", "", 0, "proved")
    run = primal(with_rows)
    hessian = jax.make_jaxpr(jax.hessian(lambda x: run(x)[0]))(np.zeros(flat.n))
    try:
        entries = BallProgram(hessian)(np.zeros(flat.n))[0][np.ix_(free, free)]
    except (Undecided, TraceError):
        return None
    ends = [np.array([float(end(entry)) for entry in entries.flat]).reshape(entries.shape) for end in (_below, _above)]
    ends = np.minimum(ends[0], ends[0].T), np.maximum(ends[1], ends[1].T)
    least, most = (
        (float(bound[0]) for bound in eigenvalue_bounds(ends[0][None], ends[1][None])) if free.size else (0, 0)
    )
    exact = bool(np.all(ends[0] == ends[1]))
    convex = least >= 0.0 or (exact and semidefinite(ends[0]))
    concave = most <= 0.0 or (exact and semidefinite(-ends[0]))
    how = "a polynomial of the second degree with this Hessian"
    nothing = Convexity("undecided", concave, 0.0, max(most, 0.0), None, "", "", 0, "proved")
    if convex:
        strict = least > 0.0
        return replace(nothing, verdict="strictly convex" if strict else "convex", modulus=max(least, 0.0), how=how)
    witness, _ = checked(flat, Segments(flat, low, high).along(*_steepest_fall(ends, free, low, high)))
    if witness is not None:
        return _refuted(nothing, witness)
    return None


def _below(ball: Any) -> float:
    """A double not above a ball: its own value where it is an exact double."""
    value = float(ball.mid())
    return value if ball.is_exact() and type(ball)(value) == ball else float(np.nextafter(float(ball.lower()), -np.inf))


def _above(ball: Any) -> float:
    value = float(ball.mid())
    return value if ball.is_exact() and type(ball)(value) == ball else float(np.nextafter(float(ball.upper()), np.inf))


def _steepest_fall(
    ends: tuple[np.ndarray, np.ndarray], free: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The middle of the box and the eigenvector of least curvature."""
    _, vectors = np.linalg.eigh(0.5 * ends[0] + 0.5 * ends[1])
    direction = np.zeros(low.size)
    direction[free] = vectors[:, 0]
    return middles(low, high), direction


def _by_rules(flat: FlatFunction, low: np.ndarray, high: np.ndarray) -> Convexity:
    outs, seen = walk(flat.closed_jaxpr, low, high)
    out = outs[0]
    how = f"by the rules of convex analysis, {len(seen.program.steps)} steps"
    if out.defined != EVERYWHERE:
        place = next(
            (f": '{step.primitive}' at {step.place} {why}" for step, why in seen.lost if "undefined" in why), ""
        )
        return Convexity("undecided", False, 0.0, np.inf, None, "", f"the function may be undefined{place}", 0, label())
    concave = bool(np.all(out.concave))
    if bool(np.all(out.convex)):
        return Convexity("convex", concave, 0.0, np.inf, None, how, "", 0, label())
    place = next(
        (f": '{step.primitive}' at {step.place} {why}" for step, why in seen.lost if "undefined" not in why), ""
    )
    reason = f"no rule tells the curvature{place}"
    return Convexity("undecided", concave, 0.0, np.inf, None, "", reason, 0, label())


def _by_hessian(
    flat: FlatFunction,
    box: tuple[np.ndarray, np.ndarray],
    free: np.ndarray,
    found: Convexity,
    limits: tuple[int, float],
) -> tuple[Convexity, tuple[np.ndarray, np.ndarray] | None]:
    """What enclosed Hessians add; else a point and a direction of certainly negative curvature, if one was met."""
    count = int(np.count_nonzero(free))
    if count == 0 or flat.n > HESSIAN_UP_TO:
        more = f"; the Hessian is enclosed up to {HESSIAN_UP_TO} variables" if found.reason else ""
        return replace(found, reason=found.reason + more), None
    try:
        met: Search = search(hessians(flat, free), *box, free, *limits)
    except TraceError as error:
        return replace(found, reason=found.reason and f"{found.reason}; {error}"), None
    found = replace(found, boxes=met.boxes)
    if met.point is not None and met.direction is not None:
        return found, (met.point, met.direction)
    if not met.convex:
        more = f"; the Hessian is not enclosed as semidefinite on {counted(met.boxes)}" if found.reason else ""
        return replace(found, reason=found.reason + more), None
    how = found.how or f"the enclosed Hessian on {counted(met.boxes)}"
    strict = met.least > 0.0
    return (
        replace(
            found,
            verdict="strictly convex" if strict else "convex",
            modulus=max(met.least, 0.0),
            curvature=met.most,
            how=how,
            reason="",
        ),
        None,
    )


__all__ = ["BUDGET", "Convexity", "Verdict", "Witness", "convexity", "decide"]
