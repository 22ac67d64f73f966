"""Reader of FPCore, the language of the FPBench suite: expressions as JAX functions of scalars.

Files: benchmarks/data/fpbench (FPBench, MIT licence, https://fpbench.org). An expression converts if it is a straight
line: no loops and no arrays; `if` becomes `jnp.where`. Constants are Python numbers, so a converted function computes
in the dtype of its arguments, with literals rounded to it.
"""

import itertools
import math
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

FOLDER = Path(__file__).parent / "data" / "fpbench"
CONSTANTS = {"PI": math.pi, "E": math.e, "TRUE": True, "FALSE": False, "INFINITY": math.inf}
NOT_STRAIGHT = {"while", "while*", "for", "for*", "array", "tensor", "tensor*", "ref", "dim"}
TOKEN = re.compile(r';[^\n]*|"(?:[^"\\]|\\.)*"|[()\[\]]|[^\s()\[\]";]+')

Tree = Any
"""nested lists of strings"""


def parse(text: str) -> list[Tree]:
    """All expressions of a file."""
    stack: list[list[Tree]] = [[]]
    for token in TOKEN.findall(text):
        if token.startswith(";"):
            continue
        if token in "([":
            stack.append([])
        elif token in ")]":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    return stack[0]


def _nested(tree: Tree) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    else:
        for child in tree:
            yield from _nested(child)


def _number(token: str) -> int | float | None:
    try:
        return int(token)
    except ValueError:
        pass
    try:
        above, _, below = token.partition("/")
        return float(above) / float(below) if below else float(above)
    except ValueError:
        return None


def _chain(compare: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def holds(*values: Any) -> Any:
        result = np.asarray(True)
        for left, right in itertools.pairwise(values):
            result = result & compare(left, right)
        return result

    return holds


def _distinct(*values: Any) -> Any:
    result = np.asarray(True)
    for i, left in enumerate(values):
        for right in values[i + 1 :]:
            result = result & (left != right)
    return result


def _power(base: Any, exponent: Any) -> Any:
    return base**exponent if isinstance(exponent, int) else jnp.power(base, exponent)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "*": operator.mul,
    "/": operator.truediv,
    "pow": _power,
    "fabs": abs,
    "fmax": jnp.maximum,
    "fmin": jnp.minimum,
    "hypot": jnp.hypot,
    "atan2": jnp.arctan2,
    "asin": jnp.arcsin,
    "acos": jnp.arccos,
    "atan": jnp.arctan,
    "cast": lambda value: value,
    "if": jnp.where,
    **{name: getattr(jnp, name) for name in ("sqrt", "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: getattr(jnp, name) for name in ("expm1", "log1p", "cbrt", "floor", "ceil", "trunc")},
}
CONDITIONS: dict[str, Callable[..., Any]] = {
    "<": _chain(operator.lt),
    ">": _chain(operator.gt),
    "<=": _chain(operator.le),
    ">=": _chain(operator.ge),
    "=": _chain(operator.eq),
    "==": _chain(operator.eq),
    "!=": _distinct,
    "and": lambda *given: np.logical_and.reduce(np.broadcast_arrays(*given)),
    "or": lambda *given: np.logical_or.reduce(np.broadcast_arrays(*given)),
    "not": np.logical_not,
}


def evaluate(tree: Tree, scope: dict[str, Any]) -> Any:
    """The value of an expression in `scope`."""
    if isinstance(tree, str):
        number = _number(tree)
        if number is not None:
            return number
        return scope[tree] if tree in scope else CONSTANTS[tree]
    head, *rest = tree
    if head == "!":
        return evaluate(rest[-1], scope)
    if head in ("let", "let*"):
        inner = dict(scope)
        for name, value in rest[0]:
            inner[name] = evaluate(value, inner if head == "let*" else scope)
        return evaluate(rest[1], inner)
    values = [evaluate(child, scope) for child in rest]
    if head == "-":
        return -values[0] if len(values) == 1 else values[0] - values[1]
    if head in ("+", "*") and len(values) > 2:
        total = values[0]
        for value in values[1:]:
            total = OPERATIONS[head](total, value)
        return total
    return (OPERATIONS.get(head) or CONDITIONS[head])(*values)


@dataclass(frozen=True)
class Core:
    """One expression of the suite."""

    name: str
    file: str
    arguments: tuple[str, ...]
    body: Tree
    pre: Tree | None

    def function(self) -> Callable[..., Any]:
        """The expression as a JAX function of scalars."""

        def f(*values: Any) -> Any:
            return evaluate(self.body, dict(zip(self.arguments, values, strict=True)))

        f.__name__ = re.sub(r"\W+", "_", self.name)
        return f

    def allowed(self, points: np.ndarray) -> np.ndarray:
        """Whether points (N, arguments) satisfy the precondition (N,)."""
        if self.pre is None:
            return np.ones(len(points), bool)
        scope = {name: points[:, i].astype(np.float64) for i, name in enumerate(self.arguments)}
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.asarray(evaluate(self.pre, scope)), (len(points),))

    def ranges(self) -> list[tuple[float, float]]:
        """Interval of each argument as far as chains of comparisons in the precondition say it."""
        bounds = {name: [-math.inf, math.inf] for name in self.arguments}

        def narrow(left: Tree, right: Tree) -> None:
            """left <= right"""
            low, high = (_constant(left), _constant(right))
            if isinstance(right, str) and right in bounds and low is not None:
                bounds[right][0] = max(bounds[right][0], low)
            if isinstance(left, str) and left in bounds and high is not None:
                bounds[left][1] = min(bounds[left][1], high)

        def visit(tree: Tree) -> None:
            if isinstance(tree, str):
                return
            if tree[0] == "and":
                for child in tree[1:]:
                    visit(child)
            elif tree[0] in ("<", "<="):
                for i, left in enumerate(tree[1:]):
                    for right in tree[i + 2 :]:
                        narrow(left, right)
            elif tree[0] in (">", ">="):
                for i, left in enumerate(tree[1:]):
                    for right in tree[i + 2 :]:
                        narrow(right, left)

        if self.pre is not None:
            visit(self.pre)
        return [(low, high) for low, high in bounds.values()]


def _constant(tree: Tree) -> float | None:
    try:
        return float(evaluate(tree, {}))
    except (KeyError, TypeError):
        return None


def _core(tree: Tree, file: str) -> Core | None:
    head, arguments, *rest = tree
    if head != "FPCore" or set(_nested(tree)) & NOT_STRAIGHT:
        return None
    if not all(isinstance(argument, str) or (argument[0] == "!" and len(argument) > 1) for argument in arguments):
        return None
    names = tuple(argument if isinstance(argument, str) else argument[-1] for argument in arguments)
    properties: dict[str, Tree] = {}
    while len(rest) > 1:
        properties[rest[0]] = rest[1]
        rest = rest[2:]
    name = properties.get(":name", f'"{file}"').strip('"')
    return Core(name, file, names, rest[0], properties.get(":pre"))


def load(file: str | None = None) -> list[Core]:
    """The straight-line expressions of the suite, or of one of its files (name without ending)."""
    paths = sorted(FOLDER.glob("*.fpcore")) if file is None else [FOLDER / f"{file}.fpcore"]
    cores = [_core(tree, path.stem) for path in paths for tree in parse(path.read_text())]
    return [core for core in cores if core is not None]


__all__ = ["Core", "load"]
