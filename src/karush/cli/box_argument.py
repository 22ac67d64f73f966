"""``--box``: a box on the command line.

```
box    :=  value  |  value, value, ...  |  name=value, name=value, ...  |  a name in FILE
value  :=  low:high  |  low:high*N  |  low:high*NxM  |  [value, value, ...]
```

``0:1`` is a number, ``-1:1*5`` a vector of five, ``0:1*2x3`` a matrix, ``[0:1, -1:1]`` a vector too; several values
are a tuple, with names a dict. ``inf`` may be an end.
"""

from types import ModuleType
from typing import Any

import numpy as np

from karush.bounds import Box
from karush.core.errors import FileError, ProblemError

BOX_HELP = (
    '"low:high", "low:high*N", "[..., ...]", several with commas for a tuple, "name=low:high, ..." for a dict, or the '
    "name of a karush.Box in FILE; without it, the `box` of FILE."
)
CURE = 'write "0:1", "[0:1, -1:1]", "-1:1*5", "0:1*2x3", "0:1, 2:3" or "x=0:1, w=-1:1*3"'
DEFAULT = "box"
"""what FILE calls its box, if none is given"""


def region(words: str | None, module: ModuleType, file: str) -> Any:
    """The box that `words` describe, or what FILE calls so: a `Box`, or anything else that the caller understands.

    Raises
    ------
    ProblemError
        for words that are no box, with the part that cannot be read, and for a name that FILE does not define.
    """
    if words is not None and not words.strip().isidentifier():
        return read_box(words)
    name = DEFAULT if words is None else words.strip()
    if not hasattr(module, name):
        given = "no --box is given" if words is None else f"--box is {words!r}"
        raise FileError(f"{given}, and {file} does not define {name!r}; define it, or {CURE}")
    return getattr(module, name)


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
        ends = [_value(part, words) for part in parts]
        lower, upper = (tuple(end[side] for end in ends) for side in (0, 1))
        return Box(lower, upper) if len(ends) > 1 else Box(lower[0], upper[0])
    named: dict[str, tuple[Any, Any]] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not name:
            raise _wrong(part, words, "has no name")
        if name in named:
            raise _wrong(part, words, "names a value twice")
        named[name] = _value(value, words)
    return Box(*({name: end[side] for name, end in named.items()} for side in (0, 1)))


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
    interval, star, counts = text.partition("*")
    low, colon, high = interval.partition(":")
    try:
        if not colon:
            raise ValueError
        ends = float(low), float(high)
        shape = tuple(int(count) for count in counts.split("x")) if star else ()
        if any(count < 1 for count in shape):
            raise ValueError
    except ValueError:
        raise _wrong(text, words, "is no interval low:high, with *N or *NxM for an array") from None
    return (np.full(shape, ends[0]), np.full(shape, ends[1])) if star else ends


def _wrong(part: str, words: str, why: str) -> ProblemError:
    return ProblemError(f"--box is {words!r}: {part.strip()!r} {why}; {CURE}")


__all__ = ["BOX_HELP", "read_box", "region"]
