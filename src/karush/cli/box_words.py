"""Boxes as words of the command line.

```
box    :=  value  |  name=value, name=value, ...
value  :=  low:high  |  low:high*count  |  [value, value, ...]
```

``0:1`` is a number, ``[0:1, -1:1]`` a vector, ``-1:1*5`` a vector of five, ``x=0:1, w=-1:1*3`` a dict. ``inf`` may be
an end.
"""

from typing import Any

import numpy as np

from karush.bounds import Box
from karush.core.errors import ProblemError

CURE = 'write "0:1", "[0:1, -1:1]", "-1:1*5", or "x=0:1, w=-1:1*3"'


def read_box(words: str) -> Box:
    """The box that `words` describe.

    Raises
    ------
    ProblemError
        with the part that cannot be read.
    """
    parts = _split(words, words)
    if not parts:
        raise ProblemError(f"--box is {words!r}, which is empty; {CURE}")
    if not any("=" in part for part in parts):
        if len(parts) > 1:
            raise _wrong(words, words, "has several values without names")
        low, high = _value(parts[0], words)
        return Box(low, high)
    lower: dict[str, Any] = {}
    upper: dict[str, Any] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not name:
            raise _wrong(part, words, "has no name")
        if name in lower:
            raise _wrong(part, words, "names a value twice")
        lower[name], upper[name] = _value(value, words)
    return Box(lower, upper)


def _split(text: str, words: str) -> list[str]:
    """Parts between commas outside brackets."""
    parts, depth, current = [], 0, ""
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if depth < 0:
            break
        if letter == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += letter
    if depth != 0:
        raise _wrong(text, words, "has brackets that do not match")
    return [part.strip() for part in [*parts, current] if part.strip()]


def _value(text: str, words: str) -> tuple[Any, Any]:
    """Both ends, as numbers or arrays."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        pairs = [_value(part, words) for part in _split(text[1:-1], words)]
        shapes = {np.shape(low) for low, _ in pairs}
        if len(shapes) != 1:
            raise _wrong(text, words, "has entries of different shapes" if shapes else "is empty")
        return np.array([low for low, _ in pairs]), np.array([high for _, high in pairs])
    interval, star, count = text.partition("*")
    low, colon, high = interval.partition(":")
    try:
        if not colon:
            raise ValueError
        ends = float(low), float(high)
        number = int(count) if star else 0
        if star and number < 1:
            raise ValueError
    except ValueError:
        raise _wrong(text, words, "is no interval low:high") from None
    if star:
        return np.full(number, ends[0]), np.full(number, ends[1])
    return ends


def _wrong(part: str, words: str, why: str) -> ProblemError:
    return ProblemError(f"--box is {words!r}: {part.strip()!r} {why}; {CURE}")


__all__ = ["read_box"]
