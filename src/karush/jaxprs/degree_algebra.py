"""Rules of polynomial degree for single operations: sums, products, powers, and the moving about of elements.

A degree is a Python int where all elements of an array share it, else an int8 array of the array's shape.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from karush.jaxprs.walk import Step

CONSTANT, AFFINE, QUADRATIC, NONLINEAR = 0, 1, 2, 3
"""the degrees that matter; everything above 2 is 3"""

Degree = int | np.ndarray


def top(degree: Degree) -> int:
    """Largest degree of any element."""
    if isinstance(degree, int):
        return degree
    return int(degree.max()) if degree.size else CONSTANT


def settle(degree: Any) -> Degree:
    """Degrees, a NumPy array or scalar, as an int where all agree."""
    if degree.size == 0:
        return CONSTANT
    low = int(degree.min())
    return low if low == int(degree.max()) else degree


def full(degree: Degree, aval: Any) -> np.ndarray:
    """One degree per element of an array of this aval."""
    return np.broadcast_to(np.asarray(degree, np.int8), aval.shape)


def join(a: Degree, b: Degree) -> Degree:
    """Degree of a sum: ``deg(a + b) <= max(deg a, deg b)``."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else np.maximum(a, b).astype(np.int8)


def product(a: Degree, b: Degree) -> Degree:
    """Degree of a product: ``deg(a b) <= deg a + deg b``."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a + b, NONLINEAR)
    return np.asarray(np.minimum(np.add(a, b), NONLINEAR), dtype=np.int8)


def nonlinear(degree: Degree) -> Degree:
    """Degree of a function that is no polynomial: constant only where its argument is."""
    return NONLINEAR * (degree > 0) if isinstance(degree, int) else (NONLINEAR * (degree > 0)).astype(np.int8)


def other(step: Step, *operands: Degree) -> Sequence[Degree]:
    """Any primitive without a rule."""
    return [nonlinear(max(map(top, operands), default=CONSTANT))] * len(step.outputs)


def uniform(step: Step, *operands: Degree) -> Sequence[Degree]:
    """Linear in all its operands together; which reaches which element is not looked at."""
    return [max(map(top, operands), default=CONSTANT)] * len(step.outputs)


def same(step: Step, *operands: Degree) -> Sequence[Degree]:
    """A primitive that hands its operands on."""
    return operands


def sum_rule(step: Step, a: Degree, b: Degree) -> Sequence[Degree]:
    """``a + b`` or ``a - b``."""
    return (join(a, b),)


def multiply(step: Step, a: Degree, b: Degree) -> Sequence[Degree]:
    """``a b``."""
    return (product(a, b),)


def divide(step: Step, a: Degree, b: Degree) -> Sequence[Degree]:
    """``a / b``: a polynomial only over a constant; of integers, rounded, only if all is constant."""
    if np.issubdtype(step.out_avals[0].dtype, np.integer):
        return (nonlinear(join(a, b)),)
    return (product(a, nonlinear(b)),)


def _power_of(degree: Degree, exponent: int) -> Degree:
    if exponent < 0:
        return nonlinear(degree)
    if isinstance(degree, int):
        return min(degree * exponent, NONLINEAR)
    return np.minimum(degree.astype(int) * exponent, NONLINEAR).astype(np.int8)


def integer_power(step: Step, a: Degree) -> Sequence[Degree]:
    """``a^y`` with y fixed in the program."""
    return (_power_of(a, step.params["y"]),)


def squared(step: Step, a: Degree) -> Sequence[Degree]:
    """``a a``."""
    return (product(a, a),)


def power(step: Step, a: Degree, b: Degree) -> Sequence[Degree]:
    """``a^b``: a polynomial for a literal natural number b."""
    exponent = getattr(step.equation.invars[1], "val", None)
    if exponent is not None and np.ndim(exponent) == 0 and float(exponent).is_integer():
        return (_power_of(a, int(exponent)),)
    return (nonlinear(join(a, b)),)


def convert(step: Step, a: Degree) -> Sequence[Degree]:
    """Change of type: rounding to an integer is no polynomial."""
    kept = np.issubdtype(step.in_avals[0].dtype, np.integer) or np.issubdtype(step.out_avals[0].dtype, np.inexact)
    return (a if kept else nonlinear(a),)


def select(step: Step, which: Degree, *cases: Degree) -> Sequence[Degree]:
    """One of the cases, element by element: polynomial if the choice does not depend on x."""
    joined = cases[0]
    for case in cases[1:]:
        joined = join(joined, case)
    if isinstance(which, int) and which == CONSTANT:
        return (joined,)
    return (NONLINEAR,)


def moved(move: Callable[[Step, np.ndarray], np.ndarray]) -> Callable[..., Sequence[Degree]]:
    """Rule of a primitive that only moves the elements of its first operand, as `move` does."""

    def rule(step: Step, a: Degree, *indices: Degree) -> Sequence[Degree]:
        if isinstance(a, int):
            return (a,)
        return (settle(move(step, full(a, step.in_avals[0]))),)

    return rule


def broadcast(step: Step, a: np.ndarray) -> np.ndarray:
    """``broadcast_in_dim`` of degrees."""
    shape = step.params["shape"]
    placed = [1] * len(shape)
    for axis, dimension in enumerate(step.params["broadcast_dimensions"]):
        placed[dimension] = a.shape[axis]
    return np.broadcast_to(a.reshape(placed), shape)


def cut(step: Step, a: np.ndarray) -> np.ndarray:
    """``slice`` of degrees."""
    params = step.params
    strides = params["strides"] or (1,) * a.ndim
    return a[tuple(map(slice, params["start_indices"], params["limit_indices"], strides))]


def flip(step: Step, a: np.ndarray) -> np.ndarray:
    """``rev`` of degrees."""
    return np.flip(a, step.params["dimensions"])


def reduce_sum(step: Step, a: Degree) -> Sequence[Degree]:
    """Sum along axes."""
    if isinstance(a, int):
        return (a,)
    elements = full(a, step.in_avals[0])
    return (settle(elements.max(axis=step.params["axes"], initial=CONSTANT)),)


def reduce_prod(step: Step, a: Degree) -> Sequence[Degree]:
    """Product along axes: degrees add up."""
    elements = full(a, step.in_avals[0]).astype(int)
    return (settle(np.minimum(elements.sum(axis=step.params["axes"]), NONLINEAR).astype(np.int8)),)


def cumulative_sum(step: Step, a: Degree) -> Sequence[Degree]:
    """Running sum along one axis."""
    if isinstance(a, int):
        return (a,)
    axis, back = step.params["axis"], slice(None, None, -1 if step.params["reverse"] else 1)
    run = np.moveaxis(full(a, step.in_avals[0]), axis, 0)[back]
    return (np.moveaxis(np.maximum.accumulate(run)[back], 0, axis),)


def concatenate(step: Step, *parts: Degree) -> Sequence[Degree]:
    """Arrays side by side."""
    if all(isinstance(part, int) for part in parts) and len(set(parts)) == 1:
        return (parts[0],)
    whole = [full(part, aval) for part, aval in zip(parts, step.in_avals, strict=True)]
    return (settle(np.concatenate(whole, axis=step.params["dimension"])),)


def stacked(step: Step, *parts: Degree) -> Sequence[Degree]:
    """Arrays of one shape along a new axis."""
    if all(isinstance(part, int) for part in parts) and len(set(parts)) == 1:
        return (parts[0],)
    whole = [full(part, aval) for part, aval in zip(parts, step.in_avals, strict=True)]
    return (settle(np.stack(whole, axis=step.params["axis"])),)


def padded(step: Step, a: Degree, fill: Degree) -> Sequence[Degree]:
    """Padding, whose elements are not told apart."""
    if isinstance(a, int) and a == fill:
        return (a,)
    return (max(top(a), top(fill)),)


def split(step: Step, a: Degree) -> Sequence[Degree]:
    """One array cut into several."""
    if isinstance(a, int):
        return [a] * len(step.outputs)
    cuts = np.cumsum(step.params["sizes"])[:-1]
    return [settle(part) for part in np.split(full(a, step.in_avals[0]), cuts, axis=step.params["axis"])]


def indexed(step: Step, a: Degree, *indices: Degree) -> Sequence[Degree]:
    """Elements of `a` picked by an index of run time."""
    return (NONLINEAR,) if any(map(top, indices)) else (top(a),)


def scattered(step: Step, a: Degree, indices: Degree, updates: Degree) -> Sequence[Degree]:
    """Updates put or added at an index of run time: any element may be met."""
    return (NONLINEAR,) if top(indices) else (settle(np.asarray(join(a, top(updates)))),)


def updated(step: Step, a: Degree, update: Degree, *indices: Degree) -> Sequence[Degree]:
    """A block put at an index of run time: any element may be met."""
    return (NONLINEAR,) if any(map(top, indices)) else (join(a, top(update)),)


def contract(step: Step, a: Degree, b: Degree) -> Sequence[Degree]:
    """Sum over products. Bounded by the largest degree along the contracted axes of each operand by itself."""
    if isinstance(a, int) and isinstance(b, int):
        return (product(a, b),)
    (over_a, over_b), (batch_a, batch_b) = step.params["dimension_numbers"]
    avals = step.in_avals
    high_a = _free(full(a, avals[0]), over_a, batch_a)
    high_b = _free(full(b, avals[1]), over_b, batch_b)
    batch = len(batch_a)
    shape_a = high_a.shape + (1,) * (high_b.ndim - batch)
    shape_b = high_b.shape[:batch] + (1,) * (high_a.ndim - batch) + high_b.shape[batch:]
    return (settle(np.asarray(product(high_a.reshape(shape_a), high_b.reshape(shape_b)))),)


def _free(a: np.ndarray, over: Sequence[int], batch: Sequence[int]) -> np.ndarray:
    """Largest degree along the axes `over`; axes left in the order batch, free."""
    free = [axis for axis in range(a.ndim) if axis not in (*over, *batch)]
    moved = a.transpose((*batch, *free, *over))
    return np.asarray(moved.max(axis=tuple(range(len(batch) + len(free), a.ndim)), initial=CONSTANT))
