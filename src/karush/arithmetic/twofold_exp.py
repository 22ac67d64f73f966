"""Exponential and logarithm of twofold numbers, and what is made of them.

```
exp a = 2^k (1 + u),  u = expm1(a - k ln 2),    expm1(2 r) = expm1(r) (2 + expm1(r)),
log a = k ln 2 + log1p(m - 1),                  log1p(d) = y + log1p(z),  z = (1 + d) exp(-y) - 1
```

Each keeps full relative accuracy where its value at a round number cancels afterwards: exp a = (1, a) for tiny a,
log (1 + d) = (d, -d²/2), tanh a = (1, -2 exp(-2a)) for large a. XLA's own logarithm is only asked for a first guess y.
"""

from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from karush.arithmetic.twofold_numbers import (
    Twofold,
    absolute,
    choose,
    constant,
    defined,
    digits_of,
    exact,
    exponent_of,
    fast_two_sum,
    finished,
    format_of,
    large_plus,
    neg,
    reciprocal,
    scale,
    times_power,
    two_product,
    two_sum,
    unit,
)
from karush.arithmetic.twofold_numbers import mul as guarded_mul
from karush.arithmetic.twofold_numbers import raw_add as add
from karush.arithmetic.twofold_numbers import raw_div as div
from karush.arithmetic.twofold_numbers import raw_mul as mul
from karush.arithmetic.twofold_numbers import raw_sqrt as sqrt
from karush.arithmetic.twofold_numbers import raw_sub as sub

LN2 = Fraction(
    "0.69314718055994530941723212145817656807550013436025525412068000949339362196969471560586332699641868754"
)
LN10 = Fraction(
    "2.3025850929940456840179914546843642076011014886287729760333279009675726096773524802359972050895982983"
)

HALVINGS = {"float32": 5, "float64": 6}
"""how often the reduced argument of exp is halved before its series"""
SERIES = {"float32": (9, 4), "float64": (14, 7)}
"""terms of the series of expm1 on |r| < 0.012, and up to which they are summed twofold: the rest is below 2^-p"""
LOG_PARTS = {"float32": 11, "float64": 32}
"""digits of the leading parts of ln 2, so that their products with the exponent are exact"""
SQRT_HALF = 0.7071067811865476
SMALL = 0.25
"""below, the hyperbolic functions use their series; above, the exponential"""


def name_of(a: Twofold) -> str:
    """Name of the dtype."""
    return np.dtype(a.hi.dtype).name


def horner(r: Twofold, coefficients: list[Fraction], twofold_terms: int) -> Twofold:
    """``sum_n c_n r^n``; terms from `twofold_terms` on are summed in plain arithmetic."""
    tail = jnp.zeros_like(r.hi)
    for c in reversed(coefficients[twofold_terms:]):
        tail = tail * r.hi + np.dtype(r.hi.dtype).type(float(c))
    total = exact(tail)
    for c in reversed(coefficients[:twofold_terms]):
        total = large_plus(constant(c, r.hi), mul(r, total))
    return total


def factorials(count: int, step: int = 1, first: int = 0, sign: int = 1) -> list[Fraction]:
    """``sign^k / (first + k step)!`` for k below `count`."""
    out, value = [], Fraction(1)
    for n in range(1, first + 1):
        value /= n
    for k in range(count):
        out.append(value * sign**k)
        for n in range(first + k * step + 1, first + (k + 1) * step + 1):
            value /= n
    return out


def expm1_small(r: Twofold) -> Twofold:
    """``exp r - 1`` for |r| < 0.7, of full relative accuracy."""
    terms, precise = SERIES[name_of(r)]
    halvings = HALVINGS[name_of(r)]
    h = scale(r, 0.5**halvings)
    u = mul(h, horner(h, factorials(terms, first=1), precise))
    for _ in range(halvings):
        u = large_plus(scale(u, 2.0), mul(u, u))
    return u


