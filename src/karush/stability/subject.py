"""What an audit looks at: a user's function of a pytree, and its gradient, as flat programs in the user's own dtype.

```
F: R^n -> R^m,        G = J_Fᵀ w: R^n -> R^n
```

The cotangent w is 1 for a function of one output. For more outputs it is a fixed sequence of weights in (1/2, 1], so
that a sum that is constant by design (as that of softmax) does not make the gradient vanish.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import tree_util

from karush.bounds import Box
from karush.core.errors import ProblemError, TraceError
from karush.core.pytrees import cut, path_name
from karush.jaxprs.function import call_user

GOLDEN = 0.6180339887498949
"""steps of this size, modulo 1, never repeat: weights of the outputs in a gradient"""
DTYPES = ("float32", "float64")


@dataclass(frozen=True, eq=False)
class Inputs:
    """Structure of the inputs: flat arrays (n,) of one dtype on the inside."""

    treedef: Any
    shapes: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def unravel(self, flat: Any) -> Any:
        """The pytree of a flat array (n,)."""
        return self.treedef.unflatten(cut(flat, self.shapes))

    def words(self, flat: np.ndarray) -> str:
        """A point as a person would write it: one entry per leaf."""
        leaves, start = [], 0
        for shape, name in zip(self.shapes, self.names, strict=True):
            stop = start + int(np.prod(shape))
            part = flat[start:stop].reshape(shape)
            text = np.array2string(part, separator=", ", threshold=12, formatter={"float_kind": shortest})
            leaves.append(f"{name} = {text}")
            start = stop
        return ", ".join(leaves).replace("\n", "")


def shortest(number: Any) -> str:
    """The shortest decimal that reads back as this very number."""
    return (
        np.format_float_scientific(number, trim="-") if _far(number) else np.format_float_positional(number, trim="-")
    )


def _far(number: Any) -> bool:
    size = abs(float(number))
    return bool(size) and np.isfinite(size) and not 1e-4 <= size < 1e7


@dataclass(frozen=True, eq=False)
class Subject:
    """One flat program of the user's function."""

    part: str
    """``value`` or ``gradient``"""
    closed: Any
    """flat x (n,) -> flat output (m,)"""
    inputs: Inputs
    outputs: tuple[str, ...]
    """names of the outputs, for messages"""
    call: Callable[[Any], Any]
    """pytree -> flat output (m,), the user's function under ``jax.jit`` on its own"""


def read_box(box: Any) -> tuple[Inputs, np.ndarray, np.ndarray, np.ndarray]:
    """Structure, lower and upper ends (n,) in the user's dtype, and sample data (k, n), of a box or of samples.

    Samples are a pytree of arrays that have one more axis, the first, than the inputs.

    Raises
    ------
    ProblemError
        for integers, complex numbers, mixed dtypes, and ends that float arithmetic cannot hold.
    """
    if isinstance(box, Box):
        inputs, lower = _flat(box.lower, "box.lower")
        _, upper = _flat(box.upper, "box.upper")
        if not np.all(np.isfinite(lower) & np.isfinite(upper)):
            largest = float(jnp.finfo(inputs.dtype).max)
            lower, upper = np.clip(lower, -largest, largest), np.clip(upper, -largest, largest)
        return inputs, lower, upper, np.zeros((0, inputs.size), inputs.dtype)
    leaves, treedef = tree_util.tree_flatten(box)
    counts = {np.shape(leaf)[0] if np.ndim(leaf) else 0 for leaf in leaves}
    if len(counts) != 1 or 0 in counts:
        raise ProblemError(
            f"box is {type(box).__name__} {box!r:.60}; give a karush.Box(lower, upper), or sample data: "
            "the inputs as arrays with one more axis in front, one row per sample"
        )
    rows = [_flat(treedef.unflatten([np.asarray(leaf)[row] for leaf in leaves]), "box") for row in range(counts.pop())]
    samples = np.stack([flat for _, flat in rows])
    if not np.all(np.isfinite(samples)):
        raise ProblemError("box: the sample data hold numbers that are not finite; leave those rows out")
    return rows[0][0], samples.min(axis=0), samples.max(axis=0), samples


