"""Error-free transformations and exact scaling: what a rounded sum or product has lost, as a number.

The error of a rounded sum or product of floats is itself a float [Dek71]. XLA leaves such sums alone, as it reorders
constants only; but it fuses a product with the sum that follows, and then no rounded product is there any more whose
error could be known. `rounded` stands between the two.
"""

import jax
import jax.numpy as jnp
import numpy as np


def rounded(p: jax.Array) -> jax.Array:
    """p itself, never fused into the sum that uses it: the compiler does not contract through a choice."""
    return jnp.where(jnp.abs(p) < jnp.inf, p, p + p)


def two_sum(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``a + b = s + e`` exactly, `s` the rounded sum; e is 0 where the sum overflows."""
    a, b = rounded(a), rounded(b)
    s = a + b
    virtual = s - a
    e = (a - (s - virtual)) + (b - virtual)
    return s, jnp.where(jnp.abs(s) < jnp.inf, e, 0.0)


def two_product(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``a b = p + e`` exactly, `p` the rounded product, if nothing over- or underflows on the way [Dek71]."""
    p = rounded(a * b)
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    e = ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low
    return p, jnp.where(jnp.isfinite(e), e, 0.0)


def _split(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``a = high + low``, each with half the digits (Veltkamp)."""
    digits = jnp.finfo(a.dtype).nmant + 1
    c = rounded(a * (2.0 ** ((digits + 1) // 2) + 1.0))
    high = c - (c - a)
    return high, a - high


def sum_last(x: jax.Array, low: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """Sum of x (+ low) along the last axis as an unevaluated ``s + e``: pairwise, with the error of every addition.

    The relative error is about eps + (log₂ n · eps)² · Σ|x| / |Σx| ([ORO05], pairwise instead of one after the other).
    """
    s, e = x, jnp.zeros_like(x) if low is None else low
    while s.shape[-1] > 2:
        half = (s.shape[-1] + 1) // 2
        s, e = _joined(_halves(s, half), _halves(e, half))
    # The last two by a `reduce`: sums of slices alone are fused into what uses them, and computed again for every
    # entry of the row that they are subtracted from (a variance of 1000 numbers took 10 times as long).
    zero = np.zeros((), x.dtype)
    return tuple(
        jax.lax.reduce((s, e), (zero, zero), lambda one, other: _joined(*zip(one, other, strict=True)), (s.ndim - 1,))
    )


def _joined(sums: tuple[jax.Array, jax.Array], errors: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """The sum of two unevaluated sums."""
    s, lost = two_sum(*sums)
    return s, (errors[0] + errors[1]) + lost


def total(x: jax.Array, low: jax.Array | None = None) -> jax.Array:
    """Sum along the last axis, rounded once."""
    s, e = sum_last(x, low)
    return s + e


def _halves(x: jax.Array, half: int) -> tuple[jax.Array, jax.Array]:
    """First and second half of the last axis, the second filled with a zero if n is odd."""
    rest = x[..., half:]
    padding = [(0, 0, 0)] * (x.ndim - 1) + [(0, half - rest.shape[-1], 0)]
    return x[..., :half], jax.lax.pad(rest, jnp.zeros((), x.dtype), padding)


def safe_scale(size: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``(k, 1/k)``, powers of two for which k² size² neither over- nor underflows; 1 where no scaling is needed.

    `size` is the largest absolute value that will be squared. Three fixed powers, as in [Blu78], so that only
    comparisons are needed: with E = 126 in float32 they are 2^100 below 2^−40, 2^−80 above 2^40.
    """
    limit = -jnp.finfo(size.dtype).minexp  # E: 2^−E is the smallest normal number
    threshold, up, down = 2.0 ** (limit // 3), 2.0 ** (4 * limit // 5), 2.0 ** (-2 * limit // 3)
    small, large = size < 1.0 / threshold, size > threshold
    k = jnp.where(small, up, jnp.where(large, down, 1.0)).astype(size.dtype)
    inverse = jnp.where(small, 1.0 / up, jnp.where(large, 1.0 / down, 1.0)).astype(size.dtype)
    return k, inverse


def horner(coefficients: tuple[float, ...], x: jax.Array) -> jax.Array:
    """``Σ c_k x^k``, the highest power first."""
    value = jnp.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def tiny(x: jax.Array) -> jax.Array:
    """Smallest normal number of x's dtype: XLA rounds what is smaller to 0, so 0 stands for all of it."""
    return jnp.asarray(jnp.finfo(x.dtype).tiny, x.dtype)
