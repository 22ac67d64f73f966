"""Inertia correction: the least multiple δ of the identity that makes the step a descent direction.

Algorithm IC of [WB06], with one Cholesky factorization for each δ tried.
"""

from collections.abc import Callable
from typing import Any

from karush.linalg.ops import Ops

DELTA_FIRST, DELTA_MIN, DELTA_MAX = 1e-4, 1e-20, 1e40
"""first, least and largest correction"""
SHRINK, GROW, GROW_FIRST = 1.0 / 3.0, 8.0, 100.0
"""how a correction follows the last one that was needed"""


def correction(ops: Ops, is_right: Callable[[Any], Any], delta_last: Any, floor: Any) -> tuple[Any, Any]:
    """The correction to use now (0 where none is needed), and the one to remember.

    Parameters
    ----------
    is_right
        Whether the inertia is right with a given correction.
    delta_last
        Last nonzero correction, 0 if there was none.
    floor
        Least correction allowed now, mostly 0.
    """
    xnp = ops.np

    def grow(delta: Any) -> Any:
        first = xnp.where(delta_last == 0.0, DELTA_FIRST, xnp.maximum(DELTA_MIN, SHRINK * delta_last))
        factor = xnp.where(delta_last == 0.0, GROW_FIRST, GROW)
        return xnp.where(delta == floor, xnp.maximum(first, GROW * floor), factor * delta)

    start = floor * xnp.ones(())
    delta = ops.while_loop(lambda d: (d < DELTA_MAX) & ~is_right(d), grow, start)
    return delta, xnp.where(delta > floor, delta, delta_last)
