"""What the benchmark has to show: measure, floor and goal, each a function of the rows of one list."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import measures
from benchmarks.measures import OURS, Rows

OPTIMAL_COSTS = {"IEEE14": 8081.52626, "IEEE30": 576.892337, "IEEE118": 129660.685}
"""$/h, by pypower at tolerance 1e-10"""


@dataclass(frozen=True)
class Goal:
    """One row of the table."""

    which: str
    """list of problems"""
    name: str
    measure: Callable[[Rows], float | None]
    floor: Callable[[Rows], float | None]
    goal: Callable[[Rows], float | None]
    smaller_is_better: bool = False
    shown: str = "{:.0f}"

    def reaches(self, measured: float, floor: float) -> bool:
        return measured <= floor if self.smaller_is_better else measured >= floor


def _count(condition) -> Callable[[Rows], float]:
    return lambda rows: float(len(measures.where(rows, OURS, condition)))


def _number(value: float) -> Callable[[Rows], float]:
    return lambda rows: value


def _best_peer_as_good(rows: Rows) -> float | None:
    return max((float(len(measures.as_good(rows, peer))) for peer in measures.peers(rows)), default=None)


def _more_than_best_peer(rows: Rows) -> float | None:
    best = _best_peer_as_good(rows)
    return None if best is None else best + 1


def _speedup(rows: Rows) -> float | None:
    """How many times faster than the fastest peer, warm."""
    ratio = measures.ratio(rows, "warm", measures.peers(rows))
    return None if ratio is None else 1 / ratio


def _cold_ratio(rows: Rows) -> float | None:
    """karush's cold time over the fastest peer's among those with an exact Hessian."""
    rivals = [peer for peer in measures.peers(rows) if peer not in measures.WITHOUT_HESSIAN]
    return measures.ratio(rows, "cold", rivals)


def _slowest_cold(*problems: str) -> Callable[[Rows], float | None]:
    """The longest cold time over the problems; None if one is missing or not verified."""

    def longest(rows: Rows) -> float | None:
        found = [rows.get((problem, OURS), {}) for problem in problems]
        times = [row.get("cold") for row in found if measures.verified(row)]
        return max(times) if len(times) == len(problems) and None not in times else None

    return longest


def _of_list(which: str, verified: tuple[int, int], success: tuple[int, int]) -> list[Goal]:
    return [
        Goal(which, "verified", _count(measures.verified), _number(verified[0]), _number(verified[1])),
        Goal(which, "verified and success", _count(measures.proved), _number(success[0]), _number(success[1])),
        Goal(
            which,
            "success without being a local minimum",
            _count(measures.false_success),
            _number(0),
            _number(0),
            smaller_is_better=True,
        ),
        Goal(
            which,
            "objective as good as the best peer's (floor: best peer's count)",
            lambda rows: float(len(measures.as_good(rows, OURS))),
            _best_peer_as_good,
            _more_than_best_peer,
        ),
        Goal(
            which,
            "warm, times faster than the fastest peer",
            _speedup,
            _number(7),
            _number(10),
            shown="{:.2f}",
        ),
        Goal(
            which,
            "cold, over the fastest peer with exact Hessian",
            _cold_ratio,
            _number(1.2),
            _number(1.0),
            smaller_is_better=True,
            shown="{:.2f}",
        ),
    ]


def _compile_goal(name: str, problems: tuple[str, ...], floor: float, goal: float) -> Goal:
    measure = _slowest_cold(*problems)
    return Goal("hs", name, measure, _number(floor), _number(goal), smaller_is_better=True, shown="{:.1f}")


def _worst_cost(rows: Rows) -> float | None:
    """Largest relative difference to pypower's cost over the cases that karush calls a local minimum."""
    found = [rows.get((case, OURS), {}) for case in OPTIMAL_COSTS]
    if not all(row.get("claimed") for row in found):
        return None
    costs = [row["value"] for row in found]
    return max(abs(cost / best - 1) for cost, best in zip(costs, OPTIMAL_COSTS.values(), strict=True))


GOALS = [
    *_of_list("hs", verified=(111, 113), success=(100, 105)),
    *_of_list("small", verified=(105, 107), success=(95, 100)),
    _compile_goal("HS25 and HS105, slowest cold solve in seconds", ("HS25", "HS105"), 90, 30),
    _compile_goal("HS101, HS102, HS103, slowest cold solve in seconds", ("HS101", "HS102", "HS103"), 15, 8),
    Goal(
        "opf",
        "IEEE 14, 30, 118: worst relative difference of the cost, all local minima",
        _worst_cost,
        _number(1e-7),
        _number(1e-7),
        smaller_is_better=True,
        shown="{:.1e}",
    ),
    Goal("opf", "cases verified and success", _count(measures.proved), _number(4), _number(4)),
]
