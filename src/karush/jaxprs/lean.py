"""The same program with its small reductions written out, so that a call of the compiled program costs less.

```
reduce_sum(a, axis of length 3)   ->   a_0 + a_1 + a_2
```

XLA's CPU client sets up three buffers of about 0.17 µs for every reduction that stands anywhere in a program, executed
or not, and LAPACK calls cost about 1 µs each. A solve of a few variables holds 50 of them: 20 of its 45 µs.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
from jax import lax

from karush.jaxprs.walk import called

LONGEST = 4
"""terms of a reduction up to which it is written out: beyond, kernels grow and LLVM takes longer"""
LARGEST = 64
"""numbers that a written-out reduction may give"""

Rule = Callable[[list[Any], Any], Any]
"""``rule(inputs, params)``: the outputs of an equation, None where it does not apply"""
Rules = Mapping[str, Rule]
Read = Callable[[str, jax.extend.core.Literal], Any]
"""``read(name of the equation's primitive, literal)``: the value that an equation takes for a literal"""

COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "reduce_sum": lax.add,
    "reduce_max": lax.max,
    "reduce_min": lax.min,
    "reduce_and": lax.bitwise_and,
    "reduce_or": lax.bitwise_or,
}


def lean(function: Callable[..., Any], *like: Any) -> Callable[..., Any]:
    """`function`, of arrays shaped as `like`, with its small reductions written out; to be compiled."""
    closed = jax.make_jaxpr(function)(*like)
    out_tree = jax.tree.structure(jax.eval_shape(function, *like))

    def run(*arguments: Any) -> Any:
        leaves = jax.tree.leaves(arguments)
        return jax.tree.unflatten(out_tree, evaluate(closed.jaxpr, closed.consts, leaves, WRITTEN_OUT))

    return run


def evaluate(
    jaxpr: Any,
    constants: Sequence[Any],
    arguments: Sequence[Any],
    rules: Rules,
    literal: Read = lambda name, literal: literal.val,
) -> list[Any]:
    """The outputs of a program, its equations replaced by `rules` where they apply, its literals read by `literal`."""
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, constants, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))

    def read(name: str, atom: Any) -> Any:
        return literal(name, atom) if isinstance(atom, jax.extend.core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        out = _step(equation, [read(equation.primitive.name, atom) for atom in equation.invars], rules, literal)
        values.update(zip(equation.outvars, out, strict=True))
    return [read("", atom) for atom in jaxpr.outvars]


def _step(equation: Any, inputs: list[Any], rules: Rules, literal: Read) -> Sequence[Any]:
    name, params = equation.primitive.name, equation.params
    body = called(equation)
    if body is not None:
        return evaluate(body.jaxpr, body.consts, inputs, rules, literal)
    if name == "while" and not params["cond_jaxpr"].out_avals[0].shape:
        return _while(params, inputs, rules, literal)
    if name == "cond":
        branches = [_function(branch, rules, literal) for branch in params["branches"]]
        return lax.switch(inputs[0], branches, *inputs[1:])
    out = rules[name](inputs, params) if name in rules else None
    if out is None:
        return _bound(equation, inputs)
    return out if equation.primitive.multiple_results else [out]


def _bound(equation: Any, inputs: list[Any]) -> Sequence[Any]:
    with equation.ctx.manager:
        out = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(equation.params))
    return out if equation.primitive.multiple_results else [out]


def _function(closed: Any, rules: Rules, literal: Read) -> Callable[..., Any]:
    return lambda *arguments: evaluate(closed.jaxpr, closed.consts, arguments, rules, literal)


def _while(params: Any, inputs: list[Any], rules: Rules, literal: Read) -> Sequence[Any]:
    first = params["cond_nconsts"]
    last = first + params["body_nconsts"]
    condition = _function(params["cond_jaxpr"], rules, literal)
    body = _function(params["body_jaxpr"], rules, literal)
    return lax.while_loop(
        lambda carry: condition(*inputs[:first], *carry)[0],
        lambda carry: body(*inputs[first:last], *carry),
        list(inputs[last:]),
    )


