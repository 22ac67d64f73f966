"""Lipschitz constants on boxes, between a proved-by-intervals upper bound and a lower bound with its witness.

```
‖f(x) − f(y)‖_q <= L ‖x − y‖_p   for all x, y in X,       L <= max over parts of ‖F'(part)‖,   L >= ‖f'(x) d‖_q / ‖d‖_p
```
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic.interval import dense_ok, enter
from karush.arithmetic.interval_jet_rules import JetProgram
from karush.arithmetic.interval_margins import label
from karush.bounds import norms
from karush.bounds.box import Box, traced_on
from karush.bounds.enclose import BATCH, halved
from karush.core.errors import OptionError, ProblemError, TraceError
from karush.core.precision import float64
from karush.jaxprs.function import FlatFunction

BUDGET = 4096
"""boxes evaluated at most, unless the caller says otherwise"""


@dataclass(frozen=True)
class Lipschitz:
    """Bounds of the smallest Lipschitz constant of a function, or of its gradient, on a box."""

    lower: float
    """the constant is no smaller: the derivative at `point` stretches `direction` by this"""
    upper: float
    """the constant is no larger; infinite where that could not be decided"""
    point: Any
    """witness of the lower bound, in the structure of x"""
    direction: Any
    """witness of the lower bound, in the structure of x"""
    norm: tuple[float, float]
    """norms of the input and of the output, both ravelled"""
    of: str
    """``function`` or ``gradient``"""
    boxes: int
    """boxes evaluated"""
    label: str
    """``calibrated`` or ``checked``, as in `karush.Enclosure`"""

    @property
    def step(self) -> float:
        """``1 / upper``: of the gradient in the 2-norm, a step with which gradient descent never rises inside the box.

        Raises
        ------
        ProblemError
            for the constant of a function, or other norms.
        """
        if self.of != "gradient" or self.norm != (2, 2):
            raise ProblemError(
                f"a step follows from the constant of the gradient in the 2-norm, and this is of the {self.of} in "
                f"{self.norm}; ask for karush.lipschitz(f, box, of='gradient')"
            )
        return math.nextafter(1.0 / self.upper, 0.0) if self.upper > 0.0 else math.inf

    def __str__(self) -> str:
        return (
            f"Lipschitz constant of the {self.of} on the box, norms {self.norm}: "
            f"{self.lower:.6g} <= L <= {self.upper:.6g} ({self.label}, {self.boxes} boxes)"
        )


def lipschitz(
    function: Any,
    box: Box,
    *,
    norm: tuple[float, float] = (2, 2),
    of: Literal["function", "gradient"] = "function",
    ratio: float = 1.05,
    budget: int = BUDGET,
) -> Lipschitz:
    """Bound the Lipschitz constant of a function on a box, from above and from below.

    Parameters
    ----------
    function
        JAX function of one pytree; for the gradient it must return one number.
    box
        `karush.Box`, whose structure is that of x.
    norm
        Norms of the ravelled input and output: 1, 2 or inf.
    of
        The function, or its gradient (smoothness), which is bounded through the Hessian.
    ratio
        Subdivision ends when ``upper <= ratio lower``.
    budget
        Boxes evaluated at most.

    Raises
    ------
    ProblemError, OptionError, TraceError, PrecisionError
        for bad input, or a primitive without a rule, named with the user's line.

    Notes
    -----
    Computes in float64 by a local switch. At kinks Clarke's derivative is enclosed; a jump makes the bound infinite.
    """
    if len(norm) != 2 or norm[0] not in norms.NORMS or norm[1] not in norms.NORMS:
        raise OptionError(f"norm is {norm!r}; give two of 1, 2 and inf: (input, output)")
    if of not in ("function", "gradient"):
        raise OptionError(f"of is {of!r}; give 'function' or 'gradient'")
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise OptionError(f"budget is {budget!r}; give a number of boxes, 1 or more")
    if not ratio >= 1.0:
        raise OptionError(f"ratio is {ratio!r}; give a number >= 1")
    flat, low, high = traced_on(function, box)
    if of == "gradient" and not flat.is_scalar:
        raise TraceError(f"the gradient of a function of {flat.k} outputs is asked for; return one number of shape ()")
    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        run = derivative(flat, low < high, second=of == "gradient")
        lower, upper, point, direction, count = search(run, low, high, norm, ratio, budget)
    out = flat.door.unravel
    return Lipschitz(lower, upper, out(point), out(direction), norm, of, count, label())


Ends = tuple[np.ndarray, np.ndarray, np.ndarray]
"""matrices (B, k, n), lower and upper, and the coordinate to split (B,)"""


def derivative(flat: FlatFunction, moving: np.ndarray, *, second: bool) -> Callable[[np.ndarray, np.ndarray], Ends]:
    """Compiled enclosure of the Jacobian (k, n), or of the Hessian (n, n), on boxes with ends (B, n).

    Coordinates that are not `moving` (n,), because the box fixes them, have the derivative 0.
    """
    jets = JetProgram(flat.closed_jaxpr, second=second)

    def one(low: Any, high: Any) -> Any:
        value, first, *rest = jets(enter(low, high))
        matrix = rest[0] if second else first
        lo, hi = (rest[0].lo[..., 0], rest[0].hi[..., 0]) if second else (first.lo.T, first.hi.T)
        ok = jnp.all(dense_ok(value)) & jnp.all(dense_ok(matrix))
        lo, hi = jnp.where(ok, lo, -jnp.inf), jnp.where(ok, hi, jnp.inf)
        moves = jnp.asarray(moving[:, None] & moving[None, :] if second else moving)
        lo, hi = jnp.where(moves, lo, 0.0), jnp.where(moves, hi, 0.0)
        spread = jnp.where(jnp.isfinite(hi - lo), hi - lo, 0.0)
        # The coordinate whose derivatives vary most, for want of another: the widest.
        slack = jnp.max(spread, axis=0) if second else jnp.zeros(low.shape[0])
        return lo, hi, jnp.argmax((high - low) * (1.0 + slack))

    program = jax.jit(jax.vmap(one))

    def run(low: np.ndarray, high: np.ndarray) -> Ends:
        parts: list[list[np.ndarray]] = []
        for start in range(0, low.shape[0], BATCH):
            here = low[start : start + BATCH], high[start : start + BATCH]
            fill = ((0, BATCH - here[0].shape[0]), (0, 0))
            out = program(*[np.pad(end, fill, mode="edge") for end in here])
            parts.append([np.asarray(part)[: here[0].shape[0]] for part in out])
        lo, hi, axis = (np.concatenate(column) for column in zip(*parts, strict=True))
        return lo, hi, axis

    return run


def search(
    run: Callable[[np.ndarray, np.ndarray], Ends],
    low: np.ndarray,
    high: np.ndarray,
    norm: tuple[float, float],
    ratio: float,
    budget: int,
) -> tuple[float, float, np.ndarray, np.ndarray, int]:
    """Branch and bound: lower, upper, witness point and direction, boxes."""
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        budget = 1
    best, point, direction = 0.0, np.clip(0.0, low, high), np.zeros_like(low)
    boxes, count, dropped = (low[None], high[None]), 0, 0.0
    bounds, axes = np.zeros(0), np.zeros(0, int)
    kept = (np.zeros((0, low.size)), np.zeros((0, low.size)))
    while True:
        lo, hi, axis = run(*boxes)
        count += boxes[0].shape[0]
        kept = (np.concatenate([kept[0], boxes[0]]), np.concatenate([kept[1], boxes[1]]))
        bounds, axes = np.concatenate([bounds, norms.upper(lo, hi, *norm)]), np.concatenate([axes, axis])
        points = np.concatenate([0.5 * boxes[0] + 0.5 * boxes[1], *boxes])
        points = np.clip(np.where(np.isfinite(points), points, 0.0), low, high)
        found, shown = at_points(run, points, low, high, norm)
        top = int(np.argmax(found))
        if found[top] > best:
            best, point, direction = float(found[top]), points[top], shown[top]
        done = bounds <= ratio * best
        dropped = max(dropped, float(np.max(bounds[done], initial=0.0)))
        kept, bounds, axes = (kept[0][~done], kept[1][~done]), bounds[~done], axes[~done]
        room = min(BATCH // 2, (budget - count) // 2)
        if bounds.size == 0 or room < 1:
            break
        chosen = np.argsort(-bounds, kind="stable")[:room]
        rest = np.setdiff1d(np.arange(bounds.size), chosen)
        boxes = halved(kept[0][chosen], kept[1][chosen], axes[chosen])
        kept, bounds, axes = (kept[0][rest], kept[1][rest]), bounds[rest], axes[rest]
    return best, max(dropped, float(np.max(bounds, initial=0.0)), best), point, direction, count


def at_points(
    run: Callable[[np.ndarray, np.ndarray], Ends],
    points: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    norm: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Lower bounds from the derivative at points, and their directions."""
    # A box of one point fixes every coordinate, so it is widened to its neighbours inside the whole box.
    below, above = np.maximum(np.nextafter(points, -np.inf), low), np.minimum(np.nextafter(points, np.inf), high)
    lo, hi, _ = run(below, above)
    return norms.lower(lo, hi, *norm)


__all__ = ["Lipschitz", "lipschitz"]
