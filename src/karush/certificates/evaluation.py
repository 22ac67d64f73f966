"""Whether rounding dominates f, ∇L or c at a point: float64 against ball arithmetic.

```
digits of q = −log10( |q_float64 − q| / typical size of q ),      q one of f, ∇L = ∇f + Jᵀy, c_1, ..., c_m
```

q is enclosed by balls of a precision at which cancellation is no issue. A point is not to be called a minimum on the
strength of a derivative that has no digits left. ∇L is that of the operations of the program; where a derivative rule
of the user's (``custom_jvp``, ``custom_vjp``, ``stop_gradient``) says something else, that is told apart from rounding.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from karush.arithmetic.ball import BallProgram
from karush.arithmetic.ball_numbers import Undecided, balls, lowers, uppers
from karush.certificates.evidence import Evidence
from karush.certificates.scales import Scales
from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.core.table import measured
from karush.jaxprs.customized import customized, ruled
from karush.jaxprs.primal import primal
from karush.jaxprs.reverse import irreversible
from karush.jaxprs.walk import Program, inline
from karush.problem.flat import FlatProblem

PRECISION = 256
"""bits: 203 more than float64 holds, so that what is left after any cancellation of float64 digits is exact"""
ALL_DIGITS = 15.95
"""−log10 of 2^-53: no error that float64 could tell"""
NUMBERS_UP_TO = 100_000
"""Numbers that a program may compute, loops written out, to be run in balls: a ball takes about 2 µs, a program with
its derivatives some 5 times its own numbers."""
NOT_CHECKED = "not checked against rounding"
OBJECTIVE, OF_OBJECTIVE, OF_LAGRANGIAN = "objective", "gradient of the objective", "gradient of the Lagrangian"


@dataclass(frozen=True)
class Digits:
    """Decimal digits left of one function at one point, relative to its typical size."""

    name: str
    """"objective", "gradient of the objective" or, with rows, "of the Lagrangian", or the name of a row"""
    left: float
    error: float
    """|float64 − exact|, an upper bound, in the function's own units; of a gradient the largest entry times its size"""
    decides: bool = True
    """whether first-order conditions rest on it; they do not on the objective's value"""


@dataclass(frozen=True)
class Evaluated:
    """What ball arithmetic says on the float64 evaluation at x."""

    digits: tuple[Digits, ...]
    reason: str = ""
    """why nothing can be said, if so"""
    finding: str = ""
    """a derivative rule that disagrees with its function, with the user's line"""

    def worst(self, *, deciding: bool = False) -> Digits | None:
        """The function with fewest digits, of all or of those that the first-order conditions rest on."""
        chosen = [one for one in self.digits if one.decides or not deciding]
        return min(chosen, key=lambda one: one.left, default=None)

    def refutes(self, tol: float) -> bool:
        """Whether the first-order conditions to `tol` rest on numbers that are wrong by more; False where unknown."""
        worst = self.worst(deciding=True)
        return bool(self.finding) or (worst is not None and not worst.left >= -math.log10(tol))

    def trustworthy(self, tol: float) -> bool:
        """Whether every function keeps the digits that a tolerance of `tol` asks for; False where unknown."""
        worst = self.worst()
        return not self.finding and worst is not None and worst.left >= -math.log10(tol)

    def sentence(self, tol: float) -> str:
        """One sentence for `Certificate.evaluation`."""
        if self.finding:
            return self.finding
        worst = self.worst(deciding=self.refutes(tol))
        if worst is None:
            return f"{NOT_CHECKED}: {self.reason}"
        word = "rounding is small" if worst.left >= -math.log10(tol) else "rounding dominates"
        left = max(0, math.floor(worst.left))
        return f"{word}: {left} digits are left of the {worst.name}, the fewest"


class _Exact:
    """What balls run of one traced problem: made when it is first asked for, and then for all points and parameters."""

    def __init__(self, closed_jaxpr: Any):
        self.closed_jaxpr = closed_jaxpr

    @classmethod
    def of(cls, flat: FlatProblem) -> "_Exact":
        """The one of `flat`."""
        return flat.kept.setdefault("exact evaluation", cls(flat.closed_jaxpr))

    @cached_property
    def size(self) -> int:
        """Numbers that a run of the problem computes."""
        return _numbers(inline(self.closed_jaxpr))

    @cached_property
    def places(self) -> tuple[str, ...]:
        """Where derivative rules of the user's stand."""
        return customized(self.closed_jaxpr)

    def by_operations(self, flat: FlatProblem, x: np.ndarray, weights: np.ndarray) -> list[Any]:
        """f, c and the gradient of ``w_0 f + wᵀc`` at x, enclosed."""
        return self._operations(x, weights, *flat.param_leaves)

    def by_rules(self, flat: FlatProblem, x: np.ndarray, weights: np.ndarray) -> list[Any]:
        """The same, the gradient by the user's derivative rules."""
        return self._rules(x, weights, *flat.param_leaves)

    @cached_property
    def _operations(self) -> BallProgram:
        return self._traced(primal(self.closed_jaxpr))

    @cached_property
    def _rules(self) -> BallProgram:
        return self._traced(ruled(self.closed_jaxpr))

    def _traced(self, run: Callable[..., Any]) -> BallProgram:
        def everything(x: Any, weights: Any, *params: Any) -> tuple[Any, Any, Any]:
            (value, rows), pullback = jax.vjp(lambda x: tuple(run(x, *params)), x)
            return value, rows, pullback((weights[0], weights[1:]))[0]

        x, *params = self.closed_jaxpr.in_avals
        weights = jax.ShapeDtypeStruct((1 + self.closed_jaxpr.out_avals[1].size,), x.dtype)
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            try:
                traced = jax.make_jaxpr(everything)(x, weights, *params)
            except ValueError as error:
                # A loop that only its author's rule could differentiate.
                named = irreversible(self.closed_jaxpr)
                if named is None:
                    raise
                raise named from error
            return BallProgram(traced, precision=PRECISION)


