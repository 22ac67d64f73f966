"""Twofold numbers: sums and products are exact, functions have twice the digits, what cancels survives."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb, ctx

from karush.arithmetic import twofold_exp, twofold_numbers, twofold_waves
from karush.arithmetic.twofold_numbers import Twofold
from karush.core.precision import float64

DTYPES = (np.float32, np.float64)
DIGITS = {np.float32: 24, np.float64: 53}
POINTS = 100_000
FEW = 300
SLACK = 4.0
"""bits above 2^-2p that one operation may lose: measured at most 2.0 for arithmetic, 2.5 for functions"""

COMPILED: dict[object, object] = {}


def compiled(name, function, *arguments):
    """Result of the jitted function, compiled once per name."""
    if name not in COMPILED:
        COMPILED[name] = jax.jit(function)
    return COMPILED[name](*arguments)


def patterns(dtype, count, seed):
    """Floats by bit pattern, finite and normal."""
    rng = np.random.default_rng(seed)
    bits = np.uint32 if dtype is np.float32 else np.uint64
    x = rng.integers(0, np.iinfo(bits).max, count, dtype=bits, endpoint=True).view(dtype)
    return np.where(np.isfinite(x) & (np.abs(x) >= np.finfo(dtype).tiny), x, dtype(1.5))


def moderate(dtype, count, seed, span=20.0):
    """Floats between 2^-span and 2^span with both signs."""
    rng = np.random.default_rng(seed)
    return (rng.choice([-1.0, 1.0], count) * np.exp2(rng.uniform(-span, span, count))).astype(dtype)


def twofold_numbers_near(hi, seed):
    """Twofold numbers with these upper parts; the gap to the lower ones varies."""
    rng = np.random.default_rng(seed)
    gap = np.exp2(-DIGITS[hi.dtype.type] - 1.0 - rng.choice([0.0, 0.0, 3.0, 20.0], hi.size))
    return Twofold(jnp.asarray(hi), jnp.asarray((hi * rng.uniform(-1.0, 1.0, hi.size) * gap).astype(hi.dtype)))


def exact(x):
    return Fraction(float(x))


def values(a):
    return [exact(hi) + exact(lo) for hi, lo in zip(np.asarray(a.hi), np.asarray(a.lo), strict=True)]


def ways(function):
    """The function as XLA may compile it."""
    return {
        "jit": jax.jit(function),
        "vmap": jax.jit(jax.vmap(function)),
        "loop": jax.jit(lambda *a: jax.lax.fori_loop(0, 2, lambda i, c: function(*a), function(*a))),
    }


def same_bits(a, b):
    return all(np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_sum_is_exact_however_xla_compiles_it(dtype):
    with float64():
        a = patterns(dtype, POINTS, 1)
        b = patterns(dtype, POINTS, 2)
        # Half of the pairs near enough that both digits matter.
        with np.errstate(over="ignore"):
            b[::2] = a[::2] * moderate(dtype, POINTS // 2, 3, 30.0)
        b = np.where(np.isfinite(b), b, dtype(1.0))
        results = {name: run(a, b) for name, run in ways(twofold_numbers.two_sum).items()}
        s, e = (np.asarray(x) for x in results["jit"])
        usable = np.isfinite(s) & (np.minimum(np.abs(a), np.abs(b)) > np.finfo(dtype).tiny * 2.0 ** DIGITS[dtype])
        assert usable.mean() > 0.5
        wrong = [i for i in np.flatnonzero(usable) if exact(a[i]) + exact(b[i]) != exact(s[i]) + exact(e[i])]
        assert not wrong
        assert all(same_bits(result, results["jit"]) for result in results.values())


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_product_is_exact_however_xla_compiles_it(dtype):
    with float64():
        a, b = patterns(dtype, POINTS, 4), patterns(dtype, POINTS, 5)
        results = {name: run(a, b) for name, run in ways(twofold_numbers.two_product).items()}
        p, e = (np.asarray(x) for x in results["jit"])
        info, room = np.finfo(dtype), 2.0 ** (2 * DIGITS[dtype])
        # No partial product below the normal numbers, no upper half rounded beyond the largest one.
        usable = np.isfinite(p) & (np.abs(p) > info.tiny * room)
        usable &= np.minimum(np.abs(a), np.abs(b)) > info.tiny * room
        usable &= np.maximum(np.abs(a), np.abs(b)) < info.max / 2
        assert usable.mean() > 0.15
        wrong = [i for i in np.flatnonzero(usable) if exact(a[i]) * exact(b[i]) != exact(p[i]) + exact(e[i])]
        assert not wrong
        assert all(same_bits(result, results["jit"]) for result in results.values())


SUMS = {
    "a + b": (twofold_numbers.add, lambda x, y: x + y),
    "a b": (twofold_numbers.mul, lambda x, y: x * y),
    "a a": (lambda a, b: twofold_numbers.mul(a, a), lambda x, y: x * x),
    "a / b": (twofold_numbers.div, lambda x, y: x / y),
    # A product that is used in a sum may be fused into it.
    "a b + a": (lambda a, b: twofold_numbers.add(twofold_numbers.mul(a, b), a), lambda x, y: x * y + x),
    "a b - a a": (
        lambda a, b: twofold_numbers.sub(twofold_numbers.mul(a, b), twofold_numbers.mul(a, a)),
        lambda x, y: x * y - x * x,
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SUMS)
def test_arithmetic_keeps_twice_the_digits_of_its_terms(dtype, name):
    function, truth = SUMS[name]
    with float64():
        a = twofold_numbers_near(moderate(dtype, 4000, 6), 7)
        b = twofold_numbers_near(moderate(dtype, 4000, 8), 9)
        for way, run in ways(function).items():
            result = values(run(a, b))
            for x, y, got in zip(values(a), values(b), result, strict=True):
                size = max(abs(truth(x, y)), abs(x), abs(x * y) if "b" in name and " / " not in name else 0)
                if name == "a / b":
                    size = abs(x / y)
                assert abs(got - truth(x, y)) <= size * Fraction(2.0 ** (SLACK - 2 * DIGITS[dtype])), way


def spread(low, high, signed=True):
    def make(dtype, rng, count):
        x = np.exp2(rng.uniform(low, high, count))
        return (x * (rng.choice([-1.0, 1.0], count) if signed else 1.0)).astype(dtype)

    return make


def beside_one(low, high):
    def make(dtype, rng, count):
        return (1.0 + np.exp2(rng.uniform(low, high, count)) * rng.choice([-1.0, 1.0], count)).astype(dtype)

    return make


FUNCTIONS = {
    "exp": (twofold_exp.exp, arb.exp, spread(-30, 5.3)),
    "expm1": (twofold_exp.expm1, arb.expm1, spread(-30, 5.3)),
    "log": (twofold_exp.log, arb.log, spread(-90, 100, signed=False)),
    "log beside 1": (twofold_exp.log, arb.log, beside_one(-20, -1)),
    "log1p": (twofold_exp.log1p, arb.log1p, spread(-30, -0.1)),
    "sqrt": (twofold_numbers.sqrt, arb.sqrt, spread(-60, 100, signed=False)),
    "cbrt": (twofold_exp.cbrt, lambda x: x.root(3) if x > 0 else -(-x).root(3), spread(-60, 60)),
    "sin": (twofold_waves.sin, arb.sin, spread(-30, 12)),
    "cos": (twofold_waves.cos, arb.cos, spread(-30, 12)),
    "tan": (twofold_waves.tan, arb.tan, spread(-30, 12)),
    "sinh": (twofold_waves.sinh, arb.sinh, spread(-30, 5.3)),
    "cosh": (twofold_waves.cosh, arb.cosh, spread(-30, 5.3)),
    "tanh": (twofold_waves.tanh, arb.tanh, spread(-30, 5.3)),
    "asin": (twofold_waves.asin, arb.asin, spread(-30, -0.01)),
    "acos": (twofold_waves.acos, arb.acos, spread(-30, -0.01)),
    "atan": (twofold_waves.atan, arb.atan, spread(-30, 60)),
    "asinh": (twofold_exp.asinh, arb.asinh, spread(-30, 100)),
    "acosh": (twofold_exp.acosh, arb.acosh, spread(0.01, 100, signed=False)),
    "atanh": (twofold_exp.atanh, arb.atanh, spread(-30, -0.01)),
    "logistic": (twofold_exp.logistic, lambda x: 1 / (1 + (-x).exp()), spread(-30, 5.3)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_twice_the_digits(dtype, name):
    function, truth, make = FUNCTIONS[name]
    digits = DIGITS[dtype]
    with float64(), ctx.workprec(400):
        hi = make(dtype, np.random.default_rng(10), FEW)
        a = twofold_numbers_near(hi, 11)
        got = compiled((name, dtype), function, a)
        for x, lo, y, z in zip(hi, np.asarray(a.lo), *map(np.asarray, got), strict=True):
            expected = truth(arb(float(x)) + arb(float(lo)))
            error = float(abs(arb(float(y)) + arb(float(z)) - expected).upper())
            # A lower part below the normal numbers is lost.
            lost = float(np.finfo(dtype).tiny)
            assert error <= float(abs(expected).upper()) * 2.0 ** (SLACK - 2 * digits) + lost, (x, lo)


EXPONENTIALS = {"exp", "expm1", "log", "log1p", "cbrt", "asinh", "acosh", "atanh"}
SPECIAL = (0.0, 1.0, -1.0, 2.0, -2.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 700.0, -800.0)


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "cbrt", "sin", "cos", "tan", "sinh", "cosh", "tanh",
                                  "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh", "sqrt"])  # fmt: skip
@pytest.mark.parametrize("dtype", DTYPES)
def test_at_the_edge_of_a_domain_the_program_itself_decides(dtype, name):
    own = name.replace("arc", "a")
    module = twofold_numbers if own == "sqrt" else twofold_exp if own in EXPONENTIALS else twofold_waves
    with float64():
        x = np.array(SPECIAL, dtype)
        got = compiled((own, "edge", dtype), vars(module)[own], twofold_numbers.exact(jnp.asarray(x)))
        plain = np.asarray(jax.jit(getattr(jnp, name))(x))
        hi, lo = np.asarray(got.hi), np.asarray(got.lo)
        np.testing.assert_array_equal(np.isnan(hi), np.isnan(plain))
        np.testing.assert_array_equal(np.isinf(hi), np.isinf(plain))
        assert np.all(lo[~np.isfinite(hi)] == 0.0)
        close = np.isfinite(plain)
        # XLA's own functions err by up to 500 units in the last place.
        np.testing.assert_allclose(hi[close], plain[close], rtol=512 * np.finfo(dtype).eps, atol=0.0)
