"""``--box``: a box written on the command line.

```
LOW:HIGH             one number                  -10:10
LOW:HIGH*N           a vector of N               -10:10*4
LOW:HIGH*NxM         a matrix                    0:1*2x3
BOX, BOX             a tuple of inputs           0:1, 0:1*3
NAME=BOX, NAME=BOX   a dictionary of inputs      rate=0:0.1, periods=1:365
```
"""

import re

import numpy as np

from karush.bounds import Box
from karush.core.errors import FileError

BOX_HELP = (
    "The inputs: LOW:HIGH for a number, LOW:HIGH*N for a vector, LOW:HIGH*NxM for a matrix; several with commas for a "
    "tuple, NAME=LOW:HIGH, ... for a dictionary; or the name of a karush.Box, or of sample data, in FILE."
)
NUMBER = r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|inf)"
LEAF = re.compile(rf"^(?:(?P<name>\w+)=)?(?P<low>{NUMBER}):(?P<high>{NUMBER})(?:\*(?P<shape>\d+(?:x\d+)*))?$")


def parse_box(text: str) -> Box:
    """The box of a ``--box`` text.

    Raises
    ------
    FileError
        for a text that is no box, with the part that is wrong and the form that is right.
    """
    names: list[str | None] = []
    ends: list[tuple[float | np.ndarray, float | np.ndarray]] = []
    for part in text.split(","):
        match = LEAF.match(part.strip().replace(" ", ""))
        if match is None:
            raise FileError(f"--box {text!r}: {part.strip()!r} is no range; {BOX_HELP}")
        low, high = float(match["low"]), float(match["high"])
        shape = tuple(int(size) for size in match["shape"].split("x")) if match["shape"] else None
        names.append(match["name"])
        ends.append((low, high) if shape is None else (np.full(shape, low), np.full(shape, high)))
    if len(set(map(bool, names))) > 1 or (all(names) and len(set(names)) < len(names)):
        raise FileError(f"--box {text!r}: give every range a name of its own, or none")
    if all(names):
        return Box(*({name: end[side] for name, end in zip(names, ends, strict=True)} for side in (0, 1)))
    if len(ends) == 1:
        return Box(*ends[0])
    return Box(*(tuple(end[side] for end in ends) for side in (0, 1)))


def is_range(text: str) -> bool:
    """Whether a text is meant as ranges, and not as a name."""
    return not text.strip().isidentifier()


__all__ = ["BOX_HELP", "is_range", "parse_box"]
