"""A traced program as terms: each value one immutable expression, equal expressions one object.

``graph.term("add", x, y)`` returns the same object whenever it is asked for the same sum, so a rewrite is a new term
that shares all it leaves alone, and what was computed once for a term holds for every program that contains it.

Sums, products, quotients and elementary functions are terms of their own; whatever else JAX computes (gathers, loops,
sorts) is one opaque term per step, carried along unread.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr

from karush.jaxprs.walk import Step, inline
from karush.stability.operations import ELEMENTWISE, STRUCTURAL
from karush.stability.own_rules import has_own_rule
from karush.stability.straight import typed

Constant = float | int | bool


class Term:
    """``op(*args)``, of one shape and dtype; made by a `Graph` only."""

    __slots__ = ("args", "cost", "dtype", "number", "op", "param", "shape", "values")

    def __init__(
        self, op: str, args: "tuple[Term, ...]", param: Any, shape: tuple[int, ...], dtype: np.dtype, number: int
    ):
        self.op, self.args, self.param, self.shape, self.dtype, self.number = op, args, param, shape, dtype, number
        self.values: Any = None
        """cached values at the sample points"""

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f"

    @property
    def is_constant(self) -> bool:
        return self.op == "const"


class Graph:
    """The terms of one program in one dtype."""

    def __init__(self, dtype: Any):
        self.dtype = np.dtype(dtype)
        self.known: dict[tuple, Term] = {}
        self.steps: dict[int, Step] = {}
        """number of a term -> the step of the user's program that it came from"""

    def make(
        self, op: str, args: Sequence[Term], param: Any, shape: tuple[int, ...], dtype: Any, key: Any = None
    ) -> Term:
        """The one term with these parts; `key` stands for a `param` that has no hash."""
        identity = (op, tuple(arg.number for arg in args), param if key is None else key, shape, np.dtype(dtype))
        found = self.known.get(identity)
        if found is None:
            found = Term(op, tuple(args), param, shape, np.dtype(dtype), len(self.known))
            self.known[identity] = found
        return found

    def placed(self, term: Term, dimensions: tuple[int, ...], shape: tuple[int, ...]) -> Term:
        """``broadcast_in_dim``; one of one is one."""
        if term.op == "broadcast_in_dim":
            return self.placed(term.args[0], tuple(dimensions[d] for d in term.param), shape)
        if term.shape == shape:
            return term
        return self.make("broadcast_in_dim", (term,), dimensions, shape, term.dtype)

    def constant(self, value: Any, dtype: Any = None) -> Term:
        """A number, rounded to the dtype; or a captured array."""
        array = np.asarray(value, self.dtype if dtype is None else dtype)
        if array.ndim == 0:
            return self.make("const", (), array[()], (), array.dtype, key=(array.tobytes(),))
        return self.make("const", (), array, array.shape, array.dtype, key=(array.tobytes(),))

    def term(self, op: str, *args: Any, param: Any = None) -> Term:
        """An elementwise operation on terms or Python numbers, normalised."""
        terms = [arg if isinstance(arg, Term) else self.constant(arg) for arg in args]
        plain = _normalised(self, op, terms, param)
        if plain is not None:
            return plain
        shape = max((t.shape for t in terms), key=len)
        operation = ELEMENTWISE[op]
        dtype = np.dtype(bool) if operation.answers else terms[-1].dtype
        if all(t.is_constant and t.shape == () for t in terms) and terms:
            with np.errstate(all="ignore"):
                value = operation.numpy(*(t.param for t in terms), **({} if param is None else {"param": param}))
            exact = op in ("neg", "abs") or (op in ("add", "sub", "mul") and _whole(value, *terms))
            if exact:
                return self.constant(value)
        return self.make(op, terms, param, shape, dtype)


def _whole(value: Any, *terms: Term) -> bool:
    """Whether a folded sum or product of whole numbers is exact."""
    return all(abs(v) < 2**20 and v == round(float(v)) for v in (value, *(t.param for t in terms)))


def is_number(term: Term, value: float) -> bool:
    """Whether the term is the constant `value`."""
    return term.op == "const" and term.shape == () and term.is_float and float(term.param) == value


