"""Ranges: ``f(X) ⊆ enclose(f, X)``, by three forms intersected and adaptive subdivision.

```
natural        F(X)                                      interval arithmetic, step by step
mean value     F(m) + F'(X) (X − m)                       first order in the width of X        [Rum10]
monotone       [F(x at the ends where F' says so)]        exact where f is monotone in x_i
```
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic.interval import Interval, IntervalProgram, dense_ok, enter
from karush.arithmetic.interval_arrays import total
from karush.arithmetic.interval_functions import add, mul, sub
from karush.arithmetic.interval_jet_rules import JetProgram
from karush.arithmetic.interval_margins import label
from karush.arithmetic.interval_single import single
from karush.bounds.box import Box, counted, traced_on
from karush.bounds.deadline import deadline, require_boxes
from karush.core.errors import OptionError, TraceError
from karush.core.precision import float64
from karush.jaxprs.function import FlatFunction

BATCH = 64
"""boxes evaluated at once"""
MOST_MONOTONE = 8
"""outputs up to which the monotone form is evaluated; it costs two evaluations per output"""
BUDGET = 4096
"""boxes evaluated at most, unless the caller says otherwise"""
RELATIVE = 1e-3
"""slack, relative to the attained range, at which subdivision ends where no width is given"""
ROUNDING = 2.0**-40
"""slack, relative to the values, that is left to rounding"""


@dataclass(frozen=True)
class Enclosure:
    """The range of a function on a box, from outside and from inside."""

    lower: Any
    """below every value; in the structure of the output"""
    upper: Any
    """above every value"""
    attained: tuple[Any, Any]
    """``(low, high)``: values of f not above low and not below high were found; NaN where none was"""
    defined: bool
    """whether f is proved to be defined on the whole box; if not, the ends hold the values that it has"""
    boxes: int
    """boxes evaluated"""
    label: str
    """``calibrated`` (compiled intervals with measured margins, tested build) or ``checked``"""

    def __str__(self) -> str:
        lines = [f"range on the box ({self.label}, {counted(self.boxes)})"]
        ends = [[np.ravel(leaf) for leaf in jax.tree.leaves(tree)] for tree in (self.lower, self.upper)]
        for lows, highs in zip(*ends, strict=True):
            digits = 9 if lows.dtype == np.float32 else 17
            lines += [f"  [{low:.{digits}g}, {high:.{digits}g}]" for low, high in zip(lows, highs, strict=True)]
        if not self.defined:
            lines.append("  the function may be undefined somewhere on the box")
        return "\n".join(lines)


def enclose(
    function: Any,
    box: Box,
    *,
    width: float | None = None,
    budget: int = BUDGET,
    time_limit: float | None = None,
    dtype: Any = "float64",
) -> Enclosure:
    """Enclose the range of a function on a box: ``lower <= f(x) <= upper`` for every x in it.

    Parameters
    ----------
    function
        JAX function of one pytree; any pytree of real arrays as output.
    box
        `karush.Box`, whose structure is that of x.
    width
        Wanted slack between the enclosure and the attained range, absolute; None: 1e-3 of the attained range.
    budget
        Boxes evaluated at most; 1 gives the enclosure without subdivision.
    time_limit
        Seconds after which no box is divided any more; compilation counts, and is not cut short.
    dtype
        ``float64``, or ``float32``: that of `lower` and `upper`, rounded outward. All else is computed in float64.

    Raises
    ------
    ProblemError, OptionError, TraceError, PrecisionError
        for bad input, or a primitive without a rule, named with the user's line.

    Notes
    -----
    Computes in float64 by a local switch. What is enclosed is the exact real function of the traced program.
    """
    require_boxes(budget)
    if width is not None and not width >= 0.0:
        raise OptionError(f"width is {width!r}; give a number >= 0, or None")
    short = _is_short(dtype)
    until = deadline(time_limit)
    flat, low, high = traced_on(function, box)
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        found = subdivide(evaluator(flat), low, high, width, budget, until)
    lower, upper, inner_low, inner_high, defined, count = found
    out = flat.out.unravel
    attained = out(inner_low), out(inner_high)
    lower, upper = out(lower), out(upper)
    if short:
        lower, upper = (
            jax.tree.map(lambda end, upward=upward: single(end, upward=upward), tree)
            for tree, upward in ((lower, False), (upper, True))
        )
    return Enclosure(lower, upper, attained, defined, count, label())


def _is_short(dtype: Any) -> bool:
    """Whether float32 ends are asked for."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in ("float64", "float32"):
        raise OptionError(f"dtype is {dtype!r}; give 'float64' or 'float32'")
    return name == "float32"


