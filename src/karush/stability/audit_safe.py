"""Whether a straight program is safe on a box: running error bounds on the pieces of a subdivision.

```
r |y| + t <= 15 ulp(y) + 16 C      for every normal y of the piece      ⟹      at most 4 bits beyond the conditioning
```

with a lower bound of C from enclosures of the derivatives: ``C >= Σ_i least |∂F/∂x_i| ulp(x_i)/2``. Pieces where that
does not hold are halved. The word is *calibrated*: intervals and rounding errors are those measured of XLA's functions.
"""

from collections.abc import Callable
from itertools import product
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
from karush.stability.straight import shadow, size_of, typed

FACTOR = 2.0**TOLERATED
PIECES = 1024
"""pieces that one call looks at"""
BUDGET = 24_576
"""pieces in all, times the effort; of one input `BUDGET_OF_ONE`, for there halving always leads on"""
BUDGET_OF_ONE = 65_536
MOST_OPERATIONS = 200
"""operations up to which a proof is attempted: of longer programs compiling the intervals takes minutes"""
MOST_DERIVED = 100
"""the same with enclosures of the derivatives"""
MOST_DERIVATIVES = 64
"""inputs times outputs up to which derivatives are enclosed"""
STEEP = 4.0
"""ratio of the ends from which a piece is halved at their geometric mean"""
TOWARDS_ZERO = 64.0
"""a piece from 0 is cut at this part of its length"""
FEW = 16.0
"""units of u: pieces narrower than this are taken as single points"""
POINTS = 400
"""points that a proof may decide by their exact values"""


class Pieces(NamedTuple):
    """Sub-boxes: ends (k, n)."""

    lo: np.ndarray
    hi: np.ndarray


def proved_safe(
    straight: Any,
    lower: np.ndarray,
    upper: np.ndarray,
    effort: float,
    sound_at: Callable[[np.ndarray], bool],
    moving: np.ndarray,
) -> tuple[bool, str]:
    """Whether the straight program is safe on the box, and why, or why that is not known.

    ``sound_at(x)`` decides a single point by its exact value: for pieces that are but a few floats.
    ``moving`` says which inputs it pays to halve along (n,).
    """
    if label() != "calibrated":
        return (
            False,
            "no defect was found; rounding errors were not measured on this build of JAX, so nothing is claimed",
        )
    form, n, steps = format_of(lower.dtype), lower.size, size_of(inline(straight))
    if steps > MOST_OPERATIONS:
        return False, f"no defect was found; of {steps} operations no proof is attempted"
    m = int(np.prod(straight.out_avals[0].shape))
    try:
        first = _compiled(straight, form, n, conditioned=False)
        start = Pieces(lower[None].astype(float), upper[None].astype(float))
        left, count = _halved_until(Halving(first, form, 0, None, lower.dtype, moving), start, effort / 8)
        if left is not None and n * m <= MOST_DERIVATIVES and steps <= MOST_DERIVED and effort > 0.0:
            second = _compiled(straight, form, n, conditioned=True)
            left, more = _halved_until(Halving(second, form, POINTS, sound_at, lower.dtype, moving), start, effort)
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
        values: dict[int, Value] = {program.inputs[0]: Value(box, zero, zero, zero, box.lo >= 0.0, zero == 0.0)}
        for slot, constant in program.constants.items():
            item = lift(constant)
            if isinstance(item, Interval):
                none = jnp.zeros(jnp.shape(item.lo))
                values[slot] = Value(item, none, none, none, item.lo >= 0.0, none == 0.0)
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
    # An exact value that does not fit into the dtype may be computed as anything.
    beyond = (e.lo > form.largest) | (e.hi < -form.largest)
    return ok & (beyond | (fine & y.fine & jnp.isfinite(e.lo) & jnp.isfinite(e.hi)))


def _power_of_two(size: Any) -> Any:
    """The power of two at or below a number >= 0."""
    bits = lax.bitcast_convert_type(jnp.asarray(size, jnp.float64), jnp.uint64)
    return lax.bitcast_convert_type(bits & jnp.asarray(0x7FF0_0000_0000_0000, jnp.uint64), jnp.float64)


class Halving(NamedTuple):
    """How pieces are decided."""

    safe: Any
    """compiled"""
    form: Format
    points: int
    """single points that may be looked at"""
    sound_at: Callable[[np.ndarray], bool] | None
    dtype: Any
    moving: np.ndarray


