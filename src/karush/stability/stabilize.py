"""`stabilize`: the same mathematical function, computed accurately.

```
g = stabilize(f, box):    g(x) = f(x) for real x,    |fl(g(x)) - f(x)| <= a few ulps on the box
```
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import eval_context
from jax.extend.core import jaxpr_as_fun

from karush.bounds.box import Box
from karush.core.errors import ProblemError, TraceError
from karush.core.pytrees import path_name
from karush.jaxprs.source import UNKNOWN, Place
from karush.stability.compensation import COMPENSATED
from karush.stability.own_rules import goes_backward_only
from karush.stability.printing import text
from karush.stability.repair import Repaired, Traced, repair
from karush.stability.slopes import OWN_RULE, accurate_slope
from karush.stability.terms import Graph, Term, order


@dataclass(frozen=True)
class Change:
    """One rewrite of the user's program."""

    place: Place
    """file and line of the user"""
    before: str
    """the expression as it was"""
    after: str
    """what is computed instead"""
    row: str
    """name of the rewrite"""
    source: str
    """where it is written, a key of the list of references"""

    def __str__(self) -> str:
        return f"{self.place}: {self.before}  ->  {self.after}  [{self.row}; {self.source}]"


@dataclass(frozen=True, eq=False)
class Variant:
    """The program for inputs of one structure."""

    run: Callable[..., Any]
    out_tree: Any
    changes: tuple[Change, ...]
    source: str | None
    bits_before: float
    bits_after: float


class Stabilized:
    """A JAX function, accurate; made by `stabilize`. Call it as the original; `jit`, `vmap` and `grad` apply.

    Attributes ``changes``, ``source``, ``bits_before`` and ``bits_after`` speak of the structure of inputs that was
    analysed first.
    """

    def __init__(self, function: Callable[..., Any], box: Any = None):
        self.original = function
        self.variants: dict[Any, Variant] = {}
        self.__name__ = getattr(function, "__name__", "f")
        self.__doc__ = getattr(function, "__doc__", None)
        self.ends: tuple[Any, Any] | None = None
        if box is not None:
            self.ends = _ends(box)
            self._variant(self.ends[0], {})

    @property
    def changes(self) -> tuple[Change, ...]:
        """What was changed, where, and why; empty for a function that was accurate."""
        return self._first.changes

    @property
    def source(self) -> str | None:
        """The repaired function as Python source; None where it is more than one expression of `jax.numpy`."""
        return self._first.source

    @property
    def bits_before(self) -> float:
        """Mean bits of error of the original under jit on the sample; NaN if unknown."""
        return self._first.bits_before

    @property
    def bits_after(self) -> float:
        """Mean bits of error of the repaired function, on points that the search did not see."""
        return self._first.bits_after

    @property
    def _first(self) -> Variant:
        if not self.variants:
            raise ProblemError(f"{self.__name__} was not analysed yet: call it once, or give stabilize a box")
        return next(iter(self.variants.values()))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        variant = self._variant(args, kwargs)
        leaves = [jnp.asarray(leaf) for leaf in jax.tree_util.tree_leaves((args, kwargs))]
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return jax.tree_util.tree_unflatten(variant.out_tree, variant.run(*leaves))

    def _variant(self, args: Any, kwargs: Any) -> Variant:
        leaves, tree = jax.tree_util.tree_flatten((args, kwargs))
        avals = [_aval(leaf) for leaf in leaves]
        key = (tree, tuple((a.shape, str(a.dtype)) for a in avals))
        if key not in self.variants:
            # Outside of a trace that may go on, but not `ensure_compile_time_eval`: that rounds what constants make.
            with eval_context():
                self.variants[key] = self._analysed(tree, avals)
        return self.variants[key]

    def _analysed(self, tree: Any, avals: Sequence[jax.ShapeDtypeStruct]) -> Variant:
        names = _names(self.original, tree)
        dtype = _one_dtype(avals, names)
        trees: list[Any] = []

        def flat(*leaves: Any) -> tuple[Any, ...]:
            args, kwargs = jax.tree_util.tree_unflatten(tree, leaves)
            out = self._called(args, kwargs)
            outputs, out_tree = jax.tree_util.tree_flatten(out)
            trees.append(out_tree)
            return tuple(jnp.asarray(o) for o in outputs)

        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            closed = jax.make_jaxpr(flat)(*avals)
            lows, highs = self._box(avals, tree, dtype)
            program = Traced(closed, lows, highs, dtype)
            found = repair(program)
            run = jaxpr_as_fun(closed) if found.run is None else found.run
            free = not goes_backward_only(closed)
            ruled = accurate_slope(program, found.run, plain=not found.compensated) if free else None
        changes, source = _changes(found, names), _source(found, names, self.__name__)
        if ruled is not None:
            run = ruled
            changes += (
                Change(UNKNOWN, "the derivative by JAX", "a derivative repaired", OWN_RULE.name, OWN_RULE.source),
            )
        return Variant(run, trees[0], changes, source, found.before, found.after)

    def _called(self, args: Any, kwargs: Any) -> Any:
        try:
            return self.original(*args, **kwargs)
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
            raise TraceError(
                f"{self.__name__} cannot be traced by JAX: {str(error).splitlines()[0]} "
                "Write it with jax.numpy instead of numpy or math, jnp.where instead of if."
            ) from error

    def _box(self, avals: Sequence[Any], tree: Any, dtype: np.dtype) -> tuple[list[np.ndarray], list[np.ndarray]]:
        largest = np.finfo(dtype).max
        if self.ends is None:
            return [np.full(a.shape, -largest) for a in avals], [np.full(a.shape, largest) for a in avals]
        if jax.tree_util.tree_structure((self.ends[0], {})) != tree:
            raise ProblemError(f"{self.__name__} is called with another structure of arguments than its box has")
        lows, highs = (
            [np.broadcast_to(np.asarray(e, np.float64), a.shape) for e, a in zip(leaves, avals, strict=True)]
            for leaves in map(jax.tree_util.tree_leaves, self.ends)
        )
        return lows, highs


