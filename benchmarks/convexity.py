"""Convexity of a table of functions: ``python -m benchmarks.convexity`` writes results/convexity.json and convexity.md.

Thirty convex functions, fifteen that are not, and a seeded random family nobody has looked at: compositions that are
convex by construction (CONVEX), and the same with a concave or saddle-shaped term that outweighs them somewhere.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import karush
from benchmarks.convexity_cases import Case, convex_cases, other_cases
from benchmarks.paths import portable

RESULTS = Path(__file__).parent / "results"
RANDOM = 60
"""functions of each kind in the random family"""
ASKED = 0.9


def random_cases(seed: int, count: int) -> list[Case]:
    """`count` functions of each kind, on boxes of radius 1 around 0."""
    cases = []
    for k in range(count):
        draw = np.random.default_rng((seed, k))
        n = int(draw.integers(2, 6))
        terms = [_term(draw, n) for _ in range(int(draw.integers(1, 4)))]
        low, high = np.full(n, -1.0), np.full(n, 1.0)
        cases.append(Case(f"convex {k}", _sum_of(terms), low, high, True))
        spoiled = [*terms, _spoiler(draw, n, terms)]
        cases.append(Case(f"spoiled {k}", _sum_of(spoiled), low, high, False))
    return cases


def _sum_of(terms: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    return lambda x: sum((term(x) for term in terms[1:]), start=terms[0](x))


def _affine(draw: np.random.Generator, rows: int, n: int) -> Callable[[Any], Any]:
    A, b = draw.normal(size=(rows, n)), draw.normal(size=rows)
    return lambda x: A @ x + b


def _positive_affine(draw: np.random.Generator, n: int) -> Callable[[Any], Any]:
    """Between 0.5 and 2.5 on the box."""
    a = draw.uniform(-1.0, 1.0, n)
    a /= np.abs(a).sum()
    return lambda x: 1.5 + a @ x


def _term(draw: np.random.Generator, n: int) -> Callable[[Any], Any]:
    """A convex function, composed at random."""
    u = _affine(draw, int(draw.integers(1, 5)), n)
    w, v = _positive_affine(draw, n), _positive_affine(draw, n)
    scale = float(draw.uniform(0.2, 3.0))
    kinds: list[Callable[[Any], Any]] = [
        lambda x: scale * jnp.sum(u(x) ** 2),
        lambda x: scale * jnp.linalg.norm(u(x)),
        lambda x: scale * jax.nn.logsumexp(u(x)),
        lambda x: jnp.max(jnp.abs(u(x))) ** 3,
        lambda x: jnp.exp(0.3 * jnp.max(u(x))),
        lambda x: jnp.sum(u(x) ** 2) / w(x),
        lambda x: -scale * jnp.log(w(x)) - jnp.log(v(x)),
        lambda x: w(x) * jnp.log(w(x) / v(x)),
        lambda x: -scale * jnp.sqrt(w(x) * v(x)),
        lambda x: scale / (w(x) * v(x) ** 2),
        lambda x: jnp.sqrt(scale + jnp.sum(u(x) ** 2)),
        lambda x: jnp.sum(jax.nn.softplus(u(x))),
        lambda x: jnp.sum(jax.nn.relu(u(x)) ** 2),
        lambda x: jnp.log(jnp.sum(jnp.exp(u(x) ** 2))),
        lambda x: jnp.sum(jnp.cosh(u(x))),
        lambda x: jnp.sum(u(x) ** 2) ** 2,
    ]
    return kinds[int(draw.integers(len(kinds)))]


def _spoiler(draw: np.random.Generator, n: int, terms: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A term that is not convex along a line through 0, and outweighs the others there.

    Along x = t d the others change their slope by what is measured at three points of it.
    """
    d = draw.normal(size=n)
    d /= np.abs(d).max()
    with jax.enable_x64(True):
        values = [float(sum(term(jnp.asarray(t * d)) for term in terms)) for t in (-0.25, 0.0, 0.25)]
    bend = max(values[0] + values[2] - 2.0 * values[1], 1e-3)
    e = d / (d @ d)
    weight = 1.5 * bend
    kinds: list[Callable[[Any], Any]] = [
        lambda x: -weight * (4.0 * (e @ x)) ** 2,
        lambda x: weight * jnp.cos(np.pi / 0.25 * (e @ x)),
        lambda x: -4.0 * weight * jnp.abs(e @ x),
        lambda x: weight * jnp.exp(-16.0 * (e @ x) ** 2) / (1.0 - np.exp(-1.0)),
        lambda x: weight * jnp.minimum(1.0, 2.0 - 8.0 * jnp.abs(e @ x)),
    ]
    return kinds[int(draw.integers(len(kinds)))]


def measure(case: Case) -> dict[str, Any]:
    """One case."""
    began = time.perf_counter()
    found = karush.convexity(case.function, karush.Box(case.low, case.high))
    return {
        "name": case.name,
        "convex": case.convex,
        "verdict": found.verdict,
        "label": found.label,
        "how": found.how,
        "reason": portable(found.reason),
        "modulus": found.modulus,
        "boxes": found.boxes,
        "decided": found.verdict != "undecided",
        "wrong": found.verdict != "undecided" and found.convex != case.convex,
        "seconds": time.perf_counter() - began,
    }


def summary(rows: list[dict[str, Any]]) -> str:
    """One line of a group."""
    decided, wrong = sum(row["decided"] for row in rows), sum(row["wrong"] for row in rows)
    seconds = float(np.median([row["seconds"] for row in rows]))
    return f"{len(rows)} | {decided} | {decided / len(rows):.0%} | {wrong} | {seconds:.2f}"


def table(groups: dict[str, list[dict[str, Any]]]) -> str:
    """The Markdown page."""
    lines = [
        "# Convexity",
        "",
        f"`python -m benchmarks.convexity`; asked: at least {ASKED:.0%} of the table decided, none wrong.",
        "",
        "| functions | number | decided | share | wrong | median s |",
        "|---|---|---|---|---|---|",
    ]
    lines += [f"| {name} | {summary(rows)} |" for name, rows in groups.items()]
    lines += ["", "| function | verdict | label | by | modulus | s |", "|---|---|---|---|---|---|"]
    for name in ("convex, table", "not convex"):
        for row in groups[name]:
            by = row["how"] or "–"
            modulus = f"{row['modulus']:.3g}" if row["modulus"] else ""
            lines.append(
                f"| {row['name']} | {row['verdict']} | {row['label']} | {by} | {modulus} | {row['seconds']:.2f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure everything and write both files."""
    groups = {
        "convex, table": [measure(case) for case in convex_cases()],
        "not convex": [measure(case) for case in other_cases()],
    }
    drawn = [measure(case) for case in random_cases(1, RANDOM)]
    groups["convex, random"] = [row for row in drawn if row["convex"]]
    groups["not convex, random"] = [row for row in drawn if not row["convex"]]
    (RESULTS / "convexity.json").write_text(json.dumps(groups, indent=1) + "\n", encoding="utf-8")
    text = table(groups)
    (RESULTS / "convexity.md").write_text(text, encoding="utf-8")
    print(text)
    undecided = [row["name"] for rows in groups.values() for row in rows if not row["decided"]]
    print("undecided:", undecided, file=sys.stderr)


if __name__ == "__main__":
    main()
