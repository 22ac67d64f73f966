"""What kind of damage an operation has done, in numbers, and where it is shown."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from karush.jaxprs.walk import Step
from karush.stability.blame import Blame, Instrumented, has_nan, local_exact, not_finite, relative_error
from karush.stability.findings import Kind
from karush.stability.repairs import MOVING

SUMS = ("add", "add_any", "sub", "reduce_sum", "cumsum", "dot_general", "scatter-add")
ABSORBED = 16.0
"""a rounding that is this many ulps of the smaller operand has absorbed its digits"""
WRONG = 16.0
"""ulps of local error from which an operation itself is called inaccurate"""


def rewritten(run: Instrumented, x: np.ndarray, output: int, computed: float) -> tuple[Kind, Step, str]:
    """The same where the operations one by one do not show it: the compiler has rewritten them."""
    detail = "the operations one by one do not show it: XLA rewrites them"
    steps = run.program.steps
    suspect = run.suspect(x, output) if np.isfinite(computed) and computed != 0.0 else None
    if suspect is not None:
        introduced, amplified = (steps[k] for k in suspect)
        cancels = amplified.primitive in SUMS and amplified is not introduced
        detail += f"; its rounding of {introduced.primitive} is felt most"
        return Kind.CANCELLATION if cancels else Kind.AMPLIFICATION, amplified, detail
    steps = [step for step in steps if step.primitive not in MOVING and step.out_avals[0].dtype.kind == "f"]
    if np.isfinite(computed):
        kind = Kind.UNDERFLOW if computed == 0.0 else Kind.AMPLIFICATION
    else:
        kind = Kind.DOMAIN if np.isnan(computed) else Kind.OVERFLOW
    return kind, (steps or run.program.steps)[-1], detail


def classified(run: Instrumented, blame: Blame, part: str, computed: float) -> tuple[Kind, Step, str]:
    """Kind, the step to show, and what happens there."""
    steps = run.program.steps
    introduced, amplified = steps[blame.introduced], steps[blame.amplified]
    if blame.undefined:
        kind = Kind.NAN_GRADIENT if part == "gradient" else _undefined(introduced, blame.floats)
        return kind, introduced, at_step(introduced, blame.floats, None)
    special = _special(introduced, blame.floats)
    if special is not None:
        detail = at_step(introduced, blame.floats, blame.exact)
        nan = _first_nan(run, blame)
        if np.isnan(computed) and nan is not None and nan is not introduced:
            detail += f"; then {at_step(nan, blame.floats, None)}"
            if part == "gradient" and _has_select(run):
                return Kind.NAN_GRADIENT, introduced, detail
            if special is Kind.UNDERFLOW and _multiplies_zero_and_inf(nan, blame.floats):
                return Kind.INDETERMINATE, introduced, detail
        return special, introduced, detail
    if any(not_finite(blame.floats[slot]) for slot in amplified.outputs):
        detail = at_step(amplified, blame.floats, blame.exact)
        if amplified.primitive in SUMS:
            return Kind.CANCELLATION, amplified, detail
        return Kind.DOMAIN, amplified, detail
    detail = at_step(amplified, blame.floats, blame.exact)
    if amplified.primitive in SUMS and blame.amplified != blame.introduced:
        return Kind.CANCELLATION, amplified, detail
    local = local_exact(introduced, blame.floats)
    own = 0.0
    if local is not None:
        own = max(relative_error(blame.floats[s], t) for s, t in zip(introduced.outputs, local, strict=True))
    unit = float(np.finfo(blame.floats[run.program.inputs[0]].dtype).eps)
    if own > WRONG * unit:
        if introduced.primitive in SUMS:
            return Kind.CANCELLATION, introduced, at_step(introduced, blame.floats, blame.exact)
        return Kind.INACCURATE, introduced, at_step(introduced, blame.floats, blame.exact)
    if introduced.primitive in SUMS and _absorbs(introduced, blame.floats, local, unit):
        return Kind.ABSORPTION, introduced, at_step(introduced, blame.floats, blame.exact)
    if amplified.primitive in SUMS:
        return Kind.CANCELLATION, amplified, detail
    return Kind.AMPLIFICATION, amplified, detail


def _special(step: Step, floats: Sequence[Any]) -> Kind | None:
    """Overflow or underflow of a step that was given ordinary numbers."""
    local = local_exact(step, floats)
    if local is None:
        return None
    for slot, exact in zip(step.outputs, local, strict=True):
        value = np.asarray(floats[slot])
        if value.dtype.kind != "f":
            continue
        info = np.finfo(value.dtype)
        for v, t in zip(value.ravel(), np.ravel(exact), strict=True):
            if t.is_finite() and not np.isfinite(v):
                return Kind.OVERFLOW
            # XLA divides by multiplying with 1/b, which may be flushed though the quotient is normal.
            small = step.primitive not in SUMS or bool(abs(t) < float(info.tiny))
            if v == 0.0 and t.is_finite() and not bool(t.contains(0)) and small:
                return Kind.UNDERFLOW
    return None


def _undefined(step: Step, floats: Sequence[Any]) -> Kind:
    operands = [np.asarray(floats[slot]) for slot in step.inputs]
    if step.primitive in ("mul", "div", "sub", "add", "pow") or len(operands) > 1:
        return Kind.INDETERMINATE
    return Kind.INDETERMINATE if step.primitive in ("reduce_sum", "dot_general") else Kind.DOMAIN


def _first_nan(run: Instrumented, blame: Blame) -> Step | None:
    """The first step that makes NaN from numbers that are none."""
    for step in run.program.steps:
        made = any(has_nan(blame.floats[slot]) for slot in step.outputs)
        if made and not any(has_nan(blame.floats[slot]) for slot in step.inputs):
            return step
    return None


def _has_select(run: Instrumented) -> bool:
    return any(step.primitive == "select_n" for step in run.program.steps)


def _multiplies_zero_and_inf(step: Step, floats: Sequence[Any]) -> bool:
    if step.primitive not in ("mul", "dot_general") or len(step.inputs) < 2:
        return False
    a, b = (np.asarray(floats[slot]) for slot in step.inputs[:2])
    return bool((np.any(a == 0) and np.any(np.isinf(b))) or (np.any(b == 0) and np.any(np.isinf(a))))


def _absorbs(step: Step, floats: Sequence[Any], local: list[Any] | None, unit: float) -> bool:
    """Whether the rounding of a sum has eaten the digits of its smaller operand."""
    if local is None:
        return False
    operands = [np.asarray(floats[slot]) for slot in step.inputs]
    rounding = [
        abs(float((t - float(v)).mid())) if t.is_finite() and np.isfinite(v) else 0.0
        for slot, exact in zip(step.outputs, local, strict=True)
        for v, t in zip(np.ravel(floats[slot]), np.ravel(exact), strict=True)
    ]
    sizes = np.concatenate([np.abs(operand).ravel() for operand in operands if operand.dtype.kind == "f"])
    sizes = sizes[sizes > 0.0]
    return bool(sizes.size) and max(rounding, default=0.0) > ABSORBED * unit * float(sizes.min())


def at_step(step: Step, floats: Sequence[Any], exact: Sequence[Any] | None) -> str:
    """``exp(150) gives inf, exactly 1.39e+65``: the most telling element of a step."""
    out = np.asarray(floats[step.outputs[0]])
    element = 0
    truth = None if exact is None else exact[step.outputs[0]]
    if out.size > 1:
        wild = ~np.isfinite(out.ravel()) if out.dtype.kind == "f" else np.zeros(out.size, bool)
        if wild.any():
            element = int(np.argmax(wild))
        elif truth is not None and np.asarray(truth).dtype == object:
            errors = [relative_error(v, t) for v, t in zip(out.ravel(), np.ravel(truth), strict=True)]
            element = int(np.argmax(errors))
    operands = []
    for slot in step.inputs:
        operand = np.asarray(floats[slot])
        if operand.size == out.size:
            operands.append(f"{operand.ravel()[element]:.9g}")
        elif operand.size == 1:
            operands.append(f"{operand.item():.9g}")
        else:
            operands.append(f"array of {operand.size}")
    value = out.ravel()[element] if out.size else np.nan
    text = f"{step.primitive}({', '.join(operands)}) gives {value:.9g}"
    if truth is not None and np.asarray(truth).dtype == object:
        ball = np.ravel(truth)[element]
        if ball.is_finite():
            text += f", exactly {in_words(ball)}"
    return text


def in_words(ball: Any) -> str:
    """A ball's middle with ten digits, whatever its size."""
    return ball.mid().str(10, radius=False)


__all__ = ["at_step", "classified", "in_words", "rewritten"]