def evaluated(evidence: Evidence, scales: Scales) -> Evaluated:
    """`evaluation_check` of the point that a certificate is about."""
    point, flat = evidence.point, evidence.flat
    if point is None:
        return Evaluated((), "the functions have no value there")
    if flat.closed_jaxpr is None:
        return Evaluated((), "a stored result has no functions")
    size = _Exact.of(flat).size
    if size > NUMBERS_UP_TO:
        return Evaluated((), f"the functions compute {size} numbers, more than {NUMBERS_UP_TO}")
    # Typical sizes are powers of two: back in the problem's units the numbers are those that were computed.
    y = point.y * (scales.f / scales.rows)
    slope = point.slope * (scales.f / scales.x)
    rows = point.rows * scales.rows
    return evaluation_check(flat, point.u * scales.x, y, point.value * scales.f, slope, rows, scales)


def evaluation_check(
    flat: FlatProblem,
    x: np.ndarray,
    y: np.ndarray,
    value: float,
    slope: np.ndarray,
    rows: np.ndarray,
    scales: Scales,
) -> Evaluated:
    """Digits left of f, ∇L and c as float64 has computed them at x (n,): `value`, `slope` (n,), `rows` (m,).

    Errors are measured in the typical sizes that make a certificate dimensionless, so a digit here is one there.
    """
    weights = np.concatenate(([1.0], y))
    try:
        exact_value, exact_rows, exact_slope = _Exact.of(flat).by_operations(flat, x, weights)
        finding = _disagreement(flat, x, weights, exact_slope, scales)
    except (Undecided, TraceError) as unknown:
        return Evaluated((), str(unknown))
    slopes = np.abs(_error(slope, exact_slope)) * scales.x
    found = [
        _digits(OBJECTIVE, _error(np.array(value), exact_value), scales.f, decides=False),
        _digits(OF_LAGRANGIAN if flat.m else OF_OBJECTIVE, slopes, scales.f),
    ]
    errors = _error(rows, exact_rows)
    found += [_digits(name, errors[i : i + 1], scales.rows[i]) for i, name in enumerate(flat.row_names)]
    return Evaluated(tuple(found), finding=finding)


def disagreement(flat: FlatProblem, x: np.ndarray, y: np.ndarray, scales: Scales) -> str:
    """Where a derivative rule of the user's disagrees with its function at x (n,), in words; empty if none does.

    Compared is ∇f + Jᵀy, y (m,), by the rules and by the operations of the program; unknown counts as agreement.
    """
    exact = _Exact.of(flat)
    if not exact.places:
        return ""
    weights = np.concatenate(([1.0], y))
    try:
        slope = exact.by_operations(flat, x, weights)[2]
        return _disagreement(flat, x, weights, slope, scales)
    except (Undecided, TraceError):
        return ""


def _disagreement(flat: FlatProblem, x: np.ndarray, weights: np.ndarray, slope: np.ndarray, scales: Scales) -> str:
    """Where the user's derivative rules give another ∇L than the operations, in words; empty if they do not.

    Both are evaluated in balls: a difference is no rounding, unless a rule's own constants are rounded to float64.
    """
    places = _Exact.of(flat).places
    if not places:
        return ""
    by_rule = _Exact.of(flat).by_rules(flat, x, weights)[2]
    size = np.maximum(np.abs(lowers(slope)), scales.f / scales.x)
    apart = lowers(np.abs(np.asarray(by_rule - slope, dtype=object))) / size
    worst = int(np.argmax(apart))
    if not apart[worst] > 10.0**-ALL_DIGITS * len(flat.closed_jaxpr.eqns):
        return ""
    said, true = (float(part[worst].mid()) for part in (by_rule, slope))
    return (
        f"the derivative rule at {' or at '.join(places)} disagrees with its function: the derivative in "
        f"{flat.variable_names[worst]} is {measured(said)} by the rule and {measured(true)} by the operations"
    )


def _numbers(program: Program) -> int:
    """Numbers that a run computes; a while loop counts as one turn."""
    total = 0
    for step in program.steps:
        turns = step.params["length"] if step.primitive == "scan" else 1
        total += sum(aval.size for aval in step.out_avals) + turns * sum(map(_numbers, step.bodies))
    return total


def _error(computed: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Upper bound on ``|computed − exact|``."""
    if not np.all(np.isfinite(computed)):
        return np.full(np.shape(computed), np.inf)
    gap = np.asarray(balls(computed) - exact, dtype=object)
    return np.asarray(np.maximum(np.abs(lowers(gap)), np.abs(uppers(gap))))


def _digits(name: str, error: np.ndarray, size: float, *, decides: bool = True) -> Digits:
    worst = float(np.max(error, initial=0.0))
    relative = worst / float(size)
    return Digits(name, ALL_DIGITS if relative <= 10.0**-ALL_DIGITS else -math.log10(relative), worst, decides)


__all__ = ["NOT_CHECKED", "Digits", "Evaluated", "disagreement", "evaluated", "evaluation_check"]
