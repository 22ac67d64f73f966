"""Whether rounding dominates f, ∇f or c at a point: float64 against ball arithmetic.

```
digits of q = −log10( |q_float64 − q| / typical size of q )
```

q is enclosed by balls of a precision at which cancellation is no issue. A point is not to be called a minimum on the
strength of a derivative that has no digits left.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic.ball import BallProgram
from karush.arithmetic.ball_numbers import Undecided, balls, lowers, uppers
from karush.certificates.scales import Scales
from karush.core.precision import float64
from karush.jaxprs.primal import primal
from karush.problem.flat import FlatProblem

PRECISION = 256
"""bits: 203 more than float64 holds, so that what is left after any cancellation of float64 digits is exact"""
ALL_DIGITS = 15.95
"""−log10 of 2^-53: no error that float64 could tell"""


@dataclass(frozen=True)
class Digits:
    """Decimal digits left of one function at one point, relative to its typical size."""

    name: str
    """"objective", "gradient", or the name of a row"""
    left: float
    error: float
    """|float64 − exact|, an upper bound, in the function's own units; of a gradient the largest entry times its size"""


@dataclass(frozen=True)
class Evaluated:
    """What ball arithmetic says on the float64 evaluation at x."""

    digits: tuple[Digits, ...]
    reason: str = ""
    """why nothing can be said, if so"""

    def worst(self) -> Digits | None:
        """The function with fewest digits."""
        return min(self.digits, key=lambda one: one.left, default=None)

    def sentence(self, tol: float) -> str:
        """One sentence for `Certificate.evaluation`."""
        worst = self.worst()
        if worst is None:
            return f"not checked against rounding: {self.reason}"
        word = "rounding dominates" if worst.left < -math.log10(tol) else "rounding is small"
        return f"{word}: {worst.left:.1f} digits are left of the {worst.name}, the worst"

    def trustworthy(self, tol: float) -> bool:
        """Whether every function keeps the digits that a tolerance of `tol` asks for; False where unknown."""
        worst = self.worst()
        return worst is not None and worst.left >= -math.log10(tol)


def evaluation_check(
    flat: FlatProblem, x: np.ndarray, value: float, gradient: np.ndarray, rows: np.ndarray, scales: Scales
) -> Evaluated:
    """Digits left of f, ∇f and c as float64 has computed them at x (n,): `value`, `gradient` (n,), `rows` (m,).

    Errors are measured in the typical sizes that make a certificate dimensionless, so a digit here is one there.
    """
    run = primal(flat.closed_jaxpr)

    def everything(x: Any) -> tuple[Any, Any, Any]:
        (value, rows), pullback = jax.vjp(lambda x: tuple(run(x, *flat.param_leaves)), x)
        return value, rows, pullback((jnp.ones(()), jnp.zeros(flat.m)))[0]

    try:
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            program = BallProgram(jax.make_jaxpr(everything)(np.asarray(x)), precision=PRECISION)
            exact_value, exact_rows, exact_gradient = program(x)
    except Undecided as undecided:
        return Evaluated((), str(undecided))
    slopes = np.abs(_error(gradient, exact_gradient)) * scales.x
    found = [
        _digits("objective", _error(np.array(value), exact_value), scales.f),
        _digits("gradient of the objective", slopes, scales.f),
    ]
    errors = _error(rows, exact_rows)
    found += [_digits(name, errors[i : i + 1], scales.rows[i]) for i, name in enumerate(flat.row_names)]
    return Evaluated(tuple(found))


def _error(computed: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Upper bound on ``|computed − exact|``."""
    if not np.all(np.isfinite(computed)):
        return np.full(np.shape(computed), np.inf)
    gap = balls(computed) - exact
    gap = np.asarray(gap, dtype=object)
    return np.asarray(np.maximum(np.abs(lowers(gap)), np.abs(uppers(gap))))


def _digits(name: str, error: np.ndarray, size: float) -> Digits:
    worst = float(np.max(error, initial=0.0))
    relative = worst / float(size)
    return Digits(name, ALL_DIGITS if relative <= 10.0**-ALL_DIGITS else -math.log10(relative), worst)


__all__ = ["Digits", "Evaluated", "evaluation_check"]