def reduced(a: Twofold, reach: float | None = None) -> tuple[Any, Twofold]:
    """Integer k and r with ``a = k ln 2 + r``, |r| < 0.35, for |a| up to `reach`: by default, where exp is finite."""
    fmt = format_of(a.hi)
    # Beyond, exp leaves the range of the dtype; the bound keeps k in integers.
    reach = 2.0 * (fmt.largest + fmt.digits) if reach is None else reach
    h = jnp.clip(a.hi, -reach, reach)
    lo = jnp.where(h == a.hi, a.lo, jnp.zeros_like(a.lo))
    k = jnp.round(h * np.dtype(h.dtype).type(1.0 / float(LN2)))
    first, second, third, last = digits_of(LN2, h.dtype, 4, LOG_PARTS[name_of(a)])
    r = two_sum(h, -(k * first))
    r = add(r, exact(-(k * second)))
    r = add(r, exact(-(k * third)))
    r = add(r, two_product(-k, jnp.full_like(h, last)))
    # Where k = 0 this is the argument itself, its lower part untouched.
    return k.astype(jnp.int32), add(r, exact(lo))


def exp(a: Twofold) -> Twofold:
    """``exp a``."""
    k, r = reduced(a)
    return grown(times_power(large_plus(unit(a.hi), expm1_small(r)), k), jnp.exp(a.hi))


def grown(value: Twofold, plain: Any) -> Twofold:
    """The value of a function that is defined everywhere; undefined where its argument is."""
    return finished(choose(jnp.isnan(plain), exact(plain), value), plain)


def expm1(a: Twofold) -> Twofold:
    """``exp a - 1``."""
    k, r = reduced(a)
    u = expm1_small(r)
    one = unit(a.hi)
    large = sub(times_power(large_plus(one, u), k), one)
    return grown(choose(k == 0, u, large), jnp.expm1(a.hi))


def log1p_small(d: Twofold) -> Twofold:
    """``log(1 + d)`` for -0.3 < d < 0.45, of full relative accuracy."""
    y = lax.optimization_barrier(jnp.log1p(d.hi))
    # Zero and the smallest numbers are their own logarithm here.
    e = expm1_small(exact(-y))
    z = add(add(d, e), mul(d, e))
    third = np.dtype(y.dtype).type(1.0 / 3.0)
    return large_plus(exact(y), large_plus(z, exact(-z.hi * z.hi * (0.5 - z.hi * third))))


def log_parts(a: Twofold) -> tuple[Any, Twofold]:
    """Integer k and log m with ``a = 2^k m``, m between sqrt(1/2) and sqrt 2."""
    k = exponent_of(a.hi)
    m = times_power(a, -k)
    high = m.hi > 2.0 * SQRT_HALF
    m = choose(high, scale(m, 0.5), m)
    m = choose(jnp.isfinite(m.hi) & (m.hi > 0), m, unit(m.hi))
    return k + high.astype(k.dtype), log1p_small(sub(m, unit(m.hi)))


def log(a: Twofold) -> Twofold:
    """``log a``."""
    k, part = log_parts(a)
    whole = k.astype(a.hi.dtype)
    first, second, third, last = digits_of(LN2, a.hi.dtype, 4, LOG_PARTS[name_of(a)])
    value = add(exact(whole * first), exact(whole * second))
    rest = add(exact(whole * third), two_product(whole, jnp.full_like(whole, last)))
    value = add(value, add(rest, part))
    # k = 0 adds zeros, so that log(1 + d) keeps the relative accuracy of d.
    return defined(value, jnp.log(a.hi))


def log1p(a: Twofold) -> Twofold:
    """``log(1 + a)``."""
    inside = (a.hi > -SMALL) & (a.hi < SMALL)
    small = log1p_small(choose(inside, a, exact(jnp.zeros_like(a.hi))))
    large = log(add(unit(a.hi), a))
    return defined(choose(inside, small, large), jnp.log1p(a.hi))


def exp2(a: Twofold) -> Twofold:
    """``2^a``."""
    return exp(guarded_mul(a, constant(LN2, a.hi)))


def log_over(base: Fraction):
    """Function ``log a / log base``; `base` is the natural logarithm of the base."""
    return lambda a: defined(div(log(a), constant(base, a.hi)), jnp.log(a.hi))


