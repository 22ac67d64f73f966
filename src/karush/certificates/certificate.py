"""`Certificate`: the verdict on a point, with every number that it rests on."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from karush.certificates import words
from karush.certificates.evaluation import Evaluated, evaluated
from karush.certificates.evidence import Entry, Evidence
from karush.certificates.scales import Scales
from karush.core.status import Verdict


@dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """What a point is. Entries, sentence and names are put into words when they are first read."""

    verdict: Verdict
    scales: Scales
    """the typical sizes that make the entries dimensionless"""
    multipliers: tuple[np.ndarray, np.ndarray]
    """y (m,) of the rows and z (n,) of the bounds that the verdict rests on, for ``L = f + yᵀc + zᵀx``"""
    evidence: Evidence
    witness: dict[str, Any] | None = None
    """a better feasible point (``x``, ``x_flat``, ``value``), or a ray (``points``, ``values``, ``direction``)"""
    assumed: tuple[str, ...] = ()
    """the user's promises that the verdict needs"""
    notes: tuple[str, ...] = ()

    @property
    def success(self) -> bool:
        """Whether the point is a local or global minimum."""
        return self.verdict in (Verdict.LOCAL_MINIMUM, Verdict.GLOBAL_MINIMUM)

    @property
    def promises(self) -> tuple[str, ...]:
        """The same as `assumed`."""
        return self.assumed

    @cached_property
    def sentence(self) -> str:
        """The verdict in one sentence, with the numbers that decided."""
        return words.sentence(self.verdict, self.evidence, self.witness)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Every condition with measured value and bound."""
        return words.entries(self.evidence)

    @cached_property
    def violated(self) -> tuple[tuple[str, float], ...]:
        """Name of each row or variable outside its limits by more than allowed, and by how much, in its own units."""
        return words.violated(self.evidence, self.scales)

    @cached_property
    def dependent(self) -> tuple[str, ...]:
        """Names of active constraints and bounds whose gradients are linearly dependent."""
        return words.dependent_names(self.evidence)

    @cached_property
    def evaluated(self) -> Evaluated:
        """The evaluation itself, in float64, held against ball arithmetic; computed when first read."""
        return evaluated(self.evidence, self.scales)

    @cached_property
    def evaluation(self) -> str:
        """Whether f, ∇L and c are dominated by rounding, and how many digits are left; computed when first read."""
        return self.evaluated.sentence(self.evidence.tol)

    def __getstate__(self) -> dict[str, Any]:
        # The functions are not stored: what they say is read before.
        _ = self.evaluated
        return vars(self)

    def __repr__(self) -> str:
        return f"Certificate({self.verdict.value}: {self.sentence})"

    def __str__(self) -> str:
        lines = [f"{self.verdict.value}: {self.sentence}"]
        lines += [f"  {'ok   ' if entry.ok else 'FAILS'} {entry}" for entry in self.entries]
        return "\n".join(lines)
