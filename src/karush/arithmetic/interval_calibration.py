"""How far the compiled point functions are from the truth: measured against Arb.

```
error = max |v − t| / (2⁻⁵² |v|)  over the sampled x,     v = compiled f(x),  t = f(x) by Arb
```

The points are spread by bit pattern, uniformly, and around places where XLA changes its formula. Every function runs
both over a long vector, which XLA compiles to vector instructions, and one number at a time.
"""

import json
import math
from collections.abc import Callable

import jax
import numpy as np
from flint import arb, ctx
from jax import lax

from karush.arithmetic.interval_margins import build, cache_file, stored
from karush.arithmetic.interval_numbers import EPS, FLUSHED
from karush.arithmetic.interval_points import FLOORS, FUNCTIONS, LARGEST_ANGLE, LARGEST_ERFC, LEAST_EXPONENT, POLYGAMMA
from karush.core.precision import float64

PRECISION = 128
"""bits of the truth"""
LARGEST_EXPONENT = 709.7

RANGES: dict[str, tuple[float, float]] = {
    "sqrt": (0.0, math.inf),
    "rsqrt": (0.0, math.inf),
    "cbrt": (-math.inf, math.inf),
    "exp": (LEAST_EXPONENT, LARGEST_EXPONENT),
    "expm1": (-LARGEST_EXPONENT, LARGEST_EXPONENT),
    "log": (0.0, math.inf),
    "log1p": (-1.0, math.inf),
    "sin": (-LARGEST_ANGLE, LARGEST_ANGLE),
    "cos": (-LARGEST_ANGLE, LARGEST_ANGLE),
    "tan": (-LARGEST_ANGLE, LARGEST_ANGLE),
    "asin": (-1.0, 1.0),
    "acos": (-1.0, 1.0),
    "atan": (-math.inf, math.inf),
    "sinh": (-710.4, 710.4),
    "cosh": (-710.4, 710.4),
    "tanh": (-math.inf, math.inf),
    "asinh": (-math.inf, math.inf),
    "acosh": (1.0, math.inf),
    "atanh": (-1.0, 1.0),
    "logistic": (LEAST_EXPONENT, math.inf),
    "erf": (-math.inf, math.inf),
    "erfc": (-math.inf, LARGEST_ERFC),
    "erf_inv": (-1.0, 1.0),
    "lgamma": (0.0, math.inf),
    "digamma": (0.0, math.inf),
    **{f"polygamma {m}": POLYGAMMA for m in (1, 2, 3)},
}
"""primitive -> where it is sampled; beyond, its value is known or below the absolute margin"""

TRUTHS: dict[str, Callable[[arb], arb]] = {
    "cbrt": lambda x: x.root(3) if x >= 0 else -(-x).root(3),
    "logistic": lambda x: 1 / (1 + (-x).exp()),
    "erf_inv": arb.erfinv,
    "polygamma 1": lambda x: arb(2).zeta(x),
    "polygamma 2": lambda x: -2 * arb(3).zeta(x),
    "polygamma 3": lambda x: 6 * arb(4).zeta(x),
}
"""functions that Arb has under no name of its own"""


def truth(name: str, x: float) -> arb:
    """The exact value, as a narrow ball."""
    function = TRUTHS.get(name)
    return function(arb(x)) if function else getattr(arb(x), name)()


def points(name: str, count: int, seed: int = 0) -> np.ndarray:
    """Places (about `count`,) in the range of a function, reproducible."""
    low, high = RANGES[name]
    generator = np.random.default_rng(seed)
    third = count // 3
    bits = generator.integers(0, 2**64, 4 * third, dtype=np.uint64).view(np.float64)
    scale = 10.0 ** generator.uniform(-9.0, 1.0, third) * generator.choice([-1.0, 1.0], third)
    finite = (max(low, -40.0), min(high, 40.0))
    edges = np.concatenate([end + scale for end in (low, high, 1.0, -1.0) if math.isfinite(end)])
    parts = (bits, scale, generator.uniform(*finite, third), generator.uniform(-1.5, 1.5, third), edges[:third])
    whole = np.concatenate(parts)
    inside = np.isfinite(whole) & (whole >= low) & (whole <= high) & (np.abs(whole) >= FLUSHED)
    chosen = whole[inside]
    return generator.permutation(chosen)[:count]


def error(name: str, x: np.ndarray) -> tuple[float, float]:
    """Largest error of a function over the points x, in units of 2⁻⁵² of the value, and where it is."""
    with float64():
        vector = np.asarray(jax.jit(FUNCTIONS[name])(x))
        single = np.asarray(jax.jit(lambda xs: lax.map(FUNCTIONS[name], xs))(x))
    worst, place = 0.0, float("nan")
    with ctx.workprec(PRECISION):
        for at, first, second in zip(x.tolist(), vector.tolist(), single.tolist(), strict=True):
            exact = truth(name, at)
            if not exact.is_finite() or abs(exact) > arb(np.finfo(float).max):
                continue
            for value in (first,) if first == second else (first, second):
                off = _off(value, exact, FLOORS.get(name, 0.0))
                if not off <= worst:
                    worst, place = off, at
    return worst, place


def _off(value: float, exact: arb, floor: float) -> float:
    """Error of a value beyond the absolute margin; infinite if it is no number."""
    if not math.isfinite(value):
        return math.inf
    beyond = float(abs(arb(value) - exact).upper()) - FLUSHED / 2.0
    size = max(abs(value), floor)
    return max(beyond, 0.0) / (EPS * size) if size else (math.inf if beyond > 0.0 else 0.0)


def atan2_error(count: int, seed: int = 0) -> float:
    """The same for the function of two numbers, over all directions and many sizes."""
    generator = np.random.default_rng(seed)
    y = generator.normal(size=count) * 10.0 ** generator.uniform(-12.0, 12.0, count)
    x = np.where(np.arange(count) % 2 == 0, y, 1.0) * generator.normal(size=count)
    with float64():
        found = np.asarray(jax.jit(lax.atan2)(y, x))
    with ctx.workprec(PRECISION):
        exact = [arb.atan2(arb(a), arb(b)) for a, b in zip(y.tolist(), x.tolist(), strict=True)]
        return max(_off(value, angle, 0.0) for value, angle in zip(found.tolist(), exact, strict=True))


def calibrate(count: int = 3000, seed: int = 0) -> dict[str, float]:
    """Error of every function on this machine, kept in the user's cache; about a minute.

    Where all errors are at most half of the margins, results on this build are *calibrated* from now on. Where one is
    larger, they are from the next start of Python on, with margins that have grown.
    """
    found = {name: error(name, points(name, count, seed))[0] for name in FUNCTIONS}
    found["atan2"] = atan2_error(count, seed)
    file = cache_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = stored() | {" ".join(build()): {name: round(value, 3) for name, value in found.items()}}
    file.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    return found


__all__ = ["atan2_error", "calibrate", "error", "points", "truth"]
