"""The repaired program where it is defined, else the original: no rewrite takes a point out of the domain.

```
g(x) = f(x)   where the rewritten value is undefined, or infinite and f(x) is a number
```

Some rewrites divide by what may be zero, or take roots and logarithms of parts instead of the whole:
``sqrt(a) - sqrt(b) -> (a - b)/(sqrt(a) + sqrt(b))`` is 0/0 at a = b = 0, ``log(a b) -> log(a) + log(b)`` undefined for
two negative numbers. Such points may be too rare to be met by a sample, so they are not left to it: either intervals
show that the rewritten program is defined on the whole box, or it is guarded.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from karush.arithmetic.interval import IntervalProgram, dense_ok, enter
from karush.arithmetic.interval_single import SingleProgram
from karush.arithmetic.interval_single import enter as enter_single
from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.stability.evaluate import emit
from karush.stability.moves import SCALE, SERIES, Move
from karush.stability.rows import EVERYWHERE
from karush.stability.terms import Graph, Term

PARTIAL_ARRAY_ROWS = frozenset({"log of a product", "power of an array's product"})
"""rows of arrays that need positive elements"""


def is_total(move: Move) -> bool:
    """Whether the replacement is defined wherever the pattern is."""
    row = move.row
    if row is SCALE or row is SERIES:
        return True
    if not row.pattern:
        return hasattr(row, "rewrite") and row.name not in PARTIAL_ARRAY_ROWS
    return row.name.removesuffix(", mirrored") in EVERYWHERE


Ends = Sequence[np.ndarray]


def is_defined(outputs: Sequence[Term], lows: Ends, highs: Ends, dtype: np.dtype) -> bool:
    """Whether intervals show that every operation of the terms is defined on the box, and every output bounded.

    Ends are of the program's dtype, so that what leaves its range is infinite for them too.
    """
    run = emit(outputs)
    avals = [jax.ShapeDtypeStruct(low.shape, dtype) for low in lows]
    closed = jax.make_jaxpr(lambda *given: tuple(run(*given)))(*avals)
    with float64():
        try:
            at = [(jnp.asarray(a), jnp.asarray(b)) for a, b in zip(lows, highs, strict=True)]
            if dtype == np.float32:
                values = SingleProgram(closed)(*[enter_single(*ends) for ends in at])
            else:
                values = IntervalProgram(closed)(*[enter(*ends) for ends in at])
        except TraceError:
            return False
        return all(bool(jnp.all(dense_ok(v) & jnp.isfinite(v.lo) & jnp.isfinite(v.hi))) for v in values)


def kept_defined(
    graph: Graph, originals: Sequence[Term], outputs: Sequence[Term], moves: Sequence[Move], lows: Ends, highs: Ends
) -> tuple[Term, ...]:
    """The outputs, or the original ones where those are finite and these are not."""
    if all(map(is_total, moves)) or is_defined(outputs, lows, highs, graph.dtype):
        return tuple(outputs)
    kept = []
    for old, new in zip(originals, outputs, strict=True):
        if old is new or not new.is_float:
            kept.append(new)
            continue
        # Where the original is infinite too, or NaN by overflow, another infinite value may be the right one.
        infinite = graph.term("select_n", graph.term("is_finite", old), new, old)
        defined = graph.term("select_n", graph.term("eq", new, new), old, infinite)
        kept.append(graph.term("select_n", graph.term("is_finite", new), defined, new))
    return tuple(kept)


__all__ = ["is_defined", "is_total", "kept_defined"]
