"""A thousand attempts at a false proof: ``python -m benchmarks.false_proofs``.

Perturbed points, corrupted active sets, flipped multipliers, maxima and saddles, and witnesses that were tampered with,
on small problems of hs.txt and on the probes. Whatever is then claimed is judged by code that shares nothing with the
proof: float64 derivatives from JAX at the middle of the claimed box, an eigenvalue test of the reduced Hessian, and a
search for better feasible points beside it. A claim that these refute is a false proof. Written to
``results/false_proofs.json``.
"""

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import scipy.linalg

import karush
from benchmarks import lists, results
from benchmarks.proofs import stated
from karush.arithmetic.ball_numbers import Undecided, balls
from karush.core.precision import float64
from karush.proofs.checker import Witness, verify
from karush.proofs.functions import Functions
from karush.proofs.proof import Proof
from karush.proofs.proof_file import claims, read_witness
from karush.proofs.system import Limit

NAMES = [
    "HS1",
    "HS3",
    "HS6",
    "HS7",
    "HS10",
    "HS11",
    "HS12",
    "HS14",
    "HS15",
    "HS18",
    "HS21",
    "HS24",
    "HS29",
    "HS33",
    "HS35",
    "HS39",
    "HS40",
    "HS43",
    "HS65",
    "HS71",
    "HS76",
]
SADDLES = {
    "saddle": (lambda x: x[0] ** 2 - x[1] ** 2, [0.0, 0.0], (-1.0, 1.0)),
    "maximum": (lambda x: -jax.numpy.cosh(x[0]) - x[1] ** 2, [0.0, 0.0], None),
    "monkey saddle": (lambda x: x[0] ** 3 - 3.0 * x[0] * x[1] ** 2, [0.0, 0.0], None),
    "inflection": (lambda x: x[0] ** 3 + x[1] ** 2, [0.0, 0.0], None),
    "quartic": (lambda x: x[0] ** 4 + x[1] ** 2, [0.0, 0.0], None),
    "kink": (
        lambda x: jax.numpy.maximum(x[0], 0) - jax.numpy.maximum(-x[0], 0) + x[0] ** 2 + x[1] ** 2,
        [0.0, 0.0],
        None,
    ),
    "cancellation": (
        lambda x: -(1.0 - jax.numpy.cos(x[0])) / x[0] ** 2 + x[1] ** 2,
        [1e-8, 0.0],
        ([1e-9, -1.0], [3.0, 1.0]),
    ),
    "sin": (lambda x: jax.numpy.sin(x[0]) + jax.numpy.cos(x[1]), [np.pi / 2, 0.0], None),
}
TIGHT, FLAT = 1e-7, 1e-9


STABLE = {"cancellation": lambda x: -2.0 * (jax.numpy.sin(x[0] / 2.0) / x[0]) ** 2 + x[1] ** 2}
"""the same functions without cancellation, for the judge, who works in float64"""


class Truth:
    """Float64 derivatives of a problem, straight from JAX."""

    def __init__(self, problem: karush.Problem):
        self.flat = karush.prepare(problem).parts.flat
        fun = jax.extend.core.jaxpr_as_fun(self.flat.closed_jaxpr)
        with float64():
            self.values = jax.jit(fun)
            self.first = jax.jit(jax.jacrev(fun))
            self.second = jax.jit(jax.jacfwd(jax.jacrev(lambda x, y: fun(x)[0] + y @ fun(x)[1])))

    def refutes(self, theorems: list[str], x: np.ndarray, y: np.ndarray, z: np.ndarray) -> str:
        """What is wrong with the claim that x is a point of these theorems; empty if nothing is found."""
        flat = self.flat
        with float64():
            _, rows = (np.asarray(part) for part in self.values(x))
            gradient, jacobian = (np.asarray(part) for part in self.first(x))
            hessian = np.asarray(self.second(x, y))
        size = 1.0 + np.abs(gradient) + np.abs(jacobian).T @ np.abs(y)
        if np.any(np.abs(gradient + jacobian.T @ y + z) > TIGHT * size):
            return "not stationary"
        quantities, multipliers = np.concatenate([rows, x]), np.concatenate([y, z])
        low, up = np.concatenate([flat.row_lower, flat.lower]), np.concatenate([flat.row_upper, flat.upper])
        slack = TIGHT * (1.0 + np.abs(quantities))
        if np.any((quantities < low - slack) | (quantities > up + slack)):
            return "infeasible"
        at_low, at_up = quantities - low <= slack, up - quantities <= slack
        if np.any((multipliers > 0) & ~at_up) or np.any((multipliers < 0) & ~at_low):
            return "a multiplier of the wrong sign"
        if "strict minimum" not in theorems:
            return ""
        active = (multipliers != 0) | (low == up)
        normals = np.concatenate([jacobian, np.eye(flat.n)])[active]
        basis = scipy.linalg.null_space(normals) if normals.size else np.eye(flat.n)
        reduced = basis.T @ hessian @ basis
        if basis.size and np.linalg.eigvalsh(reduced)[0] <= -FLAT * np.abs(hessian).max():
            return "the reduced Hessian has a negative eigenvalue"
        return ""


