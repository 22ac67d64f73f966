"""Bad input is refused with an error that names the argument, its value and the cure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import karush
from karush import between, equal, errors, linear

START = np.array([0.5, 2.0])


def square(x):
    return jnp.sum(x**2)


def solve(x0=START, f=square, **arguments):
    return karush.minimize(f, x0, **arguments)


def with_rows(*args, kind=between, **limits):
    return solve(constraints=[kind(*args, **limits)])


# what is done, what is raised, words that the message must hold: argument, value, cure
BAD_STARTS = {
    "an integer array": (lambda: solve(np.array([1, 2])), errors.ProblemError, ("x0", "int64", "astype(float)")),
    "a complex array": (lambda: solve(np.array([1j, 0])), errors.ProblemError, ("x0", "1.j", "floating")),
    "text": (lambda: solve("abc"), errors.ProblemError, ("x0", "'abc'", "give")),
    "nothing": (lambda: karush.minimize(square), errors.ProblemError, ("x0", "None", "give a start")),
    "no numbers": (lambda: solve(np.zeros(0)), errors.ProblemError, ("x0", "no numbers", "give")),
    "an empty tree": (lambda: solve({}), errors.ProblemError, ("x0", "{}", "give")),
    "NaN": (lambda: solve(np.array([1.0, np.nan])), errors.ProblemError, ("x0", "x[1]", "nan", "finite")),
    "infinity": (lambda: solve({"a": np.array([np.inf])}), errors.ProblemError, ("x0", "a[0]", "inf", "finite")),
}
BAD_BOUNDS = {
    "crossed": (lambda: solve(bounds=(1.0, -1.0)), ("bounds", "x[0]", "1.0", "-1.0", "lower <= upper")),
    "NaN": (lambda: solve(bounds=(np.nan, None)), ("bounds", "x[0]", "nan", "lower <= upper")),
    "+inf below": (lambda: solve(bounds=(np.inf, None)), ("bounds", "x[0]", "inf")),
    "another shape": (lambda: solve(bounds=(np.zeros(3), None)), ("lower", "(3,)", "(2,)", "give a scalar")),
    "one number": (lambda: solve(bounds=3.0), ("bounds", "3.0", "(lower, upper)")),
    "text": (lambda: solve(bounds=("low", None)), ("lower", "'low'", "real numbers")),
    "another structure": (
        lambda: solve({"a": 1.0}, lambda x: x["a"] ** 2, bounds=({"b": 0.0}, None)),
        ("lower", "prefix", "'b'"),
    ),
    "pairs for another number of variables": (lambda: solve(bounds=[(0, 1)] * 3), ("bounds", "(0, 1)", "give")),
    "a tuple of two pairs": (lambda: solve(bounds=((0, 1), (0, 1))), ("bounds", "((0, 1), (0, 1))", "list of tuples")),
}
BAD_CONSTRAINTS = {
    "no function": (lambda: equal(3.0), ("equal", "3.0", "JAX function")),
    "no limit": (lambda: between(square), ("between", "None", "at least one limit")),
    "no limit of a linear one": (lambda: linear(np.eye(2)), ("linear", "None", "at least one limit")),
    "no target": (lambda: equal(square, None), ("equal", "None", "between")),
    "crossed limits": (
        lambda: with_rows(square, lower=1.0, upper=0.0, name="band"),
        ("'band'", "1.0", "0.0", "lower <= upper"),
    ),
    "a NaN limit": (lambda: with_rows(square, lower=np.nan, name="band"), ("'band'", "nan", "lower <= upper")),
    "an infinite target": (lambda: with_rows(square, np.inf, kind=equal, name="goal"), ("'goal'", "inf")),
    "limits of another shape": (
        lambda: with_rows(lambda x: x, upper=np.ones(3), name="band"),
        ("'band'", "upper", "(3,)", "(2,)", "broadcasts"),
    ),
    "a limit that is text": (lambda: with_rows(square, upper="much"), ("upper", "'much'", "real numbers")),
    "a matrix of other columns": (lambda: with_rows(np.ones((1, 3)), kind=linear, upper=1.0), ("(1, 3)", "2 numbers")),
    "a matrix of three axes": (lambda: with_rows(np.ones((1, 1, 2)), kind=linear, upper=1.0), ("(1, 1, 2)", "(k, n)")),
    "a matrix with NaN": (lambda: with_rows(np.full((1, 2), np.nan), kind=linear, upper=1.0), ("A", "finite")),
    "a sparse matrix with NaN": (
        lambda: with_rows(scipy.sparse.csr_matrix([[np.nan, 1.0]]), kind=linear, upper=1.0),
        ("A", "nan", "finite"),
    ),
    "a bare function": (lambda: solve(constraints=square), ("constraints[0]", "function", "karush.equal")),
    "SciPy's dictionary": (
        lambda: solve(constraints={"type": "ineq", "fun": square}),
        ("constraints[0]", "'ineq'", "between(g, lower=0.0)"),
    ),
    "SciPy's object": (
        lambda: solve(constraints=scipy.optimize.NonlinearConstraint(square, 0.0, 1.0)),
        ("constraints[0]", "NonlinearConstraint", "karush.between"),
    ),
    "a name used twice": (
        lambda: solve(constraints=[equal(square, name="a"), equal(square, name="a")]),
        ("name", "'a'", "differ"),
    ),
    "the name of an unnamed one": (
        lambda: solve(constraints=[equal(square), equal(square, name="constraint 0")]),
        ("name", "'constraint 0'", "differ"),
    ),
    "a reserved name": (lambda: with_rows(square, kind=equal, name="bounds"), ("name", "'bounds'", "change it")),
    "a name that is no text": (lambda: with_rows(square, kind=equal, name=3), ("name", "3", "give text")),
}
UNTRACEABLE = {
    "an objective in NumPy": (lambda: solve(f=lambda x: np.sum(np.sin(x))), ("objective", "jax.numpy")),
    "a branch on a value": (lambda: solve(f=lambda x: x[0] if x[0] > 0 else x[1]), ("objective", "jnp.where")),
    "a conversion to float": (lambda: solve(f=lambda x: float(x[0])), ("objective", "jax.numpy")),
    "a constraint in NumPy": (
        lambda: with_rows(lambda x: np.asarray(x), upper=1.0, name="sums"),
        ("'sums'", "jax.numpy"),
    ),
    "an objective of shape (1,)": (lambda: solve(f=lambda x: x[:1]), ("objective", "(1,)", "jnp.sum")),
    "an objective of two parts": (lambda: solve(f=lambda x: (x[0], x[1])), ("objective", "shape ()")),
    "an objective that is None": (lambda: solve(f=lambda x: None), ("objective", "None", "one real number")),
    "an objective that is complex": (lambda: solve(f=lambda x: x.astype(complex)[0]), ("objective", "complex", "real")),
    "an operation without a derivative": (
        lambda: solve(f=lambda x: jnp.nextafter(x[0], 2.0)),
        ("'nextafter'", "test_errors.py", "derivative"),
    ),
    "a callback without a derivative": (
        lambda: solve(f=lambda x: jax.pure_callback(np.sum, jax.ShapeDtypeStruct((), x.dtype), x)),
        ("'pure_callback'", "test_errors.py", "derivative"),
    ),
    "an objective that is true or false": (lambda: solve(f=lambda x: x[0] > 0), ("objective", "bool", "real")),
    "a constraint that is None": (lambda: with_rows(lambda x: None, upper=1.0, name="c"), ("'c'", "None", "rows")),
    "a constraint of bools": (lambda: with_rows(lambda x: x > 0, upper=1.0, name="c"), ("'c'", "bool", "floating")),
}
BAD_OPTIONS = {
    "an unknown one": (lambda: solve(maxiter=3), ("'maxiter'", "max_iterations")),
    "an unknown one of prepare": (lambda: karush.prepare(square, START, bound=3), ("'bound'", "bounds")),
    "an unknown one of solve": (lambda: karush.prepare(square, START).solve(bounds=(0, 1)), ("'bounds'", "tol")),
    "a part beside a problem": (
        lambda: karush.minimize(karush.Problem(square, START), bounds=(0, 1)),
        ("'bounds'", "put it into the Problem"),
    ),
    "a method": (lambda: solve(method="nelder-mead"), ("method", "'nelder-mead'", "'interior-point'", "'slsqp'")),
    "a driver": (lambda: solve(driver="jit"), ("driver", "'jit'", "'fused'")),
    "a watched fused run": (lambda: solve(driver="fused", progress=True), ("driver", "'fused'", "'python'")),
    "tol below 0": (lambda: solve(tol=-1.0), ("tol", "-1.0", "between 0 and 1")),
    "tol NaN": (lambda: solve(tol=np.nan), ("tol", "nan", "between 0 and 1")),
    "tol as text": (lambda: solve(tol="1e-8"), ("tol", "'1e-8'", "between 0 and 1")),
    "no iterations": (lambda: solve(max_iterations=0), ("max_iterations", "0", "positive integer")),
    "half an iteration": (lambda: solve(max_iterations=0.5), ("max_iterations", "0.5", "positive integer")),
    "no time": (lambda: solve(time_limit=0), ("time_limit", "0", "positive")),
    "time as text": (lambda: solve(time_limit="1 s"), ("time_limit", "'1 s'", "positive")),
    "a callback that is none": (lambda: solve(callback=3), ("callback", "3", "function")),
    "options for a backend that is not named": (
        lambda: solve(backend_options={"mu_init": 1.0}),
        ("backend_options", "'mu_init'", "'auto'", "method='ipopt'"),
    ),
    "no starts": (lambda: karush.multistart(square, START, starts=0), ("starts", "0", "positive")),
    "starts as text": (lambda: karush.multistart(square, START, starts="many"), ("starts", "'many'", "list of starts")),
    "an empty list of starts": (
        lambda: karush.multistart(square, START, starts=[]),
        ("starts", "[]", "list of starts"),
    ),
    "warm from an array": (lambda: karush.prepare(square, START).solve(warm=START), ("warm", "ndarray", "Result")),
}


def unsaid(action, error, words):
    """Which of the words the message of karush's error lacks."""
    with pytest.raises(error) as caught:
        action()
    assert isinstance(caught.value, errors.KarushError)
    return [f"{word} in: {caught.value}" for word in words if word not in str(caught.value)]


