"""Careful forms and plain code: most of these are sound on their boxes, and a tool must not call them defective."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.idioms import Idiom, idiom, vector, vectors


def shifted_softmax(x):
    e = jnp.exp(x - jnp.max(x))
    return e / jnp.sum(e)


def shifted_logsumexp(x):
    top = jnp.max(x)
    return top + jnp.log(jnp.sum(jnp.exp(x - top)))


def two_pass_variance(x):
    return jnp.mean((x - jnp.mean(x)) ** 2)


def stable_sigmoid(x):
    return 0.5 * (1.0 + jnp.tanh(0.5 * x))


def softplus_by_log1p(x):
    return jnp.maximum(x, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


def sine_half_angle(x):
    s = jnp.sin(0.5 * x) / (0.5 * x)
    return 0.5 * s * s


def scaled_norm(x):
    top = jnp.max(jnp.abs(x))
    return top * jnp.sqrt(jnp.sum((x / top) ** 2))


def roots_by_conjugate(x):
    return 1.0 / (jnp.sqrt(x + 1.0) + jnp.sqrt(x))


def compound_by_log1p(a):
    rate, periods = a
    return jnp.expm1(periods * jnp.log1p(rate / periods))


def rosenbrock(a):
    x, y = a
    return 1.0 + (1.0 - x) ** 2 + 100.0 * (y - x * x) ** 2


def linear_prediction(x):
    weights = jnp.asarray([0.5, 0.25, 2.0, 1.0], jnp.float32)
    return jnp.dot(weights, x) + 1.0


def sum_of_squares(x):
    return jnp.sum(x * x)


def gaussian(x):
    return jnp.exp(-0.5 * x * x)


def michaelis_menten(a):
    concentration, constant = a
    return 3.0 * concentration / (concentration + constant)


def rational(x):
    return (1.0 + x) / (1.0 + x * x)


def relu(x):
    return jnp.maximum(x, 0.0)


def guarded_log(x):
    return jnp.where(x > 0.0, jnp.log(jnp.where(x > 0.0, x, 1.0)), 0.0)


def cdf_by_expm1(x):
    return -jnp.expm1(-x)


def library_softplus(x):
    return jax.nn.softplus(x)


def library_logsumexp(x):
    return jax.nn.logsumexp(x)


def tanh_layer(x):
    weights = jnp.asarray([[0.3, -0.2], [0.1, 0.4]], jnp.float32)
    return jnp.tanh(weights @ x)


def running_product(x):
    def turn(carry, t):
        return 0.5 * (carry + t), None

    out, _ = jax.lax.scan(turn, jnp.ones_like(x[0]), x)
    return out


def newton_square_root(x):
    def turn(i, y):
        return 0.5 * (y + x / y)

    return jax.lax.fori_loop(0, 5, turn, x)


def piecewise(x):
    return jax.lax.cond(x > 1.0, lambda t: 2.0 * t - 1.0, lambda t: t * t, x)


def harmonic_mean(x):
    return x.size / jnp.sum(1.0 / x)


def geometric_mean_by_logs(x):
    return jnp.exp(jnp.mean(jnp.log(x)))


def vmapped_huber(x):
    return jax.vmap(lambda t: jnp.where(jnp.abs(t) < 1.0, 0.5 * t * t, jnp.abs(t) - 0.5))(x)


def arrhenius(a):
    energy, temperature = a
    return 10.0 * jnp.exp(-energy / (8.314 * temperature))


CONTROLS: list[Idiom] = [
    idiom("shifted_softmax", shifted_softmax, vector(-3.0, 3.0, 3), "control"),
    idiom("shifted_softmax_wide", shifted_softmax, vector(-60.0, 60.0, 2), "control"),
    idiom("shifted_logsumexp", shifted_logsumexp, vector(1.0, 10.0, 3), "control"),
    idiom(
        "two_pass_variance", two_pass_variance, (np.asarray([0.0, 2.0, 5.0]), np.asarray([1.0, 3.0, 6.0])), "control"
    ),
    idiom("stable_sigmoid", stable_sigmoid, (-3.0, 10.0), "control"),
    idiom("softplus_by_log1p", softplus_by_log1p, (-60.0, 60.0), "control"),
    idiom("sine_half_angle", sine_half_angle, (1e-6, 3.0), "control"),
    idiom("scaled_norm", scaled_norm, vector(1e10, 1e25, 3), "control"),
    idiom("roots_by_conjugate", roots_by_conjugate, (1.0, 1e12), "control"),
    idiom("compound_by_log1p", compound_by_log1p, ((1e-6, 1.0), (0.1, 365.0)), "control"),
    idiom("rosenbrock", rosenbrock, ((-2.0, -1.0), (2.0, 3.0)), "control"),
    idiom("linear_prediction", linear_prediction, vector(0.0, 10.0, 4), "control"),
    idiom("sum_of_squares", sum_of_squares, vector(-10.0, 10.0, 6), "control"),
    idiom("gaussian", gaussian, (-4.0, 4.0), "control"),
    idiom("michaelis_menten", michaelis_menten, ((0.01, 0.1), (100.0, 10.0)), "control"),
    idiom("rational", rational, (0.0, 100.0), "control"),
    idiom("relu", relu, (-10.0, 10.0), "control"),
    idiom("guarded_log", guarded_log, (-1.0, 0.5), "control"),
    idiom("cdf_by_expm1", cdf_by_expm1, (1e-10, 5.0), "control"),
    idiom("library_softplus", library_softplus, (-30.0, 30.0), "control"),
    idiom("library_logsumexp", library_logsumexp, vector(1.0, 20.0, 3), "control"),
    idiom("tanh_layer", tanh_layer, vector(0.5, 2.0, 2), "control"),
    idiom("running_average", running_product, vector(0.1, 5.0, 6), "control"),
    idiom("newton_square_root", newton_square_root, (0.5, 4.0), "control"),
    idiom("piecewise", piecewise, (0.1, 4.0), "control"),
    idiom("harmonic_mean", harmonic_mean, vector(0.1, 100.0, 4), "control"),
    idiom("geometric_mean_by_logs", geometric_mean_by_logs, vector(2.0, 20.0, 4), "control"),
    idiom("vmapped_huber", vmapped_huber, vector(0.1, 3.0, 3), "control"),
    idiom("arrhenius", arrhenius, ((100.0, 250.0), (5000.0, 500.0)), "control"),
    idiom("pair_distance", lambda a: jnp.sum((a[0] - a[1]) ** 2), vectors(-10.0, 10.0, 2, 2), "control"),
]

__all__ = ["CONTROLS"]
