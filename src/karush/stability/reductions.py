"""Sums along axes as terms, and rows about sums and products of exponentials and powers."""

import math

from karush.stability.terms import Graph, Term, is_number


def total(graph: Graph, term: Term, axes: tuple[int, ...]) -> Term:
    """Sum along axes."""
    return reduced(graph, "reduce_sum", term, axes)


def reduced(graph: Graph, op: str, term: Term, axes: tuple[int, ...]) -> Term:
    """`op` along axes."""
    shape = tuple(size for axis, size in enumerate(term.shape) if axis not in axes)
    return graph.make(op, (term,), axes, shape, term.dtype)


def back(graph: Graph, term: Term, shape: tuple[int, ...], axes: tuple[int, ...]) -> Term:
    """What was reduced along `axes`, repeated along them."""
    kept = tuple(axis for axis in range(len(shape)) if axis not in axes)
    return graph.placed(term, kept, shape)


def exponent(term: Term) -> Term | None:
    """u where the term is exp(u)."""
    return term.args[0] if term.op == "exp" else None


def shift(graph: Graph, largest: Term) -> Term:
    """The largest exponent, to be subtracted; 0 where it is infinite, as inf - inf is undefined."""
    return graph.term("stop", graph.term("select_n", graph.term("is_finite", largest), 0.0, largest))


def sum_of_exponentials(graph: Graph, term: Term) -> Term | None:
    """``sum exp(u) = exp(m) sum exp(u - m)``, m the largest u; factors of the exponentials stay."""
    if term.op != "reduce_sum":
        return None
    inside, factor = term.args[0], None
    if inside.op == "mul":
        for one, other in (inside.args, inside.args[::-1]):
            if other.op == "exp":
                inside, factor = other, one
                break
    u = exponent(inside)
    if u is None or u.shape != term.args[0].shape:
        return None
    m = shift(graph, reduced(graph, "reduce_max", u, term.param))
    small = graph.term("exp", graph.term("sub", u, back(graph, m, u.shape, term.param)))
    if factor is not None:
        small = graph.term("mul", factor, small)
    return graph.term("mul", total(graph, small, term.param), graph.term("exp", m))


def one_plus_the_others(graph: Graph, term: Term) -> Term | None:
    """``sum exp(u) = exp(m) (1 + sum of the others' exp(u - m))``, exact where one of them dominates."""
    u = exponent(term.args[0]) if term.op == "reduce_sum" else None
    if u is None:
        return None
    axes = term.param
    largest = graph.make("is_first_largest", (u,), axes, u.shape, bool)
    zeros = graph.constant(0.0)
    m = total(graph, graph.term("select_n", largest, zeros, u), axes)
    finite = graph.term("select_n", graph.term("is_finite", m), zeros, m)
    small = graph.term("exp", graph.term("sub", u, back(graph, finite, u.shape, axes)))
    others = total(graph, graph.term("select_n", largest, small, zeros), axes)
    return graph.term("mul", graph.term("add", 1.0, others), graph.term("exp", m))


def sum_about_one(graph: Graph, term: Term) -> Term | None:
    """``sum exp(u) = n + sum (exp(u) - 1)``, for a logarithm near log n."""
    u = exponent(term.args[0]) if term.op == "reduce_sum" else None
    if u is None:
        return None
    count = 1
    for axis in term.param:
        count *= u.shape[axis]
    return graph.term("add", float(count), total(graph, graph.term("expm1", u), term.param))


def log_of_mean(graph: Graph, term: Term) -> Term | None:
    """``log(sum exp(u) / n) = m + log1p(sum (exp(u - m) - 1) / n)``, m the largest of the n numbers u."""
    if term.op != "log" or term.args[0].op != "div" or term.args[0].args[0].op != "reduce_sum":
        return None
    inside, axes = term.args[0].args[0].args[0], term.args[0].args[0].param
    u = exponent(inside)
    count = math.prod(inside.shape[axis] for axis in axes)
    if u is None or u.shape != inside.shape or not is_number(term.args[0].args[1], float(count)):
        return None
    m = shift(graph, reduced(graph, "reduce_max", u, axes))
    small = graph.term("expm1", graph.term("sub", u, back(graph, m, u.shape, axes)))
    mean = graph.term("div", total(graph, small, axes), float(count))
    return graph.term("add", m, graph.term("log1p", mean))


def scaled_sum_of_powers(graph: Graph, term: Term) -> Term | None:
    """``sum x^n = s^n sum (x/s)^n``."""
    if term.op != "reduce_sum" or term.args[0].op != "ipow" or term.args[0].param < 3:
        return None
    x, n, axes = term.args[0].args[0], term.args[0].param, term.param
    if x.op == "div" and x.args[1].op == "broadcast_in_dim":
        return None
    s = graph.term("pow2", reduced(graph, "reduce_max", graph.term("abs", x), axes))
    inside = graph.term("ipow", graph.term("div", x, back(graph, s, x.shape, axes)), param=n)
    return graph.term("mul", graph.term("ipow", s, param=n), total(graph, inside, axes))


def power_of_power(graph: Graph, term: Term) -> Term | None:
    """``(x^n)^c = |x|^(n c)`` for even n."""
    if term.op != "pow" or term.args[0].op != "ipow" or term.args[0].param % 2 or not term.args[1].is_constant:
        return None
    if term.args[1].shape != ():
        return None
    base = graph.term("abs", term.args[0].args[0])
    exponent = float(term.args[1].param) * term.args[0].param
    return graph.term("pow", base, graph.constant(exponent))


def power_of_array_product(graph: Graph, term: Term) -> Term | None:
    """``(prod x)^c = prod x^c``, for positive x."""
    if term.op != "pow" or term.args[0].op != "reduce_prod" or term.args[1].shape != ():
        return None
    powers = graph.term("pow", term.args[0].args[0], term.args[1])
    return reduced(graph, "reduce_prod", powers, term.args[0].param)


def log_of_product(graph: Graph, term: Term) -> Term | None:
    """``log prod x = sum log x``."""
    if term.op != "log" or term.args[0].op != "reduce_prod":
        return None
    return total(graph, graph.term("log", term.args[0].args[0]), term.args[0].param)


__all__ = [
    "back",
    "log_of_mean",
    "log_of_product",
    "one_plus_the_others",
    "power_of_array_product",
    "power_of_power",
    "reduced",
    "scaled_sum_of_powers",
    "sum_about_one",
    "sum_of_exponentials",
    "total",
]
