"""Any JAX program in twofold arithmetic: about twice the digits of the dtype it is written in.

```
f(x)  ->  fl(F(x)),    F = the program of f with every operation on unevaluated sums hi + lo,   |F - f| ~ 2^(-2p) sizes
```

The inputs, the literals and the result are floats of the program's own dtype; nothing is computed in a wider one.
What cancels in the upper parts survives in the lower ones, which keep their own relative accuracy: ``1 - cos x``,
``exp x - 1`` and ``sqrt(1 + x) - 1`` are right for every x. What it cannot do: leave the exponent range of the dtype,
and undo a cancellation of more than 2p digits.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic import twofold_arrays as arrays
from karush.arithmetic import twofold_control as control
from karush.arithmetic import twofold_exp as exponentials
from karush.arithmetic import twofold_logic as logic
from karush.arithmetic import twofold_numbers as numbers
from karush.arithmetic import twofold_special as special
from karush.arithmetic import twofold_waves as waves
from karush.arithmetic.twofold_numbers import FORMATS, Twofold
from karush.core.errors import TraceError
from karush.jaxprs.walk import Program, Rule, Step, bind, inline, interpret

Values = Sequence[Any]
LARGEST_POWER = 1024
"""integer exponents up to which a power is a product"""
LARGEST_JACOBIAN = 1 << 20
"""entries of a Jacobian that is formed to differentiate a compensated function; above, the derivative is plain"""


def unary(function: Callable[[Twofold], Twofold]) -> Rule:
    """Rule of a function of one number."""
    return lambda step, a: (function(a),)


def binary(function: Callable[[Twofold, Twofold], Twofold]) -> Rule:
    """Rule of a function of two numbers."""
    return lambda step, a, b: (function(a, b),)


def power(step: Step, a: Twofold, b: Any) -> Values:
    """``a^b``: a product where the exponent is an integer written in the program or of integer dtype."""
    written = getattr(step.equation.invars[1], "val", None)
    if written is not None and np.ndim(written) == 0 and whole(float(written)):
        return (exponentials.whole_power(a, int(written)),)
    if not isinstance(b, Twofold):
        (b,) = (numbers.exact(jnp.asarray(b).astype(a.hi.dtype)),)
    return (exponentials.power(a, b),)


def whole(value: float) -> bool:
    """Whether an exponent is an integer that is worth multiplying out."""
    return value.is_integer() and abs(value) <= LARGEST_POWER


def integer_power(step: Step, a: Twofold) -> Values:
    """``a^y``."""
    return (exponentials.whole_power(a, int(step.params["y"])),)


def rsqrt(a: Twofold) -> Twofold:
    """``1 / sqrt a``."""
    return numbers.reciprocal(numbers.sqrt(a))


OWN: dict[str, Rule] = {
    **{name: binary(getattr(numbers, name)) for name in ("add", "sub", "mul", "div")},
    "add_any": binary(numbers.add),
    **{name: unary(getattr(numbers, name)) for name in ("sqrt", "square")},
    "rsqrt": unary(rsqrt),
    "abs": unary(numbers.absolute),
    **{
        name: unary(getattr(exponentials, name))
        for name in ("exp", "exp2", "expm1", "log", "log1p", "logistic", "cbrt", "asinh", "acosh", "atanh")
    },
    **{
        name: unary(getattr(waves, name))
        for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")
    },
    "atan2": binary(waves.atan2),
    "pow": power,
    "integer_pow": integer_power,
    "max": binary(arrays.maximum),
    "min": binary(arrays.minimum),
    "floor": unary(logic.floor),
    "ceil": unary(logic.ceil),
    "sign": unary(logic.sign),
    "rem": binary(logic.rem),
    **logic.RULES,
    **arrays.RULES,
    **special.RULES,
}


def guarded(rule: Rule) -> Rule:
    """`rule` where an operand is twofold; integers and answers are computed as they are, what they make is lifted."""

    def guard(step: Step, *operands: Any) -> Values:
        if any(isinstance(operand, Twofold) for operand in operands):
            return rule(step, *operands)
        return [lift(value) for value in bind(step, *operands)]

    return guard


def only_exact(step: Step, *operands: Any) -> Values:
    """A primitive that makes integers or answers of integers or answers.

    Raises
    ------
    TraceError
        if it takes real numbers: it has no rule here.
    """
    raise TraceError(
        f"the primitive '{step.primitive}' at {step.place} has no rule in twofold arithmetic: "
        "write that line with other operations"
    )


EXACT = (
    "iota", "empty", "empty2", "and", "or", "not", "xor", "shift_left", "shift_right_logical", "clz",
    "shift_right_arithmetic", "population_count", "reduce_and", "reduce_or", "reduce_xor", "random_bits",
    "random_seed", "random_wrap", "random_unwrap", "random_fold_in", "random_split", "threefry2x32",
    "bitcast_convert_type", "random_clone",
)  # fmt: skip
"""primitives that are only met with integers and answers"""


def lift(value: Any) -> Any:
    """An array of the program as a value of this number system; integers and answers stay what they are.

    Raises
    ------
    TraceError
        for a dtype without a twofold arithmetic.
    """
    if isinstance(value, Twofold):
        return value
    array = jnp.asarray(value)
    if array.dtype.name in FORMATS:
        return numbers.exact(numbers.hidden(array, array))
    if jnp.issubdtype(array.dtype, jnp.inexact):
        raise TraceError(
            f"the program holds numbers of dtype {array.dtype.name}; twofold arithmetic takes float32 and float64"
        )
    return array


RULES: dict[str, Rule] = {name: guarded(rule) for name, rule in OWN.items()}
RULES |= {name: guarded(only_exact) for name in EXACT}
RULES["convert_element_type"] = lambda step, a: logic.convert(step, a)
RULES |= control.rules(RULES, lift)
"""primitive -> rule"""


class TwofoldProgram:
    """A closed jaxpr called with arrays or twofold numbers, inside or outside a trace; its outputs are twofold.

    Custom derivative rules in the program play no part. Call it with JAX's standard promotion.
    """

    def __init__(self, closed_jaxpr: Any):
        self.program: Program = inline(closed_jaxpr)

    def __call__(self, *arguments: Any) -> list[Any]:
        """Values of the outputs: twofold where they are floats.

        Raises
        ------
        TraceError
            for a primitive or dtype without a rule, with its name and the user's line.
        """
        return interpret(self.program, [lift(item) for item in arguments], RULES, lift=lift)

    @property
    def plain(self) -> list[Step]:
        """Steps whose results have plain accuracy only, bodies of control flow included."""
        return list(plain_steps(self.program))


def plain_steps(program: Program):
    """Steps of a program, and of its bodies, for which `twofold_special` has no twofold algorithm."""
    for step in program.steps:
        if step.primitive in special.PLAIN:
            yield step
        for body in step.bodies:
            yield from plain_steps(body)


def rounded(value: Any) -> Any:
    """A value of the number system as an array of the program's dtype."""
    return value.hi if isinstance(value, Twofold) else value


