"""Error-free transformations and exact scaling: what a rounded sum or product has lost, as a number.

The error of a rounded sum or product of floats is itself a float [Dek71]. XLA leaves such sums alone, as it reorders
constants only; but it fuses a product with the sum that follows, and then no rounded product is there any more whose
error could be known. `rounded` stands between the two.
"""

import jax
import jax.numpy as jnp


def rounded(p: jax.Array) -> jax.Array:
    """p itself, never fused into the sum that uses it: the compiler does not contract through a choice."""
    return jnp.where(jnp.abs(p) < jnp.inf, p, p + p)


def two_sum(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``a + b = s + e`` exactly, `s` the rounded sum; e is 0 where the sum overflows."""
    s, e = _added(rounded(a), rounded(b))
    return s, jnp.where(jnp.abs(s) < jnp.inf, e, 0.0)


def _added(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`two_sum` of numbers that are no products; e is NaN where the sum overflows."""
    s = a + b
    return s, _lost(a, b, s)


def _lost(a: jax.Array, b: jax.Array, s: jax.Array) -> jax.Array:
    virtual = s - a
    return (a - (s - virtual)) + (b - virtual)


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


FAN = 32
"""numbers that one pass over a row adds up, pairwise: it reads each number once and stores a thirty-second of them"""


@jax.jit
def sum_last(x: jax.Array, low: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """Sum of x (+ low) along the last axis as an unevaluated ``s + e``: pairwise, with the error of every addition.

    The relative error is about eps + (log₂ n · eps)² · Σ|x| / |Σx| ([ORO05], pairwise instead of one after the other).
    """
    if x.shape[-1] == 0:
        return jnp.sum(x, axis=-1), jnp.zeros(x.shape[:-1], x.dtype)
    # Products come in here and nowhere below: rounding once at the entrance keeps them out of every addition.
    s, e = rounded(x), low
    while s.shape[-1] > 1:
        parts = [(one, None) for one in _slices(s)] if e is None else list(zip(_slices(s), _slices(e), strict=True))
        while len(parts) > 1:
            pairs = list(zip(parts[::2], parts[1::2]))
            parts = [_joined(*pair) for pair in pairs] + parts[2 * len(pairs) :]
        s, e = parts[0]
    s, e = s[..., 0], jnp.zeros(s.shape[:-1], s.dtype) if e is None else e[..., 0]
    finite = jnp.abs(s) < jnp.inf
    # Sums alone are fused into what uses them, and computed again for every entry of the row that they are subtracted
    # from (35 times as slow for rows of 10). The compiler does that to no division, such as this one by 1.
    one = jnp.where(finite, 1.0, 2.0).astype(s.dtype)
    return s / one, jnp.where(finite, e, 0.0) / one


Unevaluated = tuple[jax.Array, jax.Array | None]
"""a sum and what its roundings have lost, None for nothing"""


def _joined(one: Unevaluated, other: Unevaluated) -> Unevaluated:
    """The sum of two unevaluated sums; NaN is lost where it overflows."""
    (a, a_low), (b, b_low) = one, other
    s, lost = _added(a, b)
    for low in (a_low, b_low):
        lost = lost if low is None else lost + low
    return s, lost


def total(x: jax.Array, low: jax.Array | None = None) -> jax.Array:
    """Sum along the last axis, rounded once."""
    s, e = sum_last(x, low)
    return s + e


def _slices(x: jax.Array) -> list[jax.Array]:
    """The last axis cut into at most `FAN` parts of one length, the last filled with zeros."""
    n = x.shape[-1]
    length = -(-n // FAN)
    cuts = [jax.lax.slice_in_dim(x, k, min(k + length, n), axis=-1) for k in range(0, n, length)]
    missing = length - cuts[-1].shape[-1]
    if missing:
        padding = [(0, 0, 0)] * (x.ndim - 1) + [(0, missing, 0)]
        cuts[-1] = jax.lax.pad(cuts[-1], jnp.zeros((), x.dtype), padding)
    return cuts


def product(weight: jax.Array, value: jax.Array) -> jax.Array:
    """``weight · value``, 0 where the weight is 0, whatever the value."""
    return jnp.where(weight == 0.0, 0.0, weight * jnp.where(weight == 0.0, 0.0, value))


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


def others(p: jax.Array, t: jax.Array) -> jax.Array:
    """``Σ_{j≠i} p_j t_j`` along the last axis, linear in t.

    Transposed, it is ``p_j (Σ_i c_i − c_j)``, and 0 where c has one entry alone: the choice keeps the product that c is
    from being fused into this difference.
    """
    v = p * t
    return jnp.where(jnp.isfinite(p), jnp.sum(v, axis=-1, keepdims=True) - v, 0.0)


def exponent(x: jax.Array) -> jax.Array:
    """Power of two of x, as an integer; 0 for 0."""
    _, e = jnp.frexp(x)
    return jnp.where(x == 0.0, 0, e)


def times_power(x: jax.Array, e: jax.Array) -> jax.Array:
    """``x 2^e`` in two exact steps, so that 2^e itself need not be a float; products, which have derivatives."""
    first = e // 2
    one = jnp.ones((), x.dtype)
    return x * jnp.ldexp(one, first) * jnp.ldexp(one, e - first)


def horner(coefficients: tuple[float, ...], x: jax.Array) -> jax.Array:
    """``Σ c_k x^k``, the highest power first."""
    value = jnp.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def tiny(x: jax.Array) -> jax.Array:
    """Smallest normal number of x's dtype: XLA rounds what is smaller to 0, so 0 stands for all of it."""
    return jnp.asarray(jnp.finfo(x.dtype).tiny, x.dtype)
