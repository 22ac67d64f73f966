"""Terms as Python source."""

from collections.abc import Sequence

import numpy as np

from karush.stability.operations import ELEMENTWISE
from karush.stability.terms import Term

INFIX = {"add": ("+", 1), "sub": ("-", 1), "mul": ("*", 2), "div": ("/", 2)}


def text(term: Term, names: Sequence[str] | None = None, level: int = 0) -> str:
    """The term as Python source."""
    if term.op == "input":
        return f"x{term.param}" if names is None else str(names[term.param])
    if term.op == "const":
        if term.shape != ():
            return f"<array {term.shape}>"
        value = float(term.param) if term.is_float else term.param
        if not term.is_float or not np.isfinite(value):
            return f"jnp.{value}" if term.is_float else repr(value)
        return repr(int(value)) if abs(value) < 1e6 and value == int(value) else repr(value)
    if term.op in INFIX:
        sign, own = INFIX[term.op]
        left, right = (text(term.args[0], names, own), text(term.args[1], names, own + 1))
        body = f"{left} {sign} {right}"
        return f"({body})" if own < level else body
    if term.op == "neg":
        body = f"-{text(term.args[0], names, 3)}"
        return f"({body})" if level else body
    if term.op == "ipow":
        return f"{text(term.args[0], names, 4)}**{term.param}"
    # `jnp.where` has the cases in the other order.
    args = (term.args[0], *term.args[:0:-1]) if term.op == "select_n" else term.args
    inner = ", ".join(text(a, names) for a in args)
    name = ELEMENTWISE[term.op].source if term.op in ELEMENTWISE else term.op
    return f"{name}({inner})"


__all__ = ["text"]
