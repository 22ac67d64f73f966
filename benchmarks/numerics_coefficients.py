"""Writes src/karush/numerics/coefficients.py: near-minimax polynomials of the stable functions.

``python -m benchmarks.numerics_coefficients``. Chebyshev interpolation at 60 digits, converted to powers; the degree is
the smallest whose error is below 2⁻⁵⁶ of the function's largest value.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp

TARGET = Path(__file__).parent.parent / "src" / "karush" / "numerics" / "coefficients.py"
MARGIN = mp.mpf(2) ** -56
"""a sixteenth of half an ulp of float64"""
CENTRE = 2
"""of t = (y − 2)/(y + 2), which maps [0, ∞) to [−1, 1)"""
ASYMPTOTIC = 100
"""beyond it a continued fraction of this many terms, and the asymptotic series of erfcx, are exact to 60 digits"""


def expm1_tail(x: Any) -> Any:
    return mp.mpf(1) / 2 if x == 0 else (mp.expm1(x) - x) / x**2


def logcosh_over_square(s: Any) -> Any:
    return mp.mpf(1) / 2 if s == 0 else mp.log(mp.cosh(mp.sqrt(s))) / s


def atanh_tail(s: Any) -> Any:
    if s == 0:
        return mp.mpf(1) / 3
    r = mp.sqrt(s)
    return (mp.atanh(r) / r - 1) / s


def sinc_of_square(s: Any) -> Any:
    return mp.sincpi(mp.sqrt(s)) if s else mp.mpf(1)


def erfcx_scaled(t: Any) -> Any:
    """``(1 + 2y) erfcx(y)`` at ``y = c (1 + t)/(1 − t)``; it tends to 2/√π."""
    if t == 1:
        return 2 / mp.sqrt(mp.pi)
    y = CENTRE * (1 + t) / (1 - t)
    if y > ASYMPTOTIC:
        series = sum((-1) ** k * mp.fac2(2 * k - 1) / (2 * y * y) ** k for k in range(16))
        return (1 + 2 * y) * series / (y * mp.sqrt(mp.pi))
    return (1 + 2 * y) * mp.exp(y * y) * mp.erfc(y)


def mills_excess(t: Any) -> Any:
    """``(φ(u)/Φ(−u) − u)(1 + u)`` at ``u = c (1 + t)/(1 − t)``; it tends to 1."""
    if t == 1:
        return mp.mpf(1)
    u = CENTRE * (1 + t) / (1 - t)
    if u > ASYMPTOTIC:
        # Laplace: φ/Φ(−u) = u + 1/(u + 2/(u + 3/(u + ...)))
        tail = mp.mpf(0)
        for k in range(ASYMPTOTIC, 0, -1):
            tail = k / (u + tail)
        return tail * (1 + u)
    return (mp.npdf(u) / mp.ncdf(-u) - u) * (1 + u)


FITS: dict[str, tuple[Callable[[Any], Any], tuple[float, float], str]] = {
    "EXPM1_TAIL": (expm1_tail, (-1, 1), "``(exp(x) − 1 − x)/x²`` for |x| ≤ 1"),
    "LOGCOSH": (logcosh_over_square, (0, 1), "``log(cosh(x))/x²`` in s = x² ≤ 1"),
    "ATANH_TAIL": (atanh_tail, (0, 0.3), "``(atanh(r)/r − 1)/r²`` in s = r² ≤ 0.3"),
    "SINC": (sinc_of_square, (0, 0.25), "``sin(πr)/(πr)`` in s = r² ≤ 1/4"),
    "ERFCX": (erfcx_scaled, (-1, 1), "``(1 + 2y) exp(y²) erfc(y)`` in t = (y − 2)/(y + 2), y ≥ 0"),
    "MILLS": (mills_excess, (-1, 1), "``(φ(u)/Φ(−u) − u)(1 + u)`` in t = (u − 2)/(u + 2), u ≥ 0"),
}


def fit(f: Callable[[Any], Any], interval: tuple[float, float]) -> list[float]:
    """Coefficients, highest power first."""
    size = max(abs(f(mp.mpf(end))) for end in interval)
    for terms in range(4, 60):
        coefficients, error = mp.chebyfit(f, [mp.mpf(end) for end in interval], terms, error=True)
        if error <= MARGIN * size:
            return [float(c) for c in coefficients]
    raise RuntimeError("no polynomial of degree below 60 is good enough")


def main() -> None:
    mp.mp.dps = 60
    lines = ['"""Polynomials, highest power first; written by benchmarks/numerics_coefficients.py."""', ""]
    for name, (f, interval, meaning) in FITS.items():
        lines += [f"{name} = (", *(f"    {c!r}," for c in fit(f, interval)), ")", f'"""{meaning}"""', ""]
    TARGET.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
