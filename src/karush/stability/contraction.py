"""The product of a Jacobian with a move, or with weights of its outputs, so accurate that what cancels in it is right.

```
dy = J dx,    dx' = J^T dy',    J = hi + lo,    products and sums without rounding error [ORO05]
```

The gradient of a sum of outputs is such a product, and its terms may cancel: those of a softmax, entirely. What is
smaller than the noise of the terms is 0: nothing tells it from 0, and neither would a further digit of the result.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from karush.arithmetic import twofold_numbers as numbers
from karush.arithmetic.twofold_arrays import tree
from karush.arithmetic.twofold_numbers import Twofold, format_of

NOISE = 10
"""bits of 2p that the entries of a Jacobian, products of a few elementary functions in twofold numbers, may be wrong"""

product_p = Primitive("accurate_product")
"""operands: hi (..., m, n), lo (..., m, n), v (..., n); linear in v"""


def product(hi: Any, lo: Any, v: Any) -> Any:
    """``(hi + lo) v``: (..., m, n) times (..., n)."""
    return product_p.bind(hi, lo, v)


def _computed(hi: Any, lo: Any, v: Any) -> Any:
    v = jnp.broadcast_to(v[..., None, :], hi.shape)
    terms = numbers.raw_mul(Twofold(hi, lo), numbers.exact(v))
    plain = hi * v
    zeros: Callable[[Any], Twofold] = lambda shape: numbers.exact(jnp.zeros(shape, hi.dtype))  # noqa: E731
    total = tree(numbers.raw_add, terms, (hi.ndim - 1,), zeros)
    # Scaled first: the sum of sizes may overflow where that of the terms does not.
    noise = jnp.sum(jnp.abs(plain) * 2.0 ** (NOISE - 2 * format_of(hi).digits), axis=-1)
    kept = jnp.where(jnp.abs(total.hi) < noise, jnp.zeros_like(total.hi), total.hi)
    return jnp.where(jnp.isfinite(total.hi), kept, jnp.sum(plain, axis=-1))


def _moved(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    hi, lo, v = primals
    _, _, dv = tangents
    out = product(hi, lo, v)
    parts = [] if isinstance(dv, ad.Zero) else [product(hi, lo, dv)]
    # Of a sum hi + lo, both parts may move; each moves the product.
    parts += [jnp.sum(part * v[..., None, :], axis=-1) for part in tangents[:2] if not isinstance(part, ad.Zero)]
    return out, sum(parts[1:], start=parts[0])


def _transposed(weights: Any, hi: Any, lo: Any, v: Any) -> tuple[Any, Any, Any]:
    if isinstance(weights, ad.Zero):
        return None, None, ad.Zero(v.aval)
    return None, None, product(jnp.swapaxes(hi, -1, -2), jnp.swapaxes(lo, -1, -2), weights)


def _mapped(operands: Sequence[Any], axes: Sequence[Any]) -> tuple[Any, int]:
    count = next(x.shape[axis] for x, axis in zip(operands, axes, strict=True) if axis is not None)
    front = [
        lax.broadcast(x, (count,)) if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(operands, axes, strict=True)
    ]
    return product(*front), 0


product_p.def_impl(_computed)
product_p.def_abstract_eval(lambda hi, lo, v: hi.update(shape=hi.shape[:-1]))
mlir.register_lowering(product_p, mlir.lower_fun(_computed, multiple_results=False))
ad.primitive_jvps[product_p] = _moved
ad.primitive_transposes[product_p] = _transposed
batching.primitive_batchers[product_p] = _mapped

__all__ = ["NOISE", "product"]
