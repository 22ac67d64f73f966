"""karush computes in float64 inside JAX's 32-bit default, changes no setting, and refuses digits already lost."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karush
from karush.core.errors import PrecisionError, ProblemError
from karush.core.precision import as_float64

ROUNDED = np.array([0.1, 0.2], dtype=np.float32)


def nearest_to(target):
    return lambda x: jnp.sum((x - target) ** 2)


def test_importing_and_solving_change_no_setting_of_jax_in_a_new_process():
    script = """
import jax
before = dict(jax.config.values)
import karush
assert dict(jax.config.values) == before, "import"
result = karush.minimize(lambda x: (x[0] - 0.1) ** 2, [1.0])
assert dict(jax.config.values) == before, "solve"
assert jax.numpy.ones(1).dtype == "float32"
assert result.x.dtype == "float64" and abs(result.x[0] - 0.1) < 1e-12, result.x
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("driver", ["python", "fused"])
@pytest.mark.user_style
def test_the_answer_has_double_precision_under_the_32_bit_default(driver):
    assert not jax.config.jax_enable_x64
    result = karush.minimize(nearest_to(np.array([0.1, 0.2])), np.ones(2), driver=driver)
    assert not jax.config.jax_enable_x64
    assert result.x.dtype == np.float64
    np.testing.assert_allclose(result.x, [0.1, 0.2], rtol=1e-14)


def test_nothing_differs_where_the_user_has_switched_64_bit_on():
    off = karush.minimize(nearest_to(np.array([0.1, 0.2])), np.ones(2))
    with jax.enable_x64(True):
        on = karush.minimize(nearest_to(jnp.array([0.1, 0.2])), jnp.ones(2))
    np.testing.assert_array_equal(on.x, off.x)


STARTS = {
    "float64": np.array([-1.2, 1.0]),
    "a list": [-1.2, 1.0],
    "a tuple": (-1.2, 1.0),
    "integers in a list": [3, 1],
    "float32": np.array([-1.25, 1.0], dtype=np.float32),
    "JAX's float32": jnp.array([-1.25, 1.0]),
    "float16": np.array([-1.25, 1.0], dtype=np.float16),
}


@pytest.mark.parametrize("kind", STARTS)
def test_a_start_is_taken_exactly_as_it_is_given(kind):
    flat = karush.prepare(nearest_to(0.5), STARTS[kind]).parts.flat
    assert flat.x0.dtype == np.float64
    np.testing.assert_array_equal(flat.x0, np.asarray(STARTS[kind], dtype=np.float64))


LOSSES = {
    "a captured NumPy array": nearest_to(ROUNDED),
    "a captured JAX array": nearest_to(jnp.array([0.1, 0.2])),
    "a captured JAX array inside jit": jax.jit(nearest_to(jnp.array([0.1, 0.2]))),
    "a captured array inside a loop": lambda x: jax.lax.fori_loop(0, 2, lambda i, s: s + jnp.sum(x * ROUNDED), 0.0),
    "a captured array inside a branch": lambda x: jax.lax.cond(
        x[0] > 0, lambda: jnp.sum(x * ROUNDED), lambda: jnp.sum(x)
    ),
    "a cast": lambda x: jnp.sum(x.astype(jnp.float32)),
    "a cast inside jit": lambda x: jax.jit(lambda x: jnp.sum(x.astype(jnp.float32)))(x),
    "half precision": lambda x: jnp.sum(x.astype(jnp.float16)),
    "a narrow zero": lambda x: jnp.sum(x + jnp.zeros(2, jnp.float32)),
}


@pytest.mark.user_style
@pytest.mark.parametrize("kind", LOSSES)
def test_a_function_that_loses_digits_is_refused_with_the_cure_for(kind):
    with pytest.raises(PrecisionError, match=r"float(32|16).*float64.*(jax_enable_x64|cast)"):
        karush.minimize(LOSSES[kind], np.ones(2))


@pytest.mark.user_style
def test_a_constraint_that_loses_digits_is_refused():
    with pytest.raises(PrecisionError, match="float32"):
        karush.minimize(jnp.sum, np.ones(2), constraints=karush.equal(lambda x: x - ROUNDED))


PLACES = {
    "a bound": lambda value: dict(bounds=(value, None)),
    "a limit": lambda value: dict(constraints=karush.between(lambda x: x, upper=value)),
    "a target": lambda value: dict(constraints=karush.equal(lambda x: x, value)),
    "a matrix": lambda value: dict(constraints=karush.linear(np.diag(value), upper=1.0)),
    "a scale": lambda value: dict(scales=karush.Scales(x=value)),
}


@pytest.mark.parametrize("place", PLACES)
def test_numbers_that_have_lost_digits_are_refused_in(place):
    with pytest.raises(PrecisionError, match=r"float32.*prints as 0\.1 but is 0\.1000000014.*float64"):
        karush.prepare(jnp.sum, np.ones(2), **PLACES[place](ROUNDED))
    exact = np.array([0.5, 0.25], dtype=np.float32)
    karush.prepare(jnp.sum, np.ones(2), **PLACES[place](exact))


def test_params_that_have_lost_digits_are_refused_and_others_become_float64():
    def apart(x, p):
        return jnp.sum((x - p["at"]) ** 2)

    with pytest.raises(PrecisionError, match=r"params\['at'\].*float32"):
        karush.prepare(apart, np.ones(2), params={"at": ROUNDED})
    prepared = karush.prepare(apart, np.ones(2), params={"at": jnp.array([0.5, 0.25])})
    np.testing.assert_array_equal(prepared.solve().x, [0.5, 0.25])
    with pytest.raises(PrecisionError, match=r"params\['at'\].*float32"):
        prepared.solve(params={"at": jnp.array([0.1, 0.25])})


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_single_precision_number_passes_exactly_if_it_is_the_decimal_it_prints_as(number):
    single = np.float32(number)
    if float(str(single)) == float(single):
        assert as_float64(single, "it") == float(single)
    else:
        with pytest.raises(PrecisionError, match=r"^it is float32"):
            as_float64(single, "it")


@given(st.lists(st.floats(), max_size=5))
def test_double_precision_passes_unchanged_and_is_copied(numbers):
    given_array = np.array(numbers, dtype=float)
    read = as_float64(given_array, "it")
    np.testing.assert_array_equal(read, given_array)
    assert not np.shares_memory(read, given_array)


@pytest.mark.parametrize("value", ["1", 1j, object(), np.array(["a"])])
def test_what_is_no_real_number_is_refused(value):
    with pytest.raises(ProblemError, match=r"^it must hold real numbers"):
        as_float64(value, "it")
