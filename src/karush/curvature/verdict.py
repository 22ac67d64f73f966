"""What the point is, by its derivatives; the deciding value with its error; the sentence.

```
∇f(x) = 0 and  H ≻ 0              strict minimum           ([NW06], theorem 2.4)
               H ≺ 0              strict maximum
               eigenvalues of both signs                   saddle
               some 0, the others of one sign              second derivatives do not decide
```
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from karush.core.table import measured, number
from karush.curvature import dense
from karush.curvature.dense import SYMMETRIC, Pairs
from karush.curvature.neighbourhood import AGREEMENT
from karush.curvature.program import Derivatives
from karush.curvature.slope import Slope
from karush.jaxprs.kinks import Kink

KINK = 1.0e-6
"""Relative change of x that reaches a kink, up to which derivatives at x say nothing."""
BOTH_WAYS = 2.0
"""H must keep the signs of its eigenvalues over this many Newton steps: over one, x³ would pass at every x > 0."""


class Classification(StrEnum):
    """What x is for f."""

    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    SADDLE = "saddle"
    DEGENERATE = "degenerate"
    """stationary, and second derivatives do not decide"""
    NOT_STATIONARY = "not a stationary point"
    UNDECIDED = "undecided"


class Deciding(NamedTuple):
    """The number that decided."""

    name: str
    value: float
    error: float


class Judgement(NamedTuple):
    """Word, sentence and number."""

    classification: Classification
    reason: str
    deciding: Deciding | None


class Facts(NamedTuple):
    """What was measured at x (n,)."""

    derivatives: Derivatives
    x: np.ndarray
    value: float
    gradient: np.ndarray
    slope: Slope
    pairs: Pairs
    complete: bool
    """whether `pairs` are all"""
    asymmetry: float
    gaps: tuple[float, float]
    """by how much ∇f and H are off beside x; 0 where they agree with their neighbourhood"""
    kink: tuple[float, Kink] | None

    @property
    def positive(self) -> np.ndarray:
        return self.pairs.values > self.pairs.errors

    @property
    def negative(self) -> np.ndarray:
        return self.pairs.values < -self.pairs.errors


def judge(facts: Facts) -> Judgement:
    """The first reason for having no verdict, else the verdict."""
    slope = facts.slope
    if not (np.isfinite(facts.value) and np.isfinite(facts.gradient).all() and np.isfinite(facts.pairs.values).all()):
        return _undecided("f or one of its derivatives is not finite at x")
    if facts.kink is not None and not facts.kink[0] > KINK:
        margin, what = facts.kink
        return _undecided(
            f"x lies on a kink or within {measured(margin)} of one, where derivatives say nothing: {what}",
            Deciding("distance to the nearest kink", margin, KINK),
        )
    if not facts.asymmetry <= SYMMETRIC:
        return _undecided(
            f"the Hessian is not symmetric, ‖H − Hᵀ‖/‖H‖ = {measured(facts.asymmetry)} > {measured(SYMMETRIC)}: the "
            "second partials are not continuous at x, or cancellation has destroyed them",
            Deciding("asymmetry", facts.asymmetry, SYMMETRIC),
        )
    if facts.gaps[0] > 0:
        return _undecided(
            f"values of f beside x do not change as the gradient, of norm {measured(slope.norm)}, says: cancellation "
            "may have destroyed it",
            Deciding("gradient norm", slope.norm, slope.error),
        )
    if not slope.stationary:
        return Judgement(
            Classification.NOT_STATIONARY,
            f"a part of the gradient is {measured(slope.part)}, above its bound {measured(slope.bound)}",
            Deciding("gradient norm", slope.norm, slope.error),
        )
    if facts.gaps[1] > 0:
        return _undecided(
            "beside x the gradient does not change as the Hessian says: cancellation may have destroyed it, or it "
            "changes too fast",
            _deciding(facts, 0),
        )
    return _by_signs(facts)


def _by_signs(facts: Facts) -> Judgement:
    values, errors = facts.pairs.values, facts.pairs.errors
    positive, negative = facts.positive, facts.negative
    if positive.any() and negative.any():
        weaker = 0 if -values[0] <= values[-1] else -1
        reason = f"eigenvalues of both signs: {number(values[0])} and {number(values[-1])}"
        return _confirmed(facts, Classification.SADDLE, reason, weaker)
    if not facts.complete:
        return _undecided(_known(facts), _deciding(facts, 0))
    if positive.all():
        reason = f"the least eigenvalue {number(values[0])} is positive beyond its error {measured(errors[0])}"
        return _confirmed(facts, Classification.MINIMUM, reason, 0)
    if negative.all():
        reason = f"the largest eigenvalue {number(values[-1])} is negative beyond its error {measured(errors[-1])}"
        return _confirmed(facts, Classification.MAXIMUM, reason, -1)
    return _degenerate(facts)


def _degenerate(facts: Facts) -> Judgement:
    values, errors = facts.pairs.values, facts.pairs.errors
    positive, negative = facts.positive, facts.negative
    least = int(np.argmin(np.abs(values)))
    zeros = int(np.count_nonzero(~positive & ~negative))
    count = "one eigenvalue is" if zeros == 1 else f"{zeros} eigenvalues are"
    open_ = {
        (True, False): "a minimum or neither minimum nor maximum",
        (False, True): "a maximum or neither minimum nor maximum",
        (False, False): "a minimum, a maximum or neither",
    }[bool(positive.any()), bool(negative.any())]
    what = f"not told from zero, within the error {measured(errors[least])}" if errors[least] > 0 else "zero"
    return Judgement(
        Classification.DEGENERATE,
        f"{count} {what}: second derivatives leave open whether x is {open_}",
        _deciding(facts, least),
    )


def _confirmed(facts: Facts, classification: Classification, reason: str, deciding: int) -> Judgement:
    """The verdict, if the stationary point that the model predicts beside x is of the same kind."""
    if np.any(facts.slope.newton) and not _keeps(facts):
        return _undecided(
            f"the stationary point predicted beside x is not of the same kind; at x itself: {reason}",
            _deciding(facts, deciding),
        )
    return Judgement(classification, reason, _deciding(facts, deciding))


def _keeps(facts: Facts) -> bool:
    """Whether H has the same inertia beyond the predicted stationary point; a large H, the same signs at its ends."""
    beyond = facts.x + BOTH_WAYS * facts.slope.newton
    values = facts.pairs.values
    if facts.complete:
        matrix = dense.hessian(facts.derivatives, beyond)
        if not np.isfinite(matrix).all():
            return False
        there = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    else:
        ends = facts.pairs.vectors[:, [0, -1]]
        product: Callable[[np.ndarray], np.ndarray] = facts.derivatives.product(beyond)
        values, there = values[[0, -1]], np.array([v @ product(v) for v in ends.T])
    told = np.abs(values) > facts.pairs.errors[0 if facts.complete else [0, -1]]
    return bool(np.all((there * np.sign(values) >= AGREEMENT * np.abs(values))[told]))


def _known(facts: Facts) -> str:
    """What the found eigenvalues of one sign say, and what they cannot."""
    values, errors = facts.pairs.values, facts.pairs.errors
    if facts.negative.any():
        return f"x is no minimum: the eigenvalue {number(values[0])} is negative; no positive one was found"
    if facts.positive[0]:
        return (
            f"the least eigenvalue found is {number(values[0])} ± {measured(errors[0])}; products cannot exclude a "
            "smaller one"
        )
    return f"the least eigenvalue found, {number(values[0])} ± {measured(errors[0])}, is not told from zero"


def _deciding(facts: Facts, index: int) -> Deciding:
    """The eigenvalue `index`, called least or largest where it is."""
    place = index % facts.pairs.values.size
    name = {facts.pairs.values.size - 1: "largest eigenvalue", 0: "least eigenvalue"}.get(place, "eigenvalue nearest 0")
    return Deciding(name, float(facts.pairs.values[place]), float(facts.pairs.errors[place]))


def _undecided(reason: str, deciding: Deciding | None = None) -> Judgement:
    return Judgement(Classification.UNDECIDED, reason, deciding)


__all__ = ["Classification", "Deciding", "Facts", "Judgement", "judge"]
