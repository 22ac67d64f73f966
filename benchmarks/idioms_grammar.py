"""Functions of a seeded grammar: programs that nobody chose.

```
function ::= body of 2 to 5 assignments t1 = op(...), ..., returned: the last
op       ::= t + t | t - t | t * t | t / t | t + c | c - t | c * t | f(t) | sum-like(t) | where(t > c, t, t)
f        ::= exp | log | sqrt | square | sin | cos | tanh | log1p | expm1 | abs | reciprocal
```

over one number, two numbers or a vector of three, on a box drawn from a list. A draw is kept if the double-precision
value is finite on nine tenths of the box or more and not constant. Nothing else is asked of it, and nothing in karush.
"""

import linecache
from typing import Any

import jax
import numpy as np

from benchmarks.idioms import Idiom

SEED = 20261122
COUNT = 140
PROBES = 128
MOSTLY = 0.9

UNARY = ("exp", "log", "sqrt", "square", "sin", "cos", "tanh", "log1p", "expm1", "abs", "reciprocal")
BINARY = ("+", "-", "*", "/")
REDUCTIONS = ("sum", "mean", "max", "prod")
CONSTANTS = (0.5, 1.0, 2.0, 3.0, 10.0, 100.0)
BOXES = (
    (-1.0, 1.0),
    (0.0, 1.0),
    (1e-6, 1.0),
    (0.1, 10.0),
    (-5.0, 5.0),
    (1.0, 1e4),
    (-50.0, 50.0),
    (1e-3, 1e3),
    (50.0, 150.0),
)
SHAPES = ("number", "number", "pair", "vector")


def _line(random: np.random.Generator, names: list[str], vectors: set[str]) -> tuple[str, bool]:
    """One right-hand side over the names so far, and whether it is a vector; the last name is always used."""
    last = names[-1]
    other = names[int(random.integers(len(names)))]
    constant = CONSTANTS[int(random.integers(len(CONSTANTS)))]
    wide = last in vectors
    kind = random.random()
    if wide and kind < 0.25:
        return f"jnp.{REDUCTIONS[int(random.integers(len(REDUCTIONS)))]}({last})", False
    if kind < 0.55:
        return f"jnp.{UNARY[int(random.integers(len(UNARY)))]}({last})", wide
    operator = BINARY[int(random.integers(len(BINARY)))]
    if kind < 0.70:
        pair = (last, repr(constant)) if random.random() < 0.5 else (repr(constant), last)
        return f"{pair[0]} {operator} {pair[1]}", wide
    if kind < 0.93:
        pair = (last, other) if random.random() < 0.5 else (other, last)
        return f"{pair[0]} {operator} {pair[1]}", wide or other in vectors
    other = repr(constant) if other == last else other
    return f"jnp.where({last} > {constant!r}, {last}, {other})", wide or other in vectors


def source(random: np.random.Generator, name: str, shape: str) -> str:
    """Python text of one function."""
    lines = [f"def {name}(x):"]
    names, vectors = ["x"], {"x"} if shape == "vector" else set()
    if shape == "pair":
        lines.append("    a, b = x")
        names = ["a", "b"]
    for k in range(1, int(random.integers(2, 6)) + 1):
        text, wide = _line(random, names, vectors)
        lines.append(f"    t{k} = {text}")
        names.append(f"t{k}")
        if wide:
            vectors.add(f"t{k}")
    lines.append(f"    return {names[-1]}")
    return "\n".join(lines) + "\n"


def compiled(text: str, name: str) -> Any:
    """The function of a source text; its lines can be shown, as those of a file."""
    file = f"<{name}>"
    scope: dict[str, Any] = {"jnp": jax.numpy}
    exec(compile(text, file, "exec"), scope)
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    return scope[name]


def _worth(text: str, name: str, shape: str, low: float, high: float, random: np.random.Generator) -> bool:
    """Whether the function, in double precision by NumPy, is finite on most of the box, and not constant."""
    scope: dict[str, Any] = {"jnp": np}
    exec(text, scope)
    values = []
    for _ in range(PROBES):
        point = random.uniform(low, high, 3)
        x = {"number": point[0], "pair": (point[0], point[1]), "vector": point}[shape]
        with np.errstate(all="ignore"):
            values.append(np.ravel(np.asarray(scope[name](x), float))[0])
    finite = np.isfinite(values)
    return finite.mean() >= MOSTLY and len(set(np.asarray(values)[finite])) > PROBES // 4


def generated(count: int = COUNT, seed: int = SEED) -> list[Idiom]:
    """The first `count` functions that the grammar yields from `seed`, without repeats."""
    random = np.random.default_rng(seed)
    found: list[Idiom] = []
    seen: set[str] = set()
    while len(found) < count:
        name = f"grammar_{len(found):03d}"
        shape = SHAPES[int(random.integers(len(SHAPES)))]
        low, high = BOXES[int(random.integers(len(BOXES)))]
        text = source(random, name, shape)
        body = text.partition("\n")[2]
        if body in seen or not _worth(text, name, shape, low, high, random):
            continue
        seen.add(body)
        ends = {
            "number": (low, high),
            "pair": ((low, low), (high, high)),
            "vector": (np.full(3, low), np.full(3, high)),
        }[shape]
        found.append(Idiom(name, compiled(text, name), *ends, "grammar"))
    return found


__all__ = ["generated", "source"]
