"""Values that do not depend on x at all, computed only when asked for: indices, masks, constant coefficients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax.core import Tracer

from karush.derivatives.index_sets import Sets, made
from karush.jaxprs.walk import Step, bind

LARGEST = 3_000_000
"""elements of an array from which it is not computed: to know where it is zero would cost more than it saves"""


@dataclass(slots=True, eq=False)
class Value:
    """What an analysis knows of one array."""

    sets: Sets | None = None
    """the entries of v that each element can depend on; None: on none"""
    known: "Known | None" = None
    """its numbers, if they are the same for every x"""


@dataclass(slots=True, eq=False)
class Known:
    """Output `index` of `step` at `sources`, or `array` once it is computed."""

    array: Any = None
    step: Step | None = None
    sources: "tuple[Known, ...]" = ()
    index: int = 0

    def get(self) -> Any:
        """The array."""
        if self.array is None and self.step is not None:
            values = [source.get() for source in self.sources]
            compute = NUMPY.get(self.step.primitive)
            if compute is None:
                out = bind(self.step, *values)[self.index]
            else:
                aval = self.step.out_avals[self.index]
                with np.errstate(all="ignore"):
                    array = np.asarray(compute(self.step, *map(np.asarray, values))).astype(aval.dtype)
                out = np.broadcast_to(array, aval.shape)
            self.array, self.step, self.sources = out, None, ()
        return self.array


def array_of(value: Value) -> np.ndarray | None:
    """Its numbers, or None where they are not known."""
    if value.known is None:
        return None
    return np.asarray(value.known.get())


def sets_of(value: Value, size: int, n: int) -> Sets:
    """The sets of a value, empty ones if it depends on nothing."""
    return made(np.zeros(size + 1, np.int64), np.zeros(0, np.int32), n) if value.sets is None else value.sets


def width(values: Sequence[Value]) -> int:
    """n, the number of entries of v."""
    return next(value.sets.shape[1] for value in values if value.sets is not None)


def lift(constant: Any) -> Value:
    """A captured array or a literal; one that an outer trace stands for is not known."""
    return Value() if isinstance(constant, Tracer) else Value(known=Known(constant))


def quiet(step: Step, values: Sequence[Value]) -> list[Value]:
    """Outputs of a step of which no input depends on v."""
    sources = tuple(value.known for value in values if value.known is not None)
    small = all(getattr(aval, "size", 0) <= LARGEST for aval in step.out_avals)
    if len(sources) < len(values) or not small or step.equation.effects:
        return [Value() for _ in step.outputs]
    return [Value(known=Known(None, step, sources, index)) for index in range(len(step.outputs))]


def _broadcast(step: Step, value: np.ndarray, *shape: np.ndarray) -> np.ndarray:
    target = step.out_avals[0].shape
    along = [1] * len(target)
    for size, dimension in zip(value.shape, step.params["broadcast_dimensions"], strict=True):
        along[dimension] = size
    return np.broadcast_to(value.reshape(along), target)


def _iota(step: Step, *shape: np.ndarray) -> np.ndarray:
    target, dimension = step.out_avals[0].shape, step.params["dimension"]
    along = [1] * len(target)
    along[dimension] = target[dimension]
    return np.broadcast_to(np.arange(target[dimension]).reshape(along), target)


def _reshaped(step: Step, value: np.ndarray, *shape: np.ndarray) -> np.ndarray:
    return value.reshape(step.out_avals[0].shape)


def _chosen(step: Step, which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    if len(cases) == 1:
        return cases[0]
    if len(cases) == 2:
        return np.asarray(np.where(which, cases[1], cases[0]))
    return np.select([which == index for index in range(len(cases))], cases)


def _binary(function: Callable[[Any, Any], Any]) -> Callable[..., np.ndarray]:
    return lambda step, one, other: function(one, other)


NUMPY: dict[str, Callable[..., np.ndarray]] = {
    "add": _binary(np.add),
    "sub": _binary(np.subtract),
    "mul": _binary(np.multiply),
    "lt": _binary(np.less),
    "le": _binary(np.less_equal),
    "gt": _binary(np.greater),
    "ge": _binary(np.greater_equal),
    "eq": _binary(np.equal),
    "ne": _binary(np.not_equal),
    "max": _binary(np.maximum),
    "min": _binary(np.minimum),
    "and": _binary(np.bitwise_and),
    "or": _binary(np.bitwise_or),
    "neg": lambda step, value: -value,
    "convert_element_type": lambda step, value: value,
    "select_n": _chosen,
    "broadcast_in_dim": _broadcast,
    "iota": _iota,
    "reshape": _reshaped,
    "squeeze": _reshaped,
    "concatenate": lambda step, *parts: np.concatenate(parts, axis=step.params["dimension"]),
}
"""Index arithmetic without a compilation: XLA takes some 10 ms for the first of each kind and shape."""


__all__ = ["Known", "Value", "array_of", "lift", "quiet", "sets_of", "width"]
