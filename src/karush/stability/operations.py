"""The operations of terms: how each is computed at sample points by NumPy, and in the repaired program by JAX."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.special
from jax import lax

from karush.stability.tangents import RULES, ruled


@dataclass(frozen=True)
class Operation:
    """An elementwise operation."""

    numpy: Callable[..., Any]
    jax: Callable[..., Any]
    cost: float
    """in additions, roughly"""
    source: str = ""
    """its name in printed source"""
    answers: bool = False
    """whether it returns booleans"""
    ours: bool = False
    """whether it is no primitive of JAX"""


def _ipow(x: Any, param: int) -> Any:
    return x**param


def _poly(x: Any, param: tuple[float, ...]) -> Any:
    """``p0 + p1 x + p2 x^2 + ...`` by Horner's rule, in the dtype of x."""
    total = x.dtype.type(param[-1])
    for coefficient in param[-2::-1]:
        total = total * x + x.dtype.type(coefficient)
    return total


def _power_of_two(x: Any) -> Any:
    """The power of two at or below |x|, 1 for 0, as NumPy has it."""
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(x)
        info = np.finfo(np.asarray(x).dtype)
        # Neither the power nor its reciprocal may leave the normal numbers.
        exponent = np.clip(exponent - 1, info.minexp + 1, info.maxexp - 2)
        return np.where(x == 0, 1, np.ldexp(np.ones_like(x), exponent)).astype(np.asarray(x).dtype)


def power_of_two(x: Any) -> Any:
    """The power of two at or below |x|, 1 for 0: an exact scale, treated as a constant by derivatives."""
    info = jnp.finfo(x.dtype)
    integer = jnp.int64 if x.dtype == jnp.float64 else jnp.int32
    mask = (2 ** (info.bits - 1) - 1) & ~(2**info.nmant - 1)
    raw = lax.bitcast_convert_type(lax.stop_gradient(x), integer) & jnp.asarray(mask, integer)
    power = lax.bitcast_convert_type(raw, x.dtype)
    low, high = float(np.ldexp(1.0, int(info.minexp) + 1)), float(np.ldexp(1.0, int(info.maxexp) - 2))
    return jnp.where(lax.stop_gradient(x) == 0, jnp.ones((), x.dtype), jnp.clip(power, low, high))


def _sinh(x: Any) -> Any:
    """``sinh x = (t + t/(t+1))/2`` with ``t = e^x - 1``; JAX's own loses 9 bits."""
    size = jnp.abs(x)
    half = jnp.exp(0.5 * jnp.maximum(size, 1.0))
    t = jnp.expm1(jnp.minimum(size, 1.0))
    small = 0.5 * (t + t / (t + 1.0))
    large = 0.5 * half * half - 0.5 / half / half
    return jnp.sign(x) * jnp.where(size < 1.0, small, large)


def _exp_relative(x: Any, np_like: Any) -> Any:
    safe = np_like.where(x == 0, 1, x)
    return np_like.where(x == 0, 1, np_like.expm1(safe) / safe)


