"""Whether a straight program is safe on a box: running error bounds on the pieces of a subdivision.

```
r |y| + t <= 15 ulp(y) + 16 C      for every normal y of the piece      ⟹      at most 4 bits beyond the conditioning
```

with a lower bound of C from enclosures of the derivatives: ``C >= Σ_i least |∂F/∂x_i| ulp(x_i)/2``. Pieces where that
does not hold are halved. The word is *calibrated*: intervals and rounding errors are those measured of XLA's functions.
"""

from typing import Any, NamedTuple

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.arithmetic.interval import IntervalProgram
from karush.arithmetic.interval_margins import label
from karush.arithmetic.interval_numbers import Interval, enter, lift
from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.jaxprs.walk import inline
from karush.stability.audit_measure import TOLERATED
from karush.stability.error_bounds import Format, Value
from karush.stability.error_margins import format_of
from karush.stability.error_rules import run
from karush.stability.straight import shadow, typed

FACTOR = 2.0**TOLERATED
PIECES = 1024
"""pieces that one call looks at"""
BUDGET = 24_576
"""pieces in all, times the effort"""
MOST_DERIVATIVES = 64
"""inputs times outputs up to which derivatives are enclosed"""
STEEP = 4.0
"""ratio of the ends from which a piece is halved at their geometric mean"""
TOWARDS_ZERO = 64.0
"""a piece from 0 is cut at this part of its length"""


class Pieces(NamedTuple):
    """Sub-boxes: ends (k, n)."""

    lo: np.ndarray
    hi: np.ndarray


def proved_safe(straight: Any, lower: np.ndarray, upper: np.ndarray, effort: float) -> tuple[bool, str]:
    """Whether the straight program is safe on the box, and why, or why that is not known."""
    if label() != "calibrated":
        return False, "no defect was found; rounding errors were not measured on this build of JAX, so nothing is claimed"
    form, n = format_of(lower.dtype), lower.size
    m = int(np.prod(straight.out_avals[0].shape))
    try:
        first = _compiled(straight, form, n, conditioned=False)
        left, count = _halved_until(first, Pieces(lower[None].astype(float), upper[None].astype(float)), form, effort / 8)
        if left is not None and n * m <= MOST_DERIVATIVES and effort > 0.0:
            second = _compiled(straight, form, n, conditioned=True)
            left, more = _halved_until(second, Pieces(lower[None].astype(float), upper[None].astype(float)), form, effort)
            count += more
    except TraceError as error:
        return False, f"no defect was found; {error}"
    if left is None:
        return True, f"calibrated: at most {TOLERATED:.0f} bits beyond the conditioning, on {count} pieces"
    where = ", ".join(f"[{a:.6g}, {b:.6g}]" for a, b in zip(left.lo[0], left.hi[0], strict=True))
    return False, f"no defect was found, and the error bound is not small enough on {where} (after {count} pieces)"