@pytest.mark.parametrize("case", BAD_STARTS)
def test_a_start_is_refused_that_is(case):
    assert not unsaid(*BAD_STARTS[case])


@pytest.mark.parametrize("case", BAD_BOUNDS)
def test_bounds_are_refused_that_are(case):
    assert not unsaid(BAD_BOUNDS[case][0], errors.ProblemError, BAD_BOUNDS[case][1])


@pytest.mark.parametrize("case", BAD_CONSTRAINTS)
def test_a_constraint_is_refused_that_has(case):
    assert not unsaid(BAD_CONSTRAINTS[case][0], errors.ProblemError, BAD_CONSTRAINTS[case][1])


@pytest.mark.parametrize("case", UNTRACEABLE)
def test_a_function_is_refused_that_is(case):
    assert not unsaid(UNTRACEABLE[case][0], errors.TraceError, UNTRACEABLE[case][1])


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_an_option_is_refused_that_is(case):
    assert not unsaid(BAD_OPTIONS[case][0], errors.OptionError, BAD_OPTIONS[case][1])


def test_an_objective_must_be_a_function():
    assert not unsaid(lambda: solve(f=3.0), errors.ProblemError, ("objective", "3.0", "JAX function"))


def test_an_error_of_the_users_own_function_passes_and_says_which_function_it_was():
    def broken(x):
        raise KeyError("resistance")

    with pytest.raises(KeyError, match="resistance") as caught:
        solve(constraints=[between(broken, upper=1.0, name="losses")])
    assert "losses" in caught.value.__notes__[0]


