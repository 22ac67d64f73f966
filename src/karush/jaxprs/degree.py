"""Polynomial degree of a traced program in its first argument: constant, affine, quadratic, or more.

Degrees are upper bounds, propagated element by element: ``deg(a + b) <= max``, ``deg(a b) <= sum``. What is not known
to be a polynomial counts as ``NONLINEAR``. Elements are kept apart where shapes allow, so the rows of one vector may
differ; where an index is only known at run time, the largest degree of what it can reach stands for all.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr

from karush.jaxprs import degree_algebra as algebra
from karush.jaxprs.degree_algebra import (
    AFFINE,
    CONSTANT,
    NONLINEAR,
    QUADRATIC,
    Degree,
    full,
    join,
    nonlinear,
    product,
    settle,
    top,
)
from karush.jaxprs.walk import Program, Step, inline, interpret

SWEEPS = 4 * (NONLINEAR + 1)
"""passes over a loop body until its carry is given up as nonlinear; a uniform carry settles within NONLINEAR + 1"""


def degrees(closed_jaxpr: ClosedJaxpr) -> tuple[int, np.ndarray]:
    """Degrees in x of ``(x (n,), *params) -> (value (), rows (m,))``.

    Returns
    -------
    value_degree : int
        0 constant, 1 affine, 2 quadratic, 3 anything else or unknown.
    row_degrees : (m,) int array
        the same of every row.
    """
    program = inline(closed_jaxpr)
    value, rows = interpret(
        program, (AFFINE, *[CONSTANT] * (len(program.inputs) - 1)), RULES, default=algebra.other, lift=_lift
    )
    shape = np.shape(closed_jaxpr.out_avals[1])
    return top(value), np.array(np.broadcast_to(rows, shape), dtype=int)


def _lift(constant: Any) -> Degree:
    return CONSTANT


def _bilinear(step: Step, a: Degree, b: Degree) -> Sequence[Degree]:
    return (product(top(a), top(b)),)


def _triangular_solve(step: Step, matrix: Degree, right: Degree) -> Sequence[Degree]:
    return (product(nonlinear(top(matrix)), top(right)),)


def _linear_solve(step: Step, *operands: Degree) -> Sequence[Degree]:
    """``A z = b`` by what ``solve`` computes: that it is linear in b is its author's claim."""
    sizes = step.params["const_lengths"]
    before = sizes.matvec + sizes.vecmat
    solve = inline(step.params["jaxprs"].solve)
    return _run(solve, (*operands[before : before + sizes.solve], *operands[sum(sizes) :]))


def _run(body: Program, operands: Sequence[Degree]) -> list[Degree]:
    return interpret(body, operands, RULES, default=algebra.other, lift=_lift)


def _fixed_point(carry: list[Degree], turn: Callable[[list[Degree]], list[Degree]]) -> list[Degree]:
    """Least carry that one turn of the loop does not raise; entries that have not settled in time are nonlinear."""
    for _ in range(SWEEPS):
        after = [join(old, new) for old, new in zip(carry, turn(carry), strict=True)]
        if all(np.array_equal(old, new) for old, new in zip(carry, after, strict=True)):
            return carry
        carry = after
    return [NONLINEAR] * len(carry)


def _scan(step: Step, *operands: Degree) -> Sequence[Degree]:
    body, params = step.bodies[0], step.params
    first, last = params["num_consts"], params["num_consts"] + params["num_carry"]
    constants = operands[:first]
    slices = [
        run if isinstance(run, int) else settle(full(run, aval).max(axis=0, initial=CONSTANT))
        for run, aval in zip(operands[last:], step.in_avals[last:], strict=True)
    ]

    def turn(carry: list[Degree]) -> list[Degree]:
        return _run(body, (*constants, *carry, *slices))

    carry = _fixed_point(list(operands[first:last]), lambda carry: turn(carry)[: params["num_carry"]])
    # A stacked output has one axis more than the body's: a degree per slice element broadcasts along it.
    return [*carry, *turn(carry)[params["num_carry"] :]]


def _while(step: Step, *operands: Degree) -> Sequence[Degree]:
    goes_on, body = step.bodies
    first = step.params["cond_nconsts"]
    last = first + step.params["body_nconsts"]
    carry = _fixed_point(list(operands[last:]), lambda carry: _run(body, (*operands[first:last], *carry)))
    if top(_run(goes_on, (*operands[:first], *carry))[0]):
        return [NONLINEAR] * len(carry)
    return carry


def _cond(step: Step, which: Degree, *operands: Degree) -> Sequence[Degree]:
    if top(which):
        return [NONLINEAR] * len(step.outputs)
    results = [_run(branch, operands) for branch in step.bodies]
    joined = results[0]
    for result in results[1:]:
        joined = [join(a, b) for a, b in zip(joined, result, strict=True)]
    return joined


RULES: dict[str, Callable[..., Sequence[Degree]]] = {
    **dict.fromkeys(("neg", "copy", "copy_p", "device_put", "stop_gradient", "reduce_precision", "name"), algebra.same),
    **dict.fromkeys(("optimization_barrier", "real", "imag", "conj"), algebra.same),
    **dict.fromkeys(("add", "sub", "add_any"), algebra.sum_rule),
    **dict.fromkeys(("gather", "dynamic_slice"), algebra.indexed),
    **dict.fromkeys(("scatter", "scatter-add", "scatter-sub"), algebra.scattered),
    "mul": algebra.multiply,
    "div": algebra.divide,
    "integer_pow": algebra.integer_power,
    "square": algebra.squared,
    "pow": algebra.power,
    "convert_element_type": algebra.convert,
    "select_n": algebra.select,
    "broadcast_in_dim": algebra.moved(algebra.broadcast),
    "reshape": algebra.moved(lambda step, a: a.reshape(step.params["new_sizes"])),
    "squeeze": algebra.moved(lambda step, a: a.squeeze(tuple(step.params["dimensions"]))),
    "expand_dims": algebra.moved(lambda step, a: a.reshape(step.out_avals[0].shape)),
    "transpose": algebra.moved(lambda step, a: a.transpose(step.params["permutation"])),
    "slice": algebra.moved(algebra.cut),
    "rev": algebra.moved(algebra.flip),
    "reduce_sum": algebra.reduce_sum,
    "reduce_prod": algebra.reduce_prod,
    "cumsum": algebra.cumulative_sum,
    "concatenate": algebra.concatenate,
    "stack": algebra.stacked,
    "tile": algebra.moved(lambda step, a: np.tile(a, step.params["reps"])),
    "pad": algebra.padded,
    "split": algebra.split,
    "dynamic_update_slice": algebra.updated,
    "dot_general": algebra.contract,
    "conv_general_dilated": _bilinear,
    "fft": algebra.uniform,
    "triangular_solve": _triangular_solve,
    "custom_linear_solve": _linear_solve,
    "scan": _scan,
    "while": _while,
    "cond": _cond,
}

__all__ = ["AFFINE", "CONSTANT", "NONLINEAR", "QUADRATIC", "degrees"]
