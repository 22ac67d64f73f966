"""Idioms of statistics, finance, geometry and the sciences, as people write them."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.idioms import Idiom, idiom, vector, vectors


def variance(x):
    return jnp.sum(x * x) / x.size - (jnp.sum(x) / x.size) ** 2


def standard_deviation(x):
    return jnp.sqrt(jnp.mean(x**2) - jnp.mean(x) ** 2)


def z_score(x):
    return (x[0] - jnp.mean(x)) / jnp.sqrt(jnp.mean(x * x) - jnp.mean(x) ** 2)


def covariance(a):
    u, v = a
    return jnp.mean(u * v) - jnp.mean(u) * jnp.mean(v)


def skewness(x):
    mean = jnp.mean(x)
    return jnp.mean(x**3) - 3.0 * mean * jnp.mean(x**2) + 2.0 * mean**3


def coefficient_of_variation(x):
    return jnp.sqrt(jnp.mean(x * x) / jnp.mean(x) ** 2 - 1.0)


def normal_density(x):
    return jnp.exp(-0.5 * x * x) / jnp.sqrt(2.0 * jnp.pi)


def normal_log_density(x):
    return jnp.log(jnp.exp(-0.5 * x * x) / jnp.sqrt(2.0 * jnp.pi))


def normal_tail(x):
    return 1.0 - 0.5 * (1.0 + jax.lax.erf(x / jnp.sqrt(2.0)))


def log_normal_cdf(x):
    return jnp.log(0.5 * (1.0 + jax.lax.erf(x / jnp.sqrt(2.0))))


def likelihood_product(x):
    return jnp.log(jnp.prod(jnp.exp(-0.5 * x * x)))


def poisson_log_probability(a):
    count, rate = a
    return jnp.log(jnp.exp(-rate) * rate**count)


def binomial_log_probability(a):
    p, n = a
    return n * jnp.log(1.0 - p)


def exponential_cdf(x):
    return 1.0 - jnp.exp(-x)


def weibull_cdf(a):
    x, k = a
    return 1.0 - jnp.exp(-(x**k))


def geometric_tail(a):
    p, n = a
    return 1.0 - (1.0 - p) ** n


def logit(p):
    return jnp.log(p / (1.0 - p))


def log_odds_from_logits(x):
    p = 1.0 / (1.0 + jnp.exp(-x))
    return jnp.log(p / (1.0 - p))


def log_one_minus_exp(x):
    return jnp.log(1.0 - jnp.exp(x))


def log_difference(a):
    u, v = a
    return jnp.log(jnp.exp(u) - jnp.exp(v))


def compound_interest(a):
    rate, periods = a
    return (1.0 + rate / periods) ** periods - 1.0


def annuity(a):
    rate, periods = a
    return rate / (1.0 - (1.0 + rate) ** (-periods))


def effective_rate(r):
    return jnp.log(1.0 + r)


def haversine(a):
    (lat1, lon1), (lat2, lon2) = a
    h = jnp.sin((lat2 - lat1) / 2.0) ** 2 + jnp.cos(lat1) * jnp.cos(lat2) * jnp.sin((lon2 - lon1) / 2.0) ** 2
    return 2.0 * jnp.arcsin(jnp.sqrt(h))


def spherical_cosines(a):
    (lat1, lon1), (lat2, lon2) = a
    c = jnp.sin(lat1) * jnp.sin(lat2) + jnp.cos(lat1) * jnp.cos(lat2) * jnp.cos(lon1 - lon2)
    return jnp.arccos(c)


def angle_between(a):
    u, v = a
    return jnp.arccos(jnp.dot(u, v) / jnp.sqrt(jnp.dot(u, u) * jnp.dot(v, v)))


def heron(a):
    x, y, z = a
    s = (x + y + z) / 2.0
    return jnp.sqrt(s * (s - x) * (s - y) * (s - z))


def quadratic_root(a):
    b, c = a
    return (-b + jnp.sqrt(b * b - 4.0 * c)) / 2.0


def hypotenuse(a):
    x, y = a
    return jnp.sqrt(x * x + y * y)


def one_minus_cos(x):
    return (1.0 - jnp.cos(x)) / (x * x)


def sinc_difference(x):
    return (x - jnp.sin(x)) / (x * x * x)


def exprel(x):
    return (jnp.exp(x) - 1.0) / x


def root_difference(x):
    return jnp.sqrt(x + 1.0) - jnp.sqrt(x)


def reciprocal_difference(x):
    return 1.0 / (x + 1.0) - 1.0 / x


def lorentz_minus_one(v):
    return 1.0 / jnp.sqrt(1.0 - v * v) - 1.0


def planck(x):
    return x**3 / (jnp.exp(x) - 1.0)


def langevin(x):
    return 1.0 / jnp.tanh(x) - 1.0 / x


def debye_huckel(x):
    return 2.0 * (jnp.exp(-x) - 1.0 + x) / (x * x)


def bessel_ratio(x):
    return jnp.cosh(x) - 1.0


def power_mean(x):
    return jnp.mean(x**20) ** (1.0 / 20.0)


def geometric_mean(x):
    return jnp.prod(x) ** (1.0 / x.size)


def harmonic_difference(x):
    def turn(carry, t):
        return carry + t, None

    total, _ = jax.lax.scan(turn, 1e8 * jnp.ones_like(x[0]), x)
    return total - 1e8


def running_variance(x):
    def turn(i, sums):
        return sums[0] + x[i], sums[1] + x[i] * x[i]

    first, second = jax.lax.fori_loop(0, x.size, turn, (jnp.zeros_like(x[0]), jnp.zeros_like(x[0])))
    return second / x.size - (first / x.size) ** 2


def hmm_forward(x):
    def turn(alpha, emission):
        alpha = alpha * jnp.exp(-emission)
        return 0.5 * alpha + 0.5 * alpha[::-1], None

    alpha, _ = jax.lax.scan(turn, jnp.full(2, 0.5, x.dtype), x)
    return jnp.log(jnp.sum(alpha))


def black_scholes_d1(a):
    spot, sigma = a
    return (jnp.log(spot) + 0.5 * sigma**2) / sigma


ANGLES = (((0.5, 0.5), (0.5, 0.5)), ((0.50001, 0.50001), (0.50001, 0.50001)))

STATISTICS: list[Idiom] = [
    idiom("variance", variance, vector(9.9e3, 1.01e4, 5)),
    idiom("standard_deviation", standard_deviation, vector(999.0, 1001.0, 5)),
    idiom("z_score", z_score, vector(4999.0, 5001.0, 4)),
    idiom("covariance", covariance, vectors(2e3, 2.001e3, 3, 3)),
    idiom("skewness", skewness, vector(99.0, 101.0, 4)),
    idiom("coefficient_of_variation", coefficient_of_variation, vector(1e3, 1.001e3, 4)),
    idiom("normal_density", normal_density, (-12.0, 12.0)),
    idiom("normal_log_density", normal_log_density, (-30.0, 30.0)),
    idiom("normal_tail", normal_tail, (0.0, 8.0)),
    idiom("log_normal_cdf", log_normal_cdf, (-8.0, 4.0)),
    idiom("likelihood_product", likelihood_product, vector(-8.0, 8.0, 5)),
    idiom("poisson_log_probability", poisson_log_probability, ((1.0, 0.1), (60.0, 200.0))),
    idiom("binomial_log_probability", binomial_log_probability, ((1e-10, 1.0), (1e-3, 100.0))),
    idiom("exponential_cdf", exponential_cdf, (1e-10, 5.0)),
    idiom("weibull_cdf", weibull_cdf, ((1e-4, 1.0), (2.0, 4.0))),
    idiom("geometric_tail", geometric_tail, ((1e-10, 1.0), (0.5, 50.0))),
    idiom("logit", logit, (1e-4, 0.9999)),
    idiom("log_odds_from_logits", log_odds_from_logits, (-40.0, 40.0)),
    idiom("log_one_minus_exp", log_one_minus_exp, (-50.0, -1e-10)),
    idiom("log_difference", log_difference, ((60.0, 20.0), (120.0, 50.0))),
    idiom("compound_interest", compound_interest, ((1e-8, 1.0), (0.1, 365.0))),
    idiom("annuity", annuity, ((1e-9, 1.0), (0.1, 360.0))),
    idiom("effective_rate", effective_rate, (1e-10, 0.1)),
    idiom("haversine", haversine, ANGLES),
    idiom("spherical_cosines", spherical_cosines, ANGLES),
    idiom(
        "angle_between", angle_between, ((np.full(3, 0.9999), np.full(3, 0.9999)), (np.full(3, 1.0), np.full(3, 1.0)))
    ),
    idiom("heron", heron, ((1.0, 0.5, 0.5), (1.0001, 0.50005, 0.5001))),
    idiom("quadratic_root", quadratic_root, ((100.0, 1e-4), (1e4, 1.0))),
    idiom("hypotenuse", hypotenuse, ((1e-30, 1e-30), (1e30, 1e30))),
    idiom("one_minus_cos", one_minus_cos, (1e-6, 3.0)),
    idiom("sinc_difference", sinc_difference, (1e-5, 3.0)),
    idiom("exprel", exprel, (-1.0, 1.0)),
    idiom("root_difference", root_difference, (1.0, 1e12)),
    idiom("reciprocal_difference", reciprocal_difference, (1.0, 1e10)),
    idiom("lorentz_minus_one", lorentz_minus_one, (1e-7, 0.9)),
    idiom("planck", planck, (1e-6, 60.0)),
    idiom("langevin", langevin, (1e-4, 10.0)),
    idiom("debye_huckel", debye_huckel, (1e-6, 2.0)),
    idiom("cosh_minus_one", bessel_ratio, (1e-8, 3.0)),
    idiom("power_mean", power_mean, vector(1.0, 1000.0, 4)),
    idiom("geometric_mean", geometric_mean, vector(1e-12, 1e-2, 6)),
    idiom("long_sum_in_scan", harmonic_difference, vector(0.0, 10.0, 8)),
    idiom("running_variance", running_variance, vector(999.0, 1001.0, 5)),
    idiom("hmm_forward", hmm_forward, vector(0.0, 40.0, 6)),
    idiom("black_scholes_d1", black_scholes_d1, ((0.5, 0.05), (2.0, 0.8))),
]

__all__ = ["STATISTICS"]