def test_an_error_of_the_users_own_callback_passes():
    def broken(row):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        solve(callback=broken)


def test_promises_are_true_or_false():
    assert not unsaid(lambda: solve(convex="no"), errors.ProblemError, ("convex", "'no'", "True or False"))
    assert not unsaid(lambda: solve(maximize=1), errors.ProblemError, ("maximize", "1", "True or False"))


def test_a_typed_random_key_in_params_is_refused_with_the_cure():
    def noisy(x, p):
        return jnp.sum(x**2)

    assert not unsaid(
        lambda: karush.prepare(noisy, START, params={"key": jax.random.key(0)}),
        errors.ProblemError,
        ("params['key']", "key_data"),
    )


def test_scales_must_be_positive_and_of_known_constraints():
    def scaled(**scales):
        return lambda: solve(constraints=[equal(square, 1.0, name="ball")], scales=karush.Scales(**scales))

    assert not unsaid(scaled(x=0.0), errors.ProblemError, ("scales.x", "0", "positive"))
    assert not unsaid(scaled(objective=-1.0), errors.ProblemError, ("scales.objective", "-1.0", "positive"))
    assert not unsaid(scaled(objective="large"), errors.ProblemError, ("scales.objective", "'large'", "real numbers"))
    assert not unsaid(scaled(objective=START), errors.ProblemError, ("scales.objective", "one positive number"))
    assert not unsaid(scaled(constraints={"ball": np.ones(3)}), errors.ProblemError, ("'ball'", "3 numbers", "1 rows"))
    assert not unsaid(
        scaled(constraints={"cube": 1.0}), errors.ProblemError, ("scales.constraints", "'cube'", "'ball'")
    )
    assert not unsaid(scaled(constraints={"ball": -1.0}), errors.ProblemError, ("scales.constraints", "positive"))
    assert not unsaid(lambda: solve(scales=2.0), errors.ProblemError, ("scales", "2.0", "karush.Scales"))


