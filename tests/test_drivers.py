"""The Python loop and the compiled loop are one algorithm, and so are the ways into them."""

import jax
import numpy as np
import pytest
from solving import KNOWN, disc, hs71, prepared, rosenbrock

from karush import Status
from karush.core.precision import float64
from karush.linalg.ops import JAX, NUMPY
from karush.solvers import drivers, interior_point, run, start
from karush.solvers.prepared import Fused

pytestmark = pytest.mark.user_style
EPS = np.finfo(float).eps


def fused_run(parts, max_iterations=500):
    packed = parts.run_fused(parts.flat.projected(parts.flat.x0), run.MU_FIRST, max_iterations, 1e-8)
    return packed.point, (packed.status, packed.iterations, packed.evaluations)


def python_run(parts, max_iterations=500):
    state, _ = drivers.python_loop(
        parts.evaluator,
        parts.layout,
        parts.data(1e-8),
        parts.flat.projected(parts.flat.x0),
        run.MU_FIRST,
        lambda state: True,
        max_iterations,
    )
    point = state.point
    return (
        np.concatenate([point.v, point.y, point.z_upper - point.z_lower]),
        (int(state.status), int(state.iterations), int(state.evaluations)),
    )


@pytest.mark.parametrize("make", [rosenbrock, hs71, disc])
@pytest.mark.parametrize("iterations", [1, 3])
def test_the_first_iterates_are_the_same_to_rounding(make, iterations):
    """A step solves a linear system: its rounding is eps times a condition number, here below 1e6."""
    parts = prepared(make).parts
    (compiled, counts), (interpreted, same) = fused_run(parts, iterations), python_run(parts, iterations)
    assert counts == same
    np.testing.assert_allclose(compiled, interpreted, rtol=1e6 * EPS, atol=1e6 * EPS)


@pytest.mark.parametrize("name", ["rosenbrock", "hs71", "disc", "dependent", "fixed and free"])
def test_both_drivers_end_with_the_same_answer_after_the_same_iterations(name):
    solver = prepared(KNOWN[name][0])
    one, other = (solver.solve(driver=driver, method="interior-point") for driver in ("python", "fused"))
    assert one.status is other.status is Status.CONVERGED
    assert one.certificate.verdict is other.certificate.verdict
    assert abs(one.iterations - other.iterations) <= 1  # one rounding may decide the last
    np.testing.assert_allclose(one.x, other.x, atol=1e-9, rtol=1e-9)
    np.testing.assert_allclose(one.y_flat, other.y_flat, atol=1e-6, rtol=1e-6)


def test_one_step_is_the_same_function_on_numpy_and_on_jax():
    """`advance` from the same state with the same values: equal to the rounding of the linear algebra."""
    parts = prepared(hs71).parts
    x = parts.flat.projected(parts.flat.x0)
    with float64(), np.errstate(all="ignore"):
        state = start.state(NUMPY, parts.layout, parts.units, x, run.MU_FIRST)
        for _ in range(4):
            at = parts.evaluator.raw(
                interior_point.trial_x(NUMPY, parts.units, state), interior_point.weights(NUMPY, parts.units, state)
            )
            compiled = interior_point.advance(JAX, parts.layout, parts.units, jax.tree.map(np.asarray, state), *at)
            state = interior_point.advance(NUMPY, parts.layout, parts.units, state, *at)
            np.testing.assert_allclose(compiled.trial_v, state.trial_v, rtol=1e6 * EPS, atol=1e6 * EPS)
            np.testing.assert_allclose(compiled.trial_y, state.trial_y, rtol=1e6 * EPS, atol=1e6 * EPS)
            assert int(compiled.mode) == int(state.mode)
            assert int(compiled.status) == int(state.status)


def test_the_state_keeps_its_shapes_and_types():
    """Static shapes: what a compiled loop, and later vmap, asks for."""
    parts = prepared(hs71).parts
    x = parts.flat.projected(parts.flat.x0)
    with float64():
        state = start.state(JAX, parts.layout, parts.units, x, run.MU_FIRST)
        at = parts.evaluator.raw(x, np.zeros(1 + parts.flat.m))
        after = interior_point.advance(JAX, parts.layout, parts.units, state, *at)
        outlines = [[(leaf.shape, leaf.dtype) for leaf in map(np.asarray, jax.tree.leaves(s))] for s in (state, after)]
    assert outlines[0] == outlines[1]


def test_the_fused_program_is_compiled_once_for_all_starts_and_tolerances():
    solver = prepared(hs71)
    solver.solve(driver="fused")
    program = solver.parts.fused.program
    for start_at, tol in (([2.0, 4.0, 4.0, 2.0], 1e-8), ([1.5, 4.0, 4.0, 1.5], 1e-6), ([1.0, 5.0, 5.0, 1.0], 1e-8)):
        assert solver.solve(start_at, driver="fused", tol=tol).success
    assert solver.parts.fused.program is program
    assert isinstance(program, jax.stages.Compiled) or program._cache_size() == 1


def test_the_iteration_limit_holds_in_the_compiled_loop():
    _, (_, iterations, _) = fused_run(prepared(rosenbrock).parts, 4)
    assert iterations == 4


def test_a_solve_that_begins_within_another_leaves_it_its_own_arguments():
    class Elsewhere:
        """A parameter whose way to the device lets another thread solve."""

        def __array__(self, dtype=None, copy=None):
            fused(np.array([2.0]), (2.0,), [])
            return np.array(3.0)

    fused = Fused(lambda x, settings, *params: np.concatenate([x, settings]))
    with float64():
        np.testing.assert_array_equal(fused(np.array([1.0]), (1.0,), [Elsewhere()]), [1.0, 1.0])
