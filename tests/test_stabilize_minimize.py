"""`minimize(..., stabilize=True)`: a cancellation that fools solvers, repaired before it is solved."""

import jax.numpy as jnp
import pytest

import karush
from karush.core.errors import OptionError

LOWEST = 1e-9
"""lower bound of the probe, and its minimiser: -(1 - cos x)/x^2 rises from -1/2"""


def cancelling(x):
    return -(1 - jnp.cos(x)) / x**2


def test_the_cancelling_probe_is_undecided_as_written_and_solved_when_repaired():
    plain = karush.minimize(cancelling, 1e-8, bounds=(LOWEST, 3.0))
    assert not plain.success
    repaired = karush.minimize(cancelling, 1e-8, bounds=(LOWEST, 3.0), stabilize=True)
    assert repaired.success
    assert repaired.value == -0.5
    # The objective is flat to 1e-8 below 1e-3: what counts is the bound being met by a certified point.
    assert LOWEST <= float(repaired.x) < 1e-3


def test_stabilize_is_yes_or_no_and_needs_a_range():
    with pytest.raises(OptionError, match="True or False"):
        karush.minimize(cancelling, 1.0, stabilize="yes")
    with pytest.raises(OptionError, match="range of params"):
        karush.minimize(lambda x, p: (x - p) ** 2, 1.0, params=2.0, stabilize=True)
