"""`Proof`: what was proved about a point, and what it rests on."""

import math
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_UP, Context
from pathlib import Path
from typing import Any

import numpy as np

from karush.proofs.proof_file import write

TRUSTED = (
    "python-flint and Arb: that every ball holds the exact result",
    "karush's walker and its rules for balls (karush.arithmetic), some 1700 lines",
    "JAX: that the traced program is the user's function, and that its derivatives of primitives are right",
    "Python, NumPy's moving of array elements, and the machine",
)
"""What every proof rests on and does not prove."""
PRINTED = 3
"""digits of a printed radius"""


@dataclass(frozen=True)
class Enclosure:
    """Numbers that lie between `lower` and `upper`; floats or arrays of one shape."""

    lower: Any
    upper: Any

    @property
    def width(self) -> Any:
        return self.upper - self.lower


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Proof:
    """Theorems about a point near the one that was given; without any, why it is undecided.

    "KKT point": exactly one point of `box` meets the first-order conditions exactly, with multipliers in
    `multipliers`. "strict minimum": it is a strict local minimum. "global minimum": no feasible point is better.
    "infeasible": no point of `box` meets the constraints. "feasible point": some point of `box` meets them all.
    """

    theorems: tuple[str, ...]
    """which of "KKT point", "strict minimum", "global minimum", "infeasible", "feasible point" are proved"""
    sentence: str
    box: Enclosure | None = None
    """of the KKT point or the feasible point, in the structure of x; lower = upper where a bound holds the variable.
    Of "infeasible": the box in which there is no feasible point"""
    radius: float = np.inf
    """largest half-width of the box, relative to max(1, |x|)"""
    uniqueness_radius: float = 0.0
    """half-width, relative to max(1, |x|), of a larger box of the variables off their bounds: it is the only KKT point
    there with the same active limits and with multipliers in the witness' wide box; 0 where no variable is off"""
    isolated: bool = False
    """whether no other KKT point lies in some neighbourhood: true within `uniqueness_radius`, or without a known one"""
    value: Enclosure | None = None
    """of the user's own objective at the KKT point"""
    multipliers: dict[str, Enclosure] = field(default_factory=dict)
    """by constraint name and "bounds", as `Result.multipliers`"""
    distance: float = np.inf
    """largest |x_i − box_i| of the x that was given, relative to max(1, |x_i|)"""
    active: tuple[str, ...] = ()
    """names of the rows and bounds that hold with equality"""
    dropped: tuple[tuple[str, str], ...] = ()
    """active rows that the others imply, and why"""
    reason: str = ""
    """why it is undecided, or why not more is proved"""
    why_global: str = ""
    findings: tuple[str, ...] = ()
    """derivative rules that disagree with their functions at the point; the theorems do not rest on them"""
    trusted: tuple[str, ...] = TRUSTED
    precision: int = 0
    """bits of the balls"""
    seconds: float = 0.0
    name: str | None = None
    document: dict[str, Any] = field(default_factory=dict)
    """what `save` writes: the witness and the claims, as JSON"""

    @property
    def proved(self) -> bool:
        """Whether there is any theorem."""
        return bool(self.theorems)

    def __contains__(self, theorem: str) -> bool:
        return theorem in self.theorems

    def save(self, path: str | Path) -> None:
        """Write the proof as JSON, for ``karush check``."""
        write(self.document, Path(path))

    def __repr__(self) -> str:
        return f"Proof({', '.join(self.theorems) or 'undecided'}: {self.sentence})"

    def __str__(self) -> str:
        lines = [self.sentence]
        if self.theorems and self.value is not None:
            lines += [
                f"  proved       {', '.join(self.theorems)}",
                f"  value        {_both(self.value)}",
                f"  radius       {at_least(self.radius)} relative; unique within {at_most(self.uniqueness_radius)} "
                "among points with these active limits",
                f"  distance     {at_least(self.distance)} relative, from the given x to the box",
                f"  active       {', '.join(self.active) or 'none'}",
            ]
            lines += [f"  dropped      {name}: {why}" for name, why in self.dropped]
        elif self.theorems and self.box is not None:
            lines += [
                f"  proved       {', '.join(self.theorems)}",
                f"  box          {self.box.lower} to {self.box.upper}",
            ]
        # Without a theorem the sentence is the reason, and nothing rests on anything.
        lines += [f"  not more     {self.reason}"] if self.reason and self.theorems else []
        lines += [f"  found        {finding}" for finding in self.findings]
        lines += [f"  trusted      {item}" for item in self.trusted if self.theorems]
        return "\n".join(lines)


def at_least(value: float, digits: int = PRINTED) -> str:
    """A decimal number that is not below `value`: what is printed of a bound from above is part of the theorem."""
    return _rounded(value, digits, ROUND_UP)


def at_most(value: float, digits: int = PRINTED) -> str:
    """A decimal number that is not above `value`."""
    return _rounded(value, digits, ROUND_DOWN)


def _rounded(value: float, digits: int, direction: str) -> str:
    if value == 0.0 or not math.isfinite(value):
        return f"{value:.0f}"
    return f"{float(Context(prec=digits, rounding=direction).create_decimal(value)):.{digits}g}"


def _both(enclosure: Enclosure) -> str:
    return f"between {enclosure.lower!r} and {enclosure.upper!r}"


__all__ = ["TRUSTED", "Enclosure", "Proof", "at_least", "at_most"]
