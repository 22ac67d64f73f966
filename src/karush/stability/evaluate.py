"""Terms computed: at sample points by NumPy in the program's dtype, and as a JAX function."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from karush.jaxprs.walk import bind
from karush.stability.operations import ELEMENTWISE, STRUCTURAL
from karush.stability.terms import Term, order


class Points:
    """Sample points of a program, and values of terms at them."""

    def __init__(self, columns: Sequence[np.ndarray]):
        self.columns = list(columns)
        self.count = len(columns[0])

    def values(self, term: Term) -> np.ndarray:
        """Values (N, *shape), or (1, *shape) of what does not depend on the inputs."""
        for each in order([term]):
            if each.values is None:
                with np.errstate(all="ignore"):
                    each.values = self._compute(each)
        return term.values

    def _compute(self, term: Term) -> Any:
        if term.op == "input":
            return self.columns[term.param]
        if term.op == "const":
            return np.asarray(term.param)[None]
        if term.op in ELEMENTWISE:
            rank = len(term.shape)
            args = [_ranked(a.values, rank) for a in term.args]
            result = ELEMENTWISE[term.op].numpy(*args, **({} if term.param is None else {"param": term.param}))
            return np.asarray(result, term.dtype)
        if term.op in STRUCTURAL:
            return np.asarray(STRUCTURAL[term.op].numpy(term.param, term.args[0].values, term.shape), term.dtype)
        if term.op == "part":
            return term.args[0].values[term.param]
        if not term.args:
            return [np.asarray(out)[None] for out in bind(term.param)]
        args = [np.broadcast_to(a.values, (self.count, *a.values.shape[1:])) for a in term.args]
        run = jax.jit(jax.vmap(lambda *given: tuple(bind(term.param, *given))))
        return [np.asarray(out) for out in run(*args)]


def _ranked(values: np.ndarray, rank: int) -> np.ndarray:
    """Values of a scalar term with axes for the elements of an array."""
    missing = rank + 1 - values.ndim
    return values.reshape(values.shape + (1,) * missing) if missing > 0 and values.ndim == 1 else values


def emit(outputs: Sequence[Term]) -> Callable[..., list[Any]]:
    """The JAX function of the terms: flat inputs to flat outputs."""
    steps = order(outputs)

    def run(*arguments: Any) -> list[Any]:
        done: dict[int, Any] = {}
        for term in steps:
            done[term.number] = emit_one(term, arguments, [done[a.number] for a in term.args])
        return [done[t.number] for t in outputs]

    return run


def emit_one(term: Term, arguments: Sequence[Any], args: list[Any]) -> Any:
    """One term, given the inputs of the program and the values of its arguments."""
    if term.op == "input":
        return arguments[term.param]
    if term.op == "const":
        return jnp.asarray(term.param, term.dtype) if term.is_float else jnp.asarray(term.param)
    if term.op in ELEMENTWISE:
        return ELEMENTWISE[term.op].jax(*args, **({} if term.param is None else {"param": term.param}))
    if term.op in STRUCTURAL:
        return STRUCTURAL[term.op].jax(term.param, args[0], term.shape)
    if term.op == "part":
        return args[0][term.param]
    return tuple(bind(term.param, *args))


def cost(outputs: Sequence[Term]) -> float:
    """Time of the terms, in additions, roughly."""
    return sum(
        ELEMENTWISE[t.op].cost * (np.prod(t.shape) if t.shape else 1) for t in order(outputs) if t.op in ELEMENTWISE
    )


__all__ = ["Points", "cost", "emit", "emit_one"]
