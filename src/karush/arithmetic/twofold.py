"""Any JAX program in twofold arithmetic: about twice the digits of the dtype it is written in.

```
f(x)  ->  fl(F(x)),    F = the program of f with every operation on unevaluated sums hi + lo,   |F - f| ~ 2^(-2p) sizes
```

The inputs, the literals and the result are floats of the program's own dtype; nothing is computed in a wider one.
What cancels in the upper parts survives in the lower ones, which keep their own relative accuracy: ``1 - cos x``,
``exp x - 1`` and ``sqrt(1 + x) - 1`` are right for every x. What it cannot do: leave the exponent range of the dtype,
and undo a cancellation of more than 2p digits.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic import far_rules, twofold_rules, twofold_special, twofold_wide_rules
from karush.arithmetic.twofold_numbers import Twofold
from karush.jaxprs.walk import Program, Step, inline, interpret

LARGEST_JACOBIAN = 1 << 20
"""entries of a Jacobian that is formed to differentiate a compensated function; above, the derivative is plain"""


class TwofoldProgram:
    """A closed jaxpr called with arrays or twofold numbers, inside or outside a trace; its outputs are twofold.

    Custom derivative rules in the program play no part. Call it with JAX's standard promotion.
    """

    def __init__(self, closed_jaxpr: Any, system: Any = twofold_rules):
        self.program: Program = inline(closed_jaxpr)
        self.system = system

    def __call__(self, *arguments: Any) -> list[Any]:
        """Values of the outputs: twofold where they are floats.

        Raises
        ------
        TraceError
            for a primitive or dtype without a rule, with its name and the user's line.
        """
        system = self.system
        return interpret(self.program, [system.enter(item) for item in arguments], system.RULES, lift=system.lift)

    @property
    def plain(self) -> list[Step]:
        """Steps whose results have plain accuracy only, bodies of control flow included."""
        return list(plain_steps(self.program))


def plain_steps(program: Program) -> Iterator[Step]:
    """Steps of a program, and of its bodies, for which `twofold_special` has no twofold algorithm."""
    for step in program.steps:
        if step.primitive in twofold_special.PLAIN:
            yield step
        for body in step.bodies:
            yield from plain_steps(body)


def evaluate(function: Callable[..., Any], arguments: tuple[Any, ...], system: Any = twofold_rules) -> Any:
    """`function` of these arguments, computed in a number system and rounded."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        closed_jaxpr, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        program = TwofoldProgram(closed_jaxpr, system)
        leaves = [program.system.rounded(value) for value in program(*jax.tree_util.tree_leaves(arguments))]
    return jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(shape), leaves)


def compensated(function: Callable[..., Any], *, wide: bool = False) -> Callable[..., Any]:
    """The same function, computed in twofold arithmetic of its own dtype.

    ```
    g(x) = fl(F(x)),    g'(x) = fl(F'(x)),    and so on
    ```

    It can be traced, mapped and differentiated as any JAX function: the derivatives are compensated too. Inputs and
    results keep their dtype, float32 or float64, and structure.

    Parameters
    ----------
    function
        JAX function of pytrees of arrays.
    wide
        Keep every exponent, and anchors (`karush.arithmetic.twofold_wide`): for intermediate results that leave the
        range of the dtype, at about three times the cost.

    Raises
    ------
    TraceError
        on the first call: for a primitive without a rule, with the user's line, or for half precision.
    """
    return computed(function, twofold_wide_rules if wide else twofold_rules)


def far_reaching(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function in floats of its own dtype that have an exponent of their own: no step leaves the range.

    It can be traced, mapped and differentiated as any JAX function; its derivatives are computed likewise.
    """
    return computed(function, far_rules)


def computed(function: Callable[..., Any], system: Any) -> Callable[..., Any]:
    """The same function, it and its derivatives computed in a number system: a module of rules."""

    @jax.custom_jvp
    def run(arguments: tuple[Any, ...]) -> Any:
        return evaluate(function, arguments, system)

    @run.defjvp
    def derivative(primals: Any, tangents: Any) -> Any:
        (arguments,), (moves,) = primals, tangents
        return run(arguments), moved_by(function, arguments, moves, system)

    inner = jax.jit(run)

    def outer(*arguments: Any) -> Any:
        return inner(arguments)

    return outer


def moved_by(function: Callable[..., Any], arguments: tuple[Any, ...], moves: tuple[Any, ...], system: Any) -> Any:
    """``F'(x) moves``: a Jacobian in the number system, and its product with the move, which JAX can transpose."""
    leaves, treedef = jax.tree_util.tree_flatten(arguments)
    steps = jax.tree_util.tree_leaves(moves)
    chosen = [k for k, leaf in enumerate(leaves) if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)]
    shapes = jax.eval_shape(function, *arguments)
    out_leaves, out_tree = jax.tree_util.tree_flatten(shapes)
    real = [k for k, leaf in enumerate(out_leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    size_in = sum(int(np.prod(jnp.shape(leaves[k]))) for k in chosen)
    size_out = sum(int(np.prod(out_leaves[k].shape)) for k in real)

    def of_reals(floats: list[Any], others: list[Any]) -> list[Any]:
        filled: list[Any] = list(others)
        for k, value in zip(chosen, floats, strict=True):
            filled[k] = value
        out = jax.tree_util.tree_leaves(function(*jax.tree_util.tree_unflatten(treedef, filled)))
        return [out[k] for k in real]

    floats, ahead = [leaves[k] for k in chosen], [steps[k] for k in chosen]
    if size_in * size_out > LARGEST_JACOBIAN:
        changes = jax.jvp(lambda at: of_reals(at, leaves), (floats,), (ahead,))[1]
    else:
        differentiate = jax.jacfwd if size_in <= size_out else jax.jacrev
        matrix = computed(differentiate(of_reals), system)(floats, leaves)
        changes = [
            sum((jnp.tensordot(block, step, jnp.ndim(step)) for block, step in zip(row, ahead, strict=True)))
            for row in matrix
        ]
    full: list[Any] = [np.zeros(leaf.shape, jax.dtypes.float0) for leaf in out_leaves]
    for k, change in zip(real, changes, strict=True):
        full[k] = change
    return jax.tree_util.tree_unflatten(out_tree, full)


__all__ = ["Twofold", "TwofoldProgram", "compensated", "evaluate", "far_reaching"]
