"""No probe gets a verdict that contradicts its truth."""

from pathlib import Path

import pytest

from benchmarks import probes
from benchmarks.probe import MINIMUM, Probe

PAGE = Path(__file__).parents[1] / "docs" / "probes.md"
AT_LEAST = 30
"""The probes of the design's table, and 20 more"""


@pytest.mark.user_style
@pytest.mark.parametrize("probe", probes.PROBES, ids=lambda probe: probe.name)
def test_no_verdict_is_wrong(probe: Probe):
    wrong = [answer for answer in probes.ask(probe) if not answer.ok]
    assert not wrong, "\n".join(f"{a.place} at {a.x}: {a.verdict}, accepted: {probes.words(a.accepted)}" for a in wrong)


def test_page_holds_the_accepted_verdicts():
    assert probes.table() in PAGE.read_text(), "paste the output of: python -m benchmarks.probes --table"


def test_names_are_distinct():
    names = [probe.name for probe in probes.PROBES]
    assert len(set(names)) == len(names) >= AT_LEAST


def test_every_probe_that_can_succeed_knows_its_minima():
    assert all(probe.is_minimum is not None for probe in probes.PROBES if probe.accepted & MINIMUM)
