"""Gradient traps: functions whose value is right on the box and whose gradient by JAX is not, and careful twins."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.idioms import Idiom, idiom, vector


def where_log(x):
    return jnp.where(x > 0.0, jnp.log(x), 0.0)


def where_sqrt(x):
    return jnp.where(x > 0.0, jnp.sqrt(x), 0.0)


def where_reciprocal(x):
    return jnp.where(x == 0.0, 1.0, 1.0 / x)


def where_sinc(x):
    return jnp.where(x == 0.0, 1.0, jnp.sin(x) / x)


def where_exp(x):
    return jnp.where(x < 10.0, jnp.exp(x), x)


def where_power(x):
    return jnp.where(x > 0.0, x**0.5, 0.0)


def where_arccos(x):
    return jnp.where(jnp.abs(x) < 1.0, jnp.arccos(x), 0.0)


def norm_at_zero(x):
    return jnp.linalg.norm(x)


def norm_by_hand(x):
    return jnp.sqrt(jnp.sum(x * x))


def distance_of_equals(x):
    return jnp.linalg.norm(x - jnp.asarray([1.0, 2.0], jnp.float32))


def standard_deviation_of_equals(x):
    return jnp.std(x)


def unit_vector(x):
    length = jnp.sqrt(jnp.sum(x * x))
    return jnp.where(length > 0.0, x / length, 0.0)


def log1p_exp(x):
    return jnp.log(jnp.exp(x) + 1.0) * 0.5


def clamped_softplus(x):
    return jnp.where(x > 20.0, x, jnp.log(1.0 + jnp.exp(x)))


def masked_log_sum(x):
    mask = x > 0.0
    return jnp.sum(jnp.where(mask, jnp.log(x), 0.0))


def square_root_of_square(x):
    return jnp.sqrt(x * x)


def safe_entropy(p):
    return -jnp.sum(jnp.where(p > 0.0, p * jnp.log(p), 0.0))


def cosine_quotient(x):
    return jnp.sin(x / 2.0) ** 2 * 2.0 / (x * x)


def sharp_gate(x):
    return x / (1.0 + jnp.exp(-40.0 * x))


def maximum_norm_loss(x):
    return jnp.sqrt(jnp.maximum(jnp.sum(x) ** 2, 0.0))


def where_tanh_inverse(x):
    return jnp.where(jnp.abs(x) < 1.0, jnp.arctanh(x), 0.0)


def double_where_log(x):
    return jnp.where(x > 0.0, jnp.log(jnp.where(x > 0.0, x, 1.0)), 0.0)


def double_where_sqrt(x):
    safe = jnp.where(x > 0.0, x, 1.0)
    return jnp.where(x > 0.0, jnp.sqrt(safe), 0.0)


def smooth_norm(x):
    return jnp.sqrt(1.0 + jnp.sum(x * x))


TRAPS: list[Idiom] = [
    idiom("where_log", where_log, (-1.0, -0.1), "gradient"),
    idiom("where_log_at_zero", where_log, (-1.0, 0.0), "gradient"),
    idiom("where_sqrt", where_sqrt, (-1.0, 1.0), "gradient"),
    idiom("where_reciprocal", where_reciprocal, (-0.0, 0.0), "gradient"),
    idiom("where_sinc", where_sinc, (-0.0, 3.0), "gradient"),
    idiom("where_exp", where_exp, (-5.0, 200.0), "gradient"),
    idiom("where_power", where_power, (-2.0, 2.0), "gradient"),
    idiom("where_arccos", where_arccos, (-2.0, 2.0), "gradient"),
    idiom("where_tanh_inverse", where_tanh_inverse, (-2.0, 2.0), "gradient"),
    idiom("norm_at_zero", norm_at_zero, vector(-1.0, 1.0, 3), "gradient"),
    idiom("norm_by_hand", norm_by_hand, vector(0.0, 1.0, 3), "gradient"),
    idiom("distance_of_equals", distance_of_equals, (np.asarray([1.0, 2.0]), np.asarray([3.0, 3.0])), "gradient"),
    idiom("standard_deviation_of_equals", standard_deviation_of_equals, vector(1.0, 2.0, 3), "gradient"),
    idiom("unit_vector", unit_vector, vector(-1.0, 1.0, 2), "gradient"),
    idiom("log1p_exp", log1p_exp, (-30.0, 120.0), "gradient"),
    idiom("clamped_softplus", clamped_softplus, (0.0, 200.0), "gradient"),
    idiom("masked_log_sum", masked_log_sum, vector(0.0, 2.0, 3), "gradient"),
    idiom("square_root_of_square", square_root_of_square, (-1.0, 1.0), "gradient"),
    idiom("safe_entropy", safe_entropy, vector(0.0, 1.0, 3), "gradient"),
    idiom("cosine_quotient", cosine_quotient, (1e-4, 1.0), "gradient"),
    idiom("sharp_gate", sharp_gate, (-5.0, 5.0), "gradient"),
    idiom("maximum_norm_loss", maximum_norm_loss, vector(-1.0, 1.0, 2), "gradient"),
    idiom("double_where_log", double_where_log, (-1.0, 3.0), "gradient"),
    idiom("double_where_sqrt", double_where_sqrt, (-1.0, 3.0), "gradient"),
    idiom("smooth_norm", smooth_norm, vector(0.1, 1.0, 2), "gradient"),
    idiom("library_softmax", jax.nn.softmax, vector(-2.0, 2.0, 2), "gradient"),
]

__all__ = ["TRAPS"]