def evaluate(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """`function` of these arguments, computed twofold and rounded."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        closed_jaxpr, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        out = TwofoldProgram(closed_jaxpr)(*jax.tree_util.tree_leaves(arguments))
    leaves = [rounded(value) for value in out]
    return jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(shape), leaves)


def compensated(function: Callable[..., Any]) -> Callable[..., Any]:
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

    Raises
    ------
    TraceError
        on the first call: for a primitive without a rule, with the user's line, or for half precision.
    """

    @jax.custom_jvp
    def run(arguments: tuple[Any, ...]) -> Any:
        return evaluate(function, arguments)

    @run.defjvp
    def derivative(primals: Any, tangents: Any) -> Any:
        (arguments,), (moves,) = primals, tangents
        return run(arguments), moved_by(function, arguments, moves)

    inner = jax.jit(run)

    def outer(*arguments: Any) -> Any:
        return inner(arguments)

    return outer


def moved_by(function: Callable[..., Any], arguments: tuple[Any, ...], moves: tuple[Any, ...]) -> Any:
    """``F'(x) moves``: a compensated Jacobian, and its product with the move, which JAX can transpose."""
    leaves, treedef = jax.tree_util.tree_flatten(arguments)
    steps = jax.tree_util.tree_leaves(moves)
    chosen = [k for k, leaf in enumerate(leaves) if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)]
    shapes = jax.eval_shape(function, *arguments)
    out_leaves, out_tree = jax.tree_util.tree_flatten(shapes)
    real = [k for k, leaf in enumerate(out_leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    size_in = sum(int(np.prod(jnp.shape(leaves[k]))) for k in chosen)
    size_out = sum(int(np.prod(out_leaves[k].shape)) for k in real)

    def of_reals(floats: list[Any], others: list[Any]) -> list[Any]:
        filled = list(others)
        for k, value in zip(chosen, floats, strict=True):
            filled[k] = value
        out = jax.tree_util.tree_leaves(function(*jax.tree_util.tree_unflatten(treedef, filled)))
        return [out[k] for k in real]

    floats, ahead = [leaves[k] for k in chosen], [steps[k] for k in chosen]
    if size_in * size_out > LARGEST_JACOBIAN:
        changes = jax.jvp(lambda at: of_reals(at, leaves), (floats,), (ahead,))[1]
    else:
        differentiate = jax.jacfwd if size_in <= size_out else jax.jacrev
        matrix = compensated(differentiate(of_reals))(floats, leaves)
        changes = [
            sum((jnp.tensordot(block, step, jnp.ndim(step)) for block, step in zip(row, ahead, strict=True)))
            for row in matrix
        ]
    full = [np.zeros(leaf.shape, jax.dtypes.float0) for leaf in out_leaves]
    for k, change in zip(real, changes, strict=True):
        full[k] = change
    return jax.tree_util.tree_unflatten(out_tree, full)


__all__ = ["RULES", "Twofold", "TwofoldProgram", "compensated", "evaluate", "lift", "rounded"]
