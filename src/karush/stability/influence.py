"""Which inputs each output of a straight program may depend on, element by element, through values and through answers.

```
F_j(x) = F_j(x')  for every x' that agrees with x at the inputs of j: in exact and in floating-point arithmetic
```

Elementwise operations pass on the inputs of their operands' elements; what moves elements moves them; sums join
them; of every other operation each result may depend on all that its operands depend on.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from karush.arithmetic import interval_functions, interval_logic, interval_special
from karush.arithmetic.interval_arrays import MOVING
from karush.jaxprs.walk import Step, bind, inline
from karush.stability.straight import typed

ELEMENTWISE = frozenset(
    {*interval_functions.UNARY, *interval_special.UNARY, *interval_logic.COMPARISONS}
    | {"sign", "floor", "ceil", "round", "add", "add_any", "sub", "mul", "div", "max", "min", "clamp", "pow"}
    | {"integer_pow", "rem", "atan2", "select_n", "convert_element_type", "and", "or", "not", "xor", "is_finite"}
)
REDUCED = frozenset({"reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_and", "reduce_or"})
MOST_GROUPS = 8
"""groups of outputs that are treated one by one"""


class Group(NamedTuple):
    """Outputs that may depend on the same inputs."""

    outputs: np.ndarray
    """(m,) bool"""
    inputs: np.ndarray
    """(n,) bool"""


def groups(straight: Any) -> list[Group]:
    """The outputs by the inputs that they may depend on; one group of all where these would be too many."""
    reach = influences(straight)
    rows = np.unique(reach, axis=0)
    if len(rows) > MOST_GROUPS:
        return [Group(np.ones(len(reach), bool), np.asarray(reach.any(axis=0)))]
    return [Group(np.asarray((reach == row).all(axis=1)), row) for row in rows]


def influences(straight: Any) -> np.ndarray:
    """(m, n): whether output j may depend on input i."""
    program = typed(inline(straight))
    n = int(np.prod(straight.in_avals[0].shape))
    reach: dict[int, np.ndarray] = {program.inputs[0]: np.eye(n, dtype=bool)}
    known: dict[int, Any] = dict(program.constants)
    for step in program.steps:
        if all(slot in known for slot in step.inputs):
            known.update(zip(step.outputs, bind(step, *[known[slot] for slot in step.inputs]), strict=True))
            continue
        masks = [
            reach[slot] if slot in reach else np.zeros((n, *aval.shape), bool)
            for slot, aval in zip(step.inputs, step.in_avals, strict=True)
        ]
        reach.update(zip(step.outputs, _passed(step, masks, known, n), strict=True))
    last = program.outputs[0]
    shape = (n, *straight.out_avals[0].shape)
    return reach.get(last, np.zeros(shape, bool)).reshape(n, -1).T


def _passed(step: Step, masks: Sequence[np.ndarray], known: dict[int, Any], n: int) -> Sequence[Any]:
    """Masks (n, *shape) of the results."""
    name, shapes = step.primitive, [aval.shape for aval in step.out_avals]
    if name in ELEMENTWISE:
        joined = np.zeros((n, *shapes[0]), bool)
        for mask in masks:
            # A scalar operand, as the answer of a select may be, counts for every element.
            joined |= mask if mask.ndim == joined.ndim else mask.reshape(n, *[1] * len(shapes[0]))
        return [joined]
    if name in REDUCED:
        return [masks[0].any(axis=tuple(axis + 1 for axis in step.params["axes"]))]
    steered = [aval.dtype.kind in "iu" and slot not in known for slot, aval in _operands(step)]
    if name in MOVING and not any(steered):
        return _moved(step, masks, known)
    everything = np.any([mask.reshape(n, -1).any(axis=1) for mask in masks], axis=0)
    return [np.broadcast_to(everything.reshape(n, *[1] * len(shape)), (n, *shape)) for shape in shapes]


def _operands(step: Step) -> list[tuple[int, Any]]:
    return list(zip(step.inputs, step.in_avals, strict=True))


def _moved(step: Step, masks: Sequence[np.ndarray], known: dict[int, Any]) -> Sequence[Any]:
    """The step itself on the masks, and on the integers that steer it."""
    steering = [aval.dtype.kind in "iu" for _, aval in _operands(step)]

    def run(*parts: Any) -> tuple[Any, ...]:
        given = iter(parts)
        return tuple(
            bind(
                step,
                *[
                    known[slot] if steers else next(given)
                    for (slot, _), steers in zip(_operands(step), steering, strict=True)
                ],
            )
        )

    parts = [
        mask.astype(aval.dtype)
        for mask, (_, aval), steers in zip(masks, _operands(step), steering, strict=True)
        if not steers
    ]
    return [np.asarray(out) != 0 for out in jax.vmap(run)(*parts)]


__all__ = ["Group", "groups", "influences"]
