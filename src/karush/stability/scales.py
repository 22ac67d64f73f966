"""Roots of sums of products without overflow: a power of two is taken out of every product.

```
sqrt(a^2 + b^2) = s sqrt((a/s)^2 + (b/s)^2),   s = 2^floor(log2 max(|a|, |b|))        [Blu78]
```

Division by a power of two is exact, so nothing is lost where nothing overflows.
"""

from collections.abc import Iterator

from karush.stability.terms import Graph, Term


def scaled(graph: Graph, term: Term) -> Iterator[Term]:
    """`term`, a square root of a sum of products, with its scale taken out."""
    if term.op != "sqrt":
        return
    inside = term.args[0]
    products = list(_products(inside, 1.0))
    if len(products) == 1 and products[0][2] is products[0][3]:
        return
    if not products or any(product is None for product in products):
        return
    if any(t.op == "div" and t.args[1].op == "pow2" for _, _, a, b in products for t in (a, b)):
        return
    size: Term | None = None
    for _, _, a, b in products:
        one = graph.term("abs", a) if a is b else graph.term("mul", *(_root_of_size(graph, t) for t in (a, b)))
        size = one if size is None else graph.term("max", size, one)
    assert size is not None
    scale = graph.term("pow2", size)
    total: Term | None = None
    for sign, factor, a, b in products:
        a, b = graph.term("div", a, scale), graph.term("div", b, scale)
        product = graph.term("mul", a, b)
        product = product if factor is None else graph.term("mul", factor, product)
        if total is None:
            total = product if sign > 0 else graph.term("neg", product)
        else:
            total = graph.term("add" if sign > 0 else "sub", total, product)
    assert total is not None
    yield graph.term("mul", scale, graph.term("sqrt", total))


def _root_of_size(graph: Graph, term: Term) -> Term:
    return graph.term("sqrt", graph.term("abs", term))


def _products(term: Term, sign: float) -> Iterator[tuple[float, Term | None, Term, Term]]:
    """(sign, constant factor, a, b) of each product in a sum; nothing where a summand is none."""
    if term.op in ("add", "sub"):
        left = list(_products(term.args[0], sign))
        right = list(_products(term.args[1], sign if term.op == "add" else -sign))
        if left and right:
            yield from left + right
    elif term.op == "neg":
        yield from _products(term.args[0], -sign)
    elif term.op == "ipow" and term.param == 2:
        yield sign, None, term.args[0], term.args[0]
    elif term.op == "mul":
        a, b = term.args
        for one, other in ((a, b), (b, a)):
            if one.is_constant and one.shape == ():
                inner = list(_products(other, sign))
                if len(inner) == 1 and inner[0][1] is None:
                    yield inner[0][0], one, inner[0][2], inner[0][3]
                return
        yield sign, None, a, b


__all__ = ["scaled"]