def _aval(leaf: Any) -> jax.ShapeDtypeStruct:
    array = jnp.asarray(leaf) if not hasattr(leaf, "aval") else leaf
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _ends(box: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Lower and upper ends as tuples of positional arguments."""
    boxes = (box,) if isinstance(box, Box) else box
    if not isinstance(boxes, (tuple, list)) or not boxes or not all(isinstance(b, Box) for b in boxes):
        raise ProblemError(
            f"box is {type(box).__name__} {box!r:.60}; give a karush.Box(lower, upper), "
            "or a tuple of boxes for a function of several arguments, or None for all floats"
        )
    return tuple(b.lower for b in boxes), tuple(b.upper for b in boxes)


def _names(function: Callable[..., Any], tree: Any) -> list[str]:
    """What the user calls each number: x, x['a'], y[0]."""
    try:
        parameters = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        parameters = []
    args, kwargs = jax.tree_util.tree_unflatten(tree, range(tree.num_leaves))
    names: list[str] = []
    for index, arg in enumerate(args):
        name = parameters[index] if index < len(parameters) else f"x{index}"
        names += [path_name(path).replace("x", name, 1) for path, _ in jax.tree_util.tree_flatten_with_path(arg)[0]]
    for name in sorted(kwargs):
        names += [
            path_name(path).replace("x", name, 1) for path, _ in jax.tree_util.tree_flatten_with_path(kwargs[name])[0]
        ]
    return names


def _one_dtype(avals: Sequence[Any], names: Sequence[str]) -> np.dtype:
    """The dtype of all inputs."""
    if not avals:
        raise ProblemError("the function takes no numbers; there is nothing to stabilize")
    for aval, name in zip(avals, names, strict=True):
        if aval.dtype not in (np.float32, np.float64):
            raise ProblemError(
                f"{name} is {aval.dtype}; stabilize takes float32 or float64 inputs: convert it, or close over it"
            )
    dtypes = {np.dtype(aval.dtype) for aval in avals}
    if len(dtypes) > 1:
        raise ProblemError("the inputs mix float32 and float64; give all of one dtype")
    return dtypes.pop()


def _changes(found: Repaired, names: Sequence[str]) -> tuple[Change, ...]:
    changes = []
    if found.compensated:
        whole = Place(None) if found.graph is None else _first_place(found.graph)
        changes.append(
            Change(whole, "the whole function", "the same with twice the digits", COMPENSATED.name, COMPENSATED.source)
        )
    if found.graph is None:
        return ()
    for move in found.moves:
        step = found.graph.steps.get(move.old.number)
        place = UNKNOWN if step is None else step.place
        changes.append(Change(place, text(move.old, names), text(move.new, names), move.row.name, move.row.source))
    return tuple(changes)


def _first_place(graph: Graph) -> Place:
    """Where the function begins."""
    places = (step.place for step in graph.steps.values())
    return next((place for place in places if place is not UNKNOWN), UNKNOWN)


def _source(found: Repaired, names: Sequence[str], name: str) -> str | None:
    if len(found.outputs) != 1 or not all(_printable(t) for t in order(found.outputs)):
        return None
    arguments = ", ".join(dict.fromkeys(n.split("[")[0].split(".")[0] for n in names))
    return f"def {name}({arguments}):\n    return {text(found.outputs[0], names)}\n"


def _printable(term: Term) -> bool:
    from_numpy = text(term, [""] * 999).startswith(("jnp.", "jax.nn.", "lax.")) if term.args else True
    return from_numpy or term.op in ("add", "sub", "mul", "div", "neg", "ipow")


def stabilize(f: Callable[..., Any], box: Any = None) -> Stabilized:
    """A JAX function that computes what `f` means, accurately.

    Parameters
    ----------
    f
        JAX function of float32 or float64 arrays in any pytrees. Its dtype is kept.
    box
        Where it shall be accurate: a `karush.Box` of its argument, a tuple of boxes for several arguments. None: on all
        floats, analysed at the first call with arguments of a structure.

    Returns
    -------
    A callable with the same arguments. ``.changes`` lists what was changed, where and why; ``.source`` is the repaired
    code, where that is one expression; ``.bits_before`` and ``.bits_after`` are mean bits of error. A function that is
    accurate is left alone.

    Raises
    ------
    ProblemError
        for a box that is none, or inputs that are not of one floating-point dtype.
    TraceError
        for a function that JAX cannot trace.
    """
    if isinstance(f, Stabilized) and box is None:
        return f
    if not callable(f):
        raise ProblemError(f"f must be a JAX function, got {type(f).__name__} {f!r:.60}")
    return Stabilized(f, box)


__all__ = ["Change", "Stabilized", "stabilize"]