def _normalised(graph: Graph, op: str, terms: list[Term], param: Any) -> Term | None:
    """One spelling for what has several: a + (-b), x*x, x**1, 0 + x, 1*x; None where nothing applies."""
    if op == "add":
        a, b = terms
        if is_number(a, 0.0):
            return b
        if is_number(b, 0.0):
            return a
        if b.op == "neg":
            return graph.term("sub", a, b.args[0])
        if a.op == "neg":
            return graph.term("sub", b, a.args[0])
        if b.op == "const" and b.shape == () and b.param < 0:
            return graph.term("sub", a, -float(b.param))
    elif op == "sub":
        a, b = terms
        if is_number(b, 0.0):
            return a
        if is_number(a, 0.0):
            return graph.term("neg", b)
        if b.op == "neg":
            return graph.term("add", a, b.args[0])
        if b.op == "const" and b.shape == () and b.param < 0:
            return graph.term("add", a, -float(b.param))
    elif op == "mul":
        return _normal_product(graph, *terms)
    elif op == "div":
        a, b = terms
        if is_number(b, 1.0):
            return a
        if is_number(b, -1.0):
            return graph.term("neg", a)
    elif op == "neg" and terms[0].op == "neg":
        return terms[0].args[0]
    elif op == "neg" and terms[0].op == "sub":
        return graph.term("sub", *terms[0].args[::-1])
    elif op == "max" and any(is_number(t, -np.inf) for t in terms):
        return terms[1] if is_number(terms[0], -np.inf) else terms[0]
    elif op == "ipow":
        if param == 1:
            return terms[0]
        if param < 0:
            return graph.term("div", 1.0, graph.term("ipow", terms[0], param=-param))
    return None


def _normal_product(graph: Graph, a: Term, b: Term) -> Term | None:
    for one, other in ((a, b), (b, a)):
        if is_number(one, 1.0):
            return other
        if is_number(one, -1.0):
            return graph.term("neg", other)
    if a is b and not a.is_constant:
        return graph.term("ipow", a, param=2)
    return None


ALIASES: dict[str, Callable[[Graph, Step, list[Term]], Term]] = {
    "square": lambda g, s, a: g.term("ipow", a[0], param=2),
    "integer_pow": lambda g, s, a: g.term("ipow", a[0], param=int(s.params["y"])),
    "rsqrt": lambda g, s, a: g.term("div", 1.0, g.term("sqrt", a[0])),
    "add_any": lambda g, s, a: g.term("add", *a),
    "exp2": lambda g, s, a: g.term("exp2", a[0]),
    "copy": lambda g, s, a: a[0],
    "copy_p": lambda g, s, a: a[0],
    "stop_gradient": lambda g, s, a: g.term("stop", a[0]),
}
"""primitives that are written with other operations"""


def read(graph: Graph, closed: ClosedJaxpr) -> tuple[list[Term], list[Term]]:
    """Inputs and outputs of a program as terms; what has a derivative rule of the user's own is not looked into."""
    program = typed(inline(closed, keep=has_own_rule))
    values: dict[int, Term] = {}
    for slot, constant in program.constants.items():
        array = np.asarray(constant)
        values[slot] = graph.constant(array, array.dtype)
    inputs = []
    for index, (slot, aval) in enumerate(zip(program.inputs, closed.in_avals, strict=True)):
        values[slot] = graph.make("input", (), index, tuple(aval.shape), aval.dtype)
        inputs.append(values[slot])
    for step in program.steps:
        for slot, term in zip(step.outputs, _read_step(graph, step, [values[i] for i in step.inputs]), strict=True):
            values[slot] = term
            graph.steps.setdefault(term.number, step)
    return inputs, [values[slot] for slot in program.outputs]


