"""`stabilize`: accurate under jit, the same function, no worse anywhere, differentiable."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import karush
import karush.core.precision
from karush.core.errors import ProblemError, TraceError
from karush.stability.points import draw, is_normal
from karush.stability.truth import exact_values
from karush.stability.ulps import bits_of_error, from_ordinals, ordinals

pytestmark = pytest.mark.user_style

FEW_BITS = 1.0
"""mean bits of error of a repaired function: about one ulp"""


def mean_bits(f, low, high, exact_of, dtype=np.float32, points=300):
    """Mean bits of error of f under jit against the exact values of `exact_of`, one scalar input."""
    rng = np.random.default_rng(3)
    x = draw(low, high, (points,), dtype, rng)
    exact = exact_values(lambda n: jax.make_jaxpr(jax.vmap(exact_of))(jax.ShapeDtypeStruct((n,), dtype)), [x])[0]
    good = is_normal(exact)
    return bits_of_error(np.asarray(jax.jit(jax.vmap(f))(x))[good], exact[good]).mean()


def test_ordinals_number_the_floats_in_order():
    values = np.array([-np.inf, -1.0, -1e-300, -0.0, 0.0, 5e-324, 1.0, np.inf])
    places = ordinals(values)
    assert (np.diff(places) >= 0).all()
    assert places[3] == places[4] == 0
    assert np.array_equal(from_ordinals(places, np.float64), values)
    assert bits_of_error(np.array([1.0]), np.array([np.nextafter(1.0, 2.0)]))[0] == 1.0


NAIVE = {
    "cancellation": (lambda x: jnp.exp(x) - 1.0, -10.0, 10.0),
    "singularity": (lambda x: (1.0 - jnp.cos(x)) / x**2, 1e-9, 3.0),
    "root": (lambda x: jnp.sqrt(x + 1.0) - jnp.sqrt(x), 0.0, 1e30),
    "overflow": (lambda x: jnp.exp(x) / (1.0 + jnp.exp(x)), 50.0, 1000.0),
    "two functions": (lambda x: (x - jnp.sin(x)) / (x - jnp.tan(x)), 1e-20, 1.0),
}


@pytest.mark.parametrize("name", NAIVE)
def test_a_naive_expression_becomes_accurate_and_stays_the_same_function(name):
    f, low, high = NAIVE[name]
    g = karush.stabilize(f, karush.Box(low, high))
    assert mean_bits(f, low, high, f) > 4.0
    assert mean_bits(g, low, high, f) <= FEW_BITS
    assert g.changes
    assert g.bits_after < g.bits_before
    assert jax.jit(g)(jnp.float32(0.5)).dtype == np.float32


def test_a_stable_function_is_left_alone_and_repair_is_idempotent():
    def f(x):
        return jnp.sin(x) * x + 2.0

    assert karush.stabilize(f, karush.Box(0.1, 3.0)).changes == ()
    once = karush.stabilize(lambda x: jnp.exp(x) - 1.0, karush.Box(-1.0, 1.0))
    assert karush.stabilize(once) is once
    assert karush.stabilize(once, karush.Box(-1.0, 1.0)).changes == ()


def test_a_change_names_the_users_line_and_the_source_can_be_pasted():
    def f(x):
        return jnp.log(1.0 + x)

    g = karush.stabilize(f, karush.Box(1e-12, 1.0))
    (change,) = g.changes
    assert change.place.file == __file__
    assert change.place.line == f.__code__.co_firstlineno + 1
    scope = {"jnp": jnp}
    assert g.source is not None
    exec(g.source, scope)
    assert scope["f"](np.float32(1e-6)) == g(np.float32(1e-6))


def test_a_branch_is_taken_where_no_single_form_is_accurate_and_its_gradient_is_finite():
    def f(a, b, c):
        return (-b + jnp.sqrt(b * b - 4.0 * (a * c))) / (2.0 * a)

    g = karush.stabilize(f, (karush.Box(0.5, 2.0), karush.Box(-1e5, 1e5), karush.Box(-2.0, -0.5)))
    exact = np.float64(-1.0) / 1e4
    assert abs(g(np.float32(1.0), np.float32(1e4), np.float32(-1.0)) + exact) < 4e-7 * 1e-4
    for b in (1e4, -1e4):
        assert np.isfinite(jax.grad(g, argnums=(0, 1, 2))(1.0, b, -1.0)).all()


def test_arguments_of_any_structure_are_analysed_at_the_first_call():
    g = karush.stabilize(lambda p, *, shift: jnp.exp(p["u"]) - jnp.exp(shift))
    with pytest.raises(ProblemError, match="call it once"):
        _ = g.changes
    u = np.linspace(0.0, 1.0, 4, dtype=np.float32)
    value = jax.jit(g)({"u": u}, shift=np.zeros(4, np.float32))
    assert np.allclose(value, np.expm1(u.astype(np.float64)), rtol=4e-7)


def test_a_gradient_that_the_rewrite_does_not_cure_gets_a_rule_of_its_own():
    f = NAIVE["two functions"][0]
    g = karush.stabilize(f, karush.Box(1e-20, 1.0))
    assert np.isnan(jax.grad(f)(np.float32(1e-6)))
    # f = -1/2 + 9 x^2/40 + ...
    assert np.allclose(jax.grad(g)(np.float32(1e-3)), 0.45e-3, rtol=1e-5)
    with karush.core.precision.float64():
        h = karush.stabilize(lambda x: -(1.0 - jnp.cos(x)) / x**2, karush.Box(1e-9, 3.0))
        assert np.allclose(jax.grad(h)(1e-8), 1e-8 / 12, rtol=1e-14)


def test_vmap_and_grad_go_through():
    g = karush.stabilize(lambda x: (1.0 - jnp.cos(x)) / x**2, karush.Box(1e-9, 3.0))
    x = np.array([1e-8, 1e-3, 0.5], np.float32)
    wide = x.astype(np.float64)
    assert np.allclose(jax.vmap(jax.grad(g))(x), -wide / 12 + wide**3 / 180 - wide**5 / 6720, rtol=3e-6)


@pytest.mark.parametrize(
    ("f", "box", "error", "word"),
    [
        (3.0, None, ProblemError, "JAX function"),
        (jnp.exp, (0.0, 1.0), ProblemError, r"karush\.Box"),
        (lambda x: x if x > 0 else -x, karush.Box(-1.0, 1.0), TraceError, r"jnp\.where"),
    ],
)
def test_bad_input_is_named_with_its_cure(f, box, error, word):
    with pytest.raises(error, match=word):
        karush.stabilize(f, box)


def test_integers_are_refused_by_name():
    with pytest.raises(ProblemError, match="n is int32"):
        karush.stabilize(lambda n: n + 1)(np.int32(3))


def test_arrays_outputs_of_other_dtypes_and_rows_along_axes_go_through():
    def f(x):
        e = jnp.exp(x)
        return e / jnp.sum(e, axis=1, keepdims=True), jnp.argmax(x, axis=1)

    g = karush.stabilize(f, karush.Box(np.full((3, 4), -200.0), np.full((3, 4), 200.0)))
    x = np.full((3, 4), 150.0, np.float32)
    share, place = jax.jit(g)(x)
    assert np.isnan(f(x)[0]).all()
    assert np.array_equal(share, np.full((3, 4), 0.25, np.float32))
    assert np.array_equal(place, f(x)[1])
