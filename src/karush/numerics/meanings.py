"""What the kernels of this room are in exact real numbers; `karush.jaxprs.meaning` says who reads it.

Each is the formula of the kernel's documentation, wherever the kernel's value is finite, in the form that intervals
and the rules of convexity read best. Reductions are along the last axis. A `mask` is a NumPy array where the program
has a constant one; the softmax family says nothing about other masks.
"""

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
Mask = jax.Array | np.ndarray


def total(x: Array) -> Array:
    """``Σ x``."""
    return jnp.sum(x, axis=-1)


def dot(x: Array, y: Array) -> Array:
    """``Σ x y``."""
    return jnp.sum(x * y, axis=-1)


def norm(x: Array) -> Array:
    """``(Σ x²)^½``."""
    return jnp.sqrt(jnp.sum(jnp.square(x), axis=-1))


def unit(x: Array) -> Array:
    """``x/‖x‖``, 0 at 0."""
    return x / _or_one(norm(x))[..., None]


def cosine(x: Array, y: Array) -> Array:
    """``xᵀy/(‖x‖ ‖y‖)``; where a vector is 0, so is its product."""
    return dot(x, y) / (_or_one(norm(x)) * _or_one(norm(y)))


def _or_one(length: Array) -> Array:
    return jnp.where(length == 0.0, 1.0, length)


def centred(x: Array, mask: Mask) -> Array:
    """``x − mean x``, 0 for entries left out."""
    taken = kept(x, mask)
    n = np.maximum(np.sum(mask, axis=-1), 1) if isinstance(mask, np.ndarray) else jnp.maximum(jnp.sum(mask, axis=-1), 1)
    mean = jnp.sum(taken, axis=-1) / jnp.asarray(n).astype(x.dtype)
    return kept(x - mean[..., None], mask)


def kept(x: Array, mask: Mask) -> Array:
    """x, 0 for entries left out."""
    return x if isinstance(mask, np.ndarray) and mask.all() else jnp.where(mask, x, 0.0)


def variance(x: Array, mask: Mask, freedom: Array) -> Array:
    """``Σ (x − mean x)²/freedom``."""
    return jnp.sum(jnp.square(centred(x, mask)), axis=-1) / freedom


def columns(x: Array, mask: Mask) -> np.ndarray | None:
    """The entries that a constant mask takes, where it takes the same ones, and at least one, of every row."""
    if not isinstance(mask, np.ndarray):
        return None
    rows = np.broadcast_to(mask, x.shape).reshape(-1, x.shape[-1])
    return np.flatnonzero(rows[0]) if rows.size and rows[0].any() and (rows == rows[0]).all() else None


def taken(x: Array, chosen: np.ndarray) -> Array:
    """The chosen entries of each row."""
    return x if chosen.size == x.shape[-1] else x[..., chosen]


def exponentials(x: Array) -> tuple[Array, Array]:
    """``m = max x`` (..., 1), a shift that cancels, and ``exp(x − m)``."""
    m = jax.lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True))
    return m, jnp.exp(x - m)


def softmax(x: Array, mask: Mask) -> Array | None:
    """``exp(x_i)/Σ exp(x_j)``, 0 for entries left out."""
    if (chosen := columns(x, mask)) is None:
        return None
    _, e = exponentials(taken(x, chosen))
    p = e / jnp.sum(e, axis=-1, keepdims=True)
    if chosen.size == x.shape[-1]:
        return p
    place = np.full(x.shape[-1], chosen.size)
    place[chosen] = np.arange(chosen.size)
    return jnp.concatenate([p, jnp.zeros_like(x[..., :1])], axis=-1)[..., place]


def logsumexp(x: Array, mask: Mask) -> Array | None:
    """``log Σ exp(x_j)``."""
    chosen = columns(x, mask)
    return None if chosen is None else _logsumexp(taken(x, chosen))


def _logsumexp(x: Array) -> Array:
    m, e = exponentials(x)
    return m[..., 0] + jnp.log(jnp.sum(e, axis=-1))


def log_softmax(x: Array, mask: Mask) -> Array | None:
    """``x_i − log Σ exp(x_j)``; with entries left out, which are −∞, nothing is said."""
    chosen = columns(x, mask)
    return x - _logsumexp(x)[..., None] if chosen is not None and chosen.size == x.shape[-1] else None


