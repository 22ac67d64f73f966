"""Trust regions: a quadratic model of f is believed within a ball, whose radius follows from how well it did.

```
q(s) = ĝᵀs + ½ sᵀĤs,   ‖s‖ <= Δ         ĝ = S ∇f / s_f,  Ĥ = S ∇²f S / s_f,  u = x / S
ρ = (f(x) − f(x + S s)) / (−s_f q(s))     the fall of f over what the model promised
```

The ball is one of typical sizes S of the variables (algorithm 4.1 of [NW06]).
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from karush.unconstrained.method import Progress, Task, chosen, moved, stationarity, stuck

EPS = float(np.finfo(np.float64).eps)
ACCEPTED = 1e-4
"""a step is taken where ρ is larger"""
POOR, GOOD = 0.25, 0.75
"""the radius shrinks below, and grows above if the step went to the edge"""
SHRINK, GROW = 0.25, 3.0
AT_EDGE = 0.9
"""share of Δ from which a step counts as going to the edge"""
FIRST_RADIUS = 1.0
"""Δ at the start, in typical sizes of the variables, times √n"""
ROUNDING = 10.0 * EPS
"""relative rounding of f; a fall below it says nothing, see section 17.4.2 of [CGT00]"""
NOISE = EPS**0.5
"""relative rounding of an f whose terms cancel; a rise up to it counts for less than a slope that falls by HALF"""
HALF = 0.5


class Trial(NamedTuple):
    """A point to be evaluated, and what the model says of it."""

    x: Any
    """(n,)"""
    promised: Any
    """−q(s), dimensionless"""
    length: Any
    """‖s‖, dimensionless"""


class Assessment(NamedTuple):
    """What an evaluation says of a trial."""

    accepted: Any
    exhausted: Any
    """the model promises less than rounding of f shows, and the slope did not fall either"""
    radius: Any


def first_trial(x: Any) -> Trial:
    """The start as a trial that is always taken."""
    zero = jnp.zeros((), dtype=x.dtype)
    return Trial(x, zero, zero)


def first_radius(x: Any) -> Any:
    """Δ before the first step from x (n,)."""
    return jnp.full((), FIRST_RADIUS * x.size**0.5, dtype=x.dtype)


def assess(task: Task, before: Progress, trial: Trial, value: Any, gradient: Any, radius: Any) -> Assessment:
    """Compare the fall of f with what was promised; a NaN is no fall."""
    first = before.evaluations == 0
    # Of the value before alone: a trial that is larger by orders of magnitude has not fallen, whatever its rounding.
    slack = ROUNDING * jnp.abs(before.value) / task.f_unit
    fall = (before.value - value) / task.f_unit
    finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
    ratio = jnp.where(finite, (fall + slack) / (trial.promised + slack), -jnp.inf)
    # Below rounding the slope decides, for values no longer can.
    unseen = trial.promised <= slack
    error = stationarity(task, trial.x, gradient)[1]
    flatter = (fall >= -slack) & (error < before.strict_error)
    flatter |= (fall >= -NOISE * jnp.abs(before.value) / task.f_unit) & (error <= HALF * before.strict_error)
    accepted = finite & jnp.where(unseen, flatter, ratio > ACCEPTED)
    grown = jnp.where((ratio > GOOD) & (trial.length >= AT_EDGE * radius), GROW * radius, radius)
    shrunk = jnp.where(ratio < POOR, SHRINK * jnp.minimum(trial.length, radius), grown)
    return Assessment(
        accepted=accepted | first,
        exhausted=~accepted & ~first & ((unseen & finite) | jnp.all(trial.x == before.x)),
        radius=jnp.where(first | unseen & finite, radius, shrunk),
    )


def after(task: Task, before: Progress, trial: Trial, value: Any, gradient: Any, found: Assessment) -> Progress:
    """Progress once a trial is taken or refused."""
    taken = moved(task, before, trial.x, value, gradient, found.radius)
    return chosen(found.accepted, taken, refused(task, before, found))


def refused(task: Task, before: Progress, found: Assessment) -> Progress:
    """Progress once a trial is refused: at the same point, and stuck there where no trial leads further."""
    held = before._replace(evaluations=before.evaluations + 1)
    return chosen(found.exhausted, stuck(task, held), held)
