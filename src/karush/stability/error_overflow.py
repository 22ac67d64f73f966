"""Results that overflow to an infinity which a later operation divides away, as in ``1 / (1 + exp(−x))``.

```
û = ±inf,  |u| about the largest float or more:      a / û = 0,      |a / u| <= 4 tiny |a|
```

An infinity stands for a number of known sign and size as long as it meets operations that treat it as that number.
"""

from typing import Any

import jax.numpy as jnp

from karush.arithmetic.interval_numbers import Interval
from karush.stability.error_bounds import MEANT, Format, Values, least, widened

OVERFLOWS = frozenset({"exp", "exp2", "expm1", "sinh", "cosh", "add", "add_any", "mul", "square", "div"})
"""operations that overflow where their result does, and nowhere on the way"""


def overflowing(form: Format, e: Interval, r: Any, t: Any) -> Any:
    """Where a result may overflow, of a known sign and a known size, so that an infinity can stand for it."""
    return ((e.lo > 0.0) | (e.hi < 0.0)) & (r < MEANT) & (t <= MEANT * form.largest)


def bears(name: str, operands: Values) -> list[Any]:
    """Where an operand that may be infinite gives what its exact value gives, or an infinity again (`Value.over`)."""
    if name in ("neg", "abs", "exp", "select_n"):
        return [True] * len(operands)
    if name == "div":
        return [False, True]
    if not all(isinstance(v.exact, Interval) for v in operands):
        return [False] * len(operands)
    if name in ("add", "add_any"):
        a, b = (v.exact for v in operands)
        agree = ((a.lo >= 0.0) & (b.lo >= 0.0)) | ((a.hi <= 0.0) & (b.hi <= 0.0))
        return [agree & ~jnp.asarray(other.over) for other in reversed(operands)]
    if name == "mul":
        return [(least(widened(other)) >= 1.0) & ~jnp.asarray(other.over) for other in reversed(operands)]
    return [False] * len(operands)


__all__ = ["OVERFLOWS", "bears", "overflowing"]