def log_mean_exp(x: Array, mask: Mask) -> Array | None:
    """``log((1/n) Σ exp(x_j))``."""
    chosen = columns(x, mask)
    return None if chosen is None else _logsumexp(taken(x, chosen)) - jnp.log(jnp.asarray(chosen.size, x.dtype))


def weighted(x: Array, b: Array, mask: Mask) -> Array | None:
    """``log Σ b_j exp(x_j)``."""
    if (chosen := columns(x, mask)) is None:
        return None
    m, e = exponentials(taken(x, chosen))
    return m[..., 0] + jnp.log(jnp.sum(taken(b, chosen) * e, axis=-1))


def entropy(x: Array) -> Array:
    """``−Σ p_j log p_j``, p = softmax(x)."""
    _, e = exponentials(x)
    p = e / jnp.sum(e, axis=-1, keepdims=True)
    return -jnp.sum(p * (x - _logsumexp(x)[..., None]), axis=-1)


def divergence(a: Array, b: Array) -> Array:
    """``Σ p (log p − log q)``, p = softmax(a), q = softmax(b)."""
    _, e = exponentials(a)
    p = e / jnp.sum(e, axis=-1, keepdims=True)
    return jnp.sum(p * (a - b), axis=-1) - _logsumexp(a) + _logsumexp(b)


def cross_entropy(x: Array, y: Array) -> Array:
    """``−Σ y log softmax(x) = (Σ y) log Σ exp(x) − Σ y x``."""
    return jnp.sum(y, axis=-1) * _logsumexp(x) - jnp.sum(y * x, axis=-1)


def binary_cross_entropy(x: Array, y: Array) -> Array:
    """``(1 − y) log(1 + eˣ) + y log(1 + e⁻ˣ) = log(1 + eˣ) − y x``."""
    return softplus(x) - y * x


def softplus(x: Array) -> Array:
    """``log(1 + eˣ)``."""
    return jnp.logaddexp(x, 0.0)


def logcosh(x: Array) -> Array:
    """``log cosh x = log(eˣ + e⁻ˣ) − log 2``."""
    return jnp.logaddexp(x, -x) - jnp.log(jnp.asarray(2.0, x.dtype))


def log_ndtr(x: Array) -> Array:
    """``log Φ(x) = log(erfc(−x/√2)/2)``."""
    return jnp.log(0.5 * jax.lax.erfc(-x / jnp.sqrt(jnp.asarray(2.0, x.dtype))))


def cosm1(x: Array) -> Array:
    """``cos x − 1``."""
    return jnp.cos(x) - 1.0


def sqrt1pm1(x: Array) -> Array:
    """``√(1 + x) − 1``."""
    return jnp.sqrt(1.0 + x) - 1.0


def squared_distances(x: Array, y: Array) -> Array:
    """``Σ (x − y)²``."""
    return jnp.sum(jnp.square(x - y), axis=-1)


def log_sub_exp(a: Array, b: Array) -> Array:
    """``log(eᵃ − eᵇ) = a + log(1 − e^(b − a))``."""
    return a + log1mexp(a - b)


def log1mexp(x: Array) -> Array:
    """``log(1 − e⁻ˣ)``."""
    return jnp.log(-jnp.expm1(-x))


def log1pmx(x: Array) -> Array:
    """``log(1 + x) − x``."""
    return jnp.log1p(x) - x


def powm1(x: Array, y: Array) -> Array:
    """``x^y − 1``."""
    return jnp.power(x, y) - 1.0


def xlogx(x: Array) -> Array:
    """``x log x``; at 0, where it has no derivative, nothing is said."""
    return x * jnp.log(x)


def xlogy(x: Array, y: Array) -> Array:
    """``x log y``; at y = 0 nothing is said."""
    return x * jnp.log(y)


def quadratic_roots(a: Array, b: Array, c: Array) -> Array:
    """``(−b ± √(b² − 4ac))/(2a)``, the smaller first; at a = 0 nothing is said."""
    root = jnp.sqrt(jnp.square(b) - 4.0 * a * c)
    first, second = (-b - root) / (2.0 * a), (-b + root) / (2.0 * a)
    return jnp.stack([jnp.minimum(first, second), jnp.maximum(first, second)], axis=-1)
