"""gradient, directional, jacobian, hessian: JAX's derivatives, at the door, in the right precision, inside a trace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
from karush.core.errors import BackendMissing, ProblemError, TraceError

EPS = np.finfo(float).eps
pytestmark = pytest.mark.user_style
TREE = {"a": 2.0, "b": np.array([1.0, -3.0])}


def model(p):
    return p["a"] ** 3 * jnp.sum(p["b"] ** 2)


def outputs(p):
    return {"low": p["a"] * p["b"], "top": [jnp.sin(p["a"]), p["b"][::-1] * p["b"]]}


def banana(x):
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def in_x64(compute):
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, compute(jax.tree.map(jnp.asarray, TREE)))


def same(one, other):
    """Structure, types and numbers."""
    if jax.tree.structure(one) != jax.tree.structure(other):
        return False
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(
        np.asarray(a).dtype == np.asarray(b).dtype and np.allclose(a, b, rtol=16 * EPS, atol=16 * EPS) for a, b in pairs
    )


def test_they_have_the_structure_and_the_numbers_of_jax():
    assert same(karush.gradient(model)(TREE), in_x64(jax.grad(model)))
    assert same(karush.jacobian(outputs)(TREE), in_x64(jax.jacobian(outputs)))
    assert same(karush.hessian(model)(TREE), in_x64(jax.hessian(model)))
    assert same(karush.hessian(outputs)(TREE), in_x64(jax.hessian(outputs)))


def test_products_are_those_of_the_matrix():
    v = {"a": -1.0, "b": np.array([0.5, 2.0])}
    w = {"low": np.array([1.0, 2.0]), "top": [3.0, np.array([-1.0, 0.5])]}
    J = karush.jacobian(outputs, sparse=True)
    matrix, flat_v = full(J(TREE)), np.array([-1.0, 0.5, 2.0])
    flat_w = np.array([1.0, 2.0, 3.0, -1.0, 0.5])
    np.testing.assert_allclose(raveled(J.product(TREE, v)), matrix @ flat_v, rtol=16 * EPS)
    np.testing.assert_allclose(raveled(J.transposed_product(TREE, w)), matrix.T @ flat_w, rtol=16 * EPS)
    np.testing.assert_allclose(raveled(karush.directional(outputs, TREE, v)), matrix @ flat_v, rtol=16 * EPS)
    H = karush.hessian(model, sparse=True)
    np.testing.assert_allclose(raveled(H.product(TREE, v)), full(H(TREE)) @ flat_v, rtol=16 * EPS)


def full(matrix):
    out = np.zeros(matrix.shape)
    out[tuple(np.asarray(matrix.indices).T)] = np.asarray(matrix.data)
    return out


def raveled(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def test_the_directional_derivative_is_the_gradient_along_the_direction():
    x, v = [1.0, 2.0], [0.5, -1.0]
    assert karush.directional(lambda x: x[0] ** 2 * x[1], x, v) == 0.5 * 4.0 - 1.0


def test_precision_is_that_of_x():
    wide = karush.gradient(banana)(np.array([0.1, 0.2, 0.3]))
    assert isinstance(wide, np.ndarray)
    assert wide.dtype == np.float64
    narrow = karush.gradient(banana)(jnp.array([0.1, 0.2, 0.3], jnp.float32))
    assert isinstance(narrow, jax.Array)
    assert narrow.dtype == np.float32
    assert karush.gradient(banana)(np.array([0.1, 0.2], np.float32)).dtype == np.float32
    assert np.asarray(karush.hessian(banana, sparse=True)(np.array([0.1, 0.2])).data).dtype == np.float64
    assert karush.hessian(banana, sparse=True)(jnp.array([0.1, 0.2])).data.dtype == np.float32
    assert karush.gradient(lambda x: x**2)(3) == 6.0


def test_leaves_of_several_precisions_keep_theirs():
    x = {"a": np.float32(2.0), "b": np.array([1.0, 2.0])}
    slope = karush.gradient(model)(x)
    assert (slope["a"].dtype, slope["b"].dtype) == (np.float32, np.float64)
    matrix = karush.hessian(model, sparse=True)(x)
    np.testing.assert_allclose(full(matrix)[1:, 1:], np.diag([16.0, 16.0]))


def test_they_work_inside_jit_vmap_and_grad():
    x = jnp.linspace(0.5, 1.5, 5)
    H = karush.hessian(banana, sparse=True)
    dense = jax.hessian(banana)(x)
    np.testing.assert_allclose(jax.jit(lambda x: H(x).todense())(x), dense, rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(lambda x: H(x).todense())(x[None])[0], dense, rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(karush.gradient(banana))(x[None])[0], jax.grad(banana)(x), rtol=1e-5)
    trace_of = jax.grad(lambda x: jnp.trace(H(x).todense()))(x)
    np.testing.assert_allclose(trace_of, jax.grad(lambda x: jnp.trace(jax.hessian(banana)(x)))(x), rtol=1e-5)
    along = jax.jit(lambda x, v: karush.directional(banana, x, v))(x, jnp.ones(5))
    np.testing.assert_allclose(along, jnp.sum(jax.grad(banana)(x)), rtol=1e-4)


def test_a_function_that_closes_over_a_traced_value_leaks_nothing():
    @jax.jit
    def outer(x, a):
        return karush.jacobian(lambda x: a * x[1:] * x[:-1], sparse=True)(x).todense()

    x = jnp.arange(1.0, 4.0)
    for a in (2.0, 3.0):
        np.testing.assert_allclose(outer(x, a), a * np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 2.0]]))


def test_the_function_is_traced_once_for_each_structure():
    calls = []

    def counted(x):
        calls.append(1)
        return jnp.sum(x[1:] * x[:-1])

    for derivative in (karush.gradient(counted), karush.hessian(counted), karush.hessian(counted, sparse=True)):
        derivative(np.ones(4))
        before = len(calls)
        derivative(np.zeros(4))
        assert len(calls) == before
        derivative(np.ones(5))
        assert len(calls) > before


def test_loops_that_only_run_forward_have_a_jacobian():
    def f(x):
        return jax.lax.while_loop(
            lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] ** 2), (0, jnp.stack([x[0], x[1], x[0]]))
        )[1]

    x = np.array([1.5, -0.5])
    exact = np.array([[4 * 1.5**3, 0], [0, 4 * (-0.5) ** 3], [4 * 1.5**3, 0]])
    np.testing.assert_allclose(karush.jacobian(f)(x), exact)
    np.testing.assert_allclose(full(karush.jacobian(f, sparse=True)(x)), exact)


def test_no_entries_make_an_empty_matrix():
    matrix = karush.hessian(lambda x: 3.0 * x[0] - x[1], sparse=True)(np.ones(3))
    assert matrix.shape == (3, 3)
    assert matrix.data.size == 0


def test_many_products_come_in_batches_and_are_the_same(monkeypatch):
    from karush.derivatives import compressed

    x = np.linspace(-1, 1, 20)
    whole = karush.hessian(banana, sparse=True)(x)
    monkeypatch.setattr(compressed, "BATCH_NUMBERS", 20)
    again = karush.hessian(banana, sparse=True)(x)
    np.testing.assert_allclose(np.asarray(again.data), np.asarray(whole.data), rtol=16 * EPS)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: karush.gradient(3.0), ProblemError, "f must be a JAX function of x, got float 3.0"),
        (lambda: karush.gradient(banana)(np.arange(3)), ProblemError, r"x at x has dtype int64.*astype\(float\)"),
        (lambda: karush.gradient(banana)(np.ones(2) * 1j), ProblemError, "complex128"),
        (lambda: karush.gradient(banana)({}), ProblemError, "x holds no numbers"),
        (lambda: karush.gradient(banana)("one"), ProblemError, "x at x is str 'one'"),
        (lambda: karush.gradient(lambda x: x)(np.ones(2)), TraceError, r"shape \(2,\); one number.*karush.jacobian"),
        (lambda: karush.hessian(lambda x: x, sparse=True)(np.ones(2)), TraceError, r"one number of shape \(\)"),
        (lambda: karush.hessian(lambda x: x).symmetry(np.ones(2)), TraceError, "one number"),
        (lambda: karush.jacobian(lambda x: x > 0)(np.ones(2)), TraceError, "dtype bool; it must return real"),
        (lambda: karush.jacobian(lambda x: None)(np.ones(2)), TraceError, "holds no numbers"),
        (lambda: karush.gradient(lambda x: float(x[0]))(np.ones(2)), TraceError, "cannot be traced by JAX"),
        (lambda: karush.directional(model, TREE, np.ones(3)), ProblemError, "v has structure"),
        (
            lambda: karush.directional(banana, np.ones(3), np.ones(2)),
            ProblemError,
            r"v at x has shape \(2,\), but x has \(3,\)",
        ),
        (lambda: karush.jacobian(outputs).transposed_product(TREE, TREE), ProblemError, "w has structure"),
        (lambda: karush.hessian(banana).product(np.ones(3), np.ones(4)), ProblemError, r"v at x has shape \(4,\)"),
    ],
)
def test_bad_input_is_named_with_its_cure(call, error, words):
    with pytest.raises(error, match=words):
        call()


def peano(p):
    """Peano's example: all second partials exist at 0, and those of x and y do not commute."""
    x, y = p["x"], p["y"]
    r = x * x + y * y
    return jnp.where(r == 0, 0.0, x * y * (x * x - y * y) / jnp.where(r == 0, 1.0, r)) + p["z"] ** 2


