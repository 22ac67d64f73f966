"""Accuracy of the stable functions beside JAX's own, in value and gradient, against Arb.

``python -m benchmarks.numerics [NAME ...]`` writes benchmarks/results/numerics.md and .json. Points are drawn by bit
pattern, so every power of two is as likely as any other; vectors also around a common offset. Only points whose exact
answer is finite and normal count. Where JAX has no such function, the formula as people write it stands for it.
*Beyond conditioning* is ``log2((error + 1)/(change + 1))``, both in ulps, change being what half an ulp of change of
every input does: the measure of `karush.audit`, which calls 4 bits safe.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flint import arb

from benchmarks import numerics_truth as truth
from karush import numerics

RESULTS = Path(__file__).parent / "results"
POINTS = 400
LENGTH = 6
"""of the vectors"""
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
Sampler = Callable[[np.random.Generator, np.dtype, int], np.ndarray]


def bits(low: float, high: float, size: int = 1) -> Sampler:
    """Floats of [low, high], uniform in their bit patterns."""

    def sample(rng: np.random.Generator, dtype: np.dtype, n: int) -> np.ndarray:
        info = np.finfo(dtype)
        integer = np.int32 if dtype.itemsize == 4 else np.int64
        ends = []
        for end in (low, high):
            clipped = np.array(np.clip(end, info.min, info.max), dtype)
            pattern = int(np.abs(clipped).view(integer))
            ends.append(-pattern if clipped < 0 else pattern)
        keys = rng.integers(ends[0], ends[1], (n, size), endpoint=True)
        drawn = np.where(keys < 0, -1, 1).astype(dtype) * np.abs(keys).astype(integer).view(dtype)
        return np.where(np.abs(drawn) < info.tiny, np.array(info.tiny, dtype), drawn)

    return sample


def logits(size: int) -> Sampler:
    """Normal numbers times a power of two, half of the rows around a common offset."""

    def sample(rng: np.random.Generator, dtype: np.dtype, n: int) -> np.ndarray:
        drawn = rng.standard_normal((n, size)) * 2.0 ** rng.uniform(-8.0, 5.5, (n, 1))
        return (drawn + rng.choice([0.0, 0.0, 30.0, -1000.0], (n, 1))).astype(dtype)

    return sample


def near(sampler: Sampler) -> Sampler:
    """Two vectors that differ by a relative 1e-6 … 1."""

    def sample(rng: np.random.Generator, dtype: np.dtype, n: int) -> np.ndarray:
        first = sampler(rng, dtype, n)
        change = rng.standard_normal(first.shape) * 10.0 ** rng.uniform(-6.0, 0.0, (n, 1))
        info = np.finfo(dtype)
        second = np.clip(first * (1.0 + change), info.min, info.max).astype(dtype)
        return np.concatenate([first, np.where(np.abs(second) < info.tiny, first, second)], axis=1)

    return sample


def beside(*samplers: Sampler) -> Sampler:
    """Arguments of different kinds."""
    return lambda rng, dtype, n: np.concatenate([sampler(rng, dtype, n) for sampler in samplers], axis=1)


class Case(NamedTuple):
    karush: Callable[[Any], Any]
    jax: Callable[[Any], Any]
    peer: str
    formula: truth.Formula
    sample: Sampler


def one(f: Callable[..., Any]) -> Callable[[Any], Any]:
    """A function of scalars as one of a vector."""
    return lambda v: f(*v)


def halves(f: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda v: f(v[: v.shape[0] // 2], v[v.shape[0] // 2 :])


def first(f: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda v: f(v)[0]


def cosine(sample: Sampler) -> Case:
    """``cosine_similarity`` of the two halves of the points."""
    naive = halves(lambda a, b: a @ b / (jnp.linalg.norm(a) * jnp.linalg.norm(b)))
    return Case(halves(numerics.cosine_similarity), naive, "xy/(norm norm)", truth.cosine, sample)


WIDE = bits(-3e38, 3e38)
ALL = bits(-1e308, 1e308)
POSITIVE = bits(0.0, 1e308)
ROWS = logits(LENGTH)
nn, special = jax.nn, jax.scipy.special
CASES: dict[str, Case] = {
    "expm1": Case(one(numerics.expm1), one(jnp.expm1), "jnp.expm1", lambda x: x[0].exp() - 1, bits(-800.0, 800.0)),
    "exprel": Case(
        one(numerics.exprel),
        one(lambda x: jnp.expm1(x) / x),
        "expm1(x)/x",
        lambda x: (x[0].exp() - 1) / x[0],
        bits(-800.0, 800.0),
    ),
    "powm1": Case(
        one(numerics.powm1),
        one(lambda x, y: x**y - 1.0),
        "x**y - 1",
        lambda x: (x[1] * x[0].log()).exp() - 1,
        beside(bits(0.0, 1e30), bits(-100.0, 100.0)),
    ),
    "sigmoid": Case(one(numerics.sigmoid), one(nn.sigmoid), "jax.nn", lambda x: truth.sigmoid(x[0]), ALL),
    "tanh": Case(one(numerics.tanh), one(jnp.tanh), "jnp.tanh", lambda x: truth.tanh(x[0]), ALL),
    "log1p": Case(one(numerics.log1p), one(jnp.log1p), "jnp.log1p", lambda x: (1 + x[0]).log(), bits(-0.99999, 1e308)),
    "log1pmx": Case(
        one(numerics.log1pmx),
        one(lambda x: jnp.log1p(x) - x),
        "log1p(x) - x",
        lambda x: (1 + x[0]).log() - x[0],
        bits(-0.99999, 1e308),
    ),
    "log1mexp": Case(one(numerics.log1mexp), one(nn.log1mexp), "jax.nn", lambda x: (1 - (-x[0]).exp()).log(), POSITIVE),
    "logaddexp": Case(one(numerics.logaddexp), one(jnp.logaddexp), "jnp.logaddexp", truth.logsumexp, near(ALL)),
    "log_sub_exp": Case(
        lambda v: numerics.log_sub_exp(jnp.max(v), jnp.min(v)),
        lambda v: jnp.max(v) + jnp.log1p(-jnp.exp(jnp.min(v) - jnp.max(v))),
        "a + log1p(-exp(b-a))",
        lambda x: truth.largest(x) + (1 - (min(x, key=truth.value) - truth.largest(x)).exp()).log(),
        near(bits(-1e3, 1e3)),
    ),
    "softplus": Case(one(numerics.softplus), one(nn.softplus), "jax.nn", lambda x: truth.softplus(x[0]), ALL),
    "log_sigmoid": Case(
        one(numerics.log_sigmoid), one(nn.log_sigmoid), "jax.nn", lambda x: -truth.softplus(-x[0]), ALL
    ),
    "logcosh": Case(
        one(numerics.logcosh),
        one(lambda x: jnp.logaddexp(x, -x) - jnp.log(2.0)),
        "logaddexp(x,-x) - log 2",
        lambda x: truth.logcosh(x[0]),
        ALL,
    ),
    "log_ndtr": Case(
        one(numerics.log_ndtr), one(special.log_ndtr), "jax.scipy", lambda x: truth.log_ndtr(x[0]), bits(-1e4, 40.0)
    ),
    "xlogx": Case(
        one(numerics.xlogx), one(lambda x: special.xlogy(x, x)), "jax.scipy", lambda x: x[0] * x[0].log(), POSITIVE
    ),
    "xlogy": Case(
        one(numerics.xlogy), one(special.xlogy), "jax.scipy", lambda x: x[0] * x[1].log(), beside(WIDE, POSITIVE)
    ),
    "cosm1": Case(
        one(numerics.cosm1), one(lambda x: jnp.cos(x) - 1.0), "cos(x) - 1", lambda x: x[0].cos() - 1, bits(-1e6, 1e6)
    ),
    "sinc": Case(one(numerics.sinc), one(jnp.sinc), "jnp.sinc", lambda x: truth.sinc(x[0]), bits(-1e6, 1e6)),
    "sqrt1pm1": Case(
        one(numerics.sqrt1pm1),
        one(lambda x: jnp.sqrt(1.0 + x) - 1.0),
        "sqrt(1+x) - 1",
        lambda x: (1 + x[0]).sqrt() - 1,
        bits(-0.99999, 1e308),
    ),
    "quadratic_roots": Case(
        lambda v: numerics.quadratic_roots(*v)[0],
        lambda v: jnp.minimum(
            (-v[1] - jnp.sqrt(v[1] ** 2 - 4 * v[0] * v[2])) / (2 * v[0]),
            (-v[1] + jnp.sqrt(v[1] ** 2 - 4 * v[0] * v[2])) / (2 * v[0]),
        ),
        "(-b ± sqrt(b²-4ac))/2a",
        truth.smaller_root,
        bits(-1e30, 1e30, 3),
    ),
    "softmax": Case(first(numerics.softmax), first(nn.softmax), "jax.nn", lambda x: truth.softmax(x)[0], ROWS),
    "log_softmax": Case(
        first(numerics.log_softmax), first(nn.log_softmax), "jax.nn", lambda x: truth.log_softmax(x)[0], ROWS
    ),
    "logsumexp": Case(numerics.logsumexp, nn.logsumexp, "jax.nn", truth.logsumexp, ROWS),
    "log_mean_exp": Case(
        numerics.log_mean_exp,
        lambda v: nn.logsumexp(v) - jnp.log(v.size),
        "logsumexp - log n",
        lambda x: truth.logsumexp(x) - arb(LENGTH).log(),
        ROWS,
    ),
    "entropy": Case(
        numerics.entropy, lambda v: -jnp.sum(nn.softmax(v) * nn.log_softmax(v)), "-sum p log p", truth.entropy, ROWS
    ),
    "kl_divergence": Case(
        halves(numerics.kl_divergence),
        halves(lambda a, b: jnp.sum(nn.softmax(a) * (nn.log_softmax(a) - nn.log_softmax(b)))),
        "sum p (log p - log q)",
        truth.kl,
        near(ROWS),
    ),
    "binary_cross_entropy": Case(
        one(numerics.binary_cross_entropy),
        one(lambda x, y: nn.softplus(x) - x * y),
        "softplus(x) - x y",
        truth.bce,
        beside(bits(-1e3, 1e3), lambda rng, dtype, n: rng.choice([0.0, 0.25, 1.0], (n, 1)).astype(dtype)),
    ),
    "cross_entropy": Case(
        lambda v: numerics.cross_entropy(v, 1),
        lambda v: -nn.log_softmax(v)[1],
        "-log_softmax[k]",
        lambda x: -truth.log_softmax(x)[1],
        ROWS,
    ),
    "norm": Case(numerics.norm, jnp.linalg.norm, "jnp.linalg", truth.norm, bits(-1e308, 1e308, LENGTH)),
    "hypot": Case(one(numerics.hypot), one(jnp.hypot), "jnp.hypot", truth.norm, near(ALL)),
    "unit_vector": Case(
        first(numerics.unit_vector),
        first(lambda v: v / jnp.linalg.norm(v)),
        "x/norm(x)",
        lambda x: x[0] / truth.norm(x),
        near(bits(-1e308, 1e308, 3)),
    ),
    "cosine_similarity, bit patterns": cosine(near(bits(-1e30, 1e30, 3))),
    "cosine_similarity": cosine(near(ROWS)),
    "squared_distances": Case(
        halves(lambda a, b: numerics.squared_distances(a[None], b[None])[0, 0]),
        halves(lambda a, b: a @ a + b @ b - 2.0 * (a @ b)),
        "xx + yy - 2xy",
        truth.squared_distance,
        near(bits(-1e10, 1e10, LENGTH)),
    ),
    "variance": Case(numerics.variance, jnp.var, "jnp.var", truth.variance, ROWS),
    "standardize": Case(
        first(numerics.standardize),
        first(partial(nn.standardize, epsilon=0.0)),
        "jax.nn, epsilon=0",
        truth.standardize,
        ROWS,
    ),
    "compensated_sum": Case(
        numerics.compensated_sum, jnp.sum, "jnp.sum", lambda x: sum(x, start=arb(0)), bits(-1e20, 1e20, 12)
    ),
    "compensated_dot": Case(
        halves(numerics.compensated_dot), halves(jnp.dot), "jnp.dot", truth.dot, bits(-1e12, 1e12, 12)
    ),
}


class Errors(NamedTuple):
    """Errors in ulps at the points whose exact answer is finite and normal; ∞ for a NaN or an infinity."""

    ulps: np.ndarray
    points: np.ndarray
    beyond: float = 0.0
    """largest number of bits beyond the conditioning"""

    @property
    def mean_bits(self) -> float:
        """NaN, ∞ and whatever is further off than all digits count as all digits."""
        return float(np.mean(np.minimum(np.log2(1.0 + self.ulps), ALL_DIGITS[self.points.dtype])))

    @property
    def largest(self) -> float:
        return float(self.ulps.max())

    @property
    def within(self) -> float:
        """share of the points within 2 ulps"""
        return float(np.mean(self.ulps <= 2.0))


ALL_DIGITS = {dtype: np.finfo(dtype).bits for dtype in DTYPES}


def ulps(got: np.ndarray, exact: list[arb]) -> np.ndarray:
    """|got − exact| in units of the last place of the exact number; NaN where that is not finite and normal."""
    info = np.finfo(got.dtype)
    errors = np.full(len(exact), np.nan)
    for i, (g, e) in enumerate(zip(got, exact)):
        size = abs(float(e.mid())) if e.is_finite() else np.inf
        if not float(info.tiny) <= size <= float(info.max):
            continue
        if not np.isfinite(g):
            errors[i] = np.inf
            continue
        ulp = arb(2) ** int(np.frexp(size)[1] - info.nmant - 1)
        errors[i] = abs(float((arb(float(g)) - e).mid() / ulp.mid()))
    return errors


LOOKED_AT = 4.0
"""ulps up to which an error is not held against the conditioning: it is below the bits that count anyway"""


def beyond(case: Case, point: np.ndarray, exact: list[arb], errors: np.ndarray) -> np.ndarray:
    """Bits of the errors in ulps, of value and partial derivatives at one point, beyond the conditioning."""
    bits = np.log2(1.0 + np.where(np.isnan(errors), 0.0, errors))
    if np.nanmax(np.append(errors, 0.0)) > LOOKED_AT:
        info = np.finfo(point.dtype)
        for i, (e, c) in enumerate(zip(exact, truth.conditioning(case.formula, point, exact), strict=True)):
            if errors[i] > LOOKED_AT:
                ulp = arb(2) ** int(np.frexp(abs(float(e.mid())))[1] - info.nmant - 1)
                bits[i] -= np.log2(1.0 + float((c / ulp).mid()))
    return np.minimum(bits, ALL_DIGITS[point.dtype])


def exact_at(case: Case, points: np.ndarray) -> list[list[arb]]:
    """Value and partial derivatives at every point."""
    return [truth.gradient(case.formula, point) for point in points]


def compare(
    f: Callable[[Any], Any], points: np.ndarray, exact: list[list[arb]], case: Case | None = None
) -> dict[str, Errors]:
    """Errors of a function in value and gradient, as it runs under jit and vmap in the dtype of the points.

    With a case the errors are held against its conditioning too.
    """
    with jax.enable_x64(points.dtype.itemsize == 8):
        values, slopes = jax.jit(jax.vmap(jax.value_and_grad(f)))(jnp.asarray(points))
        got = np.concatenate([np.asarray(values)[:, None], np.asarray(slopes)], axis=1)
    if got.dtype != points.dtype:
        raise TypeError(f"{points.dtype} became {got.dtype}")
    errors = np.stack([ulps(got[:, k], [e[k] for e in exact]) for k in range(got.shape[1])], axis=1)
    bits = np.zeros_like(errors)
    if case is not None:
        bits = np.stack([beyond(case, *row) for row in zip(points, exact, errors, strict=True)])
    found = {}
    for part, columns in (("value", slice(0, 1)), ("gradient", slice(1, None))):
        block = errors[:, columns]
        counted = ~np.isnan(block)
        rows = np.repeat(points[:, None, :], block.shape[1], axis=1)
        found[part] = Errors(block[counted], rows[counted], float(bits[:, columns].max()))
    return found


def measure(case: Case, dtype: np.dtype, n: int = POINTS, seed: int = 0) -> dict[str, Errors]:
    """Errors of karush and of JAX, each in value and gradient."""
    points = case.sample(np.random.default_rng(seed), dtype, n)
    exact = exact_at(case, points)
    both = (("karush", case.karush, case), ("jax", case.jax, None))
    return {f"{who} {part}": e for who, f, held in both for part, e in compare(f, points, exact, held).items()}


def shown(errors: Errors) -> str:
    """``largest error (mean bits)``"""
    largest = errors.largest
    text = f"{largest:.1f}" if largest < 100 else f"{largest:.0e}".replace("e+0", "e").replace("e+", "e")
    return f"{text} ({errors.mean_bits:.2f})"


HEADER = """Largest error in ulps (in brackets the mean bits of error, NaN and infinity = all bits) over {n} points per
function, against Arb. Derivatives: every entry of the gradient. Beyond: the largest error of karush, in bits
beyond what half an ulp of change of every input does.

| function | dtype | value: karush | beyond | value: JAX | gradient: karush | beyond | gradient: JAX | JAX means |
|---|---|---|---|---|---|---|---|---|
"""


def main(names: list[str]) -> None:
    rows, record = [], {}
    for name in names or CASES:
        for dtype in DTYPES:
            found = measure(CASES[name], dtype)
            cells = []
            for part in ("value", "gradient"):
                ours = found[f"karush {part}"]
                cells += [shown(ours), f"{ours.beyond:.1f}", shown(found[f"jax {part}"])]
            rows.append(f"| {name} | {dtype.name} | " + " | ".join(cells) + f" | `{CASES[name].peer}` |")
            print(rows[-1], flush=True)
            record[f"{name} {dtype.name}"] = {
                key: {
                    "largest_ulps": e.largest,
                    "mean_bits": e.mean_bits,
                    "within_2_ulps": e.within,
                    "points": e.ulps.size,
                }
                | ({"bits_beyond_conditioning": e.beyond} if key.startswith("karush") else {})
                for key, e in found.items()
            }
    if not names:
        (RESULTS / "numerics.md").write_text(HEADER.format(n=POINTS) + "\n".join(rows) + "\n", encoding="utf-8")
        (RESULTS / "numerics.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
