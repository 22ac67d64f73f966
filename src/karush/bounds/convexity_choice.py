"""Answers to comparisons that may be open, and what is known of a choice between two values."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from karush.bounds.convexity_curve import EVERYWHERE, FIELDS, NONE, Curve, curve


class Choice(NamedTuple):
    """Whether an answer can be yes, and whether it can be no, elementwise."""

    yes: np.ndarray
    no: np.ndarray


def compare(name: str, a: Curve, b: Curve) -> Choice:
    """``a < b`` and its kin of real numbers, which are finite whatever their range."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    if min(a.defined, b.defined) != EVERYWHERE:
        return Choice(np.ones(shape, bool), np.ones(shape, bool))
    if a.node >= 0 and a.node == b.node:
        same = np.full(shape, name in ("le", "ge", "eq"))
        return Choice(same, ~same)
    if name in ("gt", "ge"):
        a, b, name = b, a, {"gt": "lt", "ge": "le"}[name]
    wild = [one.constant & np.isinf(one.lo) & (one.lo == one.hi) for one in (a, b)]
    if name == "lt":
        yes, no = a.lo < b.hi, a.hi >= b.lo
    elif name == "le":
        yes, no = a.lo <= b.hi, a.hi > b.lo
    else:
        single = (a.lo == a.hi) & (b.lo == b.hi)
        yes, no = (a.lo <= b.hi) & (b.lo <= a.hi), ~(single & (a.lo == b.lo))
        if name == "ne":
            yes, no = no, yes
    # An infinite number written in the program meets no real number.
    alone = wild[0] ^ wild[1]
    far = (b.lo > 0.0) & wild[1] | (a.lo < 0.0) & wild[0]
    sure = {"lt": far, "le": far, "eq": np.zeros(shape, bool), "ne": np.ones(shape, bool)}[name]
    yes, no = np.where(alone, sure, yes), np.where(alone, ~sure, no)
    return Choice(np.broadcast_to(yes, shape), np.broadcast_to(no, shape))


def answer(value: Any) -> Choice:
    """A truth value as a choice; what no rule tells may be either."""
    if isinstance(value, Choice):
        return value
    if isinstance(value, Curve):
        return Choice(np.ones(value.shape, bool), np.ones(value.shape, bool))
    known = np.asarray(value, bool)
    return Choice(known, ~known)


def choose(which: Any, cases: Sequence[Curve], shape: tuple[int, ...]) -> Curve:
    """``cases[which]``; where the answer is open, any of two values, bent in any way."""
    if not isinstance(which, Choice):
        place = np.broadcast_to(np.asarray(which).astype(int), shape)
        if place.size and bool(np.all(place == place.flat[0])):
            only = cases[int(place.flat[0])]
            if only.shape == shape:
                return only
        fields: dict[str, Any] = {
            name: np.choose(place, [np.broadcast_to(getattr(case, name), shape) for case in cases]) for name in FIELDS
        }
        return Curve(**fields, constant=all(c.constant for c in cases), defined=min(c.defined for c in cases))
    no, yes = cases
    for possible, one in ((which.yes, no), (which.no, yes)):
        if not bool(np.any(possible)) and one.shape == shape:
            return one
    sure_no, sure_yes = ~which.yes, ~which.no
    open_ = which.yes & which.no
    lo = np.where(sure_no, no.lo, np.where(sure_yes, yes.lo, np.minimum(no.lo, yes.lo)))
    hi = np.where(sure_no, no.hi, np.where(sure_yes, yes.hi, np.maximum(no.hi, yes.hi)))

    def pick(name: str, none: Any) -> np.ndarray:
        return np.where(open_, none, np.where(sure_yes, getattr(yes, name), getattr(no, name)))

    return curve(
        (lo, hi),
        pick("convex", False),
        pick("concave", False),
        rc=pick("rc", NONE),
        rk=pick("rk", -NONE),
        ec=pick("ec", NONE),
        ek=pick("ek", -NONE),
        size_convex=pick("size_convex", False),
        positive=pick("positive", no.positive & yes.positive),
        defined=min(no.defined, yes.defined),
    )


__all__ = ["Choice", "choose", "compare"]
