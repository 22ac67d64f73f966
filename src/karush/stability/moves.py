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


GROUPS = (
    (
        "log of a quotient", "log of a product", "log of exp", "log of a scaled exp", "log of a power", "log(1 + a)",
        "log of two scaled exponentials",
        "repetition moved inward", "sum of exponentials, one dominating", "log logistic", "logistic",
    ),
    (
        "sum of exponentials, one dominating", "repetition moved inward", "exponential over a scaled exponential",
        "weighted exponential over a scaled exponential", "quotient of exponentials", "logistic, large", "logistic",
    ),
    (
        "logistic", "1 - logistic", "power as exponential", "log logistic", "log of exp", "product of exponentials",
        "quotient of exponentials",
    ),
    ("scaled sum of powers", "power of a product", "power of a quotient", "power of a power"),
    ("exp(a) - 1", "1 - exp(a)", "log(1 + a)", "log(1 - a)", "1 - cos(a)", "cos(a) - 1"),
)  # fmt: skip
"""names of rows that are applied together, wherever they match, as one rewrite"""
LONGEST = 24
"""rewrites in one such run"""


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

    def in_groups(self, outputs: Sequence[Term]) -> Iterator[tuple[tuple[Move, ...], tuple[Term, ...]]]:
        """The program after each group of rows, and after pairs of groups, with what was done."""
        for first in (*((i,) for i in range(len(GROUPS))), (1, 0), (0, 1), (0, 4), (1, 4)):
            after, done = tuple(outputs), []
            for index in first:
                after, more = self._exhausted(after, GROUPS[index])
                done += more
            if done and len(order(after)) <= LARGEST:
                yield tuple(done), after

    def _exhausted(self, outputs: tuple[Term, ...], names: Sequence[str]) -> tuple[tuple[Term, ...], list[Move]]:
        """The program when no row of the group matches any more."""
        done: list[Move] = []
        while len(done) < LONGEST:
            found = (m for term in order(outputs) for m in self.of_term(term) if m.row.name in names)
            move = next(found, None)
            if move is None:
                break
            outputs = tuple(replace(self.graph, outputs, move.old, move.new))
            done.append(move)
        return outputs, done

    def of_program(self, outputs: Sequence[Term]) -> Iterator[tuple[Move, tuple[Term, ...]]]:
        """Every rewrite with the program after it."""
        for term in order(outputs):
            for move in self.of_term(term):
                after = tuple(replace(self.graph, outputs, term, move.new))
                if len(order(after)) <= LARGEST:
                    yield move, after


__all__ = ["Move", "Moves"]
