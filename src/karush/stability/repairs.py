"""What to write instead: repairs for the damage that is met most, by the operations around the spot.

A row holds when its kind is met, its operation is the spot's, and its surroundings are there: *before* among what the
spot's operands are computed from, *after* among what is computed from its result.
"""

from dataclasses import dataclass

from karush.jaxprs.walk import Program, Step
from karush.stability.findings import Kind

MOVING = frozenset(
    {
        "reshape",
        "squeeze",
        "expand_dims",
        "broadcast_in_dim",
        "transpose",
        "slice",
        "convert_element_type",
        "copy",
        "stop_gradient",
        "concatenate",
    }
)
"""steps that only hand numbers on"""
SIZES = ("square", "mul", "integer_pow", "dot_general", "pow")


@dataclass(frozen=True)
class Row:
    """One repair."""

    kinds: tuple[Kind, ...]
    at: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    repair: str


RANGE = (Kind.OVERFLOW, Kind.UNDERFLOW, Kind.INDETERMINATE)
LOSS = (Kind.CANCELLATION, Kind.ABSORPTION, Kind.DOMAIN)
SHIFT = "subtract the largest entry first: "

ROWS: tuple[Row, ...] = (
    Row(
        (Kind.NAN_GRADIENT,),
        (),
        (),
        ("select_n",),
        "give the branch that is not taken a safe argument: where(c, f(where(c, x, 1)), 0)",
    ),
    Row(
        (Kind.NAN_GRADIENT,),
        ("div", "rsqrt", "sqrt", "pow", "mul"),
        ("sqrt",),
        (),
        "the norm has no derivative at 0: karush.numerics.norm, or sqrt of where(s > 0, s, 1)",
    ),
    Row(RANGE, ("exp",), (), ("reduce_sum", "log"), SHIFT + "jax.nn.logsumexp(x), jax.nn.log_softmax(x)"),
    Row(RANGE, ("exp",), (), ("reduce_sum", "div"), SHIFT + "jax.nn.softmax(x)"),
    Row(
        RANGE,
        ("exp",),
        (),
        ("add", "log"),
        "jax.nn.softplus(x) = jnp.logaddexp(x, 0); log of a sigmoid: jax.nn.log_sigmoid(x)",
    ),
    Row(RANGE, ("exp",), (), ("add", "div"), "jax.nn.sigmoid(x)"),
    Row(RANGE, ("exp",), (), ("log",), "take the logarithm by hand: log(exp(a)) = a"),
    Row(RANGE, ("exp",), (), ("div",), "divide before the exponential: exp(a) / exp(b) = exp(a - b)"),
    Row(RANGE, SIZES, (), ("sqrt",), "divide by the largest entry first: karush.numerics.norm"),
    Row(RANGE, ("div",), ("reduce_sum", "exp"), ("log",), "jax.nn.log_softmax(x), not the log of a softmax"),
    Row(RANGE, ("reduce_prod", "mul"), (), ("log",), "add logarithms: log(prod(a)) = sum(log(a))"),
    Row(RANGE, ("reduce_prod", "pow", "mul"), (), (), "work with logarithms, or scale the factors"),
    Row((Kind.ABSORPTION,), ("add", "sub"), (), ("log",), "jnp.log1p(x) for log(1 + x)"),
    Row(
        (Kind.ABSORPTION,),
        ("add", "sub"),
        (),
        ("pow",),
        "jnp.exp(n * jnp.log1p(r)) for (1 + r)**n, jnp.expm1(...) for (1 + r)**n - 1",
    ),
    Row((Kind.ABSORPTION,), ("add", "sub"), ("exp",), ("log",), "jax.nn.softplus(x) for log(1 + exp(x))"),
    Row(LOSS, ("log",), ("exp",), (), "karush.numerics.log1mexp(x) for log(1 - exp(x))"),
    Row(LOSS, ("sub", "add"), ("exp",), ("log",), "karush.numerics.log1mexp(x) for log(1 - exp(x))"),
    Row(LOSS, ("sub", "add"), ("exp",), (), "jnp.expm1(x) for exp(x) - 1"),
    Row(LOSS, ("sub",), ("cos",), (), "2 * jnp.sin(x / 2)**2 for 1 - cos(x)"),
    Row(LOSS, ("sub",), ("erf",), (), "jax.lax.erfc(x) for 1 - erf(x)"),
    Row(LOSS, ("sub",), ("reduce_sum", "div"), (), "subtract the mean first: mean((x - mean(x))**2)"),
    Row(LOSS, ("sqrt",), ("sub", "reduce_sum"), (), "subtract the mean first: mean((x - mean(x))**2)"),
    Row(LOSS, ("sub", "add"), ("sqrt",), (), "sqrt(a) - b = (a - b**2) / (sqrt(a) + b)"),
    Row(LOSS, ("sub",), ("log",), (), "log(a) - log(b) = jnp.log1p((a - b) / b)"),
    Row(LOSS, ("sub",), ("pow",), (), "karush.numerics.powm1, or jnp.expm1(n * jnp.log1p(r)) for (1 + r)**n - 1"),
    Row(
        LOSS,
        ("sub",),
        ("tanh",),
        (),
        "1 - tanh(x) = 2 / (1 + exp(2 * x)); JAX's own derivative of tanh holds it: karush.stabilize(jax.grad(f), box)",
    ),
    Row(LOSS, ("sub",), ("dot_general",), (), "take the differences first: sum((u - v)**2)"),
    Row(LOSS, ("sub",), ("logistic",), (), "1 - sigmoid(x) = jax.nn.sigmoid(-x)"),
    Row(LOSS, ("sub",), ("div",), (), "bring to one denominator: 1/a - 1/b = (b - a) / (a * b)"),
    Row(LOSS, ("sub",), ("cosh",), (), "2 * jnp.sinh(x / 2)**2 for cosh(x) - 1"),
    Row(LOSS, ("acos",), (), (), "jnp.arctan2 of the length of the cross product and the dot product"),
)


def repair_for(program: Program, step: Step, kind: Kind) -> str:
    """The first row that fits; else what `karush.stabilize` is for."""
    before, after = _around(program, step, forward=False), _around(program, step, forward=True)
    for row in ROWS:
        fits = kind in row.kinds and (not row.at or step.primitive in row.at)
        if fits and set(row.before) <= before and set(row.after) <= after:
            return row.repair
    return ""


NEAR = 4
"""operations, moves not counted, that surroundings reach"""


def _around(program: Program, step: Step, *, forward: bool) -> set[str]:
    """Primitives within `NEAR` operations before or after a step."""
    found: set[str] = set()
    edge = set(step.outputs if forward else step.inputs)
    for _ in range(NEAR):
        edge = _through_moves(program, edge, forward=forward)
        reached: set[int] = set()
        for other in program.steps:
            meets = other.inputs if forward else other.outputs
            if edge.intersection(meets) and other.primitive not in MOVING:
                found.add(other.primitive)
                reached.update(other.outputs if forward else other.inputs)
        edge = reached
    return found


def _through_moves(program: Program, edge: set[int], *, forward: bool) -> set[int]:
    edge = set(edge)
    steps = program.steps if forward else reversed(program.steps)
    for other in steps:
        if other.primitive in MOVING:
            come, go = (other.inputs, other.outputs) if forward else (other.outputs, other.inputs)
            if edge.intersection(come):
                edge.update(go)
    return edge


__all__ = ["ROWS", "Row", "repair_for"]
