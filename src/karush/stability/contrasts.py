"""Products with the Jacobians of softmax and log_softmax, right where all that is of ordinary size cancels.

```
mean:        t_i - sum_j p_j t_j              d log_softmax . t
weights:     c_j - p_j sum_i c_i              its transpose
covariance:  p_i (t_i - sum_j p_j t_j)        d softmax . t, its own transpose
```

with ``p = softmax(x)`` along the last axis. Of weights that are all 1, what is left is ``1 - n p_j``: for equal x
nothing, for nearly equal x about their differences. With ``w_k = exp(x_k - max x) = 1 + d_k``, W their sum, it is
``sum_k ((c_j - c_k) + (c_j d_k - d_j c_k)) / W``: the first part is exact in two words, the second as accurate as the
differences ``d_k = expm1(x_k - max x)``. Entries far below the largest stay as they are, ``w_k``, not ``1 + d_k``.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from karush.numerics.errorfree import sum_last, two_product, two_sum
from karush.numerics.softmax import less_mean, shifted, softmax_of

NEAR = -0.5
"""entries less far below the largest are taken as 1 + d"""
MEAN, WEIGHTS, COVARIANCE = "mean", "weights", "covariance"
TRANSPOSED = {MEAN: WEIGHTS, WEIGHTS: MEAN, COVARIANCE: COVARIANCE}

contrast_p = Primitive("softmax_contrast")
"""operands: x (..., n), v (..., n); linear in v; parameter `kind`"""


def contrast(x: Any, v: Any, kind: str) -> Any:
    """The product with v that `kind` names, (..., n)."""
    return contrast_p.bind(x, v, kind=kind)


def _computed(x: Any, v: Any, *, kind: str) -> Any:
    if kind == WEIGHTS:
        return _weights(x, v)
    p = softmax_of(x, jnp.ones(x.shape, bool))
    # From the largest entry's: where it has all the weight, its own difference is made of what the others have.
    top = jnp.argmax(x, axis=-1, keepdims=True)
    from_top = less_mean(p, *two_sum(v, -jnp.take_along_axis(v, top, axis=-1)))
    return from_top if kind == MEAN else p * from_top


def _weights(x: Any, c: Any) -> Any:
    """``(c_j (n + D + F) - (1 + d_j) C) / W``: n near entries, D their sum of d, F the sum of the far w."""
    s = shifted(x, jnp.ones(x.shape, bool))
    near = s.z > NEAR
    small = jnp.expm1(jnp.where(near, s.z, 0.0))
    small = small + s.lost * (1.0 + small)
    own = jnp.where(near, small, s.weights)
    rest, rest_low = (v[..., None] for v in sum_last(own))
    whole, whole_low = (v[..., None] for v in sum_last(c))
    count = jnp.sum(near, axis=-1, keepdims=True).astype(x.dtype)
    parts = [two_product(c, count), (-jnp.where(near, whole, 0.0), -jnp.where(near, whole_low, 0.0))]
    parts += [two_product(c, rest), (c * rest_low, jnp.zeros_like(c))]
    parts += [tuple(-v for v in two_product(own, whole)), (-own * whole_low, jnp.zeros_like(c))]
    s_hi, s_lo = sum_last(jnp.stack([hi for hi, _ in parts], axis=-1), jnp.stack([lo for _, lo in parts], axis=-1))
    return (s_hi + s_lo) / (1.0 + s.rest)


def _moved(primals: Sequence[Any], tangents: Sequence[Any], *, kind: str) -> tuple[Any, Any]:
    (x, v), (dx, dv) = primals, tangents
    steps = [] if isinstance(dv, ad.Zero) else [contrast(x, dv, kind)]
    if not isinstance(dx, ad.Zero):
        change = contrast(x, dx, COVARIANCE)
        if kind == WEIGHTS:
            steps.append(-change * jnp.sum(v, axis=-1, keepdims=True))
        else:
            mean = jnp.sum(change * v, axis=-1, keepdims=True)
            p = softmax_of(x, jnp.ones(x.shape, bool))
            steps.append(jnp.broadcast_to(-mean, v.shape) if kind == MEAN else change * contrast(x, v, MEAN) - p * mean)
    return contrast(x, v, kind), sum(steps[1:], start=steps[0])


def _transposed(weights: Any, x: Any, v: Any, *, kind: str) -> tuple[Any, Any]:
    return None, ad.Zero(v.aval) if isinstance(weights, ad.Zero) else contrast(x, weights, TRANSPOSED[kind])


def _mapped(operands: Sequence[Any], axes: Sequence[Any], *, kind: str) -> tuple[Any, int]:
    count = next(x.shape[axis] for x, axis in zip(operands, axes, strict=True) if axis is not None)
    front = [
        lax.broadcast(x, (count,)) if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(operands, axes, strict=True)
    ]
    return contrast(front[0], front[1], kind), 0


contrast_p.def_impl(_computed)
contrast_p.def_abstract_eval(lambda x, v, *, kind: v)
mlir.register_lowering(contrast_p, mlir.lower_fun(_computed, multiple_results=False))
ad.primitive_jvps[contrast_p] = _moved
ad.primitive_transposes[contrast_p] = _transposed
batching.primitive_batchers[contrast_p] = _mapped

__all__ = ["COVARIANCE", "MEAN", "WEIGHTS", "contrast"]
