"""What a person is told about a result: verdict, variables, active limits with prices, certificate; as sections."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from karush.certificates.certificate import Certificate
from karush.core.pytrees import Door
from karush.core.status import Status, Verdict
from karush.core.table import LONGEST_NAME, Cell, Section, Tone, aligned, measured, number, shorten
from karush.solvers.active import Active, active_limits

if TYPE_CHECKING:
    from karush.solvers.result import Result

NUMBERS_PER_LINE = 5
NUMBER_WIDTH = 11
LINES_PER_LEAF = 4
"""Longer arrays are cut, and a note says how to see all."""
LEAVES = 24
LIMITS_PER_GROUP = 14
"""Active limits shown of one constraint, or of the bounds: those with the largest prices."""
VIOLATED = 10
RELATIONS = {"=": operator.eq, "<=": operator.lt, ">=": operator.gt}


def summarize(result: Result) -> tuple[Section, ...]:
    """Sections of the report on `result`, in reading order: the answer first, its reasons after."""
    flat = result.flat
    word = "maximize" if flat.maximize else "minimize"
    title = f"{result.name or 'karush'}: {word}, {_count(flat.n, 'variable')}, {_count(flat.m, 'constraint row')}"
    word_for_it = result.status.value
    said = result.message.lower().startswith(word_for_it)
    run = result.message if said else f"{word_for_it}: {result.message}" if result.message else word_for_it
    method = result.method + (f": {result.why_method}" if result.why_method else "")
    effort = (
        f"{_count(result.iterations, 'iteration')}, {_count(result.evaluations, 'evaluation')}, {result.seconds:.3g} s"
    )
    facts: list[tuple[Cell, ...]] = [
        *_verdict(result.certificate, flat.maximize),
        (Cell("value"), Cell(number(result.value, 10), "strong")),
        (Cell("ended"), Cell(run, "plain" if result.status is Status.CONVERGED else "bad")),
        (Cell("method"), Cell(method)),
        (Cell("effort"), Cell(effort)),
    ]
    facts += [(Cell("note"), Cell(note)) for note in result.notes]
    return (
        Section(title, tuple(facts)),
        variables_section(flat.door, flat.door.join(result.x_flat)),
        *active_section(result.active),
        *certificate_sections(result.certificate),
    )


def summarize_certificate(certificate: Certificate, x: Any, name: str | None = None) -> tuple[Section, ...]:
    """Sections of the report on a certificate of the point `x`, a pytree, that comes without a solve."""
    evidence = certificate.evidence
    flat, point = evidence.flat, evidence.point
    facts = _verdict(certificate, flat.maximize)
    active: tuple[Active, ...] = ()
    if point is not None:
        value = (-point.value if flat.maximize else point.value) * certificate.scales.f
        facts.append((Cell("value"), Cell(number(value, 10), "strong")))
        y, z = certificate.multipliers
        active = active_limits(flat, (point.to_lower, point.to_upper), y, z, certificate.scales)
    return (
        Section(f"{name or 'karush'}: certificate of a given point", tuple(facts)),
        variables_section(flat.door, flat.door.ravel_joined(x, "x")),
        *active_section(active),
        *certificate_sections(certificate),
    )


def variables_section(door: Door, x: np.ndarray) -> Section:
    """The point leaf by leaf, in the user's own structure; `x` is flat (n,)."""
    rows: list[tuple[Cell, ...]] = []
    start, cut = 0, len(door.shapes) > LEAVES
    for leaf_name, shape in list(zip(door.leaf_names, door.shapes, strict=True))[:LEAVES]:
        size = int(np.prod(shape))
        lines = list(_leaf_lines(leaf_name, x[start : start + size].reshape(shape)))
        start += size
        rows += lines[:LINES_PER_LEAF]
        if len(lines) > LINES_PER_LEAF:
            cut = True
            rows.append((Cell(f"… {_count(len(lines) - LINES_PER_LEAF, 'more line')}", "dim"), Cell("")))
    if len(door.shapes) > LEAVES:
        rows.append((Cell(f"… {len(door.shapes) - LEAVES} more arrays", "dim"), Cell("")))
    all_of_it = "Not all is shown: result.x holds every number; on the command line --json or --output FILE does."
    return Section("variables", tuple(rows), (Cell(all_of_it, "dim"),) if cut else ())


def active_section(active: tuple[Active, ...]) -> tuple[Section, ...]:
    """Active limits with their prices; none, no section."""
    if not active:
        return ()
    rows: list[tuple[Cell, ...]] = [
        (Cell("", "dim"), Cell("limit", "dim", right=True), Cell("price", "dim", right=True))
    ]
    for owner in dict.fromkeys(limit.owner for limit in active):
        group = [limit for limit in active if limit.owner == owner]
        # Largest prices, but in the order of the rows. Within one constraint the units are the same.
        by_price = sorted(range(len(group)), key=lambda k: -abs(group[k].price))
        shown = sorted(by_price[:LIMITS_PER_GROUP])
        prices = aligned([group[k].price for k in shown if not group[k].negligible])
        places = aligned([group[k].limit for k in shown])
        rows += [
            _limit_row(group[k], place, "≈ 0" if group[k].negligible else prices.pop(0))
            for k, place in zip(shown, places, strict=True)
        ]
        if len(group) > len(shown):
            rest = f"… {len(group) - len(shown)} more of {shorten(owner)}"
            rows.append((Cell(rest, "dim"), Cell(""), Cell("")))
    explanation = "price: change of the value per unit by which the limit is moved up"
    return (Section("active limits", tuple(rows), (Cell(explanation, "dim"),)),)


