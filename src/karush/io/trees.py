"""Pytrees of numbers as JSON, and back by the structure of the problem.

A dict, a dataclass or a named node becomes an object, a list or tuple becomes an array, and so does an array leaf.
JSON cannot tell these apart again, so reading takes the problem's own structure and walks both together.
"""

import math
from typing import Any

import numpy as np
from jax import tree_util

from karush.core.errors import FileError
from karush.core.pytrees import Door

NON_FINITE = {"inf": np.inf, "-inf": -np.inf, "nan": np.nan}
"""JSON has no such numbers; Python's own ``Infinity`` and ``NaN`` are refused by other languages."""


def numbers(value: Any) -> Any:
    """Nested lists of floats of an array of any shape; what is not finite becomes ``"inf"``, ``"-inf"``, ``"nan"``."""
    return _finite(np.asarray(value, dtype=np.float64).tolist())


def encode(tree: Any) -> Any:
    """JSON value of a pytree of float arrays."""
    paths, _ = tree_util.tree_flatten_with_path(tree)
    return _document(_nest([(path, numbers(leaf)) for path, leaf in paths]))


def decode(document: Any, door: Door, argument: str) -> Any:
    """Pytree of float64 arrays of the structure of `door`.

    Raises
    ------
    FileError
        naming the leaf that is missing, unknown, of another shape, or not made of numbers.
    """
    template = door.treedef.unflatten([np.empty(shape) for shape in door.shapes])
    paths, treedef = tree_util.tree_flatten_with_path(template)
    shapes = [(path, leaf.shape) for path, leaf in paths]
    leaves: list[np.ndarray] = []
    _match(_nest(shapes), document, argument, leaves)
    return treedef.unflatten(leaves)


def array(document: Any, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Float64 array of nested lists of numbers.

    Raises
    ------
    FileError
        for anything but numbers, for ragged lists, and for another shape than `shape` where that is given.
    """
    parsed = _parsed(document, name)
    try:
        values = np.asarray(parsed, dtype=np.float64)
    except ValueError as error:
        raise FileError(f"{name} has lists of unequal lengths; give one rectangular array") from error
    if shape is not None and values.size == 0 == math.prod(shape):
        # Nested lists end at the first empty one.
        return values.reshape(shape)
    if shape is not None and values.shape != shape:
        raise FileError(
            f"{name} has shape {values.shape}, but the problem has {shape} there; give an array of that shape"
        )
    return values


def _nest(leaves: list[tuple[Any, Any]]) -> Any:
    """Paths as nested dicts from path key to subtree, in the order of the leaves; a bare leaf stands for itself."""
    if len(leaves) == 1 and not leaves[0][0]:
        return _Leaf(leaves[0][1])
    groups: dict[Any, list[tuple[Any, Any]]] = {}
    for path, leaf in leaves:
        groups.setdefault(path[0], []).append((path[1:], leaf))
    return {key: _nest(group) for key, group in groups.items()}


class _Leaf:
    """Marks a leaf of a nest: the leaf itself may be a list."""

    def __init__(self, content: Any):
        self.content = content


def _document(nest: Any) -> Any:
    if isinstance(nest, _Leaf):
        return nest.content
    if nest and all(isinstance(key, tree_util.SequenceKey) for key in nest):
        # JAX drops None from a tuple; the others keep their places.
        items = [None] * (1 + max(key.idx for key in nest))
        for key, branch in nest.items():
            items[key.idx] = _document(branch)
        return items
    return {_word(key): _document(branch) for key, branch in nest.items()}


def _word(key: Any) -> str:
    return str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))))


def _match(nest: Any, document: Any, name: str, leaves: list[np.ndarray]) -> None:
    if isinstance(nest, _Leaf):
        leaves.append(array(document, name, nest.content))
        return
    if all(isinstance(key, tree_util.SequenceKey) for key in nest):
        length = 1 + max(key.idx for key in nest)
        if not isinstance(document, list) or len(document) < length:
            raise FileError(f"{name} must be a list of {length} parts, as in the problem's x0; got {_short(document)}")
        known = {str(key.idx): (branch, document[key.idx]) for key, branch in nest.items()}
        unknown = [str(k) for k, item in enumerate(document) if item is not None and str(k) not in known]
        child = "{name}[{word}]"
    else:
        words = {_word(key): branch for key, branch in nest.items()}
        if not isinstance(document, dict):
            raise FileError(f"{name} must be an object with the keys {_listed(words)}; got {_short(document)}")
        missing = [word for word in words if word not in document]
        if missing:
            raise FileError(f"{name} lacks {_listed(missing)}; the problem's x0 has the keys {_listed(words)}")
        known = {word: (branch, document[word]) for word, branch in words.items()}
        unknown = [word for word in document if word not in known]
        child = "{name}.{word}"
    if unknown:
        raise FileError(
            f"{name} has {_listed(unknown)}, which the problem's x0 has not; remove it, known: {_listed(known)}"
        )
    for word, (branch, part) in known.items():
        _match(branch, part, child.format(name=name, word=word), leaves)


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if np.isfinite(value):
        return value
    return "nan" if np.isnan(value) else ("inf" if value > 0 else "-inf")


def _parsed(document: Any, name: str) -> Any:
    if isinstance(document, list):
        return [_parsed(item, name) for item in document]
    if isinstance(document, str) and document in NON_FINITE:
        return NON_FINITE[document]
    if isinstance(document, bool) or not isinstance(document, (int, float)):
        raise FileError(f'{name} holds {_short(document)}; give numbers, or "inf", "-inf", "nan"')
    return document


def _listed(words: Any) -> str:
    return ", ".join(repr(word) for word in words)


def _short(document: Any) -> str:
    text = repr(document)
    return text if len(text) <= 60 else text[:57] + "..."
