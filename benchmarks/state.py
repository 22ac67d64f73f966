"""Which state of the repository a benchmark measures."""

import subprocess
from pathlib import Path
from typing import Any

ASKED: dict[str, Any] = {"check": True, "capture_output": True, "text": True, "cwd": Path(__file__).parent.parent}


def commit() -> str:
    """Which state of the repository runs; with a `+` where files of the package are changed."""
    try:
        words = (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--", "src"))
        head, changed = (subprocess.run(("git", *word), **ASKED).stdout.strip() for word in words)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")
