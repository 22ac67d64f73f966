"""`karush.audit` on functions of jax.nn, jax.scipy.special and jax.scipy.stats, in float32: what a sweep finds.

`python -m benchmarks.sweep [--names NAME ...]` writes benchmarks/results/sweep.{json,md}, and goes on where it was
interrupted. Only findings in the value whose witness loses more than `SHOWN` bits are listed; each witness was run
again under jit and held against Arb.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import special, stats

from benchmarks.paths import portable
from karush import Box, audit

RESULTS = Path(__file__).parent / "results"
SHOWN = 8.0
"""bits beyond the conditioning from which a finding of this sweep is called a defect"""

Function = Callable[[Any], Any]
WIDE, UNIT, POSITIVE = (-1e4, 1e4), (1e-30, 1.0), (1e-10, 1e4)


def vector(low: float, high: float, n: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of a box of a vector."""
    return np.full(n, low), np.full(n, high)


def pair(low: tuple[float, float], high: tuple[float, float]) -> tuple[Any, Any]:
    """Both ends of a box of two numbers."""
    return low, high


def of_two(function: Callable[..., Any]) -> Function:
    """A function of two numbers as one of a pair."""
    return lambda a: function(a[0], a[1])


SWEPT: dict[str, tuple[Function, tuple[Any, Any]]] = {
    "jax.nn.sigmoid": (jax.nn.sigmoid, (-80.0, 80.0)),
    "jax.nn.softplus": (jax.nn.softplus, (-80.0, 80.0)),
    "jax.nn.log_sigmoid": (jax.nn.log_sigmoid, (-80.0, 80.0)),
    "jax.nn.silu": (jax.nn.silu, (-80.0, 80.0)),
    "jax.nn.gelu, tanh": (lambda x: jax.nn.gelu(x, approximate=True), (-10.0, 10.0)),
    "jax.nn.gelu, erf": (lambda x: jax.nn.gelu(x, approximate=False), (-10.0, 10.0)),
    "jax.nn.elu": (jax.nn.elu, (-80.0, 80.0)),
    "jax.nn.celu": (jax.nn.celu, (-80.0, 80.0)),
    "jax.nn.selu": (jax.nn.selu, (-80.0, 80.0)),
    "jax.nn.mish": (jax.nn.mish, (-80.0, 80.0)),
    "jax.nn.squareplus": (jax.nn.squareplus, WIDE),
    "jax.nn.hard_silu": (jax.nn.hard_silu, (-10.0, 10.0)),
    "jax.nn.log1mexp": (jax.nn.log1mexp, (1e-10, 80.0)),
    "jax.nn.logsumexp": (jax.nn.logsumexp, vector(-200.0, 200.0)),
    "jax.nn.softmax": (jax.nn.softmax, vector(-200.0, 200.0)),
    "jax.nn.log_softmax": (jax.nn.log_softmax, vector(-200.0, 200.0)),
    "jax.nn.standardize": (jax.nn.standardize, vector(999.0, 1001.0, 4)),
    "jax.nn.glu": (jax.nn.glu, vector(-50.0, 50.0, 4)),
    "jax.numpy.linalg.norm": (jnp.linalg.norm, vector(-1e25, 1e25)),
    "jax.numpy.logaddexp": (of_two(jnp.logaddexp), pair((-80.0, -80.0), (80.0, 80.0))),
    "jax.numpy.hypot": (of_two(jnp.hypot), pair((1e-30, 1e-30), (1e30, 1e30))),
    "jax.numpy.sinc": (jnp.sinc, (-3.0, 3.0)),
    "jax.numpy.var": (jnp.var, vector(999.0, 1001.0, 4)),
    "special.log_ndtr": (special.log_ndtr, (-15.0, 10.0)),
    "special.ndtr": (special.ndtr, (-12.0, 8.0)),
    "special.ndtri": (special.ndtri, (1e-6, 0.999)),
    "special.entr": (special.entr, (1e-10, 10.0)),
    "special.rel_entr": (of_two(special.rel_entr), pair((0.1, 0.1), (10.0, 10.0))),
    "special.kl_div": (of_two(special.kl_div), pair((0.1, 0.1), (10.0, 10.0))),
    "special.xlogy": (of_two(special.xlogy), pair((0.0, 1e-10), (10.0, 10.0))),
    "special.xlog1py": (of_two(special.xlog1py), pair((0.0, -0.9), (10.0, 10.0))),
    "special.logit": (special.logit, (1e-10, 0.999)),
    "special.expit": (special.expit, (-80.0, 80.0)),
    "special.erfc": (special.erfc, (-5.0, 9.0)),
    "special.erfinv": (special.erfinv, (-0.999, 0.999)),
    "special.gammaln": (special.gammaln, (0.01, 50.0)),
    "special.digamma": (special.digamma, (0.01, 50.0)),
    "special.betaln": (of_two(special.betaln), pair((0.01, 0.01), (100.0, 100.0))),
    "special.beta": (of_two(special.beta), pair((0.01, 0.01), (30.0, 30.0))),
    "special.gamma": (special.gamma, (0.01, 30.0)),
    "special.factorial": (special.factorial, (0.1, 30.0)),
    "special.poch": (of_two(special.poch), pair((0.1, 0.1), (20.0, 5.0))),
    "special.multigammaln": (lambda x: special.multigammaln(x, 2), (1.0, 50.0)),
    "special.spence": (special.spence, (0.01, 10.0)),
    "special.i0e": (special.i0e, (-30.0, 30.0)),
    "special.i1e": (special.i1e, (0.001, 30.0)),
    "stats.norm.cdf": (stats.norm.cdf, (-12.0, 8.0)),
    "stats.norm.sf": (stats.norm.sf, (-8.0, 12.0)),
    "stats.norm.logcdf": (stats.norm.logcdf, (-15.0, 10.0)),
    "stats.norm.logsf": (stats.norm.logsf, (-10.0, 15.0)),
    "stats.norm.logpdf": (stats.norm.logpdf, (-30.0, 30.0)),
    "stats.expon.cdf": (stats.expon.cdf, (1e-10, 50.0)),
    "stats.expon.logcdf": (stats.expon.logcdf, (1e-10, 50.0)),
    "stats.expon.logsf": (stats.expon.logsf, (1e-10, 50.0)),
    "stats.expon.ppf": (stats.expon.ppf, (1e-10, 0.99)),
    "stats.logistic.cdf": (stats.logistic.cdf, (-80.0, 80.0)),
    "stats.logistic.sf": (stats.logistic.sf, (-80.0, 80.0)),
    "stats.logistic.logpdf": (stats.logistic.logpdf, (-80.0, 80.0)),
    "stats.logistic.ppf": (stats.logistic.ppf, (1e-10, 0.99)),
    "stats.laplace.cdf": (stats.laplace.cdf, (-50.0, 50.0)),
    "stats.cauchy.cdf": (stats.cauchy.cdf, (-1e6, 1e6)),
    "stats.cauchy.sf": (stats.cauchy.sf, (-1e6, 1e6)),
    "stats.cauchy.logcdf": (stats.cauchy.logcdf, (-1e6, 1e6)),
    "stats.cauchy.ppf": (stats.cauchy.ppf, (1e-6, 0.999)),
    "stats.t.logpdf": (lambda a: stats.t.logpdf(a[0], a[1]), pair((-1e3, 1.0), (1e3, 1e4))),
    "stats.gamma.logpdf": (of_two(stats.gamma.logpdf), pair((0.01, 0.1), (50.0, 50.0))),
    "stats.beta.logpdf": (lambda a: stats.beta.logpdf(a[0], a[1], 2.0), pair((0.01, 0.1), (0.99, 50.0))),
    "stats.chi2.logpdf": (of_two(stats.chi2.logpdf), pair((0.01, 1.0), (50.0, 50.0))),
    "stats.pareto.logpdf": (of_two(stats.pareto.logpdf), pair((1.0, 0.1), (1e3, 10.0))),
    "stats.pareto.cdf": (of_two(stats.pareto.cdf), pair((1.0001, 0.1), (1e3, 10.0))),
    "stats.gumbel_r.cdf": (stats.gumbel_r.cdf, (-4.0, 20.0)),
    "stats.gumbel_r.sf": (stats.gumbel_r.sf, (-4.0, 20.0)),
    "stats.gumbel_r.logsf": (stats.gumbel_r.logsf, (-4.0, 20.0)),
    "stats.gumbel_l.cdf": (stats.gumbel_l.cdf, (-20.0, 4.0)),
    "stats.gumbel_l.logcdf": (stats.gumbel_l.logcdf, (-20.0, 4.0)),
    "stats.bernoulli.cdf": (lambda p: stats.bernoulli.cdf(0, p), (1e-10, 0.99)),
    "stats.geom.logpmf": (lambda p: stats.geom.logpmf(5, p), (1e-10, 0.99)),
    "stats.poisson.logpmf": (lambda mu: stats.poisson.logpmf(5, mu), (0.01, 100.0)),
    "stats.nbinom.logpmf": (lambda p: stats.nbinom.logpmf(5, 3.0, p), (1e-6, 0.99)),
    "stats.vonmises.logpdf": (of_two(stats.vonmises.logpdf), pair((-3.0, 0.01), (3.0, 1e4))),
    "stats.wrapcauchy.logpdf": (of_two(stats.wrapcauchy.logpdf), pair((0.0, 0.01), (6.0, 0.99))),
    "stats.truncnorm.logpdf": (lambda x: stats.truncnorm.logpdf(x, -2.0, 3.0), (-1.9, 2.9)),
    "stats.truncnorm.cdf": (lambda x: stats.truncnorm.cdf(x, 5.0, 9.0), (5.01, 8.9)),
    "stats.gennorm.logpdf": (of_two(stats.gennorm.logpdf), pair((-5.0, 0.5), (5.0, 5.0))),
}


