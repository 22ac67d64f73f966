"""The door of `gradient`, `jacobian` and `hessian`: a user's x in its own structure and precision.

Leaves keep their dtype. NumPy float64 arrays and Python numbers are double precision, and what depends on them is
computed in float64 by a local switch, whatever JAX's global setting is.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import tree_util
from jax.core import Tracer

from karush.core.errors import ProblemError, TraceError
from karush.core.precision import float64
from karush.core.pytrees import path_name
from karush.jaxprs.function import call_user


class Point(NamedTuple):
    """x as JAX will see it."""

    tree: Any
    traced: bool
    """whether it is part of a user's own trace: jit, vmap, grad"""
    wide: bool
    """whether it holds float64 numbers, so that the local switch is needed"""
    host: bool
    """whether it came without JAX arrays: results go back as NumPy arrays"""

    @property
    def key(self) -> Any:
        """Structure, shapes and dtypes."""
        leaves, treedef = tree_util.tree_flatten(self.tree)
        return treedef, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves), self.wide

    @property
    def shapes(self) -> Any:
        """The same tree of abstract arrays."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), self.tree)


def opened(tree: Any, argument: str) -> Point:
    """`tree` with every number as an array; a flat list of numbers is one array, as in `karush.Problem`.

    Raises
    ------
    ProblemError
        for a tree without numbers, or with leaves that are not real floating point.
    """
    if isinstance(tree, (list, tuple)) and tree and all(type(item) in (int, float) for item in tree):
        tree = np.asarray(tree, dtype=np.float64)
    paths, treedef = tree_util.tree_flatten_with_path(tree)
    if not paths:
        raise ProblemError(f"{argument} holds no numbers: {tree!r:.80}; give an array or a pytree of arrays")
    leaves = [_leaf(leaf, f"{argument} at {path_name(path)}") for path, leaf in paths]
    traced = any(isinstance(leaf, Tracer) for leaf in leaves)
    wide = not traced and any(leaf.dtype == np.float64 for leaf in leaves)
    host = not any(isinstance(leaf, jax.Array) for leaf in leaves)
    return Point(treedef.unflatten(leaves), traced, wide, host)


def _leaf(leaf: Any, name: str) -> Any:
    if isinstance(leaf, (int, float)) and not isinstance(leaf, (bool, np.generic)):
        return np.asarray(leaf, dtype=np.float64)
    if not isinstance(leaf, (np.ndarray, np.generic, jax.Array)):
        raise ProblemError(f"{name} is {type(leaf).__name__} {leaf!r:.60}; give floating-point arrays")
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        raise ProblemError(
            f"{name} has dtype {leaf.dtype}; derivatives are taken in real variables: "
            "give it as floating point, for example with .astype(float)"
        )
    return np.asarray(leaf) if isinstance(leaf, np.generic) else leaf


def like(tree: Any, model: Any, argument: str, what: str) -> Any:
    """`tree` with the structure, shapes and dtypes of `model`; both hold arrays, `model` perhaps abstract ones.

    Raises
    ------
    ProblemError
        naming the leaf that differs.
    """
    leaves, treedef = tree_util.tree_flatten(tree)
    models, expected = tree_util.tree_flatten_with_path(model)
    if treedef != expected:
        raise ProblemError(f"{argument} has structure {treedef}, but {what} has {expected}; give it that structure")
    for leaf, (path, of_model) in zip(leaves, models, strict=True):
        if leaf.shape != of_model.shape:
            raise ProblemError(
                f"{argument} at {path_name(path)} has shape {leaf.shape}, but {what} has {of_model.shape} there"
            )
    return treedef.unflatten([leaf.astype(of_model.dtype) for leaf, (_, of_model) in zip(leaves, models, strict=True)])


@contextmanager
def setting(point: Point) -> Iterator[None]:
    """Precision that the point asks for, and the promotion rules that user code is written for."""
    with ExitStack() as stack:
        if not point.traced:
            stack.enter_context(jax.numpy_dtype_promotion("standard"))
            stack.enter_context(jax.numpy_rank_promotion("allow"))
        if point.wide:
            stack.enter_context(float64())
        yield


def outputs(function: Any, point: Point, *, scalar: bool) -> Any:
    """Abstract output of `function` at the point; to be called within `setting`.

    Raises
    ------
    TraceError
        for an output that is not real floating point or, with `scalar`, not one number of shape ().
    """
    out = jax.eval_shape(lambda x: call_user(function, (x,), "f"), point.shapes)
    leaves = tree_util.tree_leaves(out)
    if not leaves:
        raise TraceError(f"f returned {out!r:.60}, which holds no numbers; return an array")
    for leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TraceError(f"f returned dtype {leaf.dtype}; it must return real floating-point arrays to have slopes")
    if scalar and (len(leaves) > 1 or leaves[0].shape != ()):
        raise TraceError(
            f"f returned shape {', '.join(str(leaf.shape) for leaf in leaves)}; one number of shape () is needed here: "
            "take an entry, as in f(x)[0], a sum, or karush.jacobian for all outputs"
        )
    return out


def size_of(tree: Any) -> int:
    """Numbers in a tree of arrays."""
    return sum(prod(leaf.shape) for leaf in tree_util.tree_leaves(tree))


def handed_back(tree: Any, point: Point) -> Any:
    """Results as NumPy arrays for a point without JAX arrays: outside the switch JAX would halve their precision."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[()], tree) if point.host else tree


__all__ = ["Point", "handed_back", "like", "opened", "outputs", "setting", "size_of"]