def _over_expm1(xp: Any) -> Callable[[Any, Any], Any]:
    """``c / (e^(a c) - 1)``, which is ``1/a`` where the product underflows."""

    def function(a: Any, c: Any) -> Any:
        product = a * c
        small = xp.abs(product) < 0.5
        near = xp.where(small, product, 1)
        far = xp.where(small, 1, product)
        relative = xp.where(near == 0, 1, xp.expm1(xp.where(near == 0, 1, near)) / xp.where(near == 0, 1, near))
        return xp.where(small, 1 / (xp.where(small, a, 1) * relative), c / xp.expm1(far))

    return function


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """``a + b = s + e`` exactly [Knu97]."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _of_sum(xp: Any, cosine: bool) -> Callable[[Any, Any], Any]:
    """sin or cos of a + b, with the rounding error of the sum made good by the addition theorem."""

    def function(a: Any, b: Any) -> Any:
        s, e = _two_sum(a, b)
        # An infinite sum has no error; sin and cos of it are NaN, as they should be.
        sin_s, cos_s, sin_e, cos_e = xp.sin(s), xp.cos(s), xp.sin(e), xp.cos(e)
        return cos_s * cos_e - sin_s * sin_e if cosine else sin_s * cos_e + cos_s * sin_e

    return function


def _select(which: Any, no: Any, yes: Any) -> Any:
    return np.where(which, yes, no)


def _both(name: str, cost: float, *, numpy: Any = None, jax: Any = None, source: str | None = None) -> Operation:
    return Operation(
        numpy or getattr(np, name), jax or getattr(jnp, name), cost, f"jnp.{name}" if source is None else source
    )


def _compare(name: str, numpy: Any) -> Operation:
    return Operation(numpy, getattr(lax, name), 1.0, f"jnp.{numpy.__name__}", answers=True)


FUNCTION = 15.0
"""cost of an elementary function"""

ELEMENTWISE: dict[str, Operation] = {
    "add": _both("add", 1),
    "sub": _both("subtract", 1),
    "mul": _both("multiply", 1),
    "div": _both("divide", 4),
    "neg": _both("negative", 0.5),
    "abs": _both("abs", 0.5),
    "sign": _both("sign", 1),
    "max": _both("maximum", 1),
    "min": _both("minimum", 1),
    "floor": _both("floor", 1),
    "ceil": _both("ceil", 1),
    "sqrt": _both("sqrt", 5),
    "cbrt": _both("cbrt", FUNCTION),
    "exp": _both("exp", FUNCTION),
    "exp2": _both("exp2", FUNCTION),
    "expm1": _both("expm1", FUNCTION),
    "log": _both("log", FUNCTION),
    "log1p": _both("log1p", FUNCTION),
    "sin": _both("sin", FUNCTION),
    "cos": _both("cos", FUNCTION),
    "tan": _both("tan", 2 * FUNCTION),
    "asin": _both("arcsin", FUNCTION),
    "acos": _both("arccos", FUNCTION),
    "atan": _both("arctan", FUNCTION),
    "atan2": _both("arctan2", FUNCTION),
    "sinh": _both("sinh", 2 * FUNCTION, jax=_sinh),
    "cosh": _both("cosh", 2 * FUNCTION),
    "tanh": _both("tanh", FUNCTION),
    "asinh": _both("arcsinh", 2 * FUNCTION),
    "acosh": _both("arccosh", 2 * FUNCTION),
    "atanh": _both("arctanh", 2 * FUNCTION),
    "pow": _both("power", 2 * FUNCTION),
    "logistic": _both("", FUNCTION, numpy=scipy.special.expit, jax=lax.logistic, source="jax.nn.sigmoid"),
    "erf": _both("", FUNCTION, numpy=scipy.special.erf, jax=lax.erf, source="lax.erf"),
    "erfc": _both("", FUNCTION, numpy=scipy.special.erfc, jax=lax.erfc, source="lax.erfc"),
    "lgamma": _both("", 3 * FUNCTION, numpy=scipy.special.gammaln, jax=lax.lgamma, source="lax.lgamma"),
    "digamma": _both("", 3 * FUNCTION, numpy=scipy.special.digamma, jax=lax.digamma, source="lax.digamma"),
    "stop": Operation(lambda x: x, lax.stop_gradient, 0, "lax.stop_gradient", ours=True),
    "is_finite": Operation(np.isfinite, jnp.isfinite, 1, "jnp.isfinite", answers=True),
    "lt": _compare("lt", np.less),
    "le": _compare("le", np.less_equal),
    "gt": _compare("gt", np.greater),
    "ge": _compare("ge", np.greater_equal),
    "eq": _compare("eq", np.equal),
    "ne": _compare("ne", np.not_equal),
    "select_n": Operation(_select, lambda which, no, yes: jnp.where(which, yes, no), 1, "jnp.where"),
    "ipow": Operation(_ipow, _ipow, 2, "lax.integer_pow", ours=True),
    "poly": Operation(_poly, _poly, 20, "poly", ours=True),
    "pow2": Operation(_power_of_two, power_of_two, 2, "power_of_two", ours=True),
    "over_expm1": Operation(_over_expm1(np), _over_expm1(jnp), 2 * FUNCTION, "over_expm1", ours=True),
    "sinsum": Operation(_of_sum(np, False), _of_sum(jnp, False), 4 * FUNCTION, "sin_of_sum", ours=True),
    "cossum": Operation(_of_sum(np, True), _of_sum(jnp, True), 4 * FUNCTION, "cos_of_sum", ours=True),
    "exprel": Operation(
        lambda x: _exp_relative(x, np), lambda x: _exp_relative(x, jnp), FUNCTION + 5, "exprel", ours=True
    ),
}
"""name of a primitive or of an operation of ours -> how it is computed"""
ELEMENTWISE |= {
    name: replace(ELEMENTWISE[name], jax=ruled(ELEMENTWISE[name].jax, rule)) for name, rule in RULES.items()
}


@dataclass(frozen=True)
class Structure:
    """An operation that moves or gathers elements; NumPy's values carry the sample points along axis 0."""

    numpy: Callable[[Any, Any, tuple[int, ...]], Any]
    """``numpy(param, values (N, ...), shape of the result)``"""
    jax: Callable[[Any, Any, tuple[int, ...]], Any]
    param: Callable[[dict], Any]
    """what of the primitive's parameters makes a difference, hashable"""


