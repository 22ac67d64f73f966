"""A user's function of one pytree as one traced program of flat float64 arrays."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np

from karush.core.errors import ProblemError, TraceError
from karush.core.precision import float64, require_float64
from karush.core.pytrees import Door, open_door, path_name, ravel_traced


@dataclass(frozen=True, eq=False)
class FlatFunction:
    """``F: R^n -> R^k``, traced once in float64; the user's function is not called again."""

    closed_jaxpr: Any
    """flat x (n,) -> flat output (k,)"""
    door: Door
    """structure of x"""
    out: Door
    """structure of the output"""

    @property
    def n(self) -> int:
        return self.door.size

    @property
    def k(self) -> int:
        return self.out.size

    @property
    def is_scalar(self) -> bool:
        """Whether the output is one number of shape ()."""
        return self.out.shapes == ((),)

    def __call__(self, x: Any) -> Any:
        """F(x) (k,) at flat x (n,), in a trace or, within `float64()`, outside one."""
        return jax.extend.core.jaxpr_as_fun(self.closed_jaxpr)(x)[0]

    def scalar(self, x: Any) -> Any:
        """F(x) as one number (), of a function that `is_scalar`."""
        return self(x)[0]


def trace(function: Any, x: Any, label: str = "f") -> tuple[FlatFunction, np.ndarray]:
    """The program of `function` at inputs like x, and x as a flat float64 array (n,).

    Parameters
    ----------
    function
        JAX function of one pytree of floating-point arrays, returning any pytree of real arrays.
    x
        Pytree that gives structure and shapes; its values do not enter the program.
    label
        What messages call the function.

    Raises
    ------
    ProblemError
        for an x that holds no numbers, or not floating-point ones.
    TraceError
        for a function that JAX cannot trace, or that does not return real arrays.
    PrecisionError
        for a function that computes in less than float64.
    """
    if not callable(function):
        raise ProblemError(f"{label} must be a JAX function of x, got {type(function).__name__} {function!r:.60}")
    door, flat = open_door(x, "x")
    shapes: list[tuple[int, ...]] = []
    names: list[str] = []
    trees: list[Any] = []

    def program(vector: Any) -> Any:
        out = call_user(function, (door.unravel(vector),), label)
        paths, treedef = jax.tree_util.tree_flatten_with_path(out)
        for path, leaf in paths:
            if not hasattr(leaf, "shape") and not isinstance(leaf, (int, float)):
                raise TraceError(f"{label} returned {leaf!r:.60}; it must return real arrays")
            if jnp.result_type(leaf).kind not in "fiub":
                raise TraceError(f"{label} returned an array of dtype {jnp.result_type(leaf)}; it must be real")
            shapes.append(jnp.shape(leaf))
            names.append(path_name(path).replace("x", label, 1) if not path else f"{label}{_suffix(path)}")
        trees.append(treedef)
        if not paths:
            raise TraceError(f"{label} returned {out!r:.60}, which holds no numbers; return an array")
        return jnp.asarray(ravel_traced(out), dtype=jnp.float64)

    with float64():
        closed_jaxpr = jax.make_jaxpr(program)(flat)
    require_float64(closed_jaxpr, label)
    return FlatFunction(closed_jaxpr, door, Door(trees[0], tuple(shapes), tuple(names))), flat


def _suffix(path: tuple[Any, ...]) -> str:
    name = path_name(path)
    return name[1:] if name.startswith("x[") else f".{name}"


def call_user(function: Callable[..., Any], arguments: tuple[Any, ...], label: str) -> Any:
    """What the user's function returns in a trace; a wrong signature and JAX's complaints as a `TraceError`."""
    _require_signature(function, arguments, label)
    try:
        return function(*arguments)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        raise TraceError(
            f"{label} cannot be traced by JAX: {str(error).splitlines()[0]} "
            "Write it with jax.numpy instead of numpy or math, jnp.where instead of if, jax.lax loops instead of while."
        ) from error
    except ProblemError:
        raise
    except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        error.add_note(f"karush: raised while tracing {label}, called with {len(arguments)} argument(s)")
        raise


def _require_signature(function: Callable[..., Any], arguments: tuple[Any, ...], label: str) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin without one: the call itself will tell
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        if len(arguments) == 1:
            called, cure = "f(x), as there are no params", "give params=..., or make it a function of x alone"
        else:
            called, cure = "f(x, params), as params are given", "take them as second argument, or give no params"
        raise TraceError(f"{label} has the signature {signature}, and is called {called} ({error}); {cure}") from error
