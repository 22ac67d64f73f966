"""A whole program as a single kernel of the CPU, in which loops and branches cost nothing to enter.

Each operation of a compiled program is otherwise started by XLA's runtime, 20 to 100 ns each: for a few variables that
is more than the arithmetic.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

from karush.jaxprs import loops
from karush.jaxprs.hidden import hidden
from karush.jaxprs.lean import COMBINE, WRITTEN_OUT, Rule, Rules, axes_of, evaluate, lean
from karush.jaxprs.walk import called

ONE_KERNEL = {"inlineable": "false", "xla_cpu_small_call": "true"}
"""What tells XLA to compile a call on its own, and its CPU compiler to make one kernel of it; others ignore it."""
LONGEST_KERNEL = 10_000
"""Operations of one kernel: LLVM compiles it on one thread."""
IN_A_KERNEL = frozenset(
    """
    abs acos acosh add add_any and argmax argmin asin asinh atan atan2 atanh broadcast_in_dim cbrt ceil clamp
    concatenate cond convert_element_type copy cos cosh cumlogsumexp cummax cummin cumprod cumsum digamma div
    dynamic_slice dynamic_update_slice eq erf erf_inv erfc exp exp2 expand_dims expm1 floor gather ge gt
    integer_pow iota is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter not
    optimization_barrier or pad platform_index pow reduce_and reduce_max reduce_min reduce_or reduce_prod
    reduce_sum rem reshape rev round rsqrt scan select_n shift_left shift_right_arithmetic shift_right_logical sign
    sin sinh slice split sqrt square squeeze stack stop_gradient sub tan tanh transpose while xor
    """.split()  # noqa: SIM905
)
"""Primitives that become arithmetic and loops on the CPU, no calls"""


def quickest(function: Callable[..., Any], *like: Any, options: Any) -> Callable[..., Any]:
    """`function` compiled for arrays `like` to be called often: as one kernel, else with small reductions written out.

    `options` are the compiler's for a program that is called but once, None for others.
    """
    kernel = one_kernel(function, *like) if options is None else None
    return kernel or jax.jit(lean(function, *like), compiler_options=options)


def one_kernel(function: Callable[..., Any], *like: Any) -> Callable[..., Any] | None:
    """`function` compiled for arrays `like` into a single kernel, whose loops and branches cost nothing to enter.

    None where that cannot be: on another device than the CPU, for a program that is long or needs library calls, and
    where XLA declines.
    """
    if jax.default_backend() != "cpu":
        return None
    closed = jax.make_jaxpr(function)(*like)
    if any(jnp.issubdtype(jnp.result_type(c), jax.dtypes.extended) for c in closed.consts):
        return None
    out_tree = jax.tree.structure(jax.eval_shape(function, *like))
    packed, unpack = _packed(closed.consts)

    def program(*arguments: Any) -> list[Any]:
        constants = unpack(lax.optimization_barrier(packed))
        given = [a if a.size else lax.full(a.shape, 0, a.dtype) for a in arguments]
        return _bound_to(arguments, evaluate(closed.jaxpr, constants, given, LOOPS))

    whole = hidden(jax.make_jaxpr(program)(*closed.in_avals))
    names = Counter(_primitives(whole.jaxpr))
    if not names.keys() <= IN_A_KERNEL or names.total() > LONGEST_KERNEL:
        return None

    def run(*arguments: Any) -> Any:
        with set_xla_metadata(**ONE_KERNEL):
            return jax.tree.unflatten(out_tree, jax.jit(jax.extend.core.jaxpr_as_fun(whole))(*arguments))

    try:
        return jax.jit(run).lower(*like).compile()
    except jax.errors.JaxRuntimeError:
        # Some of what XLA's passes make of a program has no form inside a kernel; the program itself is sound.
        return None


def _bound_to(arguments: Sequence[Any], outputs: list[Any]) -> list[Any]:
    """`outputs`, which depend on all `arguments` for all that XLA sees.

    XLA aborts the process where its simplification leaves an argument of a kernel unused, as ``0 * p`` of integers.
    """
    never: Any = False
    other: Any = np.float64(0.0)
    for argument in arguments:
        if argument.size:
            other = lax.reshape(argument, (argument.size,))[0]
            other = (lax.real(other) if jnp.iscomplexobj(other) else other).astype(np.float64)
            never |= (other < 0.0) & (other > 0.0)
    # Not a constant: where an output is one too, the choice between two equal ones would be simplified away.
    return [jnp.where(never, other.astype(out.dtype), out) for out in outputs]


def _packed(constants: Sequence[Any]) -> tuple[np.ndarray, Callable[[Any], list[Any]]]:
    """The arrays of floats and masks among `constants` as one vector, and the way back to all of them.

    XLA sets up a buffer for each constant at each call. Arrays of equal entries become scalars anyway.
    """
    vectors: list[np.ndarray] = [np.zeros(0)]
    places: list[int | None] = []
    size = 0
    for constant in constants:
        array = np.asarray(constant)
        uniform = array.size == 0 or np.all(array == array.flat[0])
        places.append(None if uniform or array.dtype not in (np.float64, np.bool_) else size)
        if places[-1] is not None:
            vectors.append(array.ravel().astype(np.float64))
            size += array.size

    def unpack(vector: Any) -> list[Any]:
        out = list(constants)
        for i, place in enumerate(places):
            if place is not None:
                shape = np.shape(out[i])
                part = lax.reshape(lax.slice(vector, (place,), (place + prod(shape),)), shape)
                out[i] = part > 0.5 if np.asarray(out[i]).dtype == np.bool_ else part
        return out

    return np.concatenate(vectors), unpack


def _primitives(jaxpr: Any) -> Iterator[str]:
    for equation in jaxpr.eqns:
        if called(equation) is None:
            yield equation.primitive.name
        for body in jax.extend.core.jaxprs_in_params(equation.params):
            yield from _primitives(body)


def _either(one: Rule, other: Rule) -> Rule:
    """The outputs of `one`, or of `other` where it has none."""

    def rule(inputs: list[Any], params: Any) -> Any:
        out = one(inputs, params)
        return other(inputs, params) if out is None else out

    return rule


SCATTER: dict[str, Callable[[Any, Any], Any]] = {"scatter": loops.replaced, "scatter-add": lax.add}

LOOPS: Rules = {
    **WRITTEN_OUT,
    **{
        name: _either(WRITTEN_OUT[name], lambda inputs, params, c=combine: loops.reduced(c, inputs[0], axes_of(params)))
        for name, combine in COMBINE.items()
    },
    "dot_general": _either(WRITTEN_OUT["dot_general"], lambda inputs, params: loops.dot(inputs[0], inputs[1], params)),
    "cholesky": _either(WRITTEN_OUT["cholesky"], lambda inputs, params: loops.cholesky(inputs[0])),
    "triangular_solve": _either(
        WRITTEN_OUT["triangular_solve"], lambda inputs, params: loops.triangular_solve(inputs[0], inputs[1], params)
    ),
    **{
        name: lambda inputs, params, c=combine: loops.scatter(c, inputs[0], inputs[1], inputs[2], params)
        for name, combine in SCATTER.items()
    },
    "top_k": lambda inputs, params: loops.top_k(inputs[0], params["k"]),
    "lu": lambda inputs, params: loops.lu(inputs[0]),
    "lu_pivots_to_permutation": lambda inputs, params: loops.permutation(inputs[0], params["permutation_size"]),
    "eigh": lambda inputs, params: (
        loops.eigh(inputs[0], params["lower"]) if params["subset_by_index"] is None else None
    ),
}

__all__ = ["one_kernel", "quickest"]
