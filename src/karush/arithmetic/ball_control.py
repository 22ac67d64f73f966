"""Rules of ball arithmetic for control flow: loops are run turn by turn, branches joined where balls cannot tell."""

from collections.abc import Mapping, Sequence

import numpy as np

from karush.arithmetic.ball_numbers import NO, UNDECIDED, YES, Undecided, join, lift
from karush.jaxprs.walk import Program, Rule, Step, interpret

MOST_TURNS = 100_000
"""Turns of a while loop after which it is given up as undecided."""

Values = Sequence[np.ndarray]


def rules(table: Mapping[str, Rule], *, joining: bool) -> dict[str, Rule]:
    """Rules of ``scan``, ``while`` and ``cond`` whose bodies run by `table`.

    Where it is undecided which branch is taken, the results are joined if `joining`, else `Undecided` is raised.
    """

    def run(body: Program, operands: Sequence[np.ndarray]) -> list[np.ndarray]:
        return interpret(body, operands, table, lift=lift)

    def scan(step: Step, *operands: np.ndarray) -> Values:
        body, params = step.bodies[0], step.params
        first, last = params["num_consts"], params["num_consts"] + params["num_carry"]
        constants, carry, runs = operands[:first], list(operands[first:last]), operands[last:]
        turns = range(params["length"])
        stacked: list[list[np.ndarray]] = []
        for turn in reversed(turns) if params["reverse"] else turns:
            out = run(body, (*constants, *carry, *[np.asarray(run_[turn]) for run_ in runs]))
            carry = out[: params["num_carry"]]
            stacked.append(out[params["num_carry"] :])
        if params["reverse"]:
            stacked.reverse()
        shapes = [aval.shape for aval in step.out_avals[params["num_carry"] :]]
        columns = zip(*stacked, strict=True) if stacked else [() for _ in shapes]
        return [*carry, *[_stack(column, shape) for column, shape in zip(columns, shapes, strict=True)]]

    def while_loop(step: Step, *operands: np.ndarray) -> Values:
        goes_on, body = step.bodies
        first = step.params["cond_nconsts"]
        last = first + step.params["body_nconsts"]
        carry = list(operands[last:])
        for _ in range(MOST_TURNS):
            answer = run(goes_on, (*operands[:first], *carry))[0]
            if not answer.any():
                return carry
            if not (answer == YES).all():
                raise Undecided(f"balls cannot tell when the loop at {step.place} ends")
            carry = run(body, (*operands[first:last], *carry))
        raise Undecided(f"the loop at {step.place} did not end in {MOST_TURNS} turns")

    def cond(step: Step, which: np.ndarray, *operands: np.ndarray) -> Values:
        index = int(which)
        boolean = step.in_avals[0].dtype == np.bool_
        if not (boolean and index == UNDECIDED):
            return run(step.bodies[int(np.clip(index, 0, len(step.bodies) - 1))], operands)
        if not joining:
            raise Undecided(f"balls cannot tell which branch is taken at {step.place}")
        branches = [run(step.bodies[answer], operands) for answer in (NO, YES)]
        return [join(a, b, aval.dtype) for a, b, aval in zip(*branches, step.out_avals, strict=True)]

    return {"scan": scan, "while": while_loop, "cond": cond}


def _stack(column: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    if not column:
        return np.empty(shape, dtype=object)
    return np.stack(column) if shape[1:] else np.array([item.item() for item in column], dtype=column[0].dtype)


__all__ = ["rules"]
