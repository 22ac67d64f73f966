"""Ball arithmetic: a traced program evaluated on real intervals of any precision, the kernel of every proof.

```
x ∈ X   ⟹   F(x) ∈ F(X)
```

A ball ``[m ± r]`` is a number of Arb (python-flint): an exact binary midpoint and a radius that is rounded up. Every
operation of Arb returns a ball that holds all results of the exact operation on members of its arguments [Joh17].
Composing such operations step by step along the program therefore encloses the exact real function of the program.

Values of the walker:

- floating point: object array of ``flint.arb``; one that is not finite stands for "any number, or none";
- boolean: int8 array of `NO`, `YES`, `UNDECIDED`;
- integer: NumPy integer array, exact.

Two tables of rules differ in what they do where a comparison of balls has no answer. `RULES` joins what both answers
give. `SMOOTH_RULES` refuses, by `Undecided`: inside a box where nothing is undecided, the program is one composition
of analytic functions, and the derivatives of its primal operations are its derivatives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flint import arb, ctx

from karush.arithmetic import ball_arrays as arrays
from karush.arithmetic import ball_control as control
from karush.arithmetic import ball_elementwise as elementwise
from karush.arithmetic import ball_logic as logic
from karush.arithmetic import ball_reductions as reductions
from karush.arithmetic import ball_windows as windows
from karush.arithmetic.ball_numbers import Undecided, balls, first_wild, lift
from karush.jaxprs.walk import Program, Rule, Step, inline, interpret

DEFAULT_PRECISION = 128
"""bits of the midpoints: of float64's 53, the rest is for cancellation"""

RULES: dict[str, Rule] = {**elementwise.RULES, **logic.RULES, **arrays.RULES, **reductions.RULES, **windows.RULES}
SMOOTH_RULES: dict[str, Rule] = {
    **RULES,
    **elementwise.SMOOTH,
    **logic.SMOOTH,
    **reductions.SMOOTH,
    **windows.SMOOTH,
}
RULES |= control.rules(RULES, joining=True)
SMOOTH_RULES |= control.rules(SMOOTH_RULES, joining=False)


class BallProgram:
    """A closed jaxpr, called with balls.

    What depends on no input is computed once, at the precision of the making, and may tie: it is no function of x.

    Parameters
    ----------
    closed_jaxpr
        The traced program; custom derivative rules in it play no part.
    precision
        Bits of every midpoint.
    smooth
        Whether comparisons without an answer are refused (`SMOOTH_RULES`) rather than joined.
    """

    def __init__(self, closed_jaxpr: Any, *, precision: int = DEFAULT_PRECISION, smooth: bool = False):
        self.precision = precision
        self.rules: Mapping[str, Rule] = SMOOTH_RULES if smooth else RULES
        with ctx.workprec(precision):
            self.program = folded(inline(closed_jaxpr, real=True), RULES)

    def __call__(self, *arguments: Any) -> list[Any]:
        """Enclosures of the outputs; arguments are float64 arrays (exact) or object arrays of ``arb``.

        Raises
        ------
        Undecided
            where an output has no finite enclosure, with the user's line that lost it.
        TraceError
            for a primitive without a rule, with its name and the user's line.
        """
        with ctx.workprec(self.precision):
            inputs = [lift(argument) for argument in arguments]
            outputs = interpret(self.program, inputs, self.rules, lift=lift)
            if any(first_wild(output) is not None for output in outputs):
                raise self._lost(inputs)
            return outputs

    def _lost(self, inputs: Sequence[Any]) -> Undecided:
        """The error for a result without a finite enclosure, at the first step that makes one."""
        found: list[Step] = []

        def watched(rule: Rule) -> Rule:
            def watching(step: Step, *values: Any) -> Sequence[Any]:
                results = rule(step, *values)
                if not found and any(first_wild(result) is not None for result in results):
                    found.append(step)
                return results

            return watching

        interpret(self.program, inputs, {name: watched(rule) for name, rule in self.rules.items()}, lift=lift)
        if not found:
            return Undecided("a constant of the program is not finite")
        step = found[0]
        return Undecided(
            f"'{step.primitive}' at {step.place} leaves its domain, or is not finite, somewhere on the inputs"
        )


def folded(program: Program, rules: Mapping[str, Rule]) -> Program:
    """`program` with the steps that depend on no input replaced by their values."""
    known: dict[int, Any] = {slot: lift(constant) for slot, constant in program.constants.items()}
    left: list[Step] = []
    for step in program.steps:
        rule = rules.get(step.primitive)
        if rule is None or not all(slot in known for slot in step.inputs):
            left.append(step)
            continue
        known.update(zip(step.outputs, rule(step, *[known[slot] for slot in step.inputs]), strict=True))
    used = {slot for step in left for slot in step.inputs} | set(program.outputs)
    return replace(program, steps=left, constants={slot: value for slot, value in known.items() if slot in used})


__all__ = [
    "DEFAULT_PRECISION",
    "RULES",
    "SMOOTH_RULES",
    "BallProgram",
    "Undecided",
    "arb",
    "balls",
    "folded",
]
