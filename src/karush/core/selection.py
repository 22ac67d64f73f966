"""Parts of a pytree, as users name them: a function that picks them, or the name of a leaf."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from karush.core.errors import ProblemError
from karush.core.pytrees import Door

Selector = Callable[[Any], Any] | str | None
"""None for all; ``lambda x: x["weights"][1:]``; or ``"weights"``, which takes in what lies below it"""


def select(door: Door, of: Selector, argument: str) -> Any:
    """Pytree of integer arrays: the flat indices of what `of` picks from the structure behind `door`.

    Raises
    ------
    ProblemError
        for a part that does not exist, naming those that do.
    """
    tree = door.unravel(np.arange(door.size))
    if of is None:
        return tree
    if isinstance(of, str):
        below = (of + ".", of + "[")
        leaves = jax.tree.leaves(tree)
        found = [leaf for leaf, name in zip(leaves, door.leaf_names, strict=True) if _below(name, of, below)]
        if not found:
            raise ProblemError(f"{argument} is {of!r}, which names no leaf; the leaves are {_listed(door)}")
        return found[0] if len(found) == 1 else found
    if not callable(of):
        raise ProblemError(f"{argument} is {of!r:.60}; give a function such as lambda x: x['name'], or a leaf's name")
    try:
        picked = of(tree)
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise ProblemError(
            f"{argument} picks what does not exist: {type(error).__name__} {error}; the leaves are {_listed(door)}"
        ) from error
    leaves = jax.tree.leaves(picked)
    if not leaves or any(np.asarray(leaf).dtype.kind not in "iu" for leaf in leaves):
        raise ProblemError(f"{argument} returned {picked!r:.60}; it must return parts of its argument, unchanged")
    return jax.tree.map(np.asarray, picked)


def flat_indices(picked: Any, argument: str) -> np.ndarray:
    """The indices in a pytree of `select`, one after another (q,).

    Raises
    ------
    ProblemError
        for one that is picked twice.
    """
    indices = np.concatenate([np.zeros(0, int), *(np.ravel(leaf) for leaf in jax.tree.leaves(picked))])
    if np.unique(indices).size != indices.size:
        raise ProblemError(f"{argument} picks the same number twice; pick every number once")
    return indices


def _below(name: str, of: str, below: tuple[str, str]) -> bool:
    return name == of or name.startswith(below)


def _listed(door: Door) -> str:
    shown = ", ".join(door.leaf_names[:8])
    return f"{shown}, and {len(door.leaf_names) - 8} more" if len(door.leaf_names) > 8 else shown
