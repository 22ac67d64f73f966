"""Rules broken on purpose, one at a time: how many do the targeted checks catch?

    python -m benchmarks.mutations

A mutant is a rule whose result is changed the way a mistake would: a margin dropped at one end, ends swapped, one end
used twice, the wrong sign, a relative error of 1e-9, ends taken as if the function fell, the flag of the domain
dropped. It is caught if the check of that rule, which the sound rule passes, finds a true value outside: at points,
on thin and wide intervals, against Arb.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flint import arb, ctx
from jax import lax

from karush.arithmetic.ball import RULES as BALL_RULES
from karush.arithmetic.ball import BallProgram
from karush.arithmetic.interval_arrays import total
from karush.arithmetic.interval_basics import add, div, maximum, minimum, mul, sub, whole_power
from karush.arithmetic.interval_calibration import RANGES, points, truth
from karush.arithmetic.interval_functions import UNARY, power
from karush.arithmetic.interval_numbers import EPS, FLUSHED, Interval
from karush.arithmetic.interval_slopes import SLOPES
from karush.arithmetic.interval_special import UNARY as SPECIAL
from karush.arithmetic.interval_special import atan2, rem
from karush.core.precision import float64
from karush.jaxprs.primal import primal

FOLDER = Path(__file__).parent / "results"
COUNT = 300
PRECISION = 256
ARB = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "max": arb.max,
    "min": arb.min,
    "pow": lambda a, b: a**b,
    "atan2": arb.atan2,
    "rem": lambda a, b: a - b * ((a / b).floor() if a / b >= 0 else (a / b).ceil()),
}
BINARY = {"add": add, "sub": sub, "mul": mul, "div": div, "max": maximum, "min": minimum}
BINARY |= {"pow": power, "atan2": atan2, "rem": rem}
DOMAINS = ("sqrt", "rsqrt", "log", "log1p", "asin", "acos", "acosh", "atanh", "erf_inv", "lgamma", "digamma")
"""functions that are not defined everywhere"""
Ends = tuple[np.ndarray, np.ndarray]
Change = Callable[[Interval, float], Interval]


def _raised(lo: Any, hi: Any, ulps: float) -> Interval:
    """An interval without its lower margin."""
    return Interval(lo + (jnp.abs(lo) * (ulps * EPS) + FLUSHED), hi)


CHANGES: dict[str, Change] = {
    "no margin below": lambda out, ulps: _raised(out.lo, out.hi, ulps),
    "no margin above": lambda out, ulps: Interval(out.lo, -_raised(-out.hi, out.lo, ulps).lo),
    "ends swapped": lambda out, ulps: Interval(out.hi, out.lo),
    "lower end twice": lambda out, ulps: Interval(out.lo, out.lo),
    "upper end twice": lambda out, ulps: Interval(out.hi, out.hi),
    "wrong sign": lambda out, ulps: Interval(-out.hi, -out.lo),
    "off by 1e-9": lambda out, ulps: Interval(out.lo + 1e-9 * jnp.abs(out.lo), out.hi + 1e-9 * jnp.abs(out.hi)),
}
"""name -> what is done to a result; `ulps` is how wide the rule is at a point"""


@dataclass(frozen=True)
class Target:
    """A rule with what decides about it."""

    name: str
    rule: Callable[..., Interval]
    boxes: tuple[Ends, ...]
    """arguments: lower and upper ends (k,)"""
    exact: Callable[..., Any]
    """exact result at numbers"""
    outside: tuple[Ends, ...] | None = None
    """arguments that leave the domain"""

    def sound(self, rule: Callable[..., Interval]) -> bool:
        """Whether no true value lies outside what `rule` says, and what is undefined is said to be."""
        with float64():
            arguments = [Interval(jnp.asarray(lo), jnp.asarray(hi)) for lo, hi in self.boxes]
            out = rule(*arguments)
            lo, hi = np.asarray(out.lo), np.asarray(out.hi)
            if self.outside is not None:
                wild = rule(*[Interval(jnp.asarray(a), jnp.asarray(b)) for a, b in self.outside])
                if wild.ok is None or bool(np.any(np.asarray(wild.ok))):
                    return False
        generator = np.random.default_rng(1)
        picks = [np.zeros(lo.size), np.ones(lo.size), generator.uniform(size=lo.size), generator.uniform(size=lo.size)]
        with ctx.workprec(PRECISION):
            for pick in picks:
                x = [np.clip(a + pick * (b - a), a, b) for a, b in self.boxes]
                x = [np.where(pick == 1.0, b, part) for part, (_, b) in zip(x, self.boxes, strict=True)]
                for k in range(lo.size):
                    value = self.exact(*[float(part[k]) for part in x])
                    below = lo[k] == -math.inf or not value < arb(float(lo[k]))
                    above = hi[k] == math.inf or not value > arb(float(hi[k]))
                    if value.is_finite() and not (below and above):
                        return False
        return True


def _thin_and_wide(x: np.ndarray, low: float, high: float) -> Ends:
    """Points, intervals of some ulps, and wide ones, inside [low, high]."""
    width = np.where(np.arange(x.size) % 3 == 0, 0.0, np.where(np.arange(x.size) % 3 == 1, 1e-14, 0.3))
    upper = np.minimum(x + width * np.abs(x), high)
    return np.maximum(x, low), np.where(upper > x, upper, x)


def unary_targets() -> list[Target]:
    """One per elementary function."""
    found = []
    for name, rule in (UNARY | SPECIAL).items():
        if name not in RANGES:
            continue
        low, high = RANGES[name]
        x = points(name, 4 * COUNT, seed=2)
        x = x[(np.abs(x) > 1e-3) & (np.abs(x) < 600.0)][:COUNT]
        outside = None
        if name in DOMAINS:
            edge = low if math.isfinite(low) else high
            outside = (np.array([edge - 1.0]), np.array([edge + 0.5]))
        found.append(Target(name, rule, (_thin_and_wide(x, low, high),), lambda v, n=name: truth(n, v)
                            , None if outside is None else (outside,)))  # fmt: skip
    generator = np.random.default_rng(4)
    x = _thin_and_wide(generator.uniform(-3.0, 3.0, COUNT), -4.0, 4.0)
    found += [
        Target("square", UNARY["square"], (x,), lambda v: arb(v) ** 2),
        Target("abs", UNARY["abs"], (x,), lambda v: abs(arb(v))),
        Target("neg", UNARY["neg"], (x,), lambda v: -arb(v)),
        Target("exp2", UNARY["exp2"], (x,), lambda v: (arb(v) * arb.const_log2()).exp()),
        Target("cube", lambda a: whole_power(a, 3), (x,), lambda v: arb(v) ** 3),
        Target("fourth power", lambda a: whole_power(a, 4), (x,), lambda v: arb(v) ** 4),
        Target("inverse square", lambda a: whole_power(a, -2), (x,), lambda v: 1 / arb(v) ** 2 if v else arb.nan()),
    ]
    return found


def binary_targets() -> list[Target]:
    """One per function of two numbers, and sums."""
    generator = np.random.default_rng(3)
    found = []
    for name, rule in BINARY.items():
        low = 0.2 if name in ("pow", "atan2", "rem") else -3.0
        a = _thin_and_wide(generator.uniform(low, 3.0, COUNT), low, 4.0)
        b = _thin_and_wide(generator.uniform(0.3, 2.0, COUNT), 0.3, 4.0)
        if name in ("mul", "add", "sub", "max", "min"):
            b = _thin_and_wide(generator.uniform(-3.0, 3.0, COUNT), -4.0, 4.0)
        zero = (np.array([1.0]), np.array([2.0])), (np.array([-1.0]), np.array([1.0]))
        outside = zero if name in ("div", "rem") else (zero[::-1] if name == "pow" else None)
        found.append(Target(name, rule, (a, b), lambda x, y, n=name: ARB[n](arb(x), arb(y)), outside))
    a, b, c = (_thin_and_wide(generator.uniform(-3.0, 3.0, COUNT), -4.0, 4.0) for _ in range(3))

    def summed(*parts: Interval) -> Interval:
        return total(Interval(jnp.stack([p.lo for p in parts], 1), jnp.stack([p.hi for p in parts], 1)), (1,))

    found.append(Target("reduce_sum", summed, (a, b, c), lambda x, y, z: arb(x) + arb(y) + arb(z)))
    return found


def slope_targets() -> list[Target]:
    """First and second derivatives of the elementary functions, by exact derivative programs in balls."""
    found = []
    for name, pair in SLOPES.items():
        primitive = getattr(lax, {"neg": "neg"}.get(name, name), None)
        if primitive is None or name in ("abs", "neg"):
            continue
        low, high = RANGES.get(name, (-2.0, 2.0))
        low, high = max(low, -2.0) + 0.05, min(high, 3.0) - 0.05
        x = np.random.default_rng(5).uniform(low, high, COUNT // 2)
        values = (UNARY | SPECIAL)[name]
        with float64():
            run = primal(jax.make_jaxpr(primitive)(0.5 * (low + high)))
            orders = [jax.grad(lambda x, run=run: run(x)[0])]
            orders.append(jax.grad(orders[0]))
            programs = [BallProgram(jax.make_jaxpr(order)(0.5 * (low + high)), precision=PRECISION) for order in orders]
        for k, (slope, program) in enumerate(zip(pair, programs, strict=True)):
            found.append(
                Target(
                    f"{name}, derivative {k + 1}",
                    lambda a, slope=slope, values=values: _shaped(slope(a, values(a)), a),
                    (_thin_and_wide(x, low, high),),
                    lambda v, program=program: program(np.asarray(v))[0].item(),
                )
            )
    return found


def _shaped(out: Interval, a: Interval) -> Interval:
    """Constants have no shape of their own."""
    return Interval(jnp.broadcast_to(out.lo, a.lo.shape), jnp.broadcast_to(out.hi, a.lo.shape), out.ok)


def mutants(target: Target) -> list[tuple[str, Callable[..., Interval]]]:
    """Broken versions of a rule that differ from it on the boxes of its check."""
    with float64():
        given = [Interval(jnp.asarray(lo), jnp.asarray(hi)) for lo, hi in target.boxes]
        right = target.rule(*given)
        points_ = np.all([lo == hi for lo, hi in target.boxes], axis=0)
    lo, hi = np.asarray(right.lo)[points_], np.asarray(right.hi)[points_]
    finite = np.isfinite(lo) & np.isfinite(hi)
    ulps = float(np.max((hi - lo)[finite] / (EPS * np.abs(lo[finite]) + FLUSHED), initial=1.0))

    def changed(change: Change) -> Callable[..., Interval]:
        def rule(*given: Interval) -> Interval:
            out = target.rule(*given)
            return change(out, ulps)._replace(ok=out.ok)

        return rule

    found = [(name, changed(change)) for name, change in CHANGES.items()]
    if "derivative" not in target.name:
        found.append(
            ("fed with swapped ends", lambda *given: target.rule(*[Interval(a.hi, a.lo, a.ok) for a in given]))
        )
    if target.outside is not None:
        found.append(("domain forgotten", lambda *given: Interval(*target.rule(*given)[:2])))
    with float64():
        return [
            (name, rule)
            for name, rule in found
            if name == "domain forgotten" or not all(map(np.array_equal, rule(*given)[:2], right[:2]))
        ]


def ball_mutants() -> list[tuple[str, bool]]:
    """Name and whether caught, of broken rules of balls of one number."""
    breaks: dict[str, Callable[[arb], arb]] = {
        "radius dropped": lambda y: y.mid(),
        "wrong sign": lambda y: -y,
        "off by 1e-12": lambda y: y * arb(1.0 + 1e-12),
        "lower half": lambda y: arb(0.5 * (y.lower() + y.mid()), 0.5 * y.rad()),
    }
    names = "exp expm1 log log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sqrt rsqrt cbrt logistic"
    found = []
    for name in [*names.split(), "erf", "erfc", "erf_inv", "lgamma", "digamma"]:
        at = 1.3 if name == "acosh" else 0.6
        for kind, change in breaks.items():
            with ctx.workprec(PRECISION):
                box = np.array([arb(at, 1e-6)], dtype=object)
                (right,) = BALL_RULES[name](None, box)
                inside = [BALL_RULES[name](None, np.array([x], dtype=object))[0][0] for x in (arb(at) + 1e-6, arb(at))]
                inside.append(BALL_RULES[name](None, np.array([arb(at) - 1e-6], dtype=object))[0][0])
                broken = change(right[0])
                caught = not all(broken.overlaps(value) for value in inside)
                if kind == "off by 1e-12":
                    (thin,) = BALL_RULES[name](None, np.array([arb(at)], dtype=object))
                    caught = not change(thin[0]).overlaps(thin[0])
                if not all(right[0].overlaps(value) for value in inside):
                    raise AssertionError(f"the sound rule of {name} fails its own check")
            found.append((f"ball {name}: {kind}", caught))
    return found


def measure() -> list[tuple[str, bool]]:
    """Every mutant: its name and whether it is caught."""
    found: list[tuple[str, bool]] = []
    for target in (*unary_targets(), *binary_targets(), *slope_targets()):
        if not target.sound(target.rule):
            raise AssertionError(f"the sound rule of {target.name} fails its own check")
        for name, rule in mutants(target):
            found.append((f"{target.name}: {name}", not target.sound(rule)))
    return [*found, *ball_mutants()]


def main() -> None:
    """Measure, print, write results/mutations.json and .md."""
    found = measure()
    missed = [name for name, caught in found if not caught]
    share = 1.0 - len(missed) / len(found)
    rows = f"| {len(found)} | {len(found) - len(missed)} | {100.0 * share:.1f} % |"
    text = f"# Broken rules\n\n| broken rules | caught | share |\n|---|---|---|\n{rows}\n\n"
    text += "".join(f"- missed: {name}\n" for name in missed)
    print(text)
    (FOLDER / "mutations.md").write_text(text)
    (FOLDER / "mutations.json").write_text(json.dumps({"broken": len(found), "missed": missed}, indent=1) + "\n")


if __name__ == "__main__":
    main()
