"""Patterns: expressions with holes, written as Python, matched against terms and filled in.

``"log(1 + a)"`` matches the logarithm of every sum with one, in either order; ``a`` is then the other summand. A name
that occurs twice must stand for the same term both times.
"""

import ast
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from karush.stability.operations import ELEMENTWISE
from karush.stability.terms import Graph, Term, is_number

Bindings = Mapping[str, Term]
COMMUTATIVE = {"add", "mul", "max", "min"}
BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}
COMPARE = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}
NUMBERS = {"pi": math.pi}
WILD_NUMBERS = ("n", "k")
"""names that match only constants"""


@cache
def parsed(source: str) -> Any:
    """The expression as nested tuples: ("var", name), ("num", value) or (op, param, children)."""
    return _tree(ast.parse(source, mode="eval").body)


def _tree(node: ast.AST) -> Any:
    if isinstance(node, ast.Name):
        return ("num", NUMBERS[node.id]) if node.id in NUMBERS else ("var", node.id)
    if isinstance(node, ast.Constant):
        return ("num", node.value)
    if isinstance(node, ast.UnaryOp):
        inner = _tree(node.operand)
        return ("num", -inner[1]) if inner[0] == "num" else ("neg", None, (inner,))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        if isinstance(node.right, ast.Constant):
            return ("ipow", node.right.value, (_tree(node.left),))
        return ("pow", None, (_tree(node.left), _tree(node.right)))
    if isinstance(node, ast.BinOp):
        return (BINARY[type(node.op)], None, (_tree(node.left), _tree(node.right)))
    if isinstance(node, ast.Compare):
        return (COMPARE[type(node.ops[0])], None, (_tree(node.left), _tree(node.comparators[0])))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        children = tuple(_tree(arg) for arg in node.args)
        if node.func.id == "where":
            return ("select_n", None, (children[0], children[2], children[1]))
        return (node.func.id, None, children)
    raise ValueError(f"a pattern cannot hold {ast.dump(node)}")


def matches(tree: Any, term: Term, bound: Bindings) -> Iterator[Bindings]:
    """All ways in which `term` has the form `tree`."""
    kind = tree[0]
    if kind == "var":
        name = tree[1]
        if name in bound:
            if bound[name] is term:
                yield bound
        elif term.is_float and (name not in WILD_NUMBERS or (term.is_constant and term.shape == ())):
            yield {**bound, name: term}
        return
    if kind == "num":
        if is_number(term, tree[1]):
            yield bound
        return
    op, param, children = tree
    if term.op != op or len(term.args) != len(children):
        # -(a b) is written (-a) b or a (-b) just as well; 1/a**2 has no term of its own.
        return
    if op == "ipow" and term.param != param:
        return
    yield from _arguments(children, term.args, bound)
    if op in COMMUTATIVE:
        yield from _arguments(children, term.args[::-1], bound)


def _arguments(children: tuple, args: tuple[Term, ...], bound: Bindings) -> Iterator[Bindings]:
    if not children:
        yield bound
        return
    for found in matches(children[0], args[0], bound):
        yield from _arguments(children[1:], args[1:], found)


Special = Callable[..., Term | None]


def build(graph: Graph, tree: Any, bound: Bindings, special: Mapping[str, Special]) -> Term | None:
    """The term that `tree` stands for; None where a special function has no answer."""
    kind = tree[0]
    if kind == "var":
        return bound[tree[1]]
    if kind == "num":
        return graph.constant(tree[1])
    op, param, children = tree
    args = [build(graph, child, bound, special) for child in children]
    if any(arg is None for arg in args):
        return None
    if op in special:
        return special[op](graph, *args)
    if op not in ELEMENTWISE:
        raise ValueError(f"a row names the operation {op!r}, which terms do not have")
    return graph.term(op, *args, param=param)


__all__ = ["Bindings", "build", "matches", "parsed"]
