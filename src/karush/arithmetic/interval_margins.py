"""Margins of the point functions: at least twice the largest error that was measured, per function.

`MEASURED` is what `karush.arithmetic.interval_calibration.calibrate` found on the tested builds, in units of 2⁻⁵² of
the value; `MARGINS` is what ends are widened by. On any other build or platform the same margins are used, but the word
*calibrated* is refused: results there are *checked*.
"""

import platform

import jax
from jaxlib import version as jaxlib_version

from karush.arithmetic.interval_numbers import ROUNDED

MEASURED: dict[str, float] = {
    "sqrt": 0.51,
    "rsqrt": 0.7,
    "cbrt": 0.7,
    "exp": 1.1,
    "expm1": 2.5,
    "log": 0.51,
    "log1p": 1.5,
    "sin": 1.2,
    "cos": 1.1,
    "tan": 1.25,
    "asin": 1.1,
    "acos": 1.2,
    "atan": 0.51,
    "sinh": 3.0,
    "cosh": 2.7,
    "tanh": 3.5,
    "asinh": 1.8,
    "acosh": 2.3,
    "atanh": 2.0,
    "logistic": 1.4,
    "erf": 0.8,
    "erfc": 260.0,
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

MARGINS: dict[str, float] = {
    name: ROUNDED if name in CORRECT else 2.0 * error + ROUNDED for name, error in MEASURED.items()
}
"""primitive -> k of `karush.arithmetic.interval_numbers.down`: twice the error, and the rounding of the step"""

TESTED = frozenset({("0.10.2", "cpu", "x86_64")})
"""(jaxlib version, platform, machine) that `MEASURED` holds for"""


def build() -> tuple[str, str, str]:
    """(jaxlib version, platform, machine) of this process."""
    return jaxlib_version.__version__, jax.default_backend(), platform.machine()


def label() -> str:
    """``calibrated`` on a tested build, else ``checked``."""
    return "calibrated" if build() in TESTED else "checked"


__all__ = ["CORRECT", "MARGINS", "MEASURED", "build", "label"]
