"""Eigenvalues of a formed Hessian, their errors, and what they say of a point."""

import functools

import jax
import jax.numpy as jnp
import matplotlib as mpl
import mpmath
import numpy as np
import pytest

import karush
from karush.core.errors import OptionError, PrecisionError, ProblemError, TraceError

EPS = np.finfo(np.float64).eps
mpl.use("Agg")


def bowl(x):
    return 0.5 * (x[0] ** 2 + 100.0 * x[1] ** 2)


def rosenbrock(x):
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


def monkey(x):
    return x[0] ** 3 - 3.0 * x[0] * x[1] ** 2


@functools.cache
def at(function, *x):
    return karush.curvature(function, np.array(x))


def test_hessian_of_a_quadratic_is_its_matrix_and_its_eigenbasis_is_orthogonal():
    A = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 2.0]])
    curvature = karush.curvature(lambda x: 0.5 * x @ jnp.asarray(A) @ x, np.array([1.0, -2.0, 0.5]))
    V = curvature.eigenvectors
    assert np.abs(curvature.hessian - A).max() <= 8 * EPS * np.abs(A).max()
    assert np.abs(V.T @ V - np.eye(3)).max() <= 16 * EPS
    assert np.abs(V @ np.diag(curvature.eigenvalues) @ V.T - A).max() <= 64 * EPS * np.abs(A).max()
    assert np.all(np.diff(curvature.eigenvalues) >= 0)
    assert curvature.trace().value == pytest.approx(9.0, abs=curvature.trace().error)


def test_the_best_step_is_the_minimiser_along_the_gradient_and_gains_what_it_predicts():
    curvature = at(bowl, 1.0, 1.0)
    g, H = np.array([1.0, 100.0]), np.diag([1.0, 100.0])
    step = curvature.best_step
    assert step.step == pytest.approx(g @ g / (g @ H @ g), rel=16 * EPS)
    assert step.gain == pytest.approx((g @ g) ** 2 / (2 * g @ H @ g), rel=16 * EPS)
    x = np.array([1.0, 1.0])
    assert bowl(x) - bowl(x - step.step * g) == pytest.approx(step.gain, rel=64 * EPS)
    # A stationary value along the line: the gradient there is orthogonal to the line.
    assert abs(H @ (x - step.step * g) @ g) <= 64 * EPS * (g @ H @ g)


def test_along_negative_curvature_there_is_no_best_step_and_the_words_say_so():
    step = karush.curvature(lambda x: x[0] ** 2 - x[1] ** 2, np.array([0.0, 1.0])).best_step
    assert step.step == np.inf
    assert step.gain == np.inf
    assert "curves downwards" in step.words
    assert karush.curvature(lambda x: 3.0 * x[0], np.array([1.0])).best_step.step == np.inf
    assert at(bowl, 0.0, 0.0).best_step[:2] == (0.0, 0.0)


def test_curvature_along_a_direction_is_the_second_derivative_on_the_line():
    def f(p):
        return jnp.sum(jnp.sin(p["a"])) * p["b"] ** 2 + jnp.exp(p["b"])

    x = {"a": np.array([0.3, -0.7]), "b": 0.4}
    d = {"a": np.array([1.0, 2.0]), "b": -1.5}
    curvature = karush.curvature(f, x)
    with jax.enable_x64(True):
        line = lambda t: f({"a": jnp.asarray(x["a"]) + t * jnp.asarray(d["a"]), "b": x["b"] + t * d["b"]})  # noqa: E731
        truth = float(jax.grad(jax.grad(line))(0.0))
    assert curvature.along(d) == pytest.approx(truth, rel=64 * EPS)
    assert curvature.along(d, unit=True) == pytest.approx(truth / (1 + 4 + 2.25), rel=64 * EPS)
    assert set(curvature.gradient) == {"a", "b"}
    for i in (0, -1):
        assert curvature.along(curvature.eigenvector(i)) == pytest.approx(curvature.eigenvalues[i], rel=1e-13)


def test_curvature_along_a_unit_direction_lies_between_the_extreme_eigenvalues():
    curvature = at(rosenbrock, -1.2, 1.0)
    for angle in np.linspace(0.0, np.pi, 17):
        value = curvature.along(np.array([np.cos(angle), np.sin(angle)]), unit=True)
        assert curvature.reach[0] <= value <= curvature.reach[1]