def test_second_partials_that_do_not_commute_are_reported_with_their_sizes():
    report = karush.hessian(peano).symmetry({"x": 0.0, "y": 0.0, "z": 1.0})
    assert not report.ok
    assert not report.promised
    assert report.measured
    assert set(report.where) == {"x", "y"}
    assert sorted(report.values) == pytest.approx([-1.0, 1.0], abs=1e-9)
    assert report.values[report.where.index("x")] == pytest.approx(-1.0, abs=1e-9)  # d/dy (df/dx) = -1
    assert {kink.primitive for kink in report.switches} == {"eq"}
    assert "not symmetric" in str(report)
    assert "x lies on a switch" in str(report)


def test_away_from_the_switch_symmetry_is_promised_and_kept():
    report = karush.hessian(peano).symmetry({"x": 0.3, "y": -0.2, "z": 1.0})
    assert report.ok
    assert report.promised
    assert not report.measured


def test_a_kink_whose_second_partials_commute_is_symmetric_though_not_promised():
    report = karush.hessian(lambda x: jnp.abs(x[0]) ** 3 + jnp.maximum(x[1], 0.0) ** 3 + x[0] * x[1]).symmetry(
        np.zeros(2)
    )
    assert report.ok
    assert not report.promised


def test_an_inconsistent_rule_of_differentiation_is_found_at_any_size():
    @jax.custom_jvp
    def square(x):
        return x * x

    @square.defjvp
    def _(primals, tangents):
        (x,), (t,) = primals, tangents
        return x * x, (2.0 * x + jnp.roll(x, 1)) * t  # the slope of no function: it moves with another entry

    for n in (3, 300):
        report = karush.hessian(lambda x: jnp.sum(square(x))).symmetry(np.ones(n))
        assert not report.ok
        assert report.promised
        assert sorted(report.values) == [0.0, 1.0]
        assert "custom derivative rule" in str(report)


def test_a_hessian_that_is_nan_is_not_called_symmetric():
    assert not karush.hessian(lambda x: jnp.sum(jnp.log(x) ** 2)).symmetry(np.array([1.0, 0.0])).ok


def test_the_pattern_shows_its_entries_and_products(monkeypatch):
    pattern = karush.hessian(banana, sparse=True).pattern(np.ones(5))
    assert str(pattern).splitlines()[1:] == ["00···", "011··", "·122·", "··200", "···01"]
    assert "5 x 5, 13 entries" in str(pattern)
    large = karush.hessian(banana, sparse=True).pattern(np.ones(300))
    assert len(str(large).splitlines()) == 21
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    axes = pattern.plot()
    assert axes.collections[0].get_offsets().shape == (13, 2)
    matplotlib.pyplot.close(axes.figure)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(BackendMissing, match="pip install"):
        pattern.plot()
