"""Gauss–Newton with a line search: ``d = −t J⁺ r``, the step of the linearised residuals, shortened where it is worse.

With the singular values s of J D⁻¹ and h = Uᵀr the scaled step is ``D d = −t V (h / s)``.
"""

from typing import Any

from karush.linalg.ops import Ops


def coefficients(ops: Ops, s: Any, h: Any, radius: Any) -> Any:
    """a (k,): the whole step along its own direction, not longer than the line search's length `radius`."""
    np = ops.np
    newton = np.where(s > 0, h / np.where(s > 0, s, 1.0), 0.0)
    length = np.linalg.norm(newton)
    return newton * np.minimum(1.0, radius / np.where(length > 0, length, 1.0))