KINDS = {
    "minimum of a bowl": (bowl, (0.0, 0.0), "minimum"),
    "minimum of a curved valley": (rosenbrock, (1.0, 1.0), "minimum"),
    "maximum": (lambda x: -jnp.sum(jnp.cosh(x)), (0.0, 0.0, 0.0), "maximum"),
    "saddle": (lambda x: x[0] ** 2 - x[1] ** 2, (0.0, 0.0), "saddle"),
    "saddle with a flat direction": (lambda x: x[0] ** 2 - x[1] ** 2 + x[2] ** 4, (0.0, 0.0, 0.0), "saddle"),
    "the same turned, and a little beside": (
        lambda x: (x[0] + x[1]) ** 2 - (x[0] - x[1] + 0.3 * x[2]) ** 2 + 1e-3 * (x[0] - x[1] - 3.0 * x[2]) ** 4,
        (1e-9, 2e-9, 0.0),
        "saddle",
    ),
    "monkey saddle": (monkey, (0.0, 0.0), "degenerate"),
    "quartic": (lambda x: x[0] ** 4, (0.0,), "degenerate"),
    "valley floor": (lambda x: (x[0] - x[1]) ** 2, (1.0, 1.0), "degenerate"),
    "slope": (bowl, (1e-3, 0.0), "not a stationary point"),
    "slope without curvature beside a steep wall": (lambda x: 1e10 * x[1] ** 2 + x[0], (0.0, 0.0), "not a stationary"),
    "beside an inflection": (lambda x: x[0] ** 3, (1e-7,), "undecided"),
    "kink": (lambda x: jax.nn.relu(x[0]) - jax.nn.relu(-x[0]) + x[0] ** 2, (0.0,), "undecided"),
    "cancellation": (lambda x: -(1.0 - jnp.cos(x[0])) / x[0] ** 2, (1e-8,), "undecided"),
    "total cancellation": (lambda x: -(1.0 - jnp.cos(x[0])) / x[0] ** 2, (1e-9,), "undecided"),
    "outside the domain": (lambda x: jnp.log(x[0]), (-1.0,), "undecided"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_point_is_called_what_it_is(name):
    function, x, wanted = KINDS[name]
    curvature = at(function, *x)
    assert curvature.classification.startswith(wanted), curvature.reason
    assert curvature.reason in " ".join(str(curvature).split())


@pytest.mark.parametrize("exponent", [-60, 60])
@pytest.mark.parametrize("name", ["minimum of a curved valley", "saddle", "slope", "monkey saddle"])
def test_scaling_the_function_by_a_power_of_two_changes_no_verdict(name, exponent):
    function, x, wanted = KINDS[name]
    scaled = karush.curvature(lambda x: 2.0**exponent * function(x), np.array(x))
    assert scaled.classification.startswith(wanted), scaled.reason


def test_the_kink_is_named_with_its_line():
    reason = at(*KINDS["kink"][0:1], *KINDS["kink"][1]).reason
    assert "kink" in reason
    assert "test_curvature.py" in reason


def test_partials_that_do_not_commute_are_reported_and_nothing_is_concluded():
    @jax.custom_jvp
    def rotating(x):
        return x[0] * x[1]

    @rotating.defjvp
    def _(primals, tangents):
        # A "gradient" (x₁ + x₁, x₀) that is that of no function: its Jacobian is not symmetric.
        (x,), (d,) = primals, tangents
        return rotating(x), 2.0 * x[1] * d[0] + x[0] * d[1]

    curvature = karush.curvature(rotating, np.array([0.0, 0.0]))
    assert curvature.asymmetry > 0.1
    assert curvature.classification == "undecided"
    assert "not symmetric" in curvature.reason


def test_destroyed_derivatives_get_errors_as_large_as_they_are_wrong():
    curvature = at(*KINDS["total cancellation"][0:1], 1e-9)
    assert abs(curvature.eigenvalues[0] - 1.0 / 12.0) <= curvature.errors[0]
    assert abs(curvature.gradient_norm - 1e-9 / 12.0) <= curvature.gradient_error
    assert curvature.inertia == (0, 0, 1)


def mp_eigenvalues(function, x):
    """Eigenvalues of the Hessian of an mpmath function at the float64 point x, to 40 digits."""
    n = len(x)
    with mpmath.workdps(60):
        point = [mpmath.mpf(float(v)) for v in x]
        H = mpmath.matrix(n)
        for i in range(n):
            for j in range(n):
                order = [0] * n
                order[i] += 1
                order[j] += 1
                H[i, j] = mpmath.diff(lambda *y: function(y, mpmath), point, tuple(order))
        return np.array([float(v) for v in mpmath.eigsy((H + H.T) / 2, eigvals_only=True)])


SMOOTH = {
    "rosenbrock": lambda x, m: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2,
    "himmelblau": lambda x, m: (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2,
    "transcendental": lambda x, m: m.exp(x[0] * x[1]) + m.sin(x[0]) * m.cos(x[2]) + m.log(4 + x[1] + x[2] ** 2),
    "nearly cancelling": lambda x, m: (1 - m.cos(x[0] / 100)) / x[0] ** 2 + x[1] ** 2,
}


@pytest.mark.parametrize("name", SMOOTH)
def test_every_eigenvalue_lies_within_its_error_of_the_truth(name):
    function = SMOOTH[name]
    rng = np.random.default_rng(7)
    for _ in range(6):
        x = rng.uniform(-2.0, 2.0, 3 if name == "transcendental" else 2)
        curvature = karush.curvature(lambda x: function(x, jnp), x)
        off = np.abs(curvature.eigenvalues - mp_eigenvalues(function, x))
        assert np.all(off <= curvature.errors), (x, off, curvature.errors)
        # The bound is of use: it does not cover everything.
        assert curvature.errors[0] <= 1e-6 * np.abs(curvature.eigenvalues).max()


@pytest.mark.parametrize("n", [4, 8, 12])
def test_errors_hold_for_hilbert_matrices_and_so_does_the_range_of_the_condition_number(n):
    A = 1.0 / (np.arange(n)[:, None] + np.arange(n)[None, :] + 1.0)
    curvature = karush.curvature(lambda x: 0.5 * x @ jnp.asarray(A) @ x, np.zeros(n))
    with mpmath.workdps(60):
        exact = mpmath.eigsy(mpmath.matrix(A.tolist()), eigvals_only=True)
        truth = np.array([float(v) for v in exact])
    assert np.all(np.abs(curvature.eigenvalues - truth) <= curvature.errors)
    condition = curvature.condition
    assert condition.lower <= truth[-1] / truth[0] <= condition.upper
    # Beyond 1/ε the least eigenvalues cannot be told from zero, and no minimum is claimed.
    assert curvature.classification == ("degenerate" if n == 12 else "minimum")
    assert (curvature.inertia.zero > 0) == (n == 12)


def test_the_printed_report_says_value_inertia_condition_and_verdict():
    text = str(at(bowl, 0.0, 0.0))
    for part in ("n = 2", "2 positive, 0 negative", "condition number", "100", "minimum:", "x[1]", "±"):
        assert part in text, part
    many = str(karush.curvature(lambda x: jnp.sum(jnp.arange(1.0, 31.0) * x**2), np.zeros(30)))
    assert "20 more" in many


def test_the_plot_of_a_complete_spectrum_shows_every_eigenvalue():
    ax = at(rosenbrock, -1.2, 1.0).plot()
    assert sum(len(line.get_xdata()) for line in ax.lines if line.get_marker() == "o") == 2
    mpl.pyplot.close(ax.figure)


def test_the_density_of_a_complete_spectrum_is_its_eigenvalues():
    density = at(bowl, 0.0, 0.0).density()
    assert density.nodes.tolist() == pytest.approx([1.0, 100.0])
    grid = np.linspace(-20.0, 120.0, 20001)
    assert np.trapezoid(density.at(grid), grid) == pytest.approx(1.0, abs=1e-9)


def test_importing_and_computing_leaves_float32_users_alone():
    x = jnp.ones(2, jnp.float32)
    assert karush.curvature(bowl, x).eigenvalues.tolist() == pytest.approx([1.0, 100.0], rel=1e-13)
    assert jnp.ones(1).dtype == jnp.float32


def square(x):
    return jnp.sum(x**2)


REFUSED = {
    "x not finite": (lambda: karush.curvature(square, [1.0, np.inf]), ProblemError, r"x is inf at x\[1\]"),
    "x of integers": (lambda: karush.curvature(square, np.array([1, 2])), ProblemError, "int64"),
    "f of vectors": (lambda: karush.curvature(lambda x: x**2, [1.0, 2.0]), TraceError, r"shape \(2,\).*return one"),
    "f no function": (lambda: karush.curvature(3.0, [1.0]), ProblemError, "must be a JAX function"),
    "f in float32": (
        lambda: karush.curvature(lambda x: square(x.astype(jnp.float32)), [1.0]),
        PrecisionError,
        "float32",
    ),
    "zero direction": (lambda: at(bowl, 0.0, 0.0).along([0.0, 0.0]), ProblemError, "direction is zero"),
    "direction of another structure": (lambda: at(bowl, 0.0, 0.0).along({"a": 1.0}), ProblemError, "structure"),
    "direction of another shape": (lambda: at(bowl, 0.0, 0.0).along(np.ones(3)), ProblemError, "shape"),
    "direction not finite": (lambda: at(bowl, 0.0, 0.0).along([np.nan, 1.0]), ProblemError, r"nan at x\[0\]"),
    "pairs": (lambda: karush.curvature(square, [1.0], pairs=0), OptionError, "pairs is 0"),
    "rtol": (lambda: karush.curvature(square, [1.0], rtol=2.0), OptionError, "rtol is 2.0"),
    "tol": (lambda: karush.curvature(square, [1.0], tol=0.0), OptionError, "tol is 0.0"),
    "index": (lambda: at(bowl, 0.0, 0.0).eigenvector(2), OptionError, "index is 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_naming_argument_and_value(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()