def test_a_certificate_is_refused_for_points_and_multipliers_that_do_not_fit():
    problem = karush.Problem(square, START, constraints=[equal(jnp.sum, 1.0, name="sum")])
    prepared = karush.prepare(problem)
    assert not unsaid(lambda: karush.certify(square, START), errors.ProblemError, ("karush.Problem", "function"))
    assert not unsaid(lambda: prepared.certify(np.ones(3)), errors.ProblemError, ("x", "(3,)", "(2,)"))
    assert not unsaid(lambda: prepared.certify({"a": 1.0, "b": 2.0}), errors.ProblemError, ("x", "{'a': 1.0"))
    assert not unsaid(
        lambda: prepared.certify(START, {"total": 1.0}), errors.ProblemError, ("'total'", "sum", "bounds")
    )
    assert not unsaid(lambda: prepared.certify(START, {}), errors.ProblemError, ("multipliers", "'sum'"))
    assert not unsaid(
        lambda: prepared.certify(START, {"sum": [1.0, 2.0]}), errors.ProblemError, ("'sum'", "(2,)", "()")
    )
    assert not unsaid(lambda: prepared.certify(START, tol=2.0), errors.OptionError, ("tol", "2.0"))


def test_a_prepared_problem_refuses_starts_and_params_of_another_shape():
    prepared = karush.prepare(lambda x, p: jnp.sum((x - p["at"]) ** 2), START, params={"at": np.ones(2)})
    assert not unsaid(lambda: prepared.solve(np.ones(3)), errors.ProblemError, ("x0", "(3,)", "(2,)"))
    assert not unsaid(
        lambda: prepared.solve(np.array([1.0, np.inf])), errors.ProblemError, ("x0", "x[1]", "inf", "finite")
    )
    assert not unsaid(
        lambda: prepared.solve(params={"at": np.ones(3)}), errors.ProblemError, ("params", "(3,)", "(2,)")
    )
    assert not unsaid(
        lambda: prepared.solve(params={"to": np.ones(2)}), errors.ProblemError, ("params", "'to'", "'at'")
    )
    assert prepared.solve().success


def test_every_error_of_karush_is_also_pythons_own():
    assert issubclass(errors.ProblemError, ValueError)
    assert issubclass(errors.TraceError, errors.ProblemError)
    assert issubclass(errors.PrecisionError, errors.ProblemError)
    assert issubclass(errors.OptionError, TypeError)
    assert issubclass(errors.BackendMissing, ImportError)
    assert issubclass(errors.FileError, ValueError)