Batch = tuple[np.ndarray, ...]
"""of each box: lower (k,), upper (k,), defined (), low and high end of f(middle) (k,), best coordinate to split ()"""


def evaluator(flat: FlatFunction) -> Callable[[np.ndarray, np.ndarray], Batch]:
    """Compiled function of ends (BATCH, n); without derivative rules for a primitive the natural form alone is used."""
    natural = IntervalProgram(flat.closed_jaxpr)
    jets = JetProgram(flat.closed_jaxpr)

    def one(low: Any, high: Any, smooth: bool) -> Any:
        box = enter(low, high)
        (value,) = natural(box)
        ok = jnp.all(dense_ok(value))
        middle = jnp.clip(0.5 * low + 0.5 * high, low, high)
        (at,) = natural(enter(middle, middle))
        inner = jnp.where(dense_ok(at), at.lo, jnp.nan), jnp.where(dense_ok(at), at.hi, jnp.nan)
        lower, upper, smear = value.lo, value.hi, high - low
        if smooth:
            slope = jets(box)[1]
            step = sub(box, Interval(middle, middle))
            spread = total(mul(Interval(slope.lo, slope.hi), Interval(step.lo[:, None], step.hi[:, None])), (0,))
            mean = add(Interval(at.lo, at.hi), spread)
            tight = monotone(natural, box, slope) if flat.k <= MOST_MONOTONE else value
            # All three hold the range where f is defined throughout; elsewhere the mean value theorem says nothing.
            lower = jnp.where(ok, jnp.maximum(lower, jnp.maximum(mean.lo, tight.lo)), lower)
            upper = jnp.where(ok, jnp.minimum(upper, jnp.minimum(mean.hi, tight.hi)), upper)
            steep = jnp.max(jnp.maximum(jnp.abs(slope.lo), jnp.abs(slope.hi)), axis=1)
            smear = jnp.where(jnp.all(jnp.isfinite(steep)), steep * (high - low), high - low)
        return lower, upper, ok, *inner, jnp.argmax(smear)

    def compiled(smooth: bool) -> Callable[..., Any]:
        return jax.jit(jax.vmap(lambda low, high: one(low, high, smooth)))

    programs = [compiled(True)]

    def run(low: np.ndarray, high: np.ndarray) -> Batch:
        count = low.shape[0]
        size = 1 if count == 1 else BATCH
        fill = ((0, size - count), (0, 0))
        padded = np.pad(low, fill, mode="edge"), np.pad(high, fill, mode="edge")
        try:
            out = programs[0](*padded)
        except TraceError:
            # A primitive that has a rule for values but none for derivatives.
            programs[0] = compiled(False)
            out = programs[0](*padded)
        return tuple(np.asarray(part)[:count] for part in out)

    return run


def monotone(program: IntervalProgram, box: Interval, slope: Interval) -> Interval:
    """Values at the ends of those coordinates in which an output only rises, or only falls."""

    def ends(rises: Any, falls: Any) -> tuple[Any, Any]:
        """Of one output, where rises, falls (n,) say in which coordinates: an end below, one above the range."""
        at_least = Interval(jnp.where(falls, box.hi, box.lo), jnp.where(rises, box.lo, box.hi))
        at_most = Interval(jnp.where(rises, box.hi, box.lo), jnp.where(falls, box.lo, box.hi))
        return program(at_least)[0].lo, program(at_most)[0].hi

    low, high = jax.vmap(ends, in_axes=1)(slope.lo >= 0.0, (slope.hi <= 0.0) & (slope.lo < 0.0))
    return Interval(jnp.diagonal(low), jnp.diagonal(high))


