"""Where single operations switch: their switching function phi, zero exactly where the operation is not smooth.

``|a|`` switches where ``phi = a`` is zero, ``max(a, b)`` where ``phi = a - b`` is, ``floor(a)`` where a is an integer.
Operations that are smooth wherever their value is finite (``exp``, ``/``, ``log``, ...) are not in the table: beyond
their domain the value itself is infinite or NaN, and who asks for that (``isnan``, ``isfinite``) switches there.
``sqrt`` and its like are in the table: at 0 the value is finite, the slope is not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.jaxprs.source import function_name, library_file
from karush.jaxprs.walk import Step, called

Phi = Callable[[Step, Sequence[Any], Sequence[Any]], Any]
"""``phi(step, inputs, outputs)``, an array whose zeros are the switching surface"""

SMOOTH_POWER = 2.0
"""``a^y`` is twice continuously differentiable at a = 0 for every real y >= 2"""


@dataclass(frozen=True)
class Switch:
    """How one kind of operation fails to be smooth."""

    what: str
    """for a person: the condition on the surface"""
    phi: Phi | None
    """None: nothing is known about the surface, every point may lie on it"""


def _argument(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return inputs[0]


def _difference(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return inputs[0] - inputs[1]


def _finite(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """Of either sign, never 0: where the sign changes, and how far away that is, is not known."""
    return jnp.where(jnp.isfinite(inputs[0]), jnp.inf, -jnp.inf)


def _integer(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return inputs[0] - lax.stop_gradient(jnp.round(inputs[0]))


def _half_integer(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return inputs[0] - lax.stop_gradient(jnp.floor(inputs[0])) - 0.5


def _quotient(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    quotient = inputs[0] / inputs[1]
    return quotient - lax.stop_gradient(jnp.round(quotient))


def _limits(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    low, value, high = inputs
    return jnp.stack([value - low, high - value])


def _sorted_gaps(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """The leading key alone: further keys matter only where it ties, and there it is zero."""
    return jnp.diff(outputs[0], axis=step.params["dimension"])


def _gap_to_second(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """Best minus second best along the reduced axes; for minima of the negated values."""
    axes = [axis % inputs[0].ndim for axis in step.params["axes"]]
    values = -inputs[0] if step.primitive in ("reduce_min", "argmin") else inputs[0]
    rows = jnp.moveaxis(values, axes, range(-len(axes), 0))
    rows = rows.reshape(*rows.shape[: rows.ndim - len(axes)], -1)
    if rows.shape[-1] < 2:
        return jnp.full((), jnp.inf, rows.dtype)
    best = lax.top_k(rows, 2)[0]
    return best[..., 0] - best[..., 1]


def _all_gaps(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return jnp.diff(jnp.sort(inputs[0], axis=-1), axis=-1)


def _running_gaps(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """Each element against the best of those before it."""
    axis = step.params["axis"]
    values, best = (jnp.flip(a, axis) if step.params["reverse"] else a for a in (inputs[0], outputs[0]))
    size = values.shape[axis]
    return lax.slice_in_dim(values, 1, size, axis=axis) - lax.slice_in_dim(best, 0, size - 1, axis=axis)


def _unit_interval(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return 1.0 - jnp.abs(inputs[0])


def _above_one(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return inputs[0] - 1.0


def _branch_cut(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """``atan2(y, x)`` jumps across y = 0, x <= 0; beside it the distance is that to the origin."""
    y, x = inputs
    return jnp.where(x <= 0, y, jnp.maximum(jnp.abs(x), jnp.abs(y)))


def _spectrum_gaps(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return jnp.diff(outputs[1], axis=-1)


def _singular_gaps(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return jnp.concatenate([jnp.diff(outputs[0], axis=-1), outputs[0][..., -1:]], axis=-1)


def _value(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return outputs[0]


COMPARISON = Switch("the two sides of a comparison are equal", _difference)
FINITE = Switch("its argument stops or starts being finite", _finite)
TIE = Switch("the best two values are equal", _gap_to_second)
ZERO = Switch("its argument is 0", _argument)
INTEGER = Switch("its argument is an integer", _integer)
STEEP = Switch("its argument is 0, where its slope is infinite", _argument)
BLIND = Switch("anywhere: karush does not see where it switches", None)
RUNNING = Switch("a value equals the best one before it", _running_gaps)
EDGE = Switch("its argument is 1 or -1, where its slope is infinite", _unit_interval)
LOOP = Switch("anywhere: the number of turns depends on x", None)
FROZEN = Switch("anywhere: derivatives stop here, though the value depends on x", None)

SWITCHES: dict[str, Switch] = {
    **dict.fromkeys(("abs", "sign"), ZERO),
    **dict.fromkeys(("max", "min"), Switch("its two arguments are equal", _difference)),
    **dict.fromkeys(("lt", "le", "gt", "ge", "eq", "ne", "lt_to", "le_to", "eq_to"), COMPARISON),
    "is_finite": FINITE,
    **dict.fromkeys(("floor", "ceil"), INTEGER),
    "round": Switch("its argument lies halfway between two integers", _half_integer),
    "convert_element_type": INTEGER,
    "rem": Switch("the quotient is an integer", _quotient),
    "clamp": Switch("its argument is at a limit", _limits),
    "sort": Switch("two neighbours in the order are equal", _sorted_gaps),
    "top_k": Switch("two values are equal", _all_gaps),
    **dict.fromkeys(("reduce_max", "reduce_min", "argmax", "argmin"), TIE),
    **dict.fromkeys(("cummax", "cummin"), RUNNING),
    **dict.fromkeys(("sqrt", "cbrt", "pow"), STEEP),
    **dict.fromkeys(("asin", "acos"), EDGE),
    "acosh": Switch("its argument is 1, where its slope is infinite", _above_one),
    "atan2": Switch("the angle jumps by a full turn", _branch_cut),
    "eigh": Switch("two eigenvalues are equal", _spectrum_gaps),
    "svd": Switch("two singular values are equal or one is 0", _singular_gaps),
    **dict.fromkeys(("nextafter", "eig", "schur", "hessenberg", "tridiagonal", "qr", "lu"), BLIND),
    **dict.fromkeys(("pure_callback", "reduce", "approx_top_k", "select_and_gather_add"), BLIND),
    **dict.fromkeys(
        ("reduce_window_max", "reduce_window_min", "scatter-max", "scatter-min", "select_and_scatter"), BLIND
    ),
    **dict.fromkeys(("bitcast_convert_type", "reduce_precision"), BLIND),
}
"""primitive -> where it switches"""

LIBRARY: dict[str, Switch | None] = {
    **dict.fromkeys(("logaddexp", "logaddexp2", "sinc", "slogdet", "det", "expm", "ndtr", "log_ndtr"), None),
    "hypot": Switch("both its arguments are 0", _value),
}
"""JAX's own functions whose programs branch for accuracy only: smooth (None), or not smooth elsewhere"""


