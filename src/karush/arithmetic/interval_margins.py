"""Margins of the point functions: at least twice the largest error that was measured, per function.

`MEASURED` is what `karush.arithmetic.interval_calibration.calibrate` found on the tested builds, in units of 2⁻⁵² of
the value; `MARGINS` is what ends are widened by. On any other build or platform the same margins are used, but the word
*calibrated* is refused: results there are *checked*.
"""

import math
import platform

import jax
from jaxlib import version as jaxlib_version

MEASURED: dict[str, float] = {
    "sqrt": 0.5,
    "rsqrt": 0.63,
    "cbrt": 0.67,
    "exp": 0.98,
    "expm1": 2.3,
    "log": 0.5,
    "log1p": 1.4,
    "sin": 0.5,
    "cos": 0.5,
    "tan": 1.2,
    "asin": 1.0,
    "acos": 1.1,
    "atan": 0.5,
    "sinh": 2.7,
    "cosh": 2.6,
    "tanh": 3.5,
    "asinh": 1.7,
    "acosh": 2.2,
    "atanh": 2.0,
    "logistic": 1.3,
    "erf": 0.7,
    "erfc": 257.0,
}
"""largest error over 3e5 points per function, rounded up"""

LEAST_MARGIN = 2.0
"""covers results that are rounded correctly, and the rounding of the widening step itself"""

MARGINS: dict[str, float] = {name: max(LEAST_MARGIN, math.ceil(2.0 * error) + 1.0) for name, error in MEASURED.items()}
"""primitive -> k of `karush.arithmetic.interval_numbers.down`"""

DIVISION = 3.0
"""margin of a / b: XLA may multiply by a rounded 1/b, 1.204 ulps off [Rum10]"""

TESTED = frozenset({("0.10.2", "cpu", "x86_64")})
"""(jaxlib version, platform, machine) that `MEASURED` holds for"""


def build() -> tuple[str, str, str]:
    """(jaxlib version, platform, machine) of this process."""
    return jaxlib_version.__version__, jax.default_backend(), platform.machine()


def label() -> str:
    """``calibrated`` on a tested build, else ``checked``."""
    return "calibrated" if build() in TESTED else "checked"


__all__ = ["DIVISION", "MARGINS", "MEASURED", "build", "label"]
