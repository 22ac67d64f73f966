"""A user's function of one pytree becomes one program of flat float64 arrays."""

import jax.numpy as jnp
import numpy as np
import pytest

from karush.core.errors import PrecisionError, ProblemError, TraceError
from karush.core.precision import float64
from karush.jaxprs.function import trace


def test_the_program_computes_what_the_function_computes_and_names_its_outputs():
    def f(p):
        return {"fit": p["w"] @ p["b"], "size": [p["b"], jnp.sum(p["w"])]}

    x = {"b": np.array([1.0, -2.0]), "w": np.arange(6.0).reshape(3, 2)}
    function, flat = trace(f, x, "model")
    assert (function.n, function.k, function.is_scalar) == (8, 6, False)
    assert function.out.leaf_names == ("model.fit", "model.size[0]", "model.size[1]")
    with float64():
        out = function.out.unravel(function(flat))
    np.testing.assert_array_equal(out["fit"], x["w"] @ x["b"])
    np.testing.assert_array_equal(out["size"][0], x["b"])
    assert float(out["size"][1]) == 15.0


def test_a_scalar_function_is_known_as_one():
    function, flat = trace(lambda x: jnp.sum(x**2), np.array([3.0, 4.0]))
    assert function.is_scalar
    with float64():
        assert float(function.scalar(flat)) == 25.0
    assert not trace(lambda x: x[:1], np.ones(2))[0].is_scalar


def test_the_users_function_is_called_once():
    calls = []

    def f(x):
        calls.append(x)
        return jnp.sum(x)

    function, flat = trace(f, np.ones(3))
    with float64():
        function(flat)
        function(2.0 * flat)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("f", "x", "error", "word"),
    [
        (3.0, np.ones(2), ProblemError, "f must be a JAX function"),
        (lambda x: jnp.sum(x), np.ones(2, int), ProblemError, "dtype int64"),
        (lambda x: float(x[0]), np.ones(2), TraceError, "cannot be traced"),
        (lambda x: {}, np.ones(2), TraceError, "holds no numbers"),
        (lambda x, p: x * p, np.ones(2), TraceError, r"signature \(x, p\).*give params"),
        (lambda x: "seven", np.ones(2), TraceError, "'seven'"),
        (lambda x: x + 1j, np.ones(2), TraceError, "complex128"),
        (lambda x: x.astype(jnp.float32), np.ones(2), PrecisionError, "float32"),
    ],
)
@pytest.mark.user_style
def test_what_is_no_real_function_of_floats_is_refused_by_name(f, x, error, word):
    with pytest.raises(error, match=word):
        trace(f, x)