def certificate_sections(certificate: Certificate) -> tuple[Section, ...]:
    """The certificate line by line, then what it rests on; violated constraints in a section of their own."""
    rows = tuple(_entry_row(entry) for entry in certificate.entries)
    sentences: list[Cell] = []
    if certificate.dependent:
        sentences.append(Cell("linearly dependent active constraints: " + _listed(certificate.dependent)))
    if certificate.assumed:
        sentences.append(Cell("assumed, not checked: " + _listed(certificate.assumed)))
    sentences += [Cell(f"note: {note}") for note in certificate.notes]
    if certificate.evaluation:
        sentences.append(Cell(f"evaluation of the functions: {certificate.evaluation}", "dim"))
    witness = certificate.witness or {}
    if "value" in witness:
        sentences.append(Cell(f"witness: a feasible point of value {number(float(witness['value']), 10)}"))
    elif "values" in witness:
        values = witness["values"]
        sentences.append(Cell(f"witness: {len(values)} feasible points, values down to {number(float(values[-1]))}"))
    sections = [Section("certificate (checked in floating point)", rows, tuple(sentences))]
    if certificate.violated:
        largest = sorted(certificate.violated, key=lambda pair: -abs(pair[1]))[:VIOLATED]
        amounts = [(Cell(shorten(name)), Cell(f"by {number(float(amount))}", "bad")) for name, amount in largest]
        if len(certificate.violated) > VIOLATED:
            amounts.append((Cell(f"… {len(certificate.violated) - VIOLATED} more", "dim"), Cell("")))
        sections.insert(0, Section("constraints that are not met", tuple(amounts)))
    return tuple(sections)


def _leaf_lines(name: str, leaf: np.ndarray) -> Iterator[tuple[Cell, ...]]:
    if leaf.ndim == 0:
        yield Cell(shorten(name)), Cell(f"{number(float(leaf), 8):>{NUMBER_WIDTH}}")
        return
    texts = np.array(aligned(leaf.ravel().tolist()), dtype=object).reshape(leaf.shape)
    for index in np.ndindex(*leaf.shape[:-1]):
        prefix = ",".join(map(str, index))
        for start in range(0, leaf.shape[-1], NUMBERS_PER_LINE):
            row = texts[index][start : start + NUMBERS_PER_LINE]
            place = f"{prefix},{start}" if prefix else f"{start}"
            label = f"{shorten(name, LONGEST_NAME - len(place) - 2)}[{place}]"
            yield Cell(label), Cell(" ".join(f"{text:>{NUMBER_WIDTH}}" for text in row))


def _limit_row(limit: Active, place: str, price: str) -> tuple[Cell, ...]:
    relation = {"equal": "= ", "fixed": "fixed at ", "lower": ">= ", "upper": "<= "}[limit.side]
    tone: Tone = "dim" if limit.negligible else "strong"
    return Cell(shorten(limit.name)), Cell(relation + place, right=True), Cell(price, tone, right=True)


def _entry_row(entry: Any) -> tuple[Cell, ...]:
    # The relation printed is the one that holds, so that a line is true whichever side of its bound an entry needs.
    relation = next((word for word, holds in RELATIONS.items() if holds(entry.value, entry.bound)), "?")
    place = "; ".join(part for part in (f"at {shorten(entry.worst)}" if entry.worst else "", entry.note) if part)
    return (
        Cell(shorten(entry.name)),
        Cell(f"{measured(entry.value):>8} {relation:<2} {measured(entry.bound)}"),
        Cell("ok" if entry.ok else "FAILS", "good" if entry.ok else "bad"),
        Cell(place, "dim"),
    )


def _verdict(certificate: Certificate, maximize: bool) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = [
        (Cell("verdict"), Cell(certificate.verdict.value, _tone(certificate.verdict))),
        (Cell(""), Cell(certificate.sentence)),
    ]
    if maximize and certificate.success:
        rows.append((Cell(""), Cell("Of minus the objective, that is: a maximum of the objective.")))
    return rows


def _tone(verdict: Verdict) -> Tone:
    if verdict in (Verdict.LOCAL_MINIMUM, Verdict.GLOBAL_MINIMUM):
        return "good"
    return "strong" if verdict in (Verdict.STATIONARY, Verdict.UNDECIDED) else "bad"


def _count(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}" if number_of == 1 else f"{number_of} {noun}s"


def _listed(names: tuple[str, ...]) -> str:
    text = ", ".join(names[:VIOLATED])
    return text + (f" and {len(names) - VIOLATED} more" if len(names) > VIOLATED else "")
