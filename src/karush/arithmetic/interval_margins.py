"""Margins of the point functions: at least twice the largest error that was measured, per function.

`MEASURED` is what `karush.arithmetic.interval_calibration.calibrate` found on the tested builds, in units of 2⁻⁵² of
the value; `MARGINS` is what ends are widened by. On any other build or platform the same margins are used, but the word
*calibrated* is refused: results there are *checked*, until `calibrate` has run there once. What it finds is kept in a
file of the user's cache (`cache_file`), and where an error is larger than the one here, margins grow with the next
start of Python.
"""

import json
import os
import platform
from pathlib import Path

import jax
from jaxlib import version as jaxlib_version

from karush.arithmetic.interval_numbers import ROUNDED

MEASURED: dict[str, float] = {
    "sqrt": 0.51,
    "rsqrt": 0.8,
    "cbrt": 0.7,
    "exp": 1.1,
    "expm1": 0.9,
    "log": 0.51,
    "log1p": 1.2,
    "sin": 1.2,
    "cos": 1.1,
    "tan": 1.25,
    "asin": 1.1,
    "acos": 1.2,
    "atan": 0.51,
    "sinh": 1.5,
    "cosh": 1.0,
    "tanh": 1.0,
    "asinh": 1.8,
    "acosh": 1.1,
    "atanh": 1.2,
    "logistic": 1.4,
    "erf": 0.8,
    "erfc": 7.5,
    "erf_inv": 5.0,
    "lgamma": 24.0,
    "digamma": 12.0,
    "polygamma 1": 12.0,
    "polygamma 2": 10.0,
    "polygamma 3": 10.0,
    "atan2": 0.8,
}
"""largest error over 4e5 points per function, rounded up"""

CORRECT = frozenset(("sqrt",))
"""functions that IEEE 754 requires to be rounded correctly, and that are"""

TESTED = frozenset({("0.10.2", "cpu", "x86_64", "avx512"), ("0.10.2", "cpu", "x86_64", "avx2")})
"""(jaxlib version, platform, machine, instruction set) that `MEASURED` holds for"""
CPU_FLAGS = Path("/proc/cpuinfo")
"""where Linux says what the processor can do"""
INSTRUCTION_SETS = ("avx512", "avx2", "avx", "sse4_2", "asimd")
"""vector instructions, the widest first: XLA writes other code for each"""


def cache_file() -> Path:
    """Where calibrations are kept: in ``$KARUSH_CACHE_DIR``, ``$XDG_CACHE_HOME/karush`` or ``~/.cache/karush``."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("KARUSH_CACHE_DIR") or Path(base) / "karush") / "calibration.json"


def stored() -> dict[str, dict[str, float]]:
    """Build -> function -> error, of all builds calibrated by this user; empty where the file cannot be read."""
    try:
        found = json.loads(cache_file().read_text(encoding="utf-8"))
        return {str(key): {str(k): float(v) for k, v in errors.items()} for key, errors in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _largest(name: str, error: float) -> float:
    return max([error, *[errors.get(name, 0.0) for errors in stored().values()]])


MARGINS: dict[str, float] = {
    name: ROUNDED if name in CORRECT else 2.0 * _largest(name, error) + ROUNDED for name, error in MEASURED.items()
}
"""primitive -> k of `karush.arithmetic.interval_numbers.down`: twice the error, and the rounding of the step"""


def instruction_set() -> str:
    """The widest vector instructions of the processor, as far as the system says."""
    try:
        text = CPU_FLAGS.read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown"
    words = set(text.split())
    return next((name for name in INSTRUCTION_SETS if any(word.startswith(name) for word in words)), "unknown")


def build() -> tuple[str, str, str, str]:
    """(jaxlib version, platform, machine, instruction set) of this process."""
    return jaxlib_version.__version__, jax.default_backend(), platform.machine(), instruction_set()


def covered(errors: dict[str, float]) -> bool:
    """Whether the margins in use are at least twice these errors, of all functions."""
    enough = {name: 0.5 if name in CORRECT else 0.5 * (margin - ROUNDED) for name, margin in MARGINS.items()}
    return all(errors.get(name, 0.0) <= enough[name] for name in MARGINS) and "exp" in errors


def label() -> str:
    """``calibrated`` on a tested build, or one that was calibrated here, else ``checked``."""
    here = build()
    return "calibrated" if here in TESTED or covered(stored().get(" ".join(here), {})) else "checked"


__all__ = ["CORRECT", "MARGINS", "MEASURED", "build", "cache_file", "covered", "label", "stored"]
