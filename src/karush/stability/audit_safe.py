"""Whether every rounding error on a box stays below what an audit tolerates: so far no such proof is attempted."""

from typing import Any

import numpy as np


def proved_safe(straight: Any, lower: np.ndarray, upper: np.ndarray, effort: float) -> tuple[bool, str]:
    """Whether the straight program is safe on the box, and why or why not."""
    return False, "no defect was found, and no proof was attempted"
