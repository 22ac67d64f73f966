"""Power series at a removable singularity, computed exactly, in place of a quotient of differences that vanish there.

```
(1 - cos x)/x^2 = 1/2 - x^2/24 + x^4/720 - ...     |x| < r
```

A term of one variable u is expanded at u = 0 by arithmetic of Laurent series with ball coefficients. The radius r is
where the first term left out is below a quarter of an ulp of the first one kept; outside r the term stays as it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from flint import arb, arb_series, ctx

from karush.stability.terms import Graph, Term, order, substitute

TERMS = 40
"""order of the expansion"""
KEPT = {np.dtype(np.float64): 14, np.dtype(np.float32): 8}
"""non-zero coefficients in the repaired program"""
PRECISION = 400
"""bits of the coefficients"""
VANISHES = 2.0**-200
"""below this size a ball around 0 is taken for the exact 0 that it hides; the sample points test it"""
LEAST_RADIUS = 1e-4
"""a series that holds in a smaller range repairs nothing"""

Laurent = tuple[int, list[arb]]
"""u^v (c0 + c1 u + ...), c0 not 0"""


@contextmanager
def _order_of_series() -> Iterator[None]:
    """python-flint cuts every series at one global order."""
    before = ctx.cap
    ctx.cap = TERMS
    try:
        yield
    finally:
        ctx.cap = before


class NoSeries(ArithmeticError):
    """The term has no Laurent series at 0."""


UNARY: dict[str, Callable[[arb_series], arb_series]] = {
    "exp": arb_series.exp,
    "expm1": lambda s: s.exp() - 1,
    "sin": arb_series.sin,
    "cos": arb_series.cos,
    "tan": arb_series.tan,
    "sinh": lambda s: (s.exp() - (-s).exp()) / 2,
    "cosh": lambda s: (s.exp() + (-s).exp()) / 2,
    "tanh": lambda s: ((2 * s).exp() - 1) / ((2 * s).exp() + 1),
    "atan": arb_series.atan,
    "asin": arb_series.asin,
    "log": arb_series.log,
    "log1p": lambda s: (1 + s).log(),
    "sqrt": arb_series.sqrt,
    "erf": arb_series.erf,
    "logistic": lambda s: 1 / (1 + (-s).exp()),
    "atanh": lambda s: ((1 + s).log() - (1 - s).log()) / 2,
    "asinh": lambda s: (s + (1 + s * s).sqrt()).log(),
}


def _strip(valuation: int, coefficients: list[arb]) -> Laurent:
    for i, c in enumerate(coefficients):
        if not (c.contains(0) and abs(c) < VANISHES):
            if not c.is_finite():
                raise NoSeries
            return valuation + i, coefficients[i:]
    return 0, []


def _series(value: Laurent, length: int = TERMS) -> arb_series:
    """A Laurent series without negative powers as a power series."""
    valuation, coefficients = value
    if valuation < 0:
        raise NoSeries
    return arb_series([arb(0)] * valuation + coefficients, prec=min(length, valuation + len(coefficients)))


def _from(series: arb_series, valuation: int = 0) -> Laurent:
    found = [series[i] for i in range(series.prec)]
    return _strip(valuation, found)


def _add(a: Laurent, b: Laurent, sign: int) -> Laurent:
    if not a[1]:
        return b[0], [sign * c for c in b[1]]
    if not b[1]:
        return a
    low = min(a[0], b[0])
    high = min(a[0] + len(a[1]), b[0] + len(b[1]))
    out = []
    for power in range(low, high):
        c = arb(0)
        if 0 <= power - a[0] < len(a[1]):
            c += a[1][power - a[0]]
        if 0 <= power - b[0] < len(b[1]):
            c += sign * b[1][power - b[0]]
        out.append(c)
    return _strip(low, out)


def _mul(a: Laurent, b: Laurent) -> Laurent:
    if not a[1] or not b[1]:
        return 0, []
    n = min(len(a[1]), len(b[1]))
    return _from(arb_series(a[1][:n], prec=n) * arb_series(b[1][:n], prec=n), a[0] + b[0])


def _inverse(a: Laurent) -> Laurent:
    if not a[1]:
        raise NoSeries
    return _from(1 / arb_series(a[1], prec=len(a[1])), -a[0])


def _expand(term: Term, variable: Term) -> Laurent:
    """The Laurent series of `term` in `variable` at 0."""
    done: dict[int, Laurent] = {variable.number: (1, [arb(1)] + [arb(0)] * (TERMS - 1))}
    for each in order([term]):
        if each.number in done:
            continue
        if each.is_constant:
            if each.shape != () or not each.is_float or not np.isfinite(each.param):
                raise NoSeries
            done[each.number] = _strip(0, [arb(float(each.param))] + [arb(0)] * (TERMS - 1))
            continue
        args = [done[a.number] for a in each.args if a.number in done]
        if len(args) != len(each.args):
            raise NoSeries
        done[each.number] = _apply(each, args)
    return done[term.number]


def _apply(term: Term, args: list[Laurent]) -> Laurent:
    if term.op in ("add", "sub"):
        return _add(args[0], args[1], 1 if term.op == "add" else -1)
    if term.op == "neg":
        return args[0][0], [-c for c in args[0][1]]
    if term.op == "mul":
        return _mul(*args)
    if term.op == "div":
        return _mul(args[0], _inverse(args[1]))
    if term.op == "ipow":
        result = args[0]
        for _ in range(term.param - 1):
            result = _mul(result, args[0])
        return result
    if term.op == "pow":
        return _from((_series(args[1]) * _series(args[0]).log()).exp())
    if term.op == "exprel":
        return _mul(_from(_series(args[0]).exp() - 1), _inverse(args[0]))
    if term.op in UNARY:
        return _from(UNARY[term.op](_series(args[0])))
    raise NoSeries


def _variables(term: Term) -> list[Term]:
    """The one input that the term depends on, if there is only one, and scaled inputs below it."""
    leaves = [t for t in order([term]) if not t.args and not (t.is_constant and t.shape == ())]
    if len(leaves) == 1 and leaves[0].op == "input":
        return leaves
    return []


def expansions(graph: Graph, term: Term) -> Iterator[Term]:
    """`term` with its series near 0, if it has one there and cancels there."""
    if term.op not in ("add", "sub", "mul", "div", "log", "sqrt") or len(order([term])) < 4:
        return
    for variable in _variables(term):
        try:
            with ctx.workprec(PRECISION), _order_of_series():
                valuation, coefficients = _expand(term, variable)
                if not coefficients:
                    continue
                found = _guarded(graph, term, variable, valuation, coefficients)
        except (NoSeries, ArithmeticError, ValueError):
            continue
        if found is not None:
            yield found


def _guarded(graph: Graph, term: Term, variable: Term, valuation: int, coefficients: list[arb]) -> Term | None:
    """``where(|u| < r, series, term)``, with arguments that are safe on both sides."""
    values = [float(c.mid()) if not (c.contains(0) and abs(c) < VANISHES) else 0.0 for c in coefficients]
    kept = [i for i, value in enumerate(values) if value != 0.0]
    if len(kept) < 3:
        return None
    count = min(KEPT[graph.dtype], len(kept) - 1)
    first = kept[0]
    quarter_ulp = float(np.finfo(graph.dtype).eps) / 8
    sizes = [(abs(values[i]), i) for i in kept[count:]]
    radius = min((quarter_ulp * abs(values[first]) / (size * len(sizes))) ** (1.0 / i) for size, i in sizes)
    if radius < LEAST_RADIUS:
        return None
    radius = float(np.asarray(min(radius, 0.75), graph.dtype))
    near = graph.term("lt", graph.term("abs", variable), radius)
    inner = graph.term("select_n", near, graph.constant(0.0), variable)
    outer = graph.term("select_n", near, variable, graph.constant(radius))
    even = all(i % 2 == 0 for i in kept[:count])
    step = graph.term("ipow", inner, param=2) if even else inner
    total = graph.term("poly", step, param=tuple(values[0 : kept[count - 1] + 1 : 2 if even else 1]))
    if valuation > 0:
        total = graph.term("mul", graph.term("ipow", inner, param=valuation), total)
    elif valuation < 0:
        safe = graph.term("select_n", near, graph.constant(1.0), variable)
        total = graph.term("div", total, graph.term("ipow", safe, param=-valuation))
    far = substitute(graph, [term], {variable.number: outer})[0]
    return graph.term("select_n", near, far, total)


__all__ = ["expansions"]
