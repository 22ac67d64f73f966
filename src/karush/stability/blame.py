"""Which operation of a straight program has done the damage, at one point.

```
G_k = the exact continuation from the floats that the first k operations have computed,    G_0 = y,   G_K = v
```

``G_k − G_{k−1}`` is what the rounding of operation k does to the output, exactly. The operation at which G_k leaves the
exact value is found by bisection: it *introduces* the error. An overflow whose result is not used leaves G_k alone, and
is not blamed. A rounding that is harmless by itself is *amplified* further down: the first operation there whose
relative error is much larger than that of its operands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flint import arb, ctx

from karush.arithmetic.ball import RULES, Undecided
from karush.arithmetic.ball_numbers import lift
from karush.core.errors import TraceError
from karush.jaxprs.walk import Program, Step, bind
from karush.stability.audit_truth import PRECISIONS, Exact, settled
from karush.stability.repairs import MOVING

JUMP = 16.0
"""growth of the relative error over one operation that counts as amplification"""
SHOWN = 8
"""the run that is looked at must show an eighth of the damage or more"""
HUGE = 100_000
"""exponent of an error that only numbers that are not finite reach"""


@dataclass(frozen=True, eq=False)
class Blame:
    """Indices of steps."""

    introduced: int
    """the step whose rounding, overflow or underflow the damage comes from"""
    amplified: int
    """the step that makes it large; the same step if it does so itself"""
    floats: list[Any]
    """slot -> what was computed"""
    exact: list[Any] | None
    """slot -> balls of the exact values"""
    undefined: bool = False
    """whether the program is undefined at the point even in exact arithmetic"""


class Instrumented:
    """A straight program that returns every number on its way, compiled."""

    def __init__(self, exact: Exact):
        self.exact = exact
        self.program: Program = exact.program
        program = self.program

        def run(x: Any) -> list[Any]:
            values: list[Any] = [None] * program.size
            for slot, constant in program.constants.items():
                values[slot] = constant
            (values[program.inputs[0]],) = (x,)
            for step in program.steps:
                results = bind(step, *[values[slot] for slot in step.inputs])
                for slot, value in zip(step.outputs, results, strict=True):
                    values[slot] = value
            return [values[slot] for step in program.steps for slot in step.outputs]

        self.compiled = jax.jit(run)

    def floats(self, x: np.ndarray) -> list[Any]:
        """slot -> value."""
        values: list[Any] = [None] * self.program.size
        for slot, constant in self.program.constants.items():
            values[slot] = np.asarray(constant)
        values[self.program.inputs[0]] = x
        computed = iter(self.compiled(x))
        for step in self.program.steps:
            for slot in step.outputs:
                values[slot] = np.asarray(next(computed))
        return values

    def blame(self, x: np.ndarray, output: int, truth: arb, computed: float) -> Blame | None:
        """Who is to blame for the damage of one output; None if this run does not show what was `computed`."""
        floats = self.floats(x)
        precision = self._precision(x, output)
        with ctx.workprec(precision):
            state = [None if value is None else lift(value) for value in floats]
            count = len(self.program.steps)

            def bad(k: int) -> bool:
                try:
                    end = self._continued(state, k, output, x)
                except Undecided:
                    return True
                return not end.is_finite() or bool(abs(end - truth) >= half)

            final = lift(floats[self.program.outputs[0]])[output]
            if final.is_finite() and not (
                np.isfinite(computed) and bool(SHOWN * abs(final - truth) >= abs(computed - truth))
            ):
                return None
            half = abs(final - truth) / 2 if final.is_finite() else arb(2) ** HUGE
            exact = self._exact_state(x)
            if bad(0):
                return Blame(*self._origin(floats), floats, exact, undefined=True)
            low, high = 0, count
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if bad(middle) else (middle, high)
            introduced = high - 1
            return Blame(introduced, self._amplifier(introduced, floats, exact, x.dtype), floats, exact)

    def suspect(self, x: np.ndarray, output: int) -> tuple[int, int] | None:
        """The step whose rounding the output feels most, of equals the last, and the one that amplifies it.

        For damage that the operations one by one do not show, because XLA has rewritten them: each step's exact result
        is moved by one unit in the last place. None where the program is undefined.
        """
        with ctx.workprec(self._precision(x, output)):
            exact = self._exact_state(x)
            if exact is None:
                return None
            truth = exact[self.program.outputs[0]][output]
            unit = arb(float(np.finfo(x.dtype).eps))
            best, at, moved = arb(0), None, exact
            for k, step in enumerate(self.program.steps):
                if step.out_avals[0].dtype.kind != "f" or step.primitive in MOVING:
                    continue
                state = list(exact)
                for slot in step.outputs:
                    state[slot] = np.asarray(exact[slot] * (1 + unit), dtype=object)
                try:
                    felt = abs(self._continued(state, k + 1, output, x) - truth).mid()
                except Undecided:
                    continue
                if felt.is_finite() and bool(felt >= best / 2):
                    best, at, moved = max(best, felt), k, state
            if at is None:
                return None
            values = self._followed(moved, at + 1)
            return at, self._amplifier(at, [None if v is None else _middle(v) for v in values], exact, x.dtype)

    def _precision(self, x: np.ndarray, output: int) -> int:
        for precision in PRECISIONS:
            found = self.exact.balls(x, precision)
            if found is not None and settled(found[output]):
                return precision
        return PRECISIONS[-1]

    def _continued(self, state: Sequence[Any], k: int, output: int, x: np.ndarray) -> arb:
        """The output after the first k steps as computed and the rest exact."""
        state = list(state)
        state[self.program.inputs[0]] = lift(x)
        return self._followed(state, k)[self.program.outputs[0]][output]

    def _followed(self, state: Sequence[Any], k: int) -> list[Any]:
        """slot -> value after the first k steps as given and the rest exact."""
        values = list(state)
        for step in self.program.steps[k:]:
            results = RULES[step.primitive](step, *[values[slot] for slot in step.inputs])
            for slot, value in zip(step.outputs, results, strict=True):
                values[slot] = value
        return values

    def _exact_state(self, x: np.ndarray) -> list[Any] | None:
        values: list[Any] = [None] * self.program.size
        for slot, constant in self.program.constants.items():
            values[slot] = lift(constant)
        values[self.program.inputs[0]] = lift(x)
        try:
            return self._followed(values, 0)
        except Undecided:
            return None

    def _origin(self, floats: Sequence[Any]) -> tuple[int, int]:
        """From the output back to the first step that makes a number that is not finite from finite ones."""
        makers = {slot: k for k, step in enumerate(self.program.steps) for slot in step.outputs}
        at = makers.get(self.program.outputs[0], 0)
        turned = at
        while True:
            step = self.program.steps[at]
            wild = [slot for slot in step.inputs if slot in makers and not_finite(floats[slot])]
            if not wild:
                return at, turned
            if has_nan(floats[step.outputs[0]]) and not any(has_nan(floats[slot]) for slot in wild):
                turned = at
            nan = [slot for slot in wild if has_nan(floats[slot])]
            at = makers[(nan or wild)[0]]

    def _amplifier(self, introduced: int, floats: Sequence[Any], exact: Sequence[Any] | None, dtype: Any) -> int:
        if exact is None:
            return introduced
        errors: dict[int, float] = {}
        unit = float(np.finfo(dtype).eps)
        reached = set(self.program.steps[introduced].outputs)
        for k in range(introduced, len(self.program.steps)):
            step = self.program.steps[k]
            if k > introduced and not reached.intersection(step.inputs):
                continue
            reached.update(step.outputs)
            here = max((relative_error(floats[s], exact[s]) for s in step.outputs), default=0.0)
            before = max((errors.get(s, 0.0) for s in step.inputs), default=0.0)
            for slot in step.outputs:
                errors[slot] = here
            if here > JUMP * max(before, unit):
                return k
        return introduced


def _middle(value: Any) -> np.ndarray:
    """Middles of balls (...), as float64; anything else as it is."""
    value = np.asarray(value)
    return np.vectorize(lambda ball: float(ball.mid()), otypes=[float])(value) if value.dtype == object else value


def not_finite(value: Any) -> bool:
    """Whether any element is infinite or NaN."""
    return value is not None and np.asarray(value).dtype.kind == "f" and not np.all(np.isfinite(value))


def has_nan(value: Any) -> bool:
    """Whether any element is NaN."""
    return value is not None and np.asarray(value).dtype.kind == "f" and bool(np.any(np.isnan(value)))


def relative_error(value: Any, exact: Any) -> float:
    """Largest relative error of the elements; inf where one is not finite and its exact value is."""
    if exact is None or np.asarray(exact).dtype != object:
        return 0.0
    worst = 0.0
    for v, t in zip(np.ravel(value), np.ravel(exact), strict=True):
        if not t.is_finite():
            continue
        if not np.isfinite(v):
            return np.inf
        gap = abs(t - float(v))
        if bool(gap > 0):
            size = float(abs(t).mid())
            worst = max(worst, float(gap.mid()) / size if size > 0.0 else np.inf)
    return worst


def local_exact(step: Step, floats: Sequence[Any]) -> list[Any] | None:
    """What the step would give in exact arithmetic from the floats that it was given."""
    try:
        with ctx.workprec(PRECISIONS[1]):
            return list(RULES[step.primitive](step, *[lift(floats[slot]) for slot in step.inputs]))
    except (Undecided, KeyError, TraceError):
        return None


__all__ = ["Blame", "Instrumented", "has_nan", "local_exact", "not_finite", "relative_error"]
