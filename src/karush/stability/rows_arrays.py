"""Rows of rewrites for arrays: sums of exponentials, variances, distances, products.

Such a row is a function of a term that returns the replacement, or None where the term has another form; it carries
an example, from which its test is made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax.numpy as jnp

from karush.stability.reductions import (
    back,
    log_of_mean,
    log_of_product,
    one_plus_the_others,
    power_of_array_product,
    power_of_power,
    reduced,
    scaled_sum_of_powers,
    sum_about_one,
    sum_of_exponentials,
    total,
)
from karush.stability.rows import Row
from karush.stability.terms import Graph, Term, is_number

Rewrite = Callable[[Graph, Term], Term | None]
STRUCTURES = ("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "slice", "rev", "transpose")


@dataclass(frozen=True)
class ArrayRow(Row):
    """A row by a function."""

    rewrite: Rewrite = lambda graph, term: None
    example: Callable = lambda x: x
    """function of a vector that the row applies to"""


def angle(graph: Graph, term: Term) -> Term | None:
    """``acos(u.v / (|u| |v|)) = 2 atan2(| u|v| - v|u| |, | u|v| + v|u| |)`` [Kah06]."""
    if term.op != "acos" or term.args[0].op != "div" or term.args[0].args[0].op != "reduce_sum":
        return None
    dot, below = term.args[0].args
    if dot.args[0].op != "mul" or len(dot.args[0].shape) != 1:
        return None
    u, v = dot.args[0].args
    squares = [total(graph, graph.term("ipow", x, param=2), dot.param) for x in (u, v)]
    lengths = [graph.term("sqrt", s) for s in squares]
    forms = [graph.term("mul", *p) for p in (lengths, lengths[::-1])]
    forms += [graph.term("sqrt", graph.term("mul", *p)) for p in (squares, squares[::-1])]
    if below not in forms:
        return None
    a = graph.term("mul", u, back(graph, lengths[1], u.shape, dot.param))
    b = graph.term("mul", v, back(graph, lengths[0], v.shape, dot.param))
    difference, both = (
        graph.term("sqrt", total(graph, graph.term("ipow", graph.term(op, a, b), param=2), dot.param))
        for op in ("sub", "add")
    )
    return graph.term("mul", 2.0, graph.term("atan2", difference, both))


def broadcast_inward(graph: Graph, term: Term) -> Term | None:
    """The repetition of a product or quotient as the product of repetitions."""
    if term.op not in STRUCTURES or term.args[0].op not in ("mul", "div", "exp", "log", "sub", "add", "neg", "sqrt"):
        return None
    inner = term.args[0]
    moved = [a if a.shape == () and a.is_constant else _moved(graph, term, a, inner.shape) for a in inner.args]
    if any(a is None for a in moved):
        return None
    new = graph.term(inner.op, *moved)
    return new if new.shape == term.shape else None


def _moved(graph: Graph, term: Term, inner: Term, shape: tuple[int, ...]) -> Term | None:
    if inner.shape == () and term.op != "broadcast_in_dim":
        return inner
    if inner.shape != shape:
        return None
    if term.op == "broadcast_in_dim":
        return graph.placed(inner, term.param, term.shape)
    if term.op in ("slice", "squeeze") and inner.op == "broadcast_in_dim" and inner.args[0].shape == ():
        return graph.placed(inner.args[0], (), term.shape)
    return graph.make(term.op, (inner,), term.param, term.shape, term.dtype)


def _stripped(term: Term) -> Term:
    """The term below repetitions and reshapes."""
    while term.op in STRUCTURES:
        term = term.args[0]
    return term


def _mean(term: Term) -> tuple[Term, Term, tuple[int, ...]] | None:
    """(x, n, axes) where the term is sum(x)/n."""
    if term.op == "div" and term.args[0].op == "reduce_sum" and term.args[1].is_constant:
        return term.args[0].args[0], term.args[1], term.args[0].param
    return None


def variance(graph: Graph, term: Term) -> Term | None:
    """``mean(x^2) - mean(x)^2 = mean((x - mean x)^2)``, and the same for a covariance."""
    if term.op != "sub":
        return None
    first = _mean(term.args[0])
    if first is None:
        return None
    product, count, axes = first
    size = 1
    for axis in axes:
        size *= product.shape[axis]
    if not is_number(count, float(size)):
        return None
    pair = (product.args[0], product.args[0]) if product.op == "ipow" and product.param == 2 else product.args
    square = term.args[1]
    means = (square.args[0], square.args[0]) if square.op == "ipow" and square.param == 2 else square.args
    if len(pair) != 2 or len(means) != 2 or product.op not in ("ipow", "mul") or square.op not in ("ipow", "mul"):
        return None
    centered = []
    for x, m in zip(pair, means, strict=True):
        found = _mean(m)
        if found is None or found[0] is not x or found[2] != axes:
            return variance_swapped(graph, term, pair, means)
        centered.append(graph.term("sub", x, back(graph, m, x.shape, axes)))
    return graph.term("div", total(graph, graph.term("mul", *centered), axes), count)


def variance_swapped(graph: Graph, term: Term, pair: tuple, means: tuple) -> Term | None:
    """A covariance whose means stand in the other order."""
    first, second = _mean(means[0]), _mean(means[1])
    if first is None or second is None or first[0] is not pair[1] or second[0] is not pair[0]:
        return None
    swapped = graph.term("mul", means[1], means[0])
    return (
        variance(graph, graph.make("sub", (term.args[0], swapped), None, term.shape, term.dtype))
        if (swapped.args[0] is means[1])
        else None
    )


def sum_of_squares_about_mean(graph: Graph, term: Term) -> Term | None:
    """``sum(x^2) - n mean(x)^2`` and ``sum(x^2) - sum(x)^2/n`` as the sum of (x - mean x)^2."""
    if term.op != "sub" or term.args[0].op != "reduce_sum" or term.args[0].args[0].op != "ipow":
        return None
    axes, x = term.args[0].param, term.args[0].args[0].args[0]
    size = 1
    for axis in axes:
        size *= x.shape[axis]
    sum_x = total(graph, x, axes)
    mean = graph.term("div", sum_x, float(size))
    forms = (
        graph.term("mul", float(size), graph.term("ipow", mean, param=2)),
        graph.term("mul", graph.term("ipow", mean, param=2), float(size)),
        graph.term("div", graph.term("ipow", sum_x, param=2), float(size)),
    )
    if term.args[0].args[0].param != 2 or term.args[1] not in forms:
        return None
    centered = graph.term("sub", x, back(graph, mean, x.shape, axes))
    return total(graph, graph.term("ipow", centered, param=2), axes)


def squared_distance(graph: Graph, term: Term) -> Term | None:
    """``|x|^2 - 2 x.y + |y|^2 = |x - y|^2``, in any order."""
    if term.op not in ("add", "sub"):
        return None
    parts = list(_summands(term, 1))
    if len(parts) != 3:
        return None
    squares = [t.args[0].args[0] for sign, t in parts if sign > 0 and _is_sum_of_square(t)]
    products = [t for sign, t in parts if sign < 0 and t.op == "mul"]
    if len(squares) != 2 or len(products) != 1:
        return None
    for two, dot in (products[0].args, products[0].args[::-1]):
        if is_number(two, 2.0) and dot.op == "reduce_sum" and dot.args[0].op == "mul":
            x, y = dot.args[0].args
            if {x.number, y.number} == {s.number for s in squares}:
                return total(graph, graph.term("ipow", graph.term("sub", x, y), param=2), dot.param)
    return None


def _is_sum_of_square(term: Term) -> bool:
    return term.op == "reduce_sum" and term.args[0].op == "ipow" and term.args[0].param == 2


def _summands(term: Term, sign: int) -> Iterator[tuple[int, Term]]:
    if term.op in ("add", "sub"):
        yield from _summands(term.args[0], sign)
        yield from _summands(term.args[1], sign if term.op == "add" else -sign)
    else:
        yield sign, term


def norm(graph: Graph, term: Term) -> Term | None:
    """``sqrt(sum x^2 + c) = s sqrt(sum (x/s)^2 + c/s^2)``, s a power of two near the largest."""
    if term.op != "sqrt":
        return None
    parts = list(_summands(term.args[0], 1))
    sums = [t for sign, t in parts if sign > 0 and _is_sum_of_square(t)]
    others = [t for sign, t in parts if not _is_sum_of_square(t)]
    if len(sums) != 1 or len(sums) + len(others) != len(parts) or not all(_small_constant(t) for t in others):
        return None
    x, axes = sums[0].args[0].args[0], sums[0].param
    s = graph.term("pow2", reduced(graph, "reduce_max", graph.term("abs", x), axes))
    inside = total(graph, graph.term("ipow", graph.term("div", x, back(graph, s, x.shape, axes)), param=2), axes)
    for other in others:
        inside = graph.term("add", inside, graph.term("div", graph.term("div", other, s), s))
    return graph.term("mul", s, graph.term("sqrt", inside))


def _small_constant(term: Term) -> bool:
    return term.is_constant and term.shape == () and 0 <= float(term.param) <= 1


def scaled_sum_of_squares(graph: Graph, term: Term) -> Term | None:
    """``sum x y = s t sum (x/s)(y/t)``: quotients of such sums then lose their scales by exact algebra."""
    if term.op != "reduce_sum" or term.args[0].op not in ("ipow", "mul"):
        return None
    inside, axes = term.args[0], term.param
    if inside.op == "ipow" and inside.param != 2:
        return None
    pair = (inside.args[0], inside.args[0]) if inside.op == "ipow" else inside.args
    if any(x.shape != inside.shape or (x.op == "div" and x.args[1].op == "broadcast_in_dim") for x in pair):
        return None
    scales = [graph.term("pow2", reduced(graph, "reduce_max", graph.term("abs", x), axes)) for x in pair]
    parts = [graph.term("div", x, back(graph, s, x.shape, axes)) for x, s in zip(pair, scales, strict=True)]
    return graph.term("mul", graph.term("mul", *scales), total(graph, graph.term("mul", *parts), axes))


ARRAY_ROWS = (
    ArrayRow("sum of exponentials", "", "", "BHH21", rewrite=sum_of_exponentials,
             example=lambda x: jnp.sum(jnp.exp(x))),
    ArrayRow("sum of exponentials, one dominating", "", "", "BHH21", rewrite=one_plus_the_others,
             example=lambda x: jnp.sum(jnp.exp(x))),
    ArrayRow("sum of exponentials near one", "", "", "Kah87", rewrite=sum_about_one,
             example=lambda x: jnp.sum(jnp.exp(x))),
    ArrayRow("power of a power", "", "", "Hig02", rewrite=power_of_power, example=lambda x: jnp.power(x**6, 0.25)),
    ArrayRow("power of an array's product", "", "", "Hig02", rewrite=power_of_array_product,
             example=lambda x: jnp.power(jnp.prod(x), 0.25)),
    ArrayRow("angle between vectors", "", "", "Kah06", rewrite=angle,
             example=lambda x: jnp.arccos(jnp.sum(x * x[::-1]) / jnp.sqrt(jnp.sum(x**2) * jnp.sum(x[::-1] ** 2)))),
    ArrayRow("scaled sum of powers", "", "", "Blu78", rewrite=scaled_sum_of_powers, example=lambda x: jnp.sum(x**7)),
    ArrayRow("repetition moved inward", "", "", "Hig02", rewrite=broadcast_inward,
             example=lambda x: x - jnp.exp(jnp.sum(x, keepdims=True))),
    ArrayRow("variance", "", "", "CGL83", rewrite=variance, example=lambda x: jnp.mean(x**2) - jnp.mean(x) ** 2),
    ArrayRow("sum of squares about the mean", "", "", "CGL83", rewrite=sum_of_squares_about_mean,
             example=lambda x: jnp.sum(x**2) - 5.0 * jnp.mean(x) ** 2),
    ArrayRow("squared distance", "", "", "Hig02", rewrite=squared_distance,
             example=lambda x: jnp.sum(x**2) - 2.0 * jnp.sum(x * x[::-1]) + jnp.sum(x[::-1] ** 2)),
    ArrayRow("log of a product", "", "", "Hig02", rewrite=log_of_product, example=lambda x: jnp.log(jnp.prod(x))),
    ArrayRow("log of a mean of exponentials", "", "", "BHH21", rewrite=log_of_mean,
             example=lambda x: jnp.log(jnp.mean(jnp.exp(x)))),
    ArrayRow("norm", "", "", "Blu78", rewrite=norm, example=lambda x: jnp.sqrt(jnp.sum(x**2))),
    ArrayRow("scaled inner product", "", "", "Blu78", rewrite=scaled_sum_of_squares,
             example=lambda x: jnp.sum(x * jnp.exp(x))),
)  # fmt: skip


def rewritten(graph: Graph, term: Term) -> Iterator[tuple[Term, Row]]:
    """Replacements of a term by the rows of arrays."""
    for row in ARRAY_ROWS:
        new = row.rewrite(graph, term)
        if new is not None and new is not term and new.shape == term.shape:
            yield new, row


__all__ = ["ARRAY_ROWS", "ArrayRow", "rewritten"]