def _reduced(combine: Callable[[Any, Any], Any], array: Any, axes: tuple[int, ...]) -> Any:
    shape = jnp.shape(array)
    terms = prod(shape[axis] for axis in axes)
    if not 0 < terms <= LONGEST or prod(shape) > terms * LARGEST:
        return None
    out = None
    for index in product(*(range(shape[axis]) for axis in axes)):
        place: list[Any] = [slice(None)] * len(shape)
        for axis, i in zip(axes, index, strict=True):
            place[axis] = slice(i, i + 1)
        term = lax.squeeze(lax.slice(array, *_limits(place, shape)), axes)
        out = term if out is None else combine(out, term)
    return out


def _dot(a: Any, b: Any, params: Any) -> Any:
    """Products of vectors and matrices: ``Σ_k a_k b_k``."""
    (left, right), batch = params["dimension_numbers"]
    if batch != ((), ()) or len(left) != 1 or not 0 < a.shape[left[0]] <= LONGEST:
        return None
    if a.ndim > 2 or b.ndim > 2 or a.size * b.size > LARGEST * LONGEST or a.dtype != b.dtype:
        return None
    if params["preferred_element_type"] != a.dtype:
        return None
    out = None
    for k in range(a.shape[left[0]]):
        one, other = lax.index_in_dim(a, k, left[0], False), lax.index_in_dim(b, k, right[0], False)
        if one.ndim == 1 and other.ndim == 1:
            one = lax.broadcast_in_dim(one, (one.size, other.size), (0,))
            other = lax.broadcast_in_dim(other, one.shape, (1,))
        elif one.ndim != other.ndim:
            one, other = jnp.broadcast_arrays(one, other)
        out = one * other if out is None else out + one * other
    return out


def _cholesky(a: Any) -> Any:
    """``a = L Lᵀ`` row by row; NaN, all of it, for a pivot that is not positive."""
    n = a.shape[-1]
    if a.ndim != 2 or not 0 < n <= LONGEST or jnp.iscomplexobj(a):
        return None
    L: dict[tuple[int, int], Any] = {}
    for j in range(n):
        pivot = a[j, j] - sum((L[j, k] * L[j, k] for k in range(j)), jnp.zeros((), a.dtype))
        L[j, j] = jnp.sqrt(jnp.where(pivot > 0, pivot, jnp.nan))
        for i in range(j + 1, n):
            L[i, j] = (a[i, j] - sum((L[i, k] * L[j, k] for k in range(j)), jnp.zeros((), a.dtype))) / L[j, j]
    zero = jnp.zeros((), a.dtype)
    failed = jnp.isnan(L[n - 1, n - 1])
    L = {place: jnp.where(failed, jnp.nan, value) for place, value in L.items()}
    return jnp.stack([jnp.stack([L.get((i, j), zero) for j in range(n)]) for i in range(n)])


def _triangular_solve(a: Any, b: Any, params: Any) -> Any:
    """x of ``a x = b`` or ``aᵀ x = b``, for one right-hand side (n, 1)."""
    n = a.shape[-1]
    plain = a.ndim == 2 and b.shape == (n, 1) and params["left_side"]
    if not plain or params["unit_diagonal"] or params["conjugate_a"] or not 0 < n <= LONGEST:
        return None
    transposed = params["transpose_a"]
    forward = params["lower"] != transposed
    x: dict[int, Any] = {}
    for i in range(n) if forward else reversed(range(n)):
        rest = b[i, 0]
        for k, known in x.items():
            rest = rest - (a[k, i] if transposed else a[i, k]) * known
        x[i] = rest / a[i, i]
    return jnp.stack([x[i] for i in range(n)])[:, None]


def _limits(place: list[Any], shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    found = [one.indices(size)[:2] for one, size in zip(place, shape, strict=True)]
    return [low for low, _ in found], [high for _, high in found]


def axes_of(params: Any) -> tuple[int, ...]:
    """Axes of a reduction."""
    return tuple(int(axis) for axis in params["axes"])


WRITTEN_OUT: Rules = {
    **{
        name: lambda inputs, params, combine=combine: _reduced(combine, inputs[0], axes_of(params))
        for name, combine in COMBINE.items()
    },
    "dot_general": lambda inputs, params: _dot(inputs[0], inputs[1], params),
    "cholesky": lambda inputs, params: _cholesky(inputs[0]),
    "triangular_solve": lambda inputs, params: _triangular_solve(inputs[0], inputs[1], params),
}
__all__ = ["COMBINE", "WRITTEN_OUT", "Read", "Rule", "Rules", "axes_of", "evaluate", "lean"]