def _read_step(graph: Graph, step: Step, args: list[Term]) -> list[Term]:
    name = step.primitive
    if len(step.out_avals) != 1:
        return _unread(graph, step, args)
    out = step.out_avals[0]
    readable = out.dtype == graph.dtype or out.dtype == np.bool_
    if readable and all((a.is_float and a.dtype == graph.dtype) or a.dtype == np.bool_ for a in args):
        if name in ALIASES:
            return [ALIASES[name](graph, step, args)]
        if name in ELEMENTWISE and not ELEMENTWISE[name].ours:
            return [graph.term(name, *_widened(graph, args, tuple(out.shape)))]
    if name == "convert_element_type" and readable and args[0].dtype == out.dtype:
        return args
    if name == "broadcast_in_dim" and len(args) == 1:
        return [graph.placed(args[0], tuple(step.params["broadcast_dimensions"]), tuple(out.shape))]
    if name == "dynamic_slice" and all(a.is_constant for a in args[1:]):
        return [_fixed_slice(graph, args, step)]
    if name in STRUCTURAL:
        return [graph.make(name, args[:1], STRUCTURAL[name].param(step.params), tuple(out.shape), out.dtype)]
    inner = name == "dot_general" and step.params["dimension_numbers"] == (((0,), (0,)), ((), ()))
    if inner and readable and all(len(a.shape) == 1 and a.dtype == graph.dtype for a in args):
        product = graph.term("mul", *args)
        return [graph.make("reduce_sum", (product,), (0,), (), out.dtype)]
    return _unread(graph, step, args)


def _unread(graph: Graph, step: Step, args: list[Term]) -> list[Term]:
    """The outputs of a step as parts of one opaque term."""
    whole = graph.make("opaque", args, step, (), np.float32, key=id(step))
    return [
        graph.make("part", (whole,), index, tuple(aval.shape), aval.dtype) for index, aval in enumerate(step.out_avals)
    ]


def _widened(graph: Graph, args: Sequence[Term], shape: tuple[int, ...]) -> list[Term]:
    """Arguments of an elementwise operation: scalars, or of its shape."""
    return [a if a.shape in ((), shape) else graph.placed(a, tuple(range(len(shape))), shape) for a in args]


def _fixed_slice(graph: Graph, args: Sequence[Term], step: Step) -> Term:
    """A slice whose place is written in the program."""
    sizes = tuple(step.params["slice_sizes"])
    starts = tuple(
        int(np.clip(int(a.param), 0, n - size)) for a, n, size in zip(args[1:], args[0].shape, sizes, strict=True)
    )
    param = tuple((start, start + size, 1) for start, size in zip(starts, sizes, strict=True))
    return graph.make("slice", args[:1], param, sizes, args[0].dtype)


def order(outputs: Sequence[Term]) -> list[Term]:
    """All terms below the outputs, arguments first."""
    seen: set[int] = set()
    ordered: list[Term] = []
    stack = [(t, False) for t in reversed(outputs)]
    while stack:
        term, ready = stack.pop()
        if ready:
            ordered.append(term)
        elif term.number not in seen:
            seen.add(term.number)
            stack.append((term, True))
            stack.extend((a, False) for a in term.args if a.number not in seen)
    return ordered


def replace(graph: Graph, outputs: Sequence[Term], old: Term, new: Term) -> list[Term]:
    """The outputs with `new` wherever `old` stood."""
    return substitute(graph, outputs, {old.number: new})


def substitute(graph: Graph, outputs: Sequence[Term], changes: dict[int, Term]) -> list[Term]:
    """The outputs with other terms in place of those named by number."""
    done = dict(changes)
    for term in order(outputs):
        if term.number in done:
            continue
        args = [done.get(a.number, a) for a in term.args]
        if all(a is b for a, b in zip(args, term.args, strict=True)):
            done[term.number] = term
        else:
            done[term.number] = rebuilt(graph, term, args)
    return [done[t.number] for t in outputs]


def rebuilt(graph: Graph, term: Term, args: Sequence[Term]) -> Term:
    """The same operation on other arguments."""
    if term.op in ELEMENTWISE:
        made = graph.term(term.op, *args, param=term.param)
        if made.shape != term.shape:
            return graph.make(term.op, args, term.param, term.shape, term.dtype)
    elif term.op == "opaque":
        made = graph.make(term.op, args, term.param, (), np.float32, key=id(term.param))
    else:
        made = graph.make(term.op, args, term.param, term.shape, term.dtype)
    if term.number in graph.steps:
        graph.steps.setdefault(made.number, graph.steps[term.number])
    return made


__all__ = ["Graph", "Term", "is_number", "order", "read", "rebuilt", "replace", "substitute"]
