"""Texts that are the same on every machine: results name files, not the folders that they lie in."""

import re

FOLDERS = re.compile(r"(?<![\w.])/(?:[^\s/:'\"]+/)*(?=[^\s/:'\"]+\.pyi?\b)")
"""the absolute folders before the name of a Python file"""


def portable(text: str) -> str:
    """`text` without the folders before ``*.py``: ``at /any/where/cases.py:77`` becomes ``at cases.py:77``."""
    return FOLDERS.sub("", text)


__all__ = ["portable"]
