"""Every probe through ``minimize`` and ``certify``: ``python -m benchmarks.probes [--table] [NAME ...]``.

``--table`` prints the table of accepted verdicts that docs/probes.md holds. Exit status 1 if a verdict is wrong.
"""

import argparse
from dataclasses import dataclass

import karush
from benchmarks import probes_constrained, probes_degenerate, probes_kinks, probes_smooth
from benchmarks.probe import MINIMUM, Probe, Verdicts
from karush import Verdict

PROBES: list[Probe] = [
    *probes_smooth.PROBES,
    *probes_kinks.PROBES,
    *probes_constrained.PROBES,
    *probes_degenerate.PROBES,
]


@dataclass(frozen=True)
class Answer:
    """One verdict beside those that are true."""

    probe: str
    place: str
    """``minimize``, or the point that was certified"""
    x: str
    verdict: Verdict
    accepted: Verdicts
    ok: bool


def ask(probe: Probe) -> list[Answer]:
    """Solve once, certify every point; a success must also be at a minimum."""
    prepared = karush.prepare(probe.problem())
    result = prepared.solve()
    found = result.certificate.verdict
    true_success = probe.is_minimum is not None and bool(probe.is_minimum(result.x))
    ok = found in probe.accepted and (found not in MINIMUM or true_success)
    answers = [Answer(probe.name, "minimize", _short(result.x), found, probe.accepted, ok)]
    for point in probe.points:
        verdict = prepared.certify(point.x).verdict
        accepted = verdict in point.accepted
        answers.append(Answer(probe.name, "certify", _short(point.x), verdict, point.accepted, accepted))
    return answers


def words(verdicts: Verdicts) -> str:
    """The verdicts in the order of `Verdict`."""
    return ", ".join(str(v) for v in Verdict if v in verdicts)


def table() -> str:
    """Markdown: probe, place, accepted verdicts, why."""
    rows = ["| probe | asked | accepted verdicts | why it is here |", "|---|---|---|---|"]
    for probe in PROBES:
        name = probe.name.replace("|", "\\|")
        rows.append(f"| {name} | minimize | {words(probe.accepted)} | {probe.why.replace('|', chr(92) + '|')} |")
        rows += [f"| | certify at {_short(point.x)} | {words(point.accepted)} | |" for point in probe.points]
    return "\n".join(rows)


def _short(x) -> str:
    return "(" + ", ".join(f"{float(t):.6g}" for t in x) + ")"


def main() -> int:
    """Ask the probes whose name contains one of the given words (all by default) and print what they say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--table", action="store_true", help="print the table of accepted verdicts and stop")
    arguments = parser.parse_args()
    if arguments.table:
        print(table())
        return 0
    chosen = [p for p in PROBES if not arguments.names or any(word in p.name for word in arguments.names)]
    wrong = asked = 0
    for probe in chosen:
        for answer in ask(probe):
            mark = "ok   " if answer.ok else "WRONG"
            place = answer.place if answer.place == "minimize" else "  certify"
            print(f"{mark} {answer.probe[:44]:<44} {place:<9} {answer.x[:28]:<28} {answer.verdict!s:<19}", end="")
            print("" if answer.ok else f" accepted: {words(answer.accepted)}", flush=True)
            wrong, asked = wrong + (not answer.ok), asked + 1
    print(f"{len(chosen)} probes, {asked} verdicts, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
