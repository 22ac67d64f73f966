"""Bits of error: how far a floating-point number lies from the exact one, counted in numbers between them.

```
bits(y, y*) = log2(1 + |ordinal(y) - ordinal(y*)|)
```

The ordinal numbers the floats of a type in their order, so neighbours differ by one: half an ulp of error gives 0,
one ulp 1, half of the digits lost 26 in float64; NaN loses all bits [PS+15].
"""

from typing import Any

import numpy as np

WIDTH = {np.dtype(np.float64): 64, np.dtype(np.float32): 32}
"""bits of a number, what NaN loses"""
INTEGER = {np.dtype(np.float64): np.int64, np.dtype(np.float32): np.int32}


def ordinals(values: np.ndarray) -> np.ndarray:
    """Place of each float among all floats of its type, 0 for both zeros."""
    raw = values.view(INTEGER[values.dtype]).astype(np.int64)
    least = np.int64(np.iinfo(INTEGER[values.dtype]).min)
    return np.where(raw >= 0, raw, least - raw)


def from_ordinals(places: np.ndarray, dtype: Any) -> np.ndarray:
    """The floats at `places`."""
    integer = INTEGER[np.dtype(dtype)]
    least = np.int64(np.iinfo(integer).min)
    return np.where(places >= 0, places, least - places).astype(integer).view(dtype)


def bits_of_error(computed: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """``log2(1 + ulps apart)``, elementwise, both of one float dtype; all bits where exactly one is NaN."""
    width = WIDTH[computed.dtype]
    # float64 subtraction of ordinals cannot wrap around, and keeps what a logarithm can show.
    apart = np.abs(ordinals(computed).astype(np.float64) - ordinals(exact).astype(np.float64))
    close = np.abs(ordinals(computed) // 2 - ordinals(exact) // 2) < 2**50
    apart = np.where(close, np.abs(ordinals(computed) - ordinals(exact)).astype(np.float64), apart)
    bits = np.log2(1.0 + apart)
    return np.where(np.isnan(computed) != np.isnan(exact), float(width), np.where(np.isnan(exact), 0.0, bits))


__all__ = ["WIDTH", "bits_of_error", "from_ordinals", "ordinals"]