def attempts(
    name: str, problem: karush.Problem, random: np.random.Generator, rounds: int, tally: Counter
) -> list[dict]:
    """False proofs found on one problem."""
    truth = Truth(replace(problem, objective=STABLE.get(name, problem.objective)))
    prepared = karush.prepare(problem)
    result = prepared.solve()
    found = []

    def judge(kind: str, proof: Proof) -> None:
        tally[kind] += 1
        if proof.theorems:
            tally[f"{kind}, proved"] += 1
            record(kind, proof.document["claims"])

    def record(kind: str, claim: dict) -> None:
        x, y, z = (np.array(claim[key]["lower"]) for key in ("x", "rows' multipliers", "bounds' multipliers"))
        wrong = truth.refutes(claim["theorems"], x, y, z)
        if wrong:
            found.append(
                {"problem": name, "kind": kind, "wrong": wrong, "x": x.tolist(), "theorems": claim["theorems"]}
            )

    flat = prepared.parts.flat
    for _ in range(rounds):
        step = 10.0 ** random.uniform(-9, 0) * random.standard_normal(flat.n) * np.maximum(np.abs(result.x_flat), 1.0)
        moved = flat.door.unravel(result.x_flat + step)
        judge("perturbed point", karush.prove(prepared, moved))
        flips = {key: flip(part, random) for key, part in result.multipliers.items()}
        judge("flipped multipliers", karush.prove(prepared, result.x, flips))
    honest = karush.prove(prepared, result)
    if honest.theorems:
        functions, witness = Functions(flat), read_witness(honest.document["witness"])
        for _ in range(2 * rounds):
            kind, wrong = tampered(witness, flat, random)
            tally[kind] += 1
            try:
                with float64():
                    verified = verify(functions, wrong)
            except (Undecided, ValueError, IndexError):
                continue
            tally[f"{kind}, proved"] += 1
            record(kind, claims(verified))
    opposite = replace(problem, maximize=not problem.maximize)
    reverse = Truth(replace(opposite, objective=STABLE.get(name, problem.objective)))
    proof = karush.prove(opposite, result.x)
    tally["maximum instead of minimum"] += 1
    if proof.theorems:
        tally["maximum instead of minimum, proved"] += 1
        truth = reverse
        record("maximum instead of minimum", proof.document["claims"])
    return found


def flip(part: object, random: np.random.Generator) -> object:
    """The multipliers with the signs of a random share of them changed."""
    return jax.tree.map(lambda a: np.asarray(a) * random.choice([-1.0, 1.0], np.shape(a)), part)


def tampered(witness: Witness, flat: object, random: np.random.Generator) -> tuple[str, Witness]:
    """A witness with one thing changed, and what."""
    kind = random.choice(["middle", "radius", "side", "row out", "bound out", "weights", "exact", "swap"])
    active, n_free = witness.active, witness.middle.size - len(witness.active.rows)
    if kind == "side" and active.rows + active.bounds:
        rows = tuple(Limit(k, int(random.choice([-1, 0, 1]))) for k, _ in active.rows)
        bounds = tuple(Limit(k, int(random.choice([-1, 0, 1]))) for k, _ in active.bounds)
        return "wrong active set", replace(witness, active=replace(active, rows=rows, bounds=bounds))
    if kind == "row out" and active.rows:
        out = int(random.integers(len(active.rows)))
        rows = tuple(limit for k, limit in enumerate(active.rows) if k != out)
        dropped = active.dropped + ((active.rows[out],) if random.random() < 0.5 else ())
        weights = None if witness.weights is None else np.delete(witness.weights, out)
        cut = {key: np.delete(getattr(witness, key), n_free + out) for key in ("middle", "radius", "wide")}
        return "wrong active set", replace(
            witness, active=replace(active, rows=rows, dropped=dropped), weights=weights, **cut
        )
    if kind == "bound out" and active.bounds:
        out = int(random.integers(len(active.bounds)))
        index, side = active.bounds[out]
        place = index - sum(limit.at < index for limit in active.bounds)
        at = flat.upper[index] if side >= 0 else flat.lower[index]
        cut = {key: np.insert(getattr(witness, key), place, 1e-12) for key in ("radius", "wide")}
        middle = np.insert(witness.middle, place, balls(at).item())
        bounds = tuple(limit for k, limit in enumerate(active.bounds) if k != out)
        return "wrong active set", replace(witness, active=replace(active, bounds=bounds), middle=middle, **cut)
    if kind == "radius":
        scale = 10.0 ** random.uniform(-30, 10)
        return "tampered radius", replace(witness, radius=witness.radius * scale, wide=witness.wide * scale)
    if kind == "weights" and witness.weights is not None:
        return "tampered weights", replace(witness, weights=-witness.weights * 10.0 ** random.uniform(-3, 9))
    if kind == "exact":
        return "tampered exactness", replace(witness, exact=not witness.exact)
    if kind == "swap":
        return "tampered middle", replace(witness, middle=random.permutation(witness.middle))
    noise = 10.0 ** random.uniform(-15, 0) * random.standard_normal(witness.middle.size)
    return "tampered middle", replace(witness, middle=witness.middle + balls(noise))


def problems() -> dict[str, karush.Problem]:
    """Name -> problem."""
    found = {name: stated(lists.load(name)) for name in NAMES}
    for name, (objective, start, bounds) in SADDLES.items():
        found[name] = karush.Problem(objective, np.array(start), bounds=bounds, name=name)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Run, and write the counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.false_proofs", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    random, tally, found = np.random.default_rng(20), Counter(), []
    for name, problem in problems().items():
        found += attempts(name, problem, random, options.rounds, tally)
        if name in SADDLES:
            proof = karush.prove(problem, problem.x0)
            tally["saddles and maxima as given"] += 1
            if "strict minimum" in proof:
                found.append({"problem": name, "kind": "saddle", "wrong": "not a minimum", "theorems": proof.theorems})
        print(name, sum(count for kind, count in tally.items() if "proved" not in kind), len(found), flush=True)
    trials = sum(count for kind, count in tally.items() if "proved" not in kind)
    document = {"trials": trials, "false": len(found), "counts": dict(sorted(tally.items())), "found": found}
    (options.results / "false_proofs.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
