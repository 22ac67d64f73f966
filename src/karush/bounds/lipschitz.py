"""Lipschitz constants on boxes, between a proved-by-intervals upper bound and a lower bound with its witness.

```
‖f(x) − f(y)‖_q <= L ‖x − y‖_p   for all x, y in X,       L <= max over parts of ‖F'(part)‖,   L >= ‖f'(x) d‖_q / ‖d‖_p
```
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from karush.arithmetic.interval_margins import label
from karush.bounds import norms
from karush.bounds.box import Box, counted, traced_on
from karush.bounds.branching import Bound, search
from karush.bounds.deadline import deadline, require_boxes
from karush.bounds.derivative_boxes import derivative
from karush.bounds.layers import recognised
from karush.bounds.loewner import by_order
from karush.bounds.network_bounds import by_layers
from karush.core.errors import OptionError, ProblemError, TraceError
from karush.core.precision import float64

MOST_HALVED = 4
"""inputs of a network up to which its box is halved as often as the budget allows"""
HALVING_WORK = 2e9
"""cubes of variables, summed over boxes, that halving may cost with more inputs"""
BUDGET = 4096
"""boxes evaluated at most, unless the caller says otherwise"""
GRACE = 0.25
"""of the time limit, that the bounds of the whole box may take longer: without them compilation was for nothing"""


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
                f"a step follows from the constant of the gradient in the 2-norm, and this is of the {self.of} "
                f"{norms.named(self.norm)}; ask for karush.lipschitz(f, box, of='gradient')"
            )
        return math.nextafter(1.0 / self.upper, 0.0) if self.upper > 0.0 else math.inf

    def __str__(self) -> str:
        return (
            f"Lipschitz constant of the {self.of} on the box, {norms.named(self.norm)}: "
            f"{self.lower:.6g} <= L <= {self.upper:.6g} ({self.label}, {counted(self.boxes)})"
        )


def _require_options(norm: Any, of: Any, ratio: Any, budget: Any) -> None:
    """Options that make sense, or an OptionError that names the one that does not."""
    if not isinstance(norm, tuple | list) or len(norm) != 2 or any(kind not in norms.NORMS for kind in norm):
        raise OptionError(f"norm is {norm!r}; give two of 1, 2 and inf: (input, output)")
    if of not in ("function", "gradient"):
        raise OptionError(f"of is {of!r}; give 'function' or 'gradient'")
    require_boxes(budget)
    if not isinstance(ratio, int | float) or not ratio >= 1.0:
        raise OptionError(f"ratio is {ratio!r}; give a number >= 1")


def _bounds_of(network: Any, norm: tuple[float, float], second: bool, budget: int) -> list[Bound]:
    """What is known of a network's layers; nothing where there is no network."""
    if network is None:
        return []
    if second:
        return [bound for bound in (by_order(network, norm, budget),) if bound is not None]
    return by_layers(network, norm)


def lipschitz(
    function: Any,
    box: Box,
    *,
    norm: tuple[float, float] = (2, 2),
    of: Literal["function", "gradient"] = "function",
    ratio: float = 1.05,
    budget: int = BUDGET,
    time_limit: float | None = None,
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
    time_limit
        Seconds after which no more boxes are looked at; what was found by then is valid, with less between the bounds
        where there is more time. Compilation counts, and is not cut short; the bounds of the whole box may take a
        quarter longer.

    Raises
    ------
    ProblemError, OptionError, TraceError, PrecisionError
        for bad input, or a primitive without a rule, named with the user's line.

    Notes
    -----
    Computes in float64 by a local switch. At kinks Clarke's derivative is enclosed; a jump makes the bound infinite.
    """
    _require_options(norm, of, ratio, budget)
    until = deadline(time_limit), deadline(None if time_limit is None else time_limit * (1.0 + GRACE))
    flat, low, high = traced_on(function, box)
    if of == "gradient" and not flat.is_scalar:
        raise TraceError(f"the gradient of a function of {flat.k} outputs is asked for; return one number of shape ()")
    standard = jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow")
    # Derivatives whose square is no double have an infinite upper bound.
    with float64(), standard[0], standard[1], np.errstate(over="ignore", invalid="ignore"):
        second = of == "gradient"
        network = recognised(flat.closed_jaxpr)
        run = derivative(flat, low < high, second=second, network=network)
        more = _bounds_of(network, norm, second, budget)
        if not second and network is not None and flat.n > MOST_HALVED:
            # Halving boxes of many inputs gains little where they are wide.
            budget = min(budget, max(1, int(HALVING_WORK / network.variables**3)))
        found = search(run, low, high, norm, ratio, budget, more, until)
    out = flat.door.unravel
    return Lipschitz(found.lower, found.upper, out(found.point), out(found.direction), norm, of, found.boxes, label())


__all__ = ["Lipschitz", "lipschitz"]
