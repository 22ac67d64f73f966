"""The user's source at a spot: the expression of one operation, and its line with the expression underlined."""

import ast
import linecache
from dataclasses import replace
from pathlib import Path

from karush.jaxprs.source import Place

OPERATORS: dict[str, tuple[type, ...]] = {
    "add": (ast.Add,),
    "add_any": (ast.Add, ast.Sub),
    "sub": (ast.Sub,),
    "mul": (ast.Mult, ast.Pow),
    "div": (ast.Div,),
    "pow": (ast.Pow,),
    "integer_pow": (ast.Pow,),
    "square": (ast.Pow,),
    "dot_general": (ast.MatMult,),
    "rem": (ast.Mod,),
}
"""primitive -> operators of Python that it may have been written as"""
WIDEST = 120
"""characters of an expression that are shown"""


def expression_at(place: Place, primitive: str) -> str:
    """The text of the expression of `primitive` at a place; ``""`` where there is no source."""
    node = _node(place, primitive)
    if node is None or place.file is None:
        return ""
    lines = linecache.getlines(place.file)
    if node.lineno == node.end_lineno:
        raw = lines[node.lineno - 1].encode()[node.col_offset : node.end_col_offset].decode()
    else:
        raw = ast.unparse(node)
    return raw if len(raw) <= WIDEST else raw[: WIDEST - 3] + "..."


def _node(place: Place, primitive: str) -> ast.expr | None:
    """The expression that starts at the place: one written with the primitive's operator, else the least call."""
    if place.file is None or not place.line:
        return None
    tree = _tree(place.file, place.line)
    if tree is None:
        return None
    here = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.expr) and node.lineno == place.line and node.col_offset == place.column - 1
    ]
    wanted = OPERATORS.get(primitive, ())
    written = [node for node in here if isinstance(node, ast.BinOp) and isinstance(node.op, wanted)]
    calls = [node for node in here if isinstance(node, ast.Call)]
    if primitive == "neg":
        calls = [node for node in here if isinstance(node, ast.UnaryOp)] or calls
    some = written or calls or [node for node in here if isinstance(node, (ast.BinOp, ast.Compare))] or here
    return min(some, key=lambda node: (node.end_lineno or 0, node.end_col_offset or 0), default=None)


def _tree(file: str, line: int) -> ast.AST | None:
    """The syntax tree of a file, or where it is no Python, as a page with examples, of the one line."""
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        pass
    text = linecache.getline(file, line)
    try:
        # Under a condition a line may be indented.
        alone = ast.parse(f"if 1:\n{text}") if text[:1].isspace() else ast.parse(f"\n{text}")
    except SyntaxError:
        return None
    return ast.increment_lineno(alone, line - 2)


def shown(place: Place) -> str:
    """A place in words, with the file's name alone: the whole path is in `Place.file` and in the JSON."""
    return str(place) if place.file is None else str(replace(place, file=Path(place.file).name))


def excerpt(place: Place, expression: str) -> str:
    """The line with its number, and the expression underlined."""
    if place.file is None:
        return ""
    line = linecache.getline(place.file, place.line).rstrip("\n")
    if not line.strip():
        return ""
    text = line.expandtabs(4)
    number = f"{place.line:>5} | "
    start = max(place.column - 1, len(line) - len(line.lstrip()))
    count = len(expression) if expression and text[start:].startswith(expression) else len(text.rstrip()) - start
    return f"{number}{text}\n{' ' * (len(number) - 2)}| {' ' * start}{'^' * max(count, 1)}"


__all__ = ["excerpt", "expression_at", "shown"]
