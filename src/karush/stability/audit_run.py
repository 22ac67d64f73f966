"""All floats of a piece, run: what the compiled function gives, held against enclosures of the exact values.

```
|v − y| <= (k − 1) ulp(y) + k C,   log2 k = 3½,   for every y of the enclosure    ⟹    at most 3½ bits lost at x
```

Half a bit less than what is tolerated, because another compilation of the same program may round otherwise. Enclosures
are those of the float64 program at [x, x]; ``C >= Σ_i max_± least |F(x ± ulp(x_i)/2 e_i) − F(x)|``, by enclosures too.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic.interval import IntervalProgram
from karush.arithmetic.interval_numbers import dense_ok, enter
from karush.core.precision import float64
from karush.stability.audit_measure import TOLERATED, Screen
from karush.stability.error_bounds import Format, least, most, power_of_two
from karush.stability.straight import shadow

ROWS = 1 << 14
"""points of one call; one shape, so that one program serves all"""
SPARE = 0.5
"""bits below the tolerated ones that a float must stay, for other ways of compiling"""
FACTOR = 2.0 ** (TOLERATED - SPARE)
OFTEN = 0.02
"""share of points that need C from which it is computed at once"""


class Run:
    """The compiled function, and enclosures of its exact values, at many single points.

    ``exactly(x)`` decides one point where the enclosures do not; it is asked for `points` points at most.
    """

    def __init__(self, straight: Any, screen: Screen, form: Format, exactly: Callable[[np.ndarray], bool], points: int):
        self.straight, self.screen, self.form = straight, screen, form
        self.exactly, self.points = exactly, points
        self.dtype = screen.dtype
        self._checks: dict[bool, Any] = {}
        self._often = False

    @property
    def by_enclosures(self) -> bool:
        """Whether enclosures in float64 are much sharper than the function's own rounding."""
        return bool(self.dtype == np.float32)

    def wrong(self, points: np.ndarray, outputs: np.ndarray) -> np.ndarray | None:
        """The first of the points (k, n) at which the outputs (m,) are wrong or undecided; None if there is none."""
        for start in range(0, len(points), ROWS):
            left = points[start : start + ROWS]
            if self.by_enclosures:
                left = left[~self._enclosed(left, outputs)]
            for x in left:
                self.points -= 1
                if self.points < 0 or not self.exactly(x):
                    return x
        return None

    def _enclosed(self, points: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Where the enclosures show that the outputs are right (k,)."""
        count = len(points)
        padded = np.concatenate([points, np.repeat(points[:1], ROWS - count, axis=0)])
        v = self.screen.computed(padded)
        fine = self._asked(padded, v, outputs, conditioned=self._often)[:count]
        if not self._often and not fine.all():
            self._often = bool(np.mean(~fine) > OFTEN)
            fine = self._asked(padded, v, outputs, conditioned=True)[:count]
        return fine

    def _asked(self, x: np.ndarray, v: np.ndarray, outputs: np.ndarray, *, conditioned: bool) -> np.ndarray:
        with float64():
            if conditioned not in self._checks:
                self._checks[conditioned] = self._compiled(x.shape[1], conditioned=conditioned)
            return np.asarray(self._checks[conditioned](x.astype(np.float64), v.astype(np.float64), outputs))

    def _compiled(self, n: int, *, conditioned: bool) -> Any:
        """Points (k, n), computed values (k, m), outputs that are asked for (m,) -> where they are right (k,)."""
        form = self.form
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            program = IntervalProgram(jax.make_jaxpr(shadow(self.straight))(np.zeros(n)))

        def enclosure(x: Any) -> Any:
            y = program(enter(x, x))[0]
            return y._replace(ok=dense_ok(y))

        def change(x: Any, y: Any) -> Any:
            half = form.u * power_of_two(jnp.maximum(jnp.abs(x), form.tiny))
            near = jax.vmap(enclosure)(x + jnp.concatenate([jnp.diag(half), -jnp.diag(half)]))
            gaps = jnp.maximum(near.lo - y.hi, y.lo - near.hi)
            gaps = jnp.where(near.ok & (gaps > 0.0), gaps, 0.0)
            return jnp.sum(jnp.maximum(gaps[:n], gaps[n:]), axis=0)

        def right(x: Any, v: Any, outputs: Any) -> Any:
            y = enclosure(x)
            error = jnp.maximum(jnp.abs(v - y.lo), jnp.abs(v - y.hi))
            ulp = 2.0 * form.u * power_of_two(jnp.maximum(least(y), form.tiny))
            allowed = (FACTOR - 1.0) * ulp
            if conditioned:
                allowed = allowed + FACTOR * change(x, y)
            small = (most(y) < form.tiny) & jnp.isfinite(v)
            return jnp.all((y.ok & ((error <= allowed) | small | (least(y) > form.largest))) | ~outputs)

        def every(x: Any, v: Any, outputs: Any) -> Any:
            with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                return jax.vmap(right, (0, 0, None))(x, v, outputs)

        return jax.jit(every)


__all__ = ["Run"]