def power(a: Twofold, b: Twofold) -> Twofold:
    """``a^b``: ``exp(b log |a|)``, with the sign and the exceptions of the program's own power."""
    plain = jnp.power(a.hi, b.hi)
    value = exp(guarded_mul(b, log(absolute(a))))
    negative = (a.hi < 0) & (plain < 0)
    value = choose(negative, neg(value), value)
    special = (a.hi == 0) | ~jnp.isfinite(a.hi) | ~jnp.isfinite(b.hi) | jnp.isnan(plain)
    return choose(special, exact(plain), value)


def whole_power(a: Twofold, n: int) -> Twofold:
    """``a^n`` by squarings."""
    if n < 0:
        return reciprocal(whole_power(a, -n))
    out, factor = unit(a.hi), a
    started = False
    while n:
        if n & 1:
            out = guarded_mul(out, factor) if started else factor
            started = True
        n >>= 1
        if n:
            factor = guarded_mul(factor, factor)
    return out


def cbrt(a: Twofold) -> Twofold:
    """``a^(1/3)``, by one step of Newton's method."""
    root = lax.optimization_barrier(jnp.cbrt(a.hi))
    guess = exact(root)
    rest = sub(a, mul(mul(guess, guess), guess))
    usable = (root != 0) & jnp.isfinite(root)
    step = jnp.where(usable, rest.hi / (3.0 * root * root), jnp.zeros_like(root))
    # The seed may be several units off, so that the second-order term counts: -(step^2) / root.
    step = step - jnp.where(usable, step * step / root, jnp.zeros_like(root))
    return finished(choose(usable, fast_two_sum(root, step), guess), root)


def logistic(a: Twofold) -> Twofold:
    """``1 / (1 + exp(-a))``, from the side that does not overflow."""
    one = unit(a.hi)
    small = exp(neg(absolute(a)))
    below = add(one, small)
    return grown(choose(a.hi < 0, div(small, below), div(one, below)), a.hi)


def half_exponentials(a: Twofold) -> tuple[Twofold, Twofold]:
    """``exp|a| / 2`` without early overflow, and ``exp(-|a|) / 2``."""
    size = absolute(a)
    root = exp(scale(size, 0.5))
    return guarded_mul(scale(root, 0.5), root), scale(exp(neg(size)), 0.5)


def signed(a: Twofold, value: Twofold) -> Twofold:
    """`value` with the sign of a."""
    return choose(a.hi < 0, neg(value), value)


def asinh(a: Twofold) -> Twofold:
    """``sign(a) log1p(|a| + a² / (1 + sqrt(1 + a²)))``; ``log(2 |a|)`` where the square leaves the range."""
    one, size = unit(a.hi), absolute(a)
    large = size.hi > 2.0 ** (format_of(a.hi).largest // 4)
    inside = choose(large, one, size)
    squared = mul(inside, inside)
    value = log1p(add(inside, div(squared, add(one, sqrt(add(one, squared))))))
    value = choose(large, add(log(size), constant(LN2, a.hi)), value)
    return grown(signed(a, choose(size.hi > 0, value, size)), jnp.arcsinh(a.hi))


def acosh(a: Twofold) -> Twofold:
    """``log1p(t + sqrt(t (t + 2)))`` with t = a - 1."""
    one = unit(a.hi)
    large = a.hi > 2.0 ** (format_of(a.hi).largest // 4)
    t = sub(choose(large, one, a), one)
    product = mul(t, add(t, scale(one, 2.0)))
    root = choose(product.hi > 0, sqrt(product), exact(jnp.zeros_like(a.hi)))
    value = choose(large, add(log(a), constant(LN2, a.hi)), log1p(add(t, root)))
    return defined(value, jnp.arccosh(a.hi))


def atanh(a: Twofold) -> Twofold:
    """``sign(a) log1p(2 |a| / (1 - |a|)) / 2``."""
    size = absolute(a)
    value = scale(log1p(div(scale(size, 2.0), sub(unit(a.hi), size))), 0.5)
    return defined(signed(a, value), jnp.arctanh(a.hi))