def _compiled(straight: Any, form: Format, n: int, *, conditioned: bool) -> Any:
    """Pieces -> whether each is safe (k,)."""
    program = typed(inline(straight))
    slopes = None
    if conditioned:
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            slopes = IntervalProgram(jax.make_jaxpr(jax.jacfwd(shadow(straight)))(np.zeros(n)))

    def safe(lo: Any, hi: Any) -> Any:
        zero = jnp.zeros(n)
        box = enter(lo, hi)
        values: dict[int, Value] = {program.inputs[0]: Value(box, zero, zero, zero, box.lo >= 0.0)}
        for slot, constant in program.constants.items():
            item = lift(constant)
            if isinstance(item, Interval):
                none = jnp.zeros(jnp.shape(item.lo))
                values[slot] = Value(item, none, none, none, item.lo >= 0.0)
            else:
                values[slot] = Value(item)
        for step in program.steps:
            results = run(form, step, [values[slot] for slot in step.inputs])
            values.update(zip(step.outputs, results, strict=True))
        y = values[program.outputs[0]]
        change = jnp.zeros(jnp.shape(y.exact.lo))
        if slopes is not None:
            jacobian = slopes(box)[0]
            half = form.u * _power_of_two(jnp.maximum(jnp.maximum(lo, -hi), 0.0))
            size = jnp.maximum(jnp.maximum(jacobian.lo, -jacobian.hi), 0.0)
            if jacobian.ok is not None:
                size = jnp.where(jacobian.ok, size, 0.0)
            change = jnp.sum(size * half, axis=-1)
        return jnp.all(_small(form, y, change))

    def every(lo: Any, hi: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return jax.vmap(safe)(lo, hi)

    return jax.jit(every)


def _small(form: Format, y: Value, change: Any) -> Any:
    """Whether the error of each output is tolerated."""
    e = y.exact
    low = jnp.maximum(jnp.maximum(jnp.maximum(e.lo, -e.hi), 0.0), form.tiny)
    high = jnp.maximum(jnp.abs(e.lo), jnp.abs(e.hi))
    room = (FACTOR - 1.0) * form.u - y.r
    relative = jnp.where(room >= 0.0, room * low, room * high)
    fine = y.before * (1.0 + form.u) <= relative + FACTOR * change
    # Nothing but subnormal numbers, of which nothing is asked; and exact results.
    fine = fine | (high < form.tiny) | ((y.r == 0.0) & (y.before == 0.0))
    ok = jnp.ones(jnp.shape(e.lo), bool) if e.ok is None else e.ok
    return ok & fine & jnp.isfinite(e.lo) & jnp.isfinite(e.hi)


def _power_of_two(size: Any) -> Any:
    """The power of two at or below a number >= 0."""
    bits = lax.bitcast_convert_type(jnp.asarray(size, jnp.float64), jnp.uint64)
    return lax.bitcast_convert_type(bits & jnp.asarray(0x7FF0_0000_0000_0000, jnp.uint64), jnp.float64)


def _halved_until(safe: Any, start: Pieces, form: Format, effort: float) -> tuple[Pieces | None, int]:
    """Halve what is not safe until nothing is left (None) or the budget is spent (a rest), and the pieces looked at."""
    waiting, count, depth = start, 0, 0
    while len(waiting.lo):
        now = Pieces(waiting.lo[-PIECES:], waiting.hi[-PIECES:])
        later = Pieces(waiting.lo[:-PIECES], waiting.hi[:-PIECES])
        good = _asked(safe, now)
        count += len(good)
        bad = Pieces(now.lo[~good], now.hi[~good])
        if len(bad.lo) and count >= BUDGET * effort:
            return bad, count
        if len(bad.lo):
            halves, stuck = _halves(bad, form, depth)
            if stuck is not None:
                return stuck, count
            waiting = Pieces(np.concatenate([later.lo, halves.lo]), np.concatenate([later.hi, halves.hi]))
        else:
            waiting = later
        depth += 1
    return None, count


def _asked(safe: Any, pieces: Pieces) -> np.ndarray:
    """Which pieces are safe; one shape, so that one program serves all."""
    count = len(pieces.lo)
    padded = [np.concatenate([end, np.repeat(end[:1], PIECES - count, axis=0)]) for end in pieces]
    with float64():
        return np.asarray(safe(*padded))[:count]


def _halves(pieces: Pieces, form: Format, depth: int) -> tuple[Pieces, Pieces | None]:
    """Both halves of each piece along the coordinate that is widest for its size; and one that cannot be halved."""
    lo, hi = pieces
    rows = np.arange(len(lo))
    same = lo * hi > 0.0
    with np.errstate(all="ignore"):
        inner, outer = np.minimum(np.abs(lo), np.abs(hi)), np.maximum(np.abs(lo), np.abs(hi))
        octaves = np.where(same, np.log2(outer / inner), TOWARDS_ZERO)
        # Octaves where a piece spans many, else its width: exponentials feel the one, products the other.
        wide = np.where(octaves > 1.0, octaves, hi - lo) if depth % 2 else np.maximum(octaves, hi - lo)
    wide = np.where(hi - lo > 4.0 * form.u * outer, wide, 0.0)
    # Between 0 and the least normal number there is nothing: the piece falls into its two ends.
    two_points = (outer <= form.tiny) & (hi > lo)
    wide = np.where(two_points, TOWARDS_ZERO, wide)
    axis = np.argmax(wide, axis=1)
    if not np.all(wide[rows, axis] > 0.0):
        k = int(np.argmin(wide[rows, axis]))
        return pieces, Pieces(lo[k : k + 1], hi[k : k + 1])
    a, b = lo[rows, axis], hi[rows, axis]
    with np.errstate(all="ignore"):
        geometric = np.sign(a) * np.sqrt(np.abs(a)) * np.sqrt(np.abs(b))
        steep = (a * b > 0.0) & (outer[rows, axis] > STEEP * inner[rows, axis])
    middle = np.where(steep, geometric, 0.5 * a + 0.5 * b)
    middle = np.where(a * b < 0.0, 0.0, middle)
    middle = np.where((a == 0.0) & (b > 0.0), b / TOWARDS_ZERO, np.where((b == 0.0) & (a < 0.0), a / TOWARDS_ZERO, middle))
    # Below the least normal number there is only 0.
    middle = np.where(np.abs(middle) < form.tiny, np.where(a * b < 0.0, 0.0, np.sign(a + b) * form.tiny), middle)
    middle = np.clip(middle, a, b)
    left, right = hi.copy(), lo.copy()
    ends = two_points[rows, axis]
    left[rows, axis], right[rows, axis] = np.where(ends, a, middle), np.where(ends, b, middle)
    return Pieces(np.concatenate([lo, right]), np.concatenate([left, hi])), None


__all__ = ["proved_safe"]