def _halved_until(how: Halving, start: Pieces, effort: float) -> tuple[Pieces | None, int]:
    """Halve what is not safe until nothing is left (None) or the budget is spent (a rest), and the pieces looked at."""
    waiting, count, depth, points = start, 0, 0, 0
    while len(waiting.lo):
        now = Pieces(waiting.lo[-PIECES:], waiting.hi[-PIECES:])
        later = Pieces(waiting.lo[:-PIECES], waiting.hi[:-PIECES])
        good = _asked(how.safe, now)
        count += len(good)
        bad = Pieces(now.lo[~good], now.hi[~good])
        if len(bad.lo) and count >= (BUDGET if start.lo.shape[1] > 1 else BUDGET_OF_ONE) * effort:
            return bad, count
        waiting = later
        if len(bad.lo):
            bad, few = _few_floats(bad, how.form, how.moving)
            for lo, hi in zip(*few, strict=True):
                # A piece that is wide in an input without effect is no point.
                small = bool(how.moving.all()) and how.sound_at is not None
                inside = _floats_between(lo, hi, how.dtype) if small else []
                points += len(inside)
                if how.sound_at is None or not inside or points > how.points or not all(map(how.sound_at, inside)):
                    return Pieces(lo[None], hi[None]), count
            if len(bad.lo):
                halves = _halves(bad, how.form, depth, how.moving)
                waiting = Pieces(np.concatenate([later.lo, halves.lo]), np.concatenate([later.hi, halves.hi]))
        depth += 1
    return None, count


def _few_floats(pieces: Pieces, form: Format, moving: np.ndarray) -> tuple[Pieces, Pieces]:
    """Pieces that can be halved, and pieces of at most a few floats along every coordinate."""
    lo, hi = pieces
    outer = np.maximum(np.abs(lo), np.abs(hi))
    few = np.all((hi - lo <= FEW * form.u * outer) | (outer <= form.tiny) | ~moving, axis=1)
    return Pieces(lo[~few], hi[~few]), Pieces(lo[few], hi[few])


def _floats_between(lo: np.ndarray, hi: np.ndarray, dtype: Any) -> list[np.ndarray]:
    """The floats of the dtype in a small piece; without the subnormal ones."""
    columns = []
    for a, b in zip(lo, hi, strict=True):
        column, at = [], dtype.type(a)
        at = at if float(at) >= a else np.nextafter(at, dtype.type(np.inf))
        while float(at) <= b:
            column.append(at)
            tiny = np.finfo(dtype).tiny
            at = tiny if at == 0 else dtype.type(0) if at == -tiny else np.nextafter(at, dtype.type(np.inf))
        columns.append(column)
    return [np.array(point, dtype) for point in product(*columns)]


def _asked(safe: Any, pieces: Pieces) -> np.ndarray:
    """Which pieces are safe; one shape, so that one program serves all."""
    count = len(pieces.lo)
    padded = [np.concatenate([end, np.repeat(end[:1], PIECES - count, axis=0)]) for end in pieces]
    with float64():
        return np.asarray(safe(*padded))[:count]


def _halves(pieces: Pieces, form: Format, depth: int, moving: np.ndarray) -> Pieces:
    """Both halves of each piece along the coordinate that is widest for its size."""
    lo, hi = pieces
    rows = np.arange(len(lo))
    same = lo * hi > 0.0
    with np.errstate(all="ignore"):
        inner, outer = np.minimum(np.abs(lo), np.abs(hi)), np.maximum(np.abs(lo), np.abs(hi))
        octaves = np.where(same, np.log2(outer / inner), TOWARDS_ZERO)
        # Octaves where a piece spans many, else its width: exponentials feel the one, products the other.
        wide = np.where(octaves > 1.0, octaves, hi - lo) if depth % 2 else np.maximum(octaves, hi - lo)
    wide = np.where((hi - lo <= FEW * form.u * outer) | (outer <= form.tiny) | ~moving, -1.0, wide)
    axis = np.argmax(wide, axis=1)
    a, b = lo[rows, axis], hi[rows, axis]
    with np.errstate(all="ignore"):
        geometric = np.sign(a) * np.sqrt(np.abs(a)) * np.sqrt(np.abs(b))
        steep = (a * b > 0.0) & (outer[rows, axis] > STEEP * inner[rows, axis])
    middle = np.where(steep, geometric, 0.5 * a + 0.5 * b)
    middle = np.where(a * b < 0.0, 0.0, middle)
    middle = np.where(
        (a == 0.0) & (b > 0.0), b / TOWARDS_ZERO, np.where((b == 0.0) & (a < 0.0), a / TOWARDS_ZERO, middle)
    )
    # Below the least normal number there is only 0.
    middle = np.where(np.abs(middle) < form.tiny, np.where(a * b < 0.0, 0.0, np.sign(a + b) * form.tiny), middle)
    middle = np.clip(middle, a, b)
    left, right = hi.copy(), lo.copy()
    left[rows, axis], right[rows, axis] = middle, middle
    return Pieces(np.concatenate([lo, right]), np.concatenate([left, hi]))


__all__ = ["proved_safe"]
