"""Time limits: a moment of the clock that searches look at between boxes."""

import math
import time

from karush.core.errors import OptionError


def deadline(time_limit: float | None) -> float:
    """The time of `time.monotonic` at which a limit in seconds, counted from now, is reached.

    Raises
    ------
    OptionError
        for a limit that is no number above 0.
    """
    if time_limit is None:
        return math.inf
    if isinstance(time_limit, bool) or not isinstance(time_limit, (int, float)) or not time_limit > 0.0:
        raise OptionError(f"time_limit is {time_limit!r}; give seconds, a number > 0, or None")
    return time.monotonic() + time_limit


__all__ = ["deadline"]
