"""What a kernel of floating-point numbers computes in exact real numbers, for walkers that speak of real numbers.

``two_sum(a, b)`` is the rounded sum and what the rounding has lost. In real numbers nothing is lost: it is (a + b, 0).
Intervals do not see that, so an accurate kernel is enclosed worse than its plain formula. `means` states the formula;
``inline(..., real=True)`` and ``primal`` put it in place of the call. Walkers of rounded programs (audit, twofold,
stabilize) leave the kernel as it is.

A kernel is not known by its name. Its program is traced again for the shapes of the call, as it is and under `vmap`,
and only a call of exactly that program is replaced. Everything else, such as a derivative of it, stays as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from karush.core.precision import float64

Meaning = Callable[..., Any]
"""``meaning(*arguments)``: arguments that are constants of the program are NumPy arrays; None: nothing is said"""

NO_VALUES = ("jvp_jaxpr_fun", "computation")
"""parameters that no value depends on: the rule of a derivative, the Python function of a jaxpr that is there too"""


@dataclass(frozen=True, eq=False)
class Kernel:
    """A function of the library and what it means."""

    function: Any
    meaning: Meaning


KERNELS: dict[str, Kernel] = {}
"""``name at file`` of the function -> kernel; the trusted base of every theorem about these functions"""


def means(meaning: Meaning) -> Callable[[Any], Any]:
    """Decorator above ``jax.custom_jvp``: the function is `meaning` in exact numbers, wherever its value is finite."""

    def register(function: Any) -> Any:
        code = function.__wrapped__.__code__
        KERNELS[f"{function.__name__} at {code.co_filename}"] = Kernel(function, meaning)
        return function

    return register


def meant(inner: ClosedJaxpr, known: Callable[[int], np.ndarray | None]) -> ClosedJaxpr | None:
    """The meaning of a call, with the inputs and outputs of the call; None if it has none.

    Parameters
    ----------
    inner
        what it calls.
    known
        the value of an input of the call if it is an exact constant of the program.
    """
    described = getattr(inner.jaxpr.debug_info, "func_src_info", None) or ""
    kernel = KERNELS.get(described.rpartition(":")[0])
    if kernel is None:
        return None
    shapes = tuple((tuple(aval.shape), np.dtype(aval.dtype)) for aval in inner.in_avals)
    axes = _batched_as(kernel, shapes, inner)
    if axes is None:
        return None
    # Inside a `vmap` a batched argument is one row of its constant.
    values = [None if axes and axes[place] is not None else known(place) for place in range(len(shapes))]

    def plain(*arguments: Any) -> Any:
        given = [value if value is not None else argument for value, argument in zip(values, arguments, strict=True)]
        return kernel.meaning(*given)

    with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        closed = jax.make_jaxpr(_batched(plain, axes))(*_structs(shapes))
    ends = [[(aval.shape, aval.dtype) for aval in program.out_avals] for program in (closed, inner)]
    return closed if ends[0] == ends[1] else None


Axes = tuple[int | None, ...]
"""in_axes of a ``vmap``; () for none"""


def _batched_as(kernel: Kernel, shapes: tuple[Any, ...], inner: ClosedJaxpr) -> Axes | None:
    """How `inner` is the kernel: as it is, or under ``vmap`` in its first argument or in all; None if it is not."""
    first = [(axis, *[None] * (len(shapes) - 1)) for axis in range(len(shapes[0][0]))]
    for axes in ((), *first, (0,) * len(shapes)):
        own = _traced(kernel, shapes, axes)
        if own is not None and same(own, inner):
            return axes
    return None


def _batched(function: Any, axes: Axes) -> Any:
    return jax.vmap(function, in_axes=axes) if axes else function


def _structs(shapes: tuple[Any, ...]) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes]


@lru_cache(maxsize=256)
def _traced(kernel: Kernel, shapes: tuple[Any, ...], axes: Axes) -> ClosedJaxpr | None:
    """The program inside the one call that the kernel is for such arguments; None where they do not fit."""
    try:
        with float64(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            outer = jax.make_jaxpr(_batched(kernel.function, axes))(*_structs(shapes))
    except (TypeError, ValueError, IndexError):
        # Shapes that the kernel refuses: the call is the kernel batched in another way, or a namesake.
        return None
    # The call alone: a `vmap` that moves axes around it has other arguments or results than the call.
    program = outer.jaxpr
    alone = [e for e in program.eqns if e.primitive.name == "custom_jvp_call" and e.invars == program.invars]
    whole = len(program.eqns) == len(alone) == 1 and alone[0].outvars == program.outvars
    return alone[0].params["call_jaxpr"] if whole else None


def same(a: ClosedJaxpr | Jaxpr, b: ClosedJaxpr | Jaxpr) -> bool:
    """Whether two programs are the same operations on the same numbers."""
    (first, first_consts), (second, second_consts) = _parts(a), _parts(b)
    heads = [[len(p.invars), len(p.constvars), len(p.eqns), len(p.outvars)] for p in (first, second)]
    if heads[0] != heads[1] or not all(map(_equal, first_consts, second_consts)):
        return False
    names: tuple[dict[Any, int], dict[Any, int]] = ({}, {})

    def named(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
        for one, other in zip(ours, theirs, strict=True):
            if (one.aval.shape, one.aval.dtype) != (other.aval.shape, other.aval.dtype):
                return False
            names[0][one] = names[1][other] = len(names[0])
        return True

    def read(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
        return len(ours) == len(theirs) and all(map(same_atom, ours, theirs))

    def same_atom(one: Any, other: Any) -> bool:
        if isinstance(one, Literal) or isinstance(other, Literal):
            return isinstance(one, Literal) and isinstance(other, Literal) and _equal(one.val, other.val)
        return names[0][one] == names[1][other]

    if not named([*first.constvars, *first.invars], [*second.constvars, *second.invars]):
        return False
    for e, f in zip(first.eqns, second.eqns, strict=True):
        if e.primitive is not f.primitive or len(e.outvars) != len(f.outvars) or not read(e.invars, f.invars):
            return False
        if e.params.keys() != f.params.keys() or not named(e.outvars, f.outvars):
            return False
        if not all(_equal(e.params[key], f.params[key]) for key in e.params if key not in NO_VALUES):
            return False
    return read(first.outvars, second.outvars)


def _parts(program: ClosedJaxpr | Jaxpr) -> tuple[Jaxpr, Sequence[Any]]:
    return (program, ()) if isinstance(program, Jaxpr) else (program.jaxpr, program.consts)


def _equal(a: Any, b: Any) -> bool:
    """Whether two constants or parameters are the same; numbers bit by bit."""
    if isinstance(a, (ClosedJaxpr, Jaxpr)):
        return isinstance(b, (ClosedJaxpr, Jaxpr)) and same(a, b)
    if isinstance(a, (tuple, list)) and type(a) is type(b):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, Tracer) or isinstance(b, Tracer):
        return a is b
    if any(isinstance(value, (np.ndarray, np.generic, jax.Array, float)) for value in (a, b)):
        ours, theirs = np.asarray(a), np.asarray(b)
        return (ours.shape, ours.dtype, ours.tobytes()) == (theirs.shape, theirs.dtype, theirs.tobytes())
    return bool(a == b)


__all__ = ["KERNELS", "Kernel", "Meaning", "means", "meant", "same"]