def _flat(tree: Any, argument: str) -> tuple[Inputs, np.ndarray]:
    paths, treedef = tree_util.tree_flatten_with_path(tree)
    if not paths:
        raise ProblemError(f"{argument} is {tree!r:.60}, which holds no numbers; give the inputs of the function")
    parts, shapes, names = [], [], []
    for path, leaf in paths:
        array = np.asarray(leaf)
        name = path_name(path)
        if array.dtype.kind != "f" and not isinstance(leaf, float):
            raise ProblemError(
                f"{argument} at {name} is {array.dtype} ({leaf!r:.40}); an audit is of real inputs: give floats"
            )
        # What JAX itself would make of it: float32 unless the user has switched 64 bits on.
        kept = np.asarray(jnp.asarray(array, None if array.dtype.name in DTYPES else array.dtype))
        parts.append(kept.ravel())
        shapes.append(array.shape)
        names.append(name)
    dtypes = {part.dtype for part in parts}
    if len(dtypes) != 1 or next(iter(dtypes)).name not in DTYPES:
        raise ProblemError(f"{argument} has dtypes {sorted(map(str, dtypes))}; give one of float32, float64 throughout")
    return Inputs(treedef, tuple(shapes), tuple(names), parts[0].dtype), np.concatenate(parts)


def value_subject(function: Callable[[Any], Any], inputs: Inputs, label: str) -> Subject:
    """The function's values as a program.

    Raises
    ------
    TraceError
        for a function that cannot be traced, or that returns no real floating-point numbers.
    """
    if not callable(function):
        raise ProblemError(f"f must be a JAX function of one pytree, got {type(function).__name__} {function!r:.60}")
    names: list[str] = []

    def flat_outputs(out: Any) -> Any:
        names.clear()
        parts = []
        for path, leaf in tree_util.tree_flatten_with_path(out)[0]:
            kind = jnp.result_type(leaf).kind
            if kind == "c":
                raise TraceError(f"{label} returned complex numbers; an audit is of real functions")
            if kind != "f":
                continue
            text = label + path_name(path)[1:] if path else label
            shape = jnp.shape(leaf)
            names.extend(text if not shape else f"{text}[{', '.join(map(str, i))}]" for i in np.ndindex(*shape))
            parts.append(jnp.ravel(jnp.asarray(leaf, inputs.dtype)))
        if not parts:
            raise TraceError(f"{label} returned no floating-point numbers, so there is nothing to audit")
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts)

    def program(flat: Any) -> Any:
        return flat_outputs(call_user(function, (inputs.unravel(flat),), label))

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        closed = jax.make_jaxpr(program)(np.zeros(inputs.size, inputs.dtype))
    jitted = jax.jit(lambda tree: flat_outputs(function(tree)))
    return Subject("value", closed, inputs, tuple(names), jitted)


def gradient_subject(function: Callable[[Any], Any], value: Subject, label: str) -> Subject:
    """The gradient of the weighted outputs as a program."""
    inputs = value.inputs
    weights = jnp.asarray(cotangent(len(value.outputs)), inputs.dtype)

    def program(flat: Any) -> Any:
        _, back = jax.vjp(lambda x: call_user(value_of, (inputs.unravel(x),), label), flat)
        return back(weights)[0]

    def value_of(tree: Any) -> Any:
        leaves = tree_util.tree_leaves(function(tree))
        parts = [jnp.ravel(jnp.asarray(leaf, inputs.dtype)) for leaf in leaves if jnp.result_type(leaf).kind == "f"]
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts)

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        closed = jax.make_jaxpr(program)(np.zeros(inputs.size, inputs.dtype))
    jitted = jax.jit(lambda tree: program(jnp.concatenate([jnp.ravel(leaf) for leaf in tree_util.tree_leaves(tree)])))
    names = []
    for shape, name in zip(inputs.shapes, inputs.names, strict=True):
        names += [f"d/d{name}" + (f"[{', '.join(map(str, i))}]" if shape else "") for i in np.ndindex(*shape)]
    return Subject("gradient", closed, inputs, tuple(names), jitted)


def cotangent(count: int) -> np.ndarray:
    """Weights of the outputs in a gradient: 1 for one output, else a fixed sequence in (1/2, 1]."""
    return 1.0 - 0.5 * np.mod(GOLDEN * np.arange(count), 1.0)


__all__ = ["Inputs", "Subject", "cotangent", "gradient_subject", "read_box", "shortest", "value_subject"]
