"""Square roots near 1, and roots of quadratics."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from karush.jaxprs.meaning import means
from karush.numerics import meanings
from karush.numerics.door import broadcast, elementwise, reals
from karush.numerics.errorfree import exponent, times_power, tiny, two_product


def sqrt1pm1(x: Any) -> jax.Array:
    """``√(1 + x) − 1 = x/(√(1 + x) + 1)``.

    Parameters
    ----------
    x : array of any shape, ≥ −1

    Returns
    -------
    array of the shape and dtype of `x`; NaN below −1. Derivative ``1/(2√(1 + x))``, at −1 that of the smallest normal
    number above the pole.
    """
    return elementwise(_sqrt1pm1, x=x)


def quadratic_roots(a: Any, b: Any, c: Any) -> jax.Array:
    """The real roots of ``a x² + b x + c``: ``q/a`` and ``c/q`` with ``q = −(b + sign(b) √(b² − 4ac))/2``.

    The discriminant is computed with the errors of both products, after scaling x so that nothing over- or underflows
    before a root does.

    Parameters
    ----------
    a, b, c : arrays that broadcast against each other

    Returns
    -------
    array (..., 2), the smaller root first; NaN where the roots are not real, or a = b = 0. For a = 0 the one root is
    −c/b and the other ±∞, on the side from which it comes as a → 0⁺. Derivative ``−(x² da + x db + dc)/(2ax + b)``, cut
    off at the largest number.
    """
    arrays, kept = reals(a=a, b=b, c=c)
    return _roots(*broadcast(arrays, ("a", "b", "c"))).astype(kept)


@means(meanings.sqrt1pm1)
@jax.custom_jvp
def _sqrt1pm1(x: jax.Array) -> jax.Array:
    finite = x < jnp.inf
    inside = jnp.where(finite, x, 0.0)
    return jnp.where(finite, inside / (jnp.sqrt(1.0 + inside) + 1.0), x)


_sqrt1pm1.defjvps(lambda t, ans, x: t * 0.5 / jnp.sqrt(jnp.where(x == -1.0, tiny(x), 1.0 + x)))


class _Scaled(NamedTuple):
    """``α t² + β t + γ`` with α and γ near 1, where x = 2^s t; α = a 2^(2s − e), β = b 2^(s − e), γ = c 2^−e."""

    alpha: jax.Array
    beta: jax.Array
    gamma: jax.Array
    s: jax.Array
    e: jax.Array
    apart: jax.Array
    """β² exceeds 4αγ by more than all digits: the roots are −b/a and −c/b"""
    root: jax.Array
    """√(β² − 4αγ), the difference with the errors of both products"""

    @classmethod
    def of(cls, a: jax.Array, b: jax.Array, c: jax.Array) -> "_Scaled":
        digits = jnp.finfo(a.dtype).nmant + 1
        e = exponent(c)
        s = (e - exponent(a)) // 2
        alpha, beta, gamma = times_power(a, 2 * s - e), times_power(b, s - e), times_power(c, -e)
        apart = jnp.abs(beta) > 2.0 ** (digits // 2 + 3)
        beta = jnp.where(apart, 0.0, beta)
        p, p_lost = two_product(beta, beta)
        q, q_lost = two_product(4.0 * alpha, gamma)
        return cls(alpha, beta, gamma, s, e, apart, jnp.sqrt((p - q) + (p_lost - q_lost)))

    @property
    def sign(self) -> jax.Array:
        return jnp.where(self.beta < 0.0, -1.0, 1.0)


def _order(first: jax.Array, second: jax.Array, of_first: jax.Array, of_second: jax.Array) -> jax.Array:
    """What belongs to the smaller root, then what belongs to the larger."""
    swap = second < first
    return jnp.stack([jnp.where(swap, of_second, of_first), jnp.where(swap, of_first, of_second)], axis=-1)


def _pair(a: jax.Array, b: jax.Array, c: jax.Array) -> tuple[jax.Array, jax.Array]:
    """q/a and c/q, in this order."""
    v = _Scaled.of(a, b, c)
    q = -0.5 * (v.beta + v.sign * v.root)
    none = (q == 0.0) & ~v.apart & (a != 0.0)  # b = c = 0: both roots are 0
    line = (a == 0.0) & (b != 0.0)
    first = jnp.where(v.apart, -(b / a), times_power(q / v.alpha, v.s))
    second = jnp.where(v.apart, -(c / b), times_power(v.gamma / jnp.where(none, 1.0, q), v.s))
    first = jnp.where(line, -jnp.sign(b) * jnp.inf, jnp.where(none, 0.0, first))
    return first, jnp.where(line, -(c / jnp.where(line, b, 1.0)), jnp.where(none, 0.0, second))


@means(meanings.quadratic_roots)
@jax.custom_jvp
def _roots(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
    first, second = _pair(a, b, c)
    return _order(first, second, first, second)


@jax.custom_jvp
def _slopes(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
    """``2ax + b = ±√(b² − 4ac)`` at both roots; the smallest normal number at a double root."""
    v = _Scaled.of(a, b, c)
    size = jnp.where(v.apart | (a == 0.0), jnp.abs(b), times_power(v.root, v.e - v.s))
    size = jnp.where(size < tiny(size), tiny(size), size)
    sign = jnp.where(jnp.where(v.apart | (a == 0.0), b, v.beta) < 0.0, -1.0, 1.0)
    return _order(*_pair(a, b, c), -sign * size, sign * size)


@jax.custom_jvp
def _quotient(u: jax.Array, v: jax.Array, w: jax.Array) -> jax.Array:
    """``u v/w``, not underflowing before the result does; the largest number where it overflows.

    A derivative that overflowed would make NaN of a cotangent of 0, that of the other root.
    """
    (u, i), (v, j), (w, k) = (_parts(x) for x in (u, v, w))
    return _clipped(times_power(u * v / w, i + j - k))


def _clipped(x: jax.Array) -> jax.Array:
    largest = float(jnp.finfo(x.dtype).max)
    return jnp.clip(x, -largest, largest)


_quotient.defjvps(
    lambda t, ans, u, v, w: t * _quotient(jnp.ones_like(u), v, w),
    lambda t, ans, u, v, w: t * _quotient(u, jnp.ones_like(v), w),
    lambda t, ans, u, v, w: -t * _quotient(ans, jnp.ones_like(u), w),
)


def _parts(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``x = m 2^e`` with ½ ≤ |m| < 1."""
    e = exponent(x)
    return times_power(x, -e), e


