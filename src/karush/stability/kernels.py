"""Softmax and its relatives recognised in a program, for the derivative rules that they have as a whole.

```
exp(u)/sum exp(u) = softmax(u)          u - log sum exp(u), log softmax(u) = log_softmax(u)
log sum exp(u) = logsumexp(u)           sum p log p = -entropy,    sum p log(p/q) = KL,    p, q = softmax(u), (v)
```

Of the parts, each accurate, the derivative of the whole may cancel; the rule of the whole does not form what cancels.
A shift of u by what is constant along the axis, such as its largest entry, is left out where it changes nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from karush.numerics.information import entropy, kl_divergence
from karush.numerics.softmax import log_softmax, logsumexp, softmax
from karush.stability.contrasts import COVARIANCE, MEAN, contrast
from karush.stability.evaluate import emit_one
from karush.stability.operations import STRUCTURAL
from karush.stability.terms import Graph, Term, order


def _ruled(function: Callable[[Any], Any], kind: str) -> Callable[[Any], Any]:
    """`function` along the last axis, with an accurate product for its derivative."""
    ruled = jax.custom_jvp(lambda x: function(x))
    ruled.defjvp(lambda primals, tangents: (ruled(*primals), contrast(primals[0], tangents[0], kind)))
    return ruled


_softmax, _log_softmax = _ruled(softmax, COVARIANCE), _ruled(log_softmax, MEAN)


def _along(function: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda axis, x: jnp.moveaxis(function(jnp.moveaxis(x, axis, -1)), -1, axis)


RUNS: dict[str, Callable[..., Any]] = {
    "softmax": _along(_softmax),
    "log_softmax": _along(_log_softmax),
    "logsumexp": lambda axis, x: logsumexp(x, axis),
    "negative entropy": lambda axis, x: -entropy(x, axis),
    "divergence": lambda axis, x, y: kl_divergence(x, y, axis),
}
"""kind of kernel -> what it runs, given the axis"""


class Kernel(NamedTuple):
    """A term that is a kernel of other terms."""

    kind: str
    args: tuple[Term, ...]
    axis: int


REPEATING = ("broadcast_in_dim", "reshape", "squeeze", "expand_dims")


def _below(term: Term) -> Term:
    """The term below repetitions."""
    while term.op in REPEATING:
        term = term.args[0]
    return term


def _places(term: Term, root: Term) -> np.ndarray:
    """Which element of `root` each element of a term is that repeats it."""
    if term is root:
        return np.arange(int(np.prod(root.shape))).reshape(root.shape)
    below = _places(term.args[0], root)
    return STRUCTURAL[term.op].numpy(term.param, below[None], term.shape)[0]


def _repeats(term: Term, root: Term, shape: tuple[int, ...], axis: int) -> bool:
    """Whether the term is `root`, a number for each row along `axis` of an array of `shape`, repeated along it."""
    rows = np.expand_dims(np.arange(int(np.prod(root.shape))).reshape(_without(shape, axis)), axis)
    return bool(np.all(np.broadcast_to(rows, shape) == _places(term, root)))


def _in_order(term: Term, root: Term) -> bool:
    """Whether the term has the elements of `root`, each once, in the same order."""
    return np.array_equal(_places(term, root).ravel(), np.arange(int(np.prod(root.shape))))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _fits(root: Term, shape: tuple[int, ...], axis: int) -> bool:
    """Whether `root` has as many numbers as an array of `shape` has rows."""
    return int(np.prod(root.shape)) == int(np.prod(_without(shape, axis)))


def _unshifted(term: Term, axis: int) -> Term:
    """The term without what is subtracted from it and constant along the axis."""
    while term.op == "sub" and term.args[0].shape == term.shape:
        shift = term.args[1]
        places = _places(shift, _below(shift))
        if shift.shape == term.shape and (places != np.take(places, [0], axis)).any():
            break
        if shift.shape not in ((), term.shape):
            break
        term = term.args[0]
    return term


def _exponentials(term: Term) -> tuple[Term, int] | None:
    """(u, axis) where the term is sum exp(u) along one axis."""
    if term.op != "reduce_sum" or term.args[0].op != "exp" or len(term.param) != 1:
        return None
    u = term.args[0].args[0]
    return (u, term.param[0]) if u.shape == term.args[0].shape else None


def _matched(term: Term, found: dict[int, Kernel]) -> Kernel | None:
    """The kernel that the term is; those of the terms below it are known."""
    for match in (_shares, _logarithm, _difference, _sum_of_logarithm, _information):
        kernel = match(term, found)
        if kernel is not None:
            return kernel
    return None


def _shares(term: Term, found: dict[int, Kernel]) -> Kernel | None:
    """``exp(u)/sum exp(u)``."""
    if term.op != "div" or term.args[0].op != "exp":
        return None
    above, below = term.args[0], _below(term.args[1])
    inside = _exponentials(below)
    if inside is None or inside[0] is not above.args[0] or not _repeats(term.args[1], below, term.shape, inside[1]):
        return None
    return Kernel("softmax", (_unshifted(inside[0], inside[1]),), inside[1])


def _logarithm(term: Term, found: dict[int, Kernel]) -> Kernel | None:
    """``log softmax``, and ``log sum exp(u)``, which may have kept the axis."""
    if term.op != "log":
        return None
    inner = found.get(term.args[0].number)
    if inner is not None and inner.kind == "softmax":
        return inner._replace(kind="log_softmax")
    # JAX's own takes the absolute value of the sum.
    positive = term.args[0].args[0] if term.args[0].op == "abs" else term.args[0]
    root = _below(positive)
    inside = _exponentials(root)
    return Kernel("logsumexp", (inside[0],), inside[1]) if inside is not None and _in_order(positive, root) else None


def _difference(term: Term, found: dict[int, Kernel]) -> Kernel | None:
    """``u - logsumexp(u)``."""
    if term.op != "sub":
        return None
    root = _below(term.args[1])
    inner = found.get(root.number)
    if inner is None or inner.kind != "logsumexp" or inner.args[0] is not term.args[0]:
        return None
    if not _fits(root, term.shape, inner.axis) or not _repeats(term.args[1], root, term.shape, inner.axis):
        return None
    return Kernel("log_softmax", (_unshifted(term.args[0], inner.axis),), inner.axis)


def _sum_of_logarithm(term: Term, found: dict[int, Kernel]) -> Kernel | None:
    """``m + logsumexp(x - m)``."""
    if term.op != "add":
        return None
    for shift, rest in (term.args, term.args[::-1]):
        inner = found.get(rest.number)
        if inner is None or inner.kind != "logsumexp" or inner.args[0].op != "sub":
            continue
        x, repeated = inner.args[0].args
        root = _below(shift)
        if x.shape != inner.args[0].shape or root is not _below(repeated) or not _fits(root, x.shape, inner.axis):
            continue
        same_order = (
            shift.shape == term.shape and (_places(shift, root).ravel() == np.arange(int(np.prod(root.shape)))).all()
        )
        if same_order and _repeats(repeated, root, x.shape, inner.axis):
            return Kernel("logsumexp", (x,), inner.axis)
    return None


def _information(term: Term, found: dict[int, Kernel]) -> Kernel | None:
    """``sum p log p`` and ``sum p log(p/q)``."""
    if term.op != "reduce_sum" or term.args[0].op != "mul" or len(term.param) != 1:
        return None
    for weight, surprise in (term.args[0].args, term.args[0].args[::-1]):
        p = found.get(weight.number)
        if p is None or p.kind != "softmax" or (p.axis,) != term.param:
            continue
        log_p = found.get(surprise.number)
        if log_p is not None and log_p == p._replace(kind="log_softmax"):
            return Kernel("negative entropy", p.args, p.axis)
        quotient = surprise.args[0].op == "div" if surprise.op == "log" else False
        if quotient or surprise.op == "sub":
            kind = "softmax" if quotient else "log_softmax"
            above, below = (found.get(t.number) for t in (surprise.args[0].args if quotient else surprise.args))
            if above == p._replace(kind=kind) and below is not None and (below.kind, below.axis) == (kind, p.axis):
                return Kernel("divergence", (*p.args, *below.args), p.axis)
    return None


def with_kernels(graph: Graph, outputs: Sequence[Term]) -> Callable[..., list[Any]] | None:
    """The JAX function of the terms, by kernels where they are some; None where none is."""
    found: dict[int, Kernel] = {}
    for term in order(outputs):
        kernel = _matched(term, found) if term.dtype == graph.dtype else None
        if kernel is not None:
            found[term.number] = kernel
    if not found:
        return None
    steps: dict[int, Term] = {}
    open_terms = list(outputs)
    while open_terms:
        term = open_terms.pop()
        if term.number not in steps:
            steps[term.number] = term
            open_terms += found[term.number].args if term.number in found else term.args

    def run(*arguments: Any) -> list[Any]:
        done: dict[int, Any] = {}
        # Arguments are older than what is made of them.
        for number in sorted(steps):
            term, kernel = steps[number], found.get(number)
            if kernel is None:
                done[number] = emit_one(term, arguments, [done[a.number] for a in term.args])
            else:
                value = RUNS[kernel.kind](kernel.axis, *[done[a.number] for a in kernel.args])
                done[number] = jnp.reshape(value, term.shape)
        return [done[t.number] for t in outputs]

    return run


__all__ = ["with_kernels"]