def library_function(equation: Any) -> bool:
    """Whether a call equation calls one of ``LIBRARY``, as JAX defines it."""
    inner = called(equation)
    return inner is not None and _called_name(inner) in LIBRARY and library_file(inner.jaxpr.debug_info)


def name_of(step: Step) -> str:
    """What a person calls the operation: the function, for a call, else the primitive."""
    inner = called(step.equation)
    return step.primitive if inner is None else _called_name(inner)


def _called_name(inner: Any) -> str:
    return function_name(inner.jaxpr.debug_info)


def switch_of(step: Step, moves: Sequence[bool]) -> Switch | None:
    """The switch of a step whose inputs move with x where `moves` says so; None if it has none."""
    if not any(moves):
        return None
    if called(step.equation) is not None:
        return LIBRARY.get(name_of(step))
    switch = SWITCHES.get(step.primitive)
    if switch is None:
        return None
    if switch is COMPARISON and step.inputs[0] == step.inputs[1]:
        return FINITE  # a != a asks for NaN
    if step.primitive == "convert_element_type" and not np.issubdtype(step.out_avals[0].dtype, np.integer):
        return ZERO if step.out_avals[0].dtype == np.bool_ else None
    if step.primitive == "pow" and _smooth_power(step, moves):
        return None
    if step.primitive == "reduce_precision" and step.params["mantissa_bits"] >= jnp.finfo(step.in_avals[0].dtype).nmant:
        return None
    return switch


def _smooth_power(step: Step, moves: Sequence[bool]) -> bool:
    """Whether ``a^y`` is smooth where it is finite: y a literal that is an integer, negative, or at least 2."""
    exponent = getattr(step.equation.invars[1], "val", None)
    if exponent is None or not moves[0]:
        return not moves[0]
    return bool(np.all((np.asarray(exponent) >= SMOOTH_POWER) | (exponent == np.round(exponent)) | (exponent < 0)))


__all__ = ["FROZEN", "LIBRARY", "LOOP", "SWITCHES", "Switch", "library_function", "name_of", "switch_of"]
