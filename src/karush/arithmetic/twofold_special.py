"""Functions that have no twofold algorithm here: XLA's value at the upper part, and its slope times the lower one.

```
f(hi + lo) = f(hi) + lo f'(hi),    of plain accuracy
```
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from karush.arithmetic.twofold_numbers import Twofold, exact, finished, two_sum
from karush.jaxprs.walk import Rule, Step, bind

Values = Sequence[Any]
ROOT_PI = 1.7724538509055160


def by_slope(slope: Callable[[Any, Any], Any]) -> Rule:
    """Rule of a function by its value and slope at the upper part; `slope` is given argument and value."""

    def rule(step: Step, a: Twofold) -> Values:
        (value,) = bind(step, a.hi)
        change = jnp.where(a.lo == 0, jnp.zeros_like(a.lo), a.lo * slope(a.hi, value))
        return (finished(two_sum(value, change), value),)

    return rule


def upper_only(step: Step, *operands: Any) -> Values:
    """What the program computes from the upper parts."""
    out = bind(step, *[item.hi if isinstance(item, Twofold) else item for item in operands])
    return [
        exact(value) if jnp.issubdtype(aval.dtype, jnp.floating) else value
        for value, aval in zip(out, step.out_avals, strict=True)
    ]


RULES: dict[str, Rule] = {
    "erf": by_slope(lambda x, value: 2.0 / ROOT_PI * jnp.exp(-x * x)),
    "erfc": by_slope(lambda x, value: -2.0 / ROOT_PI * jnp.exp(-x * x)),
    "erf_inv": by_slope(lambda x, value: 0.5 * ROOT_PI * jnp.exp(value * value)),
    "lgamma": by_slope(lambda x, value: lax.digamma(x)),
    "digamma": by_slope(lambda x, value: lax.polygamma(jnp.ones_like(x), x)),
    "bessel_i0e": upper_only,
    "bessel_i1e": upper_only,
    "igamma": upper_only,
    "igammac": upper_only,
    "igamma_grad_a": upper_only,
    "random_gamma_grad": upper_only,
    "regularized_incomplete_beta": upper_only,
    "polygamma": upper_only,
    "zeta": upper_only,
    "nextafter": upper_only,
    "cholesky": upper_only,
    "triangular_solve": upper_only,
    "lu": upper_only,
    "eigh": upper_only,
    "qr": upper_only,
    "svd": upper_only,
    "householder_product": upper_only,
    "custom_linear_solve": upper_only,
    "conv_general_dilated": upper_only,
    "reduce_window_sum": upper_only,
}
"""primitive -> rule; all of plain accuracy"""

PLAIN = frozenset(RULES)
"""primitives whose result has plain accuracy"""

__all__ = ["PLAIN", "RULES"]
