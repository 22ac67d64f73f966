"""Whether a straight program is safe on a box: running error bounds on the pieces of a subdivision.

```
r |y| + t <= 15 ulp(y) + 16 C      for every normal y of the piece      ⟹      at most 4 bits beyond the conditioning
```

with a lower bound of C from enclosures of the derivatives: ``C >= Σ_i least |∂F/∂x_i| ulp(x_i)/2``. Pieces where that
does not hold are halved, and pieces of so few floats that all can be run are run (`karush.stability.audit_run`). The
outputs that depend on the same inputs are treated together, and pieces are halved along these inputs alone. The word
is *calibrated*: intervals and rounding errors are those measured of XLA's functions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np

from karush.arithmetic.interval import IntervalProgram
from karush.arithmetic.interval_margins import label
from karush.arithmetic.interval_numbers import dense_ok, enter
from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.jaxprs.walk import inline
from karush.stability.audit_cut import cut, outer_check, profile
from karush.stability.audit_measure import TOLERATED, Screen
from karush.stability.audit_pieces import Pieces, counts, halves, narrow, points_of
from karush.stability.audit_run import Run
from karush.stability.error_bounds import Format, Value, least, power_of_two
from karush.stability.error_margins import format_of
from karush.stability.error_regrouped import bounded
from karush.stability.influence import groups
from karush.stability.straight import shadow, size_of, typed

FACTOR = 2.0**TOLERATED
PIECES = 1024
"""pieces that one call looks at"""
BUDGET = 24_576
"""pieces in all, times the effort; of one input `BUDGET_OF_ONE`, for there halving always leads on"""
BUDGET_OF_ONE = 262_144
MOST_OPERATIONS = 200
"""operations up to which a proof is attempted: of longer programs compiling the intervals takes minutes"""
MOST_DERIVED = 100
"""the same with enclosures of the derivatives"""
MOST_DERIVATIVES = 64
"""inputs times outputs up to which derivatives are enclosed"""
RUNNABLE = 1 << 11
"""floats of a piece up to which all are run"""
FLOATS = 1 << 22
"""floats that a proof may run, times the effort; of one input `FLOATS_OF_ONE`, two binades and more of float32"""
FLOATS_OF_ONE = 1 << 25
POINTS = 400
"""points that a proof may decide by their exact values"""


def proved_safe(
    straight: Any,
    screen: Screen,
    lower: np.ndarray,
    upper: np.ndarray,
    effort: float,
    sound_at: Callable[[np.ndarray], bool],
    moving: np.ndarray,
) -> tuple[bool, str, Pieces | None]:
    """Whether the straight program is safe on the box; why, or why that is not known; pieces where it may be wrong.

    `screen` runs the compiled function; ``sound_at(x)`` decides a single point by its exact value; `moving` says which
    inputs it pays to halve along (n,).
    """
    if label() != "calibrated":
        return (
            False,
            "no defect was found; rounding errors were not measured on this build of JAX, so nothing is claimed",
            None,
        )
    steps = size_of(inline(straight))
    if steps > MOST_OPERATIONS:
        return False, f"no defect was found; of {steps} operations no proof is attempted", None
    form, n = format_of(lower.dtype), lower.size
    m = int(np.prod(straight.out_avals[0].shape))
    derived = n * m <= MOST_DERIVATIVES and steps <= MOST_DERIVED and effort > 0.0
    checks: dict[bool, Any] = {}
    runs = Run(straight, screen, form, sound_at, POINTS)

    def asked(conditioned: bool) -> Any:
        if conditioned not in checks:
            checks[conditioned] = _compiled(straight, form, n, conditioned=conditioned)
        return checks[conditioned]

    count, left = 0, None
    try:
        for group in groups(straight):
            inputs = group.inputs
            # What the outputs do not depend on may be anything: its lower end.
            start = Pieces(lower[None].astype(float), np.where(inputs, upper, lower)[None].astype(float))
            alone = int(inputs.sum()) <= 1
            floats = [(FLOATS_OF_ONE if alone else FLOATS) * effort]
            how = Halving(group.outputs, moving & inputs, form, runs, floats, BUDGET_OF_ONE if alone else BUDGET)
            left, few = _halved_until(asked(False), how._replace(runs=None), start, effort / 8)
            count += few
            if left is not None and derived:
                left, few = _halved_until(asked(True), how, start, effort)
                count += few
            if left is not None and derived and not alone:
                through, few = _through_one_number(straight, form, start, how, effort)
                left, count = left if through else None, count + few
            if left is not None:
                break
    except TraceError as error:
        return False, f"no defect was found; {error}", None
    if left is None:
        return True, f"calibrated: at most {TOLERATED:.0f} bits beyond the conditioning, on {count} pieces", None
    where = ", ".join(f"[{a:.6g}, {b:.6g}]" for a, b in zip(left.lo[0], left.hi[0], strict=True))
    reason = f"no defect was found, and the error bound is not small enough on {where} (after {count} pieces)"
    return False, reason, left


def _compiled(straight: Any, form: Format, n: int, *, conditioned: bool) -> Any:
    """Pieces, outputs that are asked for (m,) -> whether each piece is safe (k,)."""
    program = typed(inline(straight))
    slopes = None
    if conditioned:
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            slopes = IntervalProgram(jax.make_jaxpr(jax.jacfwd(shadow(straight)))(np.zeros(n)))

    def safe(lo: Any, hi: Any, outputs: Any) -> Any:
        zero = jnp.zeros(n)
        box = enter(lo, hi)
        (y,) = bounded(form, program, Value(box, zero, zero, zero, box.lo >= 0.0, zero == 0.0))
        change = jnp.zeros(jnp.shape(y.exact.lo))
        if slopes is not None:
            jacobian = slopes(box)[0]
            half = form.u * power_of_two(least(box))
            change = jnp.sum(jnp.where(dense_ok(jacobian), least(jacobian), 0.0) * half, axis=-1)
        return jnp.all(_small(form, y, change) | ~outputs)

    def every(lo: Any, hi: Any, outputs: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return jax.vmap(safe, (0, 0, None))(lo, hi, outputs)

    return jax.jit(every)


def _small(form: Format, y: Value, change: Any) -> Any:
    """Whether the error of each output is tolerated."""
    e = y.exact
    low = jnp.maximum(jnp.maximum(jnp.maximum(e.lo, -e.hi), 0.0), form.tiny)
    high = jnp.maximum(jnp.abs(e.lo), jnp.abs(e.hi))
    room = (FACTOR - 1.0) * form.u - y.r
    relative = jnp.where(room >= 0.0, room * low, room * high)
    fine = y.before * (1.0 + form.u) <= relative + FACTOR * change
    # The same by the ulp of the least member, which is up to twice u times it.
    ulp = 2.0 * form.u * power_of_two(low)
    fine = fine | (y.r * high + y.before * (1.0 + form.u) <= (FACTOR - 1.0) * ulp + FACTOR * change)
    # Nothing but subnormal numbers, of which nothing is asked; and exact results.
    fine = fine | (high < form.tiny) | ((y.r == 0.0) & (y.before == 0.0))
    ok = jnp.ones(jnp.shape(e.lo), bool) if e.ok is None else e.ok
    # An exact value that does not fit into the dtype may be computed as anything.
    beyond = (e.lo > form.largest) | (e.hi < -form.largest)
    return ok & (beyond | (fine & y.fine & ~y.over & jnp.isfinite(e.lo) & jnp.isfinite(e.hi)))


def _through_one_number(straight: Any, form: Format, box: Pieces, how: "Halving", effort: float) -> tuple[bool, int]:
    """Whether the proof fails along the number that the whole program passes through, and the pieces looked at."""
    parts = cut(straight)
    if parts is None:
        return True, 0
    known = profile(parts.inner, form, box, how.moving)
    lo, hi = known.lo.min(), known.hi.max()
    if not (np.isfinite(lo) and np.isfinite(hi)):
        return True, 0
    along = how._replace(moving=np.ones(1, bool), runs=None, budget=BUDGET_OF_ONE)
    start = Pieces(np.array([[lo]]), np.array([[hi]]))
    left, count = _halved_until(outer_check(parts.outer, form, known, _small), along, start, effort)
    return left is not None, count


class Halving(NamedTuple):
    """How pieces are decided."""

    outputs: np.ndarray
    """which outputs are asked for (m,)"""
    moving: np.ndarray
    """which inputs it pays to halve along (n,)"""
    form: Format
    runs: Run | None
    floats: list[float]
    """how many floats may still be run"""
    budget: int


def _halved_until(safe: Any, how: Halving, start: Pieces, effort: float) -> tuple[Pieces | None, int]:
    """Halve what is not safe until nothing is left (None) or the budget is spent (a rest), and the pieces looked at."""
    waiting, count, depth = start, 0, 0
    while len(waiting.lo):
        now = Pieces(waiting.lo[-PIECES:], waiting.hi[-PIECES:])
        waiting = Pieces(waiting.lo[:-PIECES], waiting.hi[:-PIECES])
        good = _asked(safe, now, how.outputs)
        count += len(good)
        bad = now.only(~good)
        if len(bad.lo):
            bad, unsettled = _run(bad, how)
            if unsettled is not None:
                return unsettled, count
        if len(bad.lo) and count >= how.budget * effort:
            return bad, count
        if len(bad.lo):
            parts = halves(bad, how.form, depth, how.moving)
            waiting = Pieces(np.concatenate([waiting.lo, parts.lo]), np.concatenate([waiting.hi, parts.hi]))
        depth += 1
    return None, count


def _run(bad: Pieces, how: Halving) -> tuple[Pieces, Pieces | None]:
    """The pieces that are to be halved, after those of few floats have been run; and what is wrong or undecided."""
    last = narrow(bad, how.form, how.moving)
    runs = how.runs
    if runs is None:
        return bad, bad.only(last) if last.any() else None
    floats = counts(bad, runs.dtype)
    few = floats <= RUNNABLE if runs.by_enclosures else last & (floats <= RUNNABLE)
    how.floats[0] -= float(floats[few].sum())
    if (last & ~few).any() or how.floats[0] < 0.0:
        return bad, bad.only(last | few)
    if not few.any():
        return bad, None
    wrong = runs.wrong(points_of(bad.only(few), runs.dtype), how.outputs)
    return bad.only(~few), None if wrong is None else Pieces(*[wrong.astype(float)[None]] * 2)


def _asked(safe: Any, pieces: Pieces, outputs: np.ndarray) -> np.ndarray:
    """Which pieces are safe; one shape, so that one program serves all."""
    count = len(pieces.lo)
    padded = [np.concatenate([end, np.repeat(end[:1], PIECES - count, axis=0)]) for end in pieces]
    with float64():
        return np.asarray(safe(*padded, outputs))[:count]


__all__ = ["proved_safe"]
