"""Line search to the strong Wolfe conditions, along a ray or along its projection onto the bounds.

With ``x(α) = P(x + α d)`` and ``φ(α) = f(x(α))`` it looks for an α at which, eq. (3.7) of [NW06],

```
φ(α)  <=  φ(0) + c₁ gᵀ(x(α) − x) + ε |φ(0)|        f falls enough
|φ′(α)|  <=  c₂ |φ′(0)|                             and the slope is used up
```

where φ′(α) counts the variables that no bound holds at α. ε is the rounding of f: within it the slopes alone decide,
as in the approximate Wolfe conditions of [HZ05], for values alone give a minimum only to the root of the rounding.

It runs in reverse: `advance` is handed f and g at the trial point and names the next one, so that the user's function
stands in a compiled program once. It keeps a bracket: at `low` the first condition holds and φ falls; at `high` the
first fails, or φ rises, or has no value.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from karush.unconstrained.method import DIVERGENCE, Progress, Task

DECREASE = 1e-4
"""c₁, as on p. 33 of [NW06]"""
ROUNDING = 2.0**-46
"""ε: 64 units in the last place, for a sum of many terms"""
LONGEST, SHORTEST = 10.0, 1.5
"""a step that is too short is multiplied by a number between these"""
BACK = 0.1
"""part of a bracket whose far end has no value, at which the next trial lies"""
EDGE = 0.05
"""interpolated trials keep this part of the bracket between themselves and its ends"""
BISECT_EVERY = 3
"""trials of which one halves the bracket, whatever interpolation says"""
TRIALS = 40
"""of one search"""
NARROW = 2.0**-50
"""relative width of a bracket in which there is no further point"""


class Search(NamedTuple):
    """One search between two evaluations; α in multiples of `direction`."""

    direction: Any
    """(n,) d"""
    slope: Any
    """φ′(0) < 0"""
    alpha: Any
    """to be tried next"""
    low: Any
    low_value: Any
    low_slope: Any
    high: Any
    """∞ until there is a bracket"""
    high_value: Any
    high_slope: Any
    trials: Any
    force: Any
    """bool: the next point, known to lie below φ(0), is taken as it is"""


class Outcome(NamedTuple):
    """What became of a trial."""

    search: Search
    taken: Any
    """bool: the trial point is the next iterate"""
    failed: Any
    """bool: there is no point to be found along this direction"""


def begin(task: Task, at: Progress, direction: Any, alpha: Any) -> Search:
    """A search from `at` along `direction` (n,), which descends and leads into the bounds, first to α = `alpha`."""
    zero = jnp.zeros_like(at.value)
    slope = jnp.vdot(at.gradient, direction)
    return Search(
        direction=direction,
        slope=slope,
        alpha=zero + alpha,
        low=zero,
        low_value=at.value,
        low_slope=slope,
        high=zero + jnp.inf,
        high_value=zero + jnp.inf,
        high_slope=zero + jnp.nan,
        trials=jnp.zeros_like(at.iterations),
        force=jnp.asarray(False),
    )


def point(task: Task, at: Progress, search: Search) -> Any:
    """(n,) P(x + α d)."""
    return jnp.clip(at.x + search.alpha * search.direction, task.lower, task.upper)


def advance(task: Task, at: Progress, search: Search, x: Any, value: Any, g: Any, c2: float) -> Outcome:
    """Judge the trial point x (n,) with its value and gradient (n,), and name the next."""
    ray = at.x + search.alpha * search.direction
    slope = jnp.sum(jnp.where((ray >= task.lower) & (ray <= task.upper), g * search.direction, 0.0))
    finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(g))
    noise = ROUNDING * jnp.abs(at.value)
    falls = finite & (value <= at.value + DECREASE * jnp.vdot(at.gradient, x - at.x) + noise)
    flat = jnp.abs(slope) <= c2 * jnp.abs(search.slope)
    taken = falls & (flat | search.force | (value < -DIVERGENCE * task.f_unit))

    to_low = falls & (slope < 0)
    alpha = search.alpha
    bounded = search._replace(
        low=jnp.where(to_low, alpha, search.low),
        low_value=jnp.where(to_low, value, search.low_value),
        low_slope=jnp.where(to_low, slope, search.low_slope),
        high=jnp.where(to_low, search.high, alpha),
        high_value=jnp.where(to_low, search.high_value, jnp.where(finite, value, jnp.inf)),
        high_slope=jnp.where(to_low, search.high_slope, jnp.where(finite, slope, jnp.nan)),
        trials=search.trials + 1,
    )
    return _next(at, search, bounded, taken, noise)


def _next(at: Progress, before: Search, search: Search, taken: Any, noise: Any) -> Outcome:
    """The next trial of the search, or its end."""
    bracketed = jnp.isfinite(search.high)
    alpha = jnp.where(bracketed, _within(search, noise), _beyond(before, search))
    width = search.high - search.low
    over = (search.trials >= TRIALS) | (bracketed & (width <= NARROW * search.high)) | before.force
    # Below φ(0) without the second condition: better than nothing.
    lower = (search.low > 0) & (search.low_value < at.value) & ~before.force
    search = search._replace(alpha=jnp.where(over, search.low, alpha), force=over & lower)
    return Outcome(search, taken, ~taken & over & ~lower)


def _beyond(before: Search, search: Search) -> Any:
    """A longer step, as far as the slopes at the last two points say."""
    step = search.low - before.low
    to_zero = search.low - search.low_slope * step / (search.low_slope - before.low_slope)
    rising = search.low_slope > before.low_slope
    to_zero = jnp.where(rising, to_zero, jnp.inf)
    return jnp.clip(to_zero, SHORTEST * search.low, LONGEST * search.low)


def _within(search: Search, noise: Any) -> Any:
    """In the bracket: the minimum of the cubic through both ends, eq. (3.59) of [NW06], or the root of φ′."""
    a, b = search.low, search.high
    width = b - a
    d1 = search.low_slope + search.high_slope - 3.0 * (search.low_value - search.high_value) / (a - b)
    d2 = jnp.sqrt(jnp.maximum(d1 * d1 - search.low_slope * search.high_slope, 0.0))
    cubic = b - width * (search.high_slope + d2 - d1) / (search.high_slope - search.low_slope + 2.0 * d2)
    secant = a - search.low_slope * width / (search.high_slope - search.low_slope)
    blurred = jnp.abs(search.high_value - search.low_value) <= noise
    alpha = jnp.where(blurred & (search.high_slope > 0), secant, cubic)
    halve = (search.trials % BISECT_EVERY == 0) | ~jnp.isfinite(alpha)
    alpha = jnp.where(halve, a + 0.5 * width, jnp.clip(alpha, a + EDGE * width, b - EDGE * width))
    return jnp.where(jnp.isfinite(search.high_value), alpha, a + BACK * width)