def subdivide(
    run: Callable[[np.ndarray, np.ndarray], Batch],
    low: np.ndarray,
    high: np.ndarray,
    width: float | None,
    budget: int,
    until: float = np.inf,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, bool, int]:
    """Bisect boxes that reach beyond the attained range: lower, upper, attained low and high (k,), defined, boxes.

    A box within the attained range is dropped: the attained range stands for it.
    """
    boxes = (low[None], high[None])
    parts = run(*boxes)
    count, defined = 1, True
    inner_low, inner_high = parts[4][0].copy(), parts[3][0].copy()
    while True:
        lower, upper, ok = parts[:3]
        inner_low = np.fmin(inner_low, np.nanmin(np.where(np.isnan(parts[4]), np.inf, parts[4]), axis=0))
        inner_high = np.fmax(inner_high, np.nanmax(np.where(np.isnan(parts[3]), -np.inf, parts[3]), axis=0))
        excess = np.fmax(np.where(np.isnan(inner_low), np.inf, inner_low - lower), upper - inner_high)
        excess = np.where(np.isnan(excess), np.inf, excess)
        beyond = excess.max(axis=1)
        open_ = (beyond > 0.0) | ~ok
        boxes = tuple(end[open_] for end in boxes)
        parts = tuple(part[open_] for part in parts)
        beyond = beyond[open_]
        wanted = _slack(inner_low, inner_high) if width is None else width
        enough = beyond.size == 0 or (float(beyond.max()) <= wanted and bool(parts[2].all()))
        room = min(BATCH // 2, (budget - count) // 2)
        if enough or room < 1 or not np.all(np.isfinite(boxes)) or time.monotonic() > until:
            break
        chosen = np.argsort(-np.where(parts[2], beyond, np.inf), kind="stable")[:room]
        halves = halved(boxes[0][chosen], boxes[1][chosen], parts[5][chosen])
        fresh = run(*halves)
        count += halves[0].shape[0]
        kept = np.setdiff1d(np.arange(beyond.size), chosen)
        boxes = tuple(np.concatenate([end[kept], new]) for end, new in zip(boxes, halves, strict=True))
        parts = tuple(np.concatenate([part[kept], new]) for part, new in zip(parts, fresh, strict=True))
    defined = bool(parts[2].all())
    least = np.min(parts[0], axis=0, initial=np.inf) if parts[0].size else np.full_like(inner_low, np.inf)
    most = np.max(parts[1], axis=0, initial=-np.inf) if parts[1].size else np.full_like(inner_high, -np.inf)
    return np.fmin(least, inner_low), np.fmax(most, inner_high), inner_low, inner_high, defined, count


def _slack(low: np.ndarray, high: np.ndarray) -> float:
    """Slack that is small beside the attained range and not below rounding; NaN, which nothing is below, if none is."""
    sizes = np.maximum(np.abs(low), np.abs(high))
    return float(np.max(np.maximum(RELATIVE * np.abs(high - low), ROUNDING * sizes), initial=0.0))


def halved(low: np.ndarray, high: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both halves of each box (m, n), along one coordinate each; a coordinate without a middle stays."""
    rows = np.arange(low.shape[0])
    middle = np.clip(0.5 * low[rows, axis] + 0.5 * high[rows, axis], low[rows, axis], high[rows, axis])
    left, right = high.copy(), low.copy()
    left[rows, axis] = middle
    right[rows, axis] = middle
    return np.concatenate([low, right]), np.concatenate([left, high])


__all__ = ["BUDGET", "Enclosure", "enclose", "halved"]
