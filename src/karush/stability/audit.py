"""`karush.audit`: where a function of a pytree goes wrong in floating point on a box, and where it provably does not.

```
unsafe    an input in the box at which ``jax.jit(f)`` is wrong: exact value finite, computed one not, or more than
          4 bits lost beyond what half an ulp of change of the inputs does
safe      an enclosure of every rounding error on the whole box is below that (calibrated intervals)
unknown   neither
```
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from karush.core.errors import OptionError, TraceError
from karush.stability.audit_kinds import classified, rewritten
from karush.stability.audit_measure import Damage, Screen, confirm, digits
from karush.stability.audit_pieces import Pieces
from karush.stability.audit_points import COUNT, chosen, first_round, near_the_worst, within
from karush.stability.audit_safe import proved_safe
from karush.stability.audit_truth import Exact
from karush.stability.blame import Instrumented
from karush.stability.excerpt import expression_at
from karush.stability.findings import Audit, AuditVerdict, Finding, Part
from karush.stability.repairs import repair_for
from karush.stability.straight import straightened
from karush.stability.subject import Subject, cotangent, gradient_subject, read_box, value_subject

ROUNDS = 4
"""rounds of search near the worst points, after the first"""
CONFIRMED = 24
"""worst points whose exact values are computed"""
STUMBLED = 4
"""ends of pieces, the first ones, at which a proof may have stumbled, whose exact values are computed"""
SPOT_CHECKS = 96
"""points of every rule whose exact values are computed, whatever the screen says"""
SPOT_CHECKS_ALONE = 384
"""the same for float64, which has no screen"""
BLAMED = 10
"""damaged outputs that are traced to their operation"""


def audit(
    f: Callable[[Any], Any], box: Any, *, gradient: bool = True, effort: float = 1.0, seed: int = 0, name: str = ""
) -> Audit:
    """Findings and verdict of a function on a box, in the dtype that it runs in.

    Parameters
    ----------
    f
        JAX function of one pytree of float32 or float64 arrays, returning any pytree of real arrays.
    box
        A `karush.Box`, or sample data: the inputs as arrays with one more axis in front, one row per sample; then the
        box is the one around the samples, and the samples are tested themselves.
    gradient
        Whether the gradient by JAX is audited as well: of f if it returns one number, else of a fixed weighted sum.
    effort
        Factor on the subdivision that the proof of *safe* may spend.
    seed
        Of the points.
    name
        What to call the function; its own name if empty.

    Raises
    ------
    ProblemError
        for a box that is none, or of integers, complex numbers or mixed dtypes.
    TraceError
        for a function that cannot be traced.
    """
    if not effort >= 0.0:
        raise OptionError(f"effort is {effort!r}; give a number >= 0")
    began = time.perf_counter()
    inputs, lower, upper, samples = read_box(box)
    label = name or getattr(f, "__name__", "f").replace("<lambda>", "f")
    value = value_subject(f, inputs, label)
    search = Search(value, lower, upper, samples, seed, effort)
    searches = [search]
    if gradient:
        searches.append(Search(gradient_subject(f, value, label), lower, upper, samples, seed, effort, of=search))
    parts = tuple(each.part() for each in searches)
    points = sum(each.count for each in searches)
    return Audit(label, str(inputs.dtype), parts, time.perf_counter() - began, points)


class Search:
    """The audit of one part: points, exact values, blame, proof."""

    def __init__(
        self,
        subject: Subject,
        lower: np.ndarray,
        upper: np.ndarray,
        samples: np.ndarray,
        seed: int,
        effort: float,
        of: "Search | None" = None,
    ):
        self.subject, self.lower, self.upper, self.samples, self.effort = subject, lower, upper, samples, effort
        self.rng = np.random.default_rng(seed)
        self.of = of
        self.straight = straightened(subject.closed, lower.size, lower.dtype)
        self.exact = Exact(self.straight)
        self.screen = Screen(subject, self.straight)
        self.unread = ""
        self.accuracy = float("nan")
        self.count = 0

    def part(self) -> Part:
        """Verdict and findings."""
        name = self.subject.part
        damages = self.damages()
        findings = self.findings(damages)
        if findings:
            return Part(name, AuditVerdict.UNSAFE, findings, _counted(findings), self.accuracy)
        if self.unread:
            return Part(name, AuditVerdict.UNKNOWN, (), self.unread, self.accuracy)
        if damages:
            reason = "damage was seen by the exact values, but not when the function was compiled on its own"
            return Part(name, AuditVerdict.UNKNOWN, (), reason, self.accuracy)
        safe, reason, unsettled = proved_safe(
            self.straight, self.screen, self.lower, self.upper, self.effort, self.sound_at, self.moving()
        )
        findings = self.findings(self.damages_within(unsettled)) if unsettled is not None else ()
        if findings:
            return Part(name, AuditVerdict.UNSAFE, findings, _counted(findings), self.accuracy)
        return Part(name, AuditVerdict.SAFE if safe else AuditVerdict.UNKNOWN, (), reason, self.accuracy)

    def damages(self) -> list[Damage]:
        """Damaged outputs, by exact values, the worst first."""
        points = first_round(self.lower, self.upper, self.samples, self.exact.program, self.rng)
        checks = SPOT_CHECKS if self.screen.wide is not None else SPOT_CHECKS_ALONE
        kept_x, kept_v, kept_score = [], [], []
        for turn in range(ROUNDS + 1):
            computed = self.screen.computed(points)
            scores = self.screen.scores(points, computed, self.rng)
            self.count += len(points)
            ranked = np.nanmax(np.where(np.isnan(scores), -1.0, scores), axis=1)
            # What is not a number, and whose shadow is none either, is looked at by exact values.
            strange = ~np.isfinite(computed).all(axis=1) & (ranked < 0.0)
            ranked = np.where(strange, 0.5, ranked)
            kept_x.append(points)
            kept_v.append(computed)
            kept_score.append(ranked)
            if turn == ROUNDS or self.screen.wide is None:
                break
            every = [np.concatenate(part) for part in (kept_x, kept_score, kept_v)]
            sizes = np.max(np.where(np.isfinite(every[2]), np.abs(every[2]), 0.0), axis=1)
            points = near_the_worst(every[0], every[1], sizes, self.lower, self.upper, self.rng)
        x, v, score = np.concatenate(kept_x), np.concatenate(kept_v), np.concatenate(kept_score)
        found = self.confirmed(x, v, chosen(x, v, score, CONFIRMED))
        some = self.rng.choice(len(kept_x[0]), min(checks, len(kept_x[0])), replace=False)
        found += self.confirmed(x, v, some)
        return sorted(found, key=lambda damage: (damage.finite, -damage.bits))

    def confirmed(self, x: np.ndarray, v: np.ndarray, rows: Any) -> list[Damage]:
        """The damage at chosen points by exact values."""
        found: list[Damage] = []
        for row in rows:
            try:
                truth = self.truth(x[row], v[row])
            except TraceError as error:
                self.unread = str(error)
                return found
            if truth is None:
                continue
            damages = confirm(self.exact, x[row], v[row], truth)
            for damage in damages:
                self.accuracy = np.fmax(self.accuracy, damage.accuracy)
            found += damages
        return found

    def moving(self) -> np.ndarray:
        """Which inputs (n,) the outputs were seen to move with: halving along others is of no use."""
        points = first_round(self.lower, self.upper, self.samples, self.exact.program, np.random.default_rng(0))
        before = self.screen.computed(points)
        moves = np.zeros(self.lower.size, bool)
        for i in range(self.lower.size):
            changed = points.copy()
            changed[:, i] = np.roll(points[:, i], 1)
            moves[i] = not np.array_equal(before, self.screen.computed(changed), equal_nan=True)
        return moves

    def sound_at(self, x: np.ndarray) -> bool:
        """Whether the compiled function is right at one point, by its exact value."""
        computed = self.screen.computed(np.repeat(x[None], COUNT, axis=0))[0]
        truth = self.truth(x, computed)
        return truth is not None and not confirm(self.exact, x, computed, truth)

    def damages_within(self, pieces: Pieces) -> list[Damage]:
        """Damaged outputs on pieces where the proof has failed."""
        points = within(pieces, self.lower, self.upper, self.rng)
        computed = self.screen.computed(points)
        scores = np.nanmax(np.nan_to_num(self.screen.scores(points, computed, self.rng), nan=-1.0), axis=1)
        self.count += len(points)
        rows = np.unique(np.append(chosen(points, computed, scores, CONFIRMED), np.arange(STUMBLED)))
        found = self.confirmed(points, computed, rows)
        return sorted(found, key=lambda damage: (damage.finite, -damage.bits))

    def truth(self, x: np.ndarray, v: np.ndarray) -> Any:
        """Exact outputs at x; where the program is undefined and the computed output is no number, limits."""
        values = self.exact.value(x)
        if np.all(np.isfinite(v)):
            return values
        missing = values is None or not all(ball.is_finite() for ball in values)
        if not missing:
            return values
        if self.of is not None:
            known = self.of.exact.value(x)
            if known is None or not all(ball.is_finite() for ball in known):
                return values
            weights = cotangent(len(self.of.subject.outputs)).astype(x.dtype)
            other = self.of.exact.derivatives(x, weights)
        else:
            other = self.exact.limit(x, self.lower, self.upper)
        if values is None:
            return other
        return np.array([a if a.is_finite() else b for a, b in zip(values, other, strict=True)], dtype=object)

    def findings(self, damages: list[Damage]) -> tuple[Finding, ...]:
        """One finding per kind and place, the worst witness of each."""
        if not damages:
            return ()
        run = Instrumented(self.exact)
        found: dict[Any, Finding] = {}
        for damage in spread(damages, BLAMED):
            finding = self.finding(run, damage)
            if finding is None:
                continue
            key = (finding.kind, finding.place.file, finding.place.line, finding.place.column)
            if key not in found or found[key].bits < finding.bits:
                found[key] = finding
        return tuple(sorted(found.values(), key=lambda item: (not item.severe, -item.bits)))

    def finding(self, run: Instrumented, damage: Damage) -> Finding | None:
        """What is to blame for one damaged output, if the user's function compiled on its own shows it."""
        subject, inputs = self.subject, self.subject.inputs
        witness = inputs.unravel(damage.x)
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            alone = np.asarray(subject.call(witness))
        again = [d for d in confirm(self.exact, damage.x, alone, self._as_truth(damage)) if d.output == damage.output]
        if not again:
            return None
        shown = float(alone[damage.output])
        blame = run.blame(damage.x, damage.output, damage.exact, shown)
        if blame is None:
            kind, step, detail = rewritten(run, damage.x, damage.output, shown)
        else:
            kind, step, detail = classified(run, blame, subject.part, shown)
        bits = again[0].bits
        place = step.place
        return Finding(
            kind=kind,
            part=subject.part,
            place=place,
            expression=expression_at(place, step.primitive) or step.primitive,
            bits=bits,
            severe=bits > digits(inputs.dtype) / 2,
            witness=witness,
            point=inputs.words(damage.x),
            output=subject.outputs[damage.output],
            computed=float(alone[damage.output]),
            exact=float(damage.exact.mid()),
            detail=detail,
            repair=repair_for(run.program, step, kind),
        )

    def _as_truth(self, damage: Damage) -> Any:
        values = self.truth(damage.x, np.full(1, np.nan))
        return values


def spread(damages: list[Damage], count: int) -> list[Damage]:
    """Damages of different looks, the worst of each first."""
    looks: dict[Any, list[Damage]] = {}
    for damage in damages:
        computed = damage.computed
        look = "nan" if np.isnan(computed) else "inf" if np.isinf(computed) else "zero" if computed == 0.0 else "other"
        looks.setdefault((look, damage.output), []).append(damage)
    out: list[Damage] = []
    depth = 0
    while len(out) < count and any(len(queue) > depth for queue in looks.values()):
        out += [queue[depth] for queue in looks.values() if len(queue) > depth]
        depth += 1
    return out[:count]


def _counted(findings: tuple[Finding, ...]) -> str:
    kinds = sorted({finding.kind.value for finding in findings})
    return f"{len(findings)} finding{'s' if len(findings) > 1 else ''}: {', '.join(kinds)}"


__all__ = ["audit"]
