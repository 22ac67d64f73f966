"""`minimize(..., stabilize=True)`: a cancellation that fools solvers, repaired before it is solved."""

import jax.numpy as jnp
import pytest

import karush
from karush.core.errors import OptionError, ProblemError, RoundingWarning

LOWEST = 1e-9
"""lower bound of the probe, and its minimiser: -(1 - cos x)/x^2 rises from -1/2"""


def cancelling(x):
    return -(1 - jnp.cos(x)) / x**2


def test_the_cancelling_probe_is_undecided_as_written_and_solved_when_repaired():
    with pytest.warns(RoundingWarning, match="cancellation"):
        plain = karush.minimize(cancelling, 1e-8, bounds=(LOWEST, 3.0))
    assert not plain.success
    repaired = karush.minimize(cancelling, 1e-8, bounds=(LOWEST, 3.0), stabilize=True)
    assert repaired.success
    assert repaired.value == -0.5
    # The objective is flat to 1e-8 below 1e-3: what counts is the bound being met by a certified point.
    assert LOWEST <= float(repaired.x) < 1e-3


def test_constraints_and_functions_of_params_are_repaired_too():
    def share(x, p):
        return (1 - jnp.cos(p["k"] * x)) / (p["k"] * x) ** 2

    # As it is written the row is 0 below 1e-8; exactly it falls from 1/2, so that x <= 1e-9 is all that 0.5 lets be.
    problem = karush.Problem(
        lambda x, p: x * p["k"],
        1e-8,
        bounds=(LOWEST, 3.0),
        constraints=[karush.between(share, lower=0.25, name="share")],
        params={"k": 1.0},
    )
    result = karush.minimize(problem, stabilize=True)
    assert result.success
    assert abs(float(result.x) - LOWEST) < 1e-8
    with pytest.warns(RoundingWarning):
        assert not karush.minimize(problem).success


def test_stabilize_is_yes_or_no_and_takes_no_whole_numbers():
    with pytest.raises(OptionError, match="True or False"):
        karush.minimize(cancelling, 1.0, stabilize="yes")
    with pytest.raises(ProblemError, match="int"):
        karush.minimize(lambda x, p: (x - p) ** 2, 1.0, params=2, stabilize=True)
