"""The door: pytrees of float arrays become one flat array here, and nowhere else."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import tree_util

from karush.core.errors import ProblemError
from karush.core.precision import as_float64


@dataclass(frozen=True)
class Door:
    """Structure of a pytree of float arrays, and the way in and out of one flat array of length `size`."""

    treedef: Any
    shapes: tuple[tuple[int, ...], ...]
    leaf_names: tuple[str, ...]

    @cached_property
    def size(self) -> int:
        """Numbers in all."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def unravel(self, flat: Any) -> Any:
        """The pytree whose leaves, one after another, are `flat` (size,); works on NumPy arrays and inside a trace."""
        if len(self.shapes) == 1 and self.shapes[0] == (self.size,):
            return self.treedef.unflatten([flat])
        return self.treedef.unflatten(cut(flat, self.shapes))

    def ravel(self, tree: Any, argument: str) -> np.ndarray:
        """Flat float64 array of a pytree of this very structure.

        Raises
        ------
        ProblemError
            naming the leaf that has another structure or shape.
        """
        leaves, treedef = tree_util.tree_flatten(tree)
        one_number = isinstance(tree, (list, tuple)) and tree_util.treedef_is_leaf(self.treedef)
        if len(self.shapes) == 1 and (len(leaves) != 1 or one_number):
            leaves, treedef = [tree], self.treedef
        if treedef != self.treedef:
            raise ProblemError(f"{argument} has structure {treedef}, but x0 has {self.treedef}; give it x0's structure")
        parts = []
        for leaf, shape, name in zip(leaves, self.shapes, self.leaf_names, strict=True):
            part = as_float64(leaf, f"{argument} at {name}")
            if part.shape != shape:
                raise ProblemError(f"{argument} at {name} has shape {part.shape}, but x0 has {shape} there")
            parts.append(part.ravel())
        return np.concatenate(parts) if parts else np.zeros(0)

    def broadcast(self, prefix: Any, argument: str, missing: float) -> np.ndarray:
        """Flat array of a prefix pytree: None stands for `missing`, scalars and arrays broadcast over their subtree."""
        if prefix is None:
            return np.full(self.size, missing)
        full = self.treedef.unflatten([np.empty(shape) for shape in self.shapes])
        if len(self.shapes) == 1 and isinstance(prefix, (list, tuple)):
            prefix = self.treedef.unflatten([prefix_array(prefix, argument, missing)])
        parts: list[np.ndarray] = []

        def spread(leaf: Any, subtree: Any) -> None:
            if isinstance(leaf, (list, tuple)) and isinstance(subtree, (list, tuple)):
                for item, part in zip(leaf, subtree, strict=True):
                    spread(item, part)
                return
            for array in tree_util.tree_leaves(subtree):
                values = prefix_array(leaf, argument, missing)
                name = self.leaf_names[len(parts)]
                if values.ndim > array.ndim or not _fits(values.shape, array.shape):
                    raise ProblemError(
                        f"{argument} at {name} has shape {values.shape}, which does not broadcast to x0's shape "
                        f"{array.shape}; give a scalar, None, or an array of that shape"
                    )
                parts.append(np.broadcast_to(values, array.shape).ravel())

        try:
            tree_util.tree_map(spread, prefix, full, is_leaf=_is_prefix_leaf)
        except (ValueError, TypeError) as error:
            if isinstance(error, ProblemError):
                raise
            raise ProblemError(f"{argument} is no prefix of x0's structure {self.treedef}: {error}") from error
        return np.concatenate(parts) if parts else np.zeros(0)

    # What a solver sees may hold more variables than the user's x (the two parts of |x|). The next six are the identity
    # here; `karush.problem.regularization.SplitDoor` gives them their meaning.

    def enter(self, flat: np.ndarray) -> np.ndarray:
        """The solver's variables for the user's raveled x."""
        return flat

    def join(self, variables: Any) -> Any:
        """The user's raveled x (size, ...) from the solver's variables; linear."""
        return variables

    def join_transposed(self, cotangent: np.ndarray) -> np.ndarray:
        """The transpose of `join`."""
        return cotangent

    def bound_multipliers(self, values: np.ndarray, z: np.ndarray) -> np.ndarray:
        """What belongs to bounds of the user's x in `values`, a multiple or derivative of the multipliers z."""
        return values

    def bound_multipliers_transposed(self, cotangent: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The transpose of `bound_multipliers` in `values`."""
        return cotangent

    def ravel_joined(self, tree: Any, argument: str) -> np.ndarray:
        """Raveled x (size,), as the user sees it."""
        return Door.ravel(self, tree, argument)

    def names(self) -> tuple[str, ...]:
        """One name per flat entry: ``x[2]``, ``gen.p[0]``, ``angle[1,3]``."""
        out: list[str] = []
        for shape, name in zip(self.shapes, self.leaf_names, strict=True):
            if shape == ():
                out.append(name)
            elif len(shape) == 1:
                out.extend(f"{name}[{i}]" for i in range(shape[0]))
            else:
                out.extend(f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(*shape))
        return tuple(out)


def cut(flat: Any, shapes: Iterable[tuple[int, ...]]) -> list[Any]:
    """Arrays of these shapes that lie one after another in `flat`; in a trace or outside one."""
    leaves, start = [], 0
    for shape in shapes:
        stop = start + int(np.prod(shape))
        leaves.append(flat[start:stop].reshape(shape))
        start = stop
    return leaves


def prefix_array(leaf: Any, argument: str, missing: float) -> np.ndarray:
    """Numbers of one prefix leaf; None, alone or inside a list, means `missing`."""
    if leaf is None:
        return np.array(missing)
    if isinstance(leaf, (list, tuple)) and any(item is None for item in leaf):
        leaf = [missing if item is None else item for item in leaf]
    return as_float64(leaf, argument)


def open_door(tree: Any, argument: str) -> tuple[Door, np.ndarray]:
    """Door and flat float64 value of `tree`.

    Raises
    ------
    ProblemError
        for a tree without numbers, or with leaves that are not real floating point.
    """
    if isinstance(tree, (list, tuple)) and tree and all(isinstance(item, (int, float)) for item in tree):
        tree = np.asarray(tree, dtype=np.float64)
    paths, treedef = tree_util.tree_flatten_with_path(tree)
    if not paths:
        raise ProblemError(f"{argument} holds no numbers: {tree!r:.80}; give an array or a pytree of arrays")
    shapes, names, parts = [], [], []
    for path, leaf in paths:
        name = path_name(path)
        if isinstance(leaf, (np.ndarray, jax.Array)) and leaf.dtype.kind in "iub":
            raise ProblemError(
                f"{argument} at {name} has dtype {leaf.dtype}; variables are real: "
                f"give {argument} as floating point, for example {argument}.astype(float)"
            )
        if not _is_numbers(leaf):
            raise ProblemError(
                f"{argument} at {name} is {type(leaf).__name__} {leaf!r:.60}; give floating-point arrays"
            )
        # A start is exact in any precision that it was given in: nothing is compared with it.
        array = np.asarray(leaf).astype(np.float64)
        shapes.append(array.shape)
        names.append(name)
        parts.append(array.ravel())
    return Door(treedef, tuple(shapes), tuple(names)), np.concatenate(parts)


def path_name(path: tuple[Any, ...]) -> str:
    """Readable name of a pytree path: ``x`` for the root, ``gen.p``, ``[0].speed``."""
    text = ""
    for key in path:
        if isinstance(key, tree_util.SequenceKey):
            text += f"[{key.idx}]"
        else:
            word = getattr(key, "key", getattr(key, "name", key))
            text += f".{word}" if text else str(word)
    return f"x{text}" if text.startswith("[") else text or "x"


def ravel_traced(tree: Any) -> Any:
    """Leaves of a traced pytree as one flat array, in a trace."""
    leaves = tree_util.tree_leaves(tree)
    if len(leaves) == 1 and jnp.ndim(leaves[0]) == 1:
        return leaves[0]
    return jnp.concatenate([jnp.ravel(leaf) for leaf in leaves]) if leaves else jnp.zeros(0)


def _is_numbers(leaf: Any) -> bool:
    if isinstance(leaf, (bool, str, bytes)):
        return False
    if isinstance(leaf, (list, tuple, dict)):
        return False
    dtype = getattr(leaf, "dtype", None)
    return isinstance(leaf, (int, float)) if dtype is None else np.dtype(dtype).kind in "fiu"


def _is_prefix_leaf(leaf: Any) -> bool:
    """Numbers, None for no number, or a list of them: it may stand for an array, or for a list of scalars."""
    if isinstance(leaf, (list, tuple)):
        return all(item is None or _is_numbers(item) for item in leaf)
    return leaf is None or _is_numbers(leaf)


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False