def _placed(dimensions: tuple[int, ...], values: Any, shape: tuple[int, ...]) -> Any:
    placed = [1] * len(shape)
    for axis, size in zip(dimensions, values.shape[1:], strict=True):
        placed[axis] = size
    return np.broadcast_to(values.reshape(len(values), *placed), (len(values), *shape))


def _reduction(numpy: Callable[..., Any], jax: Callable[..., Any]) -> Structure:
    return Structure(
        lambda axes, v, s: numpy(v, axis=tuple(axis + 1 for axis in axes)),
        lambda axes, x, s: jax(x, axis=axes),
        lambda params: tuple(params["axes"]),
    )


RESHAPE = Structure(lambda p, v, s: v.reshape(len(v), *s), lambda p, x, s: x.reshape(s), lambda params: ())


def _first_largest(xp: Any, axes: tuple[int, ...], x: Any) -> Any:
    """Whether each element is the first largest along `axes`; booleans of x's shape."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    forward = (*kept, *axes)
    rows = xp.transpose(x, forward).reshape(*[x.shape[axis] for axis in kept], -1)
    places = xp.arange(rows.shape[-1])
    found = places == xp.expand_dims(xp.argmax(rows, axis=-1), -1)
    shape = [x.shape[axis] for axis in forward]
    return xp.transpose(found.reshape(shape), [forward.index(axis) for axis in range(x.ndim)])


STRUCTURAL: dict[str, Structure] = {
    "is_first_largest": Structure(
        lambda axes, v, s: _first_largest(np, tuple(axis + 1 for axis in axes), v),
        lambda axes, x, s: _first_largest(jnp, axes, lax.stop_gradient(x)),
        lambda params: (),
    ),
    "broadcast_in_dim": Structure(
        _placed,
        lambda dimensions, x, s: lax.broadcast_in_dim(x, s, dimensions),
        lambda params: tuple(params["broadcast_dimensions"]),
    ),
    "reshape": RESHAPE,
    "squeeze": RESHAPE,
    "expand_dims": RESHAPE,
    "transpose": Structure(
        lambda order, v, s: np.transpose(v, (0, *(axis + 1 for axis in order))),
        lambda order, x, s: jnp.transpose(x, order),
        lambda params: tuple(params["permutation"]),
    ),
    "slice": Structure(
        lambda cuts, v, s: v[(slice(None), *(slice(*cut) for cut in cuts))],
        lambda cuts, x, s: x[tuple(slice(*cut) for cut in cuts)],
        lambda params: tuple(
            zip(
                params["start_indices"],
                params["limit_indices"],
                params["strides"] or (1,) * len(params["start_indices"]),
                strict=True,
            )
        ),
    ),
    "rev": Structure(
        lambda axes, v, s: np.flip(v, tuple(axis + 1 for axis in axes)),
        lambda axes, x, s: jnp.flip(x, axes),
        lambda params: tuple(params["dimensions"]),
    ),
    "reduce_sum": _reduction(np.sum, jnp.sum),
    "reduce_max": _reduction(np.max, jnp.max),
    "reduce_min": _reduction(np.min, jnp.min),
    "reduce_prod": _reduction(np.prod, jnp.prod),
}
"""primitive -> how it moves elements"""


__all__ = ["ELEMENTWISE", "FUNCTION", "STRUCTURAL", "Operation", "Structure", "power_of_two"]
