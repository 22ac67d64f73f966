"""A point polished in higher precision: Newton's method in balls on the KKT system of its active set, then rounded.

```
u = (x_F, y_A),   u ← u − Y G(u)  in balls' midpoints until steps vanish;     x = the nearest double, within bounds
```

Beside it, an evaluator whose numbers are those of ball arithmetic rounded to float64, so that the point can be judged
where float64 has no digits left. Nothing here is a proof.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from flint import arb, ctx

from karush.arithmetic.ball_numbers import Undecided, floats, unary, uppers
from karush.certificates.scales import Scales
from karush.core.precision import float64
from karush.derivatives.evaluator import Evaluation, Evaluator
from karush.proofs.functions import Functions
from karush.proofs.prove import relative_distance, settled
from karush.proofs.search import NEAR, Polished, crossed, limits_near
from karush.proofs.system import System

PRECISION = 256
"""bits: what float64 loses altogether is still known to some 60 digits"""
POLISHED_UP_TO = 200
"""variables: the Hessian in balls costs n² times what the functions do"""
ROUNDING = 2.0**-50
"""radius of a ball, relative to the largest number of its kind, up to which its midpoint counts as its value"""
KEPT = 8
"""evaluations that are remembered; a judgement asks for some points twice"""

radii = unary(arb.rad)


def polish_flat(
    functions: Functions, x: np.ndarray, multipliers: tuple[np.ndarray, np.ndarray], rows: np.ndarray, scales: Scales
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """x (n,), y (m,) and z (n,) of the KKT point near x, correct to rounding; None where Newton's method finds none."""
    flat = functions.flat
    with float64(), ctx.workprec(functions.precision), np.errstate(all="ignore"):
        try:
            found = _settled(functions, flat.projected(x), multipliers, rows, scales)
            at, weights = found.system.spread(found.u)
            slope = found.system.at(found.u).gradient
        except Undecided:
            return None
        polished = flat.projected(floats(at))
        if not relative_distance(x, polished) <= NEAR:
            return None
        z = np.zeros(flat.n)
        z[found.system.held] = -floats(slope[found.system.held])
        return polished, floats(weights[1:]), z


def _settled(
    functions: Functions, x: np.ndarray, multipliers: tuple[np.ndarray, np.ndarray], rows: np.ndarray, scales: Scales
) -> Polished:
    """`settled`; where that fails, again with the bounds active that the first Newton step crosses."""
    try:
        return settled(functions, x, multipliers, rows, scales)
    except Undecided:
        active = limits_near(functions.flat, (rows, x), multipliers, scales)
        held = crossed(System(functions, active), x, multipliers[0])
        if not held:
            raise
        return settled(functions, x, multipliers, rows, scales, replace(active, bounds=(*active.bounds, *held)))


class ExactEvaluator(Evaluator):
    """f, c and their derivatives in balls, rounded to float64; NaN where balls give no number."""

    def __init__(self, functions: Functions):
        flat = functions.flat
        self.functions, self.n, self.m, self.calls = functions, flat.n, flat.m, 0
        self._remembered = lru_cache(KEPT)(self._evaluate)

    def __call__(self, x: np.ndarray, y: np.ndarray, weight: float = 1.0) -> Evaluation:
        """Everything at x (n,), with the Hessian of ``weight f + yᵀc``."""
        return self._remembered(x.tobytes(), np.concatenate(([weight], y)).tobytes())

    def values(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """f(x) and c(x) (m,)."""
        at = self(x, np.zeros(self.m))
        return at.value, at.rows

    def _evaluate(self, x: bytes, weights: bytes) -> Evaluation:
        self.calls += 1
        try:
            with float64():
                parts = self.functions.second(np.frombuffer(x), np.frombuffer(weights))
            values, jacobian, hessian = map(_rounded, parts)
        except Undecided:
            values, jacobian = np.full(1 + self.m, np.nan), np.full((1 + self.m, self.n), np.nan)
            hessian = np.full((self.n, self.n), np.nan)
        return Evaluation(float(values[0]), jacobian[0], values[1:], jacobian[1:], hessian)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Midpoints as float64.

    Raises
    ------
    Undecided
        where they are not known well enough for that.
    """
    middle, radius = floats(values), uppers(radii(values))
    if not np.all(radius <= ROUNDING * np.abs(middle).max(initial=0.0)):
        raise Undecided("the precision does not suffice")
    return middle


__all__ = ["POLISHED_UP_TO", "PRECISION", "ExactEvaluator", "polish_flat"]
