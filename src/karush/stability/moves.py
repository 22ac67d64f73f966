"""All single rewrites of a program: by rows, by exact algebra, by scales and by series."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from karush.stability.patterns import build, matches, parsed
from karush.stability.rational import simplified, variants
from karush.stability.rows import ROWS, Row
from karush.stability.rows_arrays import rewritten
from karush.stability.scales import scaled
from karush.stability.series import expansions
from karush.stability.terms import Graph, Term, order, replace

ALGEBRA = Row("exact algebra", "", "", "Hig02")
SCALE = Row("power of two taken out", "", "", "Blu78")
SERIES = Row("series at a removable singularity", "", "", "Ham87")
SPECIAL = {"simp": simplified}
LARGEST = 150
"""terms of a program beyond which nothing is added"""


@dataclass(frozen=True, eq=False)
class Move:
    """One rewrite: which term, what instead, by which row."""

    old: Term
    new: Term
    row: Row


@cache
def _by_root() -> dict[str, list[Row]]:
    table: dict[str, list[Row]] = defaultdict(list)
    for row in ROWS:
        table[parsed(row.pattern)[0]].append(row)
    return table


class Moves:
    """The rewrites of terms of one graph, remembered."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.known: dict[int, list[Move]] = {}

    def of_term(self, term: Term) -> list[Move]:
        """Rewrites of the term itself."""
        found = self.known.get(term.number)
        if found is None:
            found = self.known[term.number] = list(self._find(term))
        return found

    def _find(self, term: Term) -> Iterator[Move]:
        if not term.is_float or term.is_constant or term.dtype != self.graph.dtype:
            return
        for row in _by_root().get(term.op, ()):
            for bound in matches(parsed(row.pattern), term, {}):
                new = build(self.graph, parsed(row.replacement), bound, SPECIAL)
                if new is not None and new is not term and new.shape == term.shape:
                    yield Move(term, new, row)
        if term.op in ("add", "sub", "div", "mul"):
            for new in variants(self.graph, term):
                if new.shape == term.shape:
                    yield Move(term, new, ALGEBRA)
        for new, row in rewritten(self.graph, term):
            yield Move(term, new, row)
        for new in scaled(self.graph, term):
            yield Move(term, new, SCALE)
        for new in expansions(self.graph, term):
            yield Move(term, new, SERIES)

    def of_program(self, outputs: Sequence[Term]) -> Iterator[tuple[Move, tuple[Term, ...]]]:
        """Every rewrite with the program after it."""
        for term in order(outputs):
            for move in self.of_term(term):
                after = tuple(replace(self.graph, outputs, term, move.new))
                if len(order(after)) <= LARGEST:
                    yield move, after


__all__ = ["Move", "Moves"]