@_slopes.defjvp
def _slopes_jvp(primals: Any, tangents: Any) -> Any:
    (a, b, c), (da, db, dc) = (tuple(v[..., None] for v in vs) for vs in (primals, tangents))
    slopes = _slopes(*primals)
    a, b, c, one = (jnp.broadcast_to(v, slopes.shape) for v in (a, b, c, jnp.ones_like(slopes)))
    by_a, by_b, by_c = (_quotient(v, one, slopes) for v in (-2.0 * c, b, -2.0 * a))
    return slopes, by_a * da + by_b * db + by_c * dc


@_roots.defjvp
def _roots_jvp(primals: Any, tangents: Any) -> Any:
    da, db, dc = (v[..., None] for v in tangents)
    x, slopes = _roots(*primals), _slopes(*primals)
    a, one = jnp.broadcast_to(primals[0][..., None], x.shape), jnp.ones_like(x)
    finite = jnp.abs(x) < jnp.inf
    # A root −b/a that overflows has the slope −b; one that comes from infinity, for a = 0, has no derivative.
    overflown = jnp.isinf(x) & (a != 0.0)
    inside = jnp.where(finite, x, 0.0)
    by_b = jnp.where(overflown, _quotient(one, one, jnp.where(overflown, a, 1.0)), _quotient(inside, one, slopes))
    by_a = jnp.where(overflown, _clipped(jnp.where(overflown, x, 0.0) * by_b), _quotient(inside, inside, slopes))
    by_c = jnp.where(finite | overflown, _quotient(one, one, slopes), 0.0)
    return x, jnp.where(jnp.isnan(x), jnp.nan, -(by_a * da + by_b * db + by_c * dc))