def swept(name: str) -> dict[str, Any]:
    """One row: what the audit says of one function."""
    function, (lower, upper) = SWEPT[name]
    began = time.perf_counter()
    found = audit(function, Box(lower, upper), gradient=False, effort=0.25, name="f")
    part = found.parts[0]
    return {
        "name": name,
        "verdict": part.verdict.value,
        "reason": part.reason,
        "findings": [finding.document() for finding in part.findings],
        "seconds": round(time.perf_counter() - began, 1),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The Markdown page."""
    bad = [row for row in rows if any(each["bits"] > SHOWN for each in row["findings"])]
    verdicts = {word: sum(row["verdict"] == word for row in rows) for word in ("unsafe", "safe", "unknown")}
    lines = [
        "# Sweep of JAX's own functions",
        "",
        f"{len(rows)} functions in float32: {', '.join(f'{n} {word}' for word, n in verdicts.items())}. "
        f"{len(bad)} lose more than {SHOWN:.0f} bits beyond the conditioning, the worst finding of each:",
        "",
        "| function | kind | bits | witness | computed | exact |",
        "|---|---|---|---|---|---|",
    ]
    for row in bad:
        worst = max(row["findings"], key=lambda each: each["bits"])
        numbers = [f"{float(worst[key]):.7g}" for key in ("computed", "exact")]
        lines.append(
            f"| {row['name']} | {worst['kind']} | {worst['bits']:.1f} | {worst['witness']} | {' | '.join(numbers)} |"
        )
    lines += ["", "## The rest", "", "| function | verdict | why |", "|---|---|---|"]
    lines += [f"| {row['name']} | {row['verdict']} | {row['reason']} |" for row in rows if row not in bad]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", nargs="*")
    parser.add_argument("--fresh", action="store_true", help="forget earlier rows")
    options = parser.parse_args()
    store = RESULTS / "sweep.json"
    rows: dict[str, Any] = {}
    if store.exists() and not options.fresh:
        rows = {row["name"]: row for row in json.loads(store.read_text())}
    for name in SWEPT:
        if name in (options.names or SWEPT) and (name not in rows or options.names):
            rows[name] = swept(name)
            text = json.dumps([rows[each] for each in SWEPT if each in rows], indent=0)
            store.write_text(portable(text) + "\n")
            print(name, rows[name]["verdict"], rows[name]["reason"][:90], flush=True)
    (RESULTS / "sweep.md").write_text(portable(table([rows[each] for each in SWEPT if each in rows])))


if __name__ == "__main__":
    main()
