"""Limits of searches: a number of boxes, and a moment of the clock that is looked at between boxes."""

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


def require_boxes(budget: int, least: int = 1) -> None:
    """Refuse a budget that is no number of boxes.

    Raises
    ------
    OptionError
        for anything but a whole number, `least` or more.
    """
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < least:
        raise OptionError(f"budget is {budget!r}; give a number of boxes, {least} or more")


__all__ = ["deadline", "require_boxes"]
