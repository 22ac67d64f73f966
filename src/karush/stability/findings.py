"""What an audit has found: kinds, findings, and the whole answer, printed with the user's lines underlined."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from karush.jaxprs.source import Place
from karush.stability.excerpt import excerpt, shown


class Kind(Enum):
    """What has gone wrong."""

    OVERFLOW = "overflow"
    UNDERFLOW = "underflow to zero"
    CANCELLATION = "cancellation"
    ABSORPTION = "absorption"
    DOMAIN = "invalid domain"
    INDETERMINATE = "0·inf"
    NAN_GRADIENT = "NaN gradient"
    INACCURATE = "inaccurate function"
    AMPLIFICATION = "amplified rounding"


class AuditVerdict(Enum):
    """What is known of a function on a box."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Finding:
    """One place of the user's program, and one input that shows the damage under ``jax.jit``."""

    kind: Kind
    part: str
    """``value`` or ``gradient``"""
    place: Place
    """file, line and column"""
    expression: str
    """the sub-expression in the user's words, or the operation if its source cannot be read"""
    bits: float
    """bits lost beyond the conditioning; all bits of the dtype for NaN, inf, and flush to zero"""
    severe: bool
    """NaN, inf, or more than half of the bits"""
    witness: Any
    """input, in the user's structure, at which the compiled function shows it"""
    point: str
    """the witness in words"""
    output: str
    """which output"""
    computed: float
    exact: float
    """the exact output, rounded to float64"""
    detail: str
    """what happens at the spot, in numbers"""
    repair: str = ""
    """what to write instead; empty if nothing simple is known"""

    def __str__(self) -> str:
        lost = f"{self.bits:.0f} bits lost"
        where = f"{self.part}, {lost}"
        lines = [f"{self.kind.value} in the {where}: {shown(self.place)}", excerpt(self.place, self.expression)]
        lines += [
            f"  at       {self.point}",
            f"  computed {self.output} = {self.computed!r}, exact {self.exact:.9g}",
        ]
        if self.detail:
            lines.append(f"  because  {self.detail}")
        if self.repair:
            lines.append(f"  repair   {self.repair}")
        return "\n".join(line for line in lines if line)

    def document(self) -> dict[str, Any]:
        """The finding as JSON."""
        return {
            "kind": self.kind.value,
            "part": self.part,
            "severity": "error" if self.severe else "warning",
            "bits": round(self.bits, 2),
            "file": self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "expression": self.expression,
            "witness": self.point,
            "output": self.output,
            "computed": _number(self.computed),
            "exact": _number(self.exact),
            "detail": self.detail,
            "repair": self.repair,
        }


def _number(value: float) -> float | str:
    """Finite numbers as such; JSON has no others."""
    return float(value) if np.isfinite(value) else repr(float(value))


@dataclass(frozen=True, eq=False)
class Part:
    """What is known of the value, or of the gradient."""

    name: str
    verdict: AuditVerdict
    findings: tuple[Finding, ...]
    reason: str
    """why the verdict is what it is"""
    accuracy: float = float("nan")
    """largest bits of error met at exact inputs, conditioning not taken off, where the exact output is normal"""


@dataclass(frozen=True, eq=False)
class Audit:
    """What `karush.audit` found."""

    name: str
    dtype: str
    parts: tuple[Part, ...]
    seconds: float = 0.0
    points: int = 0
    """points that the compiled function was run at"""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, the severe ones first."""
        everything = [finding for part in self.parts for finding in part.findings]
        return tuple(sorted(everything, key=lambda finding: (not finding.severe, -finding.bits)))

    @property
    def verdict(self) -> AuditVerdict:
        """*unsafe* if any part is, *safe* if every part is, else *unknown*."""
        verdicts = {part.verdict for part in self.parts}
        if AuditVerdict.UNSAFE in verdicts:
            return AuditVerdict.UNSAFE
        return AuditVerdict.SAFE if verdicts == {AuditVerdict.SAFE} else AuditVerdict.UNKNOWN

    def __str__(self) -> str:
        lines = [f"{self.name} in {self.dtype}: {self.verdict.value}"]
        for part in self.parts:
            shown = "" if np.isnan(part.accuracy) else f"; up to {part.accuracy:.1f} bits of error at exact inputs"
            lines.append(f"  {part.name:8} {part.verdict.value}: {part.reason}{shown}")
        for finding in self.findings:
            lines += ["", str(finding)]
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """The audit as JSON."""
        return {
            "function": self.name,
            "dtype": self.dtype,
            "verdict": self.verdict.value,
            "parts": [
                {
                    "part": part.name,
                    "verdict": part.verdict.value,
                    "reason": part.reason,
                    "accuracy": None if np.isnan(part.accuracy) else round(part.accuracy, 2),
                }
                for part in self.parts
            ],
            "findings": [finding.document() for finding in self.findings],
            "points": self.points,
            "seconds": round(self.seconds, 3),
        }


__all__ = ["Audit", "AuditVerdict", "Finding", "Kind", "Part"]
