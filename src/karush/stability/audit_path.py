"""Damage at given points, such as those between the start and the answer of a solve: findings without a verdict.

```
x(s) = x_start + s (x_end − x_start),      s = 0, 1, and 2⁻¹, 2⁻², … from either end
```

Nothing is searched and nothing is proved: it is an audit's exact values, witness and blame at a few points, which is
what a solve can afford when it has failed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.jaxprs.walk import inline
from karush.stability.audit import Search
from karush.stability.findings import Finding
from karush.stability.straight import size_of
from karush.stability.subject import Inputs, Subject, gradient_subject, value_subject

FROM_AN_END = 7
"""points between, counted from either end"""
MOST_INPUTS = 30
"""inputs up to which points are looked at: the conditioning takes two exact values for each"""
MOST_OPERATIONS = 400


def along(
    f: Callable[[Any], Any], inputs: Inputs, start: np.ndarray, end: np.ndarray, name: str
) -> tuple[Finding, ...]:
    """Findings of f and of its gradient at points from `start` to `end`, both (n,) float64; none where f is too large.

    Parameters
    ----------
    f
        JAX function of the pytree that `inputs` describes, computing in float64.
    inputs
        Structure of the inputs.
    name
        What to call the outputs.
    """
    if inputs.size > MOST_INPUTS:
        return ()
    with float64():
        value = value_subject(f, inputs, name)
        if size_of(inline(value.closed)) > MOST_OPERATIONS:
            return ()
        points = between(start, end)
        first = _search(value, points)
        try:
            found = _damage(first, points) + _damage(_search(gradient_subject(f, value, name), points, first), points)
        except TraceError:
            # An operation without a rule: what cannot be read is not blamed.
            return ()
    return tuple(sorted(found, key=lambda finding: (not finding.severe, -finding.bits)))


def between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The points (k, n), the ends first."""
    part = 0.5 ** np.arange(1, FROM_AN_END + 1)
    steps = np.concatenate([[0.0, 1.0], part, 1.0 - part[1:]])[:, None]
    points = start * (1.0 - steps) + end * steps
    return np.where(np.abs(points) < np.finfo(float).tiny, 0.0, points)


def _search(subject: Subject, points: np.ndarray, of: Search | None = None) -> Search:
    return Search(subject, points.min(axis=0), points.max(axis=0), points, 0, 0.0, of=of)


def _damage(search: Search, points: np.ndarray) -> tuple[Finding, ...]:
    computed = search.screen.computed(points)
    damages = search.confirmed(points, computed, range(len(points)))
    return search.findings(sorted(damages, key=lambda damage: (damage.finite, -damage.bits)))


__all__ = ["along", "between"]
