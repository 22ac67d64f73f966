"""Equations name the line that their user wrote; programs are walked in any number system."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from karush.core.errors import TraceError
from karush.core.precision import float64
from karush.jaxprs.kinks import kinks
from karush.jaxprs.source import place_of
from karush.jaxprs.walk import bind, inline, interpret

pytestmark = pytest.mark.user_style

X = np.array([0.3, 1.3, -2.4])


def line_of(function, text):
    """Number of the line of `function` that holds `text`."""
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if text in line)


def trace(f, *args):
    with float64():
        return jax.make_jaxpr(f)(*map(jnp.asarray, args or (X,)))


def model(x):
    y = x * 2.0
    z = jnp.where(y > 1.0, y, 0.5)  # the comparison
    w = jax.nn.relu(z)  # inside a function of JAX
    return jnp.sum(w)


def test_an_equation_is_traced_to_its_line_and_column():
    first = trace(model).jaxpr.eqns[0]
    place = place_of(first)
    assert place.file == __file__
    assert place.line == line_of(model, "x * 2.0")
    assert place.function == "model"
    assert place.column == inspect.getsource(model).splitlines()[1].index("x * 2.0") + 1


def test_an_operation_inside_a_function_of_jax_is_placed_at_the_users_call():
    places = {kink.primitive: kink.place for kink in kinks(trace(model))}
    assert places["gt"].line == line_of(model, "the comparison")
    assert places["max"].line == line_of(model, "inside a function")


def twice(x):
    first = jax.nn.relu(x)  # one call
    return first.sum() + jax.nn.relu(-x).sum()  # another call


def test_two_calls_of_one_function_of_jax_are_placed_apart():
    assert [kink.place.line for kink in kinks(trace(twice))] == [
        line_of(twice, "one call"),
        line_of(twice, "another call"),
    ]


@jax.jit
def compiled(x):
    return jnp.abs(x)  # inside jit


def test_an_operation_inside_a_jitted_function_of_the_user_is_placed_inside_it():
    (kink,) = kinks(trace(lambda x: compiled(x).sum()))
    assert kink.place.line == line_of(compiled.__wrapped__, "inside jit")
    assert str(kink.place.line) in str(kink)


def looped(x):
    return jax.lax.scan(lambda c, a: (c + jnp.abs(a), None), 0.0, x)[0]


def test_an_operation_inside_a_loop_is_placed_inside_it():
    (kink,) = kinks(trace(looped))
    assert kink.place.line == line_of(looped, "jnp.abs")


@jax.custom_jvp
def own(x):
    return jnp.sin(x)


own.defjvp(lambda primals, tangents: (own(*primals), jnp.cos(primals[0]) * tangents[0]))


@pytest.mark.parametrize(
    "f",
    [
        model,
        twice,
        looped,
        lambda x: compiled(x).sum(),
        lambda x: own(x) + 1.0,
        jax.checkpoint(lambda x: jnp.exp(x) * A),
        lambda x: jax.lax.cond(x[0] > 0, jnp.sum, jnp.prod, x),
        lambda x: jnp.linalg.solve(jnp.outer(x, x) + jnp.eye(3), x),
        lambda x: (x, x, jnp.float64(2.0)),
    ],
)
def test_a_program_run_with_jaxs_own_rules_is_the_function(f):
    closed = trace(f)
    with float64():
        expected = jax.tree.leaves(f(jnp.asarray(X)))
        found = interpret(inline(closed), (jnp.asarray(X),), {}, default=bind)
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-15)


A = np.arange(3.0)


def test_calls_are_written_out_in_place():
    steps = {step.primitive for step in inline(trace(lambda x: jax.nn.relu(compiled(own(x))))).steps}
    assert steps == {"sin", "abs", "max"}


def test_an_operation_without_a_rule_is_named_with_its_line():
    closed = trace(looped)
    with pytest.raises(TraceError, match=rf"'scan' at .*:{line_of(looped, 'jax.lax.scan')} in looped has no rule"):
        interpret(inline(closed), (X,), {})
