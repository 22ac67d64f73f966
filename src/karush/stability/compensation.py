"""Compensated arithmetic as one more candidate: the program, or a rewritten one, with twice the digits."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from karush.arithmetic.twofold import compensated
from karush.core.errors import TraceError
from karush.stability.evaluate import emit
from karush.stability.moves import Move
from karush.stability.rows import Row
from karush.stability.search import Candidate, Judge, candidate_of
from karush.stability.terms import Graph, Term

COMPENSATED = Row("compensated arithmetic", "", "", "Dek71")


def compensated_candidates(
    graph: Graph, inputs: Sequence[Term], outputs: Sequence[Term], found: Sequence[Candidate], judge: Judge
) -> list[Candidate]:
    """The original and the best rewritten programs in twofold arithmetic."""
    candidates = []
    for terms, moves in [(tuple(outputs), ()), *[(c.outputs, c.moves) for c in found if c.moves]]:
        function = compensated(_tuple_of(emit(terms)))
        try:
            jax.eval_shape(function, *[jax.ShapeDtypeStruct(i.shape, i.dtype) for i in inputs])
        except TraceError:
            continue
        whole = graph.make("call", inputs, function, (), np.float32, key=id(function))
        parts = tuple(graph.make("part", (whole,), k, t.shape, t.dtype) for k, t in enumerate(terms))
        candidates.append(candidate_of(parts, judge, (*moves, Move(terms[0], parts[0], COMPENSATED))))
    return candidates


def _tuple_of(run: Any) -> Any:
    return lambda *given: tuple(run(*given))


__all__ = ["compensated_candidates"]
