"""A certificate whose verdict is known, and whose numbers are measured when they are first read."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from karush.certificates.certificate import Certificate
from karush.certificates.evidence import Evidence
from karush.certificates.scales import Scales
from karush.core.status import Verdict


class Deferred(Certificate):
    """The certificate of a verdict that a compiled program has found clear.

    `measure` judges the same point step by step; its verdict is the same, for `compiled.clear_verdict` asks for more.
    It is called once, when an entry, the sentence or the evidence is first read.
    """

    _measure: Callable[[], Certificate]

    def __init__(
        self,
        verdict: Verdict,
        scales: Scales,
        multipliers: tuple[np.ndarray, np.ndarray],
        measure: Callable[[], Certificate],
    ):
        # Around the frozen dataclass's own __init__, which would ask for the evidence now.
        self.__dict__.update(
            verdict=verdict,
            scales=scales,
            multipliers=multipliers,
            witness=None,
            assumed=(),
            notes=scales.notes,
            _measure=measure,
        )

    @cached_property
    def measured(self) -> Certificate:
        """The step-by-step certificate of the same point."""
        return self._measure()

    @cached_property
    def evidence(self) -> Evidence:  # type: ignore[override]
        """What was measured."""
        return self.measured.evidence

    def __reduce__(self) -> Any:
        plain = (self.verdict, self.scales, self.multipliers, self.evidence)
        return Certificate, plain, {"notes": self.notes, "evaluated": self.evaluated}
