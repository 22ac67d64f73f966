"""Rescaling by powers of two changes nothing in a certificate."""

import jax.numpy as jnp
import numpy as np
import pytest
from certifying import ready
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import fsolve

import karush
from karush.certificates import Scales, judge, typical_scales
from karush.certificates.analysis import analyse
from karush.core.status import Verdict
from karush.derivatives.evaluator import Evaluator
from karush.problem.constraints import between
from karush.problem.flat import flatten
from karush.problem.problem import Problem


def scaled_family():
    """min a·g(x/b)  s.t.  d·h(x/b) >= d·2, in units a, b, d that are parameters: compiled once for all of them."""

    def objective(x, units):
        u = x / units[1]
        return units[0] * (jnp.exp(u[0]) + u[0] * u[1] + u[1] ** 2 + 0.5 * u[2] ** 2 + jnp.cos(u[2]))

    def row(x, units):
        u = x / units[1]
        return units[2] * (u[0] + u[1] ** 2 + u[2])

    def problem(a, b, d):
        return Problem(
            objective,
            b * np.array([1.0, 2.0, 0.5]),
            bounds=(b * np.array([0.25, -4.0, -1.0]), b * np.array([8.0, 4.0, np.inf])),
            constraints=[between(row, lower=d * 1.5, name="row")],
            params=np.array([a, b, d]),
        )

    flat = flatten(problem(1.0, 1.0, 1.0))
    evaluator = Evaluator(flat.closed_jaxpr, flat.param_leaves, flat.m)
    return problem, evaluator


FAMILY = scaled_family()


def minimum_of_family():
    """u0 on its lower bound, the row active: stationarity in u1, u2 and the row, for u1, u2 and the row's y."""

    def equations(unknown):
        u1, u2, y = unknown
        return [0.25 + 2 * u1 + 2 * y * u1, u2 - np.sin(u2) + y, 0.25 + u1**2 + u2 - 1.5]

    u1, u2, _ = fsolve(equations, [-0.15, 1.2, -0.3], xtol=1e-14)
    return np.array([0.25, u1, u2])


POINTS = {
    "minimum": minimum_of_family(),
    "elsewhere": np.array([1.0, 1.0, 0.5]),
    "infeasible": np.array([0.25, 0.0, 0.0]),
}


@given(a=st.integers(-40, 40), b=st.integers(-40, 40), d=st.integers(-40, 40), place=st.sampled_from(sorted(POINTS)))
@settings(max_examples=40)
def test_powers_of_two_change_nothing(a, b, d, place):
    problem, evaluator = FAMILY

    def entries(a, b, d):
        flat = flatten(problem(a, b, d))
        evaluator.set_params(flat.param_leaves)
        analysis = analyse(flat.closed_jaxpr, flat.param_leaves)
        certificate = judge(flat, evaluator, b * POINTS[place], analysis=analysis)
        return certificate.verdict, [(entry.name, entry.value, entry.ok) for entry in certificate.entries]

    verdict, numbers = entries(1.0, 1.0, 1.0)
    assert (verdict is Verdict.LOCAL_MINIMUM) == (place == "minimum")
    assert entries(2.0**a, 2.0**b, 2.0**d) == (verdict, numbers)


def test_scales_are_powers_of_two_and_the_users_where_given():
    case = ready(lambda x: jnp.sum(x**2), [3.0, 0.0], bounds=([-np.inf, 0.0], [np.inf, 5.0]))
    scales = typical_scales(case.flat, case.evaluator(case.flat.x0, np.zeros(0)))
    assert isinstance(scales, Scales)
    np.testing.assert_array_equal(scales.x, [2.0, 4.0])
    assert np.frexp(scales.f)[0] == 0.5


@pytest.mark.parametrize("driver", ["python", "fused"])
def test_a_start_is_no_minimum_by_the_typical_sizes_of_other_parameters(driver):
    """min p (x − 1)² from 0, prepared with p = 1 and solved with p = 1e-12, whose slope at 0 is 2e-12."""
    problem = Problem(lambda x, p: p * jnp.sum((x - 1.0) ** 2), np.zeros(2), params=1.0)
    prepared = karush.prepare(problem)
    assert prepared.solve(driver=driver).success
    small = prepared.solve(params=1e-12, driver=driver)
    np.testing.assert_allclose(small.x, np.ones(2), rtol=1e-8)
    assert small.success
