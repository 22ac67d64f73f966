"""Double precision by a local switch, and refusal of numbers that have lost theirs."""

from typing import Any

import jax
import numpy as np
from jax.extend.core import jaxprs_in_params

from karush.core.errors import PrecisionError, ProblemError

CURE = "build it with numpy (np.asarray(..., dtype=np.float64)), or set jax.config.update('jax_enable_x64', True) first"


def float64():
    """Context in which JAX computes in float64, whatever the global setting; the setting itself is not changed."""
    return jax.enable_x64(True)


def as_float64(value: Any, argument: str) -> np.ndarray:
    """`value` as a float64 array of its own shape.

    Single-precision values pass only where nothing was lost on the way: ``float32(0.5)`` is what its user typed,
    ``float32(0.1)`` is not.

    Raises
    ------
    PrecisionError
        for single-precision values that differ from the decimal they print as.
    ProblemError
        for anything but real numbers.
    """
    array = np.asarray(value)
    if array.dtype == np.float64:
        return array.copy()
    if array.dtype.kind in "iub" and not isinstance(value, (np.ndarray, jax.Array)):
        return array.astype(np.float64)
    if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
        wide = array.astype(np.float64)
        typed = np.array([float(str(item)) for item in array.ravel()]).reshape(array.shape)
        if not np.array_equal(wide, typed, equal_nan=True):
            where = int(np.flatnonzero(~((wide == typed) | np.isnan(wide)))[0])
            raise PrecisionError(
                f"{argument} is {array.dtype.name} and has lost digits: its entry {where} prints as "
                f"{array.ravel()[where]!s} but is {float(wide.ravel()[where])!r}; karush works in float64: {CURE}"
            )
        return wide
    if array.dtype.kind in "iu":
        return array.astype(np.float64)
    raise ProblemError(f"{argument} must hold real numbers, got {array.dtype} ({value!r:.60})")


def require_float64(closed_jaxpr: Any, label: str) -> None:
    """Refuse a traced program that computes anything in less than float64.

    Raises
    ------
    PrecisionError
        naming the captured array or the operation.
    """
    for constant in closed_jaxpr.consts:
        if _is_narrow(getattr(constant, "dtype", None)):
            raise _captures(label, constant)
    _require_float64_within(closed_jaxpr.jaxpr, label)


def _require_float64_within(jaxpr: Any, label: str) -> None:
    """The same for the equations of a jaxpr, and of the jaxprs inside them: jit, loops, branches."""
    for equation in jaxpr.eqns:
        # What no earlier equation has computed was captured: jit keeps such arrays inside its equation.
        for source in equation.invars:
            if _is_narrow(getattr(source.aval, "dtype", None)):
                raise _captures(label, source.aval)
        for out in equation.outvars:
            if _is_narrow(getattr(out.aval, "dtype", None)):
                raise PrecisionError(
                    f"{label} computes '{equation.primitive.name}' in {out.aval.dtype}; karush works in float64: "
                    f"remove the cast, and for captured arrays {CURE}"
                )
        for inner in jaxprs_in_params(equation.params):
            _require_float64_within(inner, label)


def _captures(label: str, array: Any) -> PrecisionError:
    return PrecisionError(
        f"{label} captures a {array.dtype} array of shape {np.shape(array)}; karush works in float64: {CURE}"
    )


def _is_narrow(dtype: Any) -> bool:
    return dtype is not None and jax.numpy.issubdtype(dtype, jax.numpy.floating) and dtype != np.float64


__all__ = ["CURE", "as_float64", "float64", "require_float64"]
